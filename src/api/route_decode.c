#include "api/convert_route.h"

const char *const registered_methods[METHOD_COUNT] = {
    [HTTP_TYPES__HTTP_METHOD__REGISTERED__GET] = "GET",         [HTTP_TYPES__HTTP_METHOD__REGISTERED__POST] = "POST",
    [HTTP_TYPES__HTTP_METHOD__REGISTERED__PUT] = "PUT",         [HTTP_TYPES__HTTP_METHOD__REGISTERED__DELETE] = "DELETE",
    [HTTP_TYPES__HTTP_METHOD__REGISTERED__PATCH] = "PATCH",     [HTTP_TYPES__HTTP_METHOD__REGISTERED__OPTIONS] = "OPTIONS",
    [HTTP_TYPES__HTTP_METHOD__REGISTERED__CONNECT] = "CONNECT", [HTTP_TYPES__HTTP_METHOD__REGISTERED__HEAD] = "HEAD",
    [HTTP_TYPES__HTTP_METHOD__REGISTERED__TRACE] = "TRACE",
};

/* --- matches --- */

/*
 * Labels that travel last first, joined by dots. The labels "", "com", "example" are "example.com." with its dot at
 * the end; a label with dots in it is the same as several.
 */
static int take_reverse_labels(struct decoder *d, const char **labels, size_t n, struct slice *ret_name)
{
    size_t len = n ? n - 1 : 0, at = 0;
    char *name;

    for (size_t i = 0; i < n; i++)
        len += strlen(labels[i]);
    name = arena_alloc(d->arena, len);
    if (!name)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = n; i-- > 0;) {
        size_t label = strlen(labels[i]);

        memcpy(name + at, labels[i], label);
        at += label;
        if (i > 0)
            name[at++] = '.';
    }
    *ret_name = slice_of(name, len);
    return 0;
}

int take_host(struct decoder *d, const HttpRoute__HostMatch *from, struct host_match *ret)
{
    switch (from->match_case) {
    case HTTP_ROUTE__HOST_MATCH__MATCH_EXACT:
        ret->kind = HOST_EXACT;
        return take_text(d, from->exact, &ret->name);
    case HTTP_ROUTE__HOST_MATCH__MATCH_SUFFIX:
        ret->kind = HOST_SUFFIX;
        return take_reverse_labels(d, from->suffix->reverse_labels, from->suffix->n_reverse_labels, &ret->name);
    default:
        return errmsg_set(d->msg, -EPROTO, "neither exact nor suffix");
    }
}

int take_sni(struct decoder *d, const TlsRoute__SniMatch *from, struct host_match *ret)
{
    switch (from->match_case) {
    case TLS_ROUTE__SNI_MATCH__MATCH_EXACT:
        ret->kind = HOST_EXACT;
        return take_text(d, from->exact, &ret->name);
    case TLS_ROUTE__SNI_MATCH__MATCH_SUFFIX:
        ret->kind = HOST_SUFFIX;
        return take_reverse_labels(d, from->suffix->reverse_labels, from->suffix->n_reverse_labels, &ret->name);
    default:
        return errmsg_set(d->msg, -EPROTO, "neither exact nor suffix");
    }
}

int take_method(struct decoder *d, const HttpTypes__HttpMethod *from, struct slice *ret)
{
    if (from->type_case == HTTP_TYPES__HTTP_METHOD__TYPE_REGISTERED && (unsigned)from->registered < METHOD_COUNT) {
        *ret = slice_str(registered_methods[from->registered]);
        return 0;
    }
    if (from->type_case == HTTP_TYPES__HTTP_METHOD__TYPE_UNREGISTERED && text_is_token(slice_str(from->unregistered)))
        return take_text(d, from->unregistered, ret);
    return errmsg_set(d->msg, -EPROTO, "method: not a method");
}

/* A field name, in lower case as they are compared and sent. */
static int take_field_name(struct decoder *d, const char *from, struct slice *ret)
{
    int r;

    if (!text_is_token(slice_str(from)))
        return errmsg_set(d->msg, -EPROTO, "name: '%.64s' is no field name", from);
    r = take_text(d, from, ret);
    for (size_t i = 0; r == 0 && i < ret->len; i++)
        if (ret->ptr[i] >= 'A' && ret->ptr[i] <= 'Z')
            ((char *)(uintptr_t)ret->ptr)[i] += 'a' - 'A'; /* our own copy */
    return r;
}

static int take_field_value(struct decoder *d, ProtobufCBinaryData from, struct slice *ret)
{
    if (!text_is_field_value(slice_of(from.data, from.len)))
        return errmsg_set(d->msg, -EPROTO, "value: holds control characters");
    return take_bytes(d, from, ret);
}

static int take_header_match(struct decoder *d, const HttpRoute__HeaderMatch *from, struct named_match *ret)
{
    int r = take_field_name(d, from->name, &ret->name);

    if (r < 0)
        return r;
    switch (from->value_case) {
    case HTTP_ROUTE__HEADER_MATCH__VALUE_EXACT:
        ret->value.kind = VALUE_EXACT;
        return take_field_value(d, from->exact, &ret->value.text);
    case HTTP_ROUTE__HEADER_MATCH__VALUE_REGEX:
        ret->value.kind = VALUE_REGEX;
        return take_text(d, from->regex, &ret->value.text);
    default:
        return errmsg_set(d->msg, -EPROTO, "value: neither exact nor regex");
    }
}

static int take_query_match(struct decoder *d, const HttpRoute__QueryParamMatch *from, struct named_match *ret)
{
    int r = take_text(d, from->name, &ret->name);

    if (r < 0)
        return r;
    if (ret->name.len == 0)
        return errmsg_set(d->msg, -EPROTO, "name: missing");
    switch (from->value_case) {
    case HTTP_ROUTE__QUERY_PARAM_MATCH__VALUE_EXACT:
        ret->value.kind = VALUE_EXACT;
        return take_text(d, from->exact, &ret->value.text);
    case HTTP_ROUTE__QUERY_PARAM_MATCH__VALUE_REGEX:
        ret->value.kind = VALUE_REGEX;
        return take_text(d, from->regex, &ret->value.text);
    default:
        return errmsg_set(d->msg, -EPROTO, "value: neither exact nor regex");
    }
}

static int take_path(struct decoder *d, const HttpRoute__PathMatch *from, struct path_match *ret)
{
    if (!from) {
        ret->kind = PATH_ANY;
        return 0;
    }
    switch (from->kind_case) {
    case HTTP_ROUTE__PATH_MATCH__KIND_EXACT:
        ret->kind = PATH_EXACT;
        return take_text(d, from->exact, &ret->text);
    case HTTP_ROUTE__PATH_MATCH__KIND_PREFIX:
        ret->kind = PATH_PREFIX;
        return take_text(d, from->prefix, &ret->text);
    case HTTP_ROUTE__PATH_MATCH__KIND_REGEX:
        ret->kind = PATH_REGEX;
        return take_text(d, from->regex, &ret->text);
    default:
        return errmsg_set(d->msg, -EPROTO, "path: neither exact nor prefix nor regex");
    }
}

int take_http_match(struct decoder *d, const HttpRoute__HttpRouteMatch *from, struct http_route_match *ret)
{
    int r = take_path(d, from->path, &ret->path);

    if (r == 0)
        r = TAKE_LIST(d, "headers", take_header_match, from->headers, from->n_headers, ret->headers, ret->header_count);
    if (r == 0)
        r = TAKE_LIST(d, "query_params", take_query_match, from->query_params, from->n_query_params, ret->queries,
                      ret->query_count);
    if (r == 0 && from->method)
        r = take_method(d, from->method, &ret->method);
    return r;
}

int take_grpc_match(struct decoder *d, const GrpcRoute__GrpcRouteMatch *from, struct grpc_route_match *ret)
{
    int r;

    if (!from->rpc)
        return errmsg_set(d->msg, -EPROTO, "rpc: missing");
    r = take_text(d, from->rpc->service, &ret->service);
    if (r == 0)
        r = take_text(d, from->rpc->method, &ret->method);
    if (r == 0)
        r = TAKE_LIST(d, "headers", take_header_match, from->headers, from->n_headers, ret->headers, ret->header_count);
    return r;
}

/* --- filters --- */

static int take_ratio(struct decoder *d, const HttpRoute__Ratio *from, struct injected_failure *ret)
{
    if (!from)
        return 0;
    if (from->denominator == 0 || from->numerator > from->denominator)
        return errmsg_set(d->msg, -EPROTO, "ratio: %u/%u is not between 0 and 1", (unsigned)from->numerator,
                          (unsigned)from->denominator);
    ret->numerator = from->numerator;
    ret->denominator = from->denominator;
    return 0;
}

int take_http_failure(struct decoder *d, const HttpRoute__HttpFailureInjector *from, struct filter *ret)
{
    int r;

    ret->kind = FILTER_HTTP_FAILURE;
    if (from->status < 100 || from->status > 999)
        return errmsg_set(d->msg, -EPROTO, "failure_injector: %u is no HTTP status", (unsigned)from->status);
    ret->failure.code = (uint16_t)from->status;
    r = take_text(d, from->message, &ret->failure.message);
    return r < 0 ? r : take_ratio(d, from->ratio, &ret->failure);
}

int take_grpc_failure(struct decoder *d, const GrpcRoute__GrpcFailureInjector *from, struct filter *ret)
{
    int r;

    ret->kind = FILTER_GRPC_FAILURE;
    if (from->code > UINT16_MAX)
        return errmsg_set(d->msg, -EPROTO, "failure_injector: %u is no gRPC status", (unsigned)from->code);
    ret->failure.code = (uint16_t)from->code;
    r = take_text(d, from->message, &ret->failure.message);
    return r < 0 ? r : take_ratio(d, from->ratio, &ret->failure);
}

static int take_header(struct decoder *d, const HttpTypes__Headers__Header *from, struct header_pair *ret)
{
    int r = take_field_name(d, from->name, &ret->name);

    return r < 0 ? r : take_field_value(d, from->value, &ret->value);
}

static int take_headers(struct decoder *d, const HttpTypes__Headers *add, const HttpTypes__Headers *set,
                        const char **remove, size_t n_remove, struct header_modifier *ret)
{
    int r = 0;

    if (add)
        r = TAKE_LIST(d, "add", take_header, add->headers, add->n_headers, ret->add, ret->add_count);
    if (r == 0 && set)
        r = TAKE_LIST(d, "set", take_header, set->headers, set->n_headers, ret->set, ret->set_count);
    if (r == 0)
        r = TAKE_LIST(d, "remove", take_field_name, remove, n_remove, ret->remove, ret->remove_count);
    return r;
}

int take_request_headers(struct decoder *d, const HttpRoute__RequestHeaderModifier *from, struct filter *ret)
{
    ret->kind = FILTER_REQUEST_HEADERS;
    return take_headers(d, from->add, from->set, from->remove, from->n_remove, &ret->headers);
}

int take_response_headers(struct decoder *d, const HttpRoute__ResponseHeaderModifier *from, struct filter *ret)
{
    ret->kind = FILTER_RESPONSE_HEADERS;
    return take_headers(d, from->add, from->set, from->remove, from->n_remove, &ret->headers);
}

static bool is_scheme(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];
        bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');

        if (!letter && (i == 0 || !((c >= '0' && c <= '9') || c == '+' || c == '-' || c == '.')))
            return false;
    }
    return text.len > 0;
}

static int take_scheme(struct decoder *d, const HttpTypes__Scheme *from, struct slice *ret)
{
    if (!from)
        return 0;
    if (from->type_case == HTTP_TYPES__SCHEME__TYPE_REGISTERED &&
        (from->registered == HTTP_TYPES__SCHEME__REGISTERED__HTTP ||
         from->registered == HTTP_TYPES__SCHEME__REGISTERED__HTTPS)) {
        *ret = from->registered == HTTP_TYPES__SCHEME__REGISTERED__HTTP ? SLICE_LIT("http") : SLICE_LIT("https");
        return 0;
    }
    if (from->type_case == HTTP_TYPES__SCHEME__TYPE_UNREGISTERED && is_scheme(slice_str(from->unregistered)))
        return take_text(d, from->unregistered, ret);
    return errmsg_set(d->msg, -EPROTO, "scheme: not a scheme");
}

/* What stands in the Location of a response: absolute, visible ASCII. */
static bool is_location_path(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.ptr[i] <= 0x20 || text.ptr[i] >= 0x7f)
            return false;
    return text.len > 0 && text.ptr[0] == '/';
}

static int take_path_rewrite(struct decoder *d, const HttpRoute__PathModifier *from, struct redirect *ret)
{
    const char *path;

    if (!from || from->replace_case == HTTP_ROUTE__PATH_MODIFIER__REPLACE__NOT_SET)
        return 0;
    if (from->replace_case == HTTP_ROUTE__PATH_MODIFIER__REPLACE_FULL) {
        ret->path_kind = PATH_REPLACE_FULL;
        path = from->full;
    } else {
        ret->path_kind = PATH_REPLACE_PREFIX;
        path = from->prefix;
    }
    if (!is_location_path(slice_str(path)))
        return errmsg_set(d->msg, -EPROTO, "path: '%.64s' is no absolute path", path);
    return take_text(d, path, &ret->path);
}

int take_redirect(struct decoder *d, const HttpRoute__RequestRedirect *from, struct filter *ret)
{
    struct redirect *redirect = &ret->redirect;
    int r;

    ret->kind = FILTER_REDIRECT;
    if (from->port > UINT16_MAX)
        return errmsg_set(d->msg, -EPROTO, "redirect: port %u is more than 65535", (unsigned)from->port);
    if (from->status != 0 && (from->status < 100 || from->status > 999))
        return errmsg_set(d->msg, -EPROTO, "redirect: %u is no HTTP status", (unsigned)from->status);
    if (from->host[0] && !text_is_authority(slice_str(from->host)))
        return errmsg_set(d->msg, -EPROTO, "redirect: '%.64s' is no host", from->host);
    redirect->port = (uint16_t)from->port;
    redirect->status = (uint16_t)from->status;
    r = take_scheme(d, from->scheme, &redirect->scheme);
    if (r == 0)
        r = take_text(d, from->host, &redirect->host);
    return r < 0 ? r : take_path_rewrite(d, from->path, redirect);
}
