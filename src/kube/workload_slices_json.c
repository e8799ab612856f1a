/* A slice as it should be: whether it is so, and as JSON. */
#include "kube/workload_slices_internal.h"

#define SERVICE_NAME SLICE_LIT("kubernetes.io/service-name")
#define MANAGED_BY SLICE_LIT("endpointslice.kubernetes.io/managed-by")
#define HEADLESS SLICE_LIT("service.kubernetes.io/headless")

/* --- what should be in it --- */

/* Labels that we say ourselves; those of the Service under the same names are not copied. */
static bool is_reserved(struct slice label)
{
    return slice_eq(label, SERVICE_NAME) || slice_eq(label, MANAGED_BY) || slice_eq(label, HEADLESS);
}

static bool counts_as_ready(const struct kube_external_workload *workload, const struct kube_service *service)
{
    return kube_external_workload_says_ready(workload) || service->publish_not_ready;
}

/* --- whether it is --- */

static bool port_equal(const struct kube_endpoint_port *a, const struct kube_endpoint_port *b)
{
    return a->port == b->port && a->protocol == b->protocol && slice_eq(a->name, b->name) && slice_eq(a->app_protocol, b->app_protocol);
}

bool ports_equal(const struct group *group, const struct kube_endpoint_slice *slice)
{
    bool equal = group->port_count == slice->port_count;

    for (size_t i = 0; equal && i < group->port_count; i++)
        equal = port_equal(&group->ports[i], &slice->ports[i]);
    return equal;
}

static bool addresses_equal(const struct member *member, const struct kube_endpoint *endpoint)
{
    bool equal = member->address_count == endpoint->address_count;

    for (size_t i = 0; equal && i < member->address_count; i++)
        equal = slice_eq(member->addresses[i], endpoint->addresses[i]);
    return equal;
}

static bool says(int condition, bool holds)
{
    return condition == (holds ? KUBE_TRUE : KUBE_FALSE);
}

static bool endpoint_is_there(const struct member *member, const struct kube_service *service, const struct kube_endpoint *endpoint)
{
    const struct kube_external_workload *workload = member->workload;

    return addresses_equal(member, endpoint) && says(endpoint->conditions.ready, counts_as_ready(workload, service)) &&
           says(endpoint->conditions.serving, kube_external_workload_says_ready(workload)) && says(endpoint->conditions.terminating, false) &&
           slice_eq(endpoint->zone, kube_external_workload_zone(workload)) && !endpoint->node_name.len &&
           slice_eq(endpoint->hostname, kube_external_workload_hostname(workload, service)) &&
           slice_eq(endpoint->target.kind, SLICE_LIT("ExternalWorkload")) && slice_eq(endpoint->target.namespace_, workload->meta.namespace_) &&
           slice_eq(endpoint->target.name, workload->meta.name);
}

static bool has_label(const struct kube_map *labels, struct slice key, struct slice value)
{
    struct slice found = kube_map_get(labels, key);

    return found.ptr && slice_eq(found, value);
}

static bool labels_are_there(const struct kube_map *labels, const struct kube_service *service)
{
    const struct kube_map *own = &service->meta.labels;

    for (size_t i = 0; i < own->count; i++)
        if (!is_reserved(own->items[i].key) && !has_label(labels, own->items[i].key, own->items[i].value))
            return false;
    return has_label(labels, SERVICE_NAME, service->meta.name) && has_label(labels, MANAGED_BY, KUBE_SLICE_MANAGER) &&
           service->headless == (kube_map_get(labels, HEADLESS).ptr != NULL);
}

static bool owner_is_there(const struct kube_object *slice, const struct kube_object *service)
{
    for (size_t i = 0; i < slice->owner_count; i++) {
        const struct kube_owner *owner = &slice->owners[i];

        if (!owner->group.len && slice_eq(owner->kind, SLICE_LIT("Service")) && slice_eq(owner->name, service->name) &&
            slice_eq(owner->uid, service->uid))
            return true;
    }
    return false;
}

bool draft_is_there(const struct draft *draft, const struct kube_service *service)
{
    const struct kube_endpoint_slice *old = draft->old;
    bool equal = draft->count == old->endpoint_count && ports_equal(draft->group, old) && labels_are_there(&old->meta.labels, service) &&
                 owner_is_there(&old->meta, &service->meta);

    for (size_t i = 0; equal && i < draft->count; i++)
        equal = endpoint_is_there(draft->members[i], service, &old->endpoints[i]);
    return equal;
}

/* --- as JSON --- */

static void add_pair(struct buffer *out, const char *before, struct slice key, struct slice value)
{
    buffer_add(out, slice_str(before));
    buffer_add_json(out, key);
    buffer_add_byte(out, ':');
    buffer_add_json(out, value);
}

/* `old`: labels that it has and should not are taken away. */
static void write_labels(const struct kube_service *service, const struct kube_endpoint_slice *old, struct buffer *out)
{
    const struct kube_map *own = &service->meta.labels;

    add_pair(out, "\"labels\":{", SERVICE_NAME, service->meta.name);
    add_pair(out, ",", MANAGED_BY, KUBE_SLICE_MANAGER);
    if (service->headless)
        add_pair(out, ",", HEADLESS, SLICE_LIT(""));
    for (size_t i = 0; i < own->count; i++)
        if (!is_reserved(own->items[i].key))
            add_pair(out, ",", own->items[i].key, own->items[i].value);
    for (size_t i = 0; old && i < old->meta.labels.count; i++) {
        struct slice key = old->meta.labels.items[i].key;

        if (is_reserved(key) ? slice_eq(key, HEADLESS) && !service->headless : !kube_map_get(own, key).ptr) {
            buffer_add_byte(out, ',');
            buffer_add_json(out, key);
            buffer_add_lit(out, ":null");
        }
    }
    buffer_add_byte(out, '}');
}

static void write_owner(const struct kube_object *service, struct buffer *out)
{
    add_pair(out, ",\"ownerReferences\":[{\"apiVersion\":\"v1\",\"kind\":\"Service\",\"controller\":true,", SLICE_LIT("name"), service->name);
    add_pair(out, ",", SLICE_LIT("uid"), service->uid);
    buffer_add_lit(out, "}]");
}

static void write_ports(const struct group *group, struct buffer *out)
{
    static const char *const protocols[] = {[KUBE_TCP] = "TCP", [KUBE_UDP] = "UDP", [KUBE_SCTP] = "SCTP"};

    buffer_add_lit(out, "\"ports\":[");
    for (size_t i = 0; i < group->port_count; i++) {
        const struct kube_endpoint_port *port = &group->ports[i];

        buffer_printf(out, "%s{\"port\":%u,\"protocol\":\"%s\"", i ? "," : "", port->port, protocols[port->protocol]);
        add_pair(out, ",", SLICE_LIT("name"), port->name);
        if (port->app_protocol.len)
            add_pair(out, ",", SLICE_LIT("appProtocol"), port->app_protocol);
        buffer_add_byte(out, '}');
    }
    buffer_add_byte(out, ']');
}

static void write_endpoint(const struct member *member, const struct kube_service *service, struct buffer *out)
{
    const struct kube_external_workload *workload = member->workload;
    struct slice zone = kube_external_workload_zone(workload), hostname = kube_external_workload_hostname(workload, service);

    buffer_add_lit(out, "{\"addresses\":[");
    for (size_t i = 0; i < member->address_count; i++) {
        buffer_add(out, i ? SLICE_LIT(",") : SLICE_LIT(""));
        buffer_add_json(out, member->addresses[i]);
    }
    buffer_printf(out, "],\"conditions\":{\"ready\":%s,\"serving\":%s,\"terminating\":false}",
                  counts_as_ready(workload, service) ? "true" : "false", kube_external_workload_says_ready(workload) ? "true" : "false");
    if (zone.len)
        add_pair(out, ",", SLICE_LIT("zone"), zone);
    if (hostname.len)
        add_pair(out, ",", SLICE_LIT("hostname"), hostname);
    add_pair(out, ",\"targetRef\":{\"kind\":\"ExternalWorkload\",", SLICE_LIT("namespace"), workload->meta.namespace_);
    add_pair(out, ",", SLICE_LIT("name"), workload->meta.name);
    buffer_add_lit(out, "}}");
}

void draft_write(const struct draft *draft, const struct kube_service *service, struct slice name, struct buffer *out)
{
    if (!draft->old) {
        buffer_printf(out, "{\"apiVersion\":\"discovery.k8s.io/v1\",\"kind\":\"EndpointSlice\",\"addressType\":\"IPv%d\",\"metadata\":{", draft->family);
        add_pair(out, "", SLICE_LIT("name"), name);
        add_pair(out, ",", SLICE_LIT("namespace"), service->meta.namespace_);
        buffer_add_byte(out, ',');
    }
    write_labels(service, draft->old, out);
    write_owner(&service->meta, out);
    buffer_add_lit(out, "},");
    write_ports(draft->group, out);
    buffer_add_lit(out, ",\"endpoints\":[");
    for (size_t i = 0; i < draft->count; i++) {
        buffer_add(out, i ? SLICE_LIT(",") : SLICE_LIT(""));
        write_endpoint(draft->members[i], service, out);
    }
    buffer_add_lit(out, "]}");
}

void slice_write_patch(const struct slice_write *write, struct slice version, struct buffer *out)
{
    add_pair(out, "{\"metadata\":{", SLICE_LIT("resourceVersion"), version);
    buffer_add_byte(out, ',');
    buffer_add(out, write->body);
}
