/*
 * What `linkerd install` and `linkerd upgrade` want to know of a cluster before they print anything. Each question is a sentence when the
 * answer is no: what is there, what is needed, what to type.
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "cli/cluster/kube.h"

/* The oldest Kubernetes that this program installs on: sidecars are containers of Kubernetes from here. */
enum { KUBERNETES_MAJOR = 1, KUBERNETES_MINOR = 29 };

/* The answer of /version: 0, -ENOTSUP (too old), -EPROTO (it does not say). Pure. */
int cluster_version_check(const json_t *version, struct errmsg *msg);

/* Whether the cluster is new enough. Also the first question, so -ECONNREFUSED and the like come from here. */
int cluster_check_version(struct kube *kube, struct errmsg *msg);
/* Whether all definitions are there that the control plane reads (not those of the Gateway API). -ENOENT: which are not, and what to type. */
int cluster_check_definitions(struct kube *kube, struct errmsg *msg);
/* -EEXIST when there is an installation in the namespace. */
int cluster_check_no_installation(struct kube *kube, const char *namespace_, struct errmsg *msg);

/* A definition of the Gateway API that the cluster has and that we did not bring; "" in *ret_name: none. */
int cluster_foreign_gateway(struct kube *kube, struct errmsg *msg, char *ret_name, size_t size);

/* A name that a namespace can have (RFC 1123's label), since it becomes part of paths and selectors. -EINVAL. Pure. */
int namespace_check(const char *name, struct errmsg *msg);
/* "/api/v1/namespaces/NAMESPACE/PLURAL/NAME", borrowed from `out`. */
const char *cluster_path(char out[static 512], const char *namespace_, const char *plural, const char *name);
