/*
 * The endpoints of one destination, as several threads share them.
 *
 * A `struct endpoint` is one address with its description (info), its load and
 * its health. It lives as long as somebody refers to it: sets do, and so do pooled
 * connections. Load and health are atomics that all workers write; the rest
 * never changes.
 *
 * An `endpoint_set` is a snapshot: which endpoints there are, with their weights. It never changes;
 * an update from discovery makes the next one, in which an endpoint whose
 * description stayed the same is the same object, with its connections, load and health. An
 * endpoint that is described anew (another identity, other labels) is another object that
 * inherits load and health; the old one is marked withdrawn, as are removed ones.
 *
 *     control thread:  endpoint_set_apply(old, update, reset, &new);  publish(new)
 *     worker:          takes the latest set, balancer_pick() (mesh/balancer.h)
 *
 * Health
 *
 *     READY    --connect failed-->     EJECTED until a time (backoff, longer each time)
 *     EJECTED  --endpoint_claim() after that time-->  PROBING, for one claimer, for a while
 *     PROBING  --connected-->          READY, failures forgotten
 *     PROBING  --failed-->             EJECTED, longer
 *     PROBING  --its time passed-->    may be claimed again
 *     any      --connected-->          READY
 *
 * Only READY endpoints are picked. Connections are made on demand, so that READY means: not known to be bad.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/refcount.h"
#include "base/rng.h"
#include "mesh/backoff.h"
#include "mesh/endpoint.h"

/* Peak-EWMA's constants: what an endpoint without history is worth, and how fast history fades. */
#define ENDPOINT_DEFAULT_RTT_NS INT64_C(30000000)
#define ENDPOINT_DECAY_NS INT64_C(10000000000)

struct endpoint {
    struct refcount refs;
    struct snapshot *source; /* a reference; owns what info points to */
    const struct endpoint_info *info;

    _Atomic(uint32_t) in_flight; /* requests, or open connections of opaque traffic */
    _Atomic(int64_t) rtt_ns;     /* estimate at stamp_ns; mesh/balancer.h */
    _Atomic(int64_t) stamp_ns;
    _Atomic(int64_t) health;     /* 0: ready; t > 0: ejected until t; -t < 0: being probed until t */
    _Atomic(uint32_t) failures;  /* connects in a row */
    _Atomic(int) last_error;     /* errno of the last failed connect, 0 after a good one */
    _Atomic(bool) withdrawn;     /* discovery does not name it any more: take no new work */
};

enum endpoint_health { ENDPOINT_READY, ENDPOINT_EJECTED, ENDPOINT_PROBING };

/* One reference; takes one of its own on `source`. NULL without memory. Also for a policy's single endpoint. */
struct endpoint *endpoint_new(struct snapshot *source, const struct endpoint_info *info, int64_t default_rtt_ns,
                              int64_t now_ns);
/* Whether nothing in the description differs: what is known of the one is true of the other. */
bool endpoint_info_eq(const struct endpoint_info *a, const struct endpoint_info *b);
struct endpoint *endpoint_ref(struct endpoint *endpoint);
void endpoint_unref(struct endpoint *endpoint);

enum endpoint_health endpoint_health(const struct endpoint *endpoint);
const char *endpoint_health_name(enum endpoint_health health);
static inline bool endpoint_is_ready(const struct endpoint *endpoint)
{
    return atomic_load_explicit(&endpoint->health, memory_order_relaxed) == 0;
}
/* When it may be claimed for a probe; 0 if it is ready (there is nothing to probe). */
int64_t endpoint_probe_at(const struct endpoint *endpoint);
/* True for one caller once the ejection is over: that one connects, and reports within probe_ns. */
bool endpoint_claim(struct endpoint *endpoint, int64_t now_ns, int64_t probe_ns);
/* A connection was established. True if the endpoint was not ready before. */
bool endpoint_connected(struct endpoint *endpoint);
/*
 * A connect failed with this errno (positive). Ejects a ready endpoint, and one that is being probed. Reports of others who had
 * begun earlier change nothing. True if the endpoint was ejected by this.
 */
bool endpoint_failed(struct endpoint *endpoint, int error, const struct backoff_config *backoff, int64_t now_ns,
                     struct rng *rng);

struct endpoint_slot {
    struct endpoint *endpoint; /* the set's reference */
    uint32_t weight;
    uint64_t weight_before;    /* sum of the weights of all slots before this one */
};

struct endpoint_set {
    struct refcount refs;
    uint64_t total_weight;
    size_t count;
    bool exists;                  /* false: discovery says that there is no such service */
    struct endpoint_slot slots[]; /* by address, each once */
};

/* What an update did, for counters. */
struct endpoint_change {
    size_t added, removed, replaced; /* replaced: described anew */
    size_t refused;                  /* beyond LIMIT_ENDPOINTS */
};

/* An empty one with a reference, or NULL. */
struct endpoint_set *endpoint_set_new(bool exists);
struct endpoint_set *endpoint_set_ref(struct endpoint_set *set);
void endpoint_set_unref(struct endpoint_set *set);
/*
 * The set after an update. `reset`: the update is the first of a new stream, so that it replaces all there was.
 * *ret_set has a reference for the caller; `old` keeps its own. 0 or -ENOMEM (nothing was changed).
 */
int endpoint_set_apply(struct endpoint_set *old, struct endpoint_update *update, bool reset, int64_t default_rtt_ns,
                       int64_t now_ns, struct endpoint_set **ret_set, struct endpoint_change *ret_change);
/* The endpoint with this address (no reference), or NULL. */
struct endpoint *endpoint_set_find(const struct endpoint_set *set, struct addr addr);

struct endpoint_counts {
    size_t ready, ejected, probing;
    int64_t probe_at_ns; /* when the first of those that are not ready may be claimed; 0: none */
    int last_error;      /* of an endpoint that is not ready, 0 if none said */
};

/* Looks at every endpoint: for scrapes and explanations, not for requests. */
struct endpoint_counts endpoint_set_counts(const struct endpoint_set *set);
/* Address order: IPv4 first, then by bytes, then by port. <0, 0 or >0. */
int addr_cmp(struct addr a, struct addr b);
