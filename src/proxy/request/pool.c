#include "proxy/request/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "net/http1_conn.h"
#include "net/http2_conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/series.h"

enum { CONNECTING_MAX = 64 }; /* dials at once of one pool; more requests wait for these */

struct pool_conn {
    struct list link; /* in one of the pool's lists */
    struct pool *pool;
    struct io_stack io;
    struct dial dial;
    struct http_client *http; /* NULL while connecting */
    struct task disposal;
    int64_t idle_since_ns;
};

static void maybe_free(struct pool *pool);

/* --- connections --- */

static void dispose(struct task *task)
{
    struct pool_conn *conn = CONTAINER_OF(task, struct pool_conn, disposal);
    struct pool *pool = conn->pool;

    if (conn->http)
        (pool->http2 ? http2_client_free : http1_client_free)(conn->http);
    dial_release(&conn->dial);
    if (io_is_open(&conn->io)) {
        series_tcp_closed(&pool->worker->series, pool->series, conn->io.error);
        io_close(&conn->io, false);
    }
    list_remove(&conn->link);
    free(conn);
    maybe_free(pool);
}

static void drop(struct pool_conn *conn)
{
    dispose_wake(conn->pool->worker->loop, &conn->disposal);
}

static void wake_waiter(struct pool *pool)
{
    if (!list_empty(&pool->waiters))
        task_wake(pool->worker->loop, CONTAINER_OF(pool->waiters.next, struct pool_waiter, link)->task);
}

static void wake_all(struct pool *pool)
{
    LIST_FOR_EACH (link, &pool->waiters)
        task_wake(pool->worker->loop, CONTAINER_OF(link, struct pool_waiter, link)->task);
}

static void into_idle(struct pool_conn *conn)
{
    struct pool *pool = conn->pool;

    list_remove(&conn->link);
    /* Those who wait take theirs in a moment: they do not count as idle. */
    if (pool->removed || pool->idle_count >= (uint64_t)pool->config->max_idle_per_endpoint + pool->waiter_count) {
        list_push(&pool->busy, &conn->link);
        http1_client_drain(conn->http);
        return;
    }
    list_push(&pool->idle, &conn->link);
    pool->idle_count++;
    conn->idle_since_ns = pool->worker->loop->now_ns;
    if (!timer_is_set(&pool->sweep))
        timer_set(pool->worker->loop, &pool->sweep, conn->idle_since_ns + pool->config->pool_idle_ns);
    wake_waiter(pool);
}

static void out_of_idle(struct pool_conn *conn)
{
    list_remove(&conn->link);
    list_push(&conn->pool->busy, &conn->link);
    conn->pool->idle_count--;
}

static bool is_idle(const struct pool_conn *conn)
{
    return conn->idle_since_ns >= 0;
}

static void on_state(struct http_client *client)
{
    struct pool_conn *conn = client->owner;
    struct pool *pool = conn->pool;

    switch (client->state) {
    case HTTP_CLIENT_READY:
        if (pool->http2)
            wake_all(pool);
        else if (!is_idle(conn))
            into_idle(conn);
        break;
    case HTTP_CLIENT_BUSY:
        break;
    case HTTP_CLIENT_DRAINING:
    case HTTP_CLIENT_CLOSED:
        if (is_idle(conn)) {
            out_of_idle(conn);
            conn->idle_since_ns = -1;
        }
        if (client->state == HTTP_CLIENT_CLOSED)
            drop(conn);
        wake_all(pool); /* whoever counted on it asks again */
        break;
    }
}

static const struct http_client_events client_events = {.on_state = on_state};

static void http1_ready(struct io_stack *stack)
{
    http1_client_ready(((struct pool_conn *)stack->owner)->http);
}

static void http2_ready(struct io_stack *stack)
{
    http2_client_ready(((struct pool_conn *)stack->owner)->http);
}

static int begin_http(struct pool_conn *conn)
{
    struct pool *pool = conn->pool;
    const struct config *config = &pool->worker->proxy->config;
    struct http_client_limits limits = {
        .stream_window = config->h2_stream_window,
        .connection_window = config->h2_connection_window,
        .kept = &pool->worker->kept,
    };
    const struct h2_client_params *h2 = pool->info.h2;
    int r;

    if (pool->http2) {
        if (h2 && h2->has_flow_control) {
            limits.stream_window = h2->stream_window;
            limits.connection_window = h2->connection_window;
        }
        if (h2 && h2->has_keep_alive) {
            limits.ping_interval_ns = h2->keep_alive_interval_ns;
            limits.ping_timeout_ns = h2->keep_alive_timeout_ns;
            limits.ping_while_idle = h2->keep_alive_while_idle;
        }
        r = http2_client_new(&conn->io, &limits, &client_events, conn, &conn->http);
        conn->io.on_ready = http2_ready;
    } else {
        r = http1_client_new(&conn->io, &limits, &client_events, conn, &conn->http);
        conn->io.on_ready = http1_ready;
    }
    conn->io.owner = conn;
    return r;
}

/* All, or the one who waits longest. */
static void fail_waiters(struct pool *pool, bool all, enum reason reason, int error)
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

/* To those who wait, or the next who comes. */
static void offer(struct pool_conn *conn)
{
    if (conn->pool->http2)
        wake_all(conn->pool);
    else
        into_idle(conn);
    (conn->pool->http2 ? http2_client_ready : http1_client_ready)(conn->http);
}

static void dialled(struct dial *dial, bool ok)
{
    struct pool_conn *conn = CONTAINER_OF(dial, struct pool_conn, dial);
    struct pool *pool = conn->pool;

    list_remove(&conn->link);
    list_push(&pool->busy, &conn->link);
    pool->connecting_count--;
    if (pool->endpoint)
        outbound_endpoint_tried(pool->worker, pool->endpoint, ok, dial->error);
    else if (ok)
        app_ports_use(&pool->worker->proxy->app_ports, pool->info.addr.port);
    if (ok && begin_http(conn) == 0) {
        series_tcp_opened(pool->series);
        offer(conn);
        return;
    }
    /* HTTP/2: all who wait counted on this one dial. */
    fail_waiters(pool, pool->http2, ok ? REASON_OUT_OF_MEMORY : dial->reason, ok ? -ENOMEM : dial->error);
    drop(conn);
}

static struct pool_conn *conn_new(struct pool *pool)
{
    struct pool_conn *conn = calloc(1, sizeof(*conn));

    if (!conn)
        return NULL;
    conn->pool = pool;
    conn->idle_since_ns = -1;
    conn->io.fd.watch.fd = -1;
    task_init(&conn->disposal, dispose);
    return conn;
}

static int connect_one(struct pool *pool)
{
    struct pool_conn *conn = conn_new(pool);
    struct dial_options options = {
        .endpoint = &pool->info,
        .plaintext = pool->plaintext,
        .session = pool->http2 ? DIAL_HTTP2 : DIAL_HTTP1,
        .timeout_ns = pool->config->connect_timeout_ns,
        .use = DESCRIPTOR_DIAL,
        .socket = pool->config->connect_options,
        .tls = pool->worker->tls,
    };
    int r;

    if (!conn)
        return -ENOMEM;
    series_tcp_counts(pool->series, &options);
    r = dial_start(&conn->dial, pool->worker->loop, &conn->io, &options, dialled);
    if (r < 0) {
        fail_waiters(pool, pool->http2, conn->dial.reason, r);
        free(conn);
        return r;
    }
    list_push(&pool->connecting, &conn->link);
    pool->connecting_count++;
    return 0;
}

/* The same socket in a stack of ours: 0, or a negative errno and the socket is closed. */
static int move_socket(struct pool_conn *conn, struct io_stack *from)
{
    struct loop *loop = conn->pool->worker->loop;
    int fd = io_take_fd(from);
    int r;

    if (fd < 0)
        return fd;
    r = io_open(&conn->io, loop, fd, http1_ready);
    if (r < 0) {
        loop->sys->ops->close(loop->sys, fd, true);
        return r;
    }
    conn->io.count_read = from->count_read;
    conn->io.count_written = from->count_written;
    conn->io.writable = true; /* nothing was written: there is room */
    r = begin_http(conn);
    if (r < 0)
        io_close(&conn->io, true);
    return r;
}

int pool_adopt(struct pool *pool, struct io_stack *from)
{
    struct pool_conn *conn;
    int r;

    if (pool->removed)
        return -ESTALE;
    if (pool->http2 && (!list_empty(&pool->busy) || !list_empty(&pool->connecting)))
        return -EALREADY;
    conn = conn_new(pool);
    if (!conn)
        return -ENOMEM;
    r = move_socket(conn, from);
    if (r < 0) {
        free(conn);
        return r;
    }
    if (!pool->http2)
        http1_client_has_idled(conn->http);
    list_push(&pool->busy, &conn->link);
    offer(conn);
    return 0;
}

/* --- pools --- */

static void sweep(struct timer *timer)
{
    struct pool *pool = CONTAINER_OF(timer, struct pool, sweep);
    int64_t now = pool->worker->loop->now_ns;

    while (!list_empty(&pool->idle)) {
        struct pool_conn *oldest = CONTAINER_OF(pool->idle.next, struct pool_conn, link);

        if (oldest->idle_since_ns + pool->config->pool_idle_ns > now) {
            timer_set(pool->worker->loop, timer, oldest->idle_since_ns + pool->config->pool_idle_ns);
            return;
        }
        out_of_idle(oldest);
        oldest->idle_since_ns = -1;
        http1_client_drain(oldest->http);
    }
    /* Requests may have come and gone since this was set. */
    if (pool->http2 && !pool->users && !pool->removed && pool->unused_ns + pool->config->pool_idle_ns > now)
        timer_set(pool->worker->loop, timer, pool->unused_ns + pool->config->pool_idle_ns);
    else
        maybe_free(pool);
}

static void free_pool(struct pool *pool)
{
    struct worker *worker = pool->worker;

    map_remove(pool->map, &pool->entry);
    timer_release(worker->loop, &pool->sweep);
    series_tcp_put(&worker->series, pool->series);
    series_recent_drop(&pool->recent);
    endpoint_unref(pool->endpoint);
    free(pool);
}

/* When nobody holds it: HTTP/2 connections are ended, and the last connection takes the pool along. */
static void maybe_free(struct pool *pool)
{
    if (pool->users)
        return;
    if (pool->http2)
        LIST_FOR_EACH (link, &pool->busy) {
            struct pool_conn *conn = CONTAINER_OF(link, struct pool_conn, link);

            if (conn->http && conn->http->state == HTTP_CLIENT_READY)
                http2_client_drain(conn->http);
        }
    if (list_empty(&pool->idle) && list_empty(&pool->busy) && list_empty(&pool->connecting))
        free_pool(pool);
}

static int find_or_make(struct worker *worker, struct map *map, struct slice key, struct pool **ret_pool)
{
    struct map_entry *entry = map_find(map, key);
    struct pool *pool;

    if (entry) {
        *ret_pool = CONTAINER_OF(entry, struct pool, entry);
        return 0;
    }
    pool = calloc(1, sizeof(*pool));
    if (!pool)
        return -ENOMEM;
    assert(key.len <= sizeof(pool->key));
    memcpy(pool->key, key.ptr, key.len);
    pool->map = map;
    pool->worker = worker;
    list_init(&pool->idle);
    list_init(&pool->busy);
    list_init(&pool->connecting);
    list_init(&pool->waiters);
    if (timer_init(worker->loop, &pool->sweep, sweep) < 0) {
        free(pool);
        return -ENOMEM;
    }
    if (map_add(map, &pool->entry, slice_of(pool->key, key.len)) < 0) {
        timer_release(worker->loop, &pool->sweep);
        free(pool);
        return -ENOMEM;
    }
    *ret_pool = pool;
    return 1;
}

int pool_of_endpoint(struct worker *worker, struct endpoint *endpoint, struct slice destination, bool http2,
                     struct pool **ret_pool)
{
    struct {
        struct endpoint *endpoint;
        uintptr_t http2;
    } key = {endpoint, http2};
    int r = find_or_make(worker, &worker->endpoint_pools, slice_of(&key, sizeof(key)), ret_pool);

    if (r < 0)
        return r;
    if (r == 1) {
        (*ret_pool)->endpoint = endpoint_ref(endpoint);
        (*ret_pool)->info = *endpoint->info;
        (*ret_pool)->config = &worker->proxy->config.outbound;
        (*ret_pool)->http2 = http2;
        (*ret_pool)->series = series_tcp_endpoint(&worker->series, endpoint->info, destination);
    }
    (*ret_pool)->users++;
    return 0;
}

int pool_of_app(struct worker *worker, struct addr addr, bool http2, struct pool **ret_pool)
{
    struct {
        uint8_t ip[16], version, http2;
        uint16_t port;
    } key = {.version = addr.ip.version, .http2 = http2, .port = addr.port};
    int r;

    memcpy(key.ip, addr.ip.bytes, sizeof(key.ip));
    r = find_or_make(worker, &worker->app_pools, slice_of(&key, sizeof(key)), ret_pool);
    if (r < 0)
        return r;
    if (r == 1) {
        (*ret_pool)->info = (struct endpoint_info){.addr = addr};
        (*ret_pool)->config = &worker->proxy->config.inbound;
        (*ret_pool)->http2 = http2;
        (*ret_pool)->plaintext = true;
        (*ret_pool)->series = series_tcp_app(&worker->series, addr);
    }
    (*ret_pool)->users++;
    return 0;
}

void pool_put(struct pool *pool)
{
    if (!pool)
        return;
    assert(pool->users > 0);
    pool->users--;
    if (pool->users)
        return;
    /* HTTP/2 connections outlive a pause between requests: the sweep looks again after the idle time. */
    pool->unused_ns = pool->worker->loop->now_ns;
    if (!timer_is_set(&pool->sweep))
        timer_set(pool->worker->loop, &pool->sweep, pool->unused_ns + pool->config->pool_idle_ns);
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

        out_of_idle(conn);
        conn->idle_since_ns = -1;
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
        wake_waiter(pool);
}

int pool_open(struct pool *pool, struct pool_waiter *waiter, struct task *task, struct arena *arena,
              const struct http_stream_events *events, void *owner, struct http_stream **ret_stream)
{
    unsigned wanted;
    int r;

    if (waiter->reason != REASON_NONE) {
        stop_waiting(pool, waiter);
        wake_waiter(pool); /* a dial has ended: the next sees to it that there are enough */
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
        if (connect_one(pool) < 0)
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
    wake_waiter(pool);
}

static void end_all(struct map *map)
{
    MAP_FOR_EACH (entry_link, map) {
        struct pool *pool = CONTAINER_OF(MAP_ENTRY(entry_link), struct pool, entry);
        struct list *lists[] = {&pool->idle, &pool->busy, &pool->connecting};

        assert(pool->users == 0 && list_empty(&pool->waiters));
        for (int i = 0; i < 3; i++)
            LIST_FOR_EACH (link, lists[i])
                drop(CONTAINER_OF(link, struct pool_conn, link));
        maybe_free(pool);
    }
}

void pools_release(struct worker *worker)
{
    end_all(&worker->app_pools);
    end_all(&worker->endpoint_pools);
    loop_turn(worker->loop, 0); /* disposals */
    map_release(&worker->app_pools);
    map_release(&worker->endpoint_pools);
}

void pools_of_endpoint_removed(struct worker *worker, struct endpoint *endpoint)
{
    for (uintptr_t http2 = 0; http2 < 2; http2++) {
        struct {
            struct endpoint *endpoint;
            uintptr_t http2;
        } key = {endpoint, http2};
        struct map_entry *entry = map_find(&worker->endpoint_pools, slice_of(&key, sizeof(key)));
        struct pool *pool;

        if (!entry)
            continue;
        pool = CONTAINER_OF(entry, struct pool, entry);
        pool->removed = true;
        LIST_FOR_EACH (idle, &pool->idle) {
            struct pool_conn *conn = CONTAINER_OF(idle, struct pool_conn, link);

            out_of_idle(conn);
            conn->idle_since_ns = -1;
            http1_client_drain(conn->http);
        }
        LIST_FOR_EACH (connecting, &pool->connecting) {
            struct pool_conn *conn = CONTAINER_OF(connecting, struct pool_conn, link);

            dial_release(&conn->dial); /* it is not dialled any more */
            pool->connecting_count--;
            list_remove(&conn->link);
            list_push(&pool->busy, &conn->link);
            drop(conn);
        }
        fail_waiters(pool, true, REASON_CONNECT_FAILED, -ESTALE);
        if (pool->http2)
            LIST_FOR_EACH (busy, &pool->busy) {
                struct pool_conn *conn = CONTAINER_OF(busy, struct pool_conn, link);

                if (conn->http && conn->http->state < HTTP_CLIENT_DRAINING)
                    http2_client_drain(conn->http);
            }
    }
}
