/*
 * Which endpoint gets the next request: two are drawn at random (by weight) from
 * those that are ready, and the one with the lower load gets it ("power of two
 * choices"). Load is peak-EWMA: the estimated time to a response, which jumps up
 * with a slower response and fades exponentially otherwise, times the requests
 * under way plus this one.
 *
 *     e = balancer_pick(&balancer, set, NULL, now, rng);
 *     endpoint_begin(e);  ...  endpoint_end(e, rtt_or_-1, &balancer, now);
 *
 * For opaque traffic a "request" is a connection, and its time is that of the connect.
 *
 * Pure functions over a set (mesh/endpoint_set.h): any worker, no locks. Workers that update an estimate at the
 * same moment may lose one of the two; it is an estimate.
 */
#pragma once

#include <stdint.h>

#include "base/rng.h"
#include "mesh/endpoint_set.h"

struct balancer {
    int64_t decay_ns; /* how fast history fades; usually ENDPOINT_DECAY_NS; > 0 */
};

/*
 * A ready endpoint other than `avoid` (which may be NULL), or NULL when there is none. No reference: the set's holds it. An
 * endpoint of weight 0 is chosen only when no ready one has a weight.
 */
struct endpoint *balancer_pick(const struct balancer *balancer, const struct endpoint_set *set,
                               const struct endpoint *avoid, int64_t now_ns, struct rng *rng);
/* Lower is better. */
double endpoint_load(const struct endpoint *endpoint, const struct balancer *balancer, int64_t now_ns);
/* A request goes to it. */
void endpoint_begin(struct endpoint *endpoint);
/* That request is over, or its response has begun if `rtt_ns` is from request to response head; -1: it says nothing about time. */
void endpoint_end(struct endpoint *endpoint, int64_t rtt_ns, const struct balancer *balancer, int64_t now_ns);
/* Only the estimate: a response has begun and the request still counts. */
void endpoint_observe(struct endpoint *endpoint, int64_t rtt_ns, const struct balancer *balancer, int64_t now_ns);
