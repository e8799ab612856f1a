/*
 * Makes the EndpointSlices of kube/directory/derive.h: what Kubernetes' endpoint slice
 * controllers would write for one Pod or ExternalWorkload of one Service, or
 * for one subset of an Endpoints object. Inside kube/ only.
 */
#pragma once

#include "kube/store.h"

enum { DERIVED_NAME_MAX = 254 };

struct derived_name {
    char text[DERIVED_NAME_MAX];
};

/* Holds a `~`, which no name that somebody wrote can. `family` is 4 or 6. */
struct derived_name derived_slice_name(struct slice service, enum kube_kind kind, struct slice target, int family);

/*
 * The slice of a Pod or ExternalWorkload. -ENOENT when there is none to make: the target has ended, has no address of
 * the family, the Service has none of that family, or none of its ports is one of the target's. -ENOMEM.
 */
int derived_slice_make(const struct store *store, const struct kube_service *service, const struct kube_object *target,
                       int family, struct kube_object **ret_slice);
/* The slice of one subset. -ENOENT when it has no address of the family. */
int derived_slice_mirror(const struct kube_endpoints *endpoints, size_t subset, int family,
                         struct kube_object **ret_slice);
bool derived_slice_is_mirror(const struct kube_endpoint_slice *slice);
/* False when the subset that it mirrors, by its number, is gone or has no address of the family left. */
bool derived_slice_still_mirrors(const struct kube_endpoint_slice *slice, const struct kube_endpoints *endpoints);
