/*
 * The validating webhooks as components: sp-validator, which knows nothing of the cluster, and the validator of the policy component, which
 * looks at the store too. One webhook (control/webhook/webhook.h) that answers by validate.h at once.
 */
#pragma once

#include "control/controller.h"
#include "control/webhook/webhook.h"

struct validate_service;

/* The id of the first family of its metrics, or a negative errno. */
int validate_service_register(struct metrics *metrics);
/* `name` is for the log; the domain is empty where it is not known. 0 or -ENOMEM. */
int validate_service_new(struct controller *controller, const char *name, bool with_store, struct slice cluster_domain, int first_family,
                         struct validate_service **ret_service);
/* When its webhook is gone. NULL is allowed. */
void validate_service_free(struct validate_service *service);
const struct webhook_hook *validate_service_hook(const struct validate_service *service);
