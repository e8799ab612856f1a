/*
 * A snapshot cell: one place where one thread publishes the latest immutable
 * snapshot of something (a policy, a set of endpoints, the certificate), and
 * others are woken and take it. Latest wins: a reader that slept through three
 * publications sees the third only; nothing queues up.
 *
 *     control thread:  cell_publish(cell, snapshot)
 *     worker:          task woken -> cell_changed(&reader) -> snapshot = cell_take(&reader)
 *                      ... uses its reference per connection or generation, never per request ...
 *                      snapshot_unref()
 *
 * The cell knows snapshots only by the two functions that it is born with.
 * Looking whether something changed is one relaxed load; the mutex is held for
 * a few instructions, when a snapshot is published or taken after a change.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "event/loop.h"

struct cell {
    pthread_mutex_t lock;
    void *snapshot;               /* a reference of the cell's, or NULL */
    _Atomic(uint64_t) generation; /* counts publications; 0: none yet */
    void *(*ref)(void *snapshot);
    void (*unref)(void *snapshot);
    struct list readers;
};

struct cell_reader {
    struct cell *cell; /* NULL: not subscribed */
    struct list link;
    struct waker waker;
    uint64_t seen; /* generation of the last take */
};

void cell_init(struct cell *cell, void *(*ref)(void *snapshot), void (*unref)(void *snapshot));
/* Nobody may be subscribed any more. */
void cell_release(struct cell *cell);
/* Takes over the caller's reference (NULL withdraws) and wakes all readers. Any thread, one at a time. */
void cell_publish(struct cell *cell, void *snapshot);
/* The latest with a reference for the caller, or NULL. Any thread. */
void *cell_get(struct cell *cell);

/* From now on `task` of `loop` is woken at each publication; once at the start if there was one already. */
void cell_subscribe(struct cell *cell, struct cell_reader *reader, struct loop *loop, struct task *task);
/* In the reader's thread. Does nothing when not subscribed. */
void cell_unsubscribe(struct cell_reader *reader);
static inline bool cell_changed(const struct cell_reader *reader)
{
    return atomic_load_explicit(&reader->cell->generation, memory_order_acquire) != reader->seen;
}
/* The latest with a reference for the caller, or NULL when there is none; notes that it was seen. */
void *cell_take(struct cell_reader *reader);
