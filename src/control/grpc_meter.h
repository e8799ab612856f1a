/*
 * The grpc_server_* metrics of a service: calls begun and ended, messages, time.
 *
 *     controller->grpc_families = grpc_meter_register(&controller->metrics)   before the first shard is made
 *     grpc_meter_new(controller, &service, &meter)                            observes the service from then on
 */
#pragma once

#include "control/controller.h"
#include "net/grpc/grpc.h"

struct grpc_meter;

/* The id of the first family, or a negative errno. */
int grpc_meter_register(struct metrics *metrics);
/* Fills the observer's members of `service`, whose methods must be there. 0 or -ENOMEM. */
int grpc_meter_new(struct controller *controller, struct grpc_service *service, struct grpc_meter **ret_meter);
void grpc_meter_free(struct grpc_meter *meter); /* NULL is allowed */
