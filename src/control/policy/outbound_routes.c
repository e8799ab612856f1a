/* The routes and backends of outbound policies. */
#include <errno.h>

#include "base/duration.h"
#include "control/policy/outbound_draft.h"
#include "control/policy/traffic_annotations.h"

static const int64_t DEFAULT_RTT_NS = 30 * NS_PER_MS, DECAY_NS = 10 * NS_PER_S, QUEUE_FAILFAST_NS = 3 * NS_PER_S;
enum { QUEUE_CAPACITY = 100 };

/* --- backends --- */

struct backend backend_of_service(struct outbound_draft *draft, struct slice ns, struct slice name, uint16_t port, bool penalty)
{
    struct backend backend = {
        .metadata = {.kind = METADATA_RESOURCE, .group = SLICE_LIT("core"), .resource_kind = SLICE_LIT("Service"), .name = name,
                     .namespace = ns, .port = port},
        .kind = BACKEND_BALANCER,
        .has_queue = true,
        .queue = {QUEUE_CAPACITY, QUEUE_FAILFAST_NS},
    };

    if (penalty)
        backend.balancer = draft->said.penalty;
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

/* The first of the filters becomes one that answers with the code, which is a status of HTTP or of gRPC. */
static int failure_filter(struct outbound_draft *draft, struct filters *filters, enum route_kind kind, uint16_t code, struct slice message)
{
    struct filter *items = ARENA_ARRAY(draft->arena, struct filter, filters->count + 1);

    if (!items || !message.ptr)
        return -ENOMEM;
    if (filters->count)
        memcpy(items + 1, filters->items, filters->count * sizeof(*items));
    items[0].kind = kind == ROUTE_GRPC ? FILTER_GRPC_FAILURE : FILTER_HTTP_FAILURE;
    items[0].failure = (struct injected_failure){.code = code, .message = message, .numerator = 1, .denominator = 1};
    *filters = (struct filters){items, filters->count + 1};
    return 0;
}

/* The same for connections, which have no answer. */
static int close_filter(struct outbound_draft *draft, struct filters *filters, enum filter_kind kind)
{
    struct filter *filter = ARENA_NEW(draft->arena, struct filter);

    if (!filter)
        return -ENOMEM;
    filter->kind = kind;
    *filters = (struct filters){filter, 1};
    return 0;
}

bool service_has_port(const struct kube_service *service, uint16_t port)
{
    for (size_t i = 0; i < service->port_count; i++)
        if (service->ports[i].port == port)
            return true;
    return false;
}

static bool refers_to(const struct kube_backend_ref *from, const char *kind, bool core)
{
    struct slice group = core ? SLICE_LIT("core") : SLICE_LIT("policy.linkerd.io");

    return slice_eq(from->ref.kind, slice_str(kind)) && (slice_eq(from->ref.group, group) || (core && !from->ref.group.len));
}

/* Why a backendRef cannot be followed; .ptr NULL: it can be. */
static const char *unusable(const struct outbound_draft *draft, const struct kube_backend_ref *from, struct slice ns)
{
    struct store *store = draft->controller->store;
    const struct kube_object *object;

    if (refers_to(from, "Service", true)) {
        object = store_get(store, KUBE_SERVICE, ns, from->ref.name);
        if (!from->port)
            return "the reference to the Service has no port";
        return object && kube_service(object)->type != KUBE_EXTERNAL_NAME ? NULL : "there is no such Service";
    }
    if (!refers_to(from, "EgressNetwork", false))
        return "traffic cannot be sent to objects of this kind";
    if (!store_get(store, KUBE_EGRESS_NETWORK, ns, from->ref.name))
        return "there is no such EgressNetwork";
    if (draft->egress && slice_eq(from->ref.name, draft->egress->meta.name) && slice_eq(ns, draft->egress->meta.namespace_))
        return NULL;
    return "an EgressNetwork is reached through routes of its own only";
}

/* Keeps its weight, and answers 500 with the reason. */
static int unusable_backend(struct outbound_draft *draft, const struct kube_backend_ref *from, struct slice ns, const char *why,
                            enum route_kind kind, struct route_backend *ret)
{
    bool service = refers_to(from, "Service", true) && from->port, egress = refers_to(from, "EgressNetwork", false);

    ret->backend = (struct backend){.kind = BACKEND_INVALID, .has_queue = true, .queue = {QUEUE_CAPACITY, QUEUE_FAILFAST_NS}};
    ret->backend.metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = SLICE_LIT("invalid")};
    if (service || egress)
        ret->backend.metadata = (struct metadata){
            .kind = METADATA_RESOURCE,
            .group = service ? SLICE_LIT("core") : SLICE_LIT("policy.linkerd.io"),
            .resource_kind = service ? SLICE_LIT("Service") : SLICE_LIT("EgressNetwork"),
            .name = from->ref.name,
            .namespace = ns,
            .port = from->port ? from->port : draft->addr.port,
        };
    if (kind == ROUTE_TCP || kind == ROUTE_TLS)
        return close_filter(draft, &ret->filters, FILTER_TCP_INVALID);
    return failure_filter(draft, &ret->filters, kind, kind == ROUTE_GRPC ? 13 : 500,
                          arena_printf(draft->arena, "backend %.*s %.*s.%.*s: %s", SLICE_ARGS(from->ref.kind), SLICE_ARGS(from->ref.name),
                                       SLICE_ARGS(ns), why));
}

static int route_backend(struct outbound_draft *draft, const struct kube_object *route, const struct kube_backend_ref *from,
                         enum route_kind kind, struct route_backend *ret)
{
    struct slice ns = from->ref.namespace_.len ? from->ref.namespace_ : route->namespace_;
    const char *why = unusable(draft, from, ns);

    ret->weight = from->weight;
    if (why)
        return unusable_backend(draft, from, ns, why, kind, ret);
    if (route_filters(from->filters, from->filter_count, false, draft->arena, &ret->filters) < 0)
        return -ENOMEM;
    if (refers_to(from, "EgressNetwork", false)) {
        ret->backend = draft->default_backend;
        return 0;
    }
    ret->backend = backend_of_service(draft, ns, from->ref.name, from->port, kind == ROUTE_HTTP || kind == ROUTE_GRPC);
    return ret->backend.balancer.path.ptr ? 0 : -ENOMEM;
}

static int distribution(struct outbound_draft *draft, const struct kube_object *route, const struct kube_backend_ref *from, size_t count,
                        enum route_kind kind, struct distribution *ret)
{
    if (!count)
        return first_available(draft, draft->default_backend, ret);
    *ret = (struct distribution){DISTRIBUTION_RANDOM_AVAILABLE, ARENA_ARRAY(draft->arena, struct route_backend, count), count};
    if (!ret->backends)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        if (route_backend(draft, route, &from[i], kind, &ret->backends[i]) < 0)
            return -ENOMEM;
    return 0;
}

/* --- routes --- */

/* Of the route's annotations, the rule, and the Service's annotations, the first that says something. */
static void timeouts_of(struct outbound_draft *draft, const struct kube_object *route, int64_t rule_ns, struct route_timeouts *ret)
{
    traffic_timeouts(&route->annotations, ret);
    if (!ret->request_ns)
        ret->request_ns = rule_ns;
    if (!ret->request_ns && !ret->response_ns && !ret->idle_ns)
        *ret = draft->said.timeouts;
}

static int retry_of(struct outbound_draft *draft, const struct kube_object *route, bool grpc, struct retry_config **ret_retry)
{
    int r = traffic_retry(&route->annotations, grpc, draft->arena, ret_retry);

    if (r == 0 && !*ret_retry)
        *ret_retry = grpc ? draft->said.grpc_retry : draft->said.http_retry;
    return r;
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
    timeouts_of(draft, &route->meta, from->timeouts.request_ns, &ret->timeouts);
    ret->allow_l5d_headers = draft->controller->options.allow_l5d_headers;
    if (retry_of(draft, &route->meta, false, &ret->retry) < 0 ||
        route_http_matches(from, draft->arena, &ret->http_matches, &ret->match_count) < 0 ||
        route_filters(from->filters, from->filter_count, false, draft->arena, &ret->filters) < 0)
        return -ENOMEM;
    return distribution(draft, &route->meta, from->backends, from->backend_count, ROUTE_HTTP, &ret->backends);
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
    timeouts_of(draft, &route->meta, 0, &ret->timeouts);
    ret->allow_l5d_headers = draft->controller->options.allow_l5d_headers;
    if (retry_of(draft, &route->meta, true, &ret->retry) < 0 ||
        route_grpc_matches(from, draft->arena, &ret->grpc_matches, &ret->match_count) < 0 ||
        route_filters(from->filters, from->filter_count, false, draft->arena, &ret->filters) < 0)
        return -ENOMEM;
    return distribution(draft, &route->meta, from->backends, from->backend_count, ROUTE_GRPC, &ret->backends);
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
        r = distribution(draft, &from->meta, from->rules[i].backends, from->rules[i].backend_count,
                         from->meta.kind == KUBE_TLS_ROUTE ? ROUTE_TLS : ROUTE_TCP, &ret->rules[i].backends);
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

/* What stands for an egress network's default route in metrics, by what it does. */
static struct slice egress_name(struct outbound_draft *draft, enum route_kind kind)
{
    static const char *const names[] = {[ROUTE_HTTP] = "http", [ROUTE_GRPC] = "grpc", [ROUTE_TLS] = "tls", [ROUTE_TCP] = "tcp"};

    return arena_printf(draft->arena, "%s-egress-%s", names[kind], draft->egress->deny ? "deny" : "allow");
}

static int deny(struct outbound_draft *draft, enum route_kind kind, struct filters *filters)
{
    if (kind == ROUTE_TCP || kind == ROUTE_TLS)
        return close_filter(draft, filters, FILTER_TCP_FORBIDDEN);
    return failure_filter(draft, filters, kind, kind == ROUTE_GRPC ? 7 : 403, SLICE_LIT("the EgressNetwork denies this traffic"));
}

/* Matches everything; HTTP and gRPC have what annotations say. */
static int default_rule(struct outbound_draft *draft, enum route_kind kind, struct outbound_rule *rule)
{
    struct http_route_match *match = ARENA_NEW(draft->arena, struct http_route_match);

    if (!match)
        return -ENOMEM;
    if (kind == ROUTE_HTTP) {
        match->path = (struct path_match){PATH_PREFIX, SLICE_LIT("/"), NULL};
        rule->http_matches = match;
        rule->match_count = 1;
    }
    if (kind == ROUTE_GRPC) {
        rule->grpc_matches = ARENA_NEW(draft->arena, struct grpc_route_match);
        rule->match_count = 1;
        if (!rule->grpc_matches)
            return -ENOMEM;
    }
    if (kind == ROUTE_HTTP || kind == ROUTE_GRPC) {
        rule->timeouts = draft->said.timeouts;
        rule->retry = kind == ROUTE_GRPC ? draft->said.grpc_retry : draft->said.http_retry;
    }
    return first_available(draft, draft->default_backend, &rule->backends);
}

int routes_with_default(struct outbound_draft *draft, struct outbound_routes *routes, const char *name, enum route_kind kind)
{
    struct outbound_route *route;

    if (routes->count && draft->service)
        return 0;
    if (!routes->items)
        routes->items = ARENA_ARRAY(draft->arena, struct outbound_route, 1);
    if (!routes->items)
        return -ENOMEM;
    route = &routes->items[routes->count++];
    route->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = draft->egress ? egress_name(draft, kind) : slice_str(name)};
    route->rules = ARENA_NEW(draft->arena, struct outbound_rule);
    route->rule_count = 1;
    if (!route->metadata.name.ptr || !route->rules || default_rule(draft, kind, route->rules) < 0)
        return -ENOMEM;
    return draft->egress && draft->egress->deny ? deny(draft, kind, &route->rules->filters) : 0;
}
