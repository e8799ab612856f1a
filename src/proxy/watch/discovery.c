#include "proxy/watch/discovery.h"

#include <errno.h>

static void drop_discovery(void *what)
{
    struct discovery *discovery = what;

    profile_unref(discovery->profile);
    outbound_policy_unref(discovery->policy);
}

int discovery_own(struct discovery *discovery)
{
    int r = arena_on_release(&discovery->snapshot.arena, drop_discovery, discovery);

    if (r < 0)
        drop_discovery(discovery);
    return r;
}

/* One route without conditions, one rule, one backend. */
static int one_route(struct arena *arena, struct endpoint_info *endpoint, struct slice name,
                     struct outbound_routes *ret_routes)
{
    struct outbound_route *route = ARENA_NEW(arena, struct outbound_route);
    struct outbound_rule *rule = ARENA_NEW(arena, struct outbound_rule);
    struct route_backend *backend = ARENA_NEW(arena, struct route_backend);

    if (!route || !rule || !backend)
        return -ENOMEM;
    route->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = name};
    route->rules = rule;
    route->rule_count = 1;
    rule->backends = (struct distribution){DISTRIBUTION_FIRST_AVAILABLE, backend, 1};
    backend->weight = 1;
    backend->backend.metadata = route->metadata;
    backend->backend.kind = BACKEND_FORWARD;
    backend->backend.forward = endpoint;
    *ret_routes = (struct outbound_routes){.items = route, .count = 1};
    return 0;
}

static void drop_profile(void *what)
{
    profile_unref(what);
}

/* The profile's endpoint, which the policy then keeps alive, or one made of nothing but an address. */
static int take_endpoint(struct arena *arena, struct profile *profile, struct addr addr, struct endpoint_info **ret_endpoint)
{
    struct endpoint_info *plain;

    if (profile && profile->endpoint) {
        if (arena_on_release(arena, drop_profile, profile) < 0)
            return -ENOMEM;
        profile_ref(profile);
        *ret_endpoint = profile->endpoint;
        return 0;
    }
    plain = ARENA_NEW(arena, struct endpoint_info);
    if (!plain)
        return -ENOMEM;
    plain->addr = addr;
    plain->weight = 1;
    *ret_endpoint = plain;
    return 0;
}

int forward_policy_new(struct profile *profile, struct addr addr, struct outbound_policy **ret_policy)
{
    struct outbound_policy *policy = outbound_policy_new();
    bool named = profile && profile->endpoint;
    struct slice label = named ? SLICE_LIT("endpoint") : SLICE_LIT("fallback");
    struct endpoint_info *own;
    struct arena *arena;
    int r;

    if (!policy)
        return -ENOMEM;
    arena = &policy->snapshot.arena;
    r = take_endpoint(arena, profile, addr, &own);
    if (r == 0) {
        policy->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = label};
        policy->protocol = OUTBOUND_DETECT;
        r = one_route(arena, own, label, &policy->http1);
        if (r == 0)
            r = one_route(arena, own, label, &policy->http2);
        if (r == 0)
            r = one_route(arena, own, label, &policy->opaque);
    }
    if (r < 0) {
        outbound_policy_unref(policy);
        return r;
    }
    *ret_policy = policy;
    return 0;
}
