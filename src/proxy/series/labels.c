#include "proxy/series/parts.h"

#include "mesh/authz.h"
#include "mesh/inbound_policy.h"
#include "proxy/conn.h"

void label_target(struct buffer *labels, struct addr target)
{
    char text[ADDR_TEXT_MAX];

    label_add(labels, "target_addr", slice_str(addr_format(target, text)));
    label_add(labels, "target_ip", slice_str(ip_format(target.ip, text)));
    label_add_u64(labels, "target_port", target.port);
}

void label_client_tls(struct buffer *labels, const struct conn *conn)
{
    static const char *const why[] = {"", "disabled", "loopback", "port_skipped", "no_tls_from_remote"};

    switch (conn->tls) {
    case TLS_STATUS_ESTABLISHED:
        label_add(labels, "tls", SLICE_LIT("true"));
        label_add(labels, "client_id", conn->client_id.name);
        break;
    case TLS_STATUS_PASSTHROUGH:
        label_add(labels, "tls", SLICE_LIT("opaque"));
        label_add(labels, "sni", conn->sni);
        break;
    case TLS_STATUS_UNKNOWN:
    case TLS_STATUS_NO_TLS:
        label_add(labels, "tls", SLICE_LIT("no_identity"));
        label_add(labels, "no_tls_reason", slice_str(why[conn->no_tls]));
        break;
    }
}

static struct slice or_default(struct slice text, struct slice fallback)
{
    return text.len ? text : fallback;
}

/* group, kind and name of where something was configured, under a prefix. */
void label_metadata(struct buffer *labels, const char *const names[3], const struct metadata *metadata)
{
    bool resource = metadata->kind == METADATA_RESOURCE;

    label_add(labels, names[0], resource ? or_default(metadata->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, names[1], resource ? metadata->resource_kind : SLICE_LIT("default"));
    label_add(labels, names[2], metadata->name);
}

void label_server(struct buffer *labels, const struct inbound_policy *policy, uint16_t port)
{
    static const char *const names[] = {"srv_group", "srv_kind", "srv_name"};

    label_metadata(labels, names, &policy->metadata);
    label_add_u64(labels, "srv_port", port);
}

void label_authz(struct buffer *labels, const struct authorization *permit)
{
    static const char *const names[] = {"authz_group", "authz_kind", "authz_name"};

    if (permit)
        label_metadata(labels, names, &permit->metadata);
}

void label_in_route(struct buffer *labels, const struct inbound_route *route)
{
    static const char *const names[] = {"route_group", "route_kind", "route_name"};
    static const struct metadata none = {.kind = METADATA_DEFAULT, .name = {"default", 7}};

    label_metadata(labels, names, route ? &route->metadata : &none);
}

void label_server_tls(struct buffer *labels, const struct endpoint_info *endpoint)
{
    if (endpoint->identity_kind != IDENTITY_NONE) {
        label_add(labels, "tls", SLICE_LIT("true"));
        label_add(labels, "server_id", endpoint->identity);
    } else if (ip_is_loopback(endpoint->addr.ip)) {
        label_add(labels, "tls", SLICE_LIT("no_identity"));
        label_add(labels, "no_tls_reason", SLICE_LIT("loopback"));
    } else {
        label_add(labels, "tls", SLICE_LIT("no_identity"));
        label_add(labels, "no_tls_reason", SLICE_LIT("not_provided_by_service_discovery"));
    }
}

void label_dst(struct buffer *labels, const struct endpoint_info *endpoint)
{
    for (size_t i = 0; endpoint->set_labels && i < endpoint->set_labels->count; i++)
        if (!labels_find(&endpoint->labels, endpoint->set_labels->items[i].name).ptr)
            label_add_prefixed(labels, "dst_", endpoint->set_labels->items[i].name, endpoint->set_labels->items[i].value);
    for (size_t i = 0; i < endpoint->labels.count; i++)
        label_add_prefixed(labels, "dst_", endpoint->labels.items[i].name, endpoint->labels.items[i].value);
}

void label_parent(struct buffer *labels, const struct metadata *parent)
{
    bool resource = parent->kind == METADATA_RESOURCE;

    label_add(labels, "parent_group", resource ? or_default(parent->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, "parent_kind", resource ? parent->resource_kind : SLICE_LIT("default"));
    label_add(labels, "parent_namespace", parent->namespace);
    label_add(labels, "parent_name", parent->name);
    label_add_u64(labels, "parent_port", parent->port);
    label_add(labels, "parent_section_name", parent->section);
}

void label_out_route(struct buffer *labels, const struct metadata *route)
{
    bool resource = route->kind == METADATA_RESOURCE;

    label_add(labels, "route_group", resource ? or_default(route->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, "route_kind", resource ? route->resource_kind : SLICE_LIT("default"));
    label_add(labels, "route_namespace", route->namespace);
    label_add(labels, "route_name", route->name);
}

void label_backend(struct buffer *labels, const struct metadata *backend)
{
    bool resource = backend->kind == METADATA_RESOURCE;

    label_add(labels, "backend_group", resource ? or_default(backend->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, "backend_kind", resource ? backend->resource_kind : SLICE_LIT("default"));
    label_add(labels, "backend_namespace", backend->namespace);
    label_add(labels, "backend_name", backend->name);
    label_add_u64(labels, "backend_port", backend->port);
    label_add(labels, "backend_section_name", backend->section);
}

void series_balancer_labels(struct buffer *labels, const struct metadata *parent, const struct metadata *backend,
                            struct slice destination)
{
    label_parent(labels, parent);
    label_backend(labels, backend);
    if (!destination.len)
        return;
    label_add(labels, "logical", destination);
    label_add(labels, "concrete", destination);
}

void label_authority(struct buffer *labels, struct slice destination)
{
    if (slice_ends(destination, SLICE_LIT(":80")))
        destination = slice_take(destination, destination.len - 3);
    if (destination.len)
        label_add(labels, "authority", destination);
}
