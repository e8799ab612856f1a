/*
 * The control plane in the world: the destination and policy components of src/control/ with their store, fed with
 * manifests as text; they listen as linkerd-controller does. It may stop and start anew, as a restarted process would.
 */
#pragma once

#include "control/controller.h"
#include "control/destination/destination.h"
#include "control/policy/policy.h"
#include "kube/directory/derive.h"
#include "kube/directory/directory.h"
#include "net/grpc/grpc_listener.h"
#include "sim/world.h"

struct sim_controller {
    struct controller controller;
    struct process *process;
    struct world_loop turned;
    struct derive *derive;
    struct reporter reporter;
    struct directory *directory;
    struct destination *destination;
    struct policy *policy;
    const struct grpc_service *services[3];
    struct grpc_listener *listeners[2];
    bool running;
};

/* The process is made once and used by every start. */
void sim_controller_start(struct sim_controller *controller, struct process *process);
/* What this file of the source says from now on; "": it is gone. A broken manifest ends the simulator. */
void sim_controller_apply(struct sim_controller *controller, const char *file, const char *text);
/* As the process ends by a signal: calls end, connections close. */
void sim_controller_stop(struct sim_controller *controller);
