/*
 * One worker: a thread with its loop, listeners, connections, and its own view of
 * what is watched. Nothing here is shared with other threads but what
 * `struct proxy` says.
 */
#pragma once

#include "base/list.h"
#include "event/acceptor.h"
#include "event/thread.h"
#include "mesh/direction.h"
#include "mesh/metrics.h"
#include "net/http/http2_kept.h"
#include "net/http/http_stream.h"
#include "proxy/listeners.h"
#include "proxy/proxy.h"
#include "proxy/series.h"
#include "proxy/watch/lookup.h"

struct regex_scratch;
struct tls_context;
struct worker;

struct listener {
    struct acceptor acceptor;
    struct worker *worker;
    enum direction direction;
    struct addr addr;
};

struct worker {
    struct thread thread;
    struct proxy *proxy;
    unsigned id;
    struct loop *loop; /* of the thread; the control thread's in the simulator */

    struct listener listeners[LISTENINGS_MAX];
    unsigned listener_count;

    struct list conns;      /* struct conn */
    unsigned conn_count;
    _Atomic(unsigned) open; /* conn_count, for the control thread */
    _Atomic(bool) accepting; /* listener_count > 0, likewise */
    unsigned speculating; /* early connections that wait for the server to speak: server_first.h */
    struct lookup_table ports, targets, endpoints;
    struct map app_pools;   /* pools towards the application, by address and protocol */
    struct map endpoint_pools; /* struct pool by endpoint */
    struct list request_free;
    unsigned request_free_count;

    struct regex_scratch *regex;
    struct tls_context *tls; /* of the newest credentials; NULL before the first */
    struct cell_reader credentials;
    struct task credentials_changed;

    struct metric_shard *shard;
    struct series series;

    struct waker drain_waker;
    struct task drain_task;
    enum drain_state draining;

    struct http_server_limits http_limits[2]; /* by direction */
    struct http2_kept kept; /* of bodies, on all connections of the worker */
};

/* Watches the listeners for traffic, which stay the caller's. 0 or a negative errno; then nothing is left of it. */
int worker_start(struct worker *worker, struct proxy *proxy, unsigned id, const struct listeners *listeners);
/* From the control thread: looks at proxy->drain and proxy->handed_over. Not after DRAIN_NOW was told. */
void worker_wake_drain(struct worker *worker);
/* Waits until it has ended (DRAIN_NOW was told) and releases it. */
void worker_join(struct worker *worker);
