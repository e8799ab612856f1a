#include "mesh/labels.h"

#include <stdio.h>
#include <string.h>

/* --- groups --- */

static void add_str(struct buffer *labels, const char *name, const char *value)
{
    label_add(labels, name, slice_str(value));
}

void labels_direction(struct buffer *labels, enum direction direction)
{
    add_str(labels, "direction", direction_name(direction));
}

void labels_target(struct buffer *labels, struct addr target)
{
    char addr_text[ADDR_TEXT_MAX], ip_text[IP_TEXT_MAX];

    add_str(labels, "target_addr", addr_format(target, addr_text));
    add_str(labels, "target_ip", ip_format(target.ip, ip_text));
    label_add_u64(labels, "target_port", target.port);
}

static void add_tls(struct buffer *labels, const struct tls_labels *tls, const char *peer_name)
{
    static const char *const reasons[] = {
        [NO_TLS_FROM_REMOTE] = "no_tls_from_remote",
        [NO_TLS_LOOPBACK] = "loopback",
        [NO_TLS_PORT_SKIPPED] = "port_skipped",
        [NO_TLS_NOT_DISCOVERED] = "not_provided_by_service_discovery",
        [NO_TLS_INGRESS] = "ingress_without_override",
    };

    switch (tls->status) {
    case TLS_STATUS_DISABLED: add_str(labels, "tls", "disabled"); break;
    case TLS_STATUS_NONE:
        add_str(labels, "tls", "no_identity");
        add_str(labels, "no_tls_reason", reasons[tls->reason]);
        break;
    case TLS_STATUS_MESH:
        add_str(labels, "tls", "true");
        label_add(labels, peer_name, tls->peer);
        break;
    case TLS_STATUS_OPAQUE:
        add_str(labels, "tls", "opaque");
        label_add(labels, "sni", tls->sni);
        break;
    }
}

void labels_accepted_tls(struct buffer *labels, const struct tls_labels *tls)
{
    add_tls(labels, tls, "client_id");
}

void labels_connected_tls(struct buffer *labels, const struct tls_labels *tls)
{
    add_tls(labels, tls, "server_id");
}

static struct slice group_of(const struct metadata *resource)
{
    if (resource->kind == METADATA_RESOURCE && !resource->group.len)
        return SLICE_LIT("core");
    return resource->kind == METADATA_RESOURCE ? resource->group : SLICE_LIT("");
}

static struct slice kind_of(const struct metadata *resource)
{
    return resource->kind == METADATA_RESOURCE ? resource->resource_kind : SLICE_LIT("default");
}

static const char *scoped(char out[32], const char *scope, const char *name)
{
    snprintf(out, 32, "%s_%s", scope, name);
    return out;
}

/* group, kind, name: what inbound families have of a resource. */
static void add_short(struct buffer *labels, const char *scope, const struct metadata *resource)
{
    char name[32];

    label_add(labels, scoped(name, scope, "group"), group_of(resource));
    label_add(labels, scoped(name, scope, "kind"), kind_of(resource));
    label_add(labels, scoped(name, scope, "name"), resource->name);
}

void labels_server(struct buffer *labels, const struct metadata *server, uint16_t port)
{
    add_short(labels, "srv", server);
    label_add_u64(labels, "srv_port", port);
}

void labels_route(struct buffer *labels, const struct metadata *route)
{
    add_short(labels, "route", route);
}

void labels_authz(struct buffer *labels, const struct metadata *authz)
{
    add_short(labels, "authz", authz);
}

/* group, kind, namespace, name: what outbound families have of a route. */
static void add_long(struct buffer *labels, const char *scope, const struct metadata *resource)
{
    bool is_resource = resource->kind == METADATA_RESOURCE;
    char name[32];

    label_add(labels, scoped(name, scope, "group"), group_of(resource));
    label_add(labels, scoped(name, scope, "kind"), kind_of(resource));
    label_add(labels, scoped(name, scope, "namespace"), is_resource ? resource->namespace : SLICE_LIT(""));
    label_add(labels, scoped(name, scope, "name"), resource->name);
}

void labels_resource(struct buffer *labels, const char *scope, const struct metadata *resource)
{
    bool is_resource = resource->kind == METADATA_RESOURCE;
    char name[32];

    add_long(labels, scope, resource);
    scoped(name, scope, "port");
    if (is_resource && resource->port)
        label_add_u64(labels, name, resource->port);
    else
        add_str(labels, name, "");
    label_add(labels, scoped(name, scope, "section_name"), is_resource ? resource->section : SLICE_LIT(""));
}

void labels_destination(struct buffer *labels, const struct endpoint_info *endpoint)
{
    const struct labels *own = &endpoint->labels, *set = endpoint->set_labels;

    for (size_t i = 0; set && i < set->count; i++)
        if (!labels_find(own, set->items[i].name).ptr)
            label_add_prefixed(labels, "dst_", set->items[i].name, set->items[i].value);
    for (size_t i = 0; i < own->count; i++)
        label_add_prefixed(labels, "dst_", own->items[i].name, own->items[i].value);
}

void labels_status(struct buffer *labels, uint16_t status)
{
    label_add_u64(labels, "status_code", status);
}

void labels_class(struct buffer *labels, const struct classification *classification, struct slice error)
{
    add_str(labels, "classification", classification->is_failure ? "failure" : "success");
    if (classification->grpc_status >= 0)
        label_add_u64(labels, "grpc_status", (uint64_t)classification->grpc_status);
    else
        add_str(labels, "grpc_status", "");
    label_add(labels, "error", error);
}

void labels_errno(struct buffer *labels, int error)
{
    const char *name = error ? strerrorname_np(error) : "";

    add_str(labels, "errno", name ? name : "unknown");
}

/* --- inbound --- */

void labels_inbound_http(struct buffer *labels, const struct inbound_labels *from)
{
    labels_direction(labels, DIRECTION_INBOUND);
    if (from->authority.ptr)
        label_add(labels, "authority", from->authority);
    labels_target(labels, from->target);
    labels_accepted_tls(labels, from->tls);
    labels_server(labels, from->server, from->target.port);
    if (from->route)
        labels_route(labels, from->route);
    if (from->authz)
        labels_authz(labels, from->authz);
}

void labels_inbound_src(struct buffer *labels, const struct inbound_labels *from)
{
    labels_direction(labels, DIRECTION_INBOUND);
    add_str(labels, "peer", "src");
    labels_target(labels, from->target);
    labels_accepted_tls(labels, from->tls);
    if (from->server)
        labels_server(labels, from->server, from->target.port);
}

void labels_inbound_dst(struct buffer *labels)
{
    static const struct tls_labels loopback = {.status = TLS_STATUS_NONE, .reason = NO_TLS_LOOPBACK};

    labels_direction(labels, DIRECTION_INBOUND);
    add_str(labels, "peer", "dst");
    labels_connected_tls(labels, &loopback);
}

void labels_inbound_policy(struct buffer *labels, const struct inbound_labels *from)
{
    labels_target(labels, from->target);
    labels_server(labels, from->server, from->target.port);
    if (from->route)
        labels_route(labels, from->route);
    if (from->authz)
        labels_authz(labels, from->authz);
    labels_accepted_tls(labels, from->tls);
}

void labels_inbound_route(struct buffer *labels, const struct metadata *server, uint16_t port,
                          const struct metadata *route)
{
    add_short(labels, "parent", server);
    label_add_u64(labels, "parent_port", port);
    labels_route(labels, route);
}

bool labels_inbound_error(struct buffer *labels, enum reason reason, struct addr target,
                          const struct metadata *server)
{
    const char *error = reason_info(reason)->error_label[DIRECTION_INBOUND];

    if (!error)
        return false;
    add_str(labels, "error", error);
    labels_target(labels, target);
    if (server)
        labels_server(labels, server, target.port);
    return true;
}

/* --- outbound --- */

static void add_endpoint(struct buffer *labels, struct slice authority, struct addr target,
                         const struct tls_labels *tls, const struct endpoint_info *endpoint)
{
    if (authority.ptr)
        label_add(labels, "authority", authority);
    labels_target(labels, target);
    labels_connected_tls(labels, tls);
    if (endpoint)
        labels_destination(labels, endpoint);
}

void labels_outbound_http(struct buffer *labels, struct slice authority, struct addr target,
                          const struct tls_labels *tls, const struct endpoint_info *endpoint)
{
    labels_direction(labels, DIRECTION_OUTBOUND);
    add_endpoint(labels, authority, target, tls, endpoint);
}

void labels_outbound_src(struct buffer *labels, struct addr target)
{
    static const struct tls_labels loopback = {.status = TLS_STATUS_NONE, .reason = NO_TLS_LOOPBACK};

    labels_direction(labels, DIRECTION_OUTBOUND);
    add_str(labels, "peer", "src");
    labels_target(labels, target);
    labels_accepted_tls(labels, &loopback);
}

void labels_outbound_dst(struct buffer *labels, struct slice authority, struct addr target,
                         const struct tls_labels *tls, const struct endpoint_info *endpoint)
{
    labels_direction(labels, DIRECTION_OUTBOUND);
    add_str(labels, "peer", "dst");
    add_endpoint(labels, authority, target, tls, endpoint);
}

void labels_outbound_route(struct buffer *labels, const struct metadata *parent, const struct metadata *route,
                           struct slice hostname)
{
    labels_resource(labels, "parent", parent);
    add_long(labels, "route", route);
    if (hostname.ptr)
        label_add(labels, "hostname", hostname);
}

void labels_outbound_backend(struct buffer *labels, const struct metadata *parent, const struct metadata *route,
                             const struct metadata *backend)
{
    labels_outbound_route(labels, parent, route, SLICE_NULL);
    labels_resource(labels, "backend", backend);
}

void labels_outbound_balancer(struct buffer *labels, const struct metadata *parent, const struct metadata *backend,
                              struct slice logical, struct slice concrete)
{
    labels_resource(labels, "parent", parent);
    labels_resource(labels, "backend", backend);
    if (logical.ptr)
        label_add(labels, "logical", logical);
    if (concrete.ptr)
        label_add(labels, "concrete", concrete);
}

/* An error that has a label of its own stands for the status, which nobody answered. */
static void add_outcome(struct buffer *labels, const char *name, struct slice status, enum reason reason)
{
    const char *error = reason_info(reason)->route_label;

    label_add(labels, name, error ? SLICE_LIT("") : status);
    add_str(labels, "error", error);
}

void labels_outbound_http_status(struct buffer *labels, uint16_t status, enum reason reason)
{
    char text[8];

    snprintf(text, sizeof(text), "%u", status);
    add_outcome(labels, "http_status", slice_str(text), reason);
}

void labels_outbound_grpc_status(struct buffer *labels, int grpc_status, enum reason reason)
{
    add_outcome(labels, "grpc_status", slice_str(grpc_status_name(grpc_status)), reason);
}

bool labels_outbound_error(struct buffer *labels, enum reason reason, const struct addr *target)
{
    const char *error = reason_info(reason)->error_label[DIRECTION_OUTBOUND];

    if (!error)
        return false;
    if (target)
        labels_target(labels, *target);
    add_str(labels, "error", error);
    return true;
}

/* --- others --- */

void labels_profile_route(struct buffer *labels, enum direction direction, struct slice dst,
                          const struct labels *route)
{
    labels_direction(labels, direction);
    label_add(labels, "dst", dst);
    for (size_t i = 0; route && i < route->count; i++)
        label_add_prefixed(labels, "rt_", route->items[i].name, route->items[i].value);
}

void labels_control(struct buffer *labels, struct slice addr, const struct tls_labels *tls)
{
    label_add(labels, "addr", addr);
    labels_connected_tls(labels, tls);
}
