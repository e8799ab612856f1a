#include <assert.h>
#include <errno.h>

#include "base/mutation.h"
#include "mesh/route.h"
#include "mesh/timeouts.h"
#include "proxy/outbound/outbound.h"
#include "proxy/series.h"

static enum step_result find_route(struct walker *walker, enum why why);
static enum step_result filter(struct walker *walker, enum why why);
static enum step_result choose_backend(struct walker *walker, enum why why);
static enum step_result balance(struct walker *walker, enum why why);

/* In this order; a request that may be tried again goes back to `backend`. Retries, budgets and breakers stand there. */
const struct step outbound_request_path[] = {
    {"destination", outbound_find_destination}, /* learns the view: the connection's, or of the name that an ingress controller gives */
    {"route", find_route},        /* learns route and rule, or 404 */
    {"filter", filter},           /* header changes, redirects, injected failures */
    {"backend", choose_backend},  /* by weight, among those that are ready */
    {"balance", balance},         /* an endpoint, waiting for one within limits; the head as it shall see it */
    {"connect", request_connect}, /* a stream to it */
    {"forward", request_forward}, /* until both directions have ended */
    {NULL, NULL},
};
enum { AT_BACKEND = 3, TRIES_MAX = 3 };

static const struct routes_view *routes_of(const struct request *request)
{
    const struct outbound_view *view = request->view;

    switch (view->discovery->policy->protocol) {
    case OUTBOUND_GRPC:
        return &view->grpc;
    case OUTBOUND_HTTP2:
        return &view->http2;
    case OUTBOUND_HTTP1:
        return &view->http1;
    default:
        return request->version == HTTP_2 ? &view->http2 : &view->http1;
    }
}

/* HTTP/1 without Host gets the policy's address, as its authority and on the wire. */
static int ensure_authority(struct request *request)
{
    struct http_head *head = request->head;
    char text[ADDR_TEXT_MAX];

    if (head->authority.len)
        return 0;
    head->authority = arena_dup(&request->arena, slice_str(addr_format(request->conn->dst, text)));
    if (!head->authority.ptr)
        return -ENOMEM;
    if (head->version != HTTP_2)
        request_add_field(request, head, HTTP_TOKEN_HOST, SLICE_LIT("host"), head->authority);
    return 0;
}

static enum step_result route_by_policy(struct request *request)
{
    const struct routes_view *routes = routes_of(request);
    bool grpc = request->view->discovery->policy->protocol == OUTBOUND_GRPC;
    struct route_found found;
    int r;

    if (!routes->routes)
        return request_fail(request, REASON_ROUTE_NOT_FOUND, 0);
    route_request_init(&request->routing, request->head, &request->arena, request->worker->regex);
    r = outbound_route_find(routes->routes, grpc, &request->routing, &found);
    if (r == 0)
        return request_fail(request, REASON_ROUTE_NOT_FOUND, 0);
    if (r < 0)
        return request_fail(request, r == -ENOMEM ? REASON_OUT_OF_MEMORY : REASON_PATTERN_LIMIT, r);
    request->found = found;
    request->route = &routes->routes->items[found.route];
    request->rule = &request->route->rules[found.rule];
    request->backends = &routes->rules[routes->first_rule[found.route] + found.rule];
    return STEP_NEXT;
}

static enum step_result route_by_profile(struct request *request)
{
    int r;

    route_request_init(&request->routing, request->head, &request->arena, request->worker->regex);
    r = profile_route_find(request->view->discovery->profile, &request->routing, &request->profile_route);
    if (r < 0)
        return request_fail(request, r == -ENOMEM ? REASON_OUT_OF_MEMORY : REASON_PATTERN_LIMIT, r);
    request->backends = &request->view->profile;
    return STEP_NEXT;
}

/* Of the profile's route, or of the policy's and of what the request may ask for itself. */
static void take_timeouts(struct request *request)
{
    if (request->profile_route)
        request->timeouts.request_ns = request->profile_route->timeout_ns;
    else if (request->rule)
        request->timeouts = timeouts_for_request(request->rule, request->head);
    request_clock_start(request);
}

static enum step_result find_route(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);
    enum step_result result;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (request->view->discovery->policy->invalid)
        return request_fail(request, REASON_POLICY_INVALID, 0);
    if (ensure_authority(request) < 0)
        return request_fail(request, REASON_OUT_OF_MEMORY, -ENOMEM);
    result = request->view->by_profile ? route_by_profile(request) : route_by_policy(request);
    if (result != STEP_NEXT)
        return result;
    take_timeouts(request);
    return STEP_NEXT;
}

static enum step_result filter(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (!request->rule || !request->rule->filters.count)
        return STEP_NEXT;
    return request_filter(request, &request->rule->filters);
}

static enum step_result choose_backend(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    request->backend = outbound_pick_backend(request->worker, request->backends);
    if (!request->backend)
        return request_fail(request, REASON_NO_BACKEND, 0);
    if (request->backend->backend && request->backend->backend->kind == BACKEND_INVALID)
        return request_fail(request, REASON_BACKEND_INVALID, 0);
    if (request->tries == 0 && request->backend->filters && request->backend->filters->count)
        return request_filter(request, request->backend->filters);
    return STEP_NEXT;
}

/* --- the head for the endpoint --- */

/* What an application says under names that are the proxies' does not leave; what it demands is taken out here. */
static enum reason clean_head(struct request *request, const struct endpoint_info *endpoint)
{
    struct http_head *head = request->head;
    unsigned kept = 0;
    enum reason reason = REASON_NONE;

    for (unsigned i = 0; i < head->count; i++) {
        const struct http_field *field = &head->fields[i];

        switch (field->token) {
        case HTTP_TOKEN_L5D_REQUIRE_ID:
            if (endpoint->identity_kind == IDENTITY_NONE || !slice_eq(endpoint->identity, field->value))
                reason = REASON_IDENTITY_REQUIRED;
            continue;
        case HTTP_TOKEN_L5D_CLIENT_ID:
        case HTTP_TOKEN_L5D_REMOTE_IP:
        case HTTP_TOKEN_L5D_SERVER_ID:
        case HTTP_TOKEN_L5D_PROXY_ERROR:
        case HTTP_TOKEN_L5D_PROXY_CONNECTION:
        case HTTP_TOKEN_L5D_PROXY_OTHER:
        case HTTP_TOKEN_L5D_REASON:
        case HTTP_TOKEN_L5D_ORIG_PROTO:
        case HTTP_TOKEN_L5D_DST_CANONICAL:
            continue;
        default:
            head->fields[kept++] = *field;
        }
    }
    head->count = (uint16_t)kept;
    return reason;
}

static void name_destination(struct request *request)
{
    const struct profile *profile = request->view->discovery->profile;
    struct slice name;

    if (!request->view->by_profile)
        return;
    name = arena_printf(&request->arena, "%.*s:%u", SLICE_ARGS(profile->fully_qualified_name),
                        (unsigned)request->dst_port);
    if (name.ptr)
        request_add_field(request, request->head, HTTP_TOKEN_L5D_DST_CANONICAL, SLICE_LIT("l5d-dst-canonical"), name);
}

static void override_authority(struct request *request, struct slice authority)
{
    struct http_head *head = request->head;

    (void)http_remove(head, HTTP_TOKEN_HOST);
    (void)http_remove(head, HTTP_TOKEN_L5D_DST_CANONICAL);
    head->authority = authority;
    if (head->version != HTTP_2)
        request_add_field(request, head, HTTP_TOKEN_HOST, SLICE_LIT("host"), authority);
}

/* HTTP/1 to a peer of the mesh that takes it travels over HTTP/2, and says so. */
static void carry_over_http2(struct request *request)
{
    struct http_head *head = request->head;
    struct slice version = head->version == HTTP_1_0 ? SLICE_LIT("HTTP/1.0") : SLICE_LIT("HTTP/1.1");

    request->orig_proto = true;
    if (head->absolute_form)
        version = head->version == HTTP_1_0 ? SLICE_LIT("HTTP/1.0; absolute-form") : SLICE_LIT("HTTP/1.1; absolute-form");
    request_add_field(request, head, HTTP_TOKEN_L5D_ORIG_PROTO, SLICE_LIT("l5d-orig-proto"), version);
    if (!head->scheme.len)
        head->scheme = SLICE_LIT("http");
    /* Host goes along beside :authority: Linkerd's proxy gives the application no other. */
    for (unsigned i = 0; i < head->count; i++)
        if (head->fields[i].token == HTTP_TOKEN_HOST)
            head->fields[i].token = HTTP_TOKEN_OTHER;
}

/* As the client sent it: another endpoint may get it as HTTP/1, where a Host that is not known as such would be joined by a second. */
static void carry_no_more(struct request *request)
{
    struct http_head *head = request->head;

    if (!request->orig_proto)
        return;
    request->orig_proto = false;
    (void)http_remove(head, HTTP_TOKEN_L5D_ORIG_PROTO);
    for (unsigned i = 0; i < head->count && !mutation("two-hosts-after-a-retry"); i++)
        if (slice_eq_nocase(head->fields[i].name, SLICE_LIT("host")))
            head->fields[i].token = HTTP_TOKEN_HOST;
}

static bool may_carry(const struct request *request, const struct endpoint_info *endpoint)
{
    return request->version != HTTP_2 && endpoint->hint == HINT_H2 && endpoint->identity_kind != IDENTITY_NONE &&
           !request->is_connect && !request->is_upgrade;
}

/* The first try changes the head; a later one finds it changed, whichever endpoint it goes to. */
static enum reason head_for_endpoint(struct request *request, const struct endpoint_info *endpoint)
{
    enum reason reason;

    carry_no_more(request);
    if (request->tries == 0) {
        reason = clean_head(request, endpoint);
        if (reason != REASON_NONE)
            return reason;
        name_destination(request);
    }
    if (endpoint->authority_override.len)
        override_authority(request, endpoint->authority_override);
    if (may_carry(request, endpoint))
        carry_over_http2(request);
    return REASON_NONE;
}

/* --- an endpoint --- */

/* Waits in the queue of the destination, whose gate shuts when that has lasted too long. */
static enum step_result no_endpoint_yet(struct request *request, enum why why, struct lookup *wait, int64_t look_again_ns)
{
    struct failfast *gate = &wait->watched->gate;
    int64_t now = request->worker->loop->now_ns, deadline = request_clock_next(request);
    enum reason reason = request_clock_expired(request);

    if (reason != REASON_NONE)
        return request_fail(request, reason, -ETIMEDOUT);
    if (!request->queue) {
        reason = failfast_enter(gate, now, &request->queue_until_ns);
        if (reason != REASON_NONE)
            return request_fail(request, reason, request->error);
        request->queue = gate;
        request->queued_ns = now;
    } else if (failfast_expire(gate, now, &request->queue_until_ns, NULL)) {
        /* Asked each time: a gate that was opened since begins to count now, not when the old time is over. */
        reason = request->reason != REASON_NONE ? request->reason : REASON_FAILFAST;
        return request_fail(request, wait->snapshot ? reason : REASON_DISCOVERY_UNAVAILABLE, request->error);
    }
    if (list_empty(&request->waiter.link))
        lookup_wait(wait, &request->waiter, &request->task);
    if (request->queue_until_ns < deadline)
        deadline = request->queue_until_ns;
    request_deadline(request, look_again_ns > now && look_again_ns < deadline ? look_again_ns : deadline);
    return STEP_WAIT;
}

static void leave_queue(struct request *request)
{
    lookup_unwait(&request->waiter);
    if (request->queue)
        failfast_leave(request->queue);
    request->queue = NULL;
}

static enum step_result balance(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);
    const struct endpoint_info *info;
    struct lookup *wait = NULL;
    enum reason reason = REASON_NONE;
    int64_t look_again_ns = 0;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    r = outbound_pick_endpoint(request->worker, request->backend, request->avoid, &request->endpoint, &wait, &look_again_ns,
                               &reason);
    if (r == -EAGAIN)
        return no_endpoint_yet(request, why, wait, look_again_ns);
    if (r < 0)
        return request_fail(request, reason, r);
    leave_queue(request);
    request_clock_set(request);
    request->reason = REASON_NONE;
    request->error = 0;
    info = request->endpoint->info;
    if (ip_is_loopback(info->addr.ip))
        return request_fail(request, REASON_LOOPBACK_TARGET, -ECONNREFUSED);
    reason = head_for_endpoint(request, info);
    if (reason != REASON_NONE)
        return request_fail(request, reason, 0);
    r = pool_of_endpoint(request->worker, request->endpoint, backend_destination(request->backend),
                         request->orig_proto || request->version == HTTP_2, &request->pool);
    if (r < 0)
        return request_fail(request, REASON_OUT_OF_MEMORY, r);
    series_http_begin(request);
    return STEP_NEXT;
}

void outbound_endpoint_done(struct request *request)
{
    leave_queue(request);
    if (!request->endpoint)
        return;
    if (request->sent_ns && request->answered_ns)
        outbound_endpoint_answered(request->worker, request->endpoint, request->answered_ns - request->sent_ns);
    outbound_endpoint_release(request->worker, request->endpoint);
    request->endpoint = NULL;
}

static void leave_endpoint(struct request *request)
{
    series_http_left(request);
    pool_cancel(request->pool, &request->pool_waiter);
    pool_put(request->pool);
    request->pool = NULL;
    pool_waiter_init(&request->pool_waiter);
    request->avoid = request->endpoint; /* compared, never followed */
    outbound_endpoint_release(request->worker, request->endpoint);
    request->endpoint = NULL;
    request->tries++;
}

/* Nothing was sent, so that another endpoint may be asked, as often as there is time. */
enum step_result outbound_connect_failed(struct request *request, int error)
{
    request->reason = request->pool_waiter.reason != REASON_NONE ? request->pool_waiter.reason : REASON_CONNECT_FAILED;
    request->error = error;
    if (request->backend->forward || request->tries >= TRIES_MAX || mutation("failed-connect-is-final"))
        return request_fail(request, request->reason, error);
    leave_endpoint(request);
    request->walker.at = AT_BACKEND;
    return STEP_AGAIN;
}

/* RFC 9110 section 9.2.2. */
static bool is_idempotent(struct slice method)
{
    static const char *const methods[] = {"GET", "HEAD", "PUT", "DELETE", "OPTIONS", "TRACE"};

    for (size_t i = 0; i < sizeof(methods) / sizeof(methods[0]); i++)
        if (slice_eq(method, slice_str(methods[i])))
            return true;
    return false;
}

/*
 * Over HTTP/2 the peer says that it did not process the request. An HTTP/1 connection that ends without a byte may have been
 * closed while it was idle, or by a server that had read the request and done what it asks for: nobody can tell.
 */
static bool may_send_again(const struct request *request)
{
    return request->pool->http2 || is_idempotent(request->head->method);
}

bool outbound_try_again(struct request *request, struct http_reset reset)
{
    if (reset.error != HTTP_ERROR_REFUSED || request->body_sent || request->tries >= TRIES_MAX || !may_send_again(request))
        return false;
    leave_endpoint(request);
    request->avoid = NULL; /* the endpoint is fine, its connection was not */
    request->head_sent = false;
    request->walker.at = AT_BACKEND;
    walk(&request->walker, WHY_START);
    return true;
}

/* A proxy that wants the connection to end is obeyed where it alone stands behind it: at one meshed endpoint. */
static bool peer_wants_close(const struct request *request, const struct http_head *head)
{
    const struct http_field *field = http_find(head, HTTP_TOKEN_L5D_PROXY_CONNECTION);

    return field && slice_eq_nocase(field->value, SLICE_LIT("close")) && request->backend && request->backend->forward &&
           request->endpoint && request->endpoint->info->identity_kind != IDENTITY_NONE;
}

/*
 * A peer's proxy that cannot connect to its application says so, which is as good as a refused connection: the endpoint is
 * left alone for a while, and comes back with the first answer that says otherwise. Only a proxy can say it: applications'
 * words under this name are removed by theirs.
 */
static void learn_health(struct request *request, const struct http_head *head)
{
    const struct http_field *error = http_find(head, HTTP_TOKEN_L5D_PROXY_ERROR);
    bool unreachable = error && slice_starts(error->value, SLICE_LIT("connect-"));

    if (request->endpoint->info->identity_kind != IDENTITY_NONE)
        outbound_endpoint_tried(request->worker, request->endpoint, !unreachable, -ECONNREFUSED);
}

/* What another endpoint's proxy says about itself is not passed on as ours. */
void outbound_response_head(struct request *request, struct http_head *head)
{
    const struct http_field *version = http_find(head, HTTP_TOKEN_L5D_ORIG_PROTO);
    bool close = peer_wants_close(request, head);
    unsigned kept = 0;

    learn_health(request, head);

    if (request->orig_proto)
        head->version = version && slice_starts(version->value, SLICE_LIT("HTTP/1.0")) ? HTTP_1_0 : HTTP_1_1;
    for (unsigned i = 0; i < head->count; i++) {
        switch (head->fields[i].token) {
        case HTTP_TOKEN_L5D_CLIENT_ID:
        case HTTP_TOKEN_L5D_PROXY_ERROR:
        case HTTP_TOKEN_L5D_PROXY_CONNECTION:
        case HTTP_TOKEN_L5D_PROXY_OTHER:
        case HTTP_TOKEN_L5D_REASON:
        case HTTP_TOKEN_L5D_REMOTE_IP:
        case HTTP_TOKEN_L5D_SERVER_ID:
        case HTTP_TOKEN_L5D_ORIG_PROTO:
            continue;
        default:
            head->fields[kept++] = head->fields[i];
        }
    }
    head->count = (uint16_t)kept;
    request_filter_response(request, head);
    if (!close)
        return;
    if (request->version != HTTP_2)
        request_add_field(request, head, HTTP_TOKEN_CONNECTION, SLICE_LIT("connection"), SLICE_LIT("close"));
    request_close_conn(request);
}
