/*
 * Which endpoints one port of a Service has for one client: ready ones of its
 * slices, on the client's node or in its zone where the Service or hints say so,
 * one address of each pod. A pure function over the store.
 */
#pragma once

#include "control/cluster_host.h"
#include "control/destination/describe.h"
#include "mesh/endpoint.h"

/* All of them as one update of kind ENDPOINTS_ADD, perhaps an empty one. 0 or -ENOMEM. */
int endpoints_build(const struct controller *controller, const struct kube_service *service, const struct cluster_host *target,
                    const struct client_view *client, struct endpoint_update **ret_update);
