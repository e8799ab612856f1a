/*
 * The policy component: InboundServerPolicies (what may reach a workload's port)
 * and OutboundPolicies (how traffic to a destination is routed), from the store.
 *
 * As in destination/: calls that ask for the same share a view, a change marks
 * the views that it may touch, and those that then differ are sent whole. The
 * first answer always comes at once. docs/controller.md says what is answered.
 */
#pragma once

#include "control/controller.h"
#include "net/grpc/grpc.h"

struct policy;

int policy_new(struct controller *controller, struct policy **ret_policy);
/* Two services, in this order: inbound, outbound. */
const struct grpc_service *policy_inbound_service(struct policy *policy);
const struct grpc_service *policy_outbound_service(struct policy *policy);
/* Ends all calls with OK: the process shuts down. */
void policy_end_calls(struct policy *policy);
/* The listener has been freed. NULL is allowed. */
void policy_free(struct policy *policy);
