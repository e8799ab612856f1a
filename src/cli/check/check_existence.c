/* What `linkerd check` says of the control plane's pods, and of the networks that it takes for the cluster's. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/ip.h"
#include "cli/chart/values.h"
#include "cli/check/check_cluster.h"
#include "cli/check/check_objects.h"
#include "cli/cluster/pods.h"

static const char *const components[] = {"identity", "destination", "proxy-injector"};
enum { COMPONENTS = sizeof(components) / sizeof(components[0]), NETWORKS_MAX = 64 };

#define COMPONENT "linkerd.io/control-plane-component"

static const char *component_of(const json_t *object)
{
    const char *name = json_string_value(json_object_get(json_at(object, "metadata.labels"), COMPONENT));

    return name ? name : "";
}

static int test_config(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    json_t *object, *values;
    int r = cluster_get(cluster, why, &object, "/api/v1/namespaces/%s/configmaps/linkerd-config", cluster->namespace_);

    if (r < 0)
        return r;
    r = values_read(slice_str(json_text(object, "data.values")), "ConfigMap linkerd-config", NUMBERS_AS_WRITTEN, why, &values);
    json_decref(object);
    if (r < 0)
        return r;
    if (!json_object_size(values)) {
        json_decref(values);
        return errmsg_set(why, -EINVAL, "the ConfigMap linkerd-config has no values");
    }
    json_decref(cluster->values);
    cluster->values = values;
    return 0;
}

static const struct expected heartbeat_account = {"/api/v1/namespaces/%s/serviceaccounts", {NULL}, "linkerd-heartbeat"};

/* --- pods --- */

struct sets {
    struct culprits culprits;
    bool seen[COMPONENTS];
};

static int look_at_set(void *owner, json_t *set, struct errmsg *msg)
{
    struct sets *sets = owner;
    json_int_t wanted = json_integer_value(json_at(set, "spec.replicas")), ready = json_integer_value(json_at(set, "status.readyReplicas"));

    if (wanted == 0)
        return 0; /* of an earlier version */
    for (size_t i = 0; i < COMPONENTS; i++)
        sets->seen[i] |= strcmp(component_of(set), components[i]) == 0;
    if (ready < wanted)
        culprits_add(&sets->culprits, "%s has %lld of %lld pods ready", json_text(set, "metadata.name"), (long long)ready, (long long)wanted);
    return 0;
}

static int test_sets(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct sets sets = {0};
    int r = cluster_each(cluster, look_at_set, &sets, why, "/apis/apps/v1/namespaces/%s/replicasets?labelSelector=" SELECT_CONTROL_FORMAT, cluster->namespace_);

    for (size_t i = 0; i < COMPONENTS; i++)
        if (!sets.seen[i])
            culprits_add(&sets.culprits, "there is none of %s", components[i]);
    return r < 0 ? r : culprits_end(&sets.culprits, "", why);
}

static int look_for_place(void *owner, json_t *pod, struct errmsg *msg)
{
    json_t *condition;
    size_t i;

    json_array_foreach (json_at(pod, "status.conditions"), i, condition)
        if (strcmp(json_text(condition, "type"), "PodScheduled") == 0 && strcmp(json_text(condition, "reason"), "Unschedulable") == 0)
            culprits_add(owner, "%s: %s", POD_NAME(pod), json_text(condition, "message"));
    return 0;
}

static int test_scheduled(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    int r = pods_each(cluster->kube, cluster->namespace_, SELECT_CONTROL, look_for_place, &culprits, why);

    return r < 0 ? r : culprits_end(&culprits, "no node takes ", why);
}

static void add_unready(const json_t *pod, struct culprits *culprits)
{
    json_t *container;
    size_t i;

    json_array_foreach (json_object_get(pod, "containers"), i, container)
        if (!json_is_true(json_object_get(container, "ready"))) {
            culprits_add(culprits, "%s: the container %s is not ready", POD_NAME(pod), json_text(container, "name"));
            return;
        }
    culprits_add(culprits, "%s is not ready", POD_NAME(pod));
}

/* As replicas that are replaced come and go, one pod of each component is what must be there. */
static int test_pods(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    bool ready[COMPONENTS] = {false};
    json_t *pods, *pod;
    size_t i;
    int r = pods_list(cluster->kube, cluster->namespace_, SELECT_CONTROL, why, &pods);

    if (r < 0)
        return r;
    json_array_foreach (pods, i, pod) {
        if (!pod_is_ready(pod))
            add_unready(pod, &culprits);
        for (size_t k = 0; k < COMPONENTS; k++)
            ready[k] |= pod_is_ready(pod) && strcmp(component_of(pod), components[k]) == 0;
    }
    json_decref(pods);
    for (size_t k = 0; k < COMPONENTS && culprits.count == 0; k++)
        if (!ready[k])
            culprits_add(&culprits, "no pod of %s is there", components[k]);
    return culprits_end(&culprits, "", why);
}

/* --- networks --- */

struct networks {
    struct culprits culprits;
    struct cidr items[NETWORKS_MAX];
    size_t count;
    bool only_four; /* IPv6 addresses do not matter */
    unsigned seen;
};

static int read_networks(const struct cluster *cluster, struct networks *networks, struct errmsg *why)
{
    struct slice rest = slice_str(cluster_value(cluster, "clusterNetworks")), one;

    networks->only_four = cluster_value_is(cluster, "disableIPv6");
    while (slice_split(&rest, ',', &one))
        if (networks->count == NETWORKS_MAX || cidr_parse(slice_trim(one), &networks->items[networks->count++]) < 0)
            return errmsg_set(why, -EINVAL, "clusterNetworks: \"%.*s\" is no network, or one too many", SLICE_ARGS(one));
    return 0;
}

/* `prefix`: of the network that is to lie in one of them. */
static void look_for_network(struct networks *networks, struct ip ip, uint8_t prefix, const char *what, const char *name, const char *text)
{
    networks->seen++;
    if (ip.version == 6 && networks->only_four)
        return;
    for (size_t i = 0; i < networks->count; i++)
        if (networks->items[i].prefix <= prefix && cidr_contains(networks->items[i], ip))
            return;
    culprits_add(&networks->culprits, "%s of %s %s", text, what, name);
}

static int look_at_node(void *owner, json_t *node, struct errmsg *msg)
{
    json_t *text;
    size_t i;

    json_array_foreach (json_at(node, "spec.podCIDRs"), i, text) {
        const char *cidr = json_string_value(text);
        struct cidr network;

        if (cidr && cidr_parse(slice_str(cidr), &network) == 0)
            look_for_network(owner, network.ip, network.prefix, "the node", json_text(node, "metadata.name"), cidr);
    }
    return 0;
}

static int look_at_pod(void *owner, json_t *pod, struct errmsg *msg)
{
    json_t *item;
    size_t i;

    json_array_foreach (json_at(pod, "status.podIPs"), i, item) {
        const char *text = json_text(item, "ip");
        char name[520];
        struct ip ip;

        snprintf(name, sizeof(name), "%s/%s", POD_NAMESPACE(pod), POD_NAME(pod));
        if (!json_is_true(json_at(pod, "spec.hostNetwork")) && ip_parse(slice_str(text), &ip) == 0)
            look_for_network(owner, ip, 128, "the pod", name, text);
    }
    return 0;
}

static int look_at_service(void *owner, json_t *service, struct errmsg *msg)
{
    json_t *item;
    size_t i;

    json_array_foreach (json_at(service, "spec.clusterIPs"), i, item) {
        const char *text = json_string_value(item);
        char name[520];
        struct ip ip;

        snprintf(name, sizeof(name), "%s/%s", json_text(service, "metadata.namespace"), json_text(service, "metadata.name"));
        if (text && ip_parse(slice_str(text), &ip) == 0)
            look_for_network(owner, ip, 128, "the service", name, text);
    }
    return 0;
}

static int end_networks(const struct networks *networks, int r, struct errmsg *why)
{
    if (r < 0)
        return r;
    return networks->seen ? culprits_end(&networks->culprits, "clusterNetworks does not hold ", why) : ROW_SKIP;
}

static int test_node_networks(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct networks networks = {.count = 0};
    int r = read_networks(cluster, &networks, why);

    return end_networks(&networks, r < 0 ? r : cluster_each(cluster, look_at_node, &networks, why, "/api/v1/nodes"), why);
}

static int test_pod_networks(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct networks networks = {.count = 0};
    int r = read_networks(cluster, &networks, why);

    return end_networks(&networks, r < 0 ? r : pods_each(cluster->kube, "", "", look_at_pod, &networks, why), why);
}

static int test_service_networks(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct networks networks = {.count = 0};
    int r = read_networks(cluster, &networks, why);

    return end_networks(&networks, r < 0 ? r : cluster_each(cluster, look_at_service, &networks, why, "/api/v1/services"), why);
}

const struct cluster_row check_existence_rows[] = {
    {"l5d-existence-linkerd-config", "the ConfigMap linkerd-config is there, and can be read", ROW_FATAL, test_config},
    {"l5d-existence-sa", "the heartbeat's ServiceAccount is there", ROW_FATAL, test_expected, &heartbeat_account},
    {"l5d-existence-replicasets", "the control plane's ReplicaSets are ready", ROW_FATAL | ROW_RETRIES, test_sets},
    {"l5d-existence-unschedulable-pods", "every pod of the control plane has a node", ROW_WARNS | ROW_RETRIES, test_scheduled},
    {"l5d-api-control-ready", "the control plane's pods are ready", ROW_FATAL | ROW_RETRIES, test_pods},
    {"l5d-cluster-networks-cidr", "clusterNetworks holds the nodes' networks of pods", 0, test_node_networks},
    {"l5d-cluster-networks-pods", "clusterNetworks holds the pods' addresses", 0, test_pod_networks},
    {"l5d-cluster-networks-pods", "clusterNetworks holds the services' addresses", 0, test_service_networks},
};

/* --- several replicas --- */

static bool is_ha(const struct cluster *cluster)
{
    return cluster_value_is(cluster, "highAvailability");
}

static int test_replicas(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    unsigned ready[COMPONENTS] = {0};
    json_t *pods, *pod;
    size_t i;
    int r = is_ha(cluster) ? pods_list(cluster->kube, cluster->namespace_, SELECT_CONTROL, why, &pods) : ROW_SKIP;

    if (r != 0)
        return r;
    json_array_foreach (pods, i, pod)
        for (size_t k = 0; k < COMPONENTS; k++)
            ready[k] += pod_is_ready(pod) && strcmp(component_of(pod), components[k]) == 0;
    json_decref(pods);
    for (size_t k = 0; k < COMPONENTS; k++)
        if (ready[k] < 2)
            culprits_add(&culprits, "%s has %u", components[k], ready[k]);
    return culprits_end(&culprits, "fewer than two pods are ready: ", why);
}

static int test_spread(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    json_t *pods, *pod, *seen = NULL;
    size_t i;
    int r = is_ha(cluster) ? pods_list(cluster->kube, cluster->namespace_, SELECT_CONTROL, why, &pods) : ROW_SKIP;

    if (r != 0)
        return r;
    seen = json_object();
    json_array_foreach (pods, i, pod) {
        const char *node = json_text(pod, "spec.nodeName");
        char key[600];

        snprintf(key, sizeof(key), "%s on %s", component_of(pod), node);
        if (*node && json_object_get(seen, key))
            culprits_add(&culprits, "%s", key);
        json_object_set_new(seen, key, json_true());
    }
    json_decref(seen);
    json_decref(pods);
    return culprits_end(&culprits, "more than one pod of a component runs on one node: ", why);
}

/* True when an expression says that namespaces of this label are not asked about. */
static bool spares_kube_system(const json_t *webhook, const json_t *labels)
{
    json_t *expression, *value;
    size_t i, k;

    json_array_foreach (json_at(webhook, "namespaceSelector.matchExpressions"), i, expression) {
        const char *label = json_string_value(json_object_get(labels, json_text(expression, "key")));

        if (strcmp(json_text(expression, "operator"), "DoesNotExist") == 0 && label)
            return true;
        if (strcmp(json_text(expression, "operator"), "NotIn") != 0 || !label)
            continue;
        json_array_foreach (json_object_get(expression, "values"), k, value)
            if (json_string_value(value) && strcmp(json_string_value(value), label) == 0)
                return true;
    }
    return false;
}

/* A webhook that must answer, and is asked about the pods that it needs itself, can lock a cluster. */
static int test_kube_system(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    json_t *config = NULL, *namespace_ = NULL, *webhook;
    bool locked = false;
    size_t i;
    int r = is_ha(cluster) ? 0 : ROW_SKIP;

    if (r == 0)
        r = cluster_get(cluster, why, &config, "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations/linkerd-proxy-injector-webhook-config");
    if (r == 0)
        r = cluster_get(cluster, why, &namespace_, "/api/v1/namespaces/kube-system");
    json_array_foreach (json_object_get(config, "webhooks"), i, webhook)
        locked |= strcmp(json_text(webhook, "failurePolicy"), "Fail") == 0 && !spares_kube_system(webhook, json_at(namespace_, "metadata.labels"));
    json_decref(config);
    json_decref(namespace_);
    if (r == 0 && locked)
        r = errmsg_set(why, -EBADMSG, "no pod of kube-system could start while the injector is down; label it config.linkerd.io/admission-webhooks=disabled");
    return r;
}

const struct cluster_row check_ha_rows[] = {
    {"l5d-injection-disabled", "the injector is not asked about kube-system", ROW_WARNS, test_kube_system},
    {"l5d-control-plane-replicas", "every component has several pods", ROW_WARNS | ROW_RETRIES, test_replicas},
    {"l5d-control-plane-spread", "the pods of a component run on different nodes", ROW_WARNS, test_spread},
};
