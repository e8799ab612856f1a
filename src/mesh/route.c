#include "mesh/route.h"

#include <errno.h>

#include "base/mutation.h"
#include "codec/authority.h"

/* --- the request --- */

void route_request_init(struct route_request *request, const struct http_head *head, struct arena *arena,
                        struct regex_scratch *scratch)
{
    size_t question = slice_find(head->path, '?');
    struct authority authority;

    *request = (struct route_request){.head = head, .arena = arena, .scratch = scratch};
    if (authority_parse(head->authority, &authority) == 0)
        request->host = authority.host;
    request->path = slice_take(head->path, question);
    if (question < head->path.len)
        request->query = slice_skip(head->path, question + 1);
}

static int hex_value(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* application/x-www-form-urlencoded into the arena; a % without two digits stays as it is. */
static int decode(struct arena *arena, struct slice text, struct slice *ret_text)
{
    char *out = arena_alloc(arena, text.len);
    size_t len = 0;

    if (!out)
        return -ENOMEM;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '+')
            c = ' ';
        if (c == '%' && i + 2 < text.len && hex_value(text.ptr[i + 1]) >= 0 && hex_value(text.ptr[i + 2]) >= 0) {
            c = (char)(hex_value(text.ptr[i + 1]) * 16 + hex_value(text.ptr[i + 2]));
            i += 2;
        }
        out[len++] = c;
    }
    *ret_text = slice_of(out, len);
    return 0;
}

static int parse_params(struct route_request *request)
{
    struct slice rest = request->query, part;
    size_t max = 1;

    for (size_t i = 0; i < rest.len; i++)
        max += rest.ptr[i] == '&';
    request->params = ARENA_ARRAY(request->arena, struct query_param, max);
    if (!request->params)
        return -ENOMEM;
    while (slice_split(&rest, '&', &part)) {
        struct query_param *param = &request->params[request->param_count];
        size_t equals = slice_find(part, '=');
        int r;

        if (!part.len)
            continue;
        r = decode(request->arena, slice_take(part, equals), &param->name);
        if (r == 0)
            r = decode(request->arena, slice_skip(part, equals + 1), &param->value);
        if (r < 0) {
            request->params = NULL;
            request->param_count = 0;
            return r;
        }
        request->param_count++;
    }
    return 0;
}

/* --- parts of a match: 1, 0 or an error --- */

static int match_value(const struct value_match *match, struct slice value, struct regex_scratch *scratch)
{
    if (match->kind == VALUE_EXACT)
        return slice_eq(match->text, value);
    return regex_match(match->regex, value, scratch);
}

/* Expressions are shown visible ASCII only; other values match none. */
static bool is_visible(struct slice value)
{
    for (size_t i = 0; i < value.len; i++) {
        unsigned char c = (unsigned char)value.ptr[i];

        if (c != '\t' && (c < 0x20 || c >= 0x7f))
            return false;
    }
    return true;
}

/* Any one of the fields with the name. */
static int match_field(const struct named_match *match, const struct route_request *request)
{
    for (unsigned i = 0; i < request->head->count; i++) {
        const struct http_field *field = &request->head->fields[i];
        int r;

        if (!slice_eq_nocase(field->name, match->name))
            continue;
        if (match->value.kind == VALUE_REGEX && !is_visible(field->value))
            continue;
        r = match_value(&match->value, field->value, request->scratch);
        if (r != 0)
            return r;
    }
    return 0;
}

static int match_fields(const struct named_match *matches, size_t count, const struct route_request *request)
{
    for (size_t i = 0; i < count; i++) {
        int r = match_field(&matches[i], request);

        if (r <= 0)
            return r;
    }
    return 1;
}

static int match_query(const struct named_match *match, const struct route_request *request)
{
    for (size_t i = 0; i < request->param_count; i++) {
        int r;

        if (!slice_eq(request->params[i].name, match->name))
            continue;
        r = match_value(&match->value, request->params[i].value, request->scratch);
        if (r != 0)
            return r;
    }
    return 0;
}

static int match_queries(const struct http_route_match *match, struct route_request *request)
{
    if (!match->query_count)
        return 1;
    if (!request->query.ptr)
        return 0;
    if (!request->params) {
        int r = parse_params(request);

        if (r < 0)
            return r;
    }
    for (size_t i = 0; i < match->query_count; i++) {
        int r = match_query(&match->queries[i], request);

        if (r <= 0)
            return r;
    }
    return 1;
}

static struct slice trim_slashes(struct slice path)
{
    while (path.len && path.ptr[path.len - 1] == '/')
        path.len--;
    return path;
}

/* Whole segments; slashes at the end of either count for nothing. */
static bool match_prefix(struct slice prefix, struct slice path, size_t *ret_len)
{
    if (slice_eq(prefix, SLICE_LIT("/"))) {
        *ret_len = 1;
        return true;
    }
    prefix = trim_slashes(prefix);
    path = trim_slashes(path);
    if (!slice_starts(path, prefix) || (path.len > prefix.len && path.ptr[prefix.len] != '/' && !mutation("prefix-splits-segments")))
        return false;
    *ret_len = prefix.len;
    return true;
}

static int match_path(const struct path_match *match, const struct route_request *request, size_t *ret_len)
{
    *ret_len = request->path.len;
    switch (match->kind) {
    case PATH_EXACT: return slice_eq(match->text, request->path);
    case PATH_REGEX: return regex_match(match->regex, request->path, request->scratch);
    case PATH_PREFIX: return match_prefix(match->text, request->path, ret_len);
    case PATH_ANY: *ret_len = 1; return 1; /* as the prefix "/" */
    }
    return 0;
}

/* --- ranks --- */

/* How good a match is: the first number that differs decides, more is better. */
struct rank {
    size_t host_kind, host_len; /* 0: the route has no hosts; 1: suffix; 2: exact */
    size_t by_match[4];
};

static int rank_cmp(const struct rank *a, const struct rank *b)
{
    size_t x[6] = {a->host_kind, a->host_len, a->by_match[0], a->by_match[1], a->by_match[2], a->by_match[3]};
    size_t y[6] = {b->host_kind, b->host_len, b->by_match[0], b->by_match[1], b->by_match[2], b->by_match[3]};

    for (int i = 0; i < 6; i++)
        if (x[i] != y[i])
            return x[i] < y[i] ? -1 : 1;
    return 0;
}

/* One match of a rule; how its path matched goes into *found. */
static int match_http(const struct http_route_match *match, struct route_request *request, struct rank *rank,
                      struct route_found *found)
{
    size_t len;
    int r;

    if (match->method.len && !slice_eq(match->method, request->head->method))
        return 0;
    r = match_path(&match->path, request, &len);
    if (r > 0)
        r = match_fields(match->headers, match->header_count, request);
    if (r > 0)
        r = match_queries(match, request);
    if (r <= 0)
        return r;
    rank->by_match[0] = len;
    rank->by_match[1] = match->header_count;
    rank->by_match[2] = match->query_count;
    rank->by_match[3] = match->method.len > 0;
    found->path_kind = match->path.kind == PATH_ANY ? PATH_PREFIX : match->path.kind;
    found->path_len = len;
    return 1;
}

/* "/package.Service/Method", and whatever comes behind another slash. */
static bool split_rpc(struct slice path, struct slice *ret_service, struct slice *ret_method)
{
    size_t slash;

    if (!path.len || path.ptr[0] != '/')
        return false;
    path = slice_skip(path, 1);
    slash = slice_find(path, '/');
    if (slash == path.len)
        return false;
    *ret_service = slice_take(path, slash);
    path = slice_skip(path, slash + 1);
    *ret_method = slice_take(path, slice_find(path, '/'));
    return true;
}

static int match_grpc(const struct grpc_route_match *match, const struct route_request *request, struct rank *rank)
{
    struct slice service, method;
    int r;

    if (!slice_eq(request->head->method, SLICE_LIT("POST")) || !split_rpc(request->path, &service, &method))
        return 0;
    if ((match->service.len && !slice_eq(match->service, service)) ||
        (match->method.len && !slice_eq(match->method, method)))
        return 0;
    r = match_fields(match->headers, match->header_count, request);
    if (r <= 0)
        return r;
    rank->by_match[0] = match->service.len;
    rank->by_match[1] = match->method.len;
    rank->by_match[2] = match->header_count;
    return 1;
}

/* --- rules, routes --- */

/* The part of a rule that matches, inbound and outbound alike. */
struct rule_view {
    const struct http_route_match *http;
    const struct grpc_route_match *grpc;
    size_t count;
};

/* The part of a route that matches, with a way to its rules. */
struct route_view {
    const struct host_match *hosts;
    size_t host_count, rule_count;
    const void *route;
    struct rule_view (*rule)(const void *route, size_t index);
};

struct search {
    struct route_request *request;
    bool grpc, have;
    struct rank best;
    struct route_found found;
};

/* A rule without matches matches everything, worth as much as an HTTP match that asks for nothing. */
static void rank_of_nothing(const struct search *search, struct rank *rank, struct route_found *found)
{
    rank->by_match[0] = search->grpc ? 0 : 1;
    found->path_kind = PATH_PREFIX;
    found->path_len = 1;
}

static void consider(struct search *search, const struct rank *rank, const struct route_found *found)
{
    if (search->have && (rank_cmp(rank, &search->best) <= 0 || mutation("route-first-match")))
        return;
    search->have = true;
    search->best = *rank;
    search->found = *found;
}

static int search_rule(struct search *search, const struct rule_view *rule, struct rank rank,
                       struct route_found found)
{
    if (!rule->count) {
        rank_of_nothing(search, &rank, &found);
        consider(search, &rank, &found);
        return 0;
    }
    for (size_t i = 0; i < rule->count; i++) {
        int r = search->grpc ? match_grpc(&rule->grpc[i], search->request, &rank)
                             : match_http(&rule->http[i], search->request, &rank, &found);

        if (r < 0)
            return r;
        if (r > 0)
            consider(search, &rank, &found);
    }
    return 0;
}

static bool ends_with_dot(struct slice name)
{
    return name.len && name.ptr[name.len - 1] == '.';
}

/* Case counts for nothing, nor does a dot at the end unless the match has one. */
static bool match_host(const struct host_match *match, struct slice host)
{
    if (ends_with_dot(host) && !ends_with_dot(match->name))
        host.len--;
    if (match->kind == HOST_EXACT)
        return slice_eq_nocase(match->name, host);
    if (!match->name.len)
        return true;
    return host.len > match->name.len && host.ptr[host.len - match->name.len - 1] == '.' &&
           slice_eq_nocase(match->name, slice_skip(host, host.len - match->name.len));
}

/* The best of the hosts; false when there are some and none matches. */
static bool rank_hosts(const struct host_match *hosts, size_t count, struct slice host, struct rank *rank)
{
    for (size_t i = 0; i < count; i++) {
        struct rank this = {.host_kind = hosts[i].kind == HOST_EXACT ? 2 : 1,
                            .host_len = hosts[i].name.len};

        if (host.len && match_host(&hosts[i], host) && rank_cmp(&this, rank) > 0)
            *rank = this;
    }
    return !count || rank->host_kind;
}

static int search_route(struct search *search, const struct route_view *view, size_t index)
{
    struct rank rank = {0};

    if (!rank_hosts(view->hosts, view->host_count, search->request->host, &rank))
        return 0;
    for (size_t i = 0; i < view->rule_count; i++) {
        struct rule_view rule = view->rule(view->route, i);
        int r = search_rule(search, &rule, rank, (struct route_found){.route = index, .rule = i});

        if (r < 0)
            return r;
    }
    return 0;
}

static int found(const struct search *search, struct route_found *ret_found)
{
    if (search->have)
        *ret_found = search->found;
    return search->have;
}

static struct rule_view inbound_rule(const void *route, size_t index)
{
    const struct inbound_rule *rule = &((const struct inbound_route *)route)->rules[index];

    return (struct rule_view){rule->http_matches, rule->grpc_matches, rule->match_count};
}

static struct rule_view outbound_rule(const void *route, size_t index)
{
    const struct outbound_rule *rule = &((const struct outbound_route *)route)->rules[index];

    return (struct rule_view){rule->http_matches, rule->grpc_matches, rule->match_count};
}

int inbound_route_find(const struct inbound_policy *policy, struct route_request *request,
                       struct route_found *ret_found)
{
    struct search search = {.request = request, .grpc = policy->protocol == INBOUND_GRPC};

    for (size_t i = 0; i < policy->route_count; i++) {
        const struct inbound_route *route = &policy->routes[i];
        struct route_view view = {route->hosts, route->host_count, route->rule_count, route, inbound_rule};
        int r = search_route(&search, &view, i);

        if (r < 0)
            return r;
    }
    return found(&search, ret_found);
}

int outbound_route_find(const struct outbound_routes *routes, bool grpc, struct route_request *request,
                        struct route_found *ret_found)
{
    struct search search = {.request = request, .grpc = grpc};

    for (size_t i = 0; i < routes->count; i++) {
        const struct outbound_route *route = &routes->items[i];
        struct route_view view = {route->hosts, route->host_count, route->rule_count, route, outbound_rule};
        int r = search_route(&search, &view, i);

        if (r < 0)
            return r;
    }
    return found(&search, ret_found);
}

int outbound_route_find_sni(const struct outbound_routes *routes, struct slice sni, struct route_found *ret_found)
{
    struct rank best = {0};
    bool have = false;

    for (size_t i = 0; i < routes->count; i++) {
        const struct outbound_route *route = &routes->items[i];
        struct rank rank = {0};

        if (!route->rule_count || !rank_hosts(route->hosts, route->host_count, sni, &rank))
            continue;
        if (have && rank_cmp(&rank, &best) <= 0)
            continue;
        have = true;
        best = rank;
        *ret_found = (struct route_found){.route = i};
    }
    return have;
}

/* --- profiles --- */

static int holds(const struct request_condition *condition, const struct route_request *request);

/* Whether all (or any) of the children hold. */
static int children_hold(const struct request_condition *condition, const struct route_request *request, bool all)
{
    for (size_t i = 0; i < condition->count; i++) {
        int r = holds(&condition->children[i], request);

        if (r < 0 || (r > 0) != all)
            return r;
    }
    return all;
}

static int holds(const struct request_condition *condition, const struct route_request *request)
{
    int r;

    switch (condition->kind) {
    case REQUEST_ALL: return children_hold(condition, request, true);
    case REQUEST_ANY: return children_hold(condition, request, false);
    case REQUEST_NOT:
        r = holds(&condition->children[0], request);
        return r < 0 ? r : !r;
    case REQUEST_PATH: return regex_match(condition->regex, request->path, request->scratch);
    case REQUEST_METHOD: return slice_eq(condition->text, request->head->method);
    }
    return 0;
}

int profile_route_find(const struct profile *profile, struct route_request *request,
                       const struct profile_route **ret_route)
{
    const struct profile_route *route = NULL;

    for (size_t i = 0; i < profile->route_count; i++) {
        int r = holds(&profile->routes[i].condition, request);

        if (r < 0)
            return r;
        if (r > 0) {
            route = &profile->routes[i];
            break;
        }
    }
    *ret_route = route;
    return 0;
}
