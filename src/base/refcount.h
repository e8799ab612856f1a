/*
 * The reference count of an object that several threads share and nobody
 * changes any more (a snapshot). Born with one reference, which belongs to whoever
 * made the object. The last refcount_put() returns true, once: then the caller
 * frees, and sees everything that other threads did to the object before.
 */
#pragma once

#include <assert.h>
#include <stdatomic.h>
#include <stdbool.h>

struct refcount {
    atomic_uint count;
};

static inline void refcount_init(struct refcount *refs) { atomic_init(&refs->count, 1); }

/* Only for somebody who holds a reference already. */
static inline void refcount_get(struct refcount *refs)
{
    unsigned before = atomic_fetch_add_explicit(&refs->count, 1, memory_order_relaxed);

    assert(before > 0 && before < ~0u);
    (void)before;
}

/* True when this was the last one. */
static inline bool refcount_put(struct refcount *refs)
{
    unsigned before = atomic_fetch_sub_explicit(&refs->count, 1, memory_order_acq_rel); /* TSan knows no fences */

    assert(before > 0);
    return before == 1;
}
