#include "control/ports.h"

static const struct slice OPAQUE_PORTS = {"config.linkerd.io/opaque-ports", 30};

/* "80" or "8000-8100". */
static bool part_has(struct slice part, uint16_t port)
{
    size_t dash = slice_find(part, '-');
    uint64_t first, last;

    if (slice_u64(slice_take(part, dash), UINT16_MAX, &first) < 0)
        return false;
    last = first;
    if (dash < part.len && slice_u64(slice_skip(part, dash + 1), UINT16_MAX, &last) < 0)
        return false;
    return port >= first && port <= last;
}

bool ports_text_has(struct slice text, uint16_t port)
{
    struct slice rest = text, part;

    while (slice_split(&rest, ',', &part))
        if (part_has(slice_trim(part), port))
            return true;
    return false;
}

/* Several containers may have a port of one name. */
static bool containers_have(const struct kube_container *containers, size_t count, struct slice name, uint16_t port)
{
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < containers[i].port_count; j++) {
            const struct kube_container_port *each = &containers[i].ports[j];

            if (each->port == port && each->protocol == KUBE_TCP && slice_eq(each->name, name))
                return true;
        }
    return false;
}

static bool port_has_name(const struct kube_object *workload, struct slice name, uint16_t port)
{
    if (!name.len)
        return false;
    if (workload->kind == KUBE_POD) {
        const struct kube_pod *pod = kube_pod(workload);

        return containers_have(pod->spec.containers, pod->spec.container_count, name, port) ||
               containers_have(pod->spec.init_containers, pod->spec.init_container_count, name, port);
    }
    for (size_t i = 0; i < kube_external_workload(workload)->spec.port_count; i++) {
        const struct kube_workload_port *each = &kube_external_workload(workload)->spec.ports[i];

        if (each->port == port && each->protocol == KUBE_TCP && slice_eq(each->name, name))
            return true;
    }
    return false;
}

bool ports_workload_text_has(const struct kube_object *workload, struct slice text, uint16_t port)
{
    struct slice rest = text, part;

    while (slice_split(&rest, ',', &part))
        if (part_has(slice_trim(part), port) || port_has_name(workload, slice_trim(part), port))
            return true;
    return false;
}

struct slice ports_annotation(const struct controller *controller, const struct kube_object *object, struct slice key)
{
    struct slice own = kube_map_get(&object->annotations, key);
    const struct kube_object *ns;

    if (own.ptr)
        return own;
    ns = store_get(controller->store, KUBE_NAMESPACE, SLICE_LIT(""), object->namespace_);
    return ns ? kube_map_get(&ns->annotations, key) : SLICE_NULL;
}

bool ports_default_is_opaque(const struct controller *controller, uint16_t port)
{
    for (size_t i = 0; i < controller->options.opaque_port_count; i++)
        if (port >= controller->options.opaque_ports[i].first && port <= controller->options.opaque_ports[i].last)
            return true;
    return false;
}

bool ports_service_is_opaque(const struct controller *controller, const struct kube_object *service, uint16_t port)
{
    struct slice text = ports_annotation(controller, service, OPAQUE_PORTS);

    return text.ptr ? ports_text_has(text, port) : ports_default_is_opaque(controller, port);
}

bool ports_workload_is_opaque(const struct controller *controller, const struct kube_object *workload, uint16_t port)
{
    struct slice text = ports_annotation(controller, workload, OPAQUE_PORTS);

    return text.ptr ? ports_workload_text_has(workload, text, port) : ports_default_is_opaque(controller, port);
}

bool ports_server_selects(const struct kube_server *server, const struct kube_object *workload)
{
    const struct kube_selector *selector =
        workload->kind == KUBE_POD ? server->pod_selector : server->external_workload_selector;

    return selector && kube_selector_matches(selector, &workload->labels);
}

static bool ref_is(const struct kube_object *workload, const struct kube_port_ref *ref, uint16_t port)
{
    return ref->number ? ref->number == port : port_has_name(workload, ref->name, port);
}

const struct kube_server *ports_server(const struct controller *controller, const struct kube_object *workload, uint16_t port,
                                       const struct kube_server **ret_ignored)
{
    struct kube_set servers = store_in(controller->store, KUBE_SERVER, workload->namespace_);
    const struct kube_server *found[2] = {NULL, NULL};
    int count = 0;

    for (size_t i = 0; i < servers.count && count < (ret_ignored ? 2 : 1); i++) {
        const struct kube_server *server = kube_server(servers.items[i]);

        if (ports_server_selects(server, workload) && ref_is(workload, &server->port, port))
            found[count++] = server;
    }
    if (ret_ignored)
        *ret_ignored = found[1];
    return found[0];
}
