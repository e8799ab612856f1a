/*
 * What is known of one outbound destination (an original address): its profile
 * and its policy, from two streams that run beside each other, as one immutable
 * snapshot. Made in the control thread, used by workers.
 */
#pragma once

#include "mesh/endpoint_set.h"
#include "mesh/outbound_policy.h"
#include "mesh/profile.h"
#include "mesh/reason.h"
#include "mesh/snapshot.h"

/*
 * `policy` is always there unless `failure` says why it is not. Without an answer of the policy service that helps
 * (NotFound, Unimplemented) it is made from the profile's endpoint, or forwards to the original address.
 */
struct discovery {
    struct snapshot snapshot;
    struct profile *profile; /* NULL: none, or not asked for */
    struct outbound_policy *policy;
    enum reason failure;     /* REASON_NONE, or e.g. REASON_DISCOVERY_UNAVAILABLE */
};
SNAPSHOT(discovery);
/* The references in it go when it goes. Called once, when it is filled. 0, or -ENOMEM: the references were dropped. */
int discovery_own(struct discovery *discovery);

/*
 * A policy that forwards to the profile's endpoint, or without one (the profile may be NULL) to the address: what stands
 * in where the policy service knows nothing of it.
 */
int forward_policy_new(struct profile *profile, struct addr addr, struct outbound_policy **ret_policy);
