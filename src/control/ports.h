/*
 * What is configured for a port of a workload (a Pod or an ExternalWorkload) or
 * of a Service: by annotations, by Servers, by the controller's flags. Pure
 * functions over the store.
 */
#pragma once

#include "control/controller.h"

/* "25,3306,8000-8100" has the port. Parts that are no ports are skipped. */
bool ports_text_has(struct slice text, uint16_t port);
/* The same, and a part that is a name stands for the workload's ports of that name. */
bool ports_workload_text_has(const struct kube_object *workload, struct slice text, uint16_t port);

/* The annotation of the object, else that of its namespace (which an injector would have copied); .ptr NULL: neither. */
struct slice ports_annotation(const struct controller *controller, const struct kube_object *object, struct slice key);

/* The controller's default list has it. */
bool ports_default_is_opaque(const struct controller *controller, uint16_t port);
/* A port of a Service or an EgressNetwork is opaque by its annotation, that of its namespace, or the default. */
bool ports_service_is_opaque(const struct controller *controller, const struct kube_object *service, uint16_t port);
/* The same for a port of a workload, Servers left aside. */
bool ports_workload_is_opaque(const struct controller *controller, const struct kube_object *workload, uint16_t port);

/* Whether the Server's selector has the workload, whatever the port. */
bool ports_server_selects(const struct kube_server *server, const struct kube_object *workload);
/*
 * The Server of a workload's port, or NULL. The oldest one that selects it; ret_ignored (may be NULL) becomes the
 * second, which has no effect on this port, or NULL.
 */
const struct kube_server *ports_server(const struct controller *controller, const struct kube_object *workload, uint16_t port,
                                       const struct kube_server **ret_ignored);
