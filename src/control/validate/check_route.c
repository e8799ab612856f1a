/* Routes: HTTPRoute of both groups, GRPCRoute, TLSRoute, TCPRoute. */
#include "control/validate/checks.h"

#include "base/duration.h"
#include "codec/authority.h"
#include "codec/http1/http1_syntax.h"

/* ---- parents ---- */

struct parents {
    bool outbound; /* a Service or an EgressNetwork */
    bool inbound;  /* a Server */
};

static bool is_service(const struct kube_ref *ref)
{
    return slice_eq(ref->kind, SLICE_LIT("Service")) && (!ref->group.len || slice_eq(ref->group, SLICE_LIT("core")));
}

static struct parents check_parents(struct checking *checking)
{
    const struct kube_route_common *common = kube_route_common(checking->object);
    struct path list = PATH_OF(&validate_spec, "parentRefs");
    struct parents parents = {false, false};

    if (!common->parent_count)
        warn(checking, &list, NULL, "no parent, so the route is used by nobody; name a Service, Server or EgressNetwork");
    for (size_t i = 0; i < common->parent_count; i++) {
        const struct kube_parent_ref *parent = &common->parents[i];
        bool is_egress = check_ref_is_to(&parent->ref, KUBE_EGRESS_NETWORK);
        struct path at = PATH_AT(&list, i);

        if (is_egress && !parent->port)
            refuse(checking, &at, "port", "missing; an EgressNetwork is a parent for one port, e.g. port: 443");
        parents.outbound |= is_egress || is_service(&parent->ref);
        parents.inbound |= check_ref_is_to(&parent->ref, KUBE_SERVER);
    }
    return parents;
}

/* ---- headers ---- */

static void check_field_name(struct checking *checking, const struct path *path, const char *name, struct slice text)
{
    if (!http1_is_token(text))
        refuse(checking, path, name, "\"%.*s\" is no name of a header; expected letters, digits and dashes, e.g. \"x-version\"", SHORT(text));
}

static void check_field_value(struct checking *checking, const struct path *path, struct slice text)
{
    if (!http1_is_value(text))
        refuse(checking, path, "value", "no value of a header: control characters cannot be in it");
}

static void check_headers(struct checking *checking, const struct path *list, const struct kube_header *headers, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        struct path at = PATH_AT(list, i);

        check_field_name(checking, &at, "name", headers[i].name);
        check_field_value(checking, &at, headers[i].value);
    }
}

static void check_modifier(struct checking *checking, const struct path *path, const struct kube_header_modifier *modifier)
{
    struct path set = PATH_OF(path, "set"), add = PATH_OF(path, "add"), remove = PATH_OF(path, "remove");

    check_headers(checking, &set, modifier->set, modifier->set_count);
    check_headers(checking, &add, modifier->add, modifier->add_count);
    for (size_t i = 0; i < modifier->remove_count; i++) {
        struct path at = PATH_AT(&remove, i);

        check_field_name(checking, &at, NULL, modifier->remove[i]);
    }
}

/* ---- filters ---- */

static void check_new_path(struct checking *checking, const struct path *path, const struct kube_path_modifier *modifier)
{
    bool full = modifier->type == KUBE_REPLACE_FULL_PATH;
    struct slice value = full ? modifier->full_path : modifier->prefix_match;

    if (!slice_starts(value, SLICE_LIT("/")))
        refuse(checking, path, full ? "replaceFullPath" : "replacePrefixMatch", "expected a path that begins with /, found \"%.*s\"", SHORT(value));
}

static void check_redirect(struct checking *checking, const struct path *path, const struct kube_redirect *redirect)
{
    struct path new_path = PATH_OF(path, "path");
    struct authority authority;

    if (redirect->scheme.len && !slice_eq(redirect->scheme, SLICE_LIT("http")) && !slice_eq(redirect->scheme, SLICE_LIT("https")))
        refuse(checking, path, "scheme", "expected http or https, found \"%.*s\"", SHORT(redirect->scheme));
    if (redirect->hostname.len && (authority_parse(redirect->hostname, &authority) < 0 || authority.has_port))
        refuse(checking, path, "hostname", "expected a name like \"www.example.com\", found \"%.*s\"", SHORT(redirect->hostname));
    if (redirect->path)
        check_new_path(checking, &new_path, redirect->path);
}

static void check_filters(struct checking *checking, const struct path *list, const struct kube_filter *filters, size_t count,
                          struct parents parents)
{
    for (size_t i = 0; i < count; i++) {
        struct path at = PATH_AT(list, i);
        struct path request = PATH_OF(&at, "requestHeaderModifier"), response = PATH_OF(&at, "responseHeaderModifier");
        struct path redirect = PATH_OF(&at, "requestRedirect");

        if (filters[i].type == KUBE_FILTER_REDIRECT)
            check_redirect(checking, &redirect, filters[i].redirect);
        else if (filters[i].type == KUBE_FILTER_REQUEST_HEADERS)
            check_modifier(checking, &request, filters[i].modifier);
        else if (filters[i].type == KUBE_FILTER_RESPONSE_HEADERS) {
            check_modifier(checking, &response, filters[i].modifier);
            if (parents.inbound)
                warn(checking, &at, "type", "a Server does not change responses; the filter has an effect with a Service as parent only");
        }
    }
}

/* ---- matches ---- */

static void check_values(struct checking *checking, const struct path *list, const struct kube_value_match *matches, size_t count, bool headers)
{
    for (size_t i = 0; i < count; i++) {
        struct path at = PATH_AT(list, i);

        if (headers)
            check_field_name(checking, &at, "name", matches[i].name);
        if (matches[i].type == KUBE_MATCH_REGEX)
            check_pattern(checking, &at, "value", matches[i].value, false);
        else if (headers)
            check_field_value(checking, &at, matches[i].value);
    }
}

static void check_http_matches(struct checking *checking, const struct path *list, const struct kube_http_rule *rule)
{
    for (size_t i = 0; i < rule->match_count; i++) {
        const struct kube_http_match *match = &rule->matches[i];
        struct path at = PATH_AT(list, i), path = PATH_OF(&at, "path");
        struct path headers = PATH_OF(&at, "headers"), queries = PATH_OF(&at, "queryParams");

        if (match->path && match->path->type == KUBE_MATCH_REGEX)
            check_pattern(checking, &path, "value", match->path->value, false);
        if (match->method.len && !http1_is_token(match->method))
            refuse(checking, &at, "method", "expected a method like GET, found \"%.*s\"", SHORT(match->method));
        check_values(checking, &headers, match->headers, match->header_count, true);
        check_values(checking, &queries, match->query_params, match->query_param_count, false);
    }
}

static void check_grpc_matches(struct checking *checking, const struct path *list, const struct kube_grpc_rule *rule)
{
    for (size_t i = 0; i < rule->match_count; i++) {
        const struct kube_grpc_match *match = &rule->matches[i];
        struct path at = PATH_AT(list, i), method = PATH_OF(&at, "method"), headers = PATH_OF(&at, "headers");

        if (match->method && match->method->type == KUBE_MATCH_REGEX)
            warn(checking, &method, "type", "patterns of gRPC methods are not supported; service and method are compared as they are written");
        check_values(checking, &headers, match->headers, match->header_count, true);
    }
}

/* ---- rules ---- */

static void check_backends(struct checking *checking, const struct path *rule, const struct kube_backend_ref *backends, size_t count,
                           struct parents parents)
{
    bool gateway = checking->object->kind == KUBE_HTTP_ROUTE;
    struct path list = PATH_OF(rule, "backendRefs");

    for (size_t i = 0; i < count; i++) {
        struct path at = PATH_AT(&list, i), filters = PATH_OF(&at, "filters");

        if (is_service(&backends[i].ref) && !backends[i].port)
            decoder_complain(&checking->decoder, gateway ? REPORT_ERROR : REPORT_WARNING, &at, "port", 0, 0,
                             "missing; requests to a Service without a port fail");
        check_filters(checking, &filters, backends[i].filters, backends[i].filter_count, parents);
    }
    if (count && parents.inbound && !parents.outbound)
        warn(checking, &list, NULL, "a Server sends to its own port; backends have no effect");
}

static void check_timeouts(struct checking *checking, const struct path *rule, const struct kube_timeouts *timeouts, struct parents parents)
{
    struct path path = PATH_OF(rule, "timeouts");
    char backend[DURATION_TEXT_MAX], request[DURATION_TEXT_MAX];

    if (timeouts->request_ns && timeouts->backend_request_ns > timeouts->request_ns)
        refuse(checking, &path, "backendRequest", "%s is above request (%s); expected at most that",
               duration_format(timeouts->backend_request_ns, backend), duration_format(timeouts->request_ns, request));
    if ((timeouts->request_ns || timeouts->backend_request_ns) && parents.inbound && !parents.outbound)
        warn(checking, &path, NULL, "a Server has no time limits; they have an effect with a Service as parent only");
}

/* What the Gateway API has and nobody here uses. */
static void check_unused(struct checking *checking)
{
    const struct yaml_node *rules = yaml_get_lit(checking->spec, "rules");
    const struct yaml_item *item = rules ? rules->items : NULL;
    struct path list = PATH_OF(&validate_spec, "rules");

    for (size_t i = 0; item; item = item->next, i++) {
        struct path at = PATH_AT(&list, i);

        if (yaml_get_lit(item->value, "retry"))
            warn(checking, &at, "retry", "not supported, it has no effect; the annotations retry.linkerd.io/... have");
        if (yaml_get_lit(item->value, "sessionPersistence"))
            warn(checking, &at, "sessionPersistence", "not supported, it has no effect");
    }
}

void check_http_route(struct checking *checking)
{
    const struct kube_http_route *route = kube_http_route(checking->object);
    struct parents parents = check_parents(checking);
    struct path rules = PATH_OF(&validate_spec, "rules");

    if (parents.outbound)
        check_annotations(checking, ANNOTATIONS_OF_HTTP_ROUTE, true);
    for (size_t i = 0; i < route->rule_count; i++) {
        struct path at = PATH_AT(&rules, i), matches = PATH_OF(&at, "matches"), filters = PATH_OF(&at, "filters");
        const struct kube_http_rule *rule = &route->rules[i];

        check_http_matches(checking, &matches, rule);
        check_filters(checking, &filters, rule->filters, rule->filter_count, parents);
        check_backends(checking, &at, rule->backends, rule->backend_count, parents);
        check_timeouts(checking, &at, &rule->timeouts, parents);
    }
    check_unused(checking);
}

void check_grpc_route(struct checking *checking)
{
    const struct kube_grpc_route *route = kube_grpc_route(checking->object);
    struct parents parents = check_parents(checking);
    struct path rules = PATH_OF(&validate_spec, "rules");

    if (parents.outbound)
        check_annotations(checking, ANNOTATIONS_OF_GRPC_ROUTE, true);
    for (size_t i = 0; i < route->rule_count; i++) {
        struct path at = PATH_AT(&rules, i), matches = PATH_OF(&at, "matches"), filters = PATH_OF(&at, "filters");
        const struct kube_grpc_rule *rule = &route->rules[i];

        check_grpc_matches(checking, &matches, rule);
        check_filters(checking, &filters, rule->filters, rule->filter_count, parents);
        check_backends(checking, &at, rule->backends, rule->backend_count, parents);
    }
    check_unused(checking);
}

void check_tcp_route(struct checking *checking)
{
    const struct kube_tcp_route *route = kube_tcp_route(checking->object);
    struct parents parents = check_parents(checking);
    struct path rules = PATH_OF(&validate_spec, "rules");

    if (route->rule_count != 1)
        refuse(checking, &rules, NULL, "expected one rule, found %zu; a connection cannot be told apart any further", route->rule_count);
    for (size_t i = 0; i < route->rule_count; i++) {
        struct path at = PATH_AT(&rules, i);

        check_backends(checking, &at, route->rules[i].backends, route->rules[i].backend_count, parents);
    }
}
