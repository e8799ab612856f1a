/* ServiceProfile. */
#include "control/validate/checks.h"

#include "base/duration.h"
#include "codec/authority.h"

/* ---- names ---- */

/* "service.namespace.svc.domain"; the domain may be any where it is not known. */
static bool is_service_name(struct slice name, struct slice domain)
{
    struct slice rest = name, service, namespace_, svc;

    if (!slice_split(&rest, '.', &service) || !slice_split(&rest, '.', &namespace_) || !slice_split(&rest, '.', &svc))
        return false;
    return service.len && namespace_.len && slice_eq(svc, SLICE_LIT("svc")) && (domain.len ? slice_eq(rest, domain) : rest.len > 0);
}

static void check_name(struct checking *checking)
{
    struct path metadata = {NULL, {"metadata", 8}, 0};
    struct slice domain = checking->context->cluster_domain, name = checking->object->name;
    struct slice shown = domain.len ? domain : SLICE_LIT("cluster.local");

    if (!is_service_name(name, domain))
        refuse(checking, &metadata, "name",
               "\"%.*s\" is no name of a Service; expected SERVICE.NAMESPACE.svc.%s%.*s, e.g. \"web.default.svc.%.*s\"", SHORT(name),
               domain.len ? "" : "DOMAIN with the cluster's domain, which is mostly ", SHORT(shown), SHORT(shown));
}

/* ---- conditions ---- */

static void check_request(struct checking *checking, const struct path *path, const struct kube_request_match *match);

static void check_requests(struct checking *checking, const struct path *list, const struct kube_request_match *matches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct path at = PATH_AT(list, i);

        check_request(checking, &at, &matches[i]);
    }
}

static void check_request(struct checking *checking, const struct path *path, const struct kube_request_match *match)
{
    struct path all = PATH_OF(path, "all"), any = PATH_OF(path, "any"), not_ = PATH_OF(path, "not");

    if (!match->path_regex.len && !match->method.len && !match->all_count && !match->any_count && !match->not_)
        refuse(checking, path, NULL, "it says nothing; expected pathRegex, method, all, any or not, e.g. pathRegex: \"/users/[^/]*\"");
    if (match->path_regex.len)
        check_pattern(checking, path, "pathRegex", match->path_regex, true);
    check_requests(checking, &all, match->all, match->all_count);
    check_requests(checking, &any, match->any, match->any_count);
    if (match->not_)
        check_request(checking, &not_, match->not_);
}

static void check_response(struct checking *checking, const struct path *path, const struct kube_response_match *match);

static void check_responses(struct checking *checking, const struct path *list, const struct kube_response_match *matches, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct path at = PATH_AT(list, i);

        check_response(checking, &at, &matches[i]);
    }
}

static void check_response(struct checking *checking, const struct path *path, const struct kube_response_match *match)
{
    struct path all = PATH_OF(path, "all"), any = PATH_OF(path, "any"), not_ = PATH_OF(path, "not");

    if (!match->status && !match->all_count && !match->any_count && !match->not_)
        refuse(checking, path, NULL, "it says nothing; expected status, all, any or not, e.g. status: {min: 500, max: 599}");
    if (match->status && !match->status->min && !match->status->max)
        warn(checking, path, "status", "neither min nor max: it holds for no response");
    check_responses(checking, &all, match->all, match->all_count);
    check_responses(checking, &any, match->any, match->any_count);
    if (match->not_)
        check_response(checking, &not_, match->not_);
}

/* ---- the rest ---- */

static void check_route(struct checking *checking, const struct path *path, const struct kube_profile_route *route)
{
    struct path condition = PATH_OF(path, "condition"), classes = PATH_OF(path, "responseClasses");

    if (!route->name.len)
        refuse(checking, path, "name", "empty; expected a name for metrics, e.g. \"GET /users\"");
    if (route->condition)
        check_request(checking, &condition, route->condition);
    for (size_t i = 0; i < route->response_class_count; i++) {
        struct path class = PATH_AT(&classes, i), of_class = PATH_OF(&class, "condition");

        if (route->response_classes[i].condition)
            check_response(checking, &of_class, route->response_classes[i].condition);
    }
}

static void check_budget(struct checking *checking, const struct kube_retry_budget *budget)
{
    struct path path = PATH_OF(&validate_spec, "retryBudget");

    if (budget->ttl_ns < NS_PER_S || budget->ttl_ns > 60 * NS_PER_S)
        warn(checking, &path, "ttl", "proxies use no budget whose ttl is not between 1s and 60s; write e.g. 10s");
}

static void check_override(struct checking *checking, const struct path *path, struct slice text)
{
    struct slice name = text;
    struct authority authority;

    if (name.len && name.ptr[name.len - 1] == '.')
        name.len--;
    if (authority_parse(name, &authority) < 0)
        refuse(checking, path, "authority", "\"%.*s\" is no host and port; expected e.g. \"web-v2.default.svc.cluster.local:8080\"", SHORT(text));
    else if (!is_service_name(authority.host, checking->context->cluster_domain))
        warn(checking, path, "authority", "\"%.*s\" is no Service of the cluster; what is sent there fails", SHORT(text));
}

static void check_overrides(struct checking *checking, const struct kube_service_profile *profile)
{
    struct path list = PATH_OF(&validate_spec, "dstOverrides");
    bool weighted = false;

    for (size_t i = 0; i < profile->dst_override_count; i++) {
        struct path at = PATH_AT(&list, i);

        check_override(checking, &at, profile->dst_overrides[i].authority);
        weighted |= profile->dst_overrides[i].weight_milli > 0;
    }
    if (profile->dst_override_count && !weighted)
        warn(checking, &list, NULL, "all weights are 0: nothing is sent to any of them");
}

void check_service_profile(struct checking *checking)
{
    const struct kube_service_profile *profile = kube_service_profile(checking->object);
    struct path routes = PATH_OF(&validate_spec, "routes");

    check_name(checking);
    for (size_t i = 0; i < profile->route_count; i++) {
        struct path at = PATH_AT(&routes, i);

        check_route(checking, &at, &profile->routes[i]);
    }
    if (profile->retry_budget)
        check_budget(checking, profile->retry_budget);
    check_overrides(checking, profile);
}
