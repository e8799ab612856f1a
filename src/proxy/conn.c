#include "proxy/conn.h"

#include <errno.h>
#include <stdlib.h>

#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"
#include "proxy/inbound/inbound.h"
#include "proxy/logline.h"
#include "proxy/outbound/outbound.h"
#include "proxy/server_first.h"

static void dispose(struct task *task);
static void run(struct task *task);

void conn_wake(struct conn *conn, enum why why)
{
    conn->woken |= 1u << why;
    task_wake(conn->worker->loop, &conn->task);
}

static void ready(struct io_stack *stack)
{
    conn_wake(stack->owner, WHY_IO);
}

static void deadline_passed(struct timer *timer)
{
    conn_wake(CONTAINER_OF(timer, struct conn, deadline), WHY_TIMER);
}

/* News come as the waiter's task; it is the same task, so what woke it is told by exclusion. */
static enum why why_woken(struct conn *conn)
{
    unsigned woken = conn->woken;

    conn->woken = 0;
    if (woken & 1u << WHY_TIMER && !timer_is_set(&conn->deadline))
        return WHY_TIMER;
    if (woken & 1u << WHY_IO)
        return WHY_IO;
    return WHY_WATCH;
}

static void run(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, task);

    walk(&conn->walker, why_woken(conn));
}

void conn_deadline(struct conn *conn, int64_t at_ns)
{
    timer_set(conn->worker->loop, &conn->deadline, at_ns);
}

enum step_result conn_fail(struct conn *conn, enum reason reason, int error)
{
    conn->reason = reason;
    conn->error = error;
    return STEP_FAIL;
}

static void finished(struct walker *walker, bool failed)
{
    struct conn *conn = conn_of(walker);

    timer_cancel(&conn->deadline);
    outbound_leave_queue(conn);
    dispose_wake(conn->worker->loop, &conn->disposal);
}

void conn_accept(struct worker *worker, enum direction direction, int fd, struct addr peer)
{
    const struct direction_config *config =
        direction == DIRECTION_INBOUND ? &worker->proxy->config.inbound : &worker->proxy->config.outbound;
    struct conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        goto refuse;
    conn->worker = worker;
    conn->direction = direction;
    conn->peer = peer;
    conn->since_ns = worker->loop->now_ns;
    list_init(&conn->waiter.link);
    list_init(&conn->requests);
    chain_init(&conn->peeked, &worker->loop->pages);
    task_init(&conn->task, run);
    task_init(&conn->disposal, dispose);
    if (timer_init(worker->loop, &conn->deadline, deadline_passed) < 0)
        goto free_it;
    if (io_open(&conn->io, worker->loop, fd, ready) < 0)
        goto release_timer;
    conn->io.owner = conn;
    conn->io.count_read = &conn->early[0];
    conn->io.count_written = &conn->early[1];
    if (config->accept_options.keepalive_ns || config->accept_options.user_timeout_ns)
        (void)worker->proxy->sys->ops->set_options(worker->proxy->sys, fd, &config->accept_options);
    list_push(&worker->conns, &conn->link);
    atomic_store_explicit(&worker->open, ++worker->conn_count, memory_order_relaxed);
    walker_init(&conn->walker, direction == DIRECTION_INBOUND ? inbound_path : outbound_path, finished);
    /* Bytes are often there already: look at once instead of waiting for an event. */
    conn->io.readable = conn->io.writable = true;
    task_wake(worker->loop, &conn->task);
    return;

release_timer:
    timer_release(worker->loop, &conn->deadline);
free_it:
    free(conn);
refuse:
    worker->proxy->sys->ops->close(worker->proxy->sys, fd, true);
}

/* At the end of the turn: the only place where a connection is freed. */
static void dispose(struct task *task)
{
    struct conn *conn = CONTAINER_OF(task, struct conn, disposal);
    struct worker *worker = conn->worker;

    task_cancel(&conn->task);
    log_conn_end(conn);
    if (conn->http)
        (conn->http->http2 ? http2_server_free : http1_server_free)(conn->http);
    server_first_end(conn);
    if (conn->forward)
        conn_forward_free(conn);
    series_conn_closed(conn);
    series_recent_drop(&conn->recent);
    chain_clear(&conn->peeked);
    io_close(&conn->io, conn->reason != REASON_NONE || conn->cut_off);
    tls_context_unref(conn->tls_context);
    inbound_policy_unref((struct inbound_policy *)(uintptr_t)conn->policy);
    outbound_view_unref(conn->view);
    lookup_put(conn->lookup);
    timer_release(worker->loop, &conn->deadline);
    free((char *)(uintptr_t)conn->sni.ptr);
    list_remove(&conn->link);
    atomic_store_explicit(&worker->open, --worker->conn_count, memory_order_relaxed);
    free(conn);
}

/* Nobody loses anything by the end of a connection on which nothing runs: it is closed, not reset. */
static void end_now(struct conn *conn)
{
    if (conn->walker.over)
        return;
    if (!conn->http || conn->http->streams)
        conn->reason = REASON_SHUTTING_DOWN;
    walk_cancel(&conn->walker);
}

/*
 * HTTP/2 says so at once, which loses no request. HTTP/1 can say so only with an answer: an idle connection waits for the
 * next request, since one may be on its way. When the application that would answer is gone there is nothing to wait for;
 * what the application itself has open towards others is its own to end.
 */
void conn_drain(struct conn *conn)
{
    bool app_gone = conn->worker->draining >= DRAIN_LAST && conn->direction == DIRECTION_INBOUND;

    if (conn->worker->draining == DRAIN_NOW)
        end_now(conn);
    else if (conn->http && conn->http->http2)
        http2_server_drain(conn->http);
    else if (conn->http)
        (app_gone ? http1_server_drain : http1_server_announce_end)(conn->http);
}
