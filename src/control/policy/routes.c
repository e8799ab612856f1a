/* Conversion of routes' parts from resources to the mesh's structs. */
#include <errno.h>

#include "control/policy/build.h"

int route_hosts(const struct kube_route_common *common, struct arena *arena, struct host_match **ret_hosts, size_t *ret_count)
{
    struct host_match *hosts = ARENA_ARRAY(arena, struct host_match, common->hostname_count);

    if (!hosts)
        return -ENOMEM;
    for (size_t i = 0; i < common->hostname_count; i++) {
        struct slice name = common->hostnames[i];
        bool suffix = slice_starts(name, SLICE_LIT("*."));

        hosts[i] = (struct host_match){suffix ? HOST_SUFFIX : HOST_EXACT, suffix ? slice_skip(name, 2) : name};
    }
    *ret_hosts = hosts;
    *ret_count = common->hostname_count;
    return 0;
}

static int named_matches(const struct kube_value_match *from, size_t count, struct arena *arena, struct named_match **ret)
{
    struct named_match *matches = ARENA_ARRAY(arena, struct named_match, count);

    if (!matches)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        matches[i] = (struct named_match){
            .name = from[i].name,
            .value = {from[i].type == KUBE_MATCH_REGEX ? VALUE_REGEX : VALUE_EXACT, from[i].value, NULL},
        };
    *ret = matches;
    return 0;
}

int route_http_matches(const struct kube_http_rule *rule, struct arena *arena, struct http_route_match **ret_matches,
                       size_t *ret_count)
{
    static const enum path_match_kind kinds[] = {
        [KUBE_MATCH_EXACT] = PATH_EXACT, [KUBE_MATCH_PREFIX] = PATH_PREFIX, [KUBE_MATCH_REGEX] = PATH_REGEX};
    struct http_route_match *matches = ARENA_ARRAY(arena, struct http_route_match, rule->match_count);

    if (!matches)
        return -ENOMEM;
    for (size_t i = 0; i < rule->match_count; i++) {
        const struct kube_http_match *from = &rule->matches[i];

        if (from->path)
            matches[i].path = (struct path_match){kinds[from->path->type], from->path->value, NULL};
        matches[i].method = from->method;
        matches[i].header_count = from->header_count;
        matches[i].query_count = from->query_param_count;
        if (named_matches(from->headers, from->header_count, arena, &matches[i].headers) < 0 ||
            named_matches(from->query_params, from->query_param_count, arena, &matches[i].queries) < 0)
            return -ENOMEM;
    }
    *ret_matches = matches;
    *ret_count = rule->match_count;
    return 0;
}

int route_grpc_matches(const struct kube_grpc_rule *rule, struct arena *arena, struct grpc_route_match **ret_matches,
                       size_t *ret_count)
{
    struct grpc_route_match *matches = ARENA_ARRAY(arena, struct grpc_route_match, rule->match_count);

    if (!matches)
        return -ENOMEM;
    for (size_t i = 0; i < rule->match_count; i++) {
        const struct kube_grpc_match *from = &rule->matches[i];

        if (from->method) {
            matches[i].service = from->method->service;
            matches[i].method = from->method->method;
        }
        matches[i].header_count = from->header_count;
        if (named_matches(from->headers, from->header_count, arena, &matches[i].headers) < 0)
            return -ENOMEM;
    }
    *ret_matches = matches;
    *ret_count = rule->match_count;
    return 0;
}

static int pairs(const struct kube_header *from, size_t count, struct arena *arena, struct header_pair **ret)
{
    struct header_pair *items = ARENA_ARRAY(arena, struct header_pair, count);

    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct header_pair){from[i].name, from[i].value};
    *ret = items;
    return 0;
}

static int modifier(const struct kube_header_modifier *from, struct arena *arena, struct header_modifier *ret)
{
    ret->add_count = from->add_count;
    ret->set_count = from->set_count;
    ret->remove_count = from->remove_count;
    ret->remove = from->remove;
    if (pairs(from->add, from->add_count, arena, &ret->add) < 0)
        return -ENOMEM;
    return pairs(from->set, from->set_count, arena, &ret->set);
}

static void redirect(const struct kube_redirect *from, struct redirect *ret)
{
    *ret = (struct redirect){.scheme = from->scheme, .host = from->hostname, .port = from->port,
                             .status = (uint16_t)from->status_code};
    if (!from->path)
        return;
    ret->path_kind = from->path->type == KUBE_REPLACE_FULL_PATH ? PATH_REPLACE_FULL : PATH_REPLACE_PREFIX;
    ret->path = from->path->type == KUBE_REPLACE_FULL_PATH ? from->path->full_path : from->path->prefix_match;
}

int route_filters(const struct kube_filter *filters, size_t count, bool inbound, struct arena *arena, struct filters *ret_filters)
{
    struct filter *items = ARENA_ARRAY(arena, struct filter, count);
    size_t used = 0;

    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++) {
        struct filter *item = &items[used++];

        switch (filters[i].type) {
        case KUBE_FILTER_REQUEST_HEADERS:
        case KUBE_FILTER_RESPONSE_HEADERS:
            item->kind = filters[i].type == KUBE_FILTER_REQUEST_HEADERS ? FILTER_REQUEST_HEADERS : FILTER_RESPONSE_HEADERS;
            if (modifier(filters[i].modifier, arena, &item->headers) < 0)
                return -ENOMEM;
            break;
        case KUBE_FILTER_REDIRECT:
            item->kind = FILTER_REDIRECT;
            redirect(filters[i].redirect, &item->redirect);
            break;
        default:
            item->kind = FILTER_HTTP_FAILURE;
            item->failure = (struct injected_failure){
                .code = 500,
                .message = arena_printf(arena, "filter %.*s is not supported", SLICE_ARGS(filters[i].type_name)),
                .numerator = 1,
                .denominator = 1,
            };
            break;
        }
        if (inbound && item->kind == FILTER_RESPONSE_HEADERS)
            used--; /* inbound proxies have no such filter in the API */
    }
    *ret_filters = (struct filters){items, used};
    return 0;
}

struct metadata route_metadata(const struct kube_object *route)
{
    return (struct metadata){
        .kind = METADATA_RESOURCE,
        .group = kube_kind_group(route->kind),
        .resource_kind = kube_kind_name(route->kind),
        .name = route->name,
        .namespace = route->namespace_,
    };
}

static bool group_eq(struct slice a, struct slice b)
{
    struct slice core = SLICE_LIT("core");

    return slice_eq(a, b) || ((!a.len || slice_eq(a, core)) && (!b.len || slice_eq(b, core)));
}

bool route_has_parent(const struct kube_object *route, struct slice group, struct slice kind, const struct kube_object *parent,
                      uint16_t port)
{
    const struct kube_route_common *common = kube_route_common(route);

    for (size_t i = 0; i < common->parent_count; i++) {
        const struct kube_parent_ref *ref = &common->parents[i];
        struct slice ns = ref->ref.namespace_.len ? ref->ref.namespace_ : route->namespace_;

        if (group_eq(ref->ref.group, group) && slice_eq(ref->ref.kind, kind) && slice_eq(ref->ref.name, parent->name) &&
            slice_eq(ns, parent->namespace_) && (!ref->port || !port || ref->port == port))
            return true;
    }
    return false;
}
