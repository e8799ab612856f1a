/*
 * What annotations say about traffic to a Service or an EgressNetwork, or through
 * a route: timeout.linkerd.io/, retry.linkerd.io/, balancer.linkerd.io/ and
 * balancer.alpha.linkerd.io/. Pure functions.
 *
 * Each reads one group. A group with a value that cannot be followed says nothing
 * as a whole: half of what somebody meant may be worse than nothing, and the
 * validator has told them (control/validate/annotations.c).
 */
#pragma once

#include "kube/objects.h"
#include "mesh/outbound_policy.h"

void traffic_timeouts(const struct kube_map *annotations, struct route_timeouts *ret_timeouts);
/* In the arena; NULL: none. Limit and timeout are for both protocols, conditions are each protocol's own. 0 or -ENOMEM. */
int traffic_retry(const struct kube_map *annotations, bool grpc, struct arena *arena, struct retry_config **ret_retry);
void traffic_accrual(const struct kube_map *annotations, struct failure_accrual *ret_accrual);
/* Sets the part of a balancer that makes failures count as slow responses. */
void traffic_penalty(const struct kube_map *annotations, struct balancer_config *balancer);
