/*
 * The Kubernetes cluster that the components stand in: the access to its API
 * server, one client for all, and the source that fills the store
 * (kube/api/api_source.h).
 *
 *     cluster_new() -> components subscribe -> cluster_follow() -> cluster_free()
 */
#pragma once

#include "base/errmsg.h"
#include "control/controller.h"
#include "kube/api/api_source.h"

struct cluster;

/*
 * From a kubeconfig file, or a list of them (NULL: as a pod of the cluster finds it). 0 or a negative errno with a
 * sentence.
 */
int cluster_new(struct controller *controller, const char *kubeconfig, struct cluster **ret_cluster, struct errmsg *msg);
/* Before store and loop go. NULL is allowed. */
void cluster_free(struct cluster *cluster);
/*
 * Brings what the cluster has into the store. Components have subscribed: what none of them hears of is not read. The
 * reporter outlives the cluster. 0 or -ENOMEM.
 */
int cluster_follow(struct cluster *cluster, struct controller *controller, struct reporter *reporter);
struct api_client *cluster_client(const struct cluster *cluster);
/* For people: "https://10.96.0.1:443 (context \"admin\" of /root/.kube/config)". Lives as long as the cluster. */
const char *cluster_name(const struct cluster *cluster);
