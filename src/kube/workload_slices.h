/*
 * Which EndpointSlices there should be for the ExternalWorkloads of a Service,
 * and what is to be written so that there are: the decision of the controller
 * that Linkerd's destination has. Pure but for the store.
 *
 * Ours are the slices with the label endpointslice.kubernetes.io/managed-by of KUBE_SLICE_MANAGER; no other is ever written, also
 * not one that has lost that label. Of each address family that the Service has, workloads with the same ports share slices, at most
 * SLICE_ENDPOINTS in each:
 *
 *     name        linkerd-external-SERVICE-HASH, so that making one twice fails; those that Linkerd made keep theirs
 *     labels      those of the Service, kubernetes.io/service-name, managed-by, and service.kubernetes.io/headless
 *     owner       the Service
 *     ports       those of the Service that lead to one of the workload's ports
 *     endpoints   addresses of the family, conditions (ready: its condition Ready is True, or publishNotReadyAddresses), zone (label),
 *                 hostname (headless), targetRef
 *
 * A workload without such an address or without such a port is left out; so are addresses that the API refuses (loopback,
 * link-local), since they would keep the others from being written.
 *
 * As little is written as can be: an endpoint stays in the slice that it is in, new ones fill slices that are written anyway, a
 * slice that is no longer wanted is used for another set of ports before one is made. What others changed in ours is put right; labels, owners
 * and hints that others added are no reason to write, but go when something is.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "kube/store.h"

enum { SLICE_ENDPOINTS = 100, SLICE_NAME_MAX = 254 };

enum slice_action { SLICE_CREATE, SLICE_CHANGE, SLICE_DELETE };

struct slice_write {
    enum slice_action action;
    struct slice name, uid, version; /* uid and resourceVersion as the store has them; empty: to be made */
    /* Of SLICE_CREATE the object; of SLICE_CHANGE a merge patch without its beginning, see slice_write_patch(). */
    struct slice body;
};

/* What is made comes first, what is deleted last, so that no endpoint is missing in between. */
struct slice_plan {
    struct slice_write *writes;
    size_t count;
    uint64_t digest; /* of what is written: equal when the same is written again, which somebody undid */
};

/* For the Service of that name, which may be gone; an empty name: slices of nobody. Everything in the plan lives in the arena. 0 or -ENOMEM. */
int workload_slices_decide(const struct store *store, struct slice namespace_, struct slice service, struct arena *arena, struct slice_plan *ret_plan);
/* The merge patch of a SLICE_CHANGE, on top of this resourceVersion. */
void slice_write_patch(const struct slice_write *write, struct slice version, struct buffer *out);
