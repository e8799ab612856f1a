#include "control/destination/endpoints.h"

#include <errno.h>

/* A set being made: an update whose arena holds everything. */
struct draft {
    const struct controller *controller;
    const struct kube_service *service;
    const struct cluster_host *target;
    const struct client_view *client;
    struct endpoint_update *update;
    size_t room;
    struct map six; /* targets with an IPv6 endpoint; entries and keys are in the update's arena */
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

static bool has_zone_hint(const struct kube_endpoint *endpoint, struct slice zone)
{
    for (size_t i = 0; i < endpoint->hints.zone_count; i++)
        if (slice_eq(endpoint->hints.zones[i].name, zone))
            return true;
    return false;
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
    key = target_key(endpoint, &draft->update->snapshot.arena);
    return key.ptr && map_find(&draft->six, key);
}

/* Notes the targets of a slice of IPv6 endpoints. */
static int note_six(struct draft *draft, const struct kube_endpoint_slice *slice)
{
    struct arena *arena = &draft->update->snapshot.arena;

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

/* Hints count only when every endpoint has them and some are for the client's zone. */
static bool hints_apply(const struct draft *draft, struct kube_set slices)
{
    struct slice zone = draft->client->zone;
    bool any = false;

    if (!zone.len)
        return false;
    for (size_t i = 0; i < slices.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(slices.items[i]);

        for (size_t j = 0; j < slice->endpoint_count; j++) {
            if (!wanted(draft, &slice->endpoints[j]))
                continue;
            if (!slice->endpoints[j].hints.zone_count)
                return false;
            any |= has_zone_hint(&slice->endpoints[j], zone);
        }
    }
    return any;
}

static int put(struct draft *draft, const struct kube_endpoint *endpoint, uint16_t port)
{
    struct endpoint_update *update = draft->update;
    const struct controller *controller = draft->controller;
    struct addr addr = {endpoint->ip, port};

    if (update->added_count == draft->room) {
        size_t room = draft->room ? draft->room * 2 : 16;
        struct endpoint_info *more = ARENA_ARRAY(&update->snapshot.arena, struct endpoint_info, room);

        if (!more)
            return -ENOMEM;
        if (update->added_count)
            memcpy(more, update->added, update->added_count * sizeof(*more));
        update->added = more;
        draft->room = room;
    }
    return describe_endpoint(controller, describe_backing(controller, draft->service, endpoint), addr,
                             endpoint->zone.len ? endpoint->zone : describe_zone_of_node(controller, endpoint->node_name),
                             draft->client, &update->snapshot.arena, &update->added[update->added_count++]);
}

static int set_labels(struct draft *draft)
{
    struct arena *arena = &draft->update->snapshot.arena;
    struct label *items = ARENA_ARRAY(arena, struct label, 2);

    if (!items)
        return -ENOMEM;
    items[0] = (struct label){SLICE_LIT("namespace"), draft->target->namespace_};
    items[1] = (struct label){SLICE_LIT("service"), draft->target->service};
    draft->update->set_labels = (struct labels){items, 2};
    return 0;
}

/* Adds what there is in the slices, as far as it is for this client. */
static int fill(struct draft *draft, struct kube_set slices)
{
    const struct kube_service_port *port = find_port(draft->service, draft->target->port);
    bool ipv6 = draft->controller->options.ipv6, hints;
    int r = set_labels(draft);

    for (size_t i = 0; r == 0 && ipv6 && i < slices.count; i++)
        if (kube_endpoint_slice(slices.items[i])->address_type == KUBE_IPV6)
            r = note_six(draft, kube_endpoint_slice(slices.items[i]));
    hints = r == 0 && hints_apply(draft, slices);
    for (size_t i = 0; r == 0 && i < slices.count; i++) {
        const struct kube_endpoint_slice *slice = kube_endpoint_slice(slices.items[i]);
        uint16_t number = slice_port(slice, port, draft->target->port);

        for (size_t j = 0; r == 0 && number && j < slice->endpoint_count; j++)
            if (wanted(draft, &slice->endpoints[j]) && (!hints || has_zone_hint(&slice->endpoints[j], draft->client->zone)))
                r = put(draft, &slice->endpoints[j], number);
    }
    return r;
}

int endpoints_build(const struct controller *controller, const struct kube_service *service, const struct cluster_host *target,
                    const struct client_view *client, struct endpoint_update **ret_update)
{
    struct draft draft = {controller, service, target, client, .update = endpoint_update_new()};
    int r;

    if (!draft.update)
        return -ENOMEM;
    map_init(&draft.six, 0, 0);
    r = fill(&draft, store_by_name(controller->store, STORE_SLICES_OF_SERVICE, service->meta.namespace_, service->meta.name));
    map_release(&draft.six);
    if (r < 0) {
        endpoint_update_unref(draft.update);
        return r;
    }
    *ret_update = draft.update;
    return 0;
}
