/*
 * Whether services and the pods behind them agree on opaque ports: a client's proxy asks for the service, the server's looks at its
 * pod. Where neither has the annotation there is nothing that a user said twice.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/check/check_cluster.h"
#include "cli/cluster/pods.h"

struct opaque {
    struct cluster *cluster;
    struct culprits culprits;
    json_t *pods; /* meshed ones */
};

static const char *annotation(const json_t *object)
{
    return json_string_value(json_object_get(json_at(object, "metadata.annotations"), "config.linkerd.io/opaque-ports"));
}

/* "25,3306,8000-8010,mysql"; a name counts where the port has it. */
static bool lists(const char *list, json_int_t port, const char *name)
{
    struct slice rest = slice_str(list), one;

    while (slice_split(&rest, ',', &one)) {
        uint64_t first, last;
        struct slice range;

        one = slice_trim(one);
        if (*name && slice_eq(one, slice_str(name)))
            return true;
        range = slice_take(one, slice_find(one, '-'));
        if (slice_u64(slice_trim(range), UINT16_MAX, &first) < 0)
            continue;
        last = first;
        if (range.len < one.len && slice_u64(slice_trim(slice_skip(one, range.len + 1)), UINT16_MAX, &last) < 0)
            continue;
        if ((uint64_t)port >= first && (uint64_t)port <= last)
            return true;
    }
    return false;
}

static bool selects(json_t *selector, const json_t *pod)
{
    const char *name;
    json_t *value;

    json_object_foreach (selector, name, value)
        if (!json_equal(json_object_get(json_at(pod, "metadata.labels"), name), value))
            return false;
    return json_object_size(selector) > 0;
}

struct target {
    json_int_t port;
    const char *name;
};

/* What the service's port is at the pod; port 0: nothing. */
static struct target target_of(const json_t *port, const json_t *pod)
{
    json_t *wanted = json_object_get(port, "targetPort"), *container, *one;
    size_t i, k;

    if (!wanted)
        wanted = json_object_get(port, "port");
    json_array_foreach (json_object_get(pod, "containers"), i, container)
        json_array_foreach (json_object_get(container, "ports"), k, one) {
            json_int_t number = json_integer_value(json_object_get(one, "containerPort"));

            if (json_is_string(wanted) ? strcmp(json_string_value(wanted), json_text(one, "name")) == 0 : number == json_integer_value(wanted))
                return (struct target){number, json_text(one, "name")};
        }
    return (struct target){json_integer_value(wanted), ""};
}

static void compare(struct opaque *opaque, const json_t *service, const json_t *pod, const json_t *port)
{
    const char *preset = cluster_value(opaque->cluster, "proxy.opaquePorts"), *of_service = annotation(service), *of_pod = annotation(pod);
    json_int_t number = json_integer_value(json_object_get(port, "port"));
    struct target target = target_of(port, pod);
    bool at_service, at_pod;

    if (!target.port || strcmp(json_text(port, "protocol"), "UDP") == 0 || (!of_service && !of_pod))
        return;
    at_service = lists(of_service ? of_service : preset, number, json_text(port, "name"));
    at_pod = lists(of_pod ? of_pod : preset, target.port, target.name);
    if (at_service && !at_pod)
        culprits_add(&opaque->culprits, "service %s/%s has %lld, pod %s lacks %lld", json_text(service, "metadata.namespace"),
                     json_text(service, "metadata.name"), (long long)number, POD_NAME(pod), (long long)target.port);
    else if (at_pod && !at_service)
        culprits_add(&opaque->culprits, "pod %s/%s has %lld, service %s lacks %lld", POD_NAMESPACE(pod), POD_NAME(pod), (long long)target.port,
                     json_text(service, "metadata.name"), (long long)number);
}

static int look_at_service(void *owner, json_t *service, struct errmsg *msg)
{
    struct opaque *opaque = owner;
    json_t *pod, *port;
    size_t i, k;

    json_array_foreach (opaque->pods, i, pod)
        if (strcmp(POD_NAMESPACE(pod), json_text(service, "metadata.namespace")) == 0 && selects(json_at(service, "spec.selector"), pod))
            json_array_foreach (json_at(service, "spec.ports"), k, port)
                compare(opaque, service, pod, port);
    return 0;
}

int test_opaque_ports(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    const char *namespace_ = cluster->options->namespace_;
    struct opaque opaque = {.cluster = cluster};
    char selector[512];
    int r;

    snprintf(selector, sizeof(selector), SELECT_MESHED, cluster->namespace_);
    r = pods_list(cluster->kube, namespace_, selector, why, &opaque.pods);
    if (r < 0)
        return r;
    r = *namespace_ ? cluster_each(cluster, look_at_service, &opaque, why, "/api/v1/namespaces/%s/services", namespace_)
                    : cluster_each(cluster, look_at_service, &opaque, why, "/api/v1/services");
    json_decref(opaque.pods);
    return r < 0 ? r : culprits_end(&opaque.culprits, "", why);
}
