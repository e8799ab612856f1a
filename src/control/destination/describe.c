#include "control/destination/describe.h"

#include <errno.h>
#include <stdlib.h>

#include "control/ports.h"

enum { INBOUND_PORT = 4143, WEIGHT = 10000, LABELS_MAX = 16 };

static const struct slice SKIP_INBOUND = {"config.linkerd.io/skip-inbound-ports", 36};
static const struct slice CONTROL_NS = {"linkerd.io/control-plane-ns", 27};

bool describe_is_opaque(const struct controller *controller, const struct kube_object *backing, uint16_t port)
{
    const struct kube_server *server = backing ? ports_server(controller, backing, port, NULL) : NULL;

    if (!backing)
        return ports_default_is_opaque(controller, port);
    return server ? server->proxy_protocol == KUBE_PROXY_OPAQUE : ports_workload_is_opaque(controller, backing, port);
}

const struct kube_object *describe_backing(const struct controller *controller, const struct kube_service *service,
                                           const struct kube_endpoint *endpoint)
{
    struct slice ns = endpoint->target.namespace_.len ? endpoint->target.namespace_ : service->meta.namespace_;

    if (slice_eq(endpoint->target.kind, SLICE_LIT("Pod")))
        return store_get(controller->store, KUBE_POD, ns, endpoint->target.name);
    if (slice_eq(endpoint->target.kind, SLICE_LIT("ExternalWorkload")))
        return store_get(controller->store, KUBE_EXTERNAL_WORKLOAD, ns, endpoint->target.name);
    return NULL;
}

struct slice describe_zone_of_node(const struct controller *controller, struct slice node)
{
    const struct kube_object *object = node.len ? store_get(controller->store, KUBE_NODE, SLICE_LIT(""), node) : NULL;

    return object ? kube_node(object)->zone : SLICE_NULL;
}

/* --- labels --- */

struct label_list {
    struct label items[LABELS_MAX];
    size_t count;
};

/* A name that is there already gets the new value: an owner may be of any kind. */
static void add(struct label_list *list, struct slice name, struct slice value)
{
    for (size_t i = 0; i < list->count; i++)
        if (slice_eq(list->items[i].name, name)) {
            list->items[i].value = value;
            return;
        }
    if (list->count < LABELS_MAX)
        list->items[list->count++] = (struct label){name, value};
}

static int by_name(const void *a, const void *b)
{
    return slice_cmp(((const struct label *)a)->name, ((const struct label *)b)->name);
}

static int keep(struct arena *arena, struct label_list *list, struct labels *ret_labels)
{
    qsort(list->items, list->count, sizeof(list->items[0]), by_name);
    ret_labels->items = ARENA_ARRAY(arena, struct label, list->count);
    if (!ret_labels->items)
        return -ENOMEM;
    memcpy(ret_labels->items, list->items, list->count * sizeof(list->items[0]));
    ret_labels->count = list->count;
    return 0;
}

/*
 * The label of the owner, its kind in lower case, and its name: a ReplicaSet named after a Deployment's template hash stands
 * for the Deployment. The kind is NULL where there is no owner, or where several share the object. 0 or -ENOMEM.
 */
static int owner_of(const struct kube_object *object, struct arena *arena, struct slice *ret_kind, struct slice *ret_name)
{
    struct slice hash = kube_map_get_lit(&object->labels, "pod-template-hash"), kind, name;
    char *lower;

    *ret_kind = SLICE_NULL;
    if (object->owner_count != 1)
        return 0;
    kind = object->owners[0].kind;
    *ret_name = name = object->owners[0].name;
    if (slice_eq(kind, SLICE_LIT("ReplicaSet")) && hash.len && name.len > hash.len + 1 && slice_ends(name, hash) &&
        name.ptr[name.len - hash.len - 1] == '-') {
        *ret_kind = SLICE_LIT("deployment");
        *ret_name = slice_take(name, name.len - hash.len - 1);
    } else if (slice_eq(kind, SLICE_LIT("Job"))) {
        *ret_kind = SLICE_LIT("k8s_job"); /* Prometheus has a job of its own */
    } else {
        lower = arena_alloc(arena, kind.len + 1);
        if (!lower)
            return -ENOMEM;
        slice_lower(kind, lower);
        *ret_kind = (struct slice){lower, kind.len};
    }
    return 0;
}

/* What stands for all addresses: zones for those who balance, else the namespace, which no set says. */
static void common_labels(const struct kube_object *backing, struct slice zone, const struct client_view *client,
                          struct label_list *labels, struct endpoint_info *endpoint)
{
    bool known = client && client->zone.len && zone.len;

    if (backing)
        add(labels, SLICE_LIT("zone"), zone);
    if (!client) {
        if (backing)
            add(labels, SLICE_LIT("namespace"), backing->namespace_);
        return;
    }
    endpoint->zone_locality = !known ? ZONE_UNKNOWN : slice_eq(client->zone, zone) ? ZONE_LOCAL : ZONE_REMOTE;
    add(labels, SLICE_LIT("zone_locality"),
        !known ? SLICE_LIT("unknown") : endpoint->zone_locality == ZONE_LOCAL ? SLICE_LIT("local") : SLICE_LIT("remote"));
}

static struct h2_client_params *default_h2(struct arena *arena)
{
    struct h2_client_params *params = ARENA_NEW(arena, struct h2_client_params);

    if (params) {
        params->has_keep_alive = true;
        params->keep_alive_interval_ns = INT64_C(10000000000);
        params->keep_alive_timeout_ns = INT64_C(3000000000);
        params->keep_alive_while_idle = true;
    }
    return params;
}

/* The port of an address in the proxy container's environment, or the one that is usual. */
static uint16_t proxy_port(const struct kube_pod *pod, struct slice variable, uint16_t usual)
{
    struct slice text = kube_pod_env(pod, SLICE_LIT("linkerd-proxy"), variable);
    struct addr addr;

    return text.ptr && addr_parse(text, &addr) == 0 ? addr.port : usual;
}

static void hint(const struct controller *controller, bool opaque, bool own_port, uint16_t inbound_port,
                 struct endpoint_info *endpoint)
{
    if (!own_port && (opaque || controller->options.transport_header))
        endpoint->opaque_transport_port = inbound_port;
    endpoint->hint = opaque ? HINT_OPAQUE : controller->options.h2_upgrade ? HINT_H2 : HINT_NONE;
}

static int describe_pod(const struct controller *controller, const struct kube_pod *pod, struct slice zone,
                        const struct client_view *client, struct arena *arena, struct endpoint_info *endpoint)
{
    struct slice mesh = kube_map_get(&pod->meta.labels, CONTROL_NS), kind, name = SLICE_NULL;
    struct slice skip = ports_annotation(controller, &pod->meta, SKIP_INBOUND);
    struct label_list labels = {.count = 0};
    uint16_t port = endpoint->addr.port;

    add(&labels, SLICE_LIT("pod"), pod->meta.name);
    add(&labels, SLICE_LIT("serviceaccount"), pod->spec.service_account);
    if (mesh.len)
        add(&labels, SLICE_LIT("control_plane_ns"), mesh);
    if (owner_of(&pod->meta, arena, &kind, &name) < 0)
        return -ENOMEM;
    if (kind.len)
        add(&labels, kind, name);
    if (kube_map_get_lit(&pod->meta.labels, "pod-template-hash").len)
        add(&labels, SLICE_LIT("pod_template_hash"), kube_map_get_lit(&pod->meta.labels, "pod-template-hash"));
    common_labels(&pod->meta, zone, client, &labels, endpoint);
    if (mesh.len && !(skip.ptr && ports_workload_text_has(&pod->meta, skip, port))) {
        bool own = port == proxy_port(pod, SLICE_LIT("LINKERD2_PROXY_ADMIN_LISTEN_ADDR"), 4191) ||
                   port == proxy_port(pod, SLICE_LIT("LINKERD2_PROXY_CONTROL_LISTEN_ADDR"), 4190);

        hint(controller, describe_is_opaque(controller, &pod->meta, port), own,
             proxy_port(pod, SLICE_LIT("LINKERD2_PROXY_INBOUND_LISTEN_ADDR"), INBOUND_PORT), endpoint);
        endpoint->h2 = default_h2(arena);
        if (slice_eq(mesh, controller->options.namespace_)) {
            endpoint->identity_kind = IDENTITY_DNS;
            endpoint->identity = arena_printf(arena, "%.*s.%.*s.serviceaccount.identity.%.*s.%.*s",
                                              SLICE_ARGS(pod->spec.service_account), SLICE_ARGS(pod->meta.namespace_),
                                              SLICE_ARGS(mesh), SLICE_ARGS(controller->options.trust_domain));
            endpoint->server_name = endpoint->identity;
            if (!endpoint->identity.ptr)
                return -ENOMEM;
        }
    }
    return keep(arena, &labels, &endpoint->labels);
}

static int describe_workload(const struct controller *controller, const struct kube_external_workload *workload,
                             struct slice zone, const struct client_view *client, struct arena *arena,
                             struct endpoint_info *endpoint)
{
    struct slice kind, name = SLICE_NULL;
    struct label_list labels = {.count = 0};
    uint16_t inbound = INBOUND_PORT;

    for (size_t i = 0; i < workload->spec.port_count; i++)
        if (slice_eq(workload->spec.ports[i].name, SLICE_LIT("linkerd-proxy")))
            inbound = workload->spec.ports[i].port;
    add(&labels, SLICE_LIT("external_workload"), workload->meta.name);
    if (owner_of(&workload->meta, arena, &kind, &name) < 0)
        return -ENOMEM;
    if (kind.len)
        add(&labels, kind, name);
    common_labels(&workload->meta, zone, client, &labels, endpoint);
    hint(controller, describe_is_opaque(controller, &workload->meta, endpoint->addr.port), false, inbound, endpoint);
    endpoint->h2 = default_h2(arena);
    if (workload->spec.mesh_tls.identity.len) {
        bool uri = slice_find_slice(workload->spec.mesh_tls.identity, SLICE_LIT("://")) < workload->spec.mesh_tls.identity.len;

        endpoint->identity_kind = uri ? IDENTITY_URI : IDENTITY_DNS;
        endpoint->identity = workload->spec.mesh_tls.identity;
        endpoint->server_name = workload->spec.mesh_tls.server_name;
    }
    return keep(arena, &labels, &endpoint->labels);
}

int describe_endpoint(const struct controller *controller, const struct kube_object *backing, struct addr addr,
                      struct slice zone, const struct client_view *client, struct arena *arena,
                      struct endpoint_info *ret_endpoint)
{
    struct label_list labels = {.count = 0};

    *ret_endpoint = (struct endpoint_info){.addr = addr, .weight = WEIGHT};
    if (backing && backing->kind == KUBE_POD)
        return describe_pod(controller, kube_pod(backing), zone, client, arena, ret_endpoint);
    if (backing && backing->kind == KUBE_EXTERNAL_WORKLOAD)
        return describe_workload(controller, kube_external_workload(backing), zone, client, arena, ret_endpoint);
    common_labels(NULL, zone, client, &labels, ret_endpoint);
    return keep(arena, &labels, &ret_endpoint->labels);
}
