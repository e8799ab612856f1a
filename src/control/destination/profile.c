#include "control/destination/profile.h"

#include <errno.h>

#include "control/destination/describe.h"
#include "control/ports.h"
#include "net/grpc/grpc.h"

static const struct retry_budget_config DEFAULT_BUDGET = {0.2, 10, INT64_C(10000000000)};

/* --- profiles of services --- */

static int copy_condition(struct arena *arena, const struct kube_request_match *from, struct request_condition *ret);

static int copy_conditions(struct arena *arena, const struct kube_request_match *from, size_t count, enum request_condition_kind kind,
                           struct request_condition *ret)
{
    *ret = (struct request_condition){.kind = kind, .count = count};
    ret->children = ARENA_ARRAY(arena, struct request_condition, count);
    if (!ret->children)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        int r = copy_condition(arena, &from[i], &ret->children[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

/* Of the parts written all must hold. */
static int copy_condition(struct arena *arena, const struct kube_request_match *from, struct request_condition *ret)
{
    struct request_condition *parts = ARENA_ARRAY(arena, struct request_condition, 5);
    size_t count = 0;
    int r = parts ? 0 : -ENOMEM;

    if (r == 0 && from->method.len)
        parts[count++] = (struct request_condition){.kind = REQUEST_METHOD, .text = from->method};
    if (r == 0 && from->path_regex.len)
        parts[count++] = (struct request_condition){.kind = REQUEST_PATH, .text = from->path_regex};
    if (r == 0 && from->all_count)
        r = copy_conditions(arena, from->all, from->all_count, REQUEST_ALL, &parts[count++]);
    if (r == 0 && from->any_count)
        r = copy_conditions(arena, from->any, from->any_count, REQUEST_ANY, &parts[count++]);
    if (r == 0 && from->not_)
        r = copy_conditions(arena, from->not_, 1, REQUEST_NOT, &parts[count++]);
    if (r < 0)
        return r;
    *ret = count == 1 ? parts[0] : (struct request_condition){.kind = REQUEST_ALL, .children = parts, .count = count};
    return 0;
}

static int copy_response(struct arena *arena, const struct kube_response_match *from, struct response_condition *ret)
{
    struct response_condition *parts = ARENA_ARRAY(arena, struct response_condition, 4);
    const struct kube_response_match *lists[] = {from->all, from->any, from->not_};
    size_t counts[] = {from->all_count, from->any_count, from->not_ ? 1 : 0}, count = 0;
    static const enum response_condition_kind kinds[] = {RESPONSE_ALL, RESPONSE_ANY, RESPONSE_NOT};

    if (!parts)
        return -ENOMEM;
    if (from->status)
        parts[count++] = (struct response_condition){
            .kind = RESPONSE_STATUS,
            .min = (uint16_t)from->status->min,
            .max = (uint16_t)(from->status->max ? from->status->max : from->status->min),
        };
    for (int list = 0; list < 3; list++) {
        struct response_condition *part = &parts[count];

        if (!counts[list])
            continue;
        count++;
        *part = (struct response_condition){.kind = kinds[list], .count = counts[list]};
        part->children = ARENA_ARRAY(arena, struct response_condition, counts[list]);
        if (!part->children)
            return -ENOMEM;
        for (size_t i = 0; i < counts[list]; i++)
            if (copy_response(arena, &lists[list][i], &part->children[i]) < 0)
                return -ENOMEM;
    }
    *ret = count == 1 ? parts[0] : (struct response_condition){.kind = RESPONSE_ALL, .children = parts, .count = count};
    return 0;
}

static int copy_route(struct arena *arena, const struct kube_profile_route *from, struct profile_route *ret)
{
    struct label *label = ARENA_NEW(arena, struct label);
    int r;

    if (!label)
        return -ENOMEM;
    *label = (struct label){SLICE_LIT("route"), from->name};
    *ret = (struct profile_route){.labels = {label, 1}, .is_retryable = from->is_retryable, .timeout_ns = from->timeout_ns};
    r = from->condition ? copy_condition(arena, from->condition, &ret->condition) : 0;
    ret->class_count = from->response_class_count;
    ret->classes = ARENA_ARRAY(arena, struct response_class, ret->class_count);
    if (!ret->classes)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < ret->class_count; i++) {
        ret->classes[i].is_failure = from->response_classes[i].is_failure;
        if (from->response_classes[i].condition)
            r = copy_response(arena, from->response_classes[i].condition, &ret->classes[i].condition);
    }
    return r;
}

static struct metadata resource(const char *group, const char *kind, const struct kube_object *object, uint16_t port)
{
    return (struct metadata){.kind = METADATA_RESOURCE, .group = slice_str(group), .resource_kind = slice_str(kind),
                             .name = object->name, .namespace = object->namespace_, .port = port};
}

static int copy_overrides(struct arena *arena, const struct kube_service_profile *from, uint16_t port, struct profile *profile)
{
    profile->override_count = from->dst_override_count;
    profile->overrides = ARENA_ARRAY(arena, struct weighted_dst, from->dst_override_count);
    if (!profile->overrides)
        return -ENOMEM;
    for (size_t i = 0; i < from->dst_override_count; i++) {
        struct slice authority = from->dst_overrides[i].authority;

        if (authority.len && authority.ptr[authority.len - 1] == '.')
            authority.len--;
        if (slice_find(authority, ':') == authority.len)
            authority = arena_printf(arena, "%.*s:%u", SLICE_ARGS(authority), (unsigned)port);
        if (!authority.ptr)
            return -ENOMEM;
        profile->overrides[i].authority = authority;
        profile->overrides[i].weight = (uint32_t)(from->dst_overrides[i].weight_milli * 10);
    }
    return 0;
}

static int apply_profile(struct arena *arena, const struct kube_service_profile *from, uint16_t port, struct profile *profile)
{
    int r = 0;

    profile->route_count = from->route_count;
    profile->routes = ARENA_ARRAY(arena, struct profile_route, from->route_count);
    if (!profile->routes)
        return -ENOMEM;
    for (size_t i = 0; r == 0 && i < from->route_count; i++)
        r = copy_route(arena, &from->routes[i], &profile->routes[i]);
    if (from->retry_budget)
        profile->retry_budget = (struct retry_budget_config){from->retry_budget->retry_ratio,
                                                             from->retry_budget->min_retries_per_second,
                                                             from->retry_budget->ttl_ns};
    for (size_t i = 0; i < from->opaque_port_count; i++)
        profile->opaque_protocol |= port >= from->opaque_ports[i].first && port <= from->opaque_ports[i].last;
    return r < 0 ? r : copy_overrides(arena, from, port, profile);
}

/* The ServiceProfile named after the service: the client's own namespace first, then the service's. */
static const struct kube_service_profile *find_profile(const struct profile_question *question, struct slice fqdn, struct slice service_ns)
{
    struct store *store = question->controller->store;
    const struct kube_object *object = NULL;

    if (question->client_ns.len)
        object = store_get(store, KUBE_SERVICE_PROFILE, question->client_ns, fqdn);
    if (!object)
        object = store_get(store, KUBE_SERVICE_PROFILE, service_ns, fqdn);
    return object ? kube_service_profile(object) : NULL;
}

static bool has_port(const struct kube_service *service, uint16_t port)
{
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].port == port)
            return true;
    return false;
}

static int service_profile(const struct profile_question *question, const struct kube_service *service, struct profile *profile)
{
    const struct controller *controller = question->controller;
    struct arena *arena = &profile->snapshot.arena;
    uint16_t port = question->target.is_addr ? question->target.addr.port : question->target.port;
    const struct kube_service_profile *written;

    if (!has_port(service, port))
        return 0; /* completely empty: the policy says what becomes of such ports */
    profile->fully_qualified_name = arena_printf(arena, "%.*s.%.*s.svc.%.*s", SLICE_ARGS(service->meta.name),
                                                 SLICE_ARGS(service->meta.namespace_),
                                                 SLICE_ARGS(controller->options.cluster_domain));
    if (!profile->fully_qualified_name.ptr)
        return -ENOMEM;
    profile->opaque_protocol = ports_service_is_opaque(controller, &service->meta, port);
    profile->has_retry_budget = true;
    profile->retry_budget = DEFAULT_BUDGET;
    profile->parent = resource("core", "Service", &service->meta, port);
    written = find_profile(question, profile->fully_qualified_name, service->meta.namespace_);
    if (!written)
        return 0;
    profile->profile = resource("linkerd.io", "ServiceProfile", &written->meta, 0);
    return apply_profile(arena, written, port, profile);
}

/* --- profiles of endpoints --- */

static struct slice zone_of(const struct controller *controller, const struct kube_object *backing)
{
    if (!backing)
        return SLICE_NULL;
    return backing->kind == KUBE_POD ? describe_zone_of_node(controller, kube_pod(backing)->spec.node_name)
                                     : kube_external_workload_zone(kube_external_workload(backing));
}

static int endpoint_profile(const struct profile_question *question, const struct kube_object *backing, struct addr addr,
                            struct profile *profile)
{
    const struct controller *controller = question->controller;

    profile->endpoint = ARENA_NEW(&profile->snapshot.arena, struct endpoint_info);
    if (!profile->endpoint)
        return -ENOMEM;
    profile->opaque_protocol = describe_is_opaque(controller, backing, addr.port);
    profile->has_retry_budget = true;
    profile->retry_budget = DEFAULT_BUDGET;
    return describe_endpoint(controller, backing, addr, zone_of(controller, backing), NULL, &profile->snapshot.arena,
                             profile->endpoint);
}

static bool containers_have_host_port(const struct kube_container *containers, size_t count, uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < containers[i].port_count; j++)
            if (containers[i].ports[j].host_port == port && port)
                return true;
    return false;
}

/* The pod with the address, or with this port of its host's address; how many there are. */
static size_t pods_at(struct store *store, struct addr addr, const struct kube_object **ret_first)
{
    struct kube_set pods = store_by_ip(store, STORE_PODS_BY_IP, addr.ip), hosts = store_by_ip(store, STORE_PODS_BY_HOST_IP, addr.ip);
    size_t count = 0;

    for (size_t i = 0; i < pods.count; i++)
        if (!kube_pod(pods.items[i])->spec.host_network && count++ == 0)
            *ret_first = pods.items[i];
    if (count)
        return count;
    for (size_t i = 0; i < hosts.count; i++) {
        const struct kube_pod *pod = kube_pod(hosts.items[i]);

        if ((containers_have_host_port(pod->spec.containers, pod->spec.container_count, addr.port) ||
             containers_have_host_port(pod->spec.init_containers, pod->spec.init_container_count, addr.port)) &&
            count++ == 0)
            *ret_first = hosts.items[i];
    }
    return count;
}

int profile_backing(struct store *store, struct addr addr, const struct kube_object **ret_workload)
{
    struct kube_set workloads = store_by_ip(store, STORE_WORKLOADS_BY_IP, addr.ip);
    const struct kube_object *pod = NULL;
    size_t count = pods_at(store, addr, &pod);

    *ret_workload = pod ? pod : workloads.count ? workloads.items[0] : NULL;
    return count > 1 || (!pod && workloads.count > 1) ? -EEXIST : 0;
}

static int addr_profile(const struct profile_question *question, struct profile *profile, int *ret_status)
{
    struct store *store = question->controller->store;
    struct addr addr = question->target.addr;
    struct kube_set services = store_by_ip(store, STORE_SERVICES_BY_IP, addr.ip);
    const struct kube_object *backing = NULL;

    if (services.count > 1 || (!services.count && profile_backing(store, addr, &backing) < 0)) {
        *ret_status = GRPC_FAILED_PRECONDITION;
        return -EEXIST;
    }
    if (services.count)
        return service_profile(question, kube_service(services.items[0]), profile);
    return endpoint_profile(question, backing, addr, profile);
}

/* "pod-0.svc.ns": the endpoint of that hostname. */
static int instance_profile(const struct profile_question *question, const struct kube_service *service, struct profile *profile, int *ret_status)
{
    struct store *store = question->controller->store;
    struct kube_set slices = store_by_name(store, STORE_SLICES_OF_SERVICE, service->meta.namespace_, service->meta.name);

    for (size_t i = 0; i < slices.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(slices.items[i]);

        for (size_t j = 0; j < slice->endpoint_count; j++) {
            const struct kube_endpoint *endpoint = &slice->endpoints[j];

            if (endpoint->ip.version && slice_eq(endpoint->hostname, question->target.instance))
                return endpoint_profile(question, describe_backing(question->controller, service, endpoint),
                                        (struct addr){endpoint->ip, question->target.port}, profile);
        }
    }
    *ret_status = GRPC_NOT_FOUND;
    return -ENOENT;
}

static int name_profile(const struct profile_question *question, struct profile *profile, int *ret_status)
{
    const struct kube_object *object =
        store_get(question->controller->store, KUBE_SERVICE, question->target.namespace_, question->target.service);

    if (!object) {
        *ret_status = GRPC_NOT_FOUND;
        return -ENOENT;
    }
    if (kube_service(object)->type == KUBE_EXTERNAL_NAME) {
        *ret_status = GRPC_INVALID_ARGUMENT;
        return -EINVAL;
    }
    if (question->target.instance.len)
        return instance_profile(question, kube_service(object), profile, ret_status);
    return service_profile(question, kube_service(object), profile);
}

int profile_build(const struct profile_question *question, int *ret_status, struct profile **ret_profile)
{
    struct profile *profile = profile_new();
    int r;

    *ret_status = GRPC_RESOURCE_EXHAUSTED;
    if (!profile)
        return -ENOMEM;
    r = question->target.is_addr ? addr_profile(question, profile, ret_status) : name_profile(question, profile, ret_status);
    if (r < 0) {
        profile_unref(profile);
        return r;
    }
    *ret_profile = profile;
    return 0;
}
