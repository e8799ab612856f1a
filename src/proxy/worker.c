#include "proxy/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "mesh/regex.h"
#include "net/tls/tls.h"
#include "proxy/conn.h"
#include "proxy/logline.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/pool.h"
#include "proxy/request/request.h"

enum { WORKER_PAGES = 16 * 1024 }; /* 256 MiB of buffers for one worker, at most */

/* A peer that takes not a byte of a response for so long holds a stream, and its buffers, for nothing. */
static const int64_t STALL_NS = 300 * INT64_C(1000000000);

static void take_connection(struct acceptor *acceptor, int fd, struct addr peer)
{
    struct listener *listener = CONTAINER_OF(acceptor, struct listener, acceptor);

    conn_accept(listener->worker, listener->direction, fd, peer);
}

static void say_shortage(struct acceptor *acceptor, int error)
{
    struct worker *worker = CONTAINER_OF(acceptor, struct listener, acceptor)->worker;

    log_limited(worker->proxy->log, LOG_WARN, "accept", "no descriptors left for new connections (%s): raise the limit of open files", strerror(error));
}

static int start_listener(struct worker *worker, const struct listening *listening)
{
    enum direction direction = listening->role == LISTENER_INBOUND ? DIRECTION_INBOUND : DIRECTION_OUTBOUND;
    struct listener *listener = &worker->listeners[worker->listener_count];
    int r;

    *listener = (struct listener){.worker = worker, .direction = direction, .addr = listening->addr};
    r = acceptor_start(&listener->acceptor, worker->loop, listening->fd, DESCRIPTOR_ACCEPT, take_connection);
    if (r < 0)
        return r;
    listener->acceptor.paused = say_shortage;
    worker->listener_count++;
    return 0;
}

static void stop_listeners(struct worker *worker)
{
    for (unsigned i = 0; i < worker->listener_count; i++)
        acceptor_stop(&worker->listeners[i].acceptor);
    worker->listener_count = 0;
    atomic_store_explicit(&worker->accepting, false, memory_order_release);
}

/* A newer certificate or trust bundle: connections from now on use it. */
static void take_credentials(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, credentials_changed);
    struct tls_credentials *credentials = cell_take(&worker->credentials);
    struct tls_context *context;

    if (!credentials)
        return;
    if (tls_context_new(worker->proxy->sys, credentials, &context) == 0) {
        tls_context_unref(worker->tls);
        worker->tls = context;
    }
    tls_credentials_unref(credentials);
}

static void drain_conns(struct worker *worker)
{
    LIST_FOR_EACH (link, &worker->conns)
        conn_drain(CONTAINER_OF(link, struct conn, link));
}

static void drain(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, drain_task);
    enum drain_state state = atomic_load_explicit(&worker->proxy->drain, memory_order_acquire);

    if (state == DRAIN_NOW || atomic_load_explicit(&worker->proxy->handed_over, memory_order_acquire))
        stop_listeners(worker);
    if (state == worker->draining)
        return;
    worker->draining = state;
    drain_conns(worker);
    if (state == DRAIN_NOW)
        loop_stop(worker->loop);
}

void worker_wake_drain(struct worker *worker)
{
    waker_wake(&worker->drain_waker);
}

static void init_limits(struct worker *worker, enum direction direction, const struct direction_config *config)
{
    struct http_server_limits *limits = &worker->http_limits[direction];

    *limits = (struct http_server_limits){
        .head_timeout_ns = config->detect_timeout_ns,
        .stall_timeout_ns = STALL_NS,
        .kept = &worker->kept,
        .max_streams = config->max_streams,
        .stream_window = config->stream_window,
        .connection_window = config->connection_window,
        .max_frame = config->max_frame,
        .max_header_list = config->max_header_list,
        .max_reset_streams = config->max_reset_streams,
        .ping_interval_ns = config->ping_interval_ns,
        .ping_timeout_ns = config->ping_timeout_ns,
    };
}

static void init_tables(struct worker *worker)
{
    const struct config *config = &worker->proxy->config;
    struct directory *directory = &worker->proxy->directory;

    lookup_table_init(&worker->ports, directory, worker->loop, WATCHED_PORT, config->inbound.discovery_idle_ns);
    lookup_table_init(&worker->targets, directory, worker->loop, WATCHED_TARGET, config->outbound.discovery_idle_ns);
    lookup_table_init(&worker->endpoints, directory, worker->loop, WATCHED_ENDPOINTS,
                      config->outbound.discovery_idle_ns);
    worker->targets.owner = worker->endpoints.owner = worker;
    worker->targets.on_change = outbound_target_changed;
    worker->targets.on_forget = outbound_target_forgotten;
    worker->endpoints.on_change = outbound_endpoints_changed;
    map_init(&worker->app_pools, rng_next(&worker->loop->rng), rng_next(&worker->loop->rng));
    map_init(&worker->endpoint_pools, rng_next(&worker->loop->rng), rng_next(&worker->loop->rng));
}

static int start(struct thread *thread)
{
    struct worker *worker = CONTAINER_OF(thread, struct worker, thread);

    cell_subscribe(&worker->proxy->credentials, &worker->credentials, worker->loop, &worker->credentials_changed);
    if (cell_changed(&worker->credentials))
        take_credentials(&worker->credentials_changed);
    return 0;
}

/* In the thread: connections end where they lived. */
static void finish(struct thread *thread)
{
    struct worker *worker = CONTAINER_OF(thread, struct worker, thread);

    stop_listeners(worker);
    worker->draining = DRAIN_NOW;
    drain_conns(worker);
    while (worker->conn_count) /* disposals run at the end of each turn */
        loop_turn(worker->loop, 0);
    pools_release(worker);
    loop_turn(worker->loop, 0);
    http2_kept_release(&worker->kept);
    lookup_table_release(&worker->targets);
    lookup_table_release(&worker->endpoints);
    lookup_table_release(&worker->ports);
    cell_unsubscribe(&worker->credentials);
    task_cancel(&worker->credentials_changed);
    tls_context_unref(worker->tls);
    requests_release(worker);
    regex_scratch_free(worker->regex);
    series_release(&worker->series);
}

/* What was there before the thread, and what other threads could still reach while it ended. */
static void release(struct worker *worker)
{
    waker_release(&worker->drain_waker);
    task_cancel(&worker->drain_task);
    thread_release(&worker->thread);
}

static int start_listeners(struct worker *worker, const struct listeners *listeners)
{
    int r = 0;

    for (unsigned i = 0; r == 0 && i < listeners->count; i++)
        if (listeners->items[i].role != LISTENER_ADMIN)
            r = start_listener(worker, &listeners->items[i]);
    atomic_store_explicit(&worker->accepting, r == 0, memory_order_relaxed);
    return r;
}

int worker_start(struct worker *worker, struct proxy *proxy, unsigned id, const struct listeners *listeners)
{
    int r;

    *worker = (struct worker){.proxy = proxy, .id = id, .loop = &worker->thread.loop};
    worker->thread.name = "worker";
    worker->thread.start = start;
    worker->thread.finish = finish;
    r = thread_prepare(&worker->thread, proxy->sys, WORKER_PAGES);
    if (r < 0)
        return r;
    worker->shard = metrics_shard_new(&proxy->metrics);
    worker->regex = regex_scratch_new();
    if (!worker->shard || !worker->regex) {
        regex_scratch_free(worker->regex);
        thread_release(&worker->thread);
        return -ENOMEM;
    }
    list_init(&worker->conns);
    list_init(&worker->request_free);
    task_init(&worker->drain_task, drain);
    task_init(&worker->credentials_changed, take_credentials);
    waker_init(&worker->drain_waker, worker->loop, &worker->drain_task);
    http2_kept_init(&worker->kept, worker->loop, LIMIT_H2_KEPT);
    init_limits(worker, DIRECTION_INBOUND, &proxy->config.inbound);
    init_limits(worker, DIRECTION_OUTBOUND, &proxy->config.outbound);
    init_tables(worker);
    series_init(&worker->series, worker);
    r = start_listeners(worker, listeners);
    if (r == 0)
        r = thread_start(&worker->thread);
    if (r < 0) {
        finish(&worker->thread);
        release(worker);
    }
    return r;
}

void worker_join(struct worker *worker)
{
    thread_join(&worker->thread);
    release(worker);
}
