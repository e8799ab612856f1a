#include "mesh/default_policy.h"

#include <errno.h>

static const struct {
    struct slice name;
    bool cluster; /* only from the cluster's networks */
    enum authz_authentication authentication;
} kinds[] = {
    [DEFAULT_ALL_UNAUTHENTICATED] = {{"all-unauthenticated", 19}, false, AUTHZ_UNAUTHENTICATED},
    [DEFAULT_ALL_AUTHENTICATED] = {{"all-authenticated", 17}, false, AUTHZ_TLS_AUTHENTICATED},
    [DEFAULT_CLUSTER_UNAUTHENTICATED] = {{"cluster-unauthenticated", 23}, true, AUTHZ_UNAUTHENTICATED},
    [DEFAULT_CLUSTER_AUTHENTICATED] = {{"cluster-authenticated", 21}, true, AUTHZ_TLS_AUTHENTICATED},
    [DEFAULT_AUDIT] = {{"audit", 5}, false, AUTHZ_UNAUTHENTICATED},
    [DEFAULT_DENY] = {{"deny", 4}, false, AUTHZ_TLS_AUTHENTICATED},
};

int default_policy_parse(struct slice name, enum default_policy *ret_kind)
{
    for (unsigned i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (slice_eq(name, kinds[i].name)) {
            *ret_kind = (enum default_policy)i;
            return 0;
        }
    return -EINVAL;
}

struct slice default_policy_name(enum default_policy kind)
{
    return kinds[kind].name;
}

enum default_policy default_policy_require_identity(enum default_policy kind)
{
    switch (kind) {
    case DEFAULT_ALL_UNAUTHENTICATED: return DEFAULT_ALL_AUTHENTICATED;
    case DEFAULT_CLUSTER_UNAUTHENTICATED: return DEFAULT_CLUSTER_AUTHENTICATED;
    case DEFAULT_ALL_AUTHENTICATED:
    case DEFAULT_CLUSTER_AUTHENTICATED:
    case DEFAULT_AUDIT:
    case DEFAULT_DENY: break;
    }
    return kind;
}

static int make_networks(enum default_policy kind, const struct cidr *networks, size_t count, struct arena *arena,
                         struct authorization *authorization)
{
    static const struct cidr all[2] = {{.ip = {.version = 4}}, {.ip = {.version = 6}}};

    if (!kinds[kind].cluster) {
        networks = all;
        count = 2;
    }
    authorization->networks = ARENA_ARRAY(arena, struct authz_network, count ? count : 1);
    if (!authorization->networks)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        authorization->networks[i].net = networks[i];
    authorization->network_count = count;
    return 0;
}

int default_policy_authorizations(enum default_policy kind, const struct cidr *networks, size_t network_count,
                                  struct arena *arena, struct authz_list *ret_list)
{
    struct authorization *authorization;

    if (kind == DEFAULT_DENY) {
        *ret_list = (struct authz_list){0};
        return 0;
    }
    authorization = ARENA_NEW(arena, struct authorization);
    if (!authorization || make_networks(kind, networks, network_count, arena, authorization) < 0)
        return -ENOMEM;
    authorization->authentication = kinds[kind].authentication;
    authorization->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = kinds[kind].name};
    if (kinds[kind].authentication == AUTHZ_TLS_AUTHENTICATED) { /* any identity: one empty suffix */
        authorization->suffixes = ARENA_NEW(arena, struct slice);
        if (!authorization->suffixes)
            return -ENOMEM;
        authorization->suffixes[0] = SLICE_LIT("");
        authorization->suffix_count = 1;
    }
    *ret_list = (struct authz_list){authorization, 1};
    return 0;
}

/* One route without hosts, one rule without matches. */
static int make_route(struct inbound_policy *policy)
{
    struct arena *arena = &policy->snapshot.arena;

    policy->routes = ARENA_NEW(arena, struct inbound_route);
    if (!policy->routes)
        return -ENOMEM;
    policy->route_count = 1;
    policy->routes[0].metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = SLICE_LIT("default")};
    policy->routes[0].rules = ARENA_NEW(arena, struct inbound_rule);
    policy->routes[0].rule_count = 1;
    return policy->routes[0].rules ? 0 : -ENOMEM;
}

struct inbound_policy *default_policy_new(enum default_policy kind, const struct cidr *networks,
                                          size_t network_count, int64_t detect_timeout_ns)
{
    struct inbound_policy *policy = inbound_policy_new();
    struct authz_list list;

    if (!policy)
        return NULL;
    if (default_policy_authorizations(kind, networks, network_count, &policy->snapshot.arena, &list) < 0 ||
        make_route(policy) < 0) {
        inbound_policy_unref(policy);
        return NULL;
    }
    policy->protocol = INBOUND_DETECT;
    policy->detect_timeout_ns = detect_timeout_ns;
    policy->authorizations = list.items;
    policy->authorization_count = list.count;
    policy->metadata = (struct metadata){.kind = METADATA_DEFAULT, .name = kinds[kind].name};
    return policy;
}
