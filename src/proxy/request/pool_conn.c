#include <errno.h>
#include <stdlib.h>

#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/pool_internal.h"
#include "proxy/series.h"

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
    pool_maybe_free(pool);
}

void pool_conn_drop(struct pool_conn *conn)
{
    dispose_wake(conn->pool->worker->loop, &conn->disposal);
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
    pool_wake_waiter(pool);
}

void pool_conn_out_of_idle(struct pool_conn *conn)
{
    list_remove(&conn->link);
    list_push(&conn->pool->busy, &conn->link);
    conn->pool->idle_count--;
    conn->idle_since_ns = -1;
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
            pool_wake_all(pool);
        else if (!is_idle(conn))
            into_idle(conn);
        break;
    case HTTP_CLIENT_BUSY:
        break;
    case HTTP_CLIENT_DRAINING:
    case HTTP_CLIENT_CLOSED:
        if (is_idle(conn))
            pool_conn_out_of_idle(conn);
        if (client->state == HTTP_CLIENT_CLOSED)
            pool_conn_drop(conn);
        pool_wake_all(pool); /* whoever counted on it asks again */
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

/* To those who wait, or the next who comes. */
static void offer(struct pool_conn *conn)
{
    if (conn->pool->http2)
        pool_wake_all(conn->pool);
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
    pool_fail_waiters(pool, pool->http2, ok ? REASON_OUT_OF_MEMORY : dial->reason, ok ? -ENOMEM : dial->error);
    pool_conn_drop(conn);
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

int pool_connect_one(struct pool *pool)
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
        pool_fail_waiters(pool, pool->http2, conn->dial.reason, r);
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
