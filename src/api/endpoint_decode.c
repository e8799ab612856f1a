#include "api/convert.h"
#include "api/destination.h"
#include "api/wire.h"

static int take_params(struct decoder *d, const Destination__Http2ClientParams *from, struct h2_client_params *ret)
{
    int r = 0;

    if (from->flow_control) {
        ret->has_flow_control = true;
        ret->connection_window = from->flow_control->initial_connection_window_size;
        ret->stream_window = from->flow_control->initial_stream_window_size;
        ret->adaptive_flow_control = from->flow_control->adaptive_flow_control;
    }
    if (from->keep_alive) {
        ret->has_keep_alive = true;
        ret->keep_alive_while_idle = from->keep_alive->while_idle;
        r = take_duration(d, "http2.keep_alive.interval", from->keep_alive->interval, &ret->keep_alive_interval_ns);
        if (r == 0)
            r = take_duration(d, "http2.keep_alive.timeout", from->keep_alive->timeout, &ret->keep_alive_timeout_ns);
    }
    if (from->internals) {
        ret->has_internals = true;
        ret->max_concurrent_reset_streams = from->internals->max_concurrent_reset_streams;
        ret->max_frame_size = from->internals->max_frame_size;
        ret->max_send_buf_size = from->internals->max_send_buf_size;
    }
    return r;
}

/* A scheme, and then what a certificate's URI may hold: visible ASCII. */
static bool is_uri_identity(struct slice uri)
{
    size_t colon = slice_find_slice(uri, SLICE_LIT("://"));

    for (size_t i = 0; i < uri.len; i++)
        if (uri.ptr[i] <= 0x20 || uri.ptr[i] >= 0x7f)
            return false;
    return colon > 0 && colon + 3 < uri.len;
}

static int take_identity(struct decoder *d, const Destination__TlsIdentity *from, struct endpoint_info *ret)
{
    const char *server_name = from->server_name ? from->server_name->name : NULL;
    const char *identity;
    int r;

    switch (from->strategy_case) {
    case DESTINATION__TLS_IDENTITY__STRATEGY_DNS_LIKE_IDENTITY:
        identity = from->dns_like_identity->name;
        ret->identity_kind = IDENTITY_DNS;
        if (!text_is_dns_name(slice_str(identity)))
            return errmsg_set(d->msg, -EPROTO, "tls_identity: '%.128s' is no DNS name", identity);
        if (!server_name)
            server_name = identity;
        break;
    case DESTINATION__TLS_IDENTITY__STRATEGY_URI_LIKE_IDENTITY:
        identity = from->uri_like_identity->uri;
        ret->identity_kind = IDENTITY_URI;
        if (!is_uri_identity(slice_str(identity)))
            return errmsg_set(d->msg, -EPROTO, "tls_identity: '%.128s' is no URI", identity);
        break;
    default:
        return errmsg_set(d->msg, -EPROTO, "tls_identity: of a kind that is not known here");
    }
    if (!server_name || !text_is_dns_name(slice_str(server_name)))
        return errmsg_set(d->msg, -EPROTO, "tls_identity.server_name: missing or no DNS name");
    r = take_text(d, identity, &ret->identity);
    return r < 0 ? r : take_text(d, server_name, &ret->server_name);
}

static int take_hint(struct decoder *d, const Destination__ProtocolHint *from, struct endpoint_info *ret)
{
    if (from->protocol_case == DESTINATION__PROTOCOL_HINT__PROTOCOL_H2)
        ret->hint = HINT_H2;
    else if (from->protocol_case == DESTINATION__PROTOCOL_HINT__PROTOCOL_OPAQUE)
        ret->hint = HINT_OPAQUE;
    if (!from->opaque_transport)
        return 0;
    if (from->opaque_transport->inbound_port > UINT16_MAX)
        return errmsg_set(d->msg, -EPROTO, "opaque_transport: port %u is more than 65535",
                          (unsigned)from->opaque_transport->inbound_port);
    ret->opaque_transport_port = (uint16_t)from->opaque_transport->inbound_port;
    return 0;
}

static enum zone_locality zone_of(const struct labels *labels)
{
    struct slice zone = labels_find(labels, SLICE_LIT("zone_locality"));

    if (slice_eq_nocase(zone, SLICE_LIT("local")))
        return ZONE_LOCAL;
    return slice_eq_nocase(zone, SLICE_LIT("remote")) ? ZONE_REMOTE : ZONE_UNKNOWN;
}

static int take_override(struct decoder *d, const Destination__AuthorityOverride *from, struct slice *ret)
{
    if (!from || !text_is_authority(slice_str(from->authority_override)))
        return 0;
    return take_text(d, from->authority_override, ret);
}

int take_endpoint(struct decoder *d, const Destination__WeightedAddr *from, struct endpoint_info *ret)
{
    int r = take_addr(d, from->addr, &ret->addr);

    ret->weight = from->weight;
    if (r == 0)
        r = TAKE_LABELS(d, from->metric_labels, from->n_metric_labels, &ret->labels);
    if (r == 0 && from->tls_identity)
        r = take_identity(d, from->tls_identity, ret);
    if (r == 0 && from->protocol_hint)
        r = take_hint(d, from->protocol_hint, ret);
    if (r == 0)
        r = take_override(d, from->authority_override, &ret->authority_override);
    if (r == 0 && from->http2) {
        ret->h2 = ARENA_NEW(d->arena, struct h2_client_params);
        r = ret->h2 ? take_params(d, from->http2, ret->h2) : errmsg_set(d->msg, -ENOMEM, "no memory");
    }
    if (r == 0 && from->resource_ref && from->resource_ref->kind_case != META__METADATA__KIND__NOT_SET)
        r = take_metadata(d, from->resource_ref, &ret->resource);
    ret->zone_locality = zone_of(&ret->labels);
    return r;
}

/* As the header says: those that cannot be used are left out. */
static int take_set(struct decoder *d, const Destination__WeightedAddrSet *from, struct endpoint_update *ret)
{
    int r = TAKE_LABELS(d, from->metric_labels, from->n_metric_labels, &ret->set_labels);

    if (r < 0)
        return r;
    if (from->n_addrs > LIMIT_ENDPOINTS)
        return errmsg_set(d->msg, -EBADMSG, "Update.add: %zu endpoints, more than %d", from->n_addrs, LIMIT_ENDPOINTS);
    ret->added = from->n_addrs ? ARENA_ARRAY(d->arena, struct endpoint_info, from->n_addrs) : NULL;
    if (from->n_addrs && !ret->added)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; i < from->n_addrs; i++) {
        struct endpoint_info endpoint = {.set_labels = &ret->set_labels};

        r = take_endpoint(d, from->addrs[i], &endpoint);
        if (r == -ENOMEM)
            return r;
        if (r == 0) {
            ret->added[ret->added_count++] = endpoint;
            continue;
        }
        ret->skipped_count++;
        errmsg_prefix(d->msg, r, "add[%zu]", i);
    }
    return 0;
}

static int take_addrs(struct decoder *d, const Destination__AddrSet *from, struct endpoint_update *ret)
{
    ret->removed = from->n_addrs ? ARENA_ARRAY(d->arena, struct addr, from->n_addrs) : NULL;
    if (from->n_addrs && !ret->removed)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; i < from->n_addrs; i++) {
        if (take_addr(d, from->addrs[i], &ret->removed[ret->removed_count]) == 0)
            ret->removed_count++;
        else
            ret->skipped_count++;
    }
    return 0;
}

static int take_update(struct decoder *d, const Destination__Update *from, struct endpoint_update *ret)
{
    switch (from->update_case) {
    case DESTINATION__UPDATE__UPDATE_ADD:
        ret->kind = ENDPOINTS_ADD;
        return take_set(d, from->add, ret);
    case DESTINATION__UPDATE__UPDATE_REMOVE:
        ret->kind = ENDPOINTS_REMOVE;
        return take_addrs(d, from->remove, ret);
    case DESTINATION__UPDATE__UPDATE_NO_ENDPOINTS:
        ret->kind = ENDPOINTS_NONE;
        ret->exists = from->no_endpoints->exists;
        return 0;
    default:
        return errmsg_set(d->msg, -ENODATA, "Update: neither add nor remove nor no_endpoints");
    }
}

int endpoint_update_decode(struct slice message, struct errmsg *msg, struct endpoint_update **ret_update)
{
    struct errmsg unread = {0};
    struct endpoint_update *update = endpoint_update_new();
    struct decoder d = {update ? &update->snapshot.arena : NULL, msg ? msg : &unread};
    Destination__Update *wire;
    struct arena scratch;
    int r;

    if (!update)
        return errmsg_set(msg, -ENOMEM, "no memory");
    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&destination__update__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_update(&d, wire, update);
    arena_release(&scratch);
    if (r < 0)
        endpoint_update_unref(update);
    else
        *ret_update = update;
    return r;
}

int get_destination_decode(struct slice message, struct arena *arena, struct errmsg *msg,
                           struct get_destination *ret_request)
{
    struct errmsg unread = {0};
    struct decoder d = {arena, msg ? msg : &unread};
    Destination__GetDestination *wire;
    struct get_destination request;
    struct arena scratch;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&destination__get_destination__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_text(&d, wire->scheme, &request.scheme);
    if (r == 0)
        r = take_text(&d, wire->path, &request.path);
    if (r == 0)
        r = take_text(&d, wire->context_token, &request.context_token);
    arena_release(&scratch);
    if (r == 0)
        *ret_request = request;
    return r;
}
