/*
 * The gate before a destination's queue. Requests that find no ready endpoint
 * wait; when that has lasted for the failfast timeout the gate shuts: what waits fails
 * with REASON_FAILFAST, what arrives is shed with REASON_LOAD_SHED until an
 * endpoint is ready again. The queue has a length; beyond it REASON_QUEUE_FULL.
 *
 *     no endpoint ready:  failfast_enter() -> REASON_NONE: queue it, timer at *ret_deadline
 *     timer:              failfast_expire() -> true: fail all that wait here
 *     endpoint ready:     failfast_ready(); take from the queue; failfast_leave() for each
 *
 * The timeout runs from the moment at which the first request found nothing ready, not from that of the last endpoint's loss: a
 * destination nobody asked for meanwhile gets its chance.
 *
 * One gate per destination and proxy, shared by all workers: the state is one atomic word.
 * Each worker has the queue of its own requests and its own timer; all of them read the same deadline.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "mesh/reason.h"

struct failfast {
    int64_t timeout_ns;
    uint32_t capacity;
    _Atomic(int64_t) state;    /* 0: open; t > 0: open, nothing ready since t; -t < 0: shut since t */
    _Atomic(uint32_t) waiting; /* requests in the queues of all workers */
    /* For metrics: how often it was opened (being made is the first time) and shut, and when last; 0: never. */
    _Atomic(uint32_t) opened, shut;
    _Atomic(int64_t) opened_ns, shut_ns;
};

void failfast_init(struct failfast *gate, int64_t timeout_ns, uint32_t capacity, int64_t now_ns);
static inline bool failfast_is_shut(const struct failfast *gate)
{
    return atomic_load_explicit(&gate->state, memory_order_relaxed) < 0;
}
/*
 * A request found no ready endpoint. REASON_NONE: it may wait, until *ret_deadline_ns at most, and leaves later. Otherwise
 * the reason to refuse it (*ret_deadline_ns untouched).
 */
enum reason failfast_enter(struct failfast *gate, int64_t now_ns, int64_t *ret_deadline_ns);
/* A request that had entered is served, failed or gone. */
void failfast_leave(struct failfast *gate);
/*
 * Asked by a worker whose requests still find nothing ready: is their time over? True: the gate is shut, by this call
 * or another's; *ret_shut_now says whether by this one (NULL is allowed). False: an endpoint was ready meanwhile, which starts the
 * time anew; ask again at *ret_deadline_ns.
 */
bool failfast_expire(struct failfast *gate, int64_t now_ns, int64_t *ret_deadline_ns, bool *ret_shut_now);
/* An endpoint is ready. True if this opened a gate that was shut. */
bool failfast_ready(struct failfast *gate, int64_t now_ns);
