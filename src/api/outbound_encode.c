#include "api/convert.h"
#include "api/convert_route.h"
#include "api/outbound.h"

/* --- backends --- */

static void give_load(struct encoder *e, const struct balancer_config *balancer, Outbound__Backend__BalanceP2c *to)
{
    if (!balancer->penalty) {
        to->load_case = OUTBOUND__BACKEND__BALANCE_P2C__LOAD_PEAK_EWMA;
        to->peak_ewma =
            GIVE(e, Outbound__Backend__BalanceP2c__PeakEwma, outbound__backend__balance_p2c__peak_ewma);
        if (to->peak_ewma) {
            to->peak_ewma->default_rtt = give_duration_always(e, balancer->default_rtt_ns);
            to->peak_ewma->decay = give_duration_always(e, balancer->decay_ns);
        }
        return;
    }
    to->load_case = OUTBOUND__BACKEND__BALANCE_P2C__LOAD_PENALTY_PEAK_EWMA;
    to->penalty_peak_ewma =
        GIVE(e, Outbound__Backend__BalanceP2c__PenaltyPeakEwma, outbound__backend__balance_p2c__penalty_peak_ewma);
    if (!to->penalty_peak_ewma)
        return;
    to->penalty_peak_ewma->default_rtt = give_duration_always(e, balancer->default_rtt_ns);
    to->penalty_peak_ewma->decay = give_duration_always(e, balancer->decay_ns);
    to->penalty_peak_ewma->penalty = give_duration_always(e, balancer->penalty_ns);
    to->penalty_peak_ewma->max_retry_after = give_duration_always(e, balancer->max_retry_after_ns);
    to->penalty_peak_ewma->penalty_decay = give_duration_always(e, balancer->penalty_decay_ns);
}

static Outbound__Backend__EndpointDiscovery *give_discovery(struct encoder *e, struct slice path)
{
    Outbound__Backend__EndpointDiscovery *to =
        GIVE(e, Outbound__Backend__EndpointDiscovery, outbound__backend__endpoint_discovery);

    if (!to)
        return NULL;
    to->kind_case = OUTBOUND__BACKEND__ENDPOINT_DISCOVERY__KIND_DST;
    to->dst = GIVE(e, Outbound__Backend__EndpointDiscovery__DestinationGet,
                   outbound__backend__endpoint_discovery__destination_get);
    if (to->dst)
        to->dst->path = give_text(e, path);
    return to;
}

static Outbound__Queue *give_queue(struct encoder *e, const struct queue_config *queue)
{
    Outbound__Queue *to = GIVE(e, Outbound__Queue, outbound__queue);

    if (to) {
        to->capacity = queue->capacity;
        to->failfast_timeout = give_duration_always(e, queue->failfast_ns);
    }
    return to;
}

static Outbound__Backend *give_backend(struct encoder *e, const struct backend *backend)
{
    Outbound__Backend *to = GIVE(e, Outbound__Backend, outbound__backend);

    if (!to)
        return NULL;
    to->metadata = give_metadata(e, &backend->metadata);
    if (backend->has_queue)
        to->queue = give_queue(e, &backend->queue);
    switch (backend->kind) {
    case BACKEND_INVALID:
        break;
    case BACKEND_FORWARD:
        to->kind_case = OUTBOUND__BACKEND__KIND_FORWARD;
        to->forward = give_endpoint(e, backend->forward);
        break;
    case BACKEND_BALANCER:
        to->kind_case = OUTBOUND__BACKEND__KIND_BALANCER;
        to->balancer = GIVE(e, Outbound__Backend__BalanceP2c, outbound__backend__balance_p2c);
        if (to->balancer) {
            to->balancer->discovery = give_discovery(e, backend->balancer.path);
            give_load(e, &backend->balancer, to->balancer);
        }
        break;
    }
    return to;
}

/* --- filters --- */

/* A filter that this kind of route cannot have is a mistake of whoever built the policy. */
static void refuse_filter(struct encoder *e)
{
    if (!e->error)
        e->error = errmsg_set(e->msg, -EINVAL, "a filter of a kind that its route cannot have");
}

static Outbound__HttpRoute__Filter *give_filter_http(struct encoder *e, const struct filter *filter)
{
    Outbound__HttpRoute__Filter *to = GIVE(e, Outbound__HttpRoute__Filter, outbound__http_route__filter);

    if (!to)
        return NULL;
    switch (filter->kind) {
    case FILTER_HTTP_FAILURE:
        to->kind_case = OUTBOUND__HTTP_ROUTE__FILTER__KIND_FAILURE_INJECTOR;
        to->failure_injector = give_http_failure(e, &filter->failure);
        break;
    case FILTER_REQUEST_HEADERS:
        to->kind_case = OUTBOUND__HTTP_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER;
        to->request_header_modifier = give_request_headers(e, &filter->headers);
        break;
    case FILTER_RESPONSE_HEADERS:
        to->kind_case = OUTBOUND__HTTP_ROUTE__FILTER__KIND_RESPONSE_HEADER_MODIFIER;
        to->response_header_modifier = give_response_headers(e, &filter->headers);
        break;
    case FILTER_REDIRECT:
        to->kind_case = OUTBOUND__HTTP_ROUTE__FILTER__KIND_REDIRECT;
        to->redirect = give_redirect(e, &filter->redirect);
        break;
    default:
        refuse_filter(e);
    }
    return to;
}

static Outbound__GrpcRoute__Filter *give_filter_grpc(struct encoder *e, const struct filter *filter)
{
    Outbound__GrpcRoute__Filter *to = GIVE(e, Outbound__GrpcRoute__Filter, outbound__grpc_route__filter);

    if (!to)
        return NULL;
    switch (filter->kind) {
    case FILTER_GRPC_FAILURE:
        to->kind_case = OUTBOUND__GRPC_ROUTE__FILTER__KIND_FAILURE_INJECTOR;
        to->failure_injector = give_grpc_failure(e, &filter->failure);
        break;
    case FILTER_REQUEST_HEADERS:
        to->kind_case = OUTBOUND__GRPC_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER;
        to->request_header_modifier = give_request_headers(e, &filter->headers);
        break;
    default:
        refuse_filter(e);
    }
    return to;
}

static OpaqueRoute__Invalid *give_invalid(struct encoder *e, const struct filter *filter)
{
    OpaqueRoute__Invalid *to = GIVE(e, OpaqueRoute__Invalid, opaque_route__invalid);

    if (to)
        to->message = give_text(e, filter->failure.message);
    return to;
}

static Outbound__OpaqueRoute__Filter *give_filter_opaque(struct encoder *e, const struct filter *filter)
{
    Outbound__OpaqueRoute__Filter *to = GIVE(e, Outbound__OpaqueRoute__Filter, outbound__opaque_route__filter);

    if (!to)
        return NULL;
    if (filter->kind == FILTER_TCP_FORBIDDEN) {
        to->kind_case = OUTBOUND__OPAQUE_ROUTE__FILTER__KIND_FORBIDDEN;
        to->forbidden = GIVE(e, OpaqueRoute__Forbidden, opaque_route__forbidden);
    } else if (filter->kind == FILTER_TCP_INVALID) {
        to->kind_case = OUTBOUND__OPAQUE_ROUTE__FILTER__KIND_INVALID;
        to->invalid = give_invalid(e, filter);
    } else {
        refuse_filter(e);
    }
    return to;
}

static Outbound__TlsRoute__Filter *give_filter_tls(struct encoder *e, const struct filter *filter)
{
    Outbound__TlsRoute__Filter *to = GIVE(e, Outbound__TlsRoute__Filter, outbound__tls_route__filter);

    if (!to)
        return NULL;
    if (filter->kind == FILTER_TCP_FORBIDDEN) {
        to->kind_case = OUTBOUND__TLS_ROUTE__FILTER__KIND_FORBIDDEN;
        to->forbidden = GIVE(e, OpaqueRoute__Forbidden, opaque_route__forbidden);
    } else if (filter->kind == FILTER_TCP_INVALID) {
        to->kind_case = OUTBOUND__TLS_ROUTE__FILTER__KIND_INVALID;
        to->invalid = give_invalid(e, filter);
    } else {
        refuse_filter(e);
    }
    return to;
}

/* --- distributions: the same for each kind of route --- */

#define WIRE(name) Outbound__HttpRoute__##name
#define CASE(name) OUTBOUND__HTTP_ROUTE__##name
#define INIT(name) outbound__http_route__##name
#define LOCAL(name) name##_http
#include "api/outbound_distribution_encode.inc"

#define WIRE(name) Outbound__GrpcRoute__##name
#define CASE(name) OUTBOUND__GRPC_ROUTE__##name
#define INIT(name) outbound__grpc_route__##name
#define LOCAL(name) name##_grpc
#include "api/outbound_distribution_encode.inc"

#define WIRE(name) Outbound__OpaqueRoute__##name
#define CASE(name) OUTBOUND__OPAQUE_ROUTE__##name
#define INIT(name) outbound__opaque_route__##name
#define LOCAL(name) name##_opaque
#include "api/outbound_distribution_encode.inc"

#define WIRE(name) Outbound__TlsRoute__##name
#define CASE(name) OUTBOUND__TLS_ROUTE__##name
#define INIT(name) outbound__tls_route__##name
#define LOCAL(name) name##_tls
#include "api/outbound_distribution_encode.inc"

/* --- timeouts, retries, breakers --- */

static HttpRoute__Timeouts *give_timeouts(struct encoder *e, const struct route_timeouts *timeouts)
{
    HttpRoute__Timeouts *to;

    if (!timeouts->request_ns && !timeouts->response_ns && !timeouts->idle_ns)
        return NULL;
    to = GIVE(e, HttpRoute__Timeouts, http_route__timeouts);
    if (to) {
        to->request = give_duration(e, timeouts->request_ns);
        to->response = give_duration(e, timeouts->response_ns);
        to->idle = give_duration(e, timeouts->idle_ns);
    }
    return to;
}

static Outbound__ExponentialBackoff *give_backoff(struct encoder *e, const struct backoff_config *backoff)
{
    Outbound__ExponentialBackoff *to = GIVE(e, Outbound__ExponentialBackoff, outbound__exponential_backoff);

    if (to) {
        to->min_backoff = give_duration_always(e, backoff->min_ns);
        to->max_backoff = give_duration_always(e, backoff->max_ns);
        to->jitter_ratio = (float)backoff->jitter;
        to->respect_retry_after_hint = backoff->respect_retry_after;
    }
    return to;
}

static Outbound__HttpRoute__Retry__Conditions__StatusRange *give_status(struct encoder *e,
                                                                        const struct status_range *range)
{
    Outbound__HttpRoute__Retry__Conditions__StatusRange *to =
        GIVE(e, Outbound__HttpRoute__Retry__Conditions__StatusRange,
             outbound__http_route__retry__conditions__status_range);

    if (to) {
        to->start = range->start;
        to->end = range->end;
    }
    return to;
}

static Outbound__HttpRoute__Retry *give_retry_http(struct encoder *e, const struct retry_config *retry)
{
    Outbound__HttpRoute__Retry *to = retry ? GIVE(e, Outbound__HttpRoute__Retry, outbound__http_route__retry) : NULL;

    if (!to)
        return NULL;
    to->max_retries = retry->max_retries;
    to->max_request_bytes = retry->max_request_bytes;
    to->timeout = give_duration(e, retry->timeout_ns);
    to->backoff = retry->has_backoff ? give_backoff(e, &retry->backoff) : NULL;
    to->conditions = GIVE(e, Outbound__HttpRoute__Retry__Conditions, outbound__http_route__retry__conditions);
    if (to->conditions)
        GIVE_LIST(e, give_status, retry->statuses, retry->status_count, to->conditions->status_ranges,
                  to->conditions->n_status_ranges);
    return to;
}

static Outbound__GrpcRoute__Retry *give_retry_grpc(struct encoder *e, const struct retry_config *retry)
{
    Outbound__GrpcRoute__Retry *to = retry ? GIVE(e, Outbound__GrpcRoute__Retry, outbound__grpc_route__retry) : NULL;

    if (!to)
        return NULL;
    to->max_retries = retry->max_retries;
    to->max_request_bytes = retry->max_request_bytes;
    to->timeout = give_duration(e, retry->timeout_ns);
    to->backoff = retry->has_backoff ? give_backoff(e, &retry->backoff) : NULL;
    to->conditions = GIVE(e, Outbound__GrpcRoute__Retry__Conditions, outbound__grpc_route__retry__conditions);
    if (to->conditions) {
        to->conditions->cancelled = retry->grpc_codes >> 1 & 1;
        to->conditions->deadine_exceeded = retry->grpc_codes >> 4 & 1;
        to->conditions->resource_exhausted = retry->grpc_codes >> 8 & 1;
        to->conditions->internal = retry->grpc_codes >> 13 & 1;
        to->conditions->unavailable = retry->grpc_codes >> 14 & 1;
    }
    return to;
}

static void give_accrual_kind(struct encoder *e, const struct failure_accrual *accrual, Outbound__FailureAccrual *to)
{
    if (accrual->kind == ACCRUAL_CONSECUTIVE) {
        to->kind_case = OUTBOUND__FAILURE_ACCRUAL__KIND_CONSECUTIVE_FAILURES;
        to->consecutive_failures =
            GIVE(e, Outbound__FailureAccrual__ConsecutiveFailures, outbound__failure_accrual__consecutive_failures);
        if (to->consecutive_failures) {
            to->consecutive_failures->max_failures = accrual->max_failures;
            to->consecutive_failures->backoff = give_backoff(e, &accrual->backoff);
        }
        return;
    }
    to->kind_case = OUTBOUND__FAILURE_ACCRUAL__KIND_UNIFIED;
    to->unified = GIVE(e, Outbound__FailureAccrual__Unified, outbound__failure_accrual__unified);
    if (to->unified) {
        to->unified->success_rate_threshold = accrual->success_rate_threshold;
        to->unified->decay = give_duration_always(e, accrual->decay_ns);
        to->unified->min_requests = accrual->min_requests;
        to->unified->max_consecutive_failures = accrual->max_failures;
        to->unified->backoff = give_backoff(e, &accrual->backoff);
    }
}

static Outbound__FailureAccrual *give_accrual(struct encoder *e, const struct failure_accrual *accrual)
{
    Outbound__FailureAccrual *to =
        accrual->kind == ACCRUAL_NONE ? NULL : GIVE(e, Outbound__FailureAccrual, outbound__failure_accrual);

    if (!to)
        return NULL;
    give_accrual_kind(e, accrual, to);
    if (accrual->min_ready_endpoints) {
        to->ejection = GIVE(e, Outbound__EjectionConfig, outbound__ejection_config);
        if (to->ejection)
            to->ejection->min_ready_endpoints = accrual->min_ready_endpoints;
    }
    return to;
}

/* --- rules and routes --- */

static Outbound__HttpRoute__Rule *give_rule_http(struct encoder *e, const struct outbound_rule *rule)
{
    Outbound__HttpRoute__Rule *to = GIVE(e, Outbound__HttpRoute__Rule, outbound__http_route__rule);

    if (!to)
        return NULL;
    GIVE_LIST(e, give_http_match, rule->http_matches, rule->match_count, to->matches, to->n_matches);
    GIVE_LIST(e, give_filter_http, rule->filters.items, rule->filters.count, to->filters, to->n_filters);
    to->backends = give_distribution_http(e, &rule->backends);
    to->timeouts = give_timeouts(e, &rule->timeouts);
    to->requesttimeout = give_duration(e, rule->timeouts.request_ns);
    to->retry = give_retry_http(e, rule->retry);
    to->allow_l5d_request_headers = rule->allow_l5d_headers;
    return to;
}

static Outbound__GrpcRoute__Rule *give_rule_grpc(struct encoder *e, const struct outbound_rule *rule)
{
    Outbound__GrpcRoute__Rule *to = GIVE(e, Outbound__GrpcRoute__Rule, outbound__grpc_route__rule);

    if (!to)
        return NULL;
    GIVE_LIST(e, give_grpc_match, rule->grpc_matches, rule->match_count, to->matches, to->n_matches);
    GIVE_LIST(e, give_filter_grpc, rule->filters.items, rule->filters.count, to->filters, to->n_filters);
    to->backends = give_distribution_grpc(e, &rule->backends);
    to->timeouts = give_timeouts(e, &rule->timeouts);
    to->requesttimeout = give_duration(e, rule->timeouts.request_ns);
    to->retry = give_retry_grpc(e, rule->retry);
    to->allow_l5d_request_headers = rule->allow_l5d_headers;
    return to;
}

static Outbound__OpaqueRoute__Rule *give_rule_opaque(struct encoder *e, const struct outbound_rule *rule)
{
    Outbound__OpaqueRoute__Rule *to = GIVE(e, Outbound__OpaqueRoute__Rule, outbound__opaque_route__rule);

    if (to) {
        GIVE_LIST(e, give_filter_opaque, rule->filters.items, rule->filters.count, to->filters, to->n_filters);
        to->backends = give_distribution_opaque(e, &rule->backends);
    }
    return to;
}

static Outbound__TlsRoute__Rule *give_rule_tls(struct encoder *e, const struct outbound_rule *rule)
{
    Outbound__TlsRoute__Rule *to = GIVE(e, Outbound__TlsRoute__Rule, outbound__tls_route__rule);

    if (to) {
        GIVE_LIST(e, give_filter_tls, rule->filters.items, rule->filters.count, to->filters, to->n_filters);
        to->backends = give_distribution_tls(e, &rule->backends);
    }
    return to;
}

static Outbound__HttpRoute *give_route_http(struct encoder *e, const struct outbound_route *route)
{
    Outbound__HttpRoute *to = GIVE(e, Outbound__HttpRoute, outbound__http_route);

    if (to) {
        to->metadata = give_metadata(e, &route->metadata);
        GIVE_LIST(e, give_host, route->hosts, route->host_count, to->hosts, to->n_hosts);
        GIVE_LIST(e, give_rule_http, route->rules, route->rule_count, to->rules, to->n_rules);
    }
    return to;
}

static Outbound__GrpcRoute *give_route_grpc(struct encoder *e, const struct outbound_route *route)
{
    Outbound__GrpcRoute *to = GIVE(e, Outbound__GrpcRoute, outbound__grpc_route);

    if (to) {
        to->metadata = give_metadata(e, &route->metadata);
        GIVE_LIST(e, give_host, route->hosts, route->host_count, to->hosts, to->n_hosts);
        GIVE_LIST(e, give_rule_grpc, route->rules, route->rule_count, to->rules, to->n_rules);
    }
    return to;
}

static Outbound__OpaqueRoute *give_route_opaque(struct encoder *e, const struct outbound_route *route)
{
    Outbound__OpaqueRoute *to = GIVE(e, Outbound__OpaqueRoute, outbound__opaque_route);

    if (to) {
        to->metadata = give_metadata(e, &route->metadata);
        GIVE_LIST(e, give_rule_opaque, route->rules, route->rule_count, to->rules, to->n_rules);
    }
    return to;
}

static Outbound__TlsRoute *give_route_tls(struct encoder *e, const struct outbound_route *route)
{
    Outbound__TlsRoute *to = GIVE(e, Outbound__TlsRoute, outbound__tls_route);

    if (to) {
        to->metadata = give_metadata(e, &route->metadata);
        GIVE_LIST(e, give_sni, route->hosts, route->host_count, to->snis, to->n_snis);
        GIVE_LIST(e, give_rule_tls, route->rules, route->rule_count, to->rules, to->n_rules);
    }
    return to;
}

/* --- the policy --- */

static Outbound__ProxyProtocol__Http1 *give_http1(struct encoder *e, const struct outbound_routes *routes)
{
    Outbound__ProxyProtocol__Http1 *to = GIVE(e, Outbound__ProxyProtocol__Http1, outbound__proxy_protocol__http1);

    if (to) {
        GIVE_LIST(e, give_route_http, routes->items, routes->count, to->routes, to->n_routes);
        to->failure_accrual = give_accrual(e, &routes->accrual);
    }
    return to;
}

static Outbound__ProxyProtocol__Http2 *give_http2(struct encoder *e, const struct outbound_routes *routes)
{
    Outbound__ProxyProtocol__Http2 *to = GIVE(e, Outbound__ProxyProtocol__Http2, outbound__proxy_protocol__http2);

    if (to) {
        GIVE_LIST(e, give_route_http, routes->items, routes->count, to->routes, to->n_routes);
        to->failure_accrual = give_accrual(e, &routes->accrual);
    }
    return to;
}

static Outbound__ProxyProtocol__Grpc *give_grpc(struct encoder *e, const struct outbound_routes *routes)
{
    Outbound__ProxyProtocol__Grpc *to = GIVE(e, Outbound__ProxyProtocol__Grpc, outbound__proxy_protocol__grpc);

    if (to) {
        GIVE_LIST(e, give_route_grpc, routes->items, routes->count, to->routes, to->n_routes);
        to->failure_accrual = give_accrual(e, &routes->accrual);
    }
    return to;
}

static Outbound__ProxyProtocol__Opaque *give_opaque(struct encoder *e, const struct outbound_routes *routes)
{
    Outbound__ProxyProtocol__Opaque *to = GIVE(e, Outbound__ProxyProtocol__Opaque, outbound__proxy_protocol__opaque);

    if (to)
        GIVE_LIST(e, give_route_opaque, routes->items, routes->count, to->routes, to->n_routes);
    return to;
}

static Outbound__ProxyProtocol__Tls *give_tls(struct encoder *e, const struct outbound_routes *routes)
{
    Outbound__ProxyProtocol__Tls *to = GIVE(e, Outbound__ProxyProtocol__Tls, outbound__proxy_protocol__tls);

    if (to)
        GIVE_LIST(e, give_route_tls, routes->items, routes->count, to->routes, to->n_routes);
    return to;
}

static Outbound__ProxyProtocol__Detect *give_detect(struct encoder *e, const struct outbound_policy *policy)
{
    Outbound__ProxyProtocol__Detect *to = GIVE(e, Outbound__ProxyProtocol__Detect, outbound__proxy_protocol__detect);

    if (to) {
        to->timeout = give_duration_always(e, policy->detect_timeout_ns);
        to->opaque = give_opaque(e, &policy->opaque);
        to->http1 = give_http1(e, &policy->http1);
        to->http2 = give_http2(e, &policy->http2);
    }
    return to;
}

static Outbound__ProxyProtocol *give_protocol(struct encoder *e, const struct outbound_policy *policy)
{
    Outbound__ProxyProtocol *to = GIVE(e, Outbound__ProxyProtocol, outbound__proxy_protocol);

    if (!to)
        return NULL;
    switch (policy->protocol) {
    case OUTBOUND_DETECT:
        to->kind_case = OUTBOUND__PROXY_PROTOCOL__KIND_DETECT;
        to->detect = give_detect(e, policy);
        break;
    case OUTBOUND_OPAQUE:
        to->kind_case = OUTBOUND__PROXY_PROTOCOL__KIND_OPAQUE;
        to->opaque = give_opaque(e, &policy->opaque);
        break;
    case OUTBOUND_HTTP1:
        to->kind_case = OUTBOUND__PROXY_PROTOCOL__KIND_HTTP1;
        to->http1 = give_http1(e, &policy->http1);
        break;
    case OUTBOUND_HTTP2:
        to->kind_case = OUTBOUND__PROXY_PROTOCOL__KIND_HTTP2;
        to->http2 = give_http2(e, &policy->http2);
        break;
    case OUTBOUND_GRPC:
        to->kind_case = OUTBOUND__PROXY_PROTOCOL__KIND_GRPC;
        to->grpc = give_grpc(e, &policy->grpc);
        break;
    case OUTBOUND_TLS:
        to->kind_case = OUTBOUND__PROXY_PROTOCOL__KIND_TLS;
        to->tls = give_tls(e, &policy->tls);
        break;
    }
    return to;
}

int outbound_policy_encode(const struct outbound_policy *policy, struct errmsg *msg, struct buffer *out)
{
    Outbound__OutboundPolicy wire = OUTBOUND__OUTBOUND_POLICY__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.protocol = give_protocol(&e, policy);
    wire.metadata = give_metadata(&e, &policy->metadata);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}

int traffic_spec_encode(const struct traffic_spec *spec, struct errmsg *msg, struct buffer *out)
{
    Outbound__TrafficSpec wire = OUTBOUND__TRAFFIC_SPEC__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.source_workload = give_text(&e, spec->source_workload);
    if (spec->by_addr) {
        wire.target_case = OUTBOUND__TRAFFIC_SPEC__TARGET_ADDR;
        wire.addr = give_addr(&e, &spec->addr);
    } else {
        wire.target_case = OUTBOUND__TRAFFIC_SPEC__TARGET_AUTHORITY;
        wire.authority = give_text(&e, spec->authority);
    }
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}
