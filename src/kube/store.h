/*
 * The cache of all resources: typed objects by kind, namespace and name, with
 * the indexes that components look things up by, and an event for each change.
 * A source (kube/directory/directory.h, kube/api/api_source.h) puts and removes;
 * components subscribe and look up; kube/directory/derive.h adds what a directory lacks.
 *
 *     store_new() -> subscribers join with store_subscribe() -> the source puts -> store_set_synced()
 *
 * One thread: that of the loop the source runs on. Objects themselves may be
 * referenced from any thread. The store holds a reference to each of its
 * objects.
 *
 * Events come in the order of the changes, one at a time: a change made inside
 * a callback (only kube/directory/derive.h does that) is in the store at once, but its
 * event waits until all subscribers were told of the current one. So inside a
 * callback the store may already be ahead of the event; act on what you look
 * up, and use the event to know what to look at. A put of an object that
 * equals the one that is there makes no event.
 *
 * Work is proportional to the change: an object's keys are computed once, a put
 * touches its own entries only.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "kube/objects.h"

struct store;

/* The secret is for the hash tables (base/map.h). 0 or -ENOMEM. */
int store_new(uint64_t secret0, uint64_t secret1, struct store **ret_store);
/* Subscribers have left. Drops all objects, without events. NULL is allowed. */
void store_free(struct store *store);

/* ---- for sources: a source is whoever calls these three ---- */

/*
 * Adds the object or replaces the one of its kind, namespace and name; the store takes its own reference.
 * 0, or -ENOMEM or -ENOSPC (LIMIT_STORE_OBJECTS); then nothing changed.
 */
int store_put(struct store *store, struct kube_object *object);
/* Does nothing when there is none. 0 or -ENOMEM (then it is still there). */
int store_remove(struct store *store, enum kube_kind kind, struct slice namespace_, struct slice name);
/*
 * For sources that read everything anew: a number that no object has; whoever is seen again gets it (nothing happens when there
 * is no such object), and in the end those of the kind with another `round` are gone.
 */
uint32_t store_new_round(struct store *store);
void store_mark(struct store *store, enum kube_kind kind, struct slice namespace_, struct slice name, uint32_t round);
/* The first full reading is done: on_synced of every subscriber is called, once. */
void store_set_synced(struct store *store);

/* ---- looking up: pointers are valid until the object changes; take a reference to keep one ---- */

bool store_is_synced(const struct store *store);
/* NULL when there is none. The namespace is empty for kinds that have none. */
const struct kube_object *store_get(const struct store *store, enum kube_kind kind, struct slice namespace_,
                                    struct slice name);

/*
 * Objects under one key, oldest first (kube_object_compare_age). Valid until the next change of the store:
 * do not put or remove while walking.
 *
 *     struct kube_set set = store_in(store, KUBE_SERVER, ns);
 *     for (size_t i = 0; i < set.count; i++)
 *         use(kube_server(set.items[i]));
 */
struct kube_set {
    const struct kube_object *const *items;
    size_t count;
};
/* All of a kind. */
struct kube_set store_all(const struct store *store, enum kube_kind kind);
/* All of a kind in one namespace. */
struct kube_set store_in(const struct store *store, enum kube_kind kind, struct slice namespace_);

enum store_ip_index {
    STORE_SERVICES_BY_IP,  /* a clusterIP; more than one object is a conflict, the first is the oldest */
    STORE_PODS_BY_IP,      /* podIPs of pods that have not ended; host-network pods too */
    STORE_PODS_BY_HOST_IP, /* hostIP, for host ports */
    STORE_WORKLOADS_BY_IP  /* ExternalWorkloads */
};
struct kube_set store_by_ip(const struct store *store, enum store_ip_index index, struct ip ip);

enum store_name_index {
    STORE_SLICES_OF_SERVICE,        /* namespace, Service: EndpointSlices, given and derived */
    STORE_SLICES_OF_WORKLOADS,      /* namespace, Service (kube_slice_service(), may be ""): those written for ExternalWorkloads */
    STORE_PODS_ON_NODE,             /* "", Node */
    STORE_PODS_OF_SERVICE_ACCOUNT,  /* namespace, ServiceAccount */
    STORE_ROUTES_OF_SERVICE,        /* namespace, Service that is a parent: routes of every kind, of every namespace */
    STORE_ROUTES_OF_SERVER,         /* namespace, Server that is a parent */
    STORE_ROUTES_OF_EGRESS_NETWORK, /* namespace, EgressNetwork that is a parent */
    STORE_ROUTES_TO_SERVICE,        /* namespace, Service that is a backend */
    STORE_POLICIES_OF_SERVER,       /* namespace, Server: AuthorizationPolicies and rate limits that target it */
    STORE_POLICIES_OF_ROUTE,        /* namespace, HTTPRoute or GRPCRoute (compare target.kind and group) */
    STORE_POLICIES_OF_NAMESPACE     /* namespace, "": AuthorizationPolicies that target the namespace */
};
struct kube_set store_by_name(const struct store *store, enum store_name_index index, struct slice namespace_,
                              struct slice name);

/* ---- events ---- */

struct subscriber {
    struct list link;
    uint32_t kinds; /* bits 1u << enum kube_kind */
    /*
     * An object of one of the kinds was added (old NULL), changed, or removed (new NULL). Both are of the same kind,
     * namespace and name, and live until the callback returns; take references to keep them longer.
     */
    void (*on_change)(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new);
    void (*on_synced)(struct subscriber *subscriber); /* NULL is allowed */
};
#define STORE_KIND(kind) (UINT32_C(1) << (kind))
#define STORE_ALL_KINDS ((UINT32_C(1) << KUBE_KIND_COUNT) - 1)

/*
 * From now on the subscriber is told of changes; what is there already is told first, as added, by kind and
 * then oldest first. Not from inside a callback. 0, or -ENOMEM; then it is told nothing.
 */
int store_subscribe(struct store *store, struct subscriber *subscriber);
/* The kinds that some subscriber hears of: those that a source needs to bring. */
uint32_t store_kinds(const struct store *store);
/* Allowed inside its own callback; it hears nothing more. */
void store_unsubscribe(struct store *store, struct subscriber *subscriber);
