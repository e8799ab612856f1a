/*
 * A request of three lines (method, authority, path with query; then a header value) against a policy with every kind
 * of match and filter. Whatever the request says, indexes are in range, a location is one line of visible ASCII,
 * and prefix matches are prefixes.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "mesh/filter.h"
#include "mesh/prepare.h"
#include "mesh/route.h"

#define S(text) {"" text, sizeof(text) - 1}

static struct host_match hosts[] = {{HOST_SUFFIX, S("example.com")}, {HOST_EXACT, S("a.example.com")}};
static struct named_match headers[] = {{S("x-h"), {.kind = VALUE_REGEX, .text = S("a+|b")}}};
static struct named_match queries[] = {{S("q"), {.kind = VALUE_REGEX, .text = S("[0-9]+")}},
                                       {S("r"), {.kind = VALUE_EXACT, .text = S("x y")}}};
static struct http_route_match matches[] = {
    {.path = {.kind = PATH_PREFIX, .text = S("/foo/")}},
    {.path = {.kind = PATH_REGEX, .text = S("/(a|b)*/c")}},
    {.path = {.kind = PATH_EXACT, .text = S("/exact")}, .method = S("GET")},
    {.headers = headers, .header_count = 1},
    {.queries = queries, .query_count = 2},
    {.path = {.kind = PATH_PREFIX, .text = S("/")}},
};
static struct filter filters[] = {
    {.kind = FILTER_REDIRECT, .redirect = {.path_kind = PATH_REPLACE_PREFIX, .path = S("/new")}},
    {.kind = FILTER_REDIRECT, .redirect = {.scheme = S("https"), .port = 443}},
    {.kind = FILTER_REDIRECT, .redirect = {.host = S("other.example")}},
};

static struct outbound_policy *make_policy(void)
{
    struct outbound_policy *policy = outbound_policy_new();
    struct arena *arena;
    enum { COUNT = sizeof(matches) / sizeof(matches[0]) };

    if (!policy)
        return NULL;
    arena = &policy->snapshot.arena;
    policy->http1.items = ARENA_ARRAY(arena, struct outbound_route, COUNT);
    policy->http1.count = COUNT;
    for (size_t i = 0; i < COUNT; i++) {
        struct outbound_route *route = &policy->http1.items[i];

        route->hosts = hosts;
        route->host_count = i % 3;
        route->rules = ARENA_NEW(arena, struct outbound_rule);
        route->rule_count = 1;
        route->rules->http_matches = &matches[i];
        route->rules->match_count = 1;
        route->rules->filters = (struct filters){&filters[i % 3], 1};
    }
    if (outbound_policy_prepare(policy) < 0) {
        outbound_policy_unref(policy);
        return NULL;
    }
    assert(!policy->invalid);
    return policy;
}

static void check_filters(const struct outbound_policy *policy, struct http_head *head,
                          const struct route_found *found, struct arena *arena)
{
    struct filter_answer answer;
    struct rng rng;

    rng_seed(&rng, 1);
    if (filters_apply_request(&policy->http1.items[found->route].rules->filters, head, found, arena, &rng, &answer) != 1)
        return;
    assert(answer.reason == REASON_POLICY_INVALID || answer.location.len > 8);
    for (size_t i = 0; answer.reason == REASON_REDIRECTED && i < answer.location.len; i++)
        assert(answer.location.ptr[i] > 0x20 && answer.location.ptr[i] < 0x7f);
}

static void check(const struct outbound_policy *policy, struct http_head *head, struct arena *arena,
                  struct regex_scratch *scratch)
{
    struct route_request request;
    struct route_found found;
    int r;

    route_request_init(&request, head, arena, scratch);
    r = outbound_route_find(&policy->http1, false, &request, &found);
    assert(r == 0 || r == 1 || r == -EOVERFLOW || r == -ENOMEM);
    if (r != 1)
        return;
    assert(found.route < policy->http1.count && found.rule == 0);
    assert(found.path_kind != PATH_PREFIX || found.path_len <= 4);
    check_filters(policy, head, &found, arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct outbound_policy *policy = make_policy();
    struct regex_scratch *scratch = regex_scratch_new();
    struct http_field field = {.name = S("x-h")};
    struct http_head head = {.fields = &field, .count = 1, .room = 1};
    struct slice rest = slice_of(data, size);
    struct arena arena;

    arena_init(&arena, 1 << 20);
    if (policy && scratch && slice_split(&rest, '\n', &head.method) && slice_split(&rest, '\n', &head.authority) &&
        slice_split(&rest, '\n', &head.path)) {
        field.value = rest;
        check(policy, &head, &arena, scratch);
    }
    arena_release(&arena);
    regex_scratch_free(scratch);
    outbound_policy_unref(policy);
    return 0;
}
