/* Tables of the routes: HTTPRoute of both groups, GRPCRoute, TLSRoute, TCPRoute. */
#include "kube/kinds.h"
#include "kube/status.h"

#define GATEWAY_GROUP "gateway.networking.k8s.io"
#define POLICY_GROUP "policy.linkerd.io"

/* ---- parents and hostnames ---- */

static void check_parent(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_parent_ref *parent = at;

    if (slice_eq(parent->ref.kind, SLICE_LIT("Service")) && parent->ref.group.len &&
        !slice_eq(parent->ref.group, SLICE_LIT("core")))
        decoder_complain(d, REPORT_WARNING, path, "group", node->line, node->column,
                         "\"%.*s\" has no kind Service, so this parent is none; write group: core",
                         SLICE_ARGS(parent->ref.group));
}

#define PARENT_FIELDS(default_group)                                                                                   \
    {                                                                                                                  \
        FIELD("group", TEXT, kube_parent_ref, ref.group, .otherwise_text = (default_group)),                           \
            FIELD("kind", TEXT, kube_parent_ref, ref.kind, .otherwise_text = "Gateway"),                               \
            FIELD("name", TEXT, kube_parent_ref, ref.name, .required = true),                                          \
            FIELD("namespace", TEXT, kube_parent_ref, ref.namespace_), FIELD("port", PORT, kube_parent_ref, port),     \
            FIELD("sectionName", TEXT, kube_parent_ref, section_name),                                                 \
    }
static const struct field gateway_parent_fields[] = PARENT_FIELDS(GATEWAY_GROUP);
static const struct field policy_parent_fields[] = PARENT_FIELDS(POLICY_GROUP);
static const struct shape gateway_parent_shape = SHAPE(kube_parent_ref, gateway_parent_fields, .check = check_parent);
static const struct shape policy_parent_shape = SHAPE(kube_parent_ref, policy_parent_fields, .check = check_parent);

/* Names are compared without case: kept in lower case, once. "*." may begin them; then a suffix is meant. */
static bool is_hostname(struct slice name)
{
    if (slice_starts(name, SLICE_LIT("*.")))
        name = slice_skip(name, 2);
    if (!name.len || name.len > 253 || name.ptr[0] == '.' || name.ptr[name.len - 1] == '.')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || (name.ptr[i] >= '0' && name.ptr[i] <= '9') ||
              name.ptr[i] == '-' || (name.ptr[i] == '.' && name.ptr[i - 1] != '.')))
            return false;
    return true;
}

static void check_hostnames(struct decoder *d, const struct path *path, const struct yaml_node *node,
                            struct kube_route_common *common)
{
    struct path list = {path, SLICE_LIT("hostnames"), 0};

    for (size_t i = 0; i < common->hostname_count; i++) {
        struct slice name = common->hostnames[i];
        struct path here = {&list, SLICE_NULL, i};
        char *lower = decoder_alloc(d, name.len + 1, 1);

        if (!lower)
            return;
        for (size_t j = 0; j < name.len; j++)
            lower[j] = name.ptr[j] >= 'A' && name.ptr[j] <= 'Z' ? (char)(name.ptr[j] + 32) : name.ptr[j];
        common->hostnames[i] = slice_of(lower, name.len);
        if (!is_hostname(common->hostnames[i]))
            decoder_error(d, &here, NULL, node,
                          "expected a name like \"www.example.com\" or \"*.example.com\", found \"%.*s\"",
                          SLICE_ARGS(slice_take(name, 100)));
    }
}

/* ---- matches ---- */

static const char *const path_match_names[] = {"Exact", "PathPrefix", "RegularExpression", NULL};

static void check_path_match(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_path_match *match = at;

    if (match->type != KUBE_MATCH_REGEX && !slice_starts(match->value, SLICE_LIT("/")))
        decoder_error(d, path, "value", node, "expected a path that begins with /, found \"%.*s\"",
                      SLICE_ARGS(slice_take(match->value, 100)));
}
static const struct field path_match_fields[] = {
    FIELD("type", ENUM, kube_path_match, type, .names = path_match_names, .otherwise = KUBE_MATCH_PREFIX),
    FIELD("value", TEXT, kube_path_match, value, .otherwise_text = "/"),
};
static const struct shape path_match_shape = SHAPE(kube_path_match, path_match_fields, .check = check_path_match);

static void check_value_match(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_value_match *match = at;

    match->type = match->type ? KUBE_MATCH_REGEX : KUBE_MATCH_EXACT;
}
static const char *const exact_or_regex[] = {"Exact", "RegularExpression", NULL};
static const struct field value_match_fields[] = {
    FIELD("type", ENUM, kube_value_match, type, .names = exact_or_regex),
    FIELD("name", TEXT, kube_value_match, name, .required = true),
    FIELD("value", TEXT, kube_value_match, value, .required = true),
};
static const struct shape value_match_shape = SHAPE(kube_value_match, value_match_fields, .check = check_value_match);

static const struct field http_match_fields[] = {
    FIELD("path", POINTER, kube_http_match, path, .shape = &path_match_shape),
    FIELDS("headers", STRUCT, kube_http_match, headers, header_count, .shape = &value_match_shape),
    FIELDS("queryParams", STRUCT, kube_http_match, query_params, query_param_count, .shape = &value_match_shape),
    FIELD("method", TEXT, kube_http_match, method),
};
static const struct shape http_match_shape = SHAPE(kube_http_match, http_match_fields);

static void check_grpc_method(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_grpc_method *method = at;

    method->type = method->type ? KUBE_MATCH_REGEX : KUBE_MATCH_EXACT;
    if (!method->service.len && !method->method.len)
        decoder_error(d, path, "service", node, "expected service, method or both, found neither");
}
static const struct field grpc_method_fields[] = {
    FIELD("type", ENUM, kube_grpc_method, type, .names = exact_or_regex),
    FIELD("service", TEXT, kube_grpc_method, service),
    FIELD("method", TEXT, kube_grpc_method, method),
};
static const struct shape grpc_method_shape = SHAPE(kube_grpc_method, grpc_method_fields, .check = check_grpc_method);

static const struct field grpc_match_fields[] = {
    FIELD("method", POINTER, kube_grpc_match, method, .shape = &grpc_method_shape),
    FIELDS("headers", STRUCT, kube_grpc_match, headers, header_count, .shape = &value_match_shape),
};
static const struct shape grpc_match_shape = SHAPE(kube_grpc_match, grpc_match_fields);

/* ---- filters ---- */

static const struct field header_fields[] = {
    FIELD("name", TEXT, kube_header, name, .required = true),
    FIELD("value", TEXT, kube_header, value, .required = true),
};
static const struct shape header_shape = SHAPE(kube_header, header_fields);

static const struct field header_modifier_fields[] = {
    FIELDS("set", STRUCT, kube_header_modifier, set, set_count, .shape = &header_shape),
    FIELDS("add", STRUCT, kube_header_modifier, add, add_count, .shape = &header_shape),
    FIELDS("remove", TEXT, kube_header_modifier, remove, remove_count),
};
static const struct shape header_modifier_shape = SHAPE(kube_header_modifier, header_modifier_fields);

static const char *const path_modifier_names[] = {"ReplaceFullPath", "ReplacePrefixMatch", NULL};
static const struct field path_modifier_fields[] = {
    FIELD("type", ENUM, kube_path_modifier, type, .required = true, .names = path_modifier_names),
    FIELD("replaceFullPath", TEXT, kube_path_modifier, full_path),
    FIELD("replacePrefixMatch", TEXT, kube_path_modifier, prefix_match),
};
static const struct shape path_modifier_shape = SHAPE(kube_path_modifier, path_modifier_fields);

static const struct field redirect_fields[] = {
    FIELD("scheme", TEXT, kube_redirect, scheme),
    FIELD("hostname", TEXT, kube_redirect, hostname),
    FIELD("path", POINTER, kube_redirect, path, .shape = &path_modifier_shape),
    FIELD("port", PORT, kube_redirect, port),
    FIELD("statusCode", INT, kube_redirect, status_code, .min = 300, .max = 399, .otherwise = 302),
};
static const struct shape redirect_shape = SHAPE(kube_redirect, redirect_fields);

static bool filter_needs(struct decoder *d, const struct path *path, const struct yaml_node *node, const char *field,
                         const void *value)
{
    if (!value)
        decoder_error(d, path, field, node, "missing; the filter's type names it");
    return value != NULL;
}

static void check_filter(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_filter *filter = at;

    if (slice_eq(filter->type_name, SLICE_LIT("RequestHeaderModifier"))) {
        filter->type = KUBE_FILTER_REQUEST_HEADERS;
        filter->modifier = filter->request_headers;
        filter_needs(d, path, node, "requestHeaderModifier", filter->modifier);
    } else if (slice_eq(filter->type_name, SLICE_LIT("ResponseHeaderModifier"))) {
        filter->type = KUBE_FILTER_RESPONSE_HEADERS;
        filter->modifier = filter->response_headers;
        filter_needs(d, path, node, "responseHeaderModifier", filter->modifier);
    } else if (slice_eq(filter->type_name, SLICE_LIT("RequestRedirect"))) {
        filter->type = KUBE_FILTER_REDIRECT;
        filter_needs(d, path, node, "requestRedirect", filter->redirect);
    } else {
        filter->type = KUBE_FILTER_UNSUPPORTED;
        decoder_complain(d, REPORT_WARNING, path, "type", node->line, node->column,
                         "the filter %.*s is not supported; requests that meet it are answered with an error",
                         SLICE_ARGS(slice_take(filter->type_name, 60)));
    }
}
static const struct field filter_fields[] = {
    FIELD("type", TEXT, kube_filter, type_name, .required = true),
    FIELD("requestHeaderModifier", POINTER, kube_filter, request_headers, .shape = &header_modifier_shape),
    FIELD("responseHeaderModifier", POINTER, kube_filter, response_headers, .shape = &header_modifier_shape),
    FIELD("requestRedirect", POINTER, kube_filter, redirect, .shape = &redirect_shape),
};
static const struct shape filter_shape =
    SHAPE(kube_filter, filter_fields, .ignored = "urlRewrite requestMirror extensionRef", .check = check_filter);

/* ---- rules ---- */

static const struct field backend_fields[] = {
    FIELD("group", TEXT, kube_backend_ref, ref.group),
    FIELD("kind", TEXT, kube_backend_ref, ref.kind, .otherwise_text = "Service"),
    FIELD("name", TEXT, kube_backend_ref, ref.name, .required = true),
    FIELD("namespace", TEXT, kube_backend_ref, ref.namespace_),
    FIELD("port", PORT, kube_backend_ref, port),
    FIELD("weight", U32, kube_backend_ref, weight, .max = 1000000, .otherwise = 1),
    FIELDS("filters", STRUCT, kube_backend_ref, filters, filter_count, .shape = &filter_shape),
};
static const struct shape backend_shape = SHAPE(kube_backend_ref, backend_fields);

static const struct field timeout_fields[] = {
    FIELD("request", DURATION, kube_timeouts, request_ns),
    FIELD("backendRequest", DURATION, kube_timeouts, backend_request_ns),
};
static const struct shape timeouts_shape = SHAPE(kube_timeouts, timeout_fields);

static const struct field http_rule_fields[] = {
    FIELD("name", TEXT, kube_http_rule, name),
    FIELDS("matches", STRUCT, kube_http_rule, matches, match_count, .shape = &http_match_shape),
    FIELDS("filters", STRUCT, kube_http_rule, filters, filter_count, .shape = &filter_shape),
    FIELDS("backendRefs", STRUCT, kube_http_rule, backends, backend_count, .shape = &backend_shape),
    FIELD("timeouts", STRUCT, kube_http_rule, timeouts, .shape = &timeouts_shape),
};
static const struct shape http_rule_shape =
    SHAPE(kube_http_rule, http_rule_fields, .ignored = "retry sessionPersistence");

static const struct field grpc_rule_fields[] = {
    FIELD("name", TEXT, kube_grpc_rule, name),
    FIELDS("matches", STRUCT, kube_grpc_rule, matches, match_count, .shape = &grpc_match_shape),
    FIELDS("filters", STRUCT, kube_grpc_rule, filters, filter_count, .shape = &filter_shape),
    FIELDS("backendRefs", STRUCT, kube_grpc_rule, backends, backend_count, .shape = &backend_shape),
};
static const struct shape grpc_rule_shape = SHAPE(kube_grpc_rule, grpc_rule_fields, .ignored = "sessionPersistence");

static const struct field tcp_rule_fields[] = {
    FIELD("name", TEXT, kube_tcp_rule, name),
    FIELDS("backendRefs", STRUCT, kube_tcp_rule, backends, backend_count, .shape = &backend_shape),
};
static const struct shape tcp_rule_shape = SHAPE(kube_tcp_rule, tcp_rule_fields);

/* ---- routes ---- */

static void check_http_route(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    check_hostnames(d, path, node, &((struct kube_http_route *)at)->common);
}
static void check_grpc_route(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    check_hostnames(d, path, node, &((struct kube_grpc_route *)at)->common);
}
static void check_tcp_route(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    check_hostnames(d, path, node, &((struct kube_tcp_route *)at)->common);
}

#define ROUTE_FIELDS(type, parent_shape, rule_shape)                                                                   \
    {                                                                                                                  \
        FIELDS("parentRefs", STRUCT, type, common.parents, common.parent_count, .shape = &(parent_shape)),             \
            FIELDS("hostnames", TEXT, type, common.hostnames, common.hostname_count),                                  \
            FIELDS("rules", STRUCT, type, rules, rule_count, .shape = &(rule_shape)),                                  \
    }
#define ROUTE_IGNORED "useDefaultGateways"

static const struct field http_spec_fields[] = ROUTE_FIELDS(kube_http_route, gateway_parent_shape, http_rule_shape);
static const struct field policy_http_spec_fields[] =
    ROUTE_FIELDS(kube_http_route, policy_parent_shape, http_rule_shape);
static const struct field grpc_spec_fields[] = ROUTE_FIELDS(kube_grpc_route, gateway_parent_shape, grpc_rule_shape);
static const struct field tcp_spec_fields[] = ROUTE_FIELDS(kube_tcp_route, gateway_parent_shape, tcp_rule_shape);

static const struct shape http_spec_shape =
    SHAPE(kube_http_route, http_spec_fields, .check = check_http_route, .ignored = ROUTE_IGNORED);
static const struct shape policy_http_spec_shape =
    SHAPE(kube_http_route, policy_http_spec_fields, .check = check_http_route);
static const struct shape grpc_spec_shape =
    SHAPE(kube_grpc_route, grpc_spec_fields, .check = check_grpc_route, .ignored = ROUTE_IGNORED);
static const struct shape tcp_spec_shape =
    SHAPE(kube_tcp_route, tcp_spec_fields, .check = check_tcp_route, .ignored = ROUTE_IGNORED);

static const struct field http_route_fields[] = {INSIDE("spec", http_spec_shape, .required = true)};
static const struct field policy_http_route_fields[] = {INSIDE("spec", policy_http_spec_shape, .required = true)};
static const struct field grpc_route_fields[] = {INSIDE("spec", grpc_spec_shape, .required = true)};
static const struct field tcp_route_fields[] = {INSIDE("spec", tcp_spec_shape, .required = true)};

void kube_read_written(const struct yaml_node *root, enum kube_kind kind, struct kube_written *ret_written)
{
    const struct yaml_node *generation = yaml_get_lit(yaml_get_lit(root, "metadata"), "generation");

    ret_written->generation = generation && generation->kind == YAML_INTEGER ? generation->integer : 0;
    ret_written->digest = status_digest_document(root, kind);
}

/* All routes keep what they have in common at one place. */
static_assert(offsetof(struct kube_http_route, common) == offsetof(struct kube_grpc_route, common), "read_written() goes by it");
static_assert(offsetof(struct kube_http_route, common) == offsetof(struct kube_tcp_route, common), "read_written() goes by it");

/* The kinds of routes do not differ in how their status is written. */
static void read_written(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    kube_read_written(node, KUBE_HTTP_ROUTE, &((struct kube_http_route *)at)->common.written);
}

const struct shape kube_http_route_shape = SHAPE(kube_http_route, http_route_fields, .ignored = DOCUMENT_FIELDS, .check = read_written);
const struct shape kube_policy_http_route_shape =
    SHAPE(kube_http_route, policy_http_route_fields, .ignored = DOCUMENT_FIELDS, .check = read_written);
const struct shape kube_grpc_route_shape = SHAPE(kube_grpc_route, grpc_route_fields, .ignored = DOCUMENT_FIELDS, .check = read_written);
const struct shape kube_tls_route_shape = SHAPE(kube_tcp_route, tcp_route_fields, .ignored = DOCUMENT_FIELDS, .check = read_written);
const struct shape kube_tcp_route_shape = SHAPE(kube_tcp_route, tcp_route_fields, .ignored = DOCUMENT_FIELDS, .check = read_written);

const struct kube_written *kube_written(const struct kube_object *object)
{
    const struct kube_route_common *common = kube_route_common(object);

    if (object->kind == KUBE_EGRESS_NETWORK)
        return &kube_egress_network(object)->written;
    if (object->kind == KUBE_RATE_LIMIT_POLICY)
        return &kube_rate_limit_policy(object)->written;
    return common ? &common->written : NULL;
}

const struct kube_route_common *kube_route_common(const struct kube_object *object)
{
    switch (object->kind) {
    case KUBE_HTTP_ROUTE:
    case KUBE_POLICY_HTTP_ROUTE:
        return &kube_http_route(object)->common;
    case KUBE_GRPC_ROUTE:
        return &kube_grpc_route(object)->common;
    case KUBE_TLS_ROUTE:
    case KUBE_TCP_ROUTE:
        return &kube_tcp_route(object)->common;
    default:
        return NULL;
    }
}
