/* What `linkerd check` says of proxies in a cluster, and of versions. Only parts of the mesh are compared with each other; nobody outside is asked. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/check/check_cluster.h"
#include "cli/cluster/pods.h"

static const char *own_version(const struct cluster *cluster)
{
    return *cluster->options->cli_version ? cluster->options->cli_version : CLINKERD_VERSION;
}

static const char *expected_version(const struct cluster *cluster)
{
    return cluster->options->expected_version;
}

static int test_cli_expected(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    if (!*expected_version(cluster))
        return ROW_SKIP;
    if (strcmp(own_version(cluster), expected_version(cluster)) == 0)
        return 0;
    return errmsg_set(why, -EBADMSG, "it is %s, and %s is expected", own_version(cluster), expected_version(cluster));
}

const struct cluster_row check_cli_version_rows[] = {
    {"l5d-version-cli", "this program has the expected version", ROW_WARNS, test_cli_expected},
};

/* --- the control plane's --- */

static int test_control_known(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    if (*cluster_value(cluster, "linkerdVersion"))
        return 0;
    return errmsg_set(why, -ENOENT, "the values in the ConfigMap linkerd-config name no linkerdVersion");
}

static int test_control_expected(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    const char *version = cluster_value(cluster, "linkerdVersion");

    if (!*expected_version(cluster))
        return ROW_SKIP;
    if (strcmp(version, expected_version(cluster)) == 0)
        return 0;
    return errmsg_set(why, -EBADMSG, "it is %s, and %s is expected", version, expected_version(cluster));
}

static int test_control_cli(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    const char *version = cluster_value(cluster, "linkerdVersion");

    if (strcmp(version, own_version(cluster)) == 0)
        return 0;
    return errmsg_set(why, -EBADMSG, "the control plane is %s, this program is %s", version, own_version(cluster));
}

const struct cluster_row check_control_version_rows[] = {
    {"l5d-version-control", "the control plane's version is known", ROW_FATAL | ROW_RETRIES, test_control_known},
    {"l5d-version-control", "the control plane has the expected version", ROW_WARNS, test_control_expected},
    {"l5d-version-control", "the control plane and this program have the same version", ROW_WARNS, test_control_cli},
};

/* --- proxies, of the control plane and of others --- */

enum whose { CONTROL_PLANE, DATA_PLANE };

static const enum whose control_plane = CONTROL_PLANE, data_plane = DATA_PLANE;

static int each_meshed(struct cluster *cluster, const struct cluster_row *row, kube_each *each, void *owner, struct errmsg *why)
{
    enum whose whose = *(const enum whose *)row->about;
    char selector[512];

    if (whose == CONTROL_PLANE)
        return pods_each(cluster->kube, cluster->namespace_, SELECT_CONTROL, each, owner, why);
    snprintf(selector, sizeof(selector), SELECT_MESHED, cluster->namespace_);
    return pods_each(cluster->kube, cluster->options->namespace_, selector, each, owner, why);
}

struct proxies {
    struct culprits culprits;
    unsigned count;
    const char *version; /* that they should have */
};

static int look_if_ready(void *owner, json_t *pod, struct errmsg *msg)
{
    struct proxies *proxies = owner;
    json_t *proxy = json_object_get(pod, "proxy");

    proxies->count++;
    if (!proxy)
        culprits_add(&proxies->culprits, "%s/%s has no proxy", POD_NAMESPACE(pod), POD_NAME(pod));
    else if (!json_is_true(json_object_get(proxy, "ready")))
        culprits_add(&proxies->culprits, "that of %s/%s", POD_NAMESPACE(pod), POD_NAME(pod));
    return 0;
}

static int test_ready(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct proxies proxies = {.count = 0};
    int r = each_meshed(cluster, row, look_if_ready, &proxies, why);

    if (r == 0 && proxies.count == 0)
        r = errmsg_set(why, -ENOENT, "there are no pods with a proxy%s%s", *cluster->options->namespace_ ? " in the namespace " : "", cluster->options->namespace_);
    return r < 0 ? r : culprits_end(&proxies.culprits, "not ready: ", why);
}

static int look_at_version(void *owner, json_t *pod, struct errmsg *msg)
{
    struct proxies *proxies = owner;
    const char *version = pod_proxy_version(pod);

    if (json_object_get(pod, "proxy") && strcmp(version, proxies->version) != 0)
        culprits_add(&proxies->culprits, "%s/%s (%s)", POD_NAMESPACE(pod), POD_NAME(pod), *version ? version : "unknown");
    return 0;
}

static int compare_versions(struct cluster *cluster, const struct cluster_row *row, const char *version, struct errmsg *why)
{
    struct proxies proxies = {.version = version};
    char text[200];
    int r = each_meshed(cluster, row, look_at_version, &proxies, why);

    snprintf(text, sizeof(text), "not %s: ", version);
    return r < 0 ? r : culprits_end(&proxies.culprits, text, why);
}

static int test_proxies_expected(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    return *expected_version(cluster) ? compare_versions(cluster, row, expected_version(cluster), why) : ROW_SKIP;
}

static int test_proxies_cli(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    return compare_versions(cluster, row, own_version(cluster), why);
}

const struct cluster_row check_control_proxy_rows[] = {
    {"l5d-cp-proxy-healthy", "the control plane's proxies are ready", ROW_FATAL | ROW_RETRIES, test_ready, &control_plane},
    {"l5d-cp-proxy-version", "the control plane's proxies have the expected version", ROW_WARNS, test_proxies_expected, &control_plane},
    {"l5d-cp-proxy-cli-version", "the control plane's proxies and this program have the same version", ROW_WARNS, test_proxies_cli, &control_plane},
};

/* --- the data plane --- */

static int test_namespace(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    json_t *object;
    int r;

    if (!*cluster->options->namespace_)
        return 0;
    r = cluster_get(cluster, why, &object, "/api/v1/namespaces/%s", cluster->options->namespace_);
    if (r == 0)
        json_decref(object);
    return r;
}

static bool is_annotation_of_ours(const char *name)
{
    return strncmp(name, "config.linkerd.io/", 18) == 0 || strncmp(name, "config.alpha.linkerd.io/", 24) == 0 || strcmp(name, "linkerd.io/inject") == 0;
}

static void complain_of_keys(json_t *map, bool opaque_ports_are_fine, const json_t *object, struct culprits *culprits)
{
    const char *name;
    json_t *value;

    json_object_foreach (map, name, value)
        if (is_annotation_of_ours(name) && !(opaque_ports_are_fine && strcmp(name, "config.linkerd.io/opaque-ports") == 0))
            culprits_add(culprits, "%s of %s/%s", name, json_text(object, "metadata.namespace"), json_text(object, "metadata.name"));
}

static int look_at_labels(void *owner, json_t *object, struct errmsg *msg)
{
    complain_of_keys(json_at(object, "metadata.labels"), false, object, owner);
    return 0;
}

static int look_at_annotations(void *owner, json_t *object, struct errmsg *msg)
{
    complain_of_keys(json_at(object, "metadata.annotations"), true, object, owner);
    return 0;
}

static int each_service(struct cluster *cluster, kube_each *each, void *owner, struct errmsg *why)
{
    const char *namespace_ = cluster->options->namespace_;

    return *namespace_ ? cluster_each(cluster, each, owner, why, "/api/v1/namespaces/%s/services", namespace_)
                       : cluster_each(cluster, each, owner, why, "/api/v1/services");
}

static int test_pod_labels(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    int r = pods_each(cluster->kube, cluster->options->namespace_, "", look_at_labels, &culprits, why);

    return r < 0 ? r : culprits_end(&culprits, "these labels do nothing, they are meant as annotations: ", why);
}

static int test_service_labels(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    int r = each_service(cluster, look_at_labels, &culprits, why);

    return r < 0 ? r : culprits_end(&culprits, "these labels do nothing, they are meant as annotations: ", why);
}

static int test_service_annotations(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    int r = each_service(cluster, look_at_annotations, &culprits, why);

    return r < 0 ? r : culprits_end(&culprits, "these annotations do nothing on a Service, they are meant for pods or namespaces: ", why);
}

const struct cluster_row check_data_rows[] = {
    {"l5d-data-plane-exists", "the namespace is there", ROW_FATAL, test_namespace},
    {"l5d-data-plane-ready", "the proxies are ready", ROW_FATAL | ROW_RETRIES, test_ready, &data_plane},
    {"l5d-data-plane-version", "the proxies have the expected version", ROW_WARNS, test_proxies_expected, &data_plane},
    {"l5d-data-plane-cli-version", "the proxies and this program have the same version", ROW_WARNS, test_proxies_cli, &data_plane},
    {"l5d-data-plane-pod-labels", "no annotation was written as a label of a pod", ROW_WARNS, test_pod_labels},
    {"l5d-data-plane-services-labels", "no annotation was written as a label of a service", ROW_WARNS, test_service_labels},
    {"l5d-data-plane-services-annotations", "services have no annotations that are meant for pods", ROW_WARNS, test_service_annotations},
    {"linkerd-opaque-ports-definition", "services and their pods agree on opaque ports", ROW_WARNS, test_opaque_ports},
};
