/* The routes and backends of outbound policies. */
#include <errno.h>

#include "base/duration.h"
#include "control/policy/outbound_draft.h"

static const int64_t DEFAULT_RTT_NS = 30 * NS_PER_MS, DECAY_NS = 10 * NS_PER_S, QUEUE_FAILFAST_NS = 3 * NS_PER_S;
enum { QUEUE_CAPACITY = 100 };

/* --- backends --- */

struct backend backend_of_service(struct outbound_draft *draft, struct slice ns, struct slice name, uint16_t port)
{
    struct backend backend = {
        .metadata = {.kind = METADATA_RESOURCE, .group = SLICE_LIT("core"), .resource_kind = SLICE_LIT("Service"), .name = name,
                     .namespace = ns, .port = port},
        .kind = BACKEND_BALANCER,
        .has_queue = true,
        .queue = {QUEUE_CAPACITY, QUEUE_FAILFAST_NS},
    };

    backend.balancer.path = arena_printf(draft->arena, "%.*s.%.*s.svc.%.*s:%u", SLICE_ARGS(name), SLICE_ARGS(ns),
                                         SLICE_ARGS(draft->controller->options.cluster_domain), (unsigned)port);
    backend.balancer.default_rtt_ns = DEFAULT_RTT_NS;
    backend.balancer.decay_ns = DECAY_NS;
    return backend;
}

int backend_of_original(struct outbound_draft *draft, struct metadata metadata, struct backend *ret_backend)
{
    struct endpoint_info *endpoint = ARENA_NEW(draft->arena, struct endpoint_info);

    if (!endpoint)
        return -ENOMEM;
    endpoint->addr = draft->addr;
    endpoint->weight = 1;
    *ret_backend = (struct backend){.metadata = metadata, .kind = BACKEND_FORWARD, .forward = endpoint, .has_queue = true,
                            .queue = {QUEUE_CAPACITY, QUEUE_FAILFAST_NS}};
    return 0;
}

static int first_available(struct outbound_draft *draft, struct backend backend, struct distribution *ret)
{
    struct route_backend *item = ARENA_NEW(draft->arena, struct route_backend);

    if (!item)
        return -ENOMEM;
    item->backend = backend;
    *ret = (struct distribution){DISTRIBUTION_FIRST_AVAILABLE, item, 1};
    return 0;
}

static int failure_filter(struct outbound_draft *draft, struct filters *filters, bool grpc, uint16_t code, struct slice message)
{
    struct filter *items = ARENA_ARRAY(draft->arena, struct filter, filters->count + 1);

    if (!items || !message.ptr)
        return -ENOMEM;
    if (filters->count)
        memcpy(items + 1, filters->items, filters->count * sizeof(*items));
    items[0].kind = grpc ? FILTER_GRPC_FAILURE : FILTER_HTTP_FAILURE;
    items[0].failure = (struct injected_failure){.code = code, .message = message, .numerator = 1, .denominator = 1};
    *filters = (struct filters){items, filters->count + 1};
    return 0;
}

bool service_has_port(const struct kube_service *service, uint16_t port)
{
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].port == port)
            return true;
    return false;
}

/* A backendRef that cannot be followed keeps its weight and answers 500 with the reason. */
static int route_backend(struct outbound_draft *draft, const struct kube_object *route, const struct kube_backend_ref *from, bool grpc,
                         struct route_backend *ret)
{
    struct slice ns = from->ref.namespace_.len ? from->ref.namespace_ : route->namespace_;
    const struct kube_object *object = NULL;
    bool is_service = slice_eq(from->ref.kind, SLICE_LIT("Service")) &&
                      (!from->ref.group.len || slice_eq(from->ref.group, SLICE_LIT("core")));

    if (route_filters(from->filters, from->filter_count, false, draft->arena, &ret->filters) < 0)
        return -ENOMEM;
    ret->weight = from->weight;
    if (is_service)
        object = store_get(draft->controller->store, KUBE_SERVICE, ns, from->ref.name);
    if (draft->egress && slice_eq(from->ref.kind, SLICE_LIT("EgressNetwork")) &&
        slice_eq(from->ref.name, draft->egress->meta.name) && slice_eq(ns, draft->egress->meta.namespace_)) {
        ret->backend = draft->default_backend;
        return 0;
    }
    if (object && from->port && kube_service(object)->type != KUBE_EXTERNAL_NAME) {
        ret->backend = backend_of_service(draft, ns, from->ref.name, from->port);
        return ret->backend.balancer.path.ptr ? 0 : -ENOMEM;
    }
    ret->backend = draft->default_backend;
    ret->backend.metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = SLICE_LIT("invalid")};
    return failure_filter(draft, &ret->filters, grpc, grpc ? 13 : 500,
                          arena_printf(draft->arena, "%s %.*s.%.*s%s", object ? "backend Service without a port:" : "Service not found",
                                       SLICE_ARGS(from->ref.name), SLICE_ARGS(ns), ""));
}

static int distribution(struct outbound_draft *draft, const struct kube_object *route, const struct kube_backend_ref *from, size_t count,
                        bool grpc, struct distribution *ret)
{
    if (!count)
        return first_available(draft, draft->default_backend, ret);
    *ret = (struct distribution){DISTRIBUTION_RANDOM_AVAILABLE, ARENA_ARRAY(draft->arena, struct route_backend, count), count};
    if (!ret->backends)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (route_backend(draft, route, &from[i], grpc, &ret->backends[i]) < 0)
            return -ENOMEM;
    return 0;
}

/* --- routes --- */

/* Annotations of routes and Services: timeouts. Those that do not parse are as if they were not there. */
static void read_timeout(const struct kube_object *object, struct slice key, int64_t *ret_ns)
{
    struct slice text = kube_map_get(&object->annotations, key);
    int64_t ns;

    if (text.ptr && duration_parse_go(text, &ns) == 0 && ns > 0)
        *ret_ns = ns;
}

static void annotated_timeouts(const struct kube_object *object, struct route_timeouts *timeouts)
{
    read_timeout(object, SLICE_LIT("timeout.linkerd.io/request"), &timeouts->request_ns);
    read_timeout(object, SLICE_LIT("timeout.linkerd.io/response"), &timeouts->response_ns);
    read_timeout(object, SLICE_LIT("timeout.linkerd.io/idle"), &timeouts->idle_ns);
}

static void timeouts_of(struct outbound_draft *draft, const struct kube_object *route, struct route_timeouts *ret)
{
    struct route_timeouts own = {0};

    annotated_timeouts(route, &own);
    if (!own.request_ns && !own.response_ns && !own.idle_ns && draft->service)
        annotated_timeouts(&draft->service->meta, &own);
    *ret = own;
}

/* What routes of all kinds have: a name, rules, hosts. */
static int begin_route(struct outbound_draft *draft, const struct kube_object *meta, const struct kube_route_common *common,
                       size_t rule_count, struct outbound_route *ret)
{
    ret->metadata = route_metadata(meta);
    ret->rule_count = rule_count;
    ret->rules = ARENA_ARRAY(draft->arena, struct outbound_rule, rule_count);
    return ret->rules ? route_hosts(common, draft->arena, &ret->hosts, &ret->host_count) : -ENOMEM;
}

static int http_rule(struct outbound_draft *draft, const struct kube_http_route *route, const struct kube_http_rule *from,
                     struct outbound_rule *ret)
{
    timeouts_of(draft, &route->meta, &ret->timeouts);
    if (from->timeouts.request_ns)
        ret->timeouts.request_ns = from->timeouts.request_ns;
    ret->allow_l5d_headers = draft->controller->options.allow_l5d_headers;
    if (route_http_matches(from, draft->arena, &ret->http_matches, &ret->match_count) < 0 ||
        route_filters(from->filters, from->filter_count, false, draft->arena, &ret->filters) < 0)
        return -ENOMEM;
    return distribution(draft, &route->meta, from->backends, from->backend_count, false, &ret->backends);
}

static int http_route(struct outbound_draft *draft, const struct kube_http_route *from, struct outbound_route *ret)
{
    int r = begin_route(draft, &from->meta, &from->common, from->rule_count, ret);

    for (size_t i = 0; r >= 0 && i < from->rule_count; i++)
        r = http_rule(draft, from, &from->rules[i], &ret->rules[i]);
    return r;
}

static int grpc_rule(struct outbound_draft *draft, const struct kube_grpc_route *route, const struct kube_grpc_rule *from,
                     struct outbound_rule *ret)
{
    timeouts_of(draft, &route->meta, &ret->timeouts);
    ret->allow_l5d_headers = draft->controller->options.allow_l5d_headers;
    if (route_grpc_matches(from, draft->arena, &ret->grpc_matches, &ret->match_count) < 0 ||
        route_filters(from->filters, from->filter_count, false, draft->arena, &ret->filters) < 0)
        return -ENOMEM;
    return distribution(draft, &route->meta, from->backends, from->backend_count, true, &ret->backends);
}

static int grpc_route(struct outbound_draft *draft, const struct kube_grpc_route *from, struct outbound_route *ret)
{
    int r = begin_route(draft, &from->meta, &from->common, from->rule_count, ret);

    for (size_t i = 0; r >= 0 && i < from->rule_count; i++)
        r = grpc_rule(draft, from, &from->rules[i], &ret->rules[i]);
    return r;
}

static int tcp_route(struct outbound_draft *draft, const struct kube_tcp_route *from, struct outbound_route *ret)
{
    int r = begin_route(draft, &from->meta, &from->common, from->rule_count, ret);

    for (size_t i = 0; r >= 0 && i < from->rule_count; i++)
        r = distribution(draft, &from->meta, from->rules[i].backends, from->rules[i].backend_count, false, &ret->rules[i].backends);
    return r;
}

static int convert(struct outbound_draft *draft, const struct kube_object *object, struct outbound_route *ret)
{
    switch (object->kind) {
    case KUBE_HTTP_ROUTE:
    case KUBE_POLICY_HTTP_ROUTE:
        return http_route(draft, kube_http_route(object), ret);
    case KUBE_GRPC_ROUTE:
        return grpc_route(draft, kube_grpc_route(object), ret);
    default:
        return tcp_route(draft, kube_tcp_route(object), ret);
    }
}

static const struct kube_object *parent_of(const struct outbound_draft *draft)
{
    return draft->service ? &draft->service->meta : &draft->egress->meta;
}

/* Routes of a client's own namespace (consumer routes) take the place of those of the parent's (producer routes). */
static bool counts(const struct outbound_draft *draft, const struct kube_object *route, uint32_t kinds, bool *consumer, bool consumers)
{
    struct slice group = draft->service ? SLICE_LIT("core") : SLICE_LIT("policy.linkerd.io");
    struct slice kind = draft->service ? SLICE_LIT("Service") : SLICE_LIT("EgressNetwork");
    const struct kube_object *parent = parent_of(draft);
    bool own = slice_eq(route->namespace_, parent->namespace_), client = slice_eq(route->namespace_, draft->client_ns);

    if (!(kinds & STORE_KIND(route->kind)) || !route_has_parent(route, group, kind, parent, draft->port))
        return false;
    *consumer = client && !own;
    return consumers ? *consumer : own;
}

static int collect(struct outbound_draft *draft, uint32_t kinds, bool consumers, struct outbound_routes *ret)
{
    const struct kube_object *parent = parent_of(draft);
    struct kube_set set = store_by_name(draft->controller->store,
                                        draft->service ? STORE_ROUTES_OF_SERVICE : STORE_ROUTES_OF_EGRESS_NETWORK,
                                        parent->namespace_, parent->name);
    bool consumer;

    *ret = (struct outbound_routes){.items = ARENA_ARRAY(draft->arena, struct outbound_route, set.count + 1)};
    if (!ret->items)
        return -ENOMEM;
    for (size_t i = 0; i < set.count; i++)
        if (counts(draft, set.items[i], kinds, &consumer, consumers) &&
            convert(draft, set.items[i], &ret->items[ret->count++]) < 0)
            return -ENOMEM;
    return 0;
}

int routes_of_kinds(struct outbound_draft *draft, uint32_t kinds, struct outbound_routes *ret_routes)
{
    int r = collect(draft, kinds, true, ret_routes);

    return r < 0 || ret_routes->count ? r : collect(draft, kinds, false, ret_routes);
}

/* The route without conditions that stands where there is none (or, for egress, behind those that there are). */
static int default_route(struct outbound_draft *draft, const char *name, bool http, struct outbound_route *ret)
{
    struct outbound_rule *rule = ARENA_NEW(draft->arena, struct outbound_rule);
    struct http_route_match *match = ARENA_NEW(draft->arena, struct http_route_match);
    bool deny = draft->egress && draft->egress->deny;
    int r = 0;

    if (!rule || !match)
        return -ENOMEM;
    ret->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = slice_str(name)};
    ret->rules = rule;
    ret->rule_count = 1;
    if (http) {
        match->path = (struct path_match){PATH_PREFIX, SLICE_LIT("/"), NULL};
        rule->http_matches = match;
        rule->match_count = 1;
    }
    if (draft->service)
        annotated_timeouts(&draft->service->meta, &rule->timeouts);
    if (deny && http)
        r = failure_filter(draft, &rule->filters, false, 403, SLICE_LIT("traffic not allowed by the EgressNetwork"));
    else if (deny) {
        struct filter *filter = ARENA_NEW(draft->arena, struct filter);

        if (!filter)
            return -ENOMEM;
        filter->kind = FILTER_TCP_FORBIDDEN;
        rule->filters = (struct filters){filter, 1};
    }
    return r < 0 ? r : first_available(draft, draft->default_backend, &rule->backends);
}

int routes_with_default(struct outbound_draft *draft, struct outbound_routes *routes, const char *name, bool http)
{
    if (routes->count && draft->service)
        return 0;
    if (!routes->items) {
        routes->items = ARENA_ARRAY(draft->arena, struct outbound_route, 1);
        if (!routes->items)
            return -ENOMEM;
    }
    return default_route(draft, draft->egress ? (draft->egress->deny ? "egress-deny" : "egress-allow") : name, http,
                         &routes->items[routes->count++]);
}
