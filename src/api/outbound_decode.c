#include "api/convert.h"
#include "api/convert_route.h"
#include "api/outbound.h"
#include "api/wire.h"
#include "base/duration.h"

/* --- backends --- */

/* A span that must be there. */
static int need_duration(struct decoder *d, const char *name, const Google__Protobuf__Duration *from, int64_t *ret_ns)
{
    return from ? take_duration(d, name, from, ret_ns) : errmsg_set(d->msg, -EPROTO, "%s: missing", name);
}

static int take_load(struct decoder *d, const Outbound__Backend__BalanceP2c *from, struct balancer_config *ret)
{
    const Outbound__Backend__BalanceP2c__PenaltyPeakEwma *penalty;
    int r;

    switch (from->load_case) {
    case OUTBOUND__BACKEND__BALANCE_P2C__LOAD_PEAK_EWMA:
        r = need_duration(d, "peak_ewma.default_rtt", from->peak_ewma->default_rtt, &ret->default_rtt_ns);
        return r < 0 ? r : need_duration(d, "peak_ewma.decay", from->peak_ewma->decay, &ret->decay_ns);
    case OUTBOUND__BACKEND__BALANCE_P2C__LOAD_PENALTY_PEAK_EWMA:
        penalty = from->penalty_peak_ewma;
        ret->penalty = true;
        ret->default_rtt_ns = 30 * NS_PER_MS; /* what the API means by a missing one, as with the next four */
        ret->decay_ns = 10 * NS_PER_S;
        ret->penalty_ns = 5 * NS_PER_S;
        ret->penalty_decay_ns = 10 * NS_PER_S;
        ret->max_retry_after_ns = 300 * NS_PER_S;
        if ((r = take_duration(d, "default_rtt", penalty->default_rtt, &ret->default_rtt_ns)) < 0 ||
            (r = take_duration(d, "decay", penalty->decay, &ret->decay_ns)) < 0 ||
            (r = take_duration(d, "penalty", penalty->penalty, &ret->penalty_ns)) < 0 ||
            (r = take_duration(d, "penalty_decay", penalty->penalty_decay, &ret->penalty_decay_ns)) < 0)
            return r;
        return take_duration(d, "max_retry_after", penalty->max_retry_after, &ret->max_retry_after_ns);
    default:
        return errmsg_set(d->msg, -EPROTO, "balancer.load: missing or of no kind that is known here");
    }
}

static int take_balancer(struct decoder *d, const Outbound__Backend__BalanceP2c *from, struct balancer_config *ret)
{
    const Outbound__Backend__EndpointDiscovery *discovery = from->discovery;
    int r;

    if (!discovery || discovery->kind_case != OUTBOUND__BACKEND__ENDPOINT_DISCOVERY__KIND_DST ||
        !discovery->dst->path[0])
        return errmsg_set(d->msg, -EPROTO, "balancer.discovery: no destination");
    r = take_text(d, discovery->dst->path, &ret->path);
    return r < 0 ? r : take_load(d, from, ret);
}

static int take_forward(struct decoder *d, const Destination__WeightedAddr *from, struct endpoint_info **ret)
{
    struct endpoint_info *endpoint = ARENA_NEW(d->arena, struct endpoint_info);
    int r = endpoint ? take_endpoint(d, from, endpoint) : errmsg_set(d->msg, -ENOMEM, "no memory");

    if (r < 0)
        return errmsg_prefix(d->msg, r, "forward");
    *ret = endpoint;
    return 0;
}

static int take_backend(struct decoder *d, const Outbound__Backend *from, struct backend *ret)
{
    int r = from->metadata ? take_metadata(d, from->metadata, &ret->metadata)
                           : errmsg_set(d->msg, -EPROTO, "backend.metadata: missing");

    if (r == 0 && from->queue) {
        ret->has_queue = true;
        ret->queue.capacity = from->queue->capacity;
        r = take_duration(d, "queue.failfast_timeout", from->queue->failfast_timeout, &ret->queue.failfast_ns);
    }
    if (r < 0)
        return r;
    switch (from->kind_case) {
    case OUTBOUND__BACKEND__KIND_FORWARD:
        ret->kind = BACKEND_FORWARD;
        return take_forward(d, from->forward, &ret->forward);
    case OUTBOUND__BACKEND__KIND_BALANCER:
        ret->kind = BACKEND_BALANCER;
        return take_balancer(d, from->balancer, &ret->balancer);
    default:
        ret->kind = BACKEND_INVALID;
        return 0;
    }
}

/* --- filters --- */

static int take_filter_http(struct decoder *d, const Outbound__HttpRoute__Filter *from, struct filter *ret)
{
    switch (from->kind_case) {
    case OUTBOUND__HTTP_ROUTE__FILTER__KIND_FAILURE_INJECTOR:
        return take_http_failure(d, from->failure_injector, ret);
    case OUTBOUND__HTTP_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER:
        return take_request_headers(d, from->request_header_modifier, ret);
    case OUTBOUND__HTTP_ROUTE__FILTER__KIND_REDIRECT:
        return take_redirect(d, from->redirect, ret);
    case OUTBOUND__HTTP_ROUTE__FILTER__KIND_RESPONSE_HEADER_MODIFIER:
        return take_response_headers(d, from->response_header_modifier, ret);
    default:
        return errmsg_set(d->msg, -EPROTO, "of no kind that is known here");
    }
}

static int take_filter_grpc(struct decoder *d, const Outbound__GrpcRoute__Filter *from, struct filter *ret)
{
    switch (from->kind_case) {
    case OUTBOUND__GRPC_ROUTE__FILTER__KIND_FAILURE_INJECTOR:
        return take_grpc_failure(d, from->failure_injector, ret);
    case OUTBOUND__GRPC_ROUTE__FILTER__KIND_REQUEST_HEADER_MODIFIER:
        return take_request_headers(d, from->request_header_modifier, ret);
    default:
        return errmsg_set(d->msg, -EPROTO, "of no kind that is known here");
    }
}

static int take_filter_opaque(struct decoder *d, const Outbound__OpaqueRoute__Filter *from, struct filter *ret)
{
    switch (from->kind_case) {
    case OUTBOUND__OPAQUE_ROUTE__FILTER__KIND_FORBIDDEN:
        ret->kind = FILTER_TCP_FORBIDDEN;
        return 0;
    case OUTBOUND__OPAQUE_ROUTE__FILTER__KIND_INVALID:
        ret->kind = FILTER_TCP_INVALID;
        return take_text(d, from->invalid->message, &ret->failure.message);
    default:
        return errmsg_set(d->msg, -EPROTO, "of no kind that is known here");
    }
}

static int take_filter_tls(struct decoder *d, const Outbound__TlsRoute__Filter *from, struct filter *ret)
{
    switch (from->kind_case) {
    case OUTBOUND__TLS_ROUTE__FILTER__KIND_FORBIDDEN:
        ret->kind = FILTER_TCP_FORBIDDEN;
        return 0;
    case OUTBOUND__TLS_ROUTE__FILTER__KIND_INVALID:
        ret->kind = FILTER_TCP_INVALID;
        return take_text(d, from->invalid->message, &ret->failure.message);
    default:
        return errmsg_set(d->msg, -EPROTO, "of no kind that is known here");
    }
}

/* --- distributions: the same for each kind of route --- */

#define WIRE(name) Outbound__HttpRoute__##name
#define CASE(name) OUTBOUND__HTTP_ROUTE__##name
#define LOCAL(name) name##_http
#include "api/outbound_distribution_decode.inc"

#define WIRE(name) Outbound__GrpcRoute__##name
#define CASE(name) OUTBOUND__GRPC_ROUTE__##name
#define LOCAL(name) name##_grpc
#include "api/outbound_distribution_decode.inc"

#define WIRE(name) Outbound__OpaqueRoute__##name
#define CASE(name) OUTBOUND__OPAQUE_ROUTE__##name
#define LOCAL(name) name##_opaque
#include "api/outbound_distribution_decode.inc"

#define WIRE(name) Outbound__TlsRoute__##name
#define CASE(name) OUTBOUND__TLS_ROUTE__##name
#define LOCAL(name) name##_tls
#include "api/outbound_distribution_decode.inc"

/* --- timeouts, retries, breakers --- */

static int take_timeouts(struct decoder *d, const HttpRoute__Timeouts *from, const Google__Protobuf__Duration *older,
                         struct route_timeouts *ret)
{
    int r = take_duration(d, "requestTimeout", older, &ret->request_ns);

    if (r < 0 || !from)
        return r;
    r = take_duration(d, "timeouts.request", from->request, &ret->request_ns);
    if (r == 0)
        r = take_duration(d, "timeouts.response", from->response, &ret->response_ns);
    return r < 0 ? r : take_duration(d, "timeouts.idle", from->idle, &ret->idle_ns);
}

static int take_backoff(struct decoder *d, const Outbound__ExponentialBackoff *from, struct backoff_config *ret)
{
    int r = need_duration(d, "backoff.min_backoff", from->min_backoff, &ret->min_ns);

    if (r == 0)
        r = need_duration(d, "backoff.max_backoff", from->max_backoff, &ret->max_ns);
    if (r < 0)
        return r;
    if (ret->max_ns == 0 || ret->min_ns > ret->max_ns)
        return errmsg_set(d->msg, -EPROTO, "backoff: the maximum is 0 or less than the minimum");
    if (!(from->jitter_ratio >= 0 && from->jitter_ratio <= 100))
        return errmsg_set(d->msg, -EPROTO, "backoff.jitter_ratio: not between 0 and 100");
    ret->jitter = (double)from->jitter_ratio;
    ret->respect_retry_after = from->respect_retry_after_hint;
    return 0;
}

static int take_status(struct decoder *d, const Outbound__HttpRoute__Retry__Conditions__StatusRange *from,
                       struct status_range *ret)
{
    if (from->start == 0 || from->end > 599 || from->start > from->end)
        return errmsg_set(d->msg, -EPROTO, "%u to %u is no range of HTTP statuses", (unsigned)from->start,
                          (unsigned)from->end);
    *ret = (struct status_range){(uint16_t)from->start, (uint16_t)from->end};
    return 0;
}

/* What both kinds of retry have. */
static int take_retry_head(struct decoder *d, uint32_t max_retries, uint32_t max_bytes,
                           const Google__Protobuf__Duration *timeout, const Outbound__ExponentialBackoff *backoff,
                           struct retry_config *ret)
{
    int r;

    if (max_retries > UINT16_MAX)
        return errmsg_set(d->msg, -EPROTO, "retry.max_retries: %u is too many", (unsigned)max_retries);
    ret->max_retries = max_retries;
    ret->max_request_bytes = max_bytes;
    r = take_duration(d, "retry.timeout", timeout, &ret->timeout_ns);
    if (r < 0 || !backoff)
        return r;
    ret->has_backoff = true;
    return take_backoff(d, backoff, &ret->backoff);
}

static int take_retry_http(struct decoder *d, const Outbound__HttpRoute__Retry *from, struct retry_config **ret)
{
    struct retry_config *retry;
    int r;

    if (!from)
        return 0;
    if (!from->conditions)
        return errmsg_set(d->msg, -EPROTO, "retry.conditions: missing");
    retry = *ret = ARENA_NEW(d->arena, struct retry_config);
    if (!retry)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    r = take_retry_head(d, from->max_retries, from->max_request_bytes, from->timeout, from->backoff, retry);
    return r < 0 ? r : TAKE_LIST(d, "retry.status_ranges", take_status, from->conditions->status_ranges,
                                 from->conditions->n_status_ranges, retry->statuses, retry->status_count);
}

static int take_retry_grpc(struct decoder *d, const Outbound__GrpcRoute__Retry *from, struct retry_config **ret)
{
    const Outbound__GrpcRoute__Retry__Conditions *on;
    struct retry_config *retry;

    if (!from)
        return 0;
    if (!from->conditions)
        return errmsg_set(d->msg, -EPROTO, "retry.conditions: missing");
    retry = *ret = ARENA_NEW(d->arena, struct retry_config);
    if (!retry)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    on = from->conditions;
    retry->grpc_codes = (on->cancelled ? 1u << 1 : 0) | (on->deadine_exceeded ? 1u << 4 : 0) |
                        (on->resource_exhausted ? 1u << 8 : 0) | (on->internal ? 1u << 13 : 0) |
                        (on->unavailable ? 1u << 14 : 0);
    return take_retry_head(d, from->max_retries, from->max_request_bytes, from->timeout, from->backoff, retry);
}

static int take_unified(struct decoder *d, const Outbound__FailureAccrual__Unified *from, struct failure_accrual *ret)
{
    int r;

    ret->kind = ACCRUAL_UNIFIED;
    if (!(from->success_rate_threshold >= 0 && from->success_rate_threshold <= 1))
        return errmsg_set(d->msg, -EPROTO, "unified.success_rate_threshold: not between 0 and 1");
    if (from->min_requests > 1000000)
        return errmsg_set(d->msg, -EPROTO, "unified.min_requests: more than 1000000");
    ret->success_rate_threshold = from->success_rate_threshold;
    ret->min_requests = from->min_requests;
    ret->max_failures = from->max_consecutive_failures;
    ret->decay_ns = 10 * NS_PER_S;
    r = take_duration(d, "unified.decay", from->decay, &ret->decay_ns);
    if (r < 0)
        return r;
    if (ret->success_rate_threshold > 0 && ret->decay_ns < 10 * NS_PER_MS)
        return errmsg_set(d->msg, -EPROTO, "unified.decay: less than 10 ms");
    return from->backoff ? take_backoff(d, from->backoff, &ret->backoff)
                         : errmsg_set(d->msg, -EPROTO, "unified.backoff: missing");
}

static int take_accrual(struct decoder *d, const Outbound__FailureAccrual *from, struct failure_accrual *ret)
{
    const Outbound__FailureAccrual__ConsecutiveFailures *consecutive;

    if (!from)
        return 0;
    if (from->ejection)
        ret->min_ready_endpoints = from->ejection->min_ready_endpoints;
    switch (from->kind_case) {
    case OUTBOUND__FAILURE_ACCRUAL__KIND_CONSECUTIVE_FAILURES:
        consecutive = from->consecutive_failures;
        ret->kind = ACCRUAL_CONSECUTIVE;
        ret->max_failures = consecutive->max_failures;
        return consecutive->backoff ? take_backoff(d, consecutive->backoff, &ret->backoff)
                                    : errmsg_set(d->msg, -EPROTO, "consecutive_failures.backoff: missing");
    case OUTBOUND__FAILURE_ACCRUAL__KIND_UNIFIED:
        return take_unified(d, from->unified, ret);
    default:
        return errmsg_set(d->msg, -EPROTO, "failure_accrual: of no kind that is known here");
    }
}

/* --- rules --- */

static int take_rule_http(struct decoder *d, const Outbound__HttpRoute__Rule *from, struct outbound_rule *ret)
{
    int r = TAKE_LIST(d, "matches", take_http_match, from->matches, from->n_matches, ret->http_matches,
                      ret->match_count);

    if (r == 0)
        r = TAKE_LIST(d, "filters", take_filter_http, from->filters, from->n_filters, ret->filters.items,
                      ret->filters.count);
    if (r == 0)
        r = take_distribution_http(d, from->backends, &ret->backends);
    if (r == 0)
        r = take_timeouts(d, from->timeouts, from->requesttimeout, &ret->timeouts);
    ret->allow_l5d_headers = from->allow_l5d_request_headers;
    return r < 0 ? r : take_retry_http(d, from->retry, &ret->retry);
}

static int take_rule_grpc(struct decoder *d, const Outbound__GrpcRoute__Rule *from, struct outbound_rule *ret)
{
    int r = TAKE_LIST(d, "matches", take_grpc_match, from->matches, from->n_matches, ret->grpc_matches,
                      ret->match_count);

    if (r == 0)
        r = TAKE_LIST(d, "filters", take_filter_grpc, from->filters, from->n_filters, ret->filters.items,
                      ret->filters.count);
    if (r == 0)
        r = take_distribution_grpc(d, from->backends, &ret->backends);
    if (r == 0)
        r = take_timeouts(d, from->timeouts, from->requesttimeout, &ret->timeouts);
    ret->allow_l5d_headers = from->allow_l5d_request_headers;
    return r < 0 ? r : take_retry_grpc(d, from->retry, &ret->retry);
}

static int take_rule_opaque(struct decoder *d, const Outbound__OpaqueRoute__Rule *from, struct outbound_rule *ret)
{
    int r = TAKE_LIST(d, "filters", take_filter_opaque, from->filters, from->n_filters, ret->filters.items,
                      ret->filters.count);

    return r < 0 ? r : take_distribution_opaque(d, from->backends, &ret->backends);
}

static int take_rule_tls(struct decoder *d, const Outbound__TlsRoute__Rule *from, struct outbound_rule *ret)
{
    int r = TAKE_LIST(d, "filters", take_filter_tls, from->filters, from->n_filters, ret->filters.items,
                      ret->filters.count);

    return r < 0 ? r : take_distribution_tls(d, from->backends, &ret->backends);
}

/* --- routes --- */

static int take_route_metadata(struct decoder *d, const Meta__Metadata *from, struct outbound_route *ret)
{
    return from ? take_metadata(d, from, &ret->metadata) : errmsg_set(d->msg, -EPROTO, "metadata: missing");
}

static int take_route_http(struct decoder *d, const Outbound__HttpRoute *from, struct outbound_route *ret)
{
    int r = take_route_metadata(d, from->metadata, ret);

    if (r == 0)
        r = TAKE_LIST(d, "hosts", take_host, from->hosts, from->n_hosts, ret->hosts, ret->host_count);
    return r < 0 ? r : TAKE_LIST(d, "rules", take_rule_http, from->rules, from->n_rules, ret->rules, ret->rule_count);
}

static int take_route_grpc(struct decoder *d, const Outbound__GrpcRoute *from, struct outbound_route *ret)
{
    int r = take_route_metadata(d, from->metadata, ret);

    if (r == 0)
        r = TAKE_LIST(d, "hosts", take_host, from->hosts, from->n_hosts, ret->hosts, ret->host_count);
    return r < 0 ? r : TAKE_LIST(d, "rules", take_rule_grpc, from->rules, from->n_rules, ret->rules, ret->rule_count);
}

/* Rules of connections match nothing, so that a second one could never be reached. */
static int need_one_rule(struct decoder *d, size_t n)
{
    return n == 1 ? 0 : errmsg_set(d->msg, -EPROTO, "rules: %zu, must be one", n);
}

static int take_route_opaque(struct decoder *d, const Outbound__OpaqueRoute *from, struct outbound_route *ret)
{
    int r = take_route_metadata(d, from->metadata, ret);

    if (r == 0)
        r = need_one_rule(d, from->n_rules);
    return r < 0 ? r
                 : TAKE_LIST(d, "rules", take_rule_opaque, from->rules, from->n_rules, ret->rules, ret->rule_count);
}

static int take_route_tls(struct decoder *d, const Outbound__TlsRoute *from, struct outbound_route *ret)
{
    int r = take_route_metadata(d, from->metadata, ret);

    if (r == 0)
        r = TAKE_LIST(d, "snis", take_sni, from->snis, from->n_snis, ret->hosts, ret->host_count);
    if (r == 0)
        r = need_one_rule(d, from->n_rules);
    return r < 0 ? r : TAKE_LIST(d, "rules", take_rule_tls, from->rules, from->n_rules, ret->rules, ret->rule_count);
}

static int need_few_routes(struct decoder *d, size_t n)
{
    return n <= LIMIT_ROUTES ? 0 : errmsg_set(d->msg, -EPROTO, "routes: %zu, more than %d", n, LIMIT_ROUTES);
}

static int take_http1(struct decoder *d, const Outbound__ProxyProtocol__Http1 *from, struct outbound_routes *ret)
{
    int r = from ? need_few_routes(d, from->n_routes) : errmsg_set(d->msg, -EPROTO, "http1: missing");

    if (r == 0)
        r = TAKE_LIST(d, "http1.routes", take_route_http, from->routes, from->n_routes, ret->items, ret->count);
    return r < 0 ? r : take_accrual(d, from->failure_accrual, &ret->accrual);
}

static int take_http2(struct decoder *d, const Outbound__ProxyProtocol__Http2 *from, struct outbound_routes *ret)
{
    int r = from ? need_few_routes(d, from->n_routes) : errmsg_set(d->msg, -EPROTO, "http2: missing");

    if (r == 0)
        r = TAKE_LIST(d, "http2.routes", take_route_http, from->routes, from->n_routes, ret->items, ret->count);
    return r < 0 ? r : take_accrual(d, from->failure_accrual, &ret->accrual);
}

static int take_grpc(struct decoder *d, const Outbound__ProxyProtocol__Grpc *from, struct outbound_routes *ret)
{
    int r = need_few_routes(d, from->n_routes);

    if (r == 0)
        r = TAKE_LIST(d, "grpc.routes", take_route_grpc, from->routes, from->n_routes, ret->items, ret->count);
    return r < 0 ? r : take_accrual(d, from->failure_accrual, &ret->accrual);
}

static int take_opaque(struct decoder *d, const Outbound__ProxyProtocol__Opaque *from, struct outbound_routes *ret)
{
    if (!from)
        return errmsg_set(d->msg, -EPROTO, "opaque: missing");
    if (from->n_routes > 1)
        return errmsg_set(d->msg, -EPROTO, "opaque.routes: %zu, must be one", from->n_routes);
    return TAKE_LIST(d, "opaque.routes", take_route_opaque, from->routes, from->n_routes, ret->items, ret->count);
}

static int take_tls(struct decoder *d, const Outbound__ProxyProtocol__Tls *from, struct outbound_routes *ret)
{
    int r = need_few_routes(d, from->n_routes);

    return r < 0 ? r : TAKE_LIST(d, "tls.routes", take_route_tls, from->routes, from->n_routes, ret->items, ret->count);
}

/* --- the policy --- */

static int take_detect(struct decoder *d, const Outbound__ProxyProtocol__Detect *from, struct outbound_policy *ret)
{
    int r = need_duration(d, "detect.timeout", from->timeout, &ret->detect_timeout_ns);

    if (r == 0)
        r = take_http1(d, from->http1, &ret->http1);
    if (r == 0)
        r = take_http2(d, from->http2, &ret->http2);
    return r < 0 ? r : take_opaque(d, from->opaque, &ret->opaque);
}

static int take_protocol(struct decoder *d, const Outbound__ProxyProtocol *from, struct outbound_policy *ret)
{
    switch (from ? from->kind_case : OUTBOUND__PROXY_PROTOCOL__KIND__NOT_SET) {
    case OUTBOUND__PROXY_PROTOCOL__KIND_DETECT:
        ret->protocol = OUTBOUND_DETECT;
        return take_detect(d, from->detect, ret);
    case OUTBOUND__PROXY_PROTOCOL__KIND_OPAQUE:
        ret->protocol = OUTBOUND_OPAQUE;
        return take_opaque(d, from->opaque, &ret->opaque);
    case OUTBOUND__PROXY_PROTOCOL__KIND_HTTP1:
        ret->protocol = OUTBOUND_HTTP1;
        return take_http1(d, from->http1, &ret->http1);
    case OUTBOUND__PROXY_PROTOCOL__KIND_HTTP2:
        ret->protocol = OUTBOUND_HTTP2;
        return take_http2(d, from->http2, &ret->http2);
    case OUTBOUND__PROXY_PROTOCOL__KIND_GRPC:
        ret->protocol = OUTBOUND_GRPC;
        return take_grpc(d, from->grpc, &ret->grpc);
    case OUTBOUND__PROXY_PROTOCOL__KIND_TLS:
        ret->protocol = OUTBOUND_TLS;
        return take_tls(d, from->tls, &ret->tls);
    default:
        return errmsg_set(d->msg, -EPROTO, "missing or of no kind that is known here");
    }
}

static int take_policy(struct decoder *d, const Outbound__OutboundPolicy *from, struct outbound_policy *ret)
{
    int r = from->metadata ? take_metadata(d, from->metadata, &ret->metadata)
                           : errmsg_set(d->msg, -EPROTO, "metadata: missing");

    if (r < 0)
        return r;
    r = take_protocol(d, from->protocol, ret);
    return r < 0 ? errmsg_prefix(d->msg, r, "protocol") : 0;
}

/* Forgets what was taken: nothing of a policy that could not be followed whole may be used. */
static int make_invalid(struct outbound_policy *policy, const struct errmsg *why)
{
    struct snapshot *snapshot = &policy->snapshot;

    arena_release(&snapshot->arena);
    memset((char *)policy + sizeof(*snapshot), 0, sizeof(*policy) - sizeof(*snapshot));
    policy->invalid = true;
    policy->invalid_reason = arena_dup(&snapshot->arena, slice_str(why->text));
    return policy->invalid_reason.ptr ? 0 : -ENOMEM;
}

int outbound_policy_decode(struct slice message, struct errmsg *msg, struct outbound_policy **ret_policy)
{
    struct errmsg reason = {0};
    struct outbound_policy *policy = outbound_policy_new();
    struct decoder d = {policy ? &policy->snapshot.arena : NULL, msg ? msg : &reason};
    Outbound__OutboundPolicy *wire;
    struct arena scratch;
    int r;

    if (!policy)
        return errmsg_set(msg, -ENOMEM, "no memory");
    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&outbound__outbound_policy__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_policy(&d, wire, policy);
    arena_release(&scratch);
    if (r == -EPROTO)
        r = make_invalid(policy, d.msg);
    if (r < 0)
        outbound_policy_unref(policy);
    else
        *ret_policy = policy;
    return r;
}

static int take_spec(struct decoder *d, const Outbound__TrafficSpec *from, struct traffic_spec *ret)
{
    int r = take_text(d, from->source_workload, &ret->source_workload);

    if (r < 0)
        return r;
    switch (from->target_case) {
    case OUTBOUND__TRAFFIC_SPEC__TARGET_ADDR:
        ret->by_addr = true;
        r = take_addr(d, from->addr, &ret->addr);
        return r == -EPROTO ? -EINVAL : r;
    case OUTBOUND__TRAFFIC_SPEC__TARGET_AUTHORITY:
        return take_text(d, from->authority, &ret->authority);
    default:
        return errmsg_set(d->msg, -EINVAL, "target: neither addr nor authority");
    }
}

int traffic_spec_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct traffic_spec *ret_spec)
{
    struct errmsg unread = {0};
    struct decoder d = {arena, msg ? msg : &unread};
    struct traffic_spec spec = {0};
    Outbound__TrafficSpec *wire;
    struct arena scratch;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&outbound__traffic_spec__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_spec(&d, wire, &spec);
    arena_release(&scratch);
    if (r == 0)
        *ret_spec = spec;
    return r;
}
