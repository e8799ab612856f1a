#include <assert.h>
#include <errno.h>

#include "base/mutation.h"
#include "codec/client_hello.h"
#include "mesh/route.h"
#include "proxy/detect.h"
#include "proxy/opaque.h"
#include "proxy/outbound/outbound.h"
#include "proxy/serve.h"
#include "proxy/server_first.h"

static enum step_result take_original_dst(struct walker *walker, enum why why);
static enum step_result discover(struct walker *walker, enum why why);
static enum step_result choose_protocol(struct walker *walker, enum why why);
static enum step_result detect_session(struct walker *walker, enum why why);
static enum step_result read_server_name(struct walker *walker, enum why why);
static enum step_result choose_route(struct walker *walker, enum why why);
static enum step_result balance_and_connect(struct walker *walker, enum why why);

const struct step outbound_path[] = {
    {"original-dst", take_original_dst}, /* learns dst */
    {"discover", discover},              /* learns the view: profile and policy of dst */
    {"protocol", choose_protocol},       /* what the policy says: SWITCH to opaque_path or http_path, or */
    {"detect-http", detect_session},        /* what the bytes say */
    {NULL, NULL},
};

static const struct step opaque_path[] = {
    {"route", choose_route},           /* learns the backend, or refuses */
    {"connect", balance_and_connect},  /* an endpoint, by mTLS where it has an identity */
    {"forward", forward_both_ways},
    {NULL, NULL},
};

/* The policy says that it is TLS: passed through as it is, routed by the name that the client asks for. */
static const struct step tls_path[] = {
    {"sni", read_server_name},         /* learns sni */
    {"route", choose_route},           /* by that name */
    {"connect", balance_and_connect},
    {"forward", forward_both_ways},
    {NULL, NULL},
};

/* The client has not spoken yet; perhaps the server does. */
static const struct step server_first_path[] = {
    {"server-first", server_first},
    {"forward", forward_both_ways},
    {NULL, NULL},
};

static const struct step http_path[] = {
    {"http", serve_http}, /* until the connection has ended; requests walk outbound_request_path */
    {NULL, NULL},
};

static enum step_result switch_to(struct conn *conn, const struct step *path)
{
    timer_cancel(&conn->deadline);
    conn->walker.path = path;
    return STEP_SWITCH;
}

static enum step_result take_original_dst(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct worker *worker = conn->worker;
    struct sys *sys = worker->proxy->sys;
    const struct direction_config *config = &worker->proxy->config.outbound;
    int r = sys->ops->original_dst(sys, conn->io.fd.watch.fd, &conn->dst);

    if (r < 0)
        return conn_fail(conn, REASON_NO_ORIGINAL_DST, r);
    for (unsigned i = 0; i < config->listen_count; i++)
        if (conn->dst.port == config->listen[i].port && ip_is_loopback(conn->dst.ip))
            return conn_fail(conn, REASON_LOOP, 0);
    return STEP_NEXT;
}

static enum step_result discover(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    const struct discovery *found;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START) {
        char key[ADDR_TEXT_MAX];
        int r = lookup_get(&conn->worker->targets, slice_str(addr_format(conn->dst, key)), &conn->lookup);

        if (r < 0)
            return conn_fail(conn, r == -ENOSPC ? REASON_TOO_MANY_DESTINATIONS : REASON_OUT_OF_MEMORY, r);
        if (!conn->lookup->view) {
            lookup_wait(conn->lookup, &conn->waiter, &conn->task);
            conn_deadline(conn, conn->worker->loop->now_ns + DISCOVERY_WAIT_NS);
            return STEP_WAIT;
        }
    }
    if (!conn->lookup->view)
        return why == WHY_TIMER ? conn_fail(conn, REASON_DISCOVERY_UNAVAILABLE, -ETIMEDOUT) : STEP_WAIT;
    lookup_unwait(&conn->waiter);
    timer_cancel(&conn->deadline);
    conn->view = outbound_view_ref(conn->lookup->view);
    found = conn->view->discovery;
    if (!found->policy)
        return conn_fail(conn, found->failure != REASON_NONE ? found->failure : REASON_DISCOVERY_UNAVAILABLE, 0);
    return STEP_NEXT;
}

static enum step_result choose_protocol(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    const struct discovery *found = conn->view->discovery;

    conn->tls = TLS_STATUS_NO_TLS;
    conn->no_tls = NO_TLS_LOOPBACK;
    series_protocol(conn);
    if (conn->worker->proxy->config.ingress_mode) /* what is HTTP may be for somebody else than the address */
        return STEP_NEXT;
    if (found->profile && found->profile->opaque_protocol)
        conn->session = SESSION_OPAQUE;
    else
        switch (found->policy->protocol) {
        case OUTBOUND_OPAQUE:
            conn->session = SESSION_OPAQUE;
            break;
        case OUTBOUND_TLS:
            conn->session = SESSION_OPAQUE;
            return switch_to(conn, tls_path);
        case OUTBOUND_HTTP1:
            conn->session = SESSION_HTTP1;
            break;
        case OUTBOUND_HTTP2:
        case OUTBOUND_GRPC:
            conn->session = SESSION_HTTP2;
            break;
        case OUTBOUND_DETECT:
            return STEP_NEXT;
        }
    return switch_to(conn, conn->session == SESSION_OPAQUE ? opaque_path : http_path);
}

static enum step_result detected(struct conn *conn, const char *result)
{
    series_detected(conn, result, conn->worker->loop->now_ns - conn->since_ns);
    server_first_settle(conn);
    if (unpeek(conn) < 0)
        return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
    return switch_to(conn, conn->session == SESSION_OPAQUE ? opaque_path : http_path);
}

static const char *session_result(enum session session)
{
    return session == SESSION_HTTP1 ? "http/1" : session == SESSION_HTTP2 ? "http/2" : "not_http";
}

static enum step_result detect_session(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START) {
        conn->detect_until_ns = conn->since_ns + conn->worker->proxy->config.outbound.detect_timeout_ns;
        if (mutation("detection-without-end"))
            conn->detect_until_ns = INT64_MAX;
        conn_deadline(conn, server_first_look_at(conn, conn->detect_until_ns));
    }
    r = peek_more(conn, LIMIT_HTTP_START_LINE);
    if (r < 0 && chain_empty(&conn->peeked))
        return conn_fail(conn, REASON_CLIENT_GONE, r == -ENODATA ? 0 : r);
    if (!chain_empty(&conn->peeked) && tell_session(conn, &conn->session))
        return detected(conn, session_result(conn->session));
    if (r == 0 && why == WHY_TIMER && conn->worker->loop->now_ns < conn->detect_until_ns) {
        if (chain_empty(&conn->peeked) && server_first_begin(conn, server_first_path))
            return STEP_SWITCH;
        conn->speculated = true; /* not now: on with detection alone */
        conn_deadline(conn, conn->detect_until_ns);
        return STEP_WAIT;
    }
    if (r < 0 || why == WHY_TIMER) {
        conn->session = SESSION_OPAQUE;
        return detected(conn, why == WHY_TIMER ? "read_timeout" : "not_http");
    }
    return STEP_WAIT;
}

/* What the peeked bytes say: the name, more is needed (STEP_WAIT), or that it is no TLS. */
static enum step_result judge_hello(struct conn *conn)
{
    struct client_hello hello;

    switch (client_hello_parse(peeked(conn), &hello)) {
    case CLIENT_HELLO_FOUND:
        keep_server_name(conn, client_hello_server_name(&hello));
        return unpeek(conn) < 0 ? conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM) : STEP_NEXT;
    case CLIENT_HELLO_MORE:
        return STEP_WAIT;
    case CLIENT_HELLO_NOT_TLS:
    case CLIENT_HELLO_MALFORMED:
        break;
    }
    return conn_fail(conn, REASON_PROTOCOL_MISMATCH, 0);
}

static enum step_result read_server_name(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    enum step_result result = STEP_WAIT;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START)
        conn_deadline(conn, conn->worker->loop->now_ns + conn->worker->proxy->config.outbound.detect_timeout_ns);
    r = peek_more(conn, LIMIT_CLIENT_HELLO);
    if (!chain_empty(&conn->peeked))
        result = judge_hello(conn);
    if (result == STEP_WAIT && r < 0)
        return r == -ENOBUFS ? conn_fail(conn, REASON_PROTOCOL_MISMATCH, 0)
                             : conn_fail(conn, REASON_CLIENT_GONE, r == -ENODATA ? 0 : r);
    if (result == STEP_WAIT && why == WHY_TIMER)
        return conn_fail(conn, REASON_TLS_DETECT_TIMEOUT, -ETIMEDOUT);
    if (result == STEP_NEXT)
        timer_cancel(&conn->deadline);
    return result;
}

/* The route that takes the connection: the first, or the best for the name that TLS asks for. NULL: none. */
static const struct outbound_route *route_of(const struct conn *conn, const struct routes_view *routes)
{
    struct route_found found = {.route = 0};

    if (!routes->routes || !routes->routes->count)
        return NULL;
    if (routes == &conn->view->tls && !outbound_route_find_sni(routes->routes, conn->sni, &found))
        return NULL;
    return routes->routes->items[found.route].rule_count ? &routes->routes->items[found.route] : NULL;
}

static enum step_result choose_route(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    const struct outbound_policy *policy = conn->view->discovery->policy;
    bool tls = conn->walker.path == tls_path;
    const struct routes_view *routes = tls ? &conn->view->tls : &conn->view->opaque;
    const struct outbound_route *route;
    const struct outbound_rule *rule;

    series_conn_opened(conn);
    if (policy->invalid)
        return conn_fail(conn, REASON_POLICY_INVALID, 0);
    if (conn->view->by_profile && conn->view->discovery->profile->override_count && !tls) {
        conn->backend = outbound_pick_backend(conn->worker, &conn->view->profile);
        return STEP_NEXT;
    }
    route = route_of(conn, routes);
    if (!route)
        return conn_fail(conn, REASON_ROUTE_NOT_FOUND, 0);
    rule = &route->rules[0];
    series_route_taken(conn, route);
    for (size_t i = 0; i < rule->filters.count; i++)
        if (rule->filters.items[i].kind == FILTER_TCP_FORBIDDEN || rule->filters.items[i].kind == FILTER_TCP_INVALID)
            return conn_fail(conn, REASON_ROUTE_FORBIDDEN, 0);
    conn->backend = outbound_pick_backend(conn->worker, routes_view_rule(routes, route, rule));
    return conn->backend ? STEP_NEXT : conn_fail(conn, REASON_NO_BACKEND, 0);
}

static void dial_options(struct conn *conn, struct dial_options *ret_options)
{
    const struct direction_config *config = &conn->worker->proxy->config.outbound;

    *ret_options = (struct dial_options){
        .endpoint = conn->forward->endpoint->info,
        .session = DIAL_OPAQUE,
        .timeout_ns = config->connect_timeout_ns,
        .use = DESCRIPTOR_DIAL,
        .socket = config->connect_options,
        .tls = conn->worker->tls,
    };
}

void outbound_leave_queue(struct conn *conn)
{
    lookup_unwait(&conn->waiter);
    if (conn->queue)
        failfast_leave(conn->queue);
    conn->queue = NULL;
}

/* As requests wait, in a queue of their own: 0, or -EIO when the gate is shut, the queue full, or its time over. */
static int wait_in_queue(struct conn *conn, struct lookup *wait, int64_t look_again_ns)
{
    struct failfast *gate = &wait->watched->tcp_gate;
    int64_t now = conn->worker->loop->now_ns;
    enum reason reason = REASON_NONE;

    if (!conn->queue) {
        reason = failfast_enter(gate, now, &conn->queue_until_ns);
        if (reason == REASON_NONE) {
            conn->queue = gate;
            conn->queued_ns = now;
        }
    } else if (now >= conn->queue_until_ns && failfast_expire(gate, now, &conn->queue_until_ns, NULL)) {
        reason = !wait->snapshot ? REASON_DISCOVERY_UNAVAILABLE : conn->reason != REASON_NONE ? conn->reason : REASON_FAILFAST;
    }
    if (reason != REASON_NONE) {
        series_conn_queued(conn, conn->queued_ns ? now - conn->queued_ns : 0);
        conn_fail(conn, reason, conn->error);
        return -EIO;
    }
    if (list_empty(&conn->waiter.link))
        lookup_wait(wait, &conn->waiter, &conn->task);
    conn_deadline(conn, look_again_ns > now && look_again_ns < conn->queue_until_ns ? look_again_ns : conn->queue_until_ns);
    return 0;
}

/* Picks and dials; 0 when a dial runs, -EAGAIN when none is ready (see outbound_pick_endpoint()). Other results noted the failure. */
static int begin_connect(struct conn *conn, struct lookup **ret_wait, int64_t *ret_look_again_ns)
{
    struct dial_options options;
    enum reason reason = REASON_NONE;
    int r = outbound_pick_endpoint(conn->worker, conn->backend, NULL, &conn->forward->endpoint, ret_wait, ret_look_again_ns,
                                   &reason);

    if (r == -EAGAIN)
        return r;
    if (r < 0) {
        conn_fail(conn, reason, r);
        return -EIO;
    }
    outbound_leave_queue(conn);
    series_conn_queued(conn, conn->queued_ns ? conn->worker->loop->now_ns - conn->queued_ns : 0);
    conn->queued_ns = 0;
    if (ip_is_loopback(conn->forward->endpoint->info->addr.ip)) {
        conn_fail(conn, REASON_LOOPBACK_TARGET, -ECONNREFUSED);
        return -EIO;
    }
    dial_options(conn, &options);
    conn->forward->series = series_tcp_endpoint(&conn->worker->series, options.endpoint,
                                                backend_destination(conn->backend));
    series_tcp_counts(conn->forward->series, &options);
    return begin_dial(conn, &options) == STEP_WAIT ? 0 : -EIO;
}

/* An endpoint of the default opaque route, dialled although nobody has spoken. */
bool outbound_open_early(struct conn *conn)
{
    const struct outbound_policy *policy = conn->view->discovery->policy;
    const struct routes_view *routes = &conn->view->opaque;
    struct lookup *wait;
    int64_t look_again_ns;

    if (policy->invalid || !routes->routes || routes->routes->count != 1 || routes->routes->items[0].rule_count != 1 ||
        routes->routes->items[0].rules[0].filters.count)
        return false;
    conn->backend = outbound_pick_backend(conn->worker, &routes->rules[0]);
    conn->forward = conn->backend ? conn_forward_new(conn) : NULL;
    if (!conn->forward)
        return false;
    conn->give_up_ns = conn->detect_until_ns;
    series_conn_opened(conn);
    return begin_connect(conn, &wait, &look_again_ns) == 0;
}

static void forget_endpoint(struct conn *conn)
{
    series_tcp_put(&conn->worker->series, conn->forward->series);
    conn->forward->series = NULL;
    outbound_endpoint_release(conn->worker, conn->forward->endpoint);
    conn->forward->endpoint = NULL;
}

static enum step_result balance_and_connect(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct worker *worker = conn->worker;
    struct dial *dial;
    struct lookup *wait = NULL;
    int64_t look_again_ns;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START) {
        assert(!conn->forward);
        conn->forward = conn_forward_new(conn);
        if (!conn->forward)
            return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
        conn->give_up_ns = worker->loop->now_ns + worker->proxy->config.outbound.tcp_failfast_ns;
    }
    dial = &conn->forward->dial;
    if (conn->forward->endpoint && dial->finished) {
        outbound_endpoint_tried(worker, conn->forward->endpoint, dial->reason == REASON_NONE, dial->error);
        if (dial->reason == REASON_NONE) {
            series_tcp_opened(conn->forward->series);
            conn->forward->taken = true;
            conn->reason = REASON_NONE; /* of an endpoint that was tried before */
            conn->error = 0;
            return STEP_NEXT;
        }
        conn->reason = dial->reason;
        conn->error = dial->error;
        forget_endpoint(conn); /* nothing was sent: another may be better */
    }
    if (conn->forward->endpoint)
        return STEP_WAIT; /* the dial has a deadline of its own */
    if (!conn->queue && worker->loop->now_ns >= conn->give_up_ns)
        return conn_fail(conn, conn->reason != REASON_NONE ? conn->reason : REASON_FAILFAST, conn->error);
    r = begin_connect(conn, &wait, &look_again_ns);
    if (r == -EAGAIN)
        r = wait_in_queue(conn, wait, look_again_ns);
    return r < 0 ? STEP_FAIL : STEP_WAIT;
}
