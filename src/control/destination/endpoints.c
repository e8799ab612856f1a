#include "control/destination/endpoints.h"

#include <errno.h>

/* A set being looked for; everything is in the arena. */
struct draft {
    const struct controller *controller;
    const struct kube_service *service;
    const struct cluster_host *target;
    const struct client_view *client;
    struct arena *arena;
    struct endpoint_found *items;
    size_t count, room;
    struct map six; /* targets with an IPv6 endpoint */
};

static const struct kube_service_port *find_port(const struct kube_service *service, uint16_t port)
{
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].port == port && service->ports[i].protocol == KUBE_TCP)
            return &service->ports[i];
    return NULL;
}

/* The port of a slice that stands for the Service's; a port that the Service does not have is itself. */
static uint16_t slice_port(const struct kube_endpoint_slice *slice, const struct kube_service_port *port, uint16_t asked)
{
    if (!port)
        return asked;
    for (size_t i = 0; i < slice->port_count; i++)
        if (slice->ports[i].protocol == KUBE_TCP && slice_eq(slice->ports[i].name, port->name))
            return slice->ports[i].port ? slice->ports[i].port : asked;
    return 0;
}

static bool has_hint(const struct kube_hint *hints, size_t count, struct slice name)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(hints[i].name, name))
            return true;
    return false;
}

/* Which hints count for a client. */
enum hints { HINTS_NONE, HINTS_ZONES, HINTS_NODES };

static bool is_hinted(const struct draft *draft, const struct kube_endpoint *endpoint, enum hints hints)
{
    if (hints == HINTS_NODES)
        return has_hint(endpoint->hints.nodes, endpoint->hints.node_count, draft->client->node);
    return hints == HINTS_NONE || has_hint(endpoint->hints.zones, endpoint->hints.zone_count, draft->client->zone);
}

static struct slice target_key(const struct kube_endpoint *endpoint, struct arena *arena)
{
    return arena_printf(arena, "%.*s %.*s/%.*s", SLICE_ARGS(endpoint->target.kind), SLICE_ARGS(endpoint->target.namespace_),
                        SLICE_ARGS(endpoint->target.name));
}

/* Whether the pod or workload of an IPv4 endpoint is there with an IPv6 address as well, which then counts for both. */
static bool has_six(const struct draft *draft, const struct kube_endpoint *endpoint)
{
    struct slice key;

    if (!draft->six.count || !endpoint->target.name.len)
        return false;
    key = target_key(endpoint, draft->arena);
    return key.ptr && map_find(&draft->six, key);
}

/* Notes the targets of a slice of IPv6 endpoints. */
static int note_six(struct draft *draft, const struct kube_endpoint_slice *slice)
{
    struct arena *arena = draft->arena;

    for (size_t i = 0; i < slice->endpoint_count; i++) {
        struct map_entry *entry;
        struct slice key;

        if (!slice->endpoints[i].target.name.len || !kube_endpoint_ready(&slice->endpoints[i]))
            continue;
        key = target_key(&slice->endpoints[i], arena);
        if (key.ptr && map_find(&draft->six, key))
            continue;
        entry = ARENA_NEW(arena, struct map_entry);
        if (!key.ptr || !entry || map_add(&draft->six, entry, key) < 0)
            return -ENOMEM;
    }
    return 0;
}

/* What it is cannot be said when its pod or workload is not there, yet or any more: it may be meshed, and plaintext would be wrong. */
static bool is_unknown(const struct draft *draft, const struct kube_endpoint *endpoint)
{
    bool names = slice_eq(endpoint->target.kind, SLICE_LIT("Pod")) || slice_eq(endpoint->target.kind, SLICE_LIT("ExternalWorkload"));

    return names && !describe_backing(draft->controller, draft->service, endpoint);
}

static bool wanted(const struct draft *draft, const struct kube_endpoint *endpoint)
{
    if (!endpoint->ip.version || (!kube_endpoint_ready(endpoint) && !draft->service->publish_not_ready))
        return false;
    if (endpoint->ip.version == 6 && !draft->controller->options.ipv6)
        return false;
    if (endpoint->ip.version == 4 && has_six(draft, endpoint))
        return false;
    if (draft->target->instance.len && !slice_eq(endpoint->hostname, draft->target->instance))
        return false;
    if (is_unknown(draft, endpoint))
        return false;
    if (draft->service->internal_traffic_local && draft->client->node.len && !slice_eq(endpoint->node_name, draft->client->node))
        return false;
    return true;
}

/* Hints of a kind count only when every endpoint has some of it, and one has them for the client. */
static bool hints_apply(const struct draft *draft, struct kube_set slices, enum hints kind)
{
    bool any = false;

    if (!(kind == HINTS_NODES ? draft->client->node : draft->client->zone).len)
        return false;
    for (size_t i = 0; i < slices.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(slices.items[i]);

        for (size_t j = 0; j < slice->endpoint_count; j++) {
            if (!wanted(draft, &slice->endpoints[j]))
                continue;
            if (!(kind == HINTS_NODES ? slice->endpoints[j].hints.node_count : slice->endpoints[j].hints.zone_count))
                return false;
            any |= is_hinted(draft, &slice->endpoints[j], kind);
        }
    }
    return any;
}

/* As kube-proxy does: the node's, else the zone's, else all. */
static enum hints choose_hints(const struct draft *draft, struct kube_set slices)
{
    if (hints_apply(draft, slices, HINTS_NODES))
        return HINTS_NODES;
    return hints_apply(draft, slices, HINTS_ZONES) ? HINTS_ZONES : HINTS_NONE;
}

bool endpoints_by_node(const struct controller *controller, const struct kube_service *service)
{
    struct kube_set slices = store_by_name(controller->store, STORE_SLICES_OF_SERVICE, service->meta.namespace_, service->meta.name);

    if (service->internal_traffic_local)
        return true;
    for (size_t i = 0; i < slices.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(slices.items[i]);

        for (size_t j = 0; j < slice->endpoint_count; j++)
            if (slice->endpoints[j].hints.node_count)
                return true;
    }
    return false;
}

static int put(struct draft *draft, const struct kube_endpoint *endpoint, uint16_t port)
{
    if (draft->count == draft->room) {
        size_t room = draft->room ? draft->room * 2 : 16;
        struct endpoint_found *more = ARENA_ARRAY(draft->arena, struct endpoint_found, room);

        if (!more)
            return -ENOMEM;
        if (draft->count)
            memcpy(more, draft->items, draft->count * sizeof(*more));
        draft->items = more;
        draft->room = room;
    }
    draft->items[draft->count++] = (struct endpoint_found){
        .addr = {endpoint->ip, port},
        .backing = describe_backing(draft->controller, draft->service, endpoint),
        .zone = endpoint->zone.len ? endpoint->zone : describe_zone_of_node(draft->controller, endpoint->node_name),
    };
    return 0;
}

/* Adds what there is in the slices, as far as it is for this client. */
static int fill(struct draft *draft, struct kube_set slices)
{
    const struct kube_service_port *port = find_port(draft->service, draft->target->port);
    bool ipv6 = draft->controller->options.ipv6;
    enum hints hints = HINTS_NONE;
    int r = 0;

    for (size_t i = 0; r == 0 && ipv6 && i < slices.count; i++)
        if (kube_endpoint_slice(slices.items[i])->address_type == KUBE_IPV6)
            r = note_six(draft, kube_endpoint_slice(slices.items[i]));
    if (r == 0)
        hints = choose_hints(draft, slices);
    for (size_t i = 0; r == 0 && i < slices.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(slices.items[i]);
        uint16_t number = slice_port(slice, port, draft->target->port);

        for (size_t j = 0; r == 0 && number && j < slice->endpoint_count; j++)
            if (wanted(draft, &slice->endpoints[j]) && is_hinted(draft, &slice->endpoints[j], hints))
                r = put(draft, &slice->endpoints[j], number);
    }
    return r;
}

int endpoints_find(const struct controller *controller, const struct kube_service *service, const struct cluster_host *target,
                   const struct client_view *client, struct arena *arena, struct endpoint_found **ret_items, size_t *ret_count)
{
    struct draft draft = {controller, service, target, client, .arena = arena};
    int r;

    map_init(&draft.six, 0, 0);
    r = fill(&draft, store_by_name(controller->store, STORE_SLICES_OF_SERVICE, service->meta.namespace_, service->meta.name));
    map_release(&draft.six);
    if (r < 0)
        return r;
    *ret_items = draft.items;
    *ret_count = draft.count;
    return 0;
}

struct labels endpoints_labels(const struct cluster_host *target, struct label room[2])
{
    room[0] = (struct label){SLICE_LIT("namespace"), target->namespace_};
    room[1] = (struct label){SLICE_LIT("service"), target->service};
    return (struct labels){room, 2};
}
