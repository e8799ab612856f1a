/*
 * What this proxy watches at the control plane, shared by all its threads: the
 * policy of an inbound port, profile and policy of an outbound destination, the
 * endpoints of a service. Each is one `struct watched` with a snapshot cell.
 *
 *     worker:   w = directory_lease(...)  -> subscribes to w->cell -> ... -> directory_return(w)
 *     control:  woken -> directory_next_change() -> starts or ends the streams of w -> cell_publish(&w->cell, ...)
 *
 * A lease keeps it watched; workers return theirs when they have not used it for
 * the idle time of its kind. The lock is held for a look-up in the map, when a
 * worker meets a destination for the first time or forgets one: never on the
 * path of a request. What is there is bounded (LIMIT_DESTINATIONS,
 * LIMIT_PORT_POLICIES).
 */
#pragma once

#include <pthread.h>

#include "base/ip.h"
#include "base/map.h"
#include "event/cell.h"
#include "mesh/failfast.h"

enum watched_kind {
    WATCHED_PORT,      /* key "8080"; snapshots are struct inbound_policy */
    WATCHED_TARGET,    /* key "10.1.2.3:80", in ingress mode "svc.ns.svc.cluster.local:80" too; struct discovery */
    WATCHED_ENDPOINTS, /* key "svc.ns.svc.cluster.local:80"; struct endpoint_set */
    WATCHED_KINDS
};

struct watched {
    struct map_entry entry;
    struct directory *directory;
    enum watched_kind kind;
    struct slice key; /* own memory, NUL terminated */
    struct cell cell;
    /* WATCHED_ENDPOINTS: the queues of the requests and of the connections that wait for one, of all workers together. */
    struct failfast gate, tcp_gate;
    uint64_t resets, adds, removals; /* WATCHED_ENDPOINTS, the control thread's: what discovery changed */
    unsigned leases;  /* under the directory's lock */
    struct list change;
    struct list eager; /* the control thread's */
    void *stream;     /* the control thread's; NULL while it knows nothing of it */
};

struct directory {
    pthread_mutex_t lock;
    struct map maps[WATCHED_KINDS];
    struct list changes; /* watched ones that began or lost their last lease */
    struct waker control;
    int64_t failfast_ns, tcp_failfast_ns;
    uint32_t queue_capacity, tcp_queue_capacity;
    void *(*ref[WATCHED_KINDS])(void *snapshot);
    void (*unref[WATCHED_KINDS])(void *snapshot);
};

void directory_init(struct directory *directory, struct sys *sys);
/* All leases must have been returned. */
void directory_release(struct directory *directory);
/* From now on `task` of the control thread's loop is woken when there are changes. */
void directory_attach(struct directory *directory, struct loop *loop, struct task *task);
void directory_detach(struct directory *directory);

/* -ENOSPC at the limit, -ENOMEM. */
int directory_lease(struct directory *directory, enum watched_kind kind, struct slice key,
                    struct watched **ret_watched);
/* NULL is allowed. The caller has unsubscribed. */
void directory_return(struct watched *watched);

/*
 * Control thread: the next watched one that needs something: *ret_wanted true: its streams should run; false: it
 * lost its last lease, was taken out of the directory, and belongs to the caller, who ends its streams and then
 * calls watched_free(). NULL when there is no more.
 */
struct watched *directory_next_change(struct directory *directory, bool *ret_wanted);
void watched_free(struct watched *watched);
/* Control thread, which alone takes watched ones out: those there are, as many as `max`; and the one with this key, or NULL. */
size_t directory_list(struct directory *directory, enum watched_kind kind, struct watched **ret, size_t max);
struct watched *directory_find(struct directory *directory, enum watched_kind kind, struct slice key);
unsigned directory_count(struct directory *directory, enum watched_kind kind);
