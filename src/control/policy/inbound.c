/* What may reach a port of a workload, and as which protocol. */
#include <errno.h>

#include "base/duration.h"
#include "control/policy/build.h"
#include "control/ports.h"

static const int64_t DETECT_NS = 10 * NS_PER_S;
static const struct slice DEFAULT_POLICY = {"config.linkerd.io/default-inbound-policy", 40};
static const struct slice REQUIRE_IDENTITY = {"config.linkerd.io/proxy-require-identity-inbound-ports", 54};

/* What a policy is made for. */
struct draft {
    const struct controller *controller;
    const struct kube_object *workload;
    uint16_t port;
    struct inbound_policy *policy;
    struct arena *arena;
};

/* --- probes: what the kubelet asks for is let in, unless there are routes --- */

struct paths {
    struct http_route_match *matches;
    size_t count, room;
};

static bool has_path(const struct paths *paths, struct slice path)
{
    for (size_t i = 0; i < paths->count; i++)
        if (slice_eq(paths->matches[i].path.text, path))
            return true;
    return false;
}

/* Names of ports are those of the container itself. */
static bool probe_port_is(const struct kube_container *container, const struct kube_port_ref *ref, uint16_t port)
{
    if (ref->number)
        return ref->number == port;
    for (size_t i = 0; ref->name.len && i < container->port_count; i++)
        if (container->ports[i].protocol == KUBE_TCP && slice_eq_nocase(container->ports[i].name, ref->name))
            return container->ports[i].port == port;
    return false;
}

static void add_probe(const struct draft *draft, const struct kube_container *container, const struct kube_probe *probe,
                      struct paths *paths)
{
    struct slice path;

    if (!probe || probe->type != KUBE_PROBE_HTTP || !probe_port_is(container, &probe->http_get->port, draft->port))
        return;
    path = probe->http_get->path.len ? probe->http_get->path : SLICE_LIT("/");
    path = slice_take(path, slice_find(path, '?'));
    if (paths->count < paths->room && !has_path(paths, path))
        paths->matches[paths->count++] = (struct http_route_match){.path = {PATH_EXACT, path, NULL}, .method = SLICE_LIT("GET")};
}

static void add_probes(const struct draft *draft, const struct kube_container *containers, size_t count, struct paths *paths)
{
    for (size_t i = 0; i < count; i++) {
        add_probe(draft, &containers[i], containers[i].liveness, paths);
        add_probe(draft, &containers[i], containers[i].readiness, paths);
        add_probe(draft, &containers[i], containers[i].startup, paths);
    }
}

static int probe_authorization(struct draft *draft, struct inbound_route *route)
{
    const struct controller_options *options = &draft->controller->options;
    struct authorization *authz = ARENA_NEW(draft->arena, struct authorization);

    if (!authz)
        return -ENOMEM;
    authz->networks = ARENA_ARRAY(draft->arena, struct authz_network, options->probe_network_count);
    if (!authz->networks)
        return -ENOMEM;
    for (size_t i = 0; i < options->probe_network_count; i++)
        authz->networks[i].net = options->probe_networks[i];
    authz->network_count = options->probe_network_count;
    authz->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = SLICE_LIT("probe")};
    route->authorizations = authz;
    route->authorization_count = 1;
    return 0;
}

/* Adds the route of probes behind the default one, where there are probes and networks that they come from. */
static int probe_route(struct draft *draft)
{
    const struct kube_pod *pod = draft->workload->kind == KUBE_POD ? kube_pod(draft->workload) : NULL;
    struct inbound_route *route = &draft->policy->routes[draft->policy->route_count];
    struct paths paths = {0};

    if (!pod || !draft->controller->options.probe_network_count)
        return 0;
    paths.room = 3 * (pod->spec.container_count + pod->spec.init_container_count);
    paths.matches = ARENA_ARRAY(draft->arena, struct http_route_match, paths.room);
    route->rules = ARENA_NEW(draft->arena, struct inbound_rule);
    if (!paths.matches || !route->rules)
        return -ENOMEM;
    add_probes(draft, pod->spec.containers, pod->spec.container_count, &paths);
    add_probes(draft, pod->spec.init_containers, pod->spec.init_container_count, &paths);
    if (!paths.count)
        return 0;
    route->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = SLICE_LIT("probe")};
    route->rule_count = 1;
    route->rules[0].http_matches = paths.matches;
    route->rules[0].match_count = paths.count;
    draft->policy->route_count++;
    return probe_authorization(draft, route);
}

/* --- routes --- */

/* One route that matches everything. */
static int default_route(struct draft *draft, bool grpc)
{
    struct inbound_rule *rule = ARENA_NEW(draft->arena, struct inbound_rule);
    struct inbound_route *routes = ARENA_ARRAY(draft->arena, struct inbound_route, 2);

    if (!rule || !routes)
        return -ENOMEM;
    if (grpc) {
        rule->grpc_matches = ARENA_NEW(draft->arena, struct grpc_route_match);
    } else {
        rule->http_matches = ARENA_NEW(draft->arena, struct http_route_match);
        if (rule->http_matches)
            rule->http_matches->path = (struct path_match){PATH_PREFIX, SLICE_LIT("/"), NULL};
    }
    if (!rule->grpc_matches && !rule->http_matches)
        return -ENOMEM;
    rule->match_count = 1;
    routes[0] = (struct inbound_route){.metadata = {.kind = METADATA_DEFAULT, .name = SLICE_LIT("default")}, .rules = rule, .rule_count = 1};
    draft->policy->routes = routes;
    draft->policy->route_count = 1;
    return grpc ? 0 : probe_route(draft);
}

/* Only Servers of the route's own namespace, as a whole. */
static bool is_attached(const struct kube_object *route, const struct kube_server *server)
{
    const struct kube_route_common *common = kube_route_common(route);

    if (!slice_eq(route->namespace_, server->meta.namespace_))
        return false;
    for (size_t i = 0; i < common->parent_count; i++) {
        const struct kube_parent_ref *parent = &common->parents[i];

        if (ref_is_to(&parent->ref, KUBE_SERVER) && slice_eq(parent->ref.name, server->meta.name) && !parent->port &&
            !parent->section_name.len && (!parent->ref.namespace_.len || slice_eq(parent->ref.namespace_, route->namespace_)))
            return true;
    }
    return false;
}

static int http_rules(struct draft *draft, const struct kube_http_route *from, struct inbound_route *ret)
{
    ret->rule_count = from->rule_count;
    ret->rules = ARENA_ARRAY(draft->arena, struct inbound_rule, from->rule_count);
    if (!ret->rules)
        return -ENOMEM;
    for (size_t i = 0; i < from->rule_count; i++)
        if (route_http_matches(&from->rules[i], draft->arena, &ret->rules[i].http_matches, &ret->rules[i].match_count) < 0 ||
            route_filters(from->rules[i].filters, from->rules[i].filter_count, true, draft->arena, &ret->rules[i].filters) < 0)
            return -ENOMEM;
    return 0;
}

static int grpc_rules(struct draft *draft, const struct kube_grpc_route *from, struct inbound_route *ret)
{
    ret->rule_count = from->rule_count;
    ret->rules = ARENA_ARRAY(draft->arena, struct inbound_rule, from->rule_count);
    if (!ret->rules)
        return -ENOMEM;
    for (size_t i = 0; i < from->rule_count; i++)
        if (route_grpc_matches(&from->rules[i], draft->arena, &ret->rules[i].grpc_matches, &ret->rules[i].match_count) < 0 ||
            route_filters(from->rules[i].filters, from->rules[i].filter_count, true, draft->arena, &ret->rules[i].filters) < 0)
            return -ENOMEM;
    return 0;
}

static int convert(struct draft *draft, const struct kube_object *from, struct inbound_route *ret)
{
    struct authz_list authz;
    int r = route_hosts(kube_route_common(from), draft->arena, &ret->hosts, &ret->host_count);

    if (r == 0)
        r = from->kind == KUBE_GRPC_ROUTE ? grpc_rules(draft, kube_grpc_route(from), ret)
                                          : http_rules(draft, kube_http_route(from), ret);
    if (r == 0)
        r = authz_of_route(draft->controller, from, draft->arena, &authz);
    if (r < 0)
        return r;
    ret->metadata = route_metadata(from);
    ret->metadata.namespace = SLICE_NULL; /* the Server's, which proxies know */
    ret->authorizations = authz.items;
    ret->authorization_count = authz.count;
    return 0;
}

/* The routes attached to the Server, oldest first; the default route where there are none. */
static int server_routes(struct draft *draft, const struct kube_server *server, uint32_t kinds)
{
    struct kube_set set = store_by_name(draft->controller->store, STORE_ROUTES_OF_SERVER, server->meta.namespace_, server->meta.name);
    struct inbound_policy *policy = draft->policy;

    policy->routes = ARENA_ARRAY(draft->arena, struct inbound_route, set.count);
    if (!policy->routes)
        return -ENOMEM;
    for (size_t i = 0; i < set.count; i++)
        if ((kinds & STORE_KIND(set.items[i]->kind)) && is_attached(set.items[i], server) &&
            convert(draft, set.items[i], &policy->routes[policy->route_count++]) < 0)
            return -ENOMEM;
    return policy->route_count ? 0 : default_route(draft, kinds == STORE_KIND(KUBE_GRPC_ROUTE));
}

/* --- rate limits --- */

static int override(struct draft *draft, const struct kube_rate_limit_policy *from, const struct kube_rate_limit_override *each,
                    struct rate_override *ret)
{
    ret->requests_per_second = each->requests_per_second;
    ret->identities = ARENA_ARRAY(draft->arena, struct slice, each->client_count);
    if (!ret->identities)
        return -ENOMEM;
    for (size_t i = 0; i < each->client_count; i++) {
        if (!ref_is_to(&each->clients[i], KUBE_SERVICE_ACCOUNT))
            continue;
        ret->identities[ret->identity_count] =
            identity_of_account(draft->controller, &each->clients[i], from->meta.namespace_, draft->arena);
        if (!ret->identities[ret->identity_count++].ptr)
            return -ENOMEM;
    }
    return 0;
}

static int rate_limit(struct draft *draft, const struct kube_rate_limit_policy *from)
{
    struct local_rate_limit *limit = ARENA_NEW(draft->arena, struct local_rate_limit);

    if (!limit)
        return -ENOMEM;
    limit->metadata = (struct metadata){.kind = METADATA_RESOURCE, .group = SLICE_LIT("policy.linkerd.io"),
                                        .resource_kind = SLICE_LIT("HTTPLocalRateLimitPolicy"), .name = from->meta.name};
    limit->has_total = from->total;
    limit->total = from->total ? from->total->requests_per_second : 0;
    limit->has_identity = from->identity;
    limit->identity = from->identity ? from->identity->requests_per_second : 0;
    limit->override_count = from->override_count;
    limit->overrides = ARENA_ARRAY(draft->arena, struct rate_override, from->override_count);
    if (!limit->overrides)
        return -ENOMEM;
    for (size_t i = 0; i < from->override_count; i++)
        if (override(draft, from, &from->overrides[i], &limit->overrides[i]) < 0)
            return -ENOMEM;
    draft->policy->rate_limit = limit;
    return 0;
}

/* The oldest that targets the Server. */
static int server_rate_limit(struct draft *draft, const struct kube_server *server)
{
    struct kube_set set = store_by_name(draft->controller->store, STORE_POLICIES_OF_SERVER, server->meta.namespace_, server->meta.name);

    for (size_t i = 0; i < set.count; i++)
        if (set.items[i]->kind == KUBE_RATE_LIMIT_POLICY && ref_is_to(&kube_rate_limit_policy(set.items[i])->target, KUBE_SERVER))
            return rate_limit(draft, kube_rate_limit_policy(set.items[i]));
    return 0;
}

/* --- the policy --- */

static int from_server(struct draft *draft, const struct kube_server *server)
{
    static const enum inbound_protocol protocols[] = {
        [KUBE_PROXY_UNKNOWN] = INBOUND_DETECT, [KUBE_PROXY_HTTP1] = INBOUND_HTTP1,   [KUBE_PROXY_HTTP2] = INBOUND_HTTP2,
        [KUBE_PROXY_GRPC] = INBOUND_GRPC,      [KUBE_PROXY_OPAQUE] = INBOUND_OPAQUE, [KUBE_PROXY_TLS] = INBOUND_TLS,
    };
    struct inbound_policy *policy = draft->policy;
    struct authz_list authz;
    int r = authz_of_server(draft->controller, server, draft->arena, &authz);

    if (r < 0)
        return r;
    policy->protocol = protocols[server->proxy_protocol];
    policy->detect_timeout_ns = DETECT_NS;
    policy->authorizations = authz.items;
    policy->authorization_count = authz.count;
    policy->metadata = (struct metadata){.kind = METADATA_RESOURCE, .group = SLICE_LIT("policy.linkerd.io"),
                                         .resource_kind = SLICE_LIT("server"), .name = server->meta.name};
    if (policy->protocol == INBOUND_OPAQUE || policy->protocol == INBOUND_TLS)
        return 0;
    r = server_rate_limit(draft, server);
    if (r < 0)
        return r;
    return server_routes(draft, server, policy->protocol == INBOUND_GRPC ? STORE_KIND(KUBE_GRPC_ROUTE)
                                                                        : STORE_KIND(KUBE_HTTP_ROUTE) | STORE_KIND(KUBE_POLICY_HTTP_ROUTE));
}

/* The pod's annotation, else its namespace's, else the controller's default; what cannot be read is as if not there. */
static enum kube_access_policy default_access(const struct draft *draft)
{
    struct slice text = ports_annotation(draft->controller, draft->workload, DEFAULT_POLICY);
    enum kube_access_policy access;

    if (text.ptr && kube_access_policy_parse(text, &access) == 0)
        return access;
    return (enum kube_access_policy)draft->controller->options.default_policy;
}

static int from_default(struct draft *draft)
{
    struct inbound_policy *policy = draft->policy;
    struct slice strict = ports_annotation(draft->controller, draft->workload, REQUIRE_IDENTITY);
    bool require = strict.ptr && ports_workload_text_has(draft->workload, strict, draft->port);
    enum kube_access_policy access = default_access(draft);
    enum default_policy kind = DEFAULT_DENY;
    struct authz_list authz;
    int r = authz_of_access(draft->controller, access, require, draft->arena, &authz);

    if (r < 0)
        return r;
    (void)default_policy_parse(kube_access_policy_name(access), &kind);
    policy->metadata = (struct metadata){.kind = METADATA_DEFAULT,
                                         .name = default_policy_name(require ? default_policy_require_identity(kind) : kind)};
    policy->authorizations = authz.items;
    policy->authorization_count = authz.count;
    policy->detect_timeout_ns = DETECT_NS;
    if (ports_workload_is_opaque(draft->controller, draft->workload, draft->port)) {
        policy->protocol = INBOUND_OPAQUE;
        return 0;
    }
    policy->protocol = INBOUND_DETECT;
    return default_route(draft, false);
}

int inbound_build(const struct controller *controller, const struct kube_object *workload, uint16_t port,
                  struct inbound_policy **ret_policy)
{
    const struct kube_server *server = ports_server(controller, workload, port, NULL);
    struct draft draft = {controller, workload, port, inbound_policy_new(), NULL};
    int r;

    if (!draft.policy)
        return -ENOMEM;
    draft.arena = &draft.policy->snapshot.arena;
    r = server ? from_server(&draft, server) : from_default(&draft);
    if (r < 0) {
        inbound_policy_unref(draft.policy);
        return r;
    }
    *ret_policy = draft.policy;
    return 0;
}
