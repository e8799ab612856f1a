#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/buffer.h"
#include "base/duration.h"
#include "base/limits.h"
#include "mesh/filter.h"
#include "mesh/timeouts.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define S(text) {"" text, sizeof(text) - 1}

static struct http_head head_with(struct http_field *fields, uint16_t count)
{
    for (uint16_t i = 0; i < count; i++)
        fields[i].token = (uint8_t)http_token_of(fields[i].name);
    return (struct http_head){.version = HTTP_1_1, .method = S("GET"), .scheme = S("http"), .authority = S("a.b"),
                              .path = S("/x"), .fields = fields, .count = count, .room = count};
}

static const char *text_of(struct arena *arena, const struct http_head *head)
{
    struct slice text = S("");

    for (uint16_t i = 0; i < head->count; i++)
        text = arena_printf(arena, "%.*s%.*s=%.*s;", SLICE_ARGS(text), SLICE_ARGS(head->fields[i].name),
                            SLICE_ARGS(head->fields[i].value));
    return text.ptr;
}

static void modifiers(void **state)
{
    struct http_field fields[] = {{S("host"), S("a.b")}, {S("X-One"), S("1")}, {S("x-one"), S("2")},
                                  {S("content-length"), S("5")}, {S("x-two"), S("3")}};
    struct header_pair add[] = {{S("x-new"), S("n")}, {S("x-one"), S("4")}, {S("content-length"), S("9")}};
    struct header_pair set[] = {{S("x-two"), S("5")}, {S("host"), S("c.d")}, {S("transfer-encoding"), S("chunked")},
                                {S("x-late"), S("6")}};
    struct slice remove[] = {S("x-one"), S("content-length"), S("host"), S("connection"), S("absent"), S("x-late")};
    struct filter filter = {.kind = FILTER_REQUEST_HEADERS, .headers = {add, 3, set, 4, remove, 6}};
    struct filters filters = {&filter, 1};
    struct http_head head = head_with(fields, 5);
    struct filter_answer answer;
    struct route_found found = {0};
    struct arena arena;
    struct rng rng;

    rng_seed(&rng, 1);
    arena_init(&arena, 1 << 16);
    assert_int_equal(filters_apply_request(&filters, &head, &found, &arena, &rng, &answer), 0);
    assert_string_equal(text_of(&arena, &head), "content-length=5;x-new=n;x-two=5;host=c.d;");
    assert_true(slice_eq(head.authority, SLICE_LIT("c.d")));
    assert_int_equal(filters_apply_response(&filters, &head, &arena), 0); /* not its time */
    assert_string_equal(text_of(&arena, &head), "content-length=5;x-new=n;x-two=5;host=c.d;");
    filter.kind = FILTER_RESPONSE_HEADERS;
    head.status = 200;
    assert_int_equal(filters_apply_request(&filters, &head, &found, &arena, &rng, &answer), 0);
    assert_string_equal(text_of(&arena, &head), "content-length=5;x-new=n;x-two=5;host=c.d;");
    assert_int_equal(filters_apply_response(&filters, &head, &arena), 0);
    assert_string_equal(text_of(&arena, &head), "content-length=5;x-new=n;host=c.d;x-new=n;x-two=5;");
    arena_release(&arena);
}

static void too_many_fields(void **state)
{
    static struct header_pair add[LIMIT_HTTP_FIELDS * 2 + 1];
    struct filter filter = {.kind = FILTER_REQUEST_HEADERS, .headers = {.add = add, .add_count = COUNT(add)}};
    struct filters filters = {&filter, 1};
    struct http_head head = head_with(NULL, 0);
    struct filter_answer answer;
    struct route_found found = {0};
    struct arena arena;
    struct rng rng;

    rng_seed(&rng, 1);
    for (size_t i = 0; i < COUNT(add); i++)
        add[i] = (struct header_pair){S("x"), S("y")};
    arena_init(&arena, 1 << 20);
    assert_int_equal(filters_apply_request(&filters, &head, &found, &arena, &rng, &answer), -ENOBUFS);
    arena_release(&arena);
    arena_init(&arena, 100);
    head = head_with(NULL, 0);
    assert_int_equal(filters_apply_request(&filters, &head, &found, &arena, &rng, &answer), -ENOMEM);
    arena_release(&arena);
}

static void redirects(void **state)
{
    static const struct {
        struct redirect redirect;
        const char *authority, *path;
        size_t prefix; /* what matched; 0: exactly */
        const char *location; /* NULL: none needed; "!": cannot be applied */
    } cases[] = {
        {{.scheme = S("https")}, "a.b", "/x?y", 1, "https://a.b/x?y"},
        {{.scheme = S("https")}, "a.b:8080", "/x", 1, "https://a.b:8080/x"},
        {{.scheme = S("http")}, "a.b", "/x", 1, NULL},
        {{.port = 0}, "a.b", "/x", 1, NULL},
        {{.scheme = S("HTTP"), .host = S("A.B")}, "a.b", "/x", 1, NULL},
        {{.host = S("c.d")}, "a.b", "/x", 1, "http://c.d/x"},
        {{.host = S("c.d")}, "a.b:80", "/x", 1, "http://c.d/x"},
        {{.host = S("c.d")}, "a.b:8080", "/x", 1, "http://c.d:8080/x"},
        {{.host = S("c.d"), .scheme = S("https")}, "a.b:443", "/x", 1, "https://c.d/x"},
        {{.host = S("c.d"), .scheme = S("https")}, "a.b:80", "/x", 1, "https://c.d:80/x"},
        {{.host = S("c.d"), .port = 80}, "a.b", "/x", 1, "http://c.d:80/x"},
        {{.host = S("c.d"), .port = 90}, "", "/x", 1, "http://c.d:90/x"},
        {{.host = S("c.d")}, "", "/x", 1, "http://c.d/x"},
        {{.port = 81}, "a.b", "/x", 1, "http://a.b:81/x"},
        {{.port = 81}, "a.b:82", "/x", 1, "http://a.b:81/x"},
        {{.port = 81}, "a.b:81", "/x", 1, NULL},
        {{.port = 80}, "a.b:82", "/x", 1, "http://a.b/x"},
        {{.port = 80}, "a.b", "/x", 1, NULL},
        {{.port = 443, .scheme = S("https")}, "a.b:80", "/x", 1, "https://a.b/x"},
        {{.port = 81}, "[::1]:80", "/x", 1, "http://[::1]:81/x"},
        {{.port = 80}, "[::1]:81", "/x", 1, "http://[::1]/x"},
        {{.port = 81}, "", "/x", 1, "!"},
        {{.scheme = S("https")}, "", "/x", 1, "!"},
        {{.path_kind = PATH_REPLACE_FULL, .path = S("/new?q")}, "a.b", "/x?y", 1, "http://a.b/new?q"},
        {{.path_kind = PATH_REPLACE_FULL, .path = S("")}, "a.b", "/x?y", 1, "http://a.b/"},
        {{.path_kind = PATH_REPLACE_FULL, .path = S("new")}, "a.b", "/x", 1, "!"},
        {{.path_kind = PATH_REPLACE_FULL, .path = S("/a b")}, "a.b", "/x", 1, "!"},
        {{.path_kind = PATH_REPLACE_FULL, .path = S("/a\r\nSet-Cookie: x")}, "a.b", "/x", 1, "!"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("/new")}, "a.b", "/foo/bar?y", 4, "http://a.b/new/bar?y"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("/new")}, "a.b", "/foo", 4, "http://a.b/new"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("/new")}, "a.b", "/foo?y", 4, "http://a.b/new?y"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("/new")}, "a.b", "/foo", 1, "http://a.b/new/foo"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("/")}, "a.b", "/foo/bar", 4, "http://a.b//bar"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("")}, "a.b", "/foo/bar", 4, "http://a.b/bar"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("")}, "a.b", "/foo", 4, "http://a.b/"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("/new")}, "a.b", "/foo", 0, "!"},
        {{.path_kind = PATH_REPLACE_PREFIX, .path = S("/foo")}, "a.b", "/foo/x", 4, NULL},
        {{.scheme = S("https")}, "a.b", "*", 1, "!"},
    };
    struct arena arena;
    struct rng rng;

    rng_seed(&rng, 1);
    arena_init(&arena, 1 << 20);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct filter filter = {.kind = FILTER_REDIRECT, .redirect = cases[i].redirect};
        struct filters filters = {&filter, 1};
        struct route_found found = {.path_kind = cases[i].prefix ? PATH_PREFIX : PATH_EXACT,
                                    .path_len = cases[i].prefix ? cases[i].prefix : 4};
        struct http_head head = head_with(NULL, 0);
        struct filter_answer answer = {0};
        const char *expected = cases[i].location;
        int r;

        head.authority = slice_str(cases[i].authority);
        head.path = slice_str(cases[i].path);
        r = filters_apply_request(&filters, &head, &found, &arena, &rng, &answer);
        if (r != (expected != NULL) || (expected && expected[0] == '!') != (answer.reason == REASON_POLICY_INVALID))
            fail_msg("case %zu: %d %s", i, r, reason_name(answer.reason));
        if (!expected || expected[0] == '!')
            continue;
        assert_int_equal(answer.http, 301);
        assert_int_equal(answer.reason, REASON_REDIRECTED);
        if (!slice_eq(answer.location, slice_str(expected)))
            fail_msg("case %zu: %.*s", i, SLICE_ARGS(answer.location));
    }
    arena_release(&arena);
}

static void failures(void **state)
{
    static const struct {
        struct filter filter;
        uint16_t http;
        uint8_t grpc;
        unsigned least, most; /* of 10000 */
    } cases[] = {
        {{.kind = FILTER_HTTP_FAILURE, .failure = {.code = 503}}, 503, 9, 10000, 10000},
        {{.kind = FILTER_GRPC_FAILURE, .failure = {.code = 7}}, 200, 7, 10000, 10000},
        {{.kind = FILTER_HTTP_FAILURE, .failure = {.code = 500, .numerator = 1, .denominator = 4}}, 500, 9, 2300, 2700},
        {{.kind = FILTER_HTTP_FAILURE, .failure = {.code = 500, .numerator = 0, .denominator = 4}}, 500, 9, 0, 0},
        {{.kind = FILTER_HTTP_FAILURE, .failure = {.code = 500, .numerator = 4, .denominator = 4}}, 500, 9, 10000, 10000},
    };
    struct arena arena;
    struct rng rng;

    rng_seed(&rng, 1);
    arena_init(&arena, 1 << 16);
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct filters filters = {(struct filter *)&cases[i].filter, 1};
        struct route_found found = {0};
        struct http_head head = head_with(NULL, 0);
        struct filter_answer answer;
        unsigned struck = 0;

        for (int j = 0; j < 10000; j++)
            if (filters_apply_request(&filters, &head, &found, &arena, &rng, &answer) == 1) {
                assert_int_equal(answer.http, cases[i].http);
                assert_int_equal(answer.grpc, cases[i].grpc);
                assert_int_equal(answer.reason, REASON_INJECTED_FAILURE);
                struck++;
            }
        assert_true(struck >= cases[i].least && struck <= cases[i].most);
    }
    arena_release(&arena);
}

static void strangers_answer_500(void **state)
{
    static const enum filter_kind kinds[] = {FILTER_UNKNOWN, FILTER_TCP_FORBIDDEN, FILTER_TCP_INVALID};

    for (size_t i = 0; i < COUNT(kinds); i++) {
        struct filter filter = {.kind = kinds[i]};
        struct filters filters = {&filter, 1};
        struct route_found found = {0};
        struct http_head head = head_with(NULL, 0);
        struct filter_answer answer;

        assert_int_equal(filters_apply_request(&filters, &head, &found, NULL, NULL, &answer), 1);
        assert_int_equal(answer.reason, REASON_POLICY_INVALID);
        assert_int_equal(answer.http, 500);
    }
}

static void the_first_answer_ends_it(void **state)
{
    struct header_pair add[] = {{S("x-new"), S("n")}};
    struct filter list[] = {{.kind = FILTER_HTTP_FAILURE, .failure = {.code = 418}},
                            {.kind = FILTER_REQUEST_HEADERS, .headers = {.add = add, .add_count = 1}}};
    struct filters filters = {list, 2};
    struct route_found found = {0};
    struct http_head head = head_with(NULL, 0);
    struct filter_answer answer;

    assert_int_equal(filters_apply_request(&filters, &head, &found, NULL, NULL, &answer), 1);
    assert_int_equal(head.count, 0);
}

static void asked_timeouts(void **state)
{
    static const struct {
        bool allowed;
        struct http_field fields[3];
        uint16_t count;
        int64_t request_ns, response_ns;
        uint16_t left;
    } cases[] = {
        {false, {{S("l5d-timeout"), S("1s")}}, 1, 100, 200, 1},
        {true, {{S("l5d-timeout"), S("1s")}}, 1, NS_PER_S, 200, 0},
        {true, {{S("L5D-Timeout"), S(" 250ms ")}}, 1, 250 * NS_PER_MS, 200, 0},
        {true, {{S("l5d-request-timeout"), S("2s")}, {S("l5d-timeout"), S("1s")}}, 2, 2 * NS_PER_S, 200, 0},
        {true, {{S("l5d-response-timeout"), S("1m")}, {S("x"), S("y")}}, 2, 100, 60 * NS_PER_S, 1},
        {true, {{S("l5d-timeout"), S("soon")}}, 1, 100, 200, 0},
        {true, {{S("l5d-timeout"), S("0")}}, 1, 1, 200, 0},
        {true, {{S("l5d-timeout"), S("1s")}, {S("l5d-timeout"), S("2s")}}, 2, NS_PER_S, 200, 0},
        {true, {{S("l5d-timeout"), S("99999999999999999999s")}}, 1, 100, 200, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_field fields[3];
        struct outbound_rule rule = {.timeouts = {.request_ns = 100, .response_ns = 200, .idle_ns = 300},
                                     .allow_l5d_headers = cases[i].allowed};
        struct http_head head;
        struct route_timeouts timeouts;

        memcpy(fields, cases[i].fields, sizeof(fields));
        head = head_with(fields, cases[i].count);
        timeouts = timeouts_for_request(&rule, &head);
        assert_int_equal(timeouts.request_ns, cases[i].request_ns);
        assert_int_equal(timeouts.response_ns, cases[i].response_ns);
        assert_int_equal(timeouts.idle_ns, 300);
        assert_int_equal(head.count, cases[i].left);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(modifiers),
        cmocka_unit_test(too_many_fields),
        cmocka_unit_test(redirects),
        cmocka_unit_test(failures),
        cmocka_unit_test(strangers_answer_500),
        cmocka_unit_test(the_first_answer_ends_it),
        cmocka_unit_test(asked_timeouts),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
