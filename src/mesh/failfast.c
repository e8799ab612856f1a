#include "mesh/failfast.h"

#include <assert.h>

#include "base/mutation.h"

void failfast_init(struct failfast *gate, int64_t timeout_ns, uint32_t capacity, int64_t now_ns)
{
    *gate = (struct failfast){.timeout_ns = timeout_ns, .capacity = capacity, .opened = 1, .opened_ns = now_ns};
}

/* A time as it stands in the state, where 0 has a meaning of its own. */
static int64_t stamp(int64_t now_ns)
{
    return now_ns > 0 ? now_ns : 1;
}

static int64_t deadline(const struct failfast *gate, int64_t since_ns)
{
    return gate->timeout_ns > INT64_MAX - since_ns || mutation("failfast-never") ? INT64_MAX : since_ns + gate->timeout_ns;
}

static bool take_place(struct failfast *gate)
{
    uint32_t waiting = atomic_load_explicit(&gate->waiting, memory_order_relaxed);

    do {
        if (waiting >= gate->capacity)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&gate->waiting, &waiting, waiting + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* The first to wait starts the clock. Returns the state after that, which is not 0. */
static int64_t start_clock(struct failfast *gate, int64_t state, int64_t now_ns)
{
    while (state == 0)
        if (atomic_compare_exchange_weak(&gate->state, &state, stamp(now_ns)))
            return stamp(now_ns);
    return state;
}

enum reason failfast_enter(struct failfast *gate, int64_t now_ns, int64_t *ret_deadline_ns)
{
    int64_t state = atomic_load(&gate->state);

    if (state < 0 && !mutation("shut-gate-passed"))
        return REASON_LOAD_SHED;
    if (!take_place(gate) && !mutation("queue-without-limit"))
        return REASON_QUEUE_FULL;
    state = start_clock(gate, state, now_ns);
    if (state < 0 && !mutation("shut-gate-passed")) { /* shut between the two */
        failfast_leave(gate);
        return REASON_LOAD_SHED;
    }
    *ret_deadline_ns = deadline(gate, state);
    return REASON_NONE;
}

void failfast_leave(struct failfast *gate)
{
    uint32_t before = atomic_fetch_sub_explicit(&gate->waiting, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
}

bool failfast_expire(struct failfast *gate, int64_t now_ns, int64_t *ret_deadline_ns, bool *ret_shut_now)
{
    int64_t state = start_clock(gate, atomic_load(&gate->state), now_ns);

    if (ret_shut_now)
        *ret_shut_now = false;
    while (state > 0 && now_ns >= deadline(gate, state))
        if (atomic_compare_exchange_weak(&gate->state, &state, -stamp(now_ns))) {
            if (ret_shut_now)
                *ret_shut_now = true;
            atomic_fetch_add_explicit(&gate->shut, 1, memory_order_relaxed);
            atomic_store_explicit(&gate->shut_ns, now_ns, memory_order_relaxed);
            return true;
        }
    if (state < 0)
        return true;
    *ret_deadline_ns = deadline(gate, start_clock(gate, state, now_ns));
    return false;
}

bool failfast_ready(struct failfast *gate, int64_t now_ns)
{
    /* Called for every good connect: the usual case only reads. */
    if (atomic_load(&gate->state) == 0 || atomic_exchange(&gate->state, 0) >= 0)
        return false;
    atomic_fetch_add_explicit(&gate->opened, 1, memory_order_relaxed);
    atomic_store_explicit(&gate->opened_ns, now_ns, memory_order_relaxed);
    return true;
}
