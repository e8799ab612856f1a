/*
 * What the status of a route, a rate limit or an egress network should be, from
 * the store. Pure but for the store; src/kube/status.h writes it.
 *
 * Of a route each parent that is a Service, a Server or an EgressNetwork has the condition Accepted, and but for Servers ResolvedRefs:
 *
 *     Accepted      NoMatchingParent        the parent does not exist, a Service without address, a network that is not accepted
 *                   RouteReasonConflicted   a route of a more specific kind has this parent: GRPCRoute, HTTPRoute, TLSRoute, TCPRoute
 *     ResolvedRefs  BackendNotFound         a backend does not exist
 *                   InvalidKind             it is neither Service nor the EgressNetwork that is the parent
 *
 * Of a rate limit Accepted: NoMatchingTarget, or RateLimitReasonAlreadyExists where an older one has its Server. Of an
 * EgressNetwork Accepted: EgressReasonNetworkOverlap where it reaches into the cluster's networks.
 */
#pragma once

#include "control/controller.h"
#include "kube/status.h"

/* Entries live in the arena and point into the object. 0 or -ENOMEM. */
int status_decide(const struct controller *controller, const struct kube_object *object, struct arena *arena, struct status_entry **ret_entries,
                  size_t *ret_count);
/* Calls `touch` for each object whose status may depend on this one, itself included. */
void status_touch(const struct store *store, const struct kube_object *changed, void (*touch)(void *owner, const struct kube_object *object),
                  void *owner);
