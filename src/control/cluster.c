#include "control/cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kube/access/kubeconfig.h"

struct cluster {
    struct kube_access access;
    struct api_client *client;
    struct api_source *source;
    char name[512];
};

static int read_access(struct cluster *cluster, const char *kubeconfig, struct errmsg *msg)
{
    if (kubeconfig)
        return kubeconfig_load(kubeconfig, SLICE_LIT(""), &cluster->access, msg);
    return kube_access_in_pod(getenv("KUBERNETES_SERVICE_HOST"), getenv("KUBERNETES_SERVICE_PORT"), KUBE_POD_DIRECTORY, &cluster->access, msg);
}

/* Credentials that cannot be used now would not be usable later either: better said at the start. */
static int check_access(struct cluster *cluster, struct sys *sys, struct errmsg *msg)
{
    struct tls_context *tls = NULL;
    struct buffer authorization;
    int r = kube_access_tls(&cluster->access, sys, &tls, msg);

    tls_context_unref(tls);
    buffer_init(&authorization, LIMIT_TOKEN + 64);
    if (r == 0)
        r = kube_access_authorization(&cluster->access, &authorization, msg);
    buffer_release(&authorization);
    return r;
}

int cluster_new(struct controller *controller, const char *kubeconfig, struct cluster **ret_cluster, struct errmsg *msg)
{
    struct cluster *cluster = calloc(1, sizeof(*cluster));
    int r;

    if (!cluster)
        return -ENOMEM;
    r = read_access(cluster, kubeconfig, msg);
    if (r == 0) {
        snprintf(cluster->name, sizeof(cluster->name), "%.*s (%.*s)", SLICE_ARGS(cluster->access.server), SLICE_ARGS(cluster->access.origin));
        r = check_access(cluster, controller->sys, msg);
    }
    if (r == 0)
        r = api_client_new(&controller->loop, &cluster->access, &cluster->client);
    if (r < 0) {
        cluster_free(cluster);
        return r;
    }
    *ret_cluster = cluster;
    return 0;
}

void cluster_free(struct cluster *cluster)
{
    if (!cluster)
        return;
    api_source_free(cluster->source);
    api_client_free(cluster->client);
    kube_access_release(&cluster->access);
    free(cluster);
}

int cluster_follow(struct cluster *cluster, struct controller *controller, struct reporter *reporter)
{
    return api_source_new(cluster->client, controller->store, store_kinds(controller->store), reporter, &cluster->source);
}

struct api_client *cluster_client(const struct cluster *cluster)
{
    return cluster->client;
}

const char *cluster_name(const struct cluster *cluster)
{
    return cluster->name;
}
