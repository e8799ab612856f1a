#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "proxy/outbound/outbound.h"

static void lookup_release(void *lookup)
{
    lookup_put(lookup);
}

static void endpoint_release(void *endpoint)
{
    endpoint_unref(endpoint);
}

static int balanced(struct outbound_view *view, struct slice path, struct backend_view *backend)
{
    int r = lookup_get(&view->worker->endpoints, path, &backend->endpoints);

    if (r < 0)
        return r;
    if (arena_on_release(&view->arena, lookup_release, backend->endpoints) < 0) {
        lookup_put(backend->endpoints);
        return -ENOMEM;
    }
    return 0;
}

struct single_endpoint {
    struct single_endpoint *next;
    struct endpoint *endpoint;
};

static struct endpoint *find_single(const struct outbound_view *view, const struct endpoint_info *info)
{
    for (struct single_endpoint *single = view->singles; single; single = single->next)
        if (endpoint_info_eq(single->endpoint->info, info))
            return single->endpoint;
    return NULL;
}

static struct endpoint *new_single(struct outbound_view *view, const struct endpoint_info *info)
{
    struct single_endpoint *single = ARENA_NEW(&view->arena, struct single_endpoint);

    if (!single)
        return NULL;
    single->endpoint = endpoint_new(&view->discovery->snapshot, info, ENDPOINT_DEFAULT_RTT_NS, view->worker->loop->now_ns);
    if (!single->endpoint)
        return NULL;
    if (arena_on_release(&view->arena, endpoint_release, single->endpoint) < 0) {
        endpoint_unref(single->endpoint);
        return NULL;
    }
    single->next = view->singles;
    view->singles = single;
    return single->endpoint;
}

/* The HTTP and the opaque route to one address share its load, its health and its pool. */
static int single(struct outbound_view *view, const struct endpoint_info *info, struct backend_view *backend)
{
    backend->forward = find_single(view, info);
    if (!backend->forward)
        backend->forward = new_single(view, info);
    return backend->forward ? 0 : -ENOMEM;
}

static int backend_init(struct outbound_view *view, const struct route_backend *from, struct backend_view *ret)
{
    *ret = (struct backend_view){.backend = &from->backend, .filters = &from->filters, .weight = from->weight};
    switch (from->backend.kind) {
    case BACKEND_FORWARD:
        return single(view, from->backend.forward, ret);
    case BACKEND_BALANCER:
        return balanced(view, from->backend.balancer.path, ret);
    case BACKEND_INVALID:
        break;
    }
    return 0;
}

static int rule_init(struct outbound_view *view, const struct distribution *from, struct rule_view *ret)
{
    ret->kind = from->kind;
    ret->count = from->count;
    ret->backends = ARENA_ARRAY(&view->arena, struct backend_view, from->count);
    if (!ret->backends)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++) {
        int r = backend_init(view, &from->backends[i], &ret->backends[i]);

        if (r < 0)
            return r;
    }
    return 0;
}

static int routes_init(struct outbound_view *view, const struct outbound_routes *from, struct routes_view *ret)
{
    size_t rules = 0, at = 0;

    for (size_t i = 0; i < from->count; i++)
        rules += from->items[i].rule_count;
    ret->routes = from;
    ret->first_rule = ARENA_ARRAY(&view->arena, size_t, from->count);
    ret->rules = ARENA_ARRAY(&view->arena, struct rule_view, rules);
    if (!ret->first_rule || !ret->rules)
        return -ENOMEM;
    for (size_t i = 0; i < from->count; i++) {
        ret->first_rule[i] = at;
        for (size_t j = 0; j < from->items[i].rule_count; j++) {
            int r = rule_init(view, &from->items[i].rules[j].backends, &ret->rules[at++]);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

const struct rule_view *routes_view_rule(const struct routes_view *routes, const struct outbound_route *route,
                                         const struct outbound_rule *rule)
{
    return &routes->rules[routes->first_rule[route - routes->routes->items] + (size_t)(rule - route->rules)];
}

/* A profile's destinations: its overrides by weight, or the service itself. */
static int profile_init(struct outbound_view *view, const struct profile *profile, struct slice target)
{
    struct rule_view *rule = &view->profile;
    size_t colon = target.len;
    struct slice own;

    while (colon > 0 && target.ptr[colon - 1] != ':')
        colon--;
    own = arena_printf(&view->arena, "%.*s:%.*s", SLICE_ARGS(profile->fully_qualified_name),
                       SLICE_ARGS(slice_skip(target, colon)));
    rule->kind = DISTRIBUTION_RANDOM_AVAILABLE;
    rule->count = profile->override_count ? profile->override_count : 1;
    rule->backends = ARENA_ARRAY(&view->arena, struct backend_view, rule->count);
    if (!rule->backends || !own.ptr)
        return -ENOMEM;
    for (size_t i = 0; i < rule->count; i++) {
        const struct weighted_dst *dst = profile->override_count ? &profile->overrides[i] : NULL;
        int r;

        rule->backends[i].weight = dst ? dst->weight : 1;
        r = balanced(view, dst ? dst->authority : own, &rule->backends[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

/* A profile that says something about HTTP overrides the policy's routes. */
static bool says_something(const struct profile *profile)
{
    return profile && profile->fully_qualified_name.len && (profile->route_count || profile->override_count);
}

static int fill(struct outbound_view *view, struct slice target)
{
    const struct outbound_policy *policy = view->discovery->policy;
    const struct profile *profile = view->discovery->profile;
    int r = 0;

    if (!policy)
        return 0;
    if (says_something(profile)) {
        view->by_profile = true;
        r = profile_init(view, profile, target);
    }
    if (r == 0)
        r = routes_init(view, &policy->opaque, &view->opaque);
    if (r == 0)
        r = routes_init(view, &policy->http1, &view->http1);
    if (r == 0)
        r = routes_init(view, &policy->http2, &view->http2);
    if (r == 0)
        r = routes_init(view, &policy->grpc, &view->grpc);
    if (r == 0)
        r = routes_init(view, &policy->tls, &view->tls);
    return r;
}

static int view_new(struct worker *worker, struct discovery *discovery, struct slice target,
                    struct outbound_view **ret_view)
{
    struct outbound_view *view = calloc(1, sizeof(*view));
    int r;

    if (!view)
        return -ENOMEM;
    view->refs = 1;
    view->worker = worker;
    view->discovery = discovery_ref(discovery);
    arena_init(&view->arena, LIMIT_SNAPSHOT);
    r = fill(view, target);
    if (r < 0) {
        outbound_view_unref(view);
        return r;
    }
    *ret_view = view;
    return 0;
}

void outbound_view_unref(struct outbound_view *view)
{
    if (!view || --view->refs)
        return;
    arena_release(&view->arena); /* leases and endpoints go back with it */
    discovery_unref(view->discovery);
    free(view);
}

/* New connections and requests use the new view; those that run keep the old one until they end. */
void outbound_target_changed(struct lookup *lookup, void *old_snapshot)
{
    struct worker *worker = lookup->table->owner;
    struct outbound_view *view;

    if (view_new(worker, lookup->snapshot, lookup->watched->key, &view) < 0)
        return; /* without memory the old one stays */
    outbound_view_unref(lookup->view);
    lookup->view = view;
}

void outbound_target_forgotten(struct lookup *lookup)
{
    outbound_view_unref(lookup->view);
    lookup->view = NULL;
}

/* Endpoints that were withdrawn get no new connections; what runs on them may end. */
void outbound_endpoints_changed(struct lookup *lookup, void *old_snapshot)
{
    const struct endpoint_set *old = old_snapshot, *set = lookup->snapshot;

    for (size_t i = 0; old && i < old->count; i++)
        if (atomic_load_explicit(&old->slots[i].endpoint->withdrawn, memory_order_relaxed))
            pools_of_endpoint_removed(lookup->table->owner, old->slots[i].endpoint);
    if (!set || !set->count)
        return; /* that there are none is no news; new endpoints deserve a new try */
    (void)failfast_ready(&lookup->watched->gate, lookup->table->loop->now_ns);
    (void)failfast_ready(&lookup->watched->tcp_gate, lookup->table->loop->now_ns);
}
