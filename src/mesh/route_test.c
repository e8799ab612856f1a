#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "mesh/prepare.h"
#include "mesh/route.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

struct fixture {
    struct arena arena;
    struct regex_scratch *scratch;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    arena_init(&f->arena, 1 << 20);
    f->scratch = regex_scratch_new();
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    arena_release(&f->arena);
    regex_scratch_free(f->scratch);
    free(f);
    return 0;
}

static struct slice copy(struct arena *arena, const char *text)
{
    return arena_dup(arena, slice_str(text));
}

/* "GET http://host/path?query name: value; name: value" */
static struct http_head *head_of(struct arena *arena, const char *text)
{
    struct http_head *head = ARENA_NEW(arena, struct http_head);
    struct slice rest = copy(arena, text), target, field;

    slice_split(&rest, ' ', &head->method);
    slice_split(&rest, ' ', &target);
    if (slice_starts(target, SLICE_LIT("http://"))) {
        target = slice_skip(target, 7);
        head->scheme = SLICE_LIT("http");
        head->authority = slice_take(target, slice_find(target, '/'));
        target = slice_skip(target, head->authority.len);
    }
    head->path = target;
    head->fields = ARENA_ARRAY(arena, struct http_field, 16);
    head->room = 16;
    while (slice_split(&rest, ';', &field)) {
        size_t colon = slice_find(field, ':');
        struct slice name = slice_trim(slice_take(field, colon));

        http_append(head, http_token_of(name), name, slice_trim(slice_skip(field, colon + 1)));
    }
    return head;
}

/*
 * A match as text: "GET /exact", "/prefix*", "~/regex", "/x?name=value", "/x?name=~regex", with "; header=value" and
 * "; header=~regex" behind; "-" for no path.
 */
static void named(struct arena *arena, struct slice text, struct named_match *match)
{
    size_t equals = slice_find(text, '=');
    struct slice value = slice_skip(text, equals + 1);

    match->name = slice_take(text, equals);
    if (slice_starts(value, SLICE_LIT("~"))) {
        match->value.kind = VALUE_REGEX;
        value = slice_skip(value, 1);
    }
    match->value.text = value;
}

static void path_of(struct slice text, struct path_match *path)
{
    if (slice_eq(text, SLICE_LIT("-")))
        return;
    if (slice_starts(text, SLICE_LIT("~")))
        *path = (struct path_match){.kind = PATH_REGEX, .text = slice_skip(text, 1)};
    else if (slice_ends(text, SLICE_LIT("*")))
        *path = (struct path_match){.kind = PATH_PREFIX, .text = slice_take(text, text.len - 1)};
    else
        *path = (struct path_match){.kind = PATH_EXACT, .text = text};
}

static struct http_route_match match_of(struct arena *arena, const char *text)
{
    struct http_route_match match = {0};
    struct slice rest = copy(arena, text), front, part;

    match.headers = ARENA_ARRAY(arena, struct named_match, 4);
    match.queries = ARENA_ARRAY(arena, struct named_match, 4);
    slice_split(&rest, ';', &front);
    if (front.ptr[0] >= 'A' && front.ptr[0] <= 'Z')
        slice_split(&front, ' ', &match.method);
    slice_split(&front, '?', &part);
    path_of(part, &match.path);
    while (slice_split(&front, '&', &part))
        named(arena, part, &match.queries[match.query_count++]);
    while (slice_split(&rest, ';', &part))
        named(arena, slice_trim(part), &match.headers[match.header_count++]);
    return match;
}

static void add_host(struct arena *arena, struct host_match **hosts, size_t *count, const char *name)
{
    struct slice text = copy(arena, name);

    if (!*hosts)
        *hosts = ARENA_ARRAY(arena, struct host_match, 4);
    if (slice_starts(text, SLICE_LIT("*.")))
        (*hosts)[(*count)++] = (struct host_match){HOST_SUFFIX, slice_skip(text, 2)};
    else
        (*hosts)[(*count)++] = (struct host_match){HOST_EXACT, text};
}

/* A policy of one rule for each route: {host or NULL, match or NULL}. */
struct route_text {
    const char *hosts[3], *matches[3];
};

static struct outbound_policy *policy_of(const struct route_text *texts, size_t count)
{
    struct outbound_policy *policy = outbound_policy_new();
    struct arena *arena = &policy->snapshot.arena;

    policy->http1.items = ARENA_ARRAY(arena, struct outbound_route, count);
    for (size_t i = 0; i < count; i++) {
        struct outbound_route *route = &policy->http1.items[i];

        route->rules = ARENA_NEW(arena, struct outbound_rule);
        route->rule_count = 1;
        route->rules->http_matches = ARENA_ARRAY(arena, struct http_route_match, 3);
        for (size_t j = 0; j < 3 && texts[i].hosts[j]; j++)
            add_host(arena, &route->hosts, &route->host_count, texts[i].hosts[j]);
        for (size_t j = 0; j < 3 && texts[i].matches[j]; j++)
            route->rules->http_matches[route->rules->match_count++] = match_of(arena, texts[i].matches[j]);
    }
    policy->http1.count = count;
    assert_int_equal(outbound_policy_prepare(policy), 0);
    assert_false(policy->invalid);
    return policy;
}

/* The index of the route, -1 for none, or an error. */
static long find(struct fixture *f, const struct outbound_policy *policy, const char *request_text,
                 struct route_found *found)
{
    struct route_request request;
    struct route_found ignored;
    int r;

    found = found ? found : &ignored;
    route_request_init(&request, head_of(&f->arena, request_text), &f->arena, f->scratch);
    r = outbound_route_find(&policy->http1, false, &request, found);
    return r < 0 ? r : r == 0 ? -1 : (long)found->route;
}

/* Does the one match hold? */
static void single_matches(void **state)
{
    static const struct {
        const char *match, *request;
        bool expected;
    } cases[] = {
        {"/foo", "GET /foo", true},
        {"/foo", "GET /foo/", false},
        {"/foo", "GET /foo?x=1", true},
        {"/foo", "GET /Foo", false},
        {"/foo", "GET /foo%20", false},
        {"/*", "GET /anything/at/all", true},
        {"/*", "OPTIONS *", true},
        {"/foo*", "GET /foo", true},
        {"/foo*", "GET /foo/", true},
        {"/foo*", "GET /foo/bar", true},
        {"/foo*", "GET /foobar", false},
        {"/foo*", "GET /fo", false},
        {"/foo/*", "GET /foo", true}, /* slashes at the end count for nothing */
        {"/foo/*", "GET /foo//", true},
        {"/foo/*", "GET /foo/bar", true},
        {"/foo/*", "GET /foobar", false},
        {"/foo*", "GET /foo?x=/bar", true},
        {"~/a|/ab", "GET /ab", false},
        {"~/ab|/a", "GET /ab", true},
        {"~/users/\\d+", "GET /users/7?x=1", true},
        {"~/users/\\d+", "GET /users/7x", false},
        {"GET -", "GET /x", true},
        {"GET -", "POST /x", false},
        {"GET -", "get /x", false},
        {"-; x-foo=bar", "GET / x-foo: bar", true},
        {"-; x-foo=bar", "GET / X-FOO: bar", true},
        {"-; x-foo=bar", "GET / x-foo: barr", false},
        {"-; x-foo=bar", "GET / x-foo: BAR", false},
        {"-; x-foo=bar", "GET /", false},
        {"-; x-foo=bar", "GET / x-foo: no; x-foo: bar", true}, /* any of the fields */
        {"-; x-foo=bar; y=1", "GET / x-foo: bar", false},
        {"-; x-foo=bar; y=1", "GET / y: 1; x-foo: bar", true},
        {"-; x-foo=~qu+x", "GET / x-foo: quuux", true},
        {"-; x-foo=~qu+x", "GET / x-foo: quuuxa", false},
        {"-; x-foo=~.*", "GET / x-foo: \xc3\xbc", false}, /* not visible ASCII */
        {"-; x-foo=\xc3\xbc", "GET / x-foo: \xc3\xbc", true},
        {"-?a=b", "GET /?a=b", true},
        {"-?a=b", "GET /?x=1&a=b", true},
        {"-?a=b", "GET /?a=c&a=b", true},
        {"-?a=b", "GET /?A=b", false},
        {"-?a=b", "GET /", false},
        {"-?a=b", "GET /?", false},
        {"-?a=b&c=d", "GET /?a=b", false},
        {"-?a=b&c=d", "GET /?c=d&&a=b", true},
        {"-?a=", "GET /?a", true},
        {"-?a b=c d", "GET /?a+b=c%20d", true},
        {"-?a=%zz", "GET /?a=%zz", true},
        {"-?a=%4", "GET /?a=%4", true},
        {"-?a=b=c", "GET /?a=b=c", true},
        {"-?a=~x+", "GET /?a=xxx", true},
        {"-?a=~x+", "GET /?a=xxxy", false},
        {"-?a=~x+", "GET /?a=%78%78", true},
        {"POST /foo?a=b; h=v", "POST /foo?a=b h: v", true},
        {"POST /foo?a=b; h=v", "POST /foo?a=c h: v", false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct route_text text = {.matches = {cases[i].match}};
        struct outbound_policy *policy = policy_of(&text, 1);
        long r = find(*state, policy, cases[i].request, NULL);

        if (r != (cases[i].expected ? 0 : -1))
            fail_msg("%s against %s: %ld", cases[i].match, cases[i].request, r);
        outbound_policy_unref(policy);
    }
}

static void hosts(void **state)
{
    static const struct {
        const char *host, *authority;
        bool expected;
    } cases[] = {
        {"example.com", "example.com", true},
        {"example.com", "EXAMPLE.com", true},
        {"example.com", "example.com:8080", true},
        {"example.com", "example.com.", true},
        {"example.com.", "example.com", false},
        {"example.com.", "example.com.", true},
        {"example.com", "www.example.com", false},
        {"example.com", "", false},
        {"*.example.com", "www.example.com", true},
        {"*.example.com", "a.b.Example.com:80", true},
        {"*.example.com", "www.example.com.", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", "wwwexample.com", false},
        {"*.example.com.", "www.example.com", false},
        {"*.example.com.", "www.example.com.", true},
        {"*.com", "example.com", true},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct route_text text = {.hosts = {cases[i].host}};
        struct outbound_policy *policy = policy_of(&text, 1);
        char request[64];
        long r;

        snprintf(request, sizeof(request), "GET http://%s/", cases[i].authority);
        r = find(*state, policy, request, NULL);
        if (r != (cases[i].expected ? 0 : -1))
            fail_msg("%s against %s: %ld", cases[i].host, cases[i].authority, r);
        outbound_policy_unref(policy);
    }
}

/* Which of two or three routes wins. */
static void best_wins(void **state)
{
    static const struct {
        struct route_text routes[3];
        size_t count;
        const char *request;
        long expected;
    } cases[] = {
        {{{{"*.example.com"}, {"/foo"}}, {{"foo.example.com"}, {"/foo"}}}, 2, "GET http://foo.example.com/foo", 1},
        {{{{"*.example.com"}, {"/foo/bar"}}, {{"foo.example.com"}, {"/*"}}}, 2, "GET http://foo.example.com/foo/bar", 1},
        {{{{"*.com"}, {"/foo"}}, {{"*.example.com"}, {"/*"}}}, 2, "GET http://foo.example.com/foo", 1},
        {{{{NULL}, {"/foo"}}, {{"*.com"}, {"/*"}}}, 2, "GET http://example.com/foo", 1},
        {{{{"*.com", "example.com"}, {"/*"}}, {{"*.example.com", "*.com"}, {"/foo"}}}, 2, "GET http://example.com/foo", 0},
        /* Number of characters, whatever the kind. */
        {{{{NULL}, {"/foo*"}}, {{NULL}, {"/foo/bar*"}}}, 2, "GET /foo/bar", 1},
        {{{{NULL}, {"/foo/bar"}}, {{NULL}, {"~/foo/.*"}}}, 2, "GET /foo/bar", 0}, /* both eight: the earlier */
        {{{{NULL}, {"~/foo/.*"}}, {{NULL}, {"/foo/bar"}}}, 2, "GET /foo/bar", 0},
        {{{{NULL}, {"/foo*"}}, {{NULL}, {"~/foo/b.*"}}}, 2, "GET /foo/bar/baz", 1},
        {{{{NULL}, {"/foo/bar/*"}}, {{NULL}, {"/foo/bar"}}}, 2, "GET /foo/bar", 0},
        /* Then header matches, query matches, method; and a longer path beats any of them. */
        {{{{NULL}, {"/foo"}}, {{NULL}, {"/foo; a=1"}}}, 2, "GET /foo a: 1; b: 2", 1},
        {{{{NULL}, {"/foo; a=1"}}, {{NULL}, {"/foo; a=1; b=2"}}}, 2, "GET /foo a: 1; b: 2", 1},
        {{{{NULL}, {"/foo?q=1&r=2"}}, {{NULL}, {"/foo; a=1"}}}, 2, "GET /foo?q=1&r=2 a: 1", 1},
        {{{{NULL}, {"GET /foo"}}, {{NULL}, {"/foo?q=1"}}}, 2, "GET /foo?q=1", 1},
        {{{{NULL}, {"/foo"}}, {{NULL}, {"GET /foo"}}}, 2, "GET /foo", 1},
        {{{{NULL}, {"GET /*; a=1?x"}}, {{NULL}, {"/foo"}}}, 2, "GET /foo a: 1", 1},
        /* No match at all counts as the prefix "/". */
        {{{{NULL}, {NULL}}, {{NULL}, {"/*"}}}, 2, "GET /x", 0},
        {{{{NULL}, {"/*"}}, {{NULL}, {NULL}}}, 2, "GET /x", 0},
        {{{{NULL}, {NULL}}, {{NULL}, {"GET -"}}}, 2, "GET /x", 1},
        /* The best of a rule's matches counts. */
        {{{{NULL}, {"/foo*", "/*"}}, {{NULL}, {"/*", "/foo/bar"}}}, 2, "GET /foo/bar", 1},
        {{{{NULL}, {"/a"}}, {{NULL}, {"/b"}}, {{NULL}, {"/c"}}}, 3, "GET /d", -1},
        {{{{NULL}, {"/a*"}}, {{NULL}, {"/a*"}}, {{NULL}, {"/a*"}}}, 3, "GET /a", 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct outbound_policy *policy = policy_of(cases[i].routes, cases[i].count);
        long r = find(*state, policy, cases[i].request, NULL);

        if (r != cases[i].expected)
            fail_msg("case %zu, %s: %ld", i, cases[i].request, r);
        outbound_policy_unref(policy);
    }
}

static void how_the_path_matched(void **state)
{
    static const struct {
        const char *match;
        enum path_match_kind kind;
        size_t len;
    } cases[] = {
        {"/foo/*", PATH_PREFIX, 4}, {"/*", PATH_PREFIX, 1},      {"/foo/bar", PATH_EXACT, 8},
        {"~/f.*", PATH_REGEX, 8},   {"GET -", PATH_PREFIX, 1}, {NULL, PATH_PREFIX, 1},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct route_text text = {.matches = {cases[i].match}};
        struct outbound_policy *policy = policy_of(&text, 1);
        struct route_found found;

        assert_int_equal(find(*state, policy, "GET /foo/bar?x", &found), 0);
        assert_int_equal(found.path_kind, cases[i].kind);
        assert_int_equal(found.path_len, cases[i].len);
        outbound_policy_unref(policy);
    }
}

/* A pattern that cannot be decided ends the search, even if another route would match. */
static void pattern_limit(void **state)
{
    static const struct route_text texts[] = {{.matches = {"/*"}}, {.matches = {"~(/*a+)+b$"}}};
    struct outbound_policy *policy = policy_of(texts, 2);
    static char request[4096] = "GET /";

    memset(request + 5, 'a', 4000);
    memcpy(request + 4005, "bc", 3);
    assert_int_equal(find(*state, policy, request, NULL), -EOVERFLOW);
    outbound_policy_unref(policy);
}

/* --- gRPC --- */

static long find_rpc(struct fixture *f, const struct grpc_route_match *matches, size_t count, const char *text)
{
    struct outbound_rule rules[4] = {0};
    struct outbound_route routes[4] = {0};
    struct outbound_routes all = {.items = routes, .count = count};
    struct route_request request;
    struct route_found found;
    int r;

    for (size_t i = 0; i < count; i++) {
        rules[i].grpc_matches = (struct grpc_route_match *)&matches[i];
        rules[i].match_count = 1;
        routes[i].rules = &rules[i];
        routes[i].rule_count = 1;
    }
    route_request_init(&request, head_of(&f->arena, text), &f->arena, f->scratch);
    r = outbound_route_find(&all, true, &request, &found);
    return r <= 0 ? r - (r == 0) : (long)found.route;
}

static void rpcs(void **state)
{
#define RPC(s, m) {.service = SLICE_LIT(s), .method = SLICE_LIT(m)}
    const struct {
        struct grpc_route_match matches[3];
        size_t count;
        const char *request;
        long expected;
    } cases[] = {
        {{RPC("", "")}, 1, "POST /pkg.Svc/Do", 0},
        {{RPC("", "")}, 1, "GET /pkg.Svc/Do", -1},
        {{RPC("", "")}, 1, "POST /pkg.Svc", -1},
        {{RPC("", "")}, 1, "POST /", -1},
        {{RPC("", "")}, 1, "POST *", -1},
        {{RPC("", "")}, 1, "POST /pkg.Svc/", 0},
        {{RPC("pkg.Svc", "")}, 1, "POST /pkg.Svc/Do", 0},
        {{RPC("pkg.Svc", "")}, 1, "POST /pkg.Svc/Do/more", 0},
        {{RPC("pkg.Svc", "")}, 1, "POST /pkg.Svcs/Do", -1},
        {{RPC("pkg.Svc", "")}, 1, "POST /Pkg.Svc/Do", -1},
        {{RPC("", "Do")}, 1, "POST /any/Do", 0},
        {{RPC("", "Do")}, 1, "POST /any/Doo", -1},
        {{RPC("", "Do"), RPC("pkg.Svc", "")}, 2, "POST /pkg.Svc/Do", 1},
        {{RPC("pkg.Svc", ""), RPC("pkg.Svc", "Do")}, 2, "POST /pkg.Svc/Do", 1},
        {{RPC("pkg.Svc", "Do"), RPC("pkg.Svc", "Do")}, 2, "POST /pkg.Svc/Do?x", 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        long r = find_rpc(*state, cases[i].matches, cases[i].count, cases[i].request);

        if (r != cases[i].expected)
            fail_msg("case %zu, %s: %ld", i, cases[i].request, r);
    }
}

static void rpc_headers_and_empty_rules(void **state)
{
    struct named_match header = {SLICE_LIT("x-v"), {.kind = VALUE_EXACT, .text = SLICE_LIT("2")}};
    struct grpc_route_match matches[2] = {RPC("a.B", ""), RPC("a.B", "")};
    struct fixture *f = *state;
    struct outbound_rule rule = {0};
    struct outbound_route route = {.rules = &rule, .rule_count = 1};
    struct outbound_routes routes = {.items = &route, .count = 1};
    struct route_request request;
    struct route_found found;

    matches[1].headers = &header;
    matches[1].header_count = 1;
    assert_int_equal(find_rpc(f, matches, 2, "POST /a.B/c x-v: 2"), 1);
    assert_int_equal(find_rpc(f, matches, 2, "POST /a.B/c x-v: 3"), 0);
    /* A rule without matches takes what is not even a call. */
    route_request_init(&request, head_of(&f->arena, "GET /x"), &f->arena, f->scratch);
    assert_int_equal(outbound_route_find(&routes, true, &request, &found), 1);
}

/* --- TLS --- */

static void server_names(void **state)
{
    struct host_match exact = {HOST_EXACT, SLICE_LIT("a.example.com")}, suffix = {HOST_SUFFIX, SLICE_LIT("example.com")};
    struct outbound_rule rule = {0};
    struct outbound_route items[] = {{.rules = &rule, .rule_count = 1, .hosts = &suffix, .host_count = 1},
                                     {.rules = &rule, .rule_count = 1, .hosts = &exact, .host_count = 1}};
    struct outbound_routes routes = {.items = items, .count = 2};
    struct route_found found;

    assert_int_equal(outbound_route_find_sni(&routes, SLICE_LIT("A.example.com"), &found), 1);
    assert_int_equal(found.route, 1);
    assert_int_equal(outbound_route_find_sni(&routes, SLICE_LIT("b.example.com"), &found), 1);
    assert_int_equal(found.route, 0);
    assert_int_equal(outbound_route_find_sni(&routes, SLICE_LIT("example.org"), &found), 0);
    assert_int_equal(outbound_route_find_sni(&routes, SLICE_LIT(""), &found), 0);
    items[0].host_count = 0;
    assert_int_equal(outbound_route_find_sni(&routes, SLICE_LIT(""), &found), 1);
}

/* --- inbound, profiles, preparing --- */

static void inbound_routes(void **state)
{
    struct fixture *f = *state;
    struct inbound_policy *policy = inbound_policy_new();
    struct arena *arena = &policy->snapshot.arena;
    struct route_request request;
    struct route_found found;

    policy->routes = ARENA_NEW(arena, struct inbound_route);
    policy->route_count = 1;
    policy->routes->rules = ARENA_ARRAY(arena, struct inbound_rule, 2);
    policy->routes->rule_count = 2;
    for (int i = 0; i < 2; i++) {
        policy->routes->rules[i].http_matches = ARENA_NEW(arena, struct http_route_match);
        policy->routes->rules[i].http_matches[0] = match_of(arena, i ? "~/a.*" : "/a*");
        policy->routes->rules[i].match_count = 1;
    }
    assert_int_equal(inbound_policy_prepare(policy), 0);
    assert_int_equal(policy->authorization_count, 1); /* localhost */
    route_request_init(&request, head_of(&f->arena, "GET /a/b"), &f->arena, f->scratch);
    assert_int_equal(inbound_route_find(policy, &request, &found), 1);
    assert_int_equal(found.rule, 1);
    route_request_init(&request, head_of(&f->arena, "GET /b"), &f->arena, f->scratch);
    assert_int_equal(inbound_route_find(policy, &request, &found), 0);
    inbound_policy_unref(policy);
}

static void bad_patterns_invalidate(void **state)
{
    static const char *const bad[] = {"~(?=a)", "-; h=~(a)\\1", "-?q=~["};

    for (size_t i = 0; i < COUNT(bad); i++) {
        struct outbound_policy *outbound = outbound_policy_new();
        struct inbound_policy *inbound = inbound_policy_new();
        struct outbound_route *route = ARENA_NEW(&outbound->snapshot.arena, struct outbound_route);
        struct http_route_match match = match_of(&outbound->snapshot.arena, bad[i]);

        route->rules = ARENA_NEW(&outbound->snapshot.arena, struct outbound_rule);
        route->rules->http_matches = &match;
        route->rules->match_count = route->rule_count = 1;
        outbound->http2 = (struct outbound_routes){.items = route, .count = 1};
        assert_int_equal(outbound_policy_prepare(outbound), 0);
        assert_true(outbound->invalid && outbound->invalid_reason.len);

        inbound->routes = ARENA_NEW(&inbound->snapshot.arena, struct inbound_route);
        inbound->routes->rules = ARENA_NEW(&inbound->snapshot.arena, struct inbound_rule);
        inbound->routes->rules->http_matches = &match;
        inbound->routes->rules->match_count = inbound->routes->rule_count = inbound->route_count = 1;
        inbound->authorizations = ARENA_NEW(&inbound->snapshot.arena, struct authorization);
        inbound->authorization_count = 1;
        assert_int_equal(inbound_policy_prepare(inbound), 0);
        assert_true(inbound->invalid);
        assert_int_equal(inbound->authorization_count, 0);
        outbound_policy_unref(outbound);
        inbound_policy_unref(inbound);
    }
}

#define PATH(regex) {.kind = REQUEST_PATH, .text = SLICE_LIT(regex)}
#define METHOD(name) {.kind = REQUEST_METHOD, .text = SLICE_LIT(name)}

static long profile_find(struct fixture *f, const struct profile *profile, const char *text)
{
    struct route_request request;
    const struct profile_route *route;
    int r;

    route_request_init(&request, head_of(&f->arena, text), &f->arena, f->scratch);
    r = profile_route_find(profile, &request, &route);
    return r < 0 ? r : route ? route - profile->routes : -1;
}

static void profile_routes(void **state)
{
    struct request_condition get_users[] = {METHOD("GET"), PATH("/users/\\d+")};
    struct request_condition either[] = {PATH("/a"), PATH("/b")};
    struct request_condition not_post[] = {METHOD("POST")};
    struct profile_route routes[] = {
        {.condition = {.kind = REQUEST_ALL, .children = get_users, .count = 2}},
        {.condition = {.kind = REQUEST_ANY, .children = either, .count = 2}},
        {.condition = PATH("/users|x")},
        {.condition = {.kind = REQUEST_ANY}},
        {.condition = {.kind = REQUEST_NOT, .children = not_post, .count = 1}},
        {.condition = {.kind = REQUEST_ALL}},
    };
    static const struct {
        const char *request;
        long expected;
    } cases[] = {
        {"GET /users/1", 0},   {"GET /users/1?q", 0}, {"POST /users/1", 2}, {"PUT /users/x", 2},
        {"GET /a", 1},         {"POST /b", 1},        {"GET /ax", 2},       {"DELETE /q", 4},
        {"POST /q", 5},        {"GET /a/b", 4},       {"GET x", 2},
    };
    struct profile *profile = profile_new();
    unsigned dropped;

    profile->routes = routes;
    profile->route_count = COUNT(routes);
    assert_int_equal(profile_prepare(profile, &dropped), 0);
    assert_int_equal(dropped, 0);
    for (size_t i = 0; i < COUNT(cases); i++) {
        long r = profile_find(*state, profile, cases[i].request);

        if (r != cases[i].expected)
            fail_msg("%s: %ld", cases[i].request, r);
    }
    profile->route_count = 1;
    assert_int_equal(profile_find(*state, profile, "GET /"), -1);
    profile_unref(profile);
}

/* What does not compile is left out of its list; what has nothing left goes as a whole. */
static void profile_drops(void **state)
{
    struct request_condition all[] = {PATH("(?=x)"), METHOD("GET")}, negated[] = {PATH("(a)\\1")};
    struct request_condition any[] = {PATH("["), {.kind = REQUEST_NOT, .children = negated, .count = 1}};
    struct profile_route routes[] = {
        {.condition = PATH("(")},
        {.condition = {.kind = REQUEST_NOT, .children = negated, .count = 1}},
        {.condition = {.kind = REQUEST_ANY, .children = any, .count = 2}, .timeout_ns = 1},
        {.condition = {.kind = REQUEST_ALL, .children = all, .count = 2}, .timeout_ns = 2},
    };
    struct profile *profile = profile_new();
    unsigned dropped;

    profile->routes = routes;
    profile->route_count = COUNT(routes);
    assert_int_equal(profile_prepare(profile, &dropped), 0);
    assert_int_equal(dropped, 5);
    assert_int_equal(profile->route_count, 2);
    assert_int_equal(profile->routes[0].timeout_ns, 1);
    assert_int_equal(profile_find(*state, profile, "GET /"), 1);
    assert_int_equal(profile_find(*state, profile, "POST /"), -1);
    profile_unref(profile);
}

static void profile_limit(void **state)
{
    struct request_condition slow[] = {PATH("(/?a+)+b")};
    struct profile_route routes[] = {{.condition = {.kind = REQUEST_NOT, .children = slow, .count = 1}}};
    struct profile *profile = profile_new();
    static char request[4096] = "GET /";

    memset(request + 5, 'a', 4000);
    memcpy(request + 4005, "bc", 3);
    profile->routes = routes;
    profile->route_count = 1;
    assert_int_equal(profile_prepare(profile, NULL), 0);
    assert_int_equal(profile_find(*state, profile, request), -EOVERFLOW);
    profile_unref(profile);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(single_matches),      cmocka_unit_test(hosts),
        cmocka_unit_test(best_wins),           cmocka_unit_test(how_the_path_matched),
        cmocka_unit_test(pattern_limit),       cmocka_unit_test(rpcs),
        cmocka_unit_test(rpc_headers_and_empty_rules), cmocka_unit_test(server_names),
        cmocka_unit_test(inbound_routes),      cmocka_unit_test(bad_patterns_invalidate),
        cmocka_unit_test(profile_routes),      cmocka_unit_test(profile_drops),
        cmocka_unit_test(profile_limit),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
