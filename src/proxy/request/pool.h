/*
 * The HTTP connections of one worker to one endpoint, or to the application: one
 * HTTP/2 connection as long as its streams suffice, HTTP/1 connections as many
 * as requests run at once, the most recently used idle one first.
 *
 *     r = pool_open(pool, &waiter, task, arena, events, owner, &stream)
 *     0        a stream, for one request
 *     -EAGAIN  one is on its way: `task` is woken, then call again; pool_cancel() when no longer wanted
 *     other    it failed; waiter.reason and waiter.error say how (a dial that failed fails those that waited for it)
 *
 * A pool exists while somebody holds it (pool_get, pool_put) or it has connections;
 * idle HTTP/1 connections are closed after the idle time of their direction, idle
 * HTTP/2 ones with them when nobody holds the pool any more.
 */
#pragma once

#include "base/map.h"
#include "mesh/endpoint.h"
#include "mesh/reason.h"
#include "net/http/http_stream.h"
#include "proxy/dial.h"
#include "proxy/worker.h"

struct endpoint;

struct pool {
    struct map_entry entry;
    struct map *map;
    char key[24]; /* of the map; see pool_of_endpoint() and pool_of_app() */
    struct worker *worker;
    const struct direction_config *config;
    struct endpoint *endpoint;   /* a reference; NULL towards the application */
    struct endpoint_info info;   /* its slices live as long as `endpoint`, or are empty */
    bool plaintext, http2;
    unsigned users;
    int64_t unused_ns;      /* since when nobody uses it */
    struct list idle;       /* struct pool_conn, HTTP/1, ready; the most recently used last */
    struct list busy;       /* running requests; every HTTP/2 connection stands here */
    struct list connecting;
    struct list waiters;
    unsigned idle_count, connecting_count, waiter_count;
    struct timer sweep;
    struct transport_series *series;
    struct series_recent recent;
    bool removed;           /* the endpoint is withdrawn: no new connections, what runs may end */
};

struct pool_waiter {
    struct list link;
    struct task *task;
    enum reason reason; /* REASON_NONE while waiting */
    int error;
};

/* Finds or makes the pool of an endpoint of this service ("": of none); takes a reference to it. 0 or -ENOMEM. */
int pool_of_endpoint(struct worker *worker, struct endpoint *endpoint, struct slice destination, bool http2,
                     struct pool **ret_pool);
/* The same towards the application at this address. */
int pool_of_app(struct worker *worker, struct addr addr, bool http2, struct pool **ret_pool);
void pool_put(struct pool *pool); /* NULL is allowed */

void pool_waiter_init(struct pool_waiter *waiter);
int pool_open(struct pool *pool, struct pool_waiter *waiter, struct task *task, struct arena *arena,
              const struct http_stream_events *events, void *owner, struct http_stream **ret_stream);
void pool_cancel(struct pool *pool, struct pool_waiter *waiter);
/*
 * Takes over a connection in plaintext that somebody opened to the pool's endpoint or application, on which nothing was sent or
 * received, and which is counted already among those opened: it serves the next request. 0; -EALREADY (HTTP/2: there is
 * one), -ESTALE (no new connections), -EBUSY (`from` has filters) or -ENOMEM: `from` is to be closed by the caller.
 */
int pool_adopt(struct pool *pool, struct io_stack *from);

/* Ends all connections of the worker's pools; no requests may be left. */
void pools_release(struct worker *worker);
/* The endpoint is withdrawn, or the certificates changed: connections are used up and not made anew. */
void pools_of_endpoint_removed(struct worker *worker, struct endpoint *endpoint);
