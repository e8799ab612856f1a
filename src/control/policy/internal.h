/* Internal to policy/: the component, and what its parts say to one another. */
#pragma once

#include "control/grpc_meter.h"
#include "control/policy/build.h"
#include "control/policy/policy.h"
#include "control/views.h"

enum { POLICY_BYTES = 16 * 1024 }; /* of the queue of a call, for each update that may wait */

struct policy {
    struct controller *controller;
    struct subscriber subscriber;
    bool subscribed;
    struct views views;
    struct grpc_service inbound, outbound;
    struct grpc_meter *inbound_meter, *outbound_meter;
};

void policy_get_port(struct grpc_server_call *call, void *policy, struct slice message);
void policy_watch_port(struct grpc_server_call *call, void *policy, struct slice message);
void policy_get_target(struct grpc_server_call *call, void *policy, struct slice message);
void policy_watch_target(struct grpc_server_call *call, void *policy, struct slice message);
/* Touches the views of the workloads that it selects. */
void policy_server_changed(struct policy *policy, const struct kube_server *server);
