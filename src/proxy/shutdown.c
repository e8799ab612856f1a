#include "proxy/shutdown.h"

#include <errno.h>

#include "base/duration.h"
#include "base/mutation.h"
#include "event/log.h"
#include "proxy/listeners.h"
#include "proxy/worker.h"

static const int64_t LOOK_NS = 50 * NS_PER_MS;
static const int64_t LAST_CALL_NS = 5 * NS_PER_S; /* before the end of the grace period, or its half when it is short */

static enum drain_state state_of(const struct shutdown *shutdown)
{
    return atomic_load_explicit(&shutdown->proxy->drain, memory_order_relaxed);
}

/* Forward only; workers that have ended are not woken any more, since DRAIN_NOW is the last. */
static void advance(struct shutdown *shutdown, enum drain_state state)
{
    if (state <= state_of(shutdown))
        return;
    atomic_store_explicit(&shutdown->proxy->drain, state, memory_order_release);
    for (unsigned i = 0; i < shutdown->proxy->workers_running; i++)
        worker_wake_drain(&shutdown->proxy->workers[i]);
}

void shutdown_now(struct shutdown *shutdown)
{
    advance(shutdown, DRAIN_NOW);
    loop_stop(shutdown->loop);
}

static void grace_over(struct timer *timer)
{
    struct shutdown *shutdown = CONTAINER_OF(timer, struct shutdown, grace);

    log_line(shutdown->proxy->log, LOG_WARN, "shutdown", "the grace period is over: open connections are broken off");
    shutdown_now(shutdown);
}

static void call_last(struct timer *timer)
{
    advance(CONTAINER_OF(timer, struct shutdown, last_call), DRAIN_LAST);
}

/* Where the kernel does not tell who listens, what is open is all that is waited for. */
static bool application_lives(struct shutdown *shutdown)
{
    int r = shutdown->application_listens(shutdown->proxy);

    if (r < 0 && !shutdown->unknown)
        log_line(shutdown->proxy->log, LOG_WARN, "shutdown",
                 "cannot read in /proc/self/net who listens (%s): waiting for open connections only", strerror(-r));
    shutdown->unknown = r < 0;
    return r == 1;
}

static unsigned count_open(struct shutdown *shutdown, bool *ret_accepting)
{
    unsigned open = 0;

    *ret_accepting = false;
    for (unsigned i = 0; i < shutdown->proxy->workers_running; i++) {
        struct worker *worker = &shutdown->proxy->workers[i];

        *ret_accepting |= atomic_load_explicit(&worker->accepting, memory_order_acquire);
        open += atomic_load_explicit(&worker->open, memory_order_relaxed);
    }
    return mutation("drain-ignores-open-connections") ? 0 : open;
}

static void look(struct timer *timer)
{
    struct shutdown *shutdown = CONTAINER_OF(timer, struct shutdown, look);
    bool handed_over = atomic_load_explicit(&shutdown->proxy->handed_over, memory_order_relaxed), accepting;
    bool lives = application_lives(shutdown) && !mutation("drain-ignores-the-application");
    unsigned open = count_open(shutdown, &accepting);

    if (handed_over && !accepting)
        listeners_close(shutdown->listeners, shutdown->proxy->sys);
    if (!lives && !app_ports_none(&shutdown->proxy->app_ports))
        advance(shutdown, DRAIN_LAST);
    if (open == 0 && (handed_over || !shutdown->proxy->workers_running ? !accepting : !lives)) {
        log_line(shutdown->proxy->log, LOG_INFO, "shutdown", "drained");
        shutdown_now(shutdown);
        return;
    }
    timer_set(shutdown->loop, timer, shutdown->loop->now_ns + LOOK_NS);
}

static void drain(struct shutdown *shutdown)
{
    int64_t grace = shutdown->proxy->config.shutdown_grace_ns, now = shutdown->loop->now_ns;

    advance(shutdown, DRAIN_GENTLY);
    timer_set(shutdown->loop, &shutdown->grace, now + grace);
    timer_set(shutdown->loop, &shutdown->last_call, now + grace - (grace / 2 < LAST_CALL_NS ? grace / 2 : LAST_CALL_NS));
    timer_set(shutdown->loop, &shutdown->look, now);
}

void shutdown_begin(struct shutdown *shutdown)
{
    if (shutdown->told || state_of(shutdown) == DRAIN_NOW) {
        log_line(shutdown->proxy->log, LOG_INFO, "shutdown", "told again: ending at once");
        shutdown_now(shutdown);
        return;
    }
    shutdown->told = true;
    log_line(shutdown->proxy->log, LOG_INFO, "shutdown",
             "draining: serving on until the application listens no more and open connections have ended");
    if (state_of(shutdown) == DRAIN_NONE)
        drain(shutdown);
}

void shutdown_hand_over(struct shutdown *shutdown)
{
    log_line(shutdown->proxy->log, LOG_INFO, "shutdown", "the successor accepts: open connections may end");
    atomic_store_explicit(&shutdown->proxy->handed_over, true, memory_order_release);
    if (state_of(shutdown) == DRAIN_NONE)
        drain(shutdown);
    for (unsigned i = 0; i < shutdown->proxy->workers_running; i++)
        worker_wake_drain(&shutdown->proxy->workers[i]);
}

int shutdown_init(struct shutdown *shutdown, struct proxy *proxy, struct loop *loop, struct listeners *listeners,
                  int (*application_listens)(struct proxy *proxy))
{
    *shutdown = (struct shutdown){.proxy = proxy, .loop = loop, .listeners = listeners, .application_listens = application_listens};
    if (timer_init(loop, &shutdown->grace, grace_over) < 0 || timer_init(loop, &shutdown->last_call, call_last) < 0 ||
        timer_init(loop, &shutdown->look, look) < 0)
        return -ENOMEM;
    return 0;
}

void shutdown_release(struct shutdown *shutdown)
{
    if (!shutdown->loop)
        return;
    timer_release(shutdown->loop, &shutdown->grace);
    timer_release(shutdown->loop, &shutdown->last_call);
    timer_release(shutdown->loop, &shutdown->look);
}
