#include "proxy/server_first.h"

#include <errno.h>

#include "base/mutation.h"
#include "codec/detect.h"
#include "codec/h2/h2_frame.h"
#include "mesh/authz.h"
#include "proxy/detect.h"
#include "proxy/inbound/inbound.h"
#include "proxy/opaque.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/pool.h"
#include "proxy/series.h"

int64_t server_first_look_at(const struct conn *conn, int64_t detect_until_ns)
{
    int64_t grace = conn->since_ns + SERVER_FIRST_GRACE_NS;

    return !conn->speculated && grace < detect_until_ns ? grace : detect_until_ns;
}

static bool open_towards_app(struct conn *conn)
{
    return conn->policy->protocol == INBOUND_DETECT && inbound_may_forward(conn) && begin_app_dial(conn) == STEP_WAIT;
}

bool server_first_begin(struct conn *conn, const struct step *path)
{
    struct worker *worker = conn->worker;

    if (conn->speculated || worker->speculating >= LIMIT_SERVER_FIRST)
        return false;
    conn->speculated = true;
    conn->resume_path = conn->walker.path;
    conn->resume_at = conn->walker.at;
    if (!(conn->direction == DIRECTION_INBOUND ? open_towards_app(conn) : outbound_open_early(conn))) {
        if (conn->forward)
            conn_forward_free(conn);
        conn->reason = REASON_NONE;
        conn->error = 0;
        return false;
    }
    worker->speculating++;
    conn->speculating = true;
    conn->walker.path = path;
    return true;
}

void server_first_end(struct conn *conn)
{
    if (!conn->speculating)
        return;
    conn->speculating = false;
    conn->worker->speculating--;
}

static void close_early(struct conn *conn)
{
    server_first_end(conn);
    conn_forward_free(conn);
}

/* Neither its greeting nor its end has come. The kernel is asked: what has come may not have been reported yet. */
static bool server_is_silent(struct io_stack *upstream)
{
    char byte;

    upstream->readable = true;
    return io_read(upstream, &byte, 1) == -EAGAIN || mutation("greeted-connection-is-pooled");
}

static bool may_be_pooled(const struct conn_forward *forward)
{
    const struct endpoint *endpoint = forward->endpoint;

    return forward->taken && (!endpoint || (endpoint->info->identity_kind == IDENTITY_NONE && !atomic_load(&endpoint->withdrawn)));
}

/* The pool that the connection's requests will ask. HTTP/2 under TLS may carry HTTP/1, which only its requests tell. */
static int pool_of(struct conn *conn, struct pool **ret_pool)
{
    bool http2 = conn->session == SESSION_HTTP2;

    if (conn->session != SESSION_HTTP1 && (!http2 || conn->tls == TLS_STATUS_ESTABLISHED))
        return -ENOENT;
    if (conn->direction == DIRECTION_INBOUND)
        return pool_of_app(conn->worker, conn->dst, http2, ret_pool);
    return pool_of_endpoint(conn->worker, conn->forward->endpoint, backend_destination(conn->backend), http2, ret_pool);
}

void server_first_settle(struct conn *conn)
{
    struct conn_forward *forward = conn->forward;
    struct pool *pool;

    if (!conn->speculating)
        return;
    if (may_be_pooled(forward) && server_is_silent(&forward->upstream) && pool_of(conn, &pool) == 0) {
        if (pool_adopt(pool, &forward->upstream) == 0)
            forward->taken = false; /* the pool counts its end */
        pool_put(pool);
    }
    close_early(conn);
}

/* Back to the step that waited for the client. The early connection waits with it for what the client's bytes are. */
static enum step_result go_back(struct conn *conn)
{
    if (conn->forward && !may_be_pooled(conn->forward))
        close_early(conn);
    conn->walker.path = conn->resume_path;
    conn->walker.at = conn->resume_at;
    return STEP_AGAIN;
}

static enum step_result go_on(struct conn *conn)
{
    server_first_end(conn);
    timer_cancel(&conn->deadline);
    conn->session = SESSION_OPAQUE;
    if (conn->tls == TLS_STATUS_UNKNOWN) {
        conn->tls = TLS_STATUS_NO_TLS;
        conn->no_tls = ip_is_loopback(conn->peer.ip) ? NO_TLS_LOOPBACK : NO_TLS_FROM_REMOTE;
    }
    series_detected(conn, "not_http", conn->worker->loop->now_ns - conn->since_ns);
    return STEP_NEXT;
}

/* Adds what the server has said to the forward's buffer. True when there is any, or it ended. */
static bool server_spoke(struct conn_forward *forward)
{
    struct forward_half *back = &forward->forward.back;
    size_t room;
    char *to = chain_room(&back->bytes, 1, &room);
    ssize_t n = to ? io_read(&forward->upstream, to, room) : -ENOMEM;

    if (to)
        chain_grew(&back->bytes, n > 0 ? (size_t)n : 0);
    back->eof = n == 0;
    return n != -EAGAIN && n != -ENOMEM;
}

static enum detected what_it_said(const struct conn_forward *forward)
{
    char bytes[H2_FRAME_HEADER];

    return detect_server(slice_of(bytes, chain_copy(&forward->forward.back.bytes, bytes, sizeof(bytes))));
}

static void upstream_ready(struct io_stack *stack)
{
    conn_wake(stack->owner, WHY_IO);
}

/* The dial has ended well: from here on the stack is ours to watch. */
static void take_over(struct conn *conn)
{
    struct conn_forward *forward = conn->forward;

    forward->taken = true;
    forward->upstream.on_ready = upstream_ready;
    forward->upstream.owner = conn;
    series_tcp_opened(forward->series);
    if (conn->direction == DIRECTION_INBOUND)
        app_ports_use(&conn->worker->proxy->app_ports, conn->dst.port);
    if (forward->endpoint)
        outbound_endpoint_tried(conn->worker, forward->endpoint, true, 0);
    (void)io_flush(&forward->upstream); /* the transport header does not wait for the client's first bytes */
}

enum step_result server_first(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct conn_forward *forward = conn->forward;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START)
        conn_deadline(conn, conn->detect_until_ns);
    if (forward->dial.finished && forward->dial.reason == REASON_NONE && !forward->taken)
        take_over(conn);
    r = peek_more(conn, LIMIT_HTTP_START_LINE);
    if (!chain_empty(&conn->peeked) || (r < 0 && r != -ENODATA))
        return go_back(conn);
    if (forward->dial.finished && forward->dial.reason != REASON_NONE) {
        if (forward->endpoint)
            outbound_endpoint_tried(conn->worker, forward->endpoint, false, forward->dial.error);
        return go_back(conn);
    }
    if (forward->taken && server_spoke(forward)) {
        if (what_it_said(forward) == DETECT_OPAQUE || forward->forward.back.eof || mutation("settings-are-a-greeting"))
            return go_on(conn);
        if (what_it_said(forward) == DETECT_HTTP2) { /* its client will speak, perhaps TLS that is for us */
            close_early(conn);
            return go_back(conn);
        }
    }
    if (forward->taken && (why == WHY_TIMER || r == -ENODATA))
        return go_on(conn);
    return STEP_WAIT;
}
