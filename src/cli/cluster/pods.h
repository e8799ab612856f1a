/*
 * Pods of a cluster as commands look at them, trees of jansson: only what is needed of each, since there may be very many.
 *
 *     {metadata: {namespace, name, labels, annotations, ownerReferences}, spec: {nodeName, hostNetwork, serviceAccountName},
 *      status: {phase, podIPs, conditions}, containers: [{name, image, ports, ready}], proxy: {...}}
 *
 * `containers` has the init containers too. `proxy`, of meshed pods alone, is the container linkerd-proxy with its `env`. Pods that have
 * ended are left out.
 */
#pragma once

#include "cli/cluster/kube.h"

enum { PROXY_ADMIN_PORT = 4191 };

/* `namespace_` "" : all; `selector` in the form of a URL ("app%3Dweb"), "": all. *ret_pods: an array. Errors as kube_list(). */
int pods_list(struct kube *kube, const char *namespace_, const char *selector, struct errmsg *msg, json_t **ret_pods);
/* The same of one at a time, without keeping any. */
int pods_each(struct kube *kube, const char *namespace_, const char *selector, kube_each *each, void *owner, struct errmsg *msg);
/*
 * The pods of what a user names: "NAME", "po/NAME", "deploy/NAME" and the like, "ns/NAME". -EINVAL for what has no pods; -ENOENT when it is
 * not there, or has none.
 */
int pods_of(struct kube *kube, const char *namespace_, const char *resource, struct errmsg *msg, json_t **ret_pods);
/* One by its name. */
int pod_get(struct kube *kube, const char *namespace_, const char *name, struct errmsg *msg, json_t **ret_pod);

/* Members along a path of names with dots, borrowed; NULL, "" when one is missing or of another type. */
json_t *json_at(const json_t *object, const char *path);
const char *json_text(const json_t *object, const char *path);

#define POD_NAMESPACE(pod) json_text((pod), "metadata.namespace")
#define POD_NAME(pod) json_text((pod), "metadata.name")
bool pod_is_ready(const json_t *pod);
/* The container's port of this name, or 0. */
uint16_t container_port(const json_t *container, const char *name);
/* The admin port of the pod's proxy. */
uint16_t pod_proxy_admin(const json_t *pod);
/* The version of its proxy: of the annotation linkerd.io/proxy-version, else the tag of the image; "" when there is none. */
const char *pod_proxy_version(const json_t *pod);
/* The version of an image: its tag or digest; "" without. */
const char *image_version(const char *image);
/* Escapes what must not stand in a query as it is. */
void add_query_escaped(struct buffer *to, const char *text);
