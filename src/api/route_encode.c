#include "api/convert_route.h"

/* --- matches --- */

/* The labels of a name, last first; "" has none. */
static void give_reverse_labels(struct encoder *e, struct slice name, const char ***ret_labels, size_t *ret_n)
{
    size_t n = name.len ? 1 : 0;
    struct slice rest = name, label;

    for (size_t i = 0; i < name.len; i++)
        n += name.ptr[i] == '.';
    *ret_labels = n ? give_memory(e, n, sizeof(**ret_labels)) : NULL;
    *ret_n = *ret_labels ? n : 0;
    for (size_t i = *ret_n; i-- > 0;) {
        size_t dot = slice_find(rest, '.');

        label = slice_take(rest, dot);
        rest = slice_skip(rest, dot + 1);
        (*ret_labels)[i] = give_text(e, label);
    }
}

HttpRoute__HostMatch *give_host(struct encoder *e, const struct host_match *host)
{
    HttpRoute__HostMatch *to = GIVE(e, HttpRoute__HostMatch, http_route__host_match);
    HttpRoute__HostMatch__Suffix *suffix;

    if (!to)
        return NULL;
    if (host->kind == HOST_EXACT) {
        to->match_case = HTTP_ROUTE__HOST_MATCH__MATCH_EXACT;
        to->exact = give_text(e, host->name);
        return to;
    }
    suffix = GIVE(e, HttpRoute__HostMatch__Suffix, http_route__host_match__suffix);
    if (suffix)
        give_reverse_labels(e, host->name, &suffix->reverse_labels, &suffix->n_reverse_labels);
    to->match_case = HTTP_ROUTE__HOST_MATCH__MATCH_SUFFIX;
    to->suffix = suffix;
    return to;
}

TlsRoute__SniMatch *give_sni(struct encoder *e, const struct host_match *host)
{
    TlsRoute__SniMatch *to = GIVE(e, TlsRoute__SniMatch, tls_route__sni_match);
    TlsRoute__SniMatch__Suffix *suffix;

    if (!to)
        return NULL;
    if (host->kind == HOST_EXACT) {
        to->match_case = TLS_ROUTE__SNI_MATCH__MATCH_EXACT;
        to->exact = give_text(e, host->name);
        return to;
    }
    suffix = GIVE(e, TlsRoute__SniMatch__Suffix, tls_route__sni_match__suffix);
    if (suffix)
        give_reverse_labels(e, host->name, &suffix->reverse_labels, &suffix->n_reverse_labels);
    to->match_case = TLS_ROUTE__SNI_MATCH__MATCH_SUFFIX;
    to->suffix = suffix;
    return to;
}

HttpTypes__HttpMethod *give_method(struct encoder *e, struct slice method)
{
    HttpTypes__HttpMethod *to = method.len ? GIVE(e, HttpTypes__HttpMethod, http_types__http_method) : NULL;

    if (!to)
        return NULL;
    for (int i = 0; i < METHOD_COUNT; i++) {
        if (!slice_eq(method, slice_str(registered_methods[i])))
            continue;
        to->type_case = HTTP_TYPES__HTTP_METHOD__TYPE_REGISTERED;
        to->registered = (HttpTypes__HttpMethod__Registered)i;
        return to;
    }
    to->type_case = HTTP_TYPES__HTTP_METHOD__TYPE_UNREGISTERED;
    to->unregistered = give_text(e, method);
    return to;
}

static HttpRoute__HeaderMatch *give_header_match(struct encoder *e, const struct named_match *match)
{
    HttpRoute__HeaderMatch *to = GIVE(e, HttpRoute__HeaderMatch, http_route__header_match);

    if (!to)
        return NULL;
    to->name = give_text(e, match->name);
    if (match->value.kind == VALUE_EXACT) {
        to->value_case = HTTP_ROUTE__HEADER_MATCH__VALUE_EXACT;
        to->exact = give_bytes(match->value.text);
    } else {
        to->value_case = HTTP_ROUTE__HEADER_MATCH__VALUE_REGEX;
        to->regex = give_text(e, match->value.text);
    }
    return to;
}

static HttpRoute__QueryParamMatch *give_query_match(struct encoder *e, const struct named_match *match)
{
    HttpRoute__QueryParamMatch *to = GIVE(e, HttpRoute__QueryParamMatch, http_route__query_param_match);

    if (!to)
        return NULL;
    to->name = give_text(e, match->name);
    if (match->value.kind == VALUE_EXACT) {
        to->value_case = HTTP_ROUTE__QUERY_PARAM_MATCH__VALUE_EXACT;
        to->exact = give_text(e, match->value.text);
    } else {
        to->value_case = HTTP_ROUTE__QUERY_PARAM_MATCH__VALUE_REGEX;
        to->regex = give_text(e, match->value.text);
    }
    return to;
}

static HttpRoute__PathMatch *give_path(struct encoder *e, const struct path_match *path)
{
    HttpRoute__PathMatch *to = path->kind == PATH_ANY ? NULL : GIVE(e, HttpRoute__PathMatch, http_route__path_match);

    if (!to)
        return NULL;
    if (path->kind == PATH_EXACT) {
        to->kind_case = HTTP_ROUTE__PATH_MATCH__KIND_EXACT;
        to->exact = give_text(e, path->text);
    } else if (path->kind == PATH_PREFIX) {
        to->kind_case = HTTP_ROUTE__PATH_MATCH__KIND_PREFIX;
        to->prefix = give_text(e, path->text);
    } else {
        to->kind_case = HTTP_ROUTE__PATH_MATCH__KIND_REGEX;
        to->regex = give_text(e, path->text);
    }
    return to;
}

HttpRoute__HttpRouteMatch *give_http_match(struct encoder *e, const struct http_route_match *match)
{
    HttpRoute__HttpRouteMatch *to = GIVE(e, HttpRoute__HttpRouteMatch, http_route__http_route_match);

    if (!to)
        return NULL;
    to->path = give_path(e, &match->path);
    GIVE_LIST(e, give_header_match, match->headers, match->header_count, to->headers, to->n_headers);
    GIVE_LIST(e, give_query_match, match->queries, match->query_count, to->query_params, to->n_query_params);
    to->method = give_method(e, match->method);
    return to;
}

GrpcRoute__GrpcRouteMatch *give_grpc_match(struct encoder *e, const struct grpc_route_match *match)
{
    GrpcRoute__GrpcRouteMatch *to = GIVE(e, GrpcRoute__GrpcRouteMatch, grpc_route__grpc_route_match);

    if (!to)
        return NULL;
    to->rpc = GIVE(e, GrpcRoute__GrpcRpcMatch, grpc_route__grpc_rpc_match);
    if (to->rpc) {
        to->rpc->service = give_text(e, match->service);
        to->rpc->method = give_text(e, match->method);
    }
    GIVE_LIST(e, give_header_match, match->headers, match->header_count, to->headers, to->n_headers);
    return to;
}

/* --- filters --- */

static HttpRoute__Ratio *give_ratio(struct encoder *e, const struct injected_failure *failure)
{
    HttpRoute__Ratio *to = failure->denominator ? GIVE(e, HttpRoute__Ratio, http_route__ratio) : NULL;

    if (to) {
        to->numerator = failure->numerator;
        to->denominator = failure->denominator;
    }
    return to;
}

HttpRoute__HttpFailureInjector *give_http_failure(struct encoder *e, const struct injected_failure *failure)
{
    HttpRoute__HttpFailureInjector *to = GIVE(e, HttpRoute__HttpFailureInjector, http_route__http_failure_injector);

    if (to) {
        to->status = failure->code;
        to->message = give_text(e, failure->message);
        to->ratio = give_ratio(e, failure);
    }
    return to;
}

GrpcRoute__GrpcFailureInjector *give_grpc_failure(struct encoder *e, const struct injected_failure *failure)
{
    GrpcRoute__GrpcFailureInjector *to = GIVE(e, GrpcRoute__GrpcFailureInjector, grpc_route__grpc_failure_injector);

    if (to) {
        to->code = failure->code;
        to->message = give_text(e, failure->message);
        to->ratio = give_ratio(e, failure);
    }
    return to;
}

static HttpTypes__Headers__Header *give_header(struct encoder *e, const struct header_pair *pair)
{
    HttpTypes__Headers__Header *to = GIVE(e, HttpTypes__Headers__Header, http_types__headers__header);

    if (to) {
        to->name = give_text(e, pair->name);
        to->value = give_bytes(pair->value);
    }
    return to;
}

static HttpTypes__Headers *give_headers(struct encoder *e, const struct header_pair *pairs, size_t count)
{
    HttpTypes__Headers *to = count ? GIVE(e, HttpTypes__Headers, http_types__headers) : NULL;

    if (to)
        GIVE_LIST(e, give_header, pairs, count, to->headers, to->n_headers);
    return to;
}

HttpRoute__RequestHeaderModifier *give_request_headers(struct encoder *e, const struct header_modifier *headers)
{
    HttpRoute__RequestHeaderModifier *to =
        GIVE(e, HttpRoute__RequestHeaderModifier, http_route__request_header_modifier);

    if (to) {
        to->add = give_headers(e, headers->add, headers->add_count);
        to->set = give_headers(e, headers->set, headers->set_count);
        give_texts(e, headers->remove, headers->remove_count, &to->remove, &to->n_remove);
    }
    return to;
}

HttpRoute__ResponseHeaderModifier *give_response_headers(struct encoder *e, const struct header_modifier *headers)
{
    HttpRoute__ResponseHeaderModifier *to =
        GIVE(e, HttpRoute__ResponseHeaderModifier, http_route__response_header_modifier);

    if (to) {
        to->add = give_headers(e, headers->add, headers->add_count);
        to->set = give_headers(e, headers->set, headers->set_count);
        give_texts(e, headers->remove, headers->remove_count, &to->remove, &to->n_remove);
    }
    return to;
}

static HttpTypes__Scheme *give_scheme(struct encoder *e, struct slice scheme)
{
    HttpTypes__Scheme *to = scheme.len ? GIVE(e, HttpTypes__Scheme, http_types__scheme) : NULL;

    if (!to)
        return NULL;
    if (slice_eq(scheme, SLICE_LIT("http")) || slice_eq(scheme, SLICE_LIT("https"))) {
        to->type_case = HTTP_TYPES__SCHEME__TYPE_REGISTERED;
        to->registered = scheme.len == 4 ? HTTP_TYPES__SCHEME__REGISTERED__HTTP : HTTP_TYPES__SCHEME__REGISTERED__HTTPS;
    } else {
        to->type_case = HTTP_TYPES__SCHEME__TYPE_UNREGISTERED;
        to->unregistered = give_text(e, scheme);
    }
    return to;
}

static HttpRoute__PathModifier *give_path_rewrite(struct encoder *e, const struct redirect *redirect)
{
    HttpRoute__PathModifier *to =
        redirect->path_kind == PATH_KEEP ? NULL : GIVE(e, HttpRoute__PathModifier, http_route__path_modifier);

    if (!to)
        return NULL;
    if (redirect->path_kind == PATH_REPLACE_FULL) {
        to->replace_case = HTTP_ROUTE__PATH_MODIFIER__REPLACE_FULL;
        to->full = give_text(e, redirect->path);
    } else {
        to->replace_case = HTTP_ROUTE__PATH_MODIFIER__REPLACE_PREFIX;
        to->prefix = give_text(e, redirect->path);
    }
    return to;
}

HttpRoute__RequestRedirect *give_redirect(struct encoder *e, const struct redirect *redirect)
{
    HttpRoute__RequestRedirect *to = GIVE(e, HttpRoute__RequestRedirect, http_route__request_redirect);

    if (!to)
        return NULL;
    to->scheme = give_scheme(e, redirect->scheme);
    to->host = give_text(e, redirect->host);
    to->path = give_path_rewrite(e, redirect);
    to->port = redirect->port;
    to->status = redirect->status;
    return to;
}
