#include "kube/store_keys.h"

/* First byte of a key: which family it is of. */
enum family { FAMILY_OBJECT = 'o', FAMILY_ALL = 'a', FAMILY_IN = 'n', FAMILY_IP = 'i', FAMILY_NAME = 'x' };

struct emitter {
    const struct kube_object *object;
    int (*on_key)(void *context, const struct store_key *key);
    void *context;
    int error;
};

static void add_byte(struct store_key *key, int byte)
{
    key->bytes[key->len++] = (char)byte;
}

static void add_bytes(struct store_key *key, struct slice bytes)
{
    if (bytes.len)
        memcpy(key->bytes + key->len, bytes.ptr, bytes.len);
    key->len += bytes.len;
}

/* No namespace is longer than 63 bytes and no name longer than 253, so what is longer finds nothing. */
static struct store_key make(enum family family, int which, struct slice namespace_, struct slice name)
{
    struct store_key key = {0};

    if (namespace_.len > 63 || name.len > 253)
        return key;
    add_byte(&key, family);
    add_byte(&key, which);
    add_bytes(&key, namespace_);
    add_byte(&key, '/');
    add_bytes(&key, name);
    return key;
}

struct store_key store_key_object(enum kube_kind kind, struct slice namespace_, struct slice name)
{
    return make(FAMILY_OBJECT, kind, namespace_, name);
}

struct store_key store_key_all(enum kube_kind kind)
{
    return make(FAMILY_ALL, kind, SLICE_NULL, SLICE_NULL);
}

struct store_key store_key_in(enum kube_kind kind, struct slice namespace_)
{
    return make(FAMILY_IN, kind, namespace_, SLICE_NULL);
}

struct store_key store_key_ip(enum store_ip_index index, struct ip ip)
{
    return make(FAMILY_IP, index, slice_of(ip.bytes, ip.version == 4 ? 4 : ip.version == 6 ? 16 : 0), SLICE_NULL);
}

struct store_key store_key_name(enum store_name_index index, struct slice namespace_, struct slice name)
{
    return make(FAMILY_NAME, index, namespace_, name);
}

/* ---- which keys an object has ---- */

static void emit(struct emitter *e, struct store_key key)
{
    if (key.len && e->error == 0)
        e->error = e->on_key(e->context, &key);
}

static void emit_ip(struct emitter *e, enum store_ip_index index, struct ip ip)
{
    if (ip.version)
        emit(e, store_key_ip(index, ip));
}

static void emit_name(struct emitter *e, enum store_name_index index, struct slice namespace_, struct slice name)
{
    if (name.len)
        emit(e, store_key_name(index, namespace_, name));
}

static void pod_keys(struct emitter *e, const struct kube_pod *pod)
{
    emit_name(e, STORE_PODS_ON_NODE, SLICE_NULL, pod->spec.node_name);
    emit_name(e, STORE_PODS_OF_SERVICE_ACCOUNT, pod->meta.namespace_, pod->spec.service_account);
    if (kube_pod_has_ended(pod))
        return;
    for (size_t i = 0; i < pod->status.pod_ip_count; i++)
        emit_ip(e, STORE_PODS_BY_IP, pod->status.pod_ips[i].ip);
    emit_ip(e, STORE_PODS_BY_HOST_IP, pod->status.host_ip);
}

static bool is_core(struct slice group)
{
    return !group.len || slice_eq_nocase(group, SLICE_LIT("core"));
}

static bool is_policy(struct slice group)
{
    return slice_eq_nocase(group, SLICE_LIT("policy.linkerd.io"));
}

static void parent_keys(struct emitter *e, const struct kube_ref *ref)
{
    struct slice ns = ref->namespace_.len ? ref->namespace_ : e->object->namespace_;

    if (is_core(ref->group) && slice_eq_nocase(ref->kind, SLICE_LIT("Service")))
        emit_name(e, STORE_ROUTES_OF_SERVICE, ns, ref->name);
    else if (is_policy(ref->group) && slice_eq_nocase(ref->kind, SLICE_LIT("Server")))
        emit_name(e, STORE_ROUTES_OF_SERVER, ns, ref->name);
    else if (is_policy(ref->group) && slice_eq_nocase(ref->kind, SLICE_LIT("EgressNetwork")))
        emit_name(e, STORE_ROUTES_OF_EGRESS_NETWORK, ns, ref->name);
}

static void backend_keys(struct emitter *e, const struct kube_backend_ref *backends, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct kube_ref *ref = &backends[i].ref;

        if (is_core(ref->group) && slice_eq_nocase(ref->kind, SLICE_LIT("Service")))
            emit_name(e, STORE_ROUTES_TO_SERVICE, ref->namespace_.len ? ref->namespace_ : e->object->namespace_,
                      ref->name);
    }
}

static void route_keys(struct emitter *e)
{
    const struct kube_route_common *common = kube_route_common(e->object);

    for (size_t i = 0; i < common->parent_count; i++)
        parent_keys(e, &common->parents[i].ref);
    if (e->object->kind == KUBE_HTTP_ROUTE || e->object->kind == KUBE_POLICY_HTTP_ROUTE) {
        const struct kube_http_route *route = kube_http_route(e->object);

        for (size_t i = 0; i < route->rule_count; i++)
            backend_keys(e, route->rules[i].backends, route->rules[i].backend_count);
    } else if (e->object->kind == KUBE_GRPC_ROUTE) {
        const struct kube_grpc_route *route = kube_grpc_route(e->object);

        for (size_t i = 0; i < route->rule_count; i++)
            backend_keys(e, route->rules[i].backends, route->rules[i].backend_count);
    } else {
        const struct kube_tcp_route *route = kube_tcp_route(e->object);

        for (size_t i = 0; i < route->rule_count; i++)
            backend_keys(e, route->rules[i].backends, route->rules[i].backend_count);
    }
}

/* A policy and what it targets stand in the same namespace. */
static void policy_keys(struct emitter *e, const struct kube_ref *target)
{
    struct slice ns = e->object->namespace_;

    if (is_policy(target->group) && slice_eq_nocase(target->kind, SLICE_LIT("Server")))
        emit_name(e, STORE_POLICIES_OF_SERVER, ns, target->name);
    else if (slice_eq_nocase(target->kind, SLICE_LIT("HTTPRoute")) ||
             slice_eq_nocase(target->kind, SLICE_LIT("GRPCRoute")))
        emit_name(e, STORE_POLICIES_OF_ROUTE, ns, target->name);
    else if (is_core(target->group) && slice_eq_nocase(target->kind, SLICE_LIT("Namespace")) &&
             slice_eq(target->name, ns))
        emit(e, store_key_name(STORE_POLICIES_OF_NAMESPACE, ns, SLICE_NULL));
}

static void special_keys(struct emitter *e)
{
    const struct kube_object *object = e->object;

    switch (object->kind) {
    case KUBE_SERVICE:
        for (size_t i = 0; i < kube_service(object)->cluster_ip_count; i++)
            emit_ip(e, STORE_SERVICES_BY_IP, kube_service(object)->cluster_ips[i]);
        break;
    case KUBE_ENDPOINT_SLICE:
        emit_name(e, STORE_SLICES_OF_SERVICE, object->namespace_, kube_endpoint_slice(object)->service);
        if (kube_slice_is_of_workloads(kube_endpoint_slice(object)))
            emit(e, store_key_name(STORE_SLICES_OF_WORKLOADS, object->namespace_, kube_slice_service(kube_endpoint_slice(object))));
        break;
    case KUBE_POD:
        pod_keys(e, kube_pod(object));
        break;
    case KUBE_EXTERNAL_WORKLOAD:
        for (size_t i = 0; i < kube_external_workload(object)->spec.ip_count; i++)
            emit_ip(e, STORE_WORKLOADS_BY_IP, kube_external_workload(object)->spec.ips[i].ip);
        break;
    case KUBE_AUTHORIZATION_POLICY:
        policy_keys(e, &kube_authorization_policy(object)->target);
        break;
    case KUBE_RATE_LIMIT_POLICY:
        policy_keys(e, &kube_rate_limit_policy(object)->target);
        break;
    default:
        if (kube_route_common(object))
            route_keys(e);
    }
}

int store_keys_of(const struct kube_object *object, int (*on_key)(void *context, const struct store_key *key),
                  void *context)
{
    struct emitter e = {object, on_key, context, 0};

    emit(&e, store_key_all(object->kind));
    if (object->namespace_.len)
        emit(&e, store_key_in(object->kind, object->namespace_));
    special_keys(&e);
    return e.error;
}
