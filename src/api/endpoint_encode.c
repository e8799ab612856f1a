#include "api/convert.h"
#include "api/destination.h"

static Destination__TlsIdentity *give_identity(struct encoder *e, const struct endpoint_info *endpoint)
{
    Destination__TlsIdentity *to = GIVE(e, Destination__TlsIdentity, destination__tls_identity);

    if (!to)
        return NULL;
    if (endpoint->identity_kind == IDENTITY_DNS) {
        to->strategy_case = DESTINATION__TLS_IDENTITY__STRATEGY_DNS_LIKE_IDENTITY;
        to->dns_like_identity =
            GIVE(e, Destination__TlsIdentity__DnsLikeIdentity, destination__tls_identity__dns_like_identity);
        if (to->dns_like_identity)
            to->dns_like_identity->name = give_text(e, endpoint->identity);
    } else {
        to->strategy_case = DESTINATION__TLS_IDENTITY__STRATEGY_URI_LIKE_IDENTITY;
        to->uri_like_identity =
            GIVE(e, Destination__TlsIdentity__UriLikeIdentity, destination__tls_identity__uri_like_identity);
        if (to->uri_like_identity)
            to->uri_like_identity->uri = give_text(e, endpoint->identity);
    }
    if (endpoint->server_name.len == 0)
        return to;
    to->server_name = GIVE(e, Destination__TlsIdentity__DnsLikeIdentity, destination__tls_identity__dns_like_identity);
    if (to->server_name)
        to->server_name->name = give_text(e, endpoint->server_name);
    return to;
}

static Destination__ProtocolHint *give_hint(struct encoder *e, const struct endpoint_info *endpoint)
{
    Destination__ProtocolHint *to;

    if (endpoint->hint == HINT_NONE && endpoint->opaque_transport_port == 0)
        return NULL;
    to = GIVE(e, Destination__ProtocolHint, destination__protocol_hint);
    if (!to)
        return NULL;
    if (endpoint->hint == HINT_H2) {
        to->protocol_case = DESTINATION__PROTOCOL_HINT__PROTOCOL_H2;
        to->h2 = GIVE(e, Destination__ProtocolHint__H2, destination__protocol_hint__h2);
    } else if (endpoint->hint == HINT_OPAQUE) {
        to->protocol_case = DESTINATION__PROTOCOL_HINT__PROTOCOL_OPAQUE;
        to->opaque = GIVE(e, Destination__ProtocolHint__Opaque, destination__protocol_hint__opaque);
    }
    if (endpoint->opaque_transport_port == 0)
        return to;
    to->opaque_transport =
        GIVE(e, Destination__ProtocolHint__OpaqueTransport, destination__protocol_hint__opaque_transport);
    if (to->opaque_transport)
        to->opaque_transport->inbound_port = endpoint->opaque_transport_port;
    return to;
}

static Destination__Http2ClientParams *give_params(struct encoder *e, const struct h2_client_params *params)
{
    Destination__Http2ClientParams *to = GIVE(e, Destination__Http2ClientParams, destination__http2_client_params);

    if (!to)
        return NULL;
    if (params->has_flow_control) {
        to->flow_control =
            GIVE(e, Destination__Http2ClientParams__FlowControl, destination__http2_client_params__flow_control);
        if (to->flow_control) {
            to->flow_control->initial_connection_window_size = params->connection_window;
            to->flow_control->initial_stream_window_size = params->stream_window;
            to->flow_control->adaptive_flow_control = params->adaptive_flow_control;
        }
    }
    if (params->has_keep_alive) {
        to->keep_alive =
            GIVE(e, Destination__Http2ClientParams__KeepAlive, destination__http2_client_params__keep_alive);
        if (to->keep_alive) {
            to->keep_alive->interval = give_duration(e, params->keep_alive_interval_ns);
            to->keep_alive->timeout = give_duration(e, params->keep_alive_timeout_ns);
            to->keep_alive->while_idle = params->keep_alive_while_idle;
        }
    }
    if (params->has_internals) {
        to->internals =
            GIVE(e, Destination__Http2ClientParams__Internals, destination__http2_client_params__internals);
        if (to->internals) {
            to->internals->max_concurrent_reset_streams = params->max_concurrent_reset_streams;
            to->internals->max_frame_size = params->max_frame_size;
            to->internals->max_send_buf_size = params->max_send_buf_size;
        }
    }
    return to;
}

Destination__WeightedAddr *give_endpoint(struct encoder *e, const struct endpoint_info *endpoint)
{
    Destination__WeightedAddr *to = GIVE(e, Destination__WeightedAddr, destination__weighted_addr);

    if (!to)
        return NULL;
    to->addr = give_addr(e, &endpoint->addr);
    to->weight = endpoint->weight;
    GIVE_LABELS(e, Destination__WeightedAddr__MetricLabelsEntry, destination__weighted_addr__metric_labels_entry,
                &endpoint->labels, to->metric_labels, to->n_metric_labels);
    if (endpoint->identity_kind != IDENTITY_NONE)
        to->tls_identity = give_identity(e, endpoint);
    to->protocol_hint = give_hint(e, endpoint);
    if (endpoint->authority_override.len) {
        to->authority_override = GIVE(e, Destination__AuthorityOverride, destination__authority_override);
        if (to->authority_override)
            to->authority_override->authority_override = give_text(e, endpoint->authority_override);
    }
    if (endpoint->h2)
        to->http2 = give_params(e, endpoint->h2);
    to->resource_ref = give_metadata(e, &endpoint->resource);
    return to;
}

static Destination__WeightedAddrSet *give_set(struct encoder *e, const struct endpoint_update *update)
{
    Destination__WeightedAddrSet *to = GIVE(e, Destination__WeightedAddrSet, destination__weighted_addr_set);

    if (!to)
        return NULL;
    GIVE_LIST(e, give_endpoint, update->added, update->added_count, to->addrs, to->n_addrs);
    GIVE_LABELS(e, Destination__WeightedAddrSet__MetricLabelsEntry,
                destination__weighted_addr_set__metric_labels_entry, &update->set_labels, to->metric_labels,
                to->n_metric_labels);
    return to;
}

static void give_update(struct encoder *e, const struct endpoint_update *update, Destination__Update *to)
{
    switch (update->kind) {
    case ENDPOINTS_ADD:
        to->update_case = DESTINATION__UPDATE__UPDATE_ADD;
        to->add = give_set(e, update);
        return;
    case ENDPOINTS_REMOVE:
        to->update_case = DESTINATION__UPDATE__UPDATE_REMOVE;
        to->remove = GIVE(e, Destination__AddrSet, destination__addr_set);
        if (to->remove)
            GIVE_LIST(e, give_addr, update->removed, update->removed_count, to->remove->addrs, to->remove->n_addrs);
        return;
    case ENDPOINTS_NONE:
        to->update_case = DESTINATION__UPDATE__UPDATE_NO_ENDPOINTS;
        to->no_endpoints = GIVE(e, Destination__NoEndpoints, destination__no_endpoints);
        if (to->no_endpoints)
            to->no_endpoints->exists = update->exists;
        return;
    }
}

int endpoint_update_encode(const struct endpoint_update *update, struct errmsg *msg, struct buffer *out)
{
    Destination__Update wire = DESTINATION__UPDATE__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    give_update(&e, update, &wire);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}

int get_destination_encode(const struct get_destination *request, struct errmsg *msg, struct buffer *out)
{
    Destination__GetDestination wire = DESTINATION__GET_DESTINATION__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.scheme = give_text(&e, request->scheme);
    wire.path = give_text(&e, request->path);
    wire.context_token = give_text(&e, request->context_token);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}
