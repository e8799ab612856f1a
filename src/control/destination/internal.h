/* Internal to destination/: the component, and what its two methods share. */
#pragma once

#include "control/cluster_host.h"
#include "control/destination/answers.h"
#include "control/destination/describe.h"
#include "control/destination/destination.h"
#include "control/grpc_meter.h"
#include "control/views.h"

enum { DESTINATION_BYTES = 4096 }; /* of the queue of a call, for each update that may wait */

struct destination {
    struct controller *controller;
    struct subscriber subscriber;
    bool subscribed;
    struct views views; /* of both methods */
    struct answers answers; /* of Get */
    uint64_t surroundings; /* counts changes of what descriptions of all endpoints depend on: namespaces, Servers, zones of nodes */
    struct grpc_service service;
    struct grpc_meter *meter;
};

static inline struct destination *destination_of(const struct view *view)
{
    return CONTAINER_OF(view->views, struct destination, views);
}

void destination_get(struct grpc_server_call *call, void *destination, struct slice message);
void destination_get_profile(struct grpc_server_call *call, void *destination, struct slice message);
/* Calls of clients on a node that was in this zone end, as those of the new one see other endpoints. */
void destination_node_moved(struct destination *destination, struct slice node, struct slice old_zone);
