#include "event/cell.h"

#include <assert.h>

void cell_init(struct cell *cell, void *(*ref)(void *snapshot), void (*unref)(void *snapshot))
{
    *cell = (struct cell){.ref = ref, .unref = unref};
    pthread_mutex_init(&cell->lock, NULL);
    list_init(&cell->readers);
}

void cell_release(struct cell *cell)
{
    assert(list_empty(&cell->readers));
    if (cell->snapshot)
        cell->unref(cell->snapshot);
    cell->snapshot = NULL;
    pthread_mutex_destroy(&cell->lock);
}

void cell_publish(struct cell *cell, void *snapshot)
{
    void *old;

    pthread_mutex_lock(&cell->lock);
    old = cell->snapshot;
    cell->snapshot = snapshot;
    atomic_fetch_add_explicit(&cell->generation, 1, memory_order_release);
    LIST_FOR_EACH (link, &cell->readers)
        waker_wake(&CONTAINER_OF(link, struct cell_reader, link)->waker);
    pthread_mutex_unlock(&cell->lock);
    if (old)
        cell->unref(old);
}

void *cell_get(struct cell *cell)
{
    void *snapshot;

    pthread_mutex_lock(&cell->lock);
    snapshot = cell->snapshot ? cell->ref(cell->snapshot) : NULL;
    pthread_mutex_unlock(&cell->lock);
    return snapshot;
}

void cell_subscribe(struct cell *cell, struct cell_reader *reader, struct loop *loop, struct task *task)
{
    assert(!reader->cell);
    reader->cell = cell;
    reader->seen = 0;
    waker_init(&reader->waker, loop, task);
    pthread_mutex_lock(&cell->lock);
    list_push(&cell->readers, &reader->link);
    if (atomic_load_explicit(&cell->generation, memory_order_relaxed))
        waker_wake(&reader->waker);
    pthread_mutex_unlock(&cell->lock);
}

void cell_unsubscribe(struct cell_reader *reader)
{
    if (!reader->cell)
        return;
    pthread_mutex_lock(&reader->cell->lock);
    list_remove(&reader->link);
    pthread_mutex_unlock(&reader->cell->lock);
    waker_release(&reader->waker); /* nobody can reach it now */
    reader->cell = NULL;
}

void *cell_take(struct cell_reader *reader)
{
    struct cell *cell = reader->cell;
    void *snapshot;

    pthread_mutex_lock(&cell->lock);
    reader->seen = atomic_load_explicit(&cell->generation, memory_order_relaxed);
    snapshot = cell->snapshot ? cell->ref(cell->snapshot) : NULL;
    pthread_mutex_unlock(&cell->lock);
    return snapshot;
}
