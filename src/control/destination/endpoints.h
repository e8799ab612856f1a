/*
 * Which endpoints one port of a Service has for one client: ready ones of its
 * slices, on the client's node or in its zone where the Service or hints say so,
 * one address of each pod. A pure function over the store.
 */
#pragma once

#include "control/cluster_host.h"
#include "control/destination/describe.h"
#include "mesh/endpoint.h"

/* An endpoint, not described yet (control/destination/describe.h). */
struct endpoint_found {
    struct addr addr;
    const struct kube_object *backing; /* pod or workload, or NULL */
    struct slice zone;
};

/*
 * All of them, in the order of their slices; an address may be there twice, then the first counts. The list is in the arena,
 * what it points at is the store's. 0 or -ENOMEM.
 */
int endpoints_find(const struct controller *controller, const struct kube_service *service, const struct cluster_host *target,
                   const struct client_view *client, struct arena *arena, struct endpoint_found **ret_items, size_t *ret_count);
/*
 * Whether what a client is told depends on its node: the Service's traffic stays there, or an endpoint has hints for nodes
 * (trafficDistribution: PreferSameNode).
 */
bool endpoints_by_node(const struct controller *controller, const struct kube_service *service);
/* The labels that all of a Service's endpoints share: in `room`, and text of the target. */
struct labels endpoints_labels(const struct cluster_host *target, struct label room[2]);
