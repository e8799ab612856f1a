#include "proxy/request/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/pool_internal.h"
#include "proxy/series.h"

struct endpoint_key {
    struct endpoint *endpoint;
    uintptr_t http2; /* as wide as the pointer: every byte of a key counts */
};

/* After the idle time: HTTP/1 connections that idled so long, HTTP/2 ones of a pool that nobody used so long. */
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
        pool_conn_out_of_idle(oldest);
        http1_client_drain(oldest->http);
    }
    /* Requests may have come and gone since this was set. */
    if (pool->http2 && !pool->users && !pool->removed && pool->unused_ns + pool->config->pool_idle_ns > now)
        timer_set(pool->worker->loop, timer, pool->unused_ns + pool->config->pool_idle_ns);
    else
        pool_maybe_free(pool);
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

void pool_maybe_free(struct pool *pool)
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
    struct endpoint_key key = {endpoint, http2};
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

static void end_all(struct map *map)
{
    MAP_FOR_EACH (entry_link, map) {
        struct pool *pool = CONTAINER_OF(MAP_ENTRY(entry_link), struct pool, entry);
        struct list *lists[] = {&pool->idle, &pool->busy, &pool->connecting};

        assert(pool->users == 0 && list_empty(&pool->waiters));
        for (int i = 0; i < 3; i++)
            LIST_FOR_EACH (link, lists[i])
                pool_conn_drop(CONTAINER_OF(link, struct pool_conn, link));
        pool_maybe_free(pool);
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

/* What is dialled is given up, what idles is closed, what runs may end. */
static void withdraw(struct pool *pool)
{
    pool->removed = true;
    LIST_FOR_EACH (idle, &pool->idle) {
        struct pool_conn *conn = CONTAINER_OF(idle, struct pool_conn, link);

        pool_conn_out_of_idle(conn);
        http1_client_drain(conn->http);
    }
    LIST_FOR_EACH (connecting, &pool->connecting) {
        struct pool_conn *conn = CONTAINER_OF(connecting, struct pool_conn, link);

        dial_release(&conn->dial); /* it is not dialled any more */
        pool->connecting_count--;
        list_remove(&conn->link);
        list_push(&pool->busy, &conn->link);
        pool_conn_drop(conn);
    }
    pool_fail_waiters(pool, true, REASON_CONNECT_FAILED, -ESTALE);
    if (pool->http2)
        LIST_FOR_EACH (busy, &pool->busy) {
            struct pool_conn *conn = CONTAINER_OF(busy, struct pool_conn, link);

            if (conn->http && conn->http->state < HTTP_CLIENT_DRAINING)
                http2_client_drain(conn->http);
        }
}

void pools_of_endpoint_removed(struct worker *worker, struct endpoint *endpoint)
{
    for (uintptr_t http2 = 0; http2 < 2; http2++) {
        struct endpoint_key key = {endpoint, http2};
        struct map_entry *entry = map_find(&worker->endpoint_pools, slice_of(&key, sizeof(key)));

        if (entry)
            withdraw(CONTAINER_OF(entry, struct pool, entry));
    }
}
