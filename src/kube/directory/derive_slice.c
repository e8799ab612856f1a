#include "kube/directory/derive_slice.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/mutation.h"

#define MIRROR_LABEL SLICE_LIT("endpointslice.kubernetes.io/mirrored-subset")

/* ---- names ---- */

struct derived_name derived_slice_name(struct slice service, enum kube_kind kind, struct slice target, int family)
{
    const char *what = kind == KUBE_POD ? "pod" : kind == KUBE_EXTERNAL_WORKLOAD ? "external" : "endpoints";
    struct derived_name name;
    int len = snprintf(name.text, sizeof(name.text), "%.*s~%s~%.*s~%d", SLICE_ARGS(service), what, SLICE_ARGS(target),
                       family);

    if (len >= (int)sizeof(name.text))
        snprintf(name.text, sizeof(name.text), "%.*s~%s~%016" PRIx64 "~%d", SLICE_ARGS(slice_take(service, 100)), what,
                 siphash13(target.ptr, target.len, 0, 0), family);
    return name;
}

/* ---- the object ---- */

struct maker {
    struct kube_endpoint_slice *slice;
    struct arena *arena;
    bool failed;
};

static struct slice copy(struct maker *m, struct slice text)
{
    struct slice out = text.len ? arena_dup(m->arena, text) : SLICE_NULL;

    m->failed |= text.len && !out.ptr;
    return out;
}

static void *array(struct maker *m, size_t count, size_t size)
{
    void *memory = arena_zalloc(m->arena, count, size);

    m->failed |= !memory;
    return memory;
}

/* `from` lends its age: endpoints come in the order of their Pods. */
static int start(struct maker *m, struct slice service, struct derived_name name, const struct kube_object *from,
                 int family)
{
    struct kube_object *object = kube_object_new(KUBE_ENDPOINT_SLICE);

    if (!object)
        return -ENOMEM;
    *m = (struct maker){(struct kube_endpoint_slice *)(void *)object, &object->arena, false};
    object->version = SLICE_LIT("v1");
    object->namespace_ = copy(m, from->namespace_);
    object->name = copy(m, slice_str(name.text));
    object->created_ns = from->created_ns;
    object->origin = (struct kube_origin){copy(m, from->origin.file), from->origin.line, from->origin.order};
    object->derived = true;
    m->slice->service = copy(m, service);
    m->slice->address_type = family == 4 ? KUBE_IPV4 : KUBE_IPV6;
    return 0;
}

static void set_labels(struct maker *m, struct slice subset)
{
    struct kube_pair *items = array(m, 3, sizeof(*items));
    size_t count = 0;

    if (!items)
        return;
    items[count++] = (struct kube_pair){SLICE_LIT("endpointslice.kubernetes.io/managed-by"), SLICE_LIT("clinkerd")};
    if (subset.len)
        items[count++] = (struct kube_pair){MIRROR_LABEL, subset};
    items[count++] = (struct kube_pair){SLICE_LIT("kubernetes.io/service-name"), m->slice->service};
    m->slice->meta.labels = (struct kube_map){items, count};
}

static void set_address(struct maker *m, struct kube_endpoint *endpoint, struct ip ip)
{
    char text[IP_TEXT_MAX];

    endpoint->ip = ip;
    endpoint->addresses = array(m, 1, sizeof(*endpoint->addresses));
    if (!endpoint->addresses)
        return;
    endpoint->addresses[0] = copy(m, slice_str(ip_format(ip, text)));
    endpoint->address_count = 1;
}

static struct kube_ref copy_ref(struct maker *m, struct slice kind, struct slice ns, struct slice name)
{
    return (struct kube_ref){SLICE_NULL, copy(m, kind), copy(m, name), copy(m, ns)};
}

static void digest_text(struct buffer *out, struct slice text)
{
    buffer_printf(out, "%zu:", text.len);
    buffer_add(out, text);
}

/* Everything in it that may differ from one making to the next. */
static void set_digest(struct maker *m)
{
    const struct kube_endpoint_slice *slice = m->slice;
    struct buffer out;
    struct slice bytes;

    buffer_init(&out, 1u << 26);
    for (size_t i = 0; i < slice->endpoint_count; i++) {
        const struct kube_endpoint *endpoint = &slice->endpoints[i];

        buffer_printf(&out, "|%d%d%d", endpoint->conditions.ready, endpoint->conditions.serving,
                      endpoint->conditions.terminating);
        digest_text(&out, endpoint->addresses[0]);
        digest_text(&out, endpoint->hostname);
        digest_text(&out, endpoint->node_name);
        digest_text(&out, endpoint->zone);
        digest_text(&out, endpoint->target.kind);
        digest_text(&out, endpoint->target.name);
    }
    for (size_t i = 0; i < slice->port_count; i++) {
        buffer_printf(&out, "/%u,%d", slice->ports[i].port, slice->ports[i].protocol);
        digest_text(&out, slice->ports[i].name);
        digest_text(&out, slice->ports[i].app_protocol);
    }
    bytes = buffer_slice(&out);
    m->slice->meta.digest[0] = siphash13(bytes.ptr, bytes.len, 1, 2);
    m->slice->meta.digest[1] = siphash13(bytes.ptr, bytes.len, 3, 4);
    m->failed |= buffer_error(&out) < 0;
    buffer_release(&out);
}

static int finish(struct maker *m, int result, struct kube_object **ret_slice)
{
    if (result == 0 && !m->failed)
        set_digest(m);
    if (result == 0 && m->failed)
        result = -ENOMEM;
    if (result < 0)
        kube_object_unref(&m->slice->meta);
    else
        *ret_slice = &m->slice->meta;
    return result;
}

/* ---- one Pod or ExternalWorkload ---- */

static struct ip first_of_family(const struct kube_pod_ip *ips, size_t count, int family)
{
    for (size_t i = 0; i < count; i++)
        if (ips[i].ip.version == family)
            return ips[i].ip;
    return (struct ip){0};
}

static struct ip target_ip(const struct kube_object *target, int family)
{
    if (target->kind == KUBE_POD) {
        const struct kube_pod *pod = kube_pod(target);

        return kube_pod_has_ended(pod) ? (struct ip){0}
                                       : first_of_family(pod->status.pod_ips, pod->status.pod_ip_count, family);
    }
    return first_of_family(kube_external_workload(target)->spec.ips, kube_external_workload(target)->spec.ip_count,
                           family);
}

static uint16_t target_port(const struct kube_object *target, const struct kube_service_port *port)
{
    if (target->kind == KUBE_EXTERNAL_WORKLOAD)
        return kube_external_workload_port(kube_external_workload(target), port);
    if (port->target.number)
        return port->target.number;
    return kube_pod_named_port(kube_pod(target), port->target.name, port->protocol);
}

/* -ENOENT when the Service has ports and the target none of them. */
static int set_ports(struct maker *m, const struct kube_service *service, const struct kube_object *target)
{
    m->slice->ports = array(m, service->port_count, sizeof(*m->slice->ports));
    for (size_t i = 0; i < service->port_count && m->slice->ports; i++) {
        const struct kube_service_port *port = &service->ports[i];
        uint16_t number = target_port(target, port);

        if (number)
            m->slice->ports[m->slice->port_count++] =
                (struct kube_endpoint_port){copy(m, port->name), number, port->protocol, copy(m, port->app_protocol)};
    }
    return service->port_count && !m->slice->port_count && m->slice->ports ? -ENOENT : 0;
}

static void set_conditions(struct kube_endpoint *endpoint, bool ready, bool terminating, bool publish_not_ready)
{
    endpoint->conditions.serving = ready ? KUBE_TRUE : KUBE_FALSE;
    endpoint->conditions.terminating = terminating ? KUBE_TRUE : KUBE_FALSE;
    endpoint->conditions.ready = (ready || publish_not_ready || mutation("unready-pods-are-endpoints")) && !terminating ? KUBE_TRUE : KUBE_FALSE;
}

static void set_pod(struct maker *m, struct kube_endpoint *endpoint, const struct store *store,
                    const struct kube_service *service, const struct kube_pod *pod)
{
    const struct kube_object *node = store_get(store, KUBE_NODE, SLICE_NULL, pod->spec.node_name);

    set_conditions(endpoint, kube_pod_is_ready(pod), pod->meta.deleted_ns != KUBE_NO_TIME, service->publish_not_ready);
    endpoint->node_name = copy(m, pod->spec.node_name);
    if (node)
        endpoint->zone = copy(m, kube_node(node)->zone);
    if (slice_eq(pod->spec.subdomain, service->meta.name))
        endpoint->hostname = copy(m, pod->spec.hostname);
}

static void set_workload(struct maker *m, struct kube_endpoint *endpoint, const struct kube_service *service,
                         const struct kube_external_workload *workload)
{
    set_conditions(endpoint, kube_external_workload_is_ready(workload), workload->meta.deleted_ns != KUBE_NO_TIME,
                   service->publish_not_ready);
    endpoint->zone = copy(m, kube_external_workload_zone(workload));
    endpoint->hostname = copy(m, kube_external_workload_hostname(workload, service));
}

int derived_slice_make(const struct store *store, const struct kube_service *service, const struct kube_object *target,
                       int family, struct kube_object **ret_slice)
{
    struct derived_name name = derived_slice_name(service->meta.name, target->kind, target->name, family);
    struct ip ip = target_ip(target, family);
    struct kube_endpoint *endpoint;
    struct maker m;
    int r;

    if (!ip.version || !kube_service_has_family(service, family))
        return -ENOENT;
    r = start(&m, service->meta.name, name, target, family);
    if (r < 0)
        return r;
    set_labels(&m, SLICE_NULL);
    r = set_ports(&m, service, target);
    endpoint = m.slice->endpoints = array(&m, 1, sizeof(*endpoint));
    if (r < 0 || !endpoint)
        return finish(&m, r, ret_slice);
    m.slice->endpoint_count = 1;
    set_address(&m, endpoint, ip);
    endpoint->target = copy_ref(&m, kube_kind_name(target->kind), target->namespace_, target->name);
    if (target->kind == KUBE_POD)
        set_pod(&m, endpoint, store, service, kube_pod(target));
    else
        set_workload(&m, endpoint, service, kube_external_workload(target));
    return finish(&m, 0, ret_slice);
}

/* ---- Endpoints ---- */

static size_t count_family(const struct kube_endpoints_address *addresses, size_t count, int family)
{
    size_t found = 0;

    for (size_t i = 0; i < count; i++)
        found += addresses[i].ip.version == family;
    return found;
}

static void add_addresses(struct maker *m, const struct kube_endpoints_address *addresses, size_t count, int family,
                          bool ready)
{
    for (size_t i = 0; i < count && !m->failed; i++) {
        struct kube_endpoint *endpoint = &m->slice->endpoints[m->slice->endpoint_count];
        const struct kube_endpoints_address *address = &addresses[i];

        if (address->ip.version != family)
            continue;
        m->slice->endpoint_count++;
        set_address(m, endpoint, address->ip);
        set_conditions(endpoint, ready, false, false);
        endpoint->hostname = copy(m, address->hostname);
        endpoint->node_name = copy(m, address->node_name);
        endpoint->target = copy_ref(m, address->target.kind, address->target.namespace_, address->target.name);
    }
}

static void copy_ports(struct maker *m, const struct kube_endpoints_subset *subset)
{
    m->slice->ports = array(m, subset->port_count, sizeof(*m->slice->ports));
    for (size_t i = 0; i < subset->port_count && m->slice->ports; i++)
        m->slice->ports[m->slice->port_count++] =
            (struct kube_endpoint_port){copy(m, subset->ports[i].name), subset->ports[i].port,
                                        subset->ports[i].protocol, copy(m, subset->ports[i].app_protocol)};
}

static size_t subset_count(const struct kube_endpoints_subset *subset, int family)
{
    return count_family(subset->addresses, subset->address_count, family) +
           count_family(subset->not_ready_addresses, subset->not_ready_address_count, family);
}

int derived_slice_mirror(const struct kube_endpoints *endpoints, size_t index, int family,
                         struct kube_object **ret_slice)
{
    const struct kube_endpoints_subset *subset = &endpoints->subsets[index];
    size_t count = subset_count(subset, family);
    char number[24];
    struct maker m;
    int r;

    if (!count)
        return -ENOENT;
    snprintf(number, sizeof(number), "%zu", index);
    r = start(&m, endpoints->meta.name,
              derived_slice_name(endpoints->meta.name, KUBE_ENDPOINTS, slice_str(number), family), &endpoints->meta,
              family);
    if (r < 0)
        return r;
    set_labels(&m, copy(&m, slice_str(number)));
    copy_ports(&m, subset);
    m.slice->endpoints = array(&m, count, sizeof(*m.slice->endpoints));
    if (m.slice->endpoints) {
        add_addresses(&m, subset->addresses, subset->address_count, family, true);
        add_addresses(&m, subset->not_ready_addresses, subset->not_ready_address_count, family, false);
    }
    return finish(&m, 0, ret_slice);
}

bool derived_slice_is_mirror(const struct kube_endpoint_slice *slice)
{
    return kube_map_get(&slice->meta.labels, MIRROR_LABEL).ptr != NULL;
}

bool derived_slice_still_mirrors(const struct kube_endpoint_slice *slice, const struct kube_endpoints *endpoints)
{
    uint64_t index;

    return slice_u64(kube_map_get(&slice->meta.labels, MIRROR_LABEL), SIZE_MAX, &index) == 0 &&
           index < endpoints->subset_count &&
           subset_count(&endpoints->subsets[index], slice->address_type == KUBE_IPV4 ? 4 : 6) > 0;
}
