#include "api/convert.h"
#include "api/convert_route.h"
#include "api/inbound.h"

/* --- authorizations --- */

static Inbound__Network *give_network(struct encoder *e, const struct authz_network *network)
{
    Inbound__Network *to = GIVE(e, Inbound__Network, inbound__network);

    if (to) {
        to->net = give_cidr(e, &network->net);
        GIVE_LIST(e, give_cidr, network->except, network->except_count, to->except, to->n_except);
    }
    return to;
}

static Inbound__Identity *give_identity(struct encoder *e, const struct slice *name)
{
    Inbound__Identity *to = GIVE(e, Inbound__Identity, inbound__identity);

    if (to)
        to->name = give_text(e, *name);
    return to;
}

/* ".a.b" travels as a, b; "" as no parts. */
static Inbound__IdentitySuffix *give_suffix(struct encoder *e, const struct slice *suffix)
{
    Inbound__IdentitySuffix *to = GIVE(e, Inbound__IdentitySuffix, inbound__identity_suffix);
    struct slice rest = *suffix;
    size_t n = 0;

    if (!to || rest.len == 0)
        return to;
    if (rest.ptr[0] == '.')
        rest = slice_skip(rest, 1);
    for (size_t i = 0; i < rest.len; i++)
        n += rest.ptr[i] == '.';
    to->parts = give_memory(e, n + 1, sizeof(*to->parts));
    to->n_parts = to->parts ? n + 1 : 0;
    for (size_t i = 0; i < to->n_parts; i++) {
        size_t dot = slice_find(rest, '.');

        to->parts[i] = give_text(e, slice_take(rest, dot));
        rest = slice_skip(rest, dot + 1);
    }
    return to;
}

static Inbound__Authn__PermitUnauthenticated *give_unauthenticated(struct encoder *e)
{
    return GIVE(e, Inbound__Authn__PermitUnauthenticated, inbound__authn__permit_unauthenticated);
}

static Inbound__Authn__PermitMeshTLS *give_mesh_tls(struct encoder *e, const struct authorization *authz)
{
    Inbound__Authn__PermitMeshTLS *to = GIVE(e, Inbound__Authn__PermitMeshTLS, inbound__authn__permit_mesh_tls);
    Inbound__Authn__PermitMeshTLS__PermitClientIdentities *ids;

    if (!to)
        return NULL;
    if (authz->authentication == AUTHZ_TLS_UNAUTHENTICATED) {
        to->clients_case = INBOUND__AUTHN__PERMIT_MESH_TLS__CLIENTS_UNAUTHENTICATED;
        to->unauthenticated = give_unauthenticated(e);
        return to;
    }
    ids = GIVE(e, Inbound__Authn__PermitMeshTLS__PermitClientIdentities,
               inbound__authn__permit_mesh_tls__permit_client_identities);
    if (!ids)
        return to;
    GIVE_LIST(e, give_identity, authz->identities, authz->identity_count, ids->identities, ids->n_identities);
    GIVE_LIST(e, give_suffix, authz->suffixes, authz->suffix_count, ids->suffixes, ids->n_suffixes);
    to->clients_case = INBOUND__AUTHN__PERMIT_MESH_TLS__CLIENTS_IDENTITIES;
    to->identities = ids;
    return to;
}

static Inbound__Authn *give_authentication(struct encoder *e, const struct authorization *authz)
{
    Inbound__Authn *to = GIVE(e, Inbound__Authn, inbound__authn);

    if (!to)
        return NULL;
    if (authz->authentication == AUTHZ_UNAUTHENTICATED) {
        to->permit_case = INBOUND__AUTHN__PERMIT_UNAUTHENTICATED;
        to->unauthenticated = give_unauthenticated(e);
    } else {
        to->permit_case = INBOUND__AUTHN__PERMIT_MESH_TLS;
        to->meshtls = give_mesh_tls(e, authz);
    }
    return to;
}

/* The labels themselves, or those that say the same as the metadata. Storage is the caller's. */
static const struct labels *labels_or_metadata(const struct labels *labels, const struct metadata *metadata,
                                               struct label items[3], struct labels *storage)
{
    bool resource = metadata->kind == METADATA_RESOURCE;

    if (labels->count || metadata->kind == METADATA_NONE)
        return labels;
    items[0] = (struct label){SLICE_LIT("group"), resource ? metadata->group : SLICE_LIT("")};
    items[1] = (struct label){SLICE_LIT("kind"), resource ? metadata->resource_kind : SLICE_LIT("default")};
    items[2] = (struct label){SLICE_LIT("name"), metadata->name};
    *storage = (struct labels){items, 3};
    return storage;
}

static Inbound__Authz *give_authorization(struct encoder *e, const struct authorization *authz)
{
    Inbound__Authz *to = GIVE(e, Inbound__Authz, inbound__authz);
    struct labels storage;
    struct label items[3];
    const struct labels *labels = labels_or_metadata(&authz->labels, &authz->metadata, items, &storage);

    if (!to)
        return NULL;
    GIVE_LIST(e, give_network, authz->networks, authz->network_count, to->networks, to->n_networks);
    to->authentication = give_authentication(e, authz);
    GIVE_LABELS(e, Inbound__Authz__LabelsEntry, inbound__authz__labels_entry, labels, to->labels, to->n_labels);
    to->metadata = give_metadata(e, &authz->metadata);
    return to;
}

/* --- routes --- */

static Inbound__HttpRoute__Filter *give_http_filter(struct encoder *e, const struct filter *filter)
{
    Inbound__HttpRoute__Filter *to = GIVE(e, Inbound__HttpRoute__Filter, inbound__http_route__filter);

    if (!to)
        return NULL;
    switch (filter->kind) {
    case FILTER_HTTP_FAILURE:
        to->kind_case = INBOUND__HTTP_ROUTE__FILTER__KIND_FAILURE_INJECTOR;
        to->failure_injector = give_http_failure(e, &filter->failure);
        break;
    case FILTER_REQUEST_HEADERS:
        to->kind_case = INBOUND__HTTP_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER;
        to->request_header_modifier = give_request_headers(e, &filter->headers);
        break;
    case FILTER_REDIRECT:
        to->kind_case = INBOUND__HTTP_ROUTE__FILTER__KIND_REDIRECT;
        to->redirect = give_redirect(e, &filter->redirect);
        break;
    default:
        break; /* without a kind, which is what unknown means */
    }
    return to;
}

static Inbound__GrpcRoute__Filter *give_grpc_filter(struct encoder *e, const struct filter *filter)
{
    Inbound__GrpcRoute__Filter *to = GIVE(e, Inbound__GrpcRoute__Filter, inbound__grpc_route__filter);

    if (!to)
        return NULL;
    if (filter->kind == FILTER_GRPC_FAILURE) {
        to->kind_case = INBOUND__GRPC_ROUTE__FILTER__KIND_FAILURE_INJECTOR;
        to->failure_injector = give_grpc_failure(e, &filter->failure);
    } else if (filter->kind == FILTER_REQUEST_HEADERS) {
        to->kind_case = INBOUND__GRPC_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER;
        to->request_header_modifier = give_request_headers(e, &filter->headers);
    }
    return to;
}

static Inbound__HttpRoute__Rule *give_http_rule(struct encoder *e, const struct inbound_rule *rule)
{
    Inbound__HttpRoute__Rule *to = GIVE(e, Inbound__HttpRoute__Rule, inbound__http_route__rule);

    if (to) {
        GIVE_LIST(e, give_http_match, rule->http_matches, rule->match_count, to->matches, to->n_matches);
        GIVE_LIST(e, give_http_filter, rule->filters.items, rule->filters.count, to->filters, to->n_filters);
    }
    return to;
}

static Inbound__GrpcRoute__Rule *give_grpc_rule(struct encoder *e, const struct inbound_rule *rule)
{
    Inbound__GrpcRoute__Rule *to = GIVE(e, Inbound__GrpcRoute__Rule, inbound__grpc_route__rule);

    if (to) {
        GIVE_LIST(e, give_grpc_match, rule->grpc_matches, rule->match_count, to->matches, to->n_matches);
        GIVE_LIST(e, give_grpc_filter, rule->filters.items, rule->filters.count, to->filters, to->n_filters);
    }
    return to;
}

static Inbound__HttpRoute *give_http_route(struct encoder *e, const struct inbound_route *route)
{
    Inbound__HttpRoute *to = GIVE(e, Inbound__HttpRoute, inbound__http_route);

    if (!to)
        return NULL;
    to->metadata = give_metadata(e, &route->metadata);
    GIVE_LIST(e, give_host, route->hosts, route->host_count, to->hosts, to->n_hosts);
    GIVE_LIST(e, give_authorization, route->authorizations, route->authorization_count, to->authorizations,
              to->n_authorizations);
    GIVE_LIST(e, give_http_rule, route->rules, route->rule_count, to->rules, to->n_rules);
    return to;
}

static Inbound__GrpcRoute *give_grpc_route(struct encoder *e, const struct inbound_route *route)
{
    Inbound__GrpcRoute *to = GIVE(e, Inbound__GrpcRoute, inbound__grpc_route);

    if (!to)
        return NULL;
    to->metadata = give_metadata(e, &route->metadata);
    GIVE_LIST(e, give_host, route->hosts, route->host_count, to->hosts, to->n_hosts);
    GIVE_LIST(e, give_authorization, route->authorizations, route->authorization_count, to->authorizations,
              to->n_authorizations);
    GIVE_LIST(e, give_grpc_rule, route->rules, route->rule_count, to->rules, to->n_rules);
    return to;
}

/* --- rate limit --- */

static Inbound__HttpLocalRateLimit__Limit *give_limit(struct encoder *e, bool there, uint32_t per_second)
{
    Inbound__HttpLocalRateLimit__Limit *to =
        there ? GIVE(e, Inbound__HttpLocalRateLimit__Limit, inbound__http_local_rate_limit__limit) : NULL;

    if (to)
        to->requestspersecond = per_second;
    return to;
}

static Inbound__HttpLocalRateLimit__Override *give_override(struct encoder *e, const struct rate_override *override)
{
    Inbound__HttpLocalRateLimit__Override *to =
        GIVE(e, Inbound__HttpLocalRateLimit__Override, inbound__http_local_rate_limit__override);

    if (!to)
        return NULL;
    to->limit = give_limit(e, true, override->requests_per_second);
    to->clients = GIVE(e, Inbound__HttpLocalRateLimit__Override__ClientIdentities,
                       inbound__http_local_rate_limit__override__client_identities);
    if (to->clients)
        GIVE_LIST(e, give_identity, override->identities, override->identity_count, to->clients->identities,
                  to->clients->n_identities);
    return to;
}

static Inbound__HttpLocalRateLimit *give_rate_limit(struct encoder *e, const struct local_rate_limit *limit)
{
    Inbound__HttpLocalRateLimit *to =
        limit ? GIVE(e, Inbound__HttpLocalRateLimit, inbound__http_local_rate_limit) : NULL;

    if (!to)
        return NULL;
    to->metadata = give_metadata(e, &limit->metadata);
    to->total = give_limit(e, limit->has_total, limit->total);
    to->identity = give_limit(e, limit->has_identity, limit->identity);
    GIVE_LIST(e, give_override, limit->overrides, limit->override_count, to->overrides, to->n_overrides);
    return to;
}

/* --- the policy --- */

static Inbound__ProxyProtocol__Detect *give_detect(struct encoder *e, const struct inbound_policy *policy)
{
    Inbound__ProxyProtocol__Detect *to = GIVE(e, Inbound__ProxyProtocol__Detect, inbound__proxy_protocol__detect);

    if (to) {
        to->timeout = give_duration_always(e, policy->detect_timeout_ns);
        GIVE_LIST(e, give_http_route, policy->routes, policy->route_count, to->http_routes, to->n_http_routes);
        to->http_local_rate_limit = give_rate_limit(e, policy->rate_limit);
    }
    return to;
}

static Inbound__ProxyProtocol__Http1 *give_http1(struct encoder *e, const struct inbound_policy *policy)
{
    Inbound__ProxyProtocol__Http1 *to = GIVE(e, Inbound__ProxyProtocol__Http1, inbound__proxy_protocol__http1);

    if (to) {
        GIVE_LIST(e, give_http_route, policy->routes, policy->route_count, to->routes, to->n_routes);
        to->local_rate_limit = give_rate_limit(e, policy->rate_limit);
    }
    return to;
}

static Inbound__ProxyProtocol__Http2 *give_http2(struct encoder *e, const struct inbound_policy *policy)
{
    Inbound__ProxyProtocol__Http2 *to = GIVE(e, Inbound__ProxyProtocol__Http2, inbound__proxy_protocol__http2);

    if (to) {
        GIVE_LIST(e, give_http_route, policy->routes, policy->route_count, to->routes, to->n_routes);
        to->local_rate_limit = give_rate_limit(e, policy->rate_limit);
    }
    return to;
}

static Inbound__ProxyProtocol__Grpc *give_grpc(struct encoder *e, const struct inbound_policy *policy)
{
    Inbound__ProxyProtocol__Grpc *to = GIVE(e, Inbound__ProxyProtocol__Grpc, inbound__proxy_protocol__grpc);

    if (to)
        GIVE_LIST(e, give_grpc_route, policy->routes, policy->route_count, to->routes, to->n_routes);
    return to;
}

static Inbound__ProxyProtocol *give_protocol(struct encoder *e, const struct inbound_policy *policy)
{
    Inbound__ProxyProtocol *to = GIVE(e, Inbound__ProxyProtocol, inbound__proxy_protocol);

    if (!to)
        return NULL;
    switch (policy->protocol) {
    case INBOUND_DETECT:
        to->kind_case = INBOUND__PROXY_PROTOCOL__KIND_DETECT;
        to->detect = give_detect(e, policy);
        break;
    case INBOUND_HTTP1:
        to->kind_case = INBOUND__PROXY_PROTOCOL__KIND_HTTP1;
        to->http1 = give_http1(e, policy);
        break;
    case INBOUND_HTTP2:
        to->kind_case = INBOUND__PROXY_PROTOCOL__KIND_HTTP2;
        to->http2 = give_http2(e, policy);
        break;
    case INBOUND_GRPC:
        to->kind_case = INBOUND__PROXY_PROTOCOL__KIND_GRPC;
        to->grpc = give_grpc(e, policy);
        break;
    case INBOUND_OPAQUE:
        to->kind_case = INBOUND__PROXY_PROTOCOL__KIND_OPAQUE;
        to->opaque = GIVE(e, Inbound__ProxyProtocol__Opaque, inbound__proxy_protocol__opaque);
        break;
    case INBOUND_TLS:
        to->kind_case = INBOUND__PROXY_PROTOCOL__KIND_TLS;
        to->tls = GIVE(e, Inbound__ProxyProtocol__Tls, inbound__proxy_protocol__tls);
        break;
    }
    return to;
}

int inbound_policy_encode(const struct inbound_policy *policy, struct errmsg *msg, struct buffer *out)
{
    Inbound__Server wire = INBOUND__SERVER__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    struct labels storage;
    struct label items[3];
    const struct labels *labels = labels_or_metadata(&policy->labels, &policy->metadata, items, &storage);
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.protocol = give_protocol(&e, policy);
    GIVE_LIST(&e, give_ip, policy->server_ips, policy->server_ip_count, wire.server_ips, wire.n_server_ips);
    GIVE_LIST(&e, give_authorization, policy->authorizations, policy->authorization_count, wire.authorizations,
              wire.n_authorizations);
    GIVE_LABELS(&e, Inbound__Server__LabelsEntry, inbound__server__labels_entry, labels, wire.labels, wire.n_labels);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}

int port_spec_encode(const struct port_spec *spec, struct errmsg *msg, struct buffer *out)
{
    Inbound__PortSpec wire = INBOUND__PORT_SPEC__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.workload = give_text(&e, spec->workload);
    wire.port = spec->port;
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}
