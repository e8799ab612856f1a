#include "proxy/watch/directory.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"

void directory_init(struct directory *directory, struct sys *sys)
{
    uint64_t secret[2];

    *directory = (struct directory){0};
    pthread_mutex_init(&directory->lock, NULL);
    sys->ops->random(sys, secret, sizeof(secret));
    for (int i = 0; i < WATCHED_KINDS; i++)
        map_init(&directory->maps[i], secret[0], secret[1]);
    list_init(&directory->changes);
}

void directory_release(struct directory *directory)
{
    struct watched *watched;
    bool wanted;

    while ((watched = directory_next_change(directory, &wanted)))
        if (!wanted)
            watched_free(watched);
    for (int i = 0; i < WATCHED_KINDS; i++) {
        assert(directory->maps[i].count == 0);
        map_release(&directory->maps[i]);
    }
    pthread_mutex_destroy(&directory->lock);
}

void directory_attach(struct directory *directory, struct loop *loop, struct task *task)
{
    pthread_mutex_lock(&directory->lock);
    waker_init(&directory->control, loop, task);
    if (!list_empty(&directory->changes))
        waker_wake(&directory->control);
    pthread_mutex_unlock(&directory->lock);
}

void directory_detach(struct directory *directory)
{
    struct waker control;

    pthread_mutex_lock(&directory->lock);
    control = directory->control;
    pthread_mutex_unlock(&directory->lock);
    if (control.loop)
        waker_release(&directory->control);
}

/* Under the lock. */
static void tell_control(struct watched *watched)
{
    struct directory *directory = watched->directory;

    if (list_empty(&watched->change))
        list_push(&directory->changes, &watched->change);
    if (directory->control.loop)
        waker_wake(&directory->control);
}

static size_t limit_of(enum watched_kind kind)
{
    return kind == WATCHED_PORT ? LIMIT_PORT_POLICIES : LIMIT_DESTINATIONS;
}

static int add(struct directory *directory, enum watched_kind kind, struct slice key, struct watched **ret_watched)
{
    struct watched *watched;

    if (directory->maps[kind].count >= limit_of(kind))
        return -ENOSPC;
    watched = calloc(1, sizeof(*watched));
    if (!watched)
        return -ENOMEM;
    watched->directory = directory;
    watched->kind = kind;
    list_init(&watched->change);
    failfast_init(&watched->gate, directory->failfast_ns, directory->queue_capacity, 0);
    failfast_init(&watched->tcp_gate, directory->tcp_failfast_ns, directory->tcp_queue_capacity, 0);
    watched->key = slice_of(slice_dup(key), key.len);
    if (!watched->key.ptr || map_add(&directory->maps[kind], &watched->entry, watched->key) < 0) {
        free((char *)(uintptr_t)watched->key.ptr);
        free(watched);
        return -ENOMEM;
    }
    cell_init(&watched->cell, directory->ref[kind], directory->unref[kind]);
    *ret_watched = watched;
    return 0;
}

int directory_lease(struct directory *directory, enum watched_kind kind, struct slice key,
                    struct watched **ret_watched)
{
    struct map_entry *entry;
    struct watched *watched;
    int r = 0;

    pthread_mutex_lock(&directory->lock);
    entry = map_find(&directory->maps[kind], key);
    if (entry)
        watched = CONTAINER_OF(entry, struct watched, entry);
    else
        r = add(directory, kind, key, &watched);
    if (r == 0) {
        if (watched->leases++ == 0)
            tell_control(watched);
        *ret_watched = watched;
    }
    pthread_mutex_unlock(&directory->lock);
    return r;
}

void directory_return(struct watched *watched)
{
    struct directory *directory;

    if (!watched)
        return;
    directory = watched->directory;
    pthread_mutex_lock(&directory->lock);
    assert(watched->leases > 0);
    if (--watched->leases == 0)
        tell_control(watched);
    pthread_mutex_unlock(&directory->lock);
}

struct watched *directory_next_change(struct directory *directory, bool *ret_wanted)
{
    struct watched *watched = NULL;
    struct list *link;

    pthread_mutex_lock(&directory->lock);
    link = list_pop(&directory->changes);
    if (link) {
        watched = CONTAINER_OF(link, struct watched, change);
        *ret_wanted = watched->leases > 0;
        if (!*ret_wanted)
            map_remove(&directory->maps[watched->kind], &watched->entry);
    }
    pthread_mutex_unlock(&directory->lock);
    return watched;
}

void watched_free(struct watched *watched)
{
    cell_release(&watched->cell);
    free((char *)(uintptr_t)watched->key.ptr);
    free(watched);
}

unsigned directory_count(struct directory *directory, enum watched_kind kind)
{
    unsigned count;

    pthread_mutex_lock(&directory->lock);
    count = (unsigned)directory->maps[kind].count;
    pthread_mutex_unlock(&directory->lock);
    return count;
}

size_t directory_list(struct directory *directory, enum watched_kind kind, struct watched **ret, size_t max)
{
    size_t count = 0;

    pthread_mutex_lock(&directory->lock);
    MAP_FOR_EACH (link, &directory->maps[kind])
        if (count < max)
            ret[count++] = CONTAINER_OF(MAP_ENTRY(link), struct watched, entry);
    pthread_mutex_unlock(&directory->lock);
    return count;
}

struct watched *directory_find(struct directory *directory, enum watched_kind kind, struct slice key)
{
    struct map_entry *entry;

    pthread_mutex_lock(&directory->lock);
    entry = map_find(&directory->maps[kind], key);
    pthread_mutex_unlock(&directory->lock);
    return entry ? CONTAINER_OF(entry, struct watched, entry) : NULL;
}
