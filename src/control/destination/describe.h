/*
 * What the mesh knows of one address: identity, protocol hints, labels; from the
 * pod or external workload behind it. Pure functions over the store.
 */
#pragma once

#include "base/arena.h"
#include "control/controller.h"
#include "mesh/endpoint.h"

/* Who asks, as its context token says. */
struct client_view {
    struct slice namespace_, node; /* "" unknown */
    struct slice zone;             /* of the node; "" unknown */
};

/*
 * Fills ret_endpoint for an address of a pod or workload (`backing`, NULL: of nothing known). With a client its zone is
 * compared with that of the endpoint; without one (NULL) the label `namespace` is added, since no set says it. Text is in
 * the arena or in the object, which the caller keeps.
 */
int describe_endpoint(const struct controller *controller, const struct kube_object *backing, struct addr addr,
                      struct slice zone, const struct client_view *client, struct arena *arena,
                      struct endpoint_info *ret_endpoint);
/*
 * Whether connections to this port of the pod or workload are opaque: by a Server, its annotation, or the default; of an
 * address of nothing known (NULL): the default.
 */
bool describe_is_opaque(const struct controller *controller, const struct kube_object *backing, uint16_t port);
/* The pod or workload that an endpoint of the Service's slices names; NULL: none that is known. */
const struct kube_object *describe_backing(const struct controller *controller, const struct kube_service *service,
                                           const struct kube_endpoint *endpoint);
struct slice describe_zone_of_node(const struct controller *controller, struct slice node);
