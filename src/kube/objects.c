#include "kube/objects.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "kube/decode/parts.h"
#include "kube/kinds.h"

#define LINKERD_POLICY "policy.linkerd.io"
#define GATEWAY_API "gateway.networking.k8s.io"

/* In the order of enum kube_kind. */
const struct kind_info kube_kinds[KUBE_KIND_COUNT] = {
    [KUBE_NAMESPACE] = {"Namespace", "", "v1", false, &kube_namespace_shape},
    [KUBE_NODE] = {"Node", "", "v1", false, &kube_node_shape},
    [KUBE_SERVICE_ACCOUNT] = {"ServiceAccount", "", "v1", true, &kube_service_account_shape},
    [KUBE_SERVICE] = {"Service", "", "v1", true, &kube_service_shape},
    [KUBE_ENDPOINTS] = {"Endpoints", "", "v1", true, &kube_endpoints_shape},
    [KUBE_ENDPOINT_SLICE] = {"EndpointSlice", "discovery.k8s.io", "v1 v1beta1", true, &kube_endpoint_slice_shape},
    [KUBE_POD] = {"Pod", "", "v1", true, &kube_pod_shape},
    [KUBE_EXTERNAL_WORKLOAD] = {"ExternalWorkload", "workload.linkerd.io", "v1beta1 v1alpha1", true,
                                &kube_external_workload_shape},
    [KUBE_SERVICE_PROFILE] = {"ServiceProfile", "linkerd.io", "v1alpha2 v1alpha1", true, &kube_service_profile_shape},
    [KUBE_SERVER] = {"Server", LINKERD_POLICY, "v1beta3 v1beta2 v1beta1 v1alpha1", true, &kube_server_shape},
    [KUBE_SERVER_AUTHORIZATION] = {"ServerAuthorization", LINKERD_POLICY, "v1beta1 v1alpha1", true,
                                   &kube_server_authorization_shape},
    [KUBE_AUTHORIZATION_POLICY] = {"AuthorizationPolicy", LINKERD_POLICY, "v1alpha1", true,
                                   &kube_authorization_policy_shape},
    [KUBE_MESH_TLS_AUTHENTICATION] = {"MeshTLSAuthentication", LINKERD_POLICY, "v1alpha1", true,
                                      &kube_mesh_tls_authentication_shape},
    [KUBE_NETWORK_AUTHENTICATION] = {"NetworkAuthentication", LINKERD_POLICY, "v1alpha1", true,
                                     &kube_network_authentication_shape},
    [KUBE_HTTP_ROUTE] = {"HTTPRoute", GATEWAY_API, "v1 v1beta1 v1alpha2", true, &kube_http_route_shape},
    [KUBE_POLICY_HTTP_ROUTE] = {"HTTPRoute", LINKERD_POLICY, "v1beta3 v1beta2 v1beta1 v1alpha1", true,
                                &kube_policy_http_route_shape},
    [KUBE_GRPC_ROUTE] = {"GRPCRoute", GATEWAY_API, "v1 v1alpha2", true, &kube_grpc_route_shape},
    [KUBE_TLS_ROUTE] = {"TLSRoute", GATEWAY_API, "v1 v1alpha3 v1alpha2", true, &kube_tls_route_shape},
    [KUBE_TCP_ROUTE] = {"TCPRoute", GATEWAY_API, "v1alpha2", true, &kube_tcp_route_shape},
    [KUBE_EGRESS_NETWORK] = {"EgressNetwork", LINKERD_POLICY, "v1alpha1", true, &kube_egress_network_shape},
    [KUBE_RATE_LIMIT_POLICY] = {"HTTPLocalRateLimitPolicy", LINKERD_POLICY, "v1alpha1", true,
                                &kube_rate_limit_policy_shape},
};

/* ---- kinds ---- */

struct slice kube_kind_name(enum kube_kind kind)
{
    return slice_str(kube_kinds[kind].name);
}

struct slice kube_kind_group(enum kube_kind kind)
{
    return slice_str(kube_kinds[kind].group);
}

bool kube_kind_is_namespaced(enum kube_kind kind)
{
    return kube_kinds[kind].namespaced;
}

int kube_kind_find(struct slice group, struct slice name, enum kube_kind *ret_kind)
{
    for (int i = 0; i < KUBE_KIND_COUNT; i++)
        if (slice_eq(name, slice_str(kube_kinds[i].name)) && slice_eq(group, slice_str(kube_kinds[i].group))) {
            *ret_kind = (enum kube_kind)i;
            return 0;
        }
    return -ENOENT;
}

bool kube_kind_reads_version(enum kube_kind kind, struct slice version)
{
    struct slice rest = slice_str(kube_kinds[kind].versions), one;

    while (slice_split(&rest, ' ', &one))
        if (slice_eq(one, version))
            return true;
    return false;
}

/* ---- life ---- */

struct kube_object *kube_object_new(enum kube_kind kind)
{
    return kube_object_new_sized(kind, 0);
}

struct kube_object *kube_object_new_sized(enum kube_kind kind, size_t size)
{
    size_t own = (kube_kinds[kind].shape->size + 15) & ~(size_t)15; /* where an arena begins */
    struct kube_object *object = calloc(1, own + size);

    if (!object)
        return NULL;
    refcount_init(&object->refs);
    object->kind = kind;
    object->created_ns = object->deleted_ns = KUBE_NO_TIME;
    arena_init(&object->arena, LIMIT_OBJECT_ARENA);
    if (size)
        arena_lend(&object->arena, (char *)object + own, size);
    return object;
}

struct kube_object *kube_object_ref(const struct kube_object *object)
{
    struct kube_object *shared = (struct kube_object *)object;

    refcount_get(&shared->refs);
    return shared;
}

void kube_object_unref(const struct kube_object *object)
{
    struct kube_object *shared = (struct kube_object *)object;

    if (!shared || !refcount_put(&shared->refs))
        return;
    for (size_t i = 0; i < shared->part_count; i++)
        part_unref(shared->parts[i]);
    arena_release(&shared->arena);
    free(shared);
}

/* ---- order ---- */

static int compare_u64(uint64_t a, uint64_t b)
{
    return a < b ? -1 : a > b;
}

static int compare_names(const struct kube_object *a, const struct kube_object *b)
{
    int order = slice_cmp(a->namespace_, b->namespace_);

    if (!order)
        order = slice_cmp(a->name, b->name);
    return order ? order : compare_u64(a->kind, b->kind);
}

static int compare_places(const struct kube_object *a, const struct kube_object *b)
{
    int order = slice_cmp(a->origin.file, b->origin.file);

    return order ? order : compare_u64(a->origin.order, b->origin.order);
}

int kube_object_compare_age(const struct kube_object *a, const struct kube_object *b)
{
    bool dated = a->created_ns != KUBE_NO_TIME;
    int order;

    if (dated != (b->created_ns != KUBE_NO_TIME))
        return dated ? -1 : 1;
    if (a->created_ns != b->created_ns)
        return a->created_ns < b->created_ns ? -1 : 1;
    order = dated ? compare_names(a, b) : compare_places(a, b);
    if (!order)
        order = dated ? compare_places(a, b) : compare_names(a, b);
    return order;
}

/* ---- maps and selectors ---- */

struct slice kube_map_get(const struct kube_map *map, struct slice key)
{
    size_t low = 0, high = map->count;

    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = slice_cmp(map->items[middle].key, key);

        if (!order)
            return map->items[middle].value;
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return SLICE_NULL;
}

bool kube_map_selects(const struct kube_map *selector, const struct kube_map *labels)
{
    for (size_t i = 0; i < selector->count; i++) {
        struct slice value = kube_map_get(labels, selector->items[i].key);

        if (!value.ptr || !slice_eq(value, selector->items[i].value))
            return false;
    }
    return selector->count > 0;
}

static bool has_value(const struct kube_expression *expression, struct slice value)
{
    for (size_t i = 0; i < expression->value_count; i++)
        if (slice_eq(expression->values[i], value))
            return true;
    return false;
}

/* NotIn holds for objects without the label too, as in Kubernetes. */
static bool expression_matches(const struct kube_expression *expression, const struct kube_map *labels)
{
    struct slice value = kube_map_get(labels, expression->key);

    switch (expression->op) {
    case KUBE_IN:
        return value.ptr && has_value(expression, value);
    case KUBE_NOT_IN:
        return !value.ptr || !has_value(expression, value);
    case KUBE_EXISTS:
        return value.ptr != NULL;
    default:
        return !value.ptr;
    }
}

bool kube_selector_matches(const struct kube_selector *selector, const struct kube_map *labels)
{
    if (selector->match_labels.count && !kube_map_selects(&selector->match_labels, labels))
        return false;
    for (size_t i = 0; i < selector->expression_count; i++)
        if (!expression_matches(&selector->expressions[i], labels))
            return false;
    return true;
}

/* ---- pods and workloads ---- */

static bool conditions_say_ready(const struct kube_condition *conditions, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(conditions[i].type, SLICE_LIT("Ready")))
            return slice_eq(conditions[i].status, SLICE_LIT("True"));
    return true;
}

bool kube_pod_has_ended(const struct kube_pod *pod)
{
    return pod->status.phase == KUBE_SUCCEEDED || pod->status.phase == KUBE_FAILED;
}

bool kube_pod_is_ready(const struct kube_pod *pod)
{
    return pod->status.phase == KUBE_RUNNING && pod->meta.deleted_ns == KUBE_NO_TIME &&
           conditions_say_ready(pod->status.conditions, pod->status.condition_count);
}

bool kube_external_workload_is_ready(const struct kube_external_workload *workload)
{
    return workload->meta.deleted_ns == KUBE_NO_TIME &&
           conditions_say_ready(workload->conditions, workload->condition_count);
}

bool kube_external_workload_says_ready(const struct kube_external_workload *workload)
{
    bool said = false;

    for (size_t i = 0; i < workload->condition_count; i++)
        said |= slice_eq(workload->conditions[i].type, SLICE_LIT("Ready"));
    return said && kube_external_workload_is_ready(workload);
}

uint16_t kube_external_workload_port(const struct kube_external_workload *workload, const struct kube_service_port *port)
{
    for (size_t i = 0; i < workload->spec.port_count; i++) {
        const struct kube_workload_port *each = &workload->spec.ports[i];

        if (each->protocol == port->protocol &&
            (port->target.number ? each->port == port->target.number : slice_eq(each->name, port->target.name)))
            return each->port;
    }
    return 0;
}

struct slice kube_external_workload_zone(const struct kube_external_workload *workload)
{
    return kube_map_get_lit(&workload->meta.labels, "topology.kubernetes.io/zone");
}

struct slice kube_external_workload_hostname(const struct kube_external_workload *workload, const struct kube_service *service)
{
    struct slice name = workload->meta.name;

    return service->headless && name.len < 64 && slice_find(name, '.') == name.len ? name : SLICE_NULL;
}

bool kube_slice_is_of_workloads(const struct kube_endpoint_slice *slice)
{
    return slice_eq(kube_map_get_lit(&slice->meta.labels, "endpointslice.kubernetes.io/managed-by"), KUBE_SLICE_MANAGER);
}

struct slice kube_slice_service(const struct kube_endpoint_slice *slice)
{
    for (size_t i = 0; i < slice->meta.owner_count; i++)
        if (!slice->meta.owners[i].group.len && slice_eq(slice->meta.owners[i].kind, SLICE_LIT("Service")))
            return slice->meta.owners[i].name;
    return slice->service;
}

static uint16_t container_port(const struct kube_container *container, struct slice name, int protocol)
{
    for (size_t i = 0; i < container->port_count; i++)
        if (container->ports[i].protocol == protocol && slice_eq(container->ports[i].name, name))
            return container->ports[i].port;
    return 0;
}

uint16_t kube_pod_named_port(const struct kube_pod *pod, struct slice name, int protocol)
{
    uint16_t port = 0;

    for (size_t i = 0; i < pod->spec.container_count && !port; i++)
        port = container_port(&pod->spec.containers[i], name, protocol);
    for (size_t i = 0; i < pod->spec.init_container_count && !port; i++)
        if (slice_eq(pod->spec.init_containers[i].restart_policy, SLICE_LIT("Always")))
            port = container_port(&pod->spec.init_containers[i], name, protocol);
    return port;
}

static struct slice container_env(const struct kube_container *containers, size_t count, struct slice container,
                                  struct slice variable)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(containers[i].name, container))
            for (size_t j = 0; j < containers[i].env_count; j++)
                if (slice_eq(containers[i].env[j].name, variable))
                    return containers[i].env[j].value.ptr ? containers[i].env[j].value : SLICE_LIT("");
    return SLICE_NULL;
}

struct slice kube_pod_env(const struct kube_pod *pod, struct slice container, struct slice variable)
{
    struct slice value = container_env(pod->spec.containers, pod->spec.container_count, container, variable);

    return value.ptr ? value
                     : container_env(pod->spec.init_containers, pod->spec.init_container_count, container, variable);
}
