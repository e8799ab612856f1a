#include <errno.h>

#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"
#include "proxy/request/pool_internal.h"

enum { CONNECTING_MAX = 64 }; /* dials at once of one pool; more requests wait for these */

void pool_wake_waiter(struct pool *pool)
{
    if (!list_empty(&pool->waiters))
        task_wake(pool->worker->loop, CONTAINER_OF(pool->waiters.next, struct pool_waiter, link)->task);
}

void pool_wake_all(struct pool *pool)
{
    LIST_FOR_EACH (link, &pool->waiters)
        task_wake(pool->worker->loop, CONTAINER_OF(link, struct pool_waiter, link)->task);
}

void pool_fail_waiters(struct pool *pool, bool all, enum reason reason, int error)
{
    LIST_FOR_EACH (link, &pool->waiters) {
        struct pool_waiter *waiter = CONTAINER_OF(link, struct pool_waiter, link);

        if (waiter->reason != REASON_NONE)
            continue;
        waiter->reason = reason;
        waiter->error = error;
        task_wake(pool->worker->loop, waiter->task);
        if (!all)
            return;
    }
}

void pool_waiter_init(struct pool_waiter *waiter)
{
    list_init(&waiter->link);
    waiter->reason = REASON_NONE;
    waiter->error = 0;
}

static void stop_waiting(struct pool *pool, struct pool_waiter *waiter)
{
    if (list_empty(&waiter->link))
        return;
    list_remove(&waiter->link);
    pool->waiter_count--;
}

static int open_http1(struct pool *pool, struct arena *arena, const struct http_stream_events *events, void *owner,
                      struct http_stream **ret_stream)
{
    while (!list_empty(&pool->idle)) {
        struct pool_conn *conn = CONTAINER_OF(pool->idle.prev, struct pool_conn, link);
        int r;

        pool_conn_out_of_idle(conn);
        r = http1_client_open(conn->http, arena, events, owner, ret_stream);
        if (r == 0 || r == -ENOMEM)
            return r;
    }
    return -EAGAIN;
}

static int open_http2(struct pool *pool, struct arena *arena, const struct http_stream_events *events, void *owner,
                      struct http_stream **ret_stream)
{
    LIST_FOR_EACH (link, &pool->busy) {
        struct pool_conn *conn = CONTAINER_OF(link, struct pool_conn, link);
        int r;

        if (!conn->http || conn->http->state != HTTP_CLIENT_READY)
            continue;
        r = http2_client_open(conn->http, arena, events, owner, ret_stream);
        if (r == 0 || r == -ENOMEM)
            return r;
    }
    return -EAGAIN;
}

/*
 * One was served. Perhaps more became idle before the first of those who wait ran; or who has just come has taken what was dialled
 * for one of them, and nobody dials for him.
 */
static void look_after_waiters(struct pool *pool)
{
    if (!list_empty(&pool->idle) || (!pool->http2 && pool->waiter_count > pool->connecting_count))
        pool_wake_waiter(pool);
}

int pool_open(struct pool *pool, struct pool_waiter *waiter, struct task *task, struct arena *arena,
              const struct http_stream_events *events, void *owner, struct http_stream **ret_stream)
{
    unsigned wanted;
    int r;

    if (waiter->reason != REASON_NONE) {
        stop_waiting(pool, waiter);
        pool_wake_waiter(pool); /* a dial has ended: the next sees to it that there are enough */
        return waiter->error;
    }
    r = (pool->http2 ? open_http2 : open_http1)(pool, arena, events, owner, ret_stream);
    if (r != -EAGAIN) {
        stop_waiting(pool, waiter);
        look_after_waiters(pool);
        return r;
    }
    if (pool->removed) {
        stop_waiting(pool, waiter);
        waiter->reason = REASON_CONNECT_FAILED;
        return waiter->error = -ESTALE;
    }
    if (list_empty(&waiter->link)) {
        if (!pool->endpoint && pool->waiter_count >= pool->config->http_queue) {
            waiter->reason = REASON_QUEUE_FULL;
            return waiter->error = -EBUSY;
        }
        waiter->task = task;
        list_push(&pool->waiters, &waiter->link);
        pool->waiter_count++;
    }
    wanted = pool->http2 ? 1 : pool->waiter_count;
    while (pool->connecting_count < wanted && pool->connecting_count < CONNECTING_MAX && waiter->reason == REASON_NONE)
        if (pool_connect_one(pool) < 0)
            break;
    if (waiter->reason != REASON_NONE) {
        stop_waiting(pool, waiter);
        return waiter->error;
    }
    return -EAGAIN;
}

/* What it was woken for, an idle connection or a dial that failed, is the next one's business now. */
void pool_cancel(struct pool *pool, struct pool_waiter *waiter)
{
    if (list_empty(&waiter->link))
        return;
    stop_waiting(pool, waiter);
    pool_wake_waiter(pool);
}
