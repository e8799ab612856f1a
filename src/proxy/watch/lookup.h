/*
 * One worker's hold on something watched: a lease, the snapshot that it uses,
 * and who waits for the first one. Found by key in the worker's own map, so that
 * a connection to a known destination takes no lock.
 *
 *     lookup_get()      finds or leases; counts the caller as a user
 *     lookup->snapshot  NULL until the control plane answered: then wait with lookup_wait()
 *     lookup_put()      the user is done; after the idle time without users it is forgotten
 *
 * `on_change` of the table runs, in the worker's thread, each time a newer
 * snapshot was taken, before waiters are woken; there the worker renews what it
 * derived from the old one (`view`).
 */
#pragma once

#include "proxy/watch/directory.h"

struct lookup;

struct lookup_table {
    struct directory *directory;
    struct loop *loop;
    enum watched_kind kind;
    int64_t idle_ns;
    struct map map;
    void (*on_change)(struct lookup *lookup, void *old_snapshot);
    void (*on_forget)(struct lookup *lookup); /* frees the view */
    void *owner;
};

struct lookup {
    struct map_entry entry;
    struct lookup_table *table;
    struct watched *watched;
    struct cell_reader reader;
    struct task changed;
    struct timer idle;
    struct list waiters;
    unsigned users;
    void *snapshot; /* a reference, or NULL before the first answer */
    void *view;     /* the worker's own, made by on_change */
};

/* In something that waits; the task is woken at every change while it is linked. */
struct lookup_waiter {
    struct list link;
    struct task *task;
};

void lookup_table_init(struct lookup_table *table, struct directory *directory, struct loop *loop,
                       enum watched_kind kind, int64_t idle_ns);
/* Forgets all; no users may be left. */
void lookup_table_release(struct lookup_table *table);

int lookup_get(struct lookup_table *table, struct slice key, struct lookup **ret_lookup);
void lookup_put(struct lookup *lookup); /* NULL is allowed */
/* Another user of one that the caller uses already. */
static inline void lookup_use(struct lookup *lookup) { lookup->users++; }

void lookup_wait(struct lookup *lookup, struct lookup_waiter *waiter, struct task *task);
void lookup_unwait(struct lookup_waiter *waiter); /* allowed when not waiting, if list_init was done once */
