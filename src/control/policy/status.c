#include "control/policy/status.h"

#include <errno.h>

#include "control/policy/internal.h"

static const struct status_condition accepted = {"Accepted", true, "Accepted", ""};
static const struct status_condition resolved = {"ResolvedRefs", true, "ResolvedRefs", ""};

static struct status_condition not_accepted(const char *reason, const char *message)
{
    return (struct status_condition){"Accepted", false, reason, message};
}

static struct status_condition not_resolved(const char *reason, const char *message)
{
    return (struct status_condition){"ResolvedRefs", false, reason, message};
}

static struct slice namespace_of(const struct kube_ref *ref, const struct kube_object *object)
{
    return ref->namespace_.len ? ref->namespace_ : object->namespace_;
}

/* --- egress networks --- */

static bool lies_in(struct cidr inner, struct cidr outer)
{
    return outer.prefix <= inner.prefix && cidr_contains(outer, inner.ip);
}

/* The smaller of two networks that meet is what they share. */
static bool reaches(const struct kube_network *network, struct cidr cluster)
{
    struct cidr shared = network->cidr.prefix > cluster.prefix ? network->cidr : cluster;

    if (!lies_in(network->cidr, cluster) && !lies_in(cluster, network->cidr))
        return false;
    for (size_t i = 0; i < network->except_count; i++)
        if (lies_in(shared, network->except[i]))
            return false;
    return true;
}

static struct status_condition judge_egress(const struct controller *controller, const struct kube_egress_network *egress)
{
    const struct controller_options *options = &controller->options;

    for (size_t i = 0; i < egress->network_count; i++)
        for (size_t j = 0; j < options->cluster_network_count; j++)
            if (reaches(&egress->networks[i], options->cluster_networks[j]))
                return not_accepted("EgressReasonNetworkOverlap", "its networks overlap with those of the cluster");
    return accepted;
}

/* --- parents --- */

static enum store_name_index index_of(enum kube_kind parent)
{
    return parent == KUBE_SERVICE ? STORE_ROUTES_OF_SERVICE : parent == KUBE_SERVER ? STORE_ROUTES_OF_SERVER : STORE_ROUTES_OF_EGRESS_NETWORK;
}

/* The kind of a parent that we know; KUBE_KIND_COUNT: another controller's. */
static enum kube_kind kind_of_parent(const struct kube_ref *ref)
{
    static const enum kube_kind kinds[] = {KUBE_SERVICE, KUBE_SERVER, KUBE_EGRESS_NETWORK};

    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
        if (ref_is_to(ref, kinds[i]))
            return kinds[i];
    return KUBE_KIND_COUNT;
}

/* The least is the most specific. */
static int specificity(enum kube_kind route)
{
    return route == KUBE_GRPC_ROUTE ? 0 : route == KUBE_TLS_ROUTE ? 2 : route == KUBE_TCP_ROUTE ? 3 : 1;
}

static bool has_parent(const struct kube_object *route, enum kube_kind kind, struct slice ns, const struct kube_parent_ref *parent)
{
    const struct kube_route_common *common = kube_route_common(route);

    for (size_t i = 0; i < common->parent_count; i++) {
        const struct kube_parent_ref *each = &common->parents[i];

        if (ref_is_to(&each->ref, kind) && slice_eq(each->ref.name, parent->ref.name) && slice_eq(namespace_of(&each->ref, route), ns) &&
            each->port == parent->port)
            return true;
    }
    return false;
}

static bool is_conflicted(const struct store *store, const struct kube_object *route, enum kube_kind kind, struct slice ns,
                          const struct kube_parent_ref *parent)
{
    struct kube_set routes = store_by_name(store, index_of(kind), ns, parent->ref.name);

    for (size_t i = 0; i < routes.count; i++)
        if (specificity(routes.items[i]->kind) < specificity(route->kind) && has_parent(routes.items[i], kind, ns, parent))
            return true;
    return false;
}

static struct status_condition judge_parent(const struct controller *controller, const struct kube_object *route, enum kube_kind kind, struct slice ns,
                                            const struct kube_parent_ref *parent)
{
    const struct kube_object *object = store_get(controller->store, kind, ns, parent->ref.name);

    if (!object)
        return not_accepted("NoMatchingParent", "");
    if (kind == KUBE_SERVICE && !kube_service(object)->cluster_ip_count)
        return not_accepted("NoMatchingParent", "a parent Service needs a cluster IP");
    if (kind == KUBE_EGRESS_NETWORK && !judge_egress(controller, kube_egress_network(object)).holds)
        return not_accepted("NoMatchingParent", "the EgressNetwork is not accepted");
    if (is_conflicted(controller->store, route, kind, ns, parent))
        return not_accepted("RouteReasonConflicted", "a route of a more specific kind has this parent");
    return accepted;
}

/* --- backends --- */

static size_t rule_count(const struct kube_object *route)
{
    switch (route->kind) {
    case KUBE_GRPC_ROUTE: return kube_grpc_route(route)->rule_count;
    case KUBE_TLS_ROUTE:
    case KUBE_TCP_ROUTE: return kube_tcp_route(route)->rule_count;
    default: return kube_http_route(route)->rule_count;
    }
}

static const struct kube_backend_ref *backends_of(const struct kube_object *route, size_t rule, size_t *ret_count)
{
    switch (route->kind) {
    case KUBE_GRPC_ROUTE: *ret_count = kube_grpc_route(route)->rules[rule].backend_count; return kube_grpc_route(route)->rules[rule].backends;
    case KUBE_TLS_ROUTE:
    case KUBE_TCP_ROUTE: *ret_count = kube_tcp_route(route)->rules[rule].backend_count; return kube_tcp_route(route)->rules[rule].backends;
    default: *ret_count = kube_http_route(route)->rules[rule].backend_count; return kube_http_route(route)->rules[rule].backends;
    }
}

static struct status_condition judge_backend(const struct store *store, const struct kube_object *route, enum kube_kind parent_kind,
                                             const struct kube_ref *parent, const struct kube_ref *backend)
{
    struct slice ns = namespace_of(backend, route);

    if (ref_is_to(backend, KUBE_SERVICE))
        return store_get(store, KUBE_SERVICE, ns, backend->name) ? resolved : not_resolved("BackendNotFound", "");
    if (!ref_is_to(backend, KUBE_EGRESS_NETWORK))
        return not_resolved("InvalidKind", "a backend must be a Service or the EgressNetwork that is the parent");
    if (parent_kind != KUBE_EGRESS_NETWORK || !slice_eq(backend->name, parent->name) || !slice_eq(ns, namespace_of(parent, route)))
        return not_resolved("InvalidKind", "an EgressNetwork is a backend only of routes that have it as parent");
    return store_get(store, KUBE_EGRESS_NETWORK, ns, backend->name) ? resolved : not_resolved("BackendNotFound", "");
}

/* The first that cannot be resolved decides. */
static struct status_condition judge_backends(const struct store *store, const struct kube_object *route, enum kube_kind parent_kind,
                                              const struct kube_ref *parent)
{
    for (size_t i = 0; i < rule_count(route); i++) {
        size_t count;
        const struct kube_backend_ref *backends = backends_of(route, i, &count);

        for (size_t j = 0; j < count; j++) {
            struct status_condition condition = judge_backend(store, route, parent_kind, parent, &backends[j].ref);

            if (!condition.holds)
                return condition;
        }
    }
    return resolved;
}

/* --- the whole --- */

static void decide_parent(const struct controller *controller, const struct kube_object *route, const struct kube_parent_ref *parent, enum kube_kind kind,
                          struct status_entry *ret_entry)
{
    struct slice ns = namespace_of(&parent->ref, route);

    *ret_entry = (struct status_entry){
        .group = kind == KUBE_SERVICE ? SLICE_LIT("core") : kube_kind_group(kind), .kind = kube_kind_name(kind), .namespace_ = ns, .name = parent->ref.name,
        .port = kind == KUBE_SERVER ? 0 : parent->port, .conditions = {judge_parent(controller, route, kind, ns, parent)}, .condition_count = 1};
    if (kind != KUBE_SERVER)
        ret_entry->conditions[ret_entry->condition_count++] = judge_backends(controller->store, route, kind, &parent->ref);
}

static size_t decide_route(const struct controller *controller, const struct kube_object *route, struct status_entry *entries)
{
    const struct kube_route_common *common = kube_route_common(route);
    size_t count = 0;

    for (size_t i = 0; i < common->parent_count; i++) {
        enum kube_kind kind = kind_of_parent(&common->parents[i].ref);

        if (kind != KUBE_KIND_COUNT)
            decide_parent(controller, route, &common->parents[i], kind, &entries[count++]);
    }
    return count;
}

static struct status_condition judge_limit(const struct store *store, const struct kube_rate_limit_policy *limit)
{
    struct slice ns = limit->meta.namespace_;
    struct kube_set policies = store_by_name(store, STORE_POLICIES_OF_SERVER, ns, limit->target.name);

    if (!store_get(store, KUBE_SERVER, ns, limit->target.name))
        return not_accepted("NoMatchingTarget", "");
    for (size_t i = 0; i < policies.count; i++) /* oldest first */
        if (policies.items[i]->kind == KUBE_RATE_LIMIT_POLICY)
            return policies.items[i] == &limit->meta ? accepted : not_accepted("RateLimitReasonAlreadyExists", "an older one has this Server");
    return accepted;
}

static size_t decide_limit(const struct store *store, const struct kube_rate_limit_policy *limit, struct status_entry *entry)
{
    if (!ref_is_to(&limit->target, KUBE_SERVER))
        return 0;
    *entry = (struct status_entry){.group = kube_kind_group(KUBE_SERVER), .kind = kube_kind_name(KUBE_SERVER), .name = limit->target.name,
                                   .conditions = {judge_limit(store, limit)}, .condition_count = 1};
    return 1;
}

int status_decide(const struct controller *controller, const struct kube_object *object, struct arena *arena, struct status_entry **ret_entries,
                  size_t *ret_count)
{
    const struct kube_route_common *common = kube_route_common(object);
    struct status_entry *entries = ARENA_ARRAY(arena, struct status_entry, common ? common->parent_count + 1 : 1);

    if (!entries)
        return -ENOMEM;
    *ret_entries = entries;
    if (common) {
        *ret_count = decide_route(controller, object, entries);
    } else if (object->kind == KUBE_RATE_LIMIT_POLICY) {
        *ret_count = decide_limit(controller->store, kube_rate_limit_policy(object), entries);
    } else {
        *entries = (struct status_entry){.conditions = {judge_egress(controller, kube_egress_network(object))}, .condition_count = 1};
        *ret_count = 1;
    }
    return 0;
}

/* --- what depends on what --- */

static void touch_all(struct kube_set set, void (*touch)(void *owner, const struct kube_object *object), void *owner)
{
    for (size_t i = 0; i < set.count; i++)
        if (status_is_ours(set.items[i]->kind))
            touch(owner, set.items[i]);
}

/* Another route of its parents may be in conflict with it, or not any more. */
static void touch_rivals(const struct store *store, const struct kube_object *route, void (*touch)(void *owner, const struct kube_object *object), void *owner)
{
    const struct kube_route_common *common = kube_route_common(route);

    for (size_t i = 0; i < common->parent_count; i++) {
        const struct kube_ref *ref = &common->parents[i].ref;
        enum kube_kind kind = kind_of_parent(ref);
        struct kube_set routes = {0};

        if (kind != KUBE_KIND_COUNT)
            routes = store_by_name(store, index_of(kind), namespace_of(ref, route), ref->name);
        for (size_t j = 0; j < routes.count; j++)
            if (specificity(routes.items[j]->kind) > specificity(route->kind))
                touch(owner, routes.items[j]);
    }
}

void status_touch(const struct store *store, const struct kube_object *changed, void (*touch)(void *owner, const struct kube_object *object),
                  void *owner)
{
    struct slice ns = changed->namespace_, name = changed->name;

    if (status_is_ours(changed->kind))
        touch(owner, changed);
    switch (changed->kind) {
    case KUBE_SERVICE:
        touch_all(store_by_name(store, STORE_ROUTES_OF_SERVICE, ns, name), touch, owner);
        touch_all(store_by_name(store, STORE_ROUTES_TO_SERVICE, ns, name), touch, owner);
        break;
    case KUBE_SERVER:
        touch_all(store_by_name(store, STORE_ROUTES_OF_SERVER, ns, name), touch, owner);
        touch_all(store_by_name(store, STORE_POLICIES_OF_SERVER, ns, name), touch, owner);
        break;
    case KUBE_EGRESS_NETWORK:
        touch_all(store_by_name(store, STORE_ROUTES_OF_EGRESS_NETWORK, ns, name), touch, owner);
        break;
    case KUBE_RATE_LIMIT_POLICY:
        touch_all(store_by_name(store, STORE_POLICIES_OF_SERVER, ns, kube_rate_limit_policy(changed)->target.name), touch, owner);
        break;
    default:
        if (kube_route_common(changed))
            touch_rivals(store, changed, touch, owner);
        break;
    }
}
