/*
 * What the control plane told us, as plain structs: one answer is one heap
 * object that holds everything it points to in an arena of its own. It is filled
 * by one thread, then shared and never changed again; references are counted.
 * The proxy's are made from the wire and the controller's from resources, by
 * the same types: api/ converts both ways, and nothing here knows the wire.
 *
 *     p = inbound_policy_new();            one reference, empty, arena ready
 *     ... fill, allocating from p->arena ...
 *     inbound_policy_ref(p);               shared from here on: read only
 *     inbound_policy_unref(p);             the last one frees; NULL is allowed
 *
 * SNAPSHOT(type) writes type_new, type_ref and type_unref for a struct that
 * begins with `struct snapshot snapshot`.
 */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/limits.h"
#include "base/refcount.h"

struct snapshot {
    struct refcount refs;
    struct arena arena; /* owns whatever the object points to */
};

static inline void *snapshot_new(size_t size)
{
    struct snapshot *snapshot = calloc(1, size);

    if (!snapshot)
        return NULL;
    refcount_init(&snapshot->refs);
    arena_init(&snapshot->arena, LIMIT_SNAPSHOT);
    return snapshot;
}

static inline void snapshot_unref(struct snapshot *snapshot)
{
    if (!snapshot || !refcount_put(&snapshot->refs))
        return;
    arena_release(&snapshot->arena);
    free(snapshot);
}

#define SNAPSHOT(type)                                                                                      \
    static inline struct type *type##_new(void) { return snapshot_new(sizeof(struct type)); }               \
    static inline struct type *type##_ref(struct type *object)                                              \
    {                                                                                                       \
        refcount_get(&object->snapshot.refs);                                                               \
        return object;                                                                                      \
    }                                                                                                       \
    static inline void type##_unref(struct type *object)                                                    \
    {                                                                                                       \
        snapshot_unref(object ? &object->snapshot : NULL);                                                  \
    }                                                                                                       \
    _Static_assert(offsetof(struct type, snapshot) == 0, "snapshot comes first")
