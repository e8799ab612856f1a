#include "base/mutation.h"
#include "proxy/watch/lookup.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void lookup_table_init(struct lookup_table *table, struct directory *directory, struct loop *loop,
                       enum watched_kind kind, int64_t idle_ns)
{
    *table = (struct lookup_table){.directory = directory, .loop = loop, .kind = kind, .idle_ns = idle_ns};
    map_init(&table->map, rng_next(&loop->rng), rng_next(&loop->rng));
}

static void forget(struct lookup *lookup)
{
    struct lookup_table *table = lookup->table;

    assert(lookup->users == 0 && list_empty(&lookup->waiters));
    cell_unsubscribe(&lookup->reader);
    task_cancel(&lookup->changed);
    if (table->on_forget)
        table->on_forget(lookup);
    if (lookup->snapshot)
        table->directory->unref[table->kind](lookup->snapshot);
    timer_release(table->loop, &lookup->idle);
    map_remove(&table->map, &lookup->entry);
    directory_return(lookup->watched);
    free(lookup);
}

void lookup_table_release(struct lookup_table *table)
{
    MAP_FOR_EACH (link, &table->map)
        forget(CONTAINER_OF(MAP_ENTRY(link), struct lookup, entry));
    map_release(&table->map);
}

static void idle_fired(struct timer *timer)
{
    struct lookup *lookup = CONTAINER_OF(timer, struct lookup, idle);

    if (lookup->users == 0)
        forget(lookup);
}

static void take(struct task *task)
{
    struct lookup *lookup = CONTAINER_OF(task, struct lookup, changed);
    struct lookup_table *table = lookup->table;
    void *old = lookup->snapshot, *latest;

    if (!cell_changed(&lookup->reader))
        return;
    latest = cell_take(&lookup->reader);
    if (!latest)
        return; /* withdrawn: what is in force stays, an empty snapshot says when nothing is */
    lookup->snapshot = latest;
    if (table->on_change)
        table->on_change(lookup, old);
    if (old)
        table->directory->unref[table->kind](old);
    LIST_FOR_EACH (link, &lookup->waiters)
        task_wake(table->loop, CONTAINER_OF(link, struct lookup_waiter, link)->task);
}

static int begin(struct lookup_table *table, struct slice key, struct lookup **ret_lookup)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    int r;

    if (!lookup)
        return -ENOMEM;
    lookup->table = table;
    list_init(&lookup->waiters);
    task_init(&lookup->changed, take);
    r = directory_lease(table->directory, table->kind, key, &lookup->watched);
    if (r < 0)
        goto free_it;
    r = timer_init(table->loop, &lookup->idle, idle_fired);
    if (r < 0)
        goto return_lease;
    r = map_add(&table->map, &lookup->entry, lookup->watched->key);
    if (r < 0)
        goto release_timer;
    cell_subscribe(&lookup->watched->cell, &lookup->reader, table->loop, &lookup->changed);
    if (cell_changed(&lookup->reader))
        take(&lookup->changed); /* another worker, or an earlier life, knows it already: no waiting */
    *ret_lookup = lookup;
    return 0;

release_timer:
    timer_release(table->loop, &lookup->idle);
return_lease:
    directory_return(lookup->watched);
free_it:
    free(lookup);
    return r;
}

int lookup_get(struct lookup_table *table, struct slice key, struct lookup **ret_lookup)
{
    struct map_entry *entry = map_find(&table->map, key);
    struct lookup *lookup;

    if (entry) {
        lookup = CONTAINER_OF(entry, struct lookup, entry);
    } else {
        int r = begin(table, key, &lookup);

        if (r < 0)
            return r;
    }
    lookup->users++;
    timer_cancel(&lookup->idle);
    *ret_lookup = lookup;
    return 0;
}

void lookup_put(struct lookup *lookup)
{
    if (!lookup)
        return;
    assert(lookup->users > 0);
    if (--lookup->users == 0 && !mutation("unused-destinations-kept"))
        timer_set(lookup->table->loop, &lookup->idle, lookup->table->loop->now_ns + lookup->table->idle_ns);
}

void lookup_wait(struct lookup *lookup, struct lookup_waiter *waiter, struct task *task)
{
    waiter->task = task;
    list_push(&lookup->waiters, &waiter->link);
}

void lookup_unwait(struct lookup_waiter *waiter)
{
    if (waiter->link.next)
        list_remove(&waiter->link);
}
