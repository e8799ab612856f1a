/*
 * The component proxy-injector: a webhook (control/webhook/webhook.h) that answers by review.h, with the values and trust anchors of the
 * installation as the ConfigMaps linkerd-config and linkerd-identity-trust-roots have them. They are files, and followed: a change counts
 * for the next pod, one that cannot be used changes nothing and is logged. The anchors are followed at the API server too
 * (control/config_map.h): a pod must not be made with anchors older than those that identity has, and files are brought late.
 */
#pragma once

#include "control/controller.h"
#include "control/webhook/webhook.h"
#include "kube/api/api_client.h"

struct injector_service;

struct injector_settings {
    const char *values;        /* YAML file */
    const char *trust_anchors; /* PEM file; NULL: those of the values count */
    const char *anchors_map;   /* ConfigMap in the namespace of the control plane, whose ca-bundle.crt counts instead once it is known; or NULL */
};

/* The id of the first family of its metrics, or a negative errno. */
int injector_service_register(struct metrics *metrics);
/*
 * The client may be NULL: namespaces come from the store alone. Settings live as long as the service. Values that cannot be used are no
 * error here: it is not ready until they can. 0 or a negative errno with a sentence.
 */
int injector_service_new(struct controller *controller, struct api_client *client, const struct injector_settings *settings, int first_family,
                         struct errmsg *msg, struct injector_service **ret_service);
/* When its webhook is gone. NULL is allowed. */
void injector_service_free(struct injector_service *service);
/* Before a scrape. */
void injector_service_measure(struct injector_service *service);
const struct webhook_hook *injector_service_hook(const struct injector_service *service);
/* It has values by which it can answer, and anchors no older than the API server's, if that can tell. */
bool injector_service_is_ready(const struct injector_service *service);
