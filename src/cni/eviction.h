/*
 * The request that evicts a pod (policy/v1), or deletes it: this state of this pod and no other. One that has changed since is answered with 409,
 * one that is gone, or another of its name, with 404 or 409; a disruption budget that is used up with 429.
 */
#pragma once

#include "kube/api/api_client.h"
#include "kube/objects.h"

/* As api_call_start(). */
int eviction_start(struct api_client *client, const struct kube_object *pod, bool deletes, const struct api_call_events *events, void *owner,
                   struct api_call **ret_call);
