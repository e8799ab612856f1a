/*
 * The destination component: Destination.Get (endpoints of a service port) and
 * Destination.GetProfile (what an address or name is), from the store.
 *
 * Calls that ask for the same thing share one view: what it is now, encoded once.
 * A change in the store marks the views that it touches; at the end of the turn
 * each of them is made anew and only what differs is sent. A call whose peer does
 * not read is ended when more than options.queue_capacity updates wait, and its
 * proxy comes back for a fresh start.
 *
 * Service names are told from addresses and answered as docs/controller.md says;
 * the first answer always comes at once.
 */
#pragma once

#include "control/controller.h"
#include "net/grpc/grpc.h"

struct destination;

int destination_new(struct controller *controller, struct destination **ret_destination);
const struct grpc_service *destination_service(struct destination *destination);
/* Ends all calls with OK: the process shuts down. */
void destination_end_calls(struct destination *destination);
/* The listener has been freed: no calls are left. NULL is allowed. */
void destination_free(struct destination *destination);
