#include "api/convert.h"
#include "api/convert_route.h"
#include "api/inbound.h"
#include "api/wire.h"

/* --- authorizations --- */

/*
 * Group, kind and name as older control planes tell them: labels, the kind possibly in front of the name
 * ("default:all-unauthenticated").
 */
static int metadata_from_labels(struct decoder *d, const struct labels *labels, struct slice default_kind,
                                struct metadata *ret)
{
    struct slice name = labels_find(labels, SLICE_LIT("name")), group = labels_find(labels, SLICE_LIT("group"));
    struct slice kind = labels_find(labels, SLICE_LIT("kind"));
    size_t colon = slice_find(name, ':');

    if (!name.ptr)
        return errmsg_set(d->msg, -EPROTO, "labels: no name");
    if (!kind.ptr && colon < name.len) {
        kind = slice_take(name, colon);
        name = slice_skip(name, colon + 1);
        if (slice_eq(kind, SLICE_LIT("default")))
            group = SLICE_LIT("");
    }
    if (group.ptr && group.len == 0 && slice_eq(kind, SLICE_LIT("default"))) {
        *ret = (struct metadata){.kind = METADATA_DEFAULT, .name = name};
        return 0;
    }
    *ret = (struct metadata){
        .kind = METADATA_RESOURCE,
        .group = group.ptr ? group : SLICE_LIT("policy.linkerd.io"),
        .resource_kind = kind.ptr ? kind : default_kind,
        .name = name,
    };
    return 0;
}

static int take_network(struct decoder *d, const Inbound__Network *from, struct authz_network *ret)
{
    int r = take_cidr(d, from->net, &ret->net);

    return r < 0 ? r : TAKE_LIST(d, "except", take_cidr, from->except, from->n_except, ret->except, ret->except_count);
}

static int take_name(struct decoder *d, const Inbound__Identity *from, struct slice *ret)
{
    return take_text(d, from->name, ret);
}

/* No parts at all: "", any identity. Otherwise a dot before each. */
static int take_suffix(struct decoder *d, const Inbound__IdentitySuffix *from, struct slice *ret)
{
    size_t len = 0, at = 0;
    char *text;

    for (size_t i = 0; i < from->n_parts; i++)
        len += 1 + strlen(from->parts[i]);
    text = arena_alloc(d->arena, len);
    if (!text)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; i < from->n_parts; i++) {
        size_t part = strlen(from->parts[i]);

        text[at++] = '.';
        memcpy(text + at, from->parts[i], part);
        at += part;
    }
    *ret = slice_of(text, len);
    return 0;
}

static int take_mesh_tls(struct decoder *d, const Inbound__Authn__PermitMeshTLS *from, struct authorization *ret)
{
    const Inbound__Authn__PermitMeshTLS__PermitClientIdentities *ids;
    int r;

    switch (from->clients_case) {
    case INBOUND__AUTHN__PERMIT_MESH_TLS__CLIENTS_UNAUTHENTICATED:
        ret->authentication = AUTHZ_TLS_UNAUTHENTICATED;
        return 0;
    case INBOUND__AUTHN__PERMIT_MESH_TLS__CLIENTS_IDENTITIES:
        ids = from->identities;
        ret->authentication = AUTHZ_TLS_AUTHENTICATED;
        r = TAKE_LIST(d, "identities", take_name, ids->identities, ids->n_identities, ret->identities,
                      ret->identity_count);
        return r < 0 ? r : TAKE_LIST(d, "suffixes", take_suffix, ids->suffixes, ids->n_suffixes, ret->suffixes,
                                     ret->suffix_count);
    default:
        return errmsg_set(d->msg, -EPROTO, "authentication.meshTLS: of no kind that is known here");
    }
}

static int take_authentication(struct decoder *d, const Inbound__Authn *from, struct authorization *ret)
{
    switch (from ? from->permit_case : INBOUND__AUTHN__PERMIT__NOT_SET) {
    case INBOUND__AUTHN__PERMIT_UNAUTHENTICATED:
        ret->authentication = AUTHZ_UNAUTHENTICATED;
        return 0;
    case INBOUND__AUTHN__PERMIT_MESH_TLS:
        return take_mesh_tls(d, from->meshtls, ret);
    default:
        return errmsg_set(d->msg, -EPROTO, "authentication: missing or of no kind that is known here");
    }
}

static int take_authorization(struct decoder *d, const Inbound__Authz *from, struct authorization *ret)
{
    int r;

    if (from->n_networks == 0)
        return errmsg_set(d->msg, -EPROTO, "networks: missing");
    r = TAKE_LIST(d, "networks", take_network, from->networks, from->n_networks, ret->networks, ret->network_count);
    if (r == 0)
        r = take_authentication(d, from->authentication, ret);
    if (r == 0)
        r = TAKE_LABELS(d, from->labels, from->n_labels, &ret->labels);
    if (r < 0)
        return r;
    if (from->metadata)
        return take_metadata(d, from->metadata, &ret->metadata);
    return metadata_from_labels(d, &ret->labels, SLICE_LIT("serverauthorization"), &ret->metadata);
}

/* --- routes --- */

static int take_http_filter(struct decoder *d, const Inbound__HttpRoute__Filter *from, struct filter *ret)
{
    switch (from->kind_case) {
    case INBOUND__HTTP_ROUTE__FILTER__KIND_FAILURE_INJECTOR:
        return take_http_failure(d, from->failure_injector, ret);
    case INBOUND__HTTP_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER:
        return take_request_headers(d, from->request_header_modifier, ret);
    case INBOUND__HTTP_ROUTE__FILTER__KIND_REDIRECT:
        return take_redirect(d, from->redirect, ret);
    default:
        ret->kind = FILTER_UNKNOWN;
        return 0;
    }
}

static int take_grpc_filter(struct decoder *d, const Inbound__GrpcRoute__Filter *from, struct filter *ret)
{
    switch (from->kind_case) {
    case INBOUND__GRPC_ROUTE__FILTER__KIND_FAILURE_INJECTOR:
        return take_grpc_failure(d, from->failure_injector, ret);
    case INBOUND__GRPC_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER:
        return take_request_headers(d, from->request_header_modifier, ret);
    default:
        ret->kind = FILTER_UNKNOWN;
        return 0;
    }
}

static int take_http_rule(struct decoder *d, const Inbound__HttpRoute__Rule *from, struct inbound_rule *ret)
{
    int r = TAKE_LIST(d, "matches", take_http_match, from->matches, from->n_matches, ret->http_matches,
                      ret->match_count);

    return r < 0 ? r : TAKE_LIST(d, "filters", take_http_filter, from->filters, from->n_filters, ret->filters.items,
                                 ret->filters.count);
}

static int take_grpc_rule(struct decoder *d, const Inbound__GrpcRoute__Rule *from, struct inbound_rule *ret)
{
    int r = TAKE_LIST(d, "matches", take_grpc_match, from->matches, from->n_matches, ret->grpc_matches,
                      ret->match_count);

    return r < 0 ? r : TAKE_LIST(d, "filters", take_grpc_filter, from->filters, from->n_filters, ret->filters.items,
                                 ret->filters.count);
}

/* What both kinds of route have. */
static int take_route_head(struct decoder *d, const Meta__Metadata *metadata, HttpRoute__HostMatch **hosts,
                           size_t n_hosts, Inbound__Authz **authorizations, size_t n_authorizations,
                           struct inbound_route *ret)
{
    int r = metadata ? take_metadata(d, metadata, &ret->metadata) : errmsg_set(d->msg, -EPROTO, "metadata: missing");

    if (r == 0)
        r = TAKE_LIST(d, "hosts", take_host, hosts, n_hosts, ret->hosts, ret->host_count);
    if (r == 0)
        r = TAKE_LIST(d, "authorizations", take_authorization, authorizations, n_authorizations, ret->authorizations,
                      ret->authorization_count);
    return r;
}

static int take_http_route(struct decoder *d, const Inbound__HttpRoute *from, struct inbound_route *ret)
{
    int r = take_route_head(d, from->metadata, from->hosts, from->n_hosts, from->authorizations,
                            from->n_authorizations, ret);

    return r < 0 ? r : TAKE_LIST(d, "rules", take_http_rule, from->rules, from->n_rules, ret->rules, ret->rule_count);
}

static int take_grpc_route(struct decoder *d, const Inbound__GrpcRoute *from, struct inbound_route *ret)
{
    int r = take_route_head(d, from->metadata, from->hosts, from->n_hosts, from->authorizations,
                            from->n_authorizations, ret);

    return r < 0 ? r : TAKE_LIST(d, "rules", take_grpc_rule, from->rules, from->n_rules, ret->rules, ret->rule_count);
}

/* --- rate limit --- */

static int take_rate_override(struct decoder *d, const Inbound__HttpLocalRateLimit__Override *from,
                              struct rate_override *ret)
{
    if (from->limit)
        ret->requests_per_second = from->limit->requestspersecond;
    return from->clients ? TAKE_LIST(d, "identities", take_name, from->clients->identities,
                                     from->clients->n_identities, ret->identities, ret->identity_count)
                         : 0;
}

/* A limit of 0 is none. */
static int take_rate_limit(struct decoder *d, const Inbound__HttpLocalRateLimit *from, struct inbound_policy *ret)
{
    struct local_rate_limit *limit;
    int r;

    if (!from)
        return 0;
    limit = ret->rate_limit = ARENA_NEW(d->arena, struct local_rate_limit);
    if (!limit)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    limit->total = from->total ? from->total->requestspersecond : 0;
    limit->has_total = limit->total > 0;
    limit->identity = from->identity ? from->identity->requestspersecond : 0;
    limit->has_identity = limit->identity > 0;
    r = take_metadata(d, from->metadata, &limit->metadata);
    return r < 0 ? r : TAKE_LIST(d, "overrides", take_rate_override, from->overrides, from->n_overrides,
                                 limit->overrides, limit->override_count);
}

/* --- the policy --- */

static int take_http_routes(struct decoder *d, Inbound__HttpRoute **from, size_t n, struct inbound_policy *ret)
{
    if (n > LIMIT_ROUTES)
        return errmsg_set(d->msg, -EPROTO, "routes: %zu, more than %d", n, LIMIT_ROUTES);
    return TAKE_LIST(d, "routes", take_http_route, from, n, ret->routes, ret->route_count);
}

static int take_detect(struct decoder *d, const Inbound__ProxyProtocol__Detect *from, struct inbound_policy *ret)
{
    int r;

    ret->protocol = INBOUND_DETECT;
    if (!from->timeout)
        return errmsg_set(d->msg, -EPROTO, "timeout: missing");
    r = take_duration(d, "timeout", from->timeout, &ret->detect_timeout_ns);
    if (r == 0)
        r = take_rate_limit(d, from->http_local_rate_limit, ret);
    return r < 0 ? r : take_http_routes(d, from->http_routes, from->n_http_routes, ret);
}

static int take_http1(struct decoder *d, const Inbound__ProxyProtocol__Http1 *from, struct inbound_policy *ret)
{
    int r = take_rate_limit(d, from->local_rate_limit, ret);

    ret->protocol = INBOUND_HTTP1;
    return r < 0 ? r : take_http_routes(d, from->routes, from->n_routes, ret);
}

static int take_http2(struct decoder *d, const Inbound__ProxyProtocol__Http2 *from, struct inbound_policy *ret)
{
    int r = take_rate_limit(d, from->local_rate_limit, ret);

    ret->protocol = INBOUND_HTTP2;
    return r < 0 ? r : take_http_routes(d, from->routes, from->n_routes, ret);
}

static int take_grpc(struct decoder *d, const Inbound__ProxyProtocol__Grpc *from, struct inbound_policy *ret)
{
    ret->protocol = INBOUND_GRPC;
    if (from->n_routes > LIMIT_ROUTES)
        return errmsg_set(d->msg, -EPROTO, "routes: %zu, more than %d", from->n_routes, LIMIT_ROUTES);
    return TAKE_LIST(d, "routes", take_grpc_route, from->routes, from->n_routes, ret->routes, ret->route_count);
}

static int take_protocol(struct decoder *d, const Inbound__ProxyProtocol *from, struct inbound_policy *ret)
{
    switch (from ? from->kind_case : INBOUND__PROXY_PROTOCOL__KIND__NOT_SET) {
    case INBOUND__PROXY_PROTOCOL__KIND_DETECT:
        return take_detect(d, from->detect, ret);
    case INBOUND__PROXY_PROTOCOL__KIND_HTTP1:
        return take_http1(d, from->http1, ret);
    case INBOUND__PROXY_PROTOCOL__KIND_HTTP2:
        return take_http2(d, from->http2, ret);
    case INBOUND__PROXY_PROTOCOL__KIND_GRPC:
        return take_grpc(d, from->grpc, ret);
    case INBOUND__PROXY_PROTOCOL__KIND_OPAQUE:
        ret->protocol = INBOUND_OPAQUE;
        return 0;
    case INBOUND__PROXY_PROTOCOL__KIND_TLS:
        ret->protocol = INBOUND_TLS;
        return 0;
    default:
        return errmsg_set(d->msg, -EPROTO, "missing or of no kind that is known here");
    }
}

static int take_server(struct decoder *d, const Inbound__Server *from, struct inbound_policy *ret)
{
    int r = take_protocol(d, from->protocol, ret);

    if (r < 0)
        return errmsg_prefix(d->msg, r, "protocol");
    r = TAKE_LIST(d, "server_ips", take_ip, from->server_ips, from->n_server_ips, ret->server_ips,
                  ret->server_ip_count);
    if (r == 0)
        r = TAKE_LIST(d, "authorizations", take_authorization, from->authorizations, from->n_authorizations,
                      ret->authorizations, ret->authorization_count);
    if (r == 0)
        r = TAKE_LABELS(d, from->labels, from->n_labels, &ret->labels);
    return r < 0 ? r : metadata_from_labels(d, &ret->labels, SLICE_LIT("server"), &ret->metadata);
}

/* Forgets what was taken: nothing of a policy that could not be followed whole may be used. */
static int make_invalid(struct inbound_policy *policy, const struct errmsg *why)
{
    struct snapshot *snapshot = &policy->snapshot;

    arena_release(&snapshot->arena);
    memset((char *)policy + sizeof(*snapshot), 0, sizeof(*policy) - sizeof(*snapshot));
    policy->invalid = true;
    policy->invalid_reason = arena_dup(&snapshot->arena, slice_str(why->text));
    return policy->invalid_reason.ptr ? 0 : -ENOMEM;
}

int inbound_policy_decode(struct slice message, struct errmsg *msg, struct inbound_policy **ret_policy)
{
    struct errmsg reason = {0};
    struct inbound_policy *policy = inbound_policy_new();
    struct decoder d = {policy ? &policy->snapshot.arena : NULL, msg ? msg : &reason};
    struct arena scratch;
    Inbound__Server *wire;
    int r;

    if (!policy)
        return errmsg_set(msg, -ENOMEM, "no memory");
    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&inbound__server__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_server(&d, wire, policy);
    arena_release(&scratch);
    if (r == -EPROTO)
        r = make_invalid(policy, d.msg);
    if (r < 0)
        inbound_policy_unref(policy);
    else
        *ret_policy = policy;
    return r;
}

int port_spec_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct port_spec *ret_spec)
{
    struct errmsg unread = {0};
    struct decoder d = {arena, msg ? msg : &unread};
    struct port_spec spec = {0};
    Inbound__PortSpec *wire;
    struct arena scratch;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&inbound__port_spec__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0 && (wire->port == 0 || wire->port > UINT16_MAX))
        r = errmsg_set(d.msg, -EINVAL, "port: %u is not in 1 to 65535", (unsigned)wire->port);
    if (r == 0) {
        spec.port = (uint16_t)wire->port;
        r = take_text(&d, wire->workload, &spec.workload);
    }
    arena_release(&scratch);
    if (r == 0)
        *ret_spec = spec;
    return r;
}
