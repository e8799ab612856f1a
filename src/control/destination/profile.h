/*
 * What an address or a name is, as GetProfile answers it: a Service with its
 * ServiceProfile, or one endpoint. Pure functions over the store.
 */
#pragma once

#include "control/cluster_host.h"
#include "control/controller.h"
#include "mesh/profile.h"

struct profile_question {
    const struct controller *controller;
    struct cluster_host target;
    struct slice client_ns; /* whose ServiceProfiles come first; "" unknown */
};

/* 0, or a negative errno and the gRPC status that says it. Text lies in objects of the store. */
int profile_build(const struct profile_question *question, int *ret_status, struct profile **ret_profile);
/* What stands behind an address: a pod, or else an external workload, or NULL. -EEXIST: more than one claims it. */
int profile_backing(struct store *store, struct addr addr, const struct kube_object **ret_workload);
