#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/http/http1_internal.h"

enum { MORE_FIELDS = 12 }; /* that the owner may append to a response before it passes it on */

static struct http1_conn *conn_of(struct http_client *client)
{
    return CONTAINER_OF(client, struct http1_conn, client);
}

/* --- requests --- */

/* With these a body is expected, so that none has to be said (RFC 9110 section 8.6). */
static bool method_expects_body(struct slice method)
{
    return slice_eq(method, SLICE_LIT("POST")) || slice_eq(method, SLICE_LIT("PUT")) ||
           slice_eq(method, SLICE_LIT("PATCH"));
}

static void frame(struct http1_conn *conn, const struct http_head *head, bool end, struct http1_framing *framing)
{
    const struct http_field *length = http_find(head, HTTP_TOKEN_CONTENT_LENGTH);

    framing->te_trailers = http_find(head, HTTP_TOKEN_TE) != NULL;
    if (slice_eq(head->method, SLICE_LIT("CONNECT"))) {
        conn->asked = HTTP1_ASKED_CONNECT;
        framing->body = HTTP1_BODY_NONE;
        conn->tx = end ? HTTP1_TX_DONE : HTTP1_TX_WAIT;
    } else if (end) {
        framing->body = method_expects_body(head->method) ? HTTP1_BODY_LENGTH : HTTP1_BODY_NONE;
        conn->tx = HTTP1_TX_DONE;
    } else if (length && slice_u64(length->value, INT64_MAX, &framing->length) == 0) {
        framing->body = HTTP1_BODY_LENGTH;
        conn->tx_left = framing->length;
        conn->tx = HTTP1_TX_LENGTH;
    } else if (http_find(head, HTTP_TOKEN_UPGRADE)) {
        conn->asked |= HTTP1_ASKED_UPGRADE;
        framing->upgrade = true;
        framing->body = HTTP1_BODY_NONE;
        conn->tx = HTTP1_TX_WAIT;
    } else {
        framing->body = HTTP1_BODY_CHUNKED;
        conn->tx = HTTP1_TX_CHUNKED;
    }
}

int http1_client_send_head(struct http1_conn *conn, const struct http_head *given, bool end)
{
    struct http_head head = *given;
    struct http1_framing framing = {.keep_alive = true};
    int r;

    if (conn->write_broken)
        return -EPIPE;
    head.version = HTTP_1_1; /* a proxy speaks its own version (RFC 9110 section 2.5) */
    if (slice_eq(head.method, SLICE_LIT("HEAD")))
        conn->asked |= HTTP1_ASKED_HEAD;
    frame(conn, given, end, &framing);
    r = http1_write_request(&conn->out, &head, &framing);
    if (r < 0)
        conn->tx = HTTP1_TX_HEAD;
    return r;
}

/* --- responses --- */

/* What a tunnel, or its refusal, means for the direction that waited. */
static void answer_tunnel(struct http1_conn *conn, const struct http1_framing *framing)
{
    bool tunnel = framing->body == HTTP1_BODY_TUNNEL;

    if (tunnel)
        conn->close_after = true;
    if (conn->tx != HTTP1_TX_WAIT)
        return;
    conn->tx = tunnel ? HTTP1_TX_TUNNEL : HTTP1_TX_NONE;
    if (conn->blocked)
        http1_wake_flush(conn); /* tells on_writable */
}

static void take_head(struct http1_conn *conn, struct slice bytes, struct http_head *head,
                      const struct http1_framing *framing)
{
    bool end;

    if (http1_keep_head(conn->arena, bytes, head, MORE_FIELDS) < 0) {
        http1_end(conn, (struct http_reset){HTTP_ERROR_MEMORY, 0, "no memory for a head"});
        return;
    }
    http1_input_drop(conn, bytes.len);
    http1_strip_hop(head, framing->upgrade);
    if (framing->interim) {
        if (++conn->interims > LIMIT_HTTP_INTERIM)
            http1_end(conn, (struct http_reset){HTTP_ERROR_PROTOCOL, 0, "too many interim responses"});
        else if (!conn->over && conn->stream.events->on_interim)
            conn->stream.events->on_interim(&conn->stream, head);
        return;
    }
    if (!framing->keep_alive)
        conn->close_after = true;
    end = http1_begin_body(conn, framing);
    answer_tunnel(conn, framing);
    if (!conn->over)
        conn->stream.events->on_head(&conn->stream, head, end);
}

/*
 * The connection ended before an answer. One that had been used before, and gave not a byte, was closed by the
 * server while it was idle, as far as we can know.
 */
static void end_without_answer(struct http1_conn *conn)
{
    struct http_reset why = http1_reason_of_eof(conn);

    if (conn->used && !conn->answered)
        http1_tell_reset(conn, (struct http_reset){HTTP_ERROR_REFUSED, why.code, "closed while the request was on its way"});
    http1_end(conn, why);
}

static bool receive_head(struct http1_conn *conn)
{
    struct http_field fields[LIMIT_HTTP_FIELDS];
    struct http_head head = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
    struct http1_framing framing;
    struct slice in = http1_input(conn);
    ssize_t n;

    if (in.len == 0) {
        if (conn->eof)
            end_without_answer(conn);
        return false;
    }
    conn->answered = true;
    n = http1_parse_response(in, conn->asked, &conn->scan, &head, &framing);
    if (n == 0) {
        if (conn->eof)
            end_without_answer(conn);
        return false;
    }
    if (n < 0)
        http1_end(conn, (struct http_reset){HTTP_ERROR_PROTOCOL, 0, conn->scan.refusal});
    else
        take_head(conn, slice_take(in, (size_t)n), &head, &framing);
    return true;
}

/* Between requests nothing may come but the end. */
static bool idle(struct http1_conn *conn)
{
    if (http1_input(conn).len)
        http1_end(conn, (struct http_reset){HTTP_ERROR_PROTOCOL, 0, "bytes that were not asked for"});
    else if (conn->eof)
        http1_end(conn, http1_reason_of_eof(conn));
    else if (conn->drain || conn->write_broken)
        http1_end(conn, (struct http_reset){HTTP_ERROR_NONE, 0, NULL});
    return false;
}

static bool next_request(struct http1_conn *conn)
{
    if (!http1_exchange_is_over(conn))
        return false;
    if (conn->close_after || conn->drain || conn->write_broken || conn->shut_after) {
        http1_end(conn, (struct http_reset){HTTP_ERROR_NONE, 0, NULL});
        return false;
    }
    conn->used = true;
    conn->rx = HTTP1_RX_HEAD;
    conn->tx = HTTP1_TX_HEAD;
    conn->client.idle_since_ns = conn->loop->now_ns;
    return true;
}

static bool process(struct http1_conn *conn)
{
    if (conn->abort) {
        http1_end(conn, (struct http_reset){HTTP_ERROR_RESET, 0, "reset by the owner"});
        return false;
    }
    switch (conn->rx) {
    case HTTP1_RX_HEAD: return conn->active ? receive_head(conn) : idle(conn);
    case HTTP1_RX_DONE: return next_request(conn);
    default: return http1_receive_body(conn);
    }
}

/* --- the connection --- */

static enum http_client_state state_now(const struct http1_conn *conn)
{
    if (conn->state == HTTP1_TOLD)
        return HTTP_CLIENT_CLOSED;
    if (conn->state != HTTP1_OPEN || conn->drain || conn->eof || conn->write_broken || conn->abort ||
        conn->close_after)
        return HTTP_CLIENT_DRAINING;
    return conn->active || conn->rx != HTTP1_RX_HEAD ? HTTP_CLIENT_BUSY : HTTP_CLIENT_READY;
}

/* The last thing of a run: the owner may dispose of the connection when told that it is closed. */
void http1_client_tell_state(struct http1_conn *conn)
{
    conn->client.state = state_now(conn);
    conn->client.why = conn->why;
    if (conn->told_state == conn->client.state)
        return;
    conn->told_state = conn->client.state;
    conn->client.events->on_state(&conn->client);
}

int http1_client_new(struct io_stack *stack, const struct http_client_limits *limits,
                     const struct http_client_events *events, void *owner, struct http_client **ret_client)
{
    struct http1_conn *conn = calloc(1, sizeof(*conn));
    int r;

    if (!conn)
        return -ENOMEM;
    conn->client = (struct http_client){.events = events, .owner = owner, .state = HTTP_CLIENT_READY,
                                        .idle_since_ns = stack->loop->now_ns};
    conn->told_state = HTTP_CLIENT_READY;
    r = http1_conn_init(conn, stack, false, process);
    if (r < 0) {
        free(conn);
        return r;
    }
    *ret_client = &conn->client;
    return 0;
}

void http1_client_ready(struct http_client *client)
{
    struct http1_conn *conn = conn_of(client);

    task_wake(conn->loop, &conn->run);
}

int http1_client_open(struct http_client *client, struct arena *arena, const struct http_stream_events *events,
                      void *owner, struct http_stream **ret_stream)
{
    struct http1_conn *conn = conn_of(client);
    enum http_client_state state = state_now(conn);

    if (state != HTTP_CLIENT_READY)
        return state == HTTP_CLIENT_BUSY ? -EAGAIN : -EPIPE;
    http1_begin_exchange(conn);
    conn->tx = HTTP1_TX_HEAD;
    conn->arena = arena;
    conn->stream.events = events;
    conn->stream.owner = owner;
    client->streams = 1;
    client->state = HTTP_CLIENT_BUSY;
    conn->told_state = HTTP_CLIENT_BUSY; /* the caller knows; told is what it does not */
    *ret_stream = &conn->stream;
    return 0;
}

void http1_client_has_idled(struct http_client *client)
{
    conn_of(client)->used = true;
}

void http1_client_drain(struct http_client *client)
{
    struct http1_conn *conn = conn_of(client);

    conn->drain = true;
    client->state = state_now(conn);
    task_wake(conn->loop, &conn->run);
}

void http1_client_free(struct http_client *client)
{
    struct http1_conn *conn;

    if (!client)
        return;
    conn = conn_of(client);
    http1_conn_release(conn);
    free(conn);
}
