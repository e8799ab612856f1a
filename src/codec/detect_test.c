#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/limits.h"
#include "codec/detect.h"

#define L(text)                                                                                                        \
    {                                                                                                                  \
        "" text, sizeof(text) - 1                                                                                      \
    }

static const struct {
    struct slice bytes;
    enum detected is; /* of all of them */
    size_t at;        /* how many suffice */
} cases[] = {
    {L(""), DETECT_MORE, 0},
    {L("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), DETECT_HTTP2, 24},
    {L("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04"), DETECT_HTTP2, 24},
    {L("PRI * HTTP/2.0\r\n\r\nSM\r\n\r"), DETECT_MORE, 0},
    {L("PRI * HTTP/2.0\r\n\r\nSM\r\n\rX"), DETECT_HTTP1, 24},
    {L("PRI * HTTP/1.1\r\n"), DETECT_HTTP1, 12},
    {L("PRI foo\r\n"), DETECT_OPAQUE, 9},
    {L("GET / HTTP/1.1\r\n"), DETECT_HTTP1, 5},
    {L("GET /garbage\0\n"), DETECT_HTTP1, 5},
    {L("OPTIONS * HTTP/1.1\r\n"), DETECT_HTTP1, 9},
    {L("GET http://h/ HTTP/1.1\r\n"), DETECT_HTTP1, 8},
    {L("GET ftp://h/aHTTP/1.1\r\n"), DETECT_HTTP1, 10}, /* HTTP/0.9 to nginx */
    {L("GET ftp:/h\r\n"), DETECT_OPAQUE, 12},
    {L("GET key\r\n"), DETECT_OPAQUE, 9},
    {L("GET HTTPS://h/"), DETECT_HTTP1, 8},
    {L("GET hello\r\n"), DETECT_OPAQUE, 11}, /* not a target, and no version */
    {L("GET key"), DETECT_MORE, 0},
    {L("GET x HTTP/9.9\r\n"), DETECT_HTTP1, 11},
    {L("CONNECT h:443 HTTP/1.1\r\n"), DETECT_HTTP1, 19},
    {L("CONNECT h:443\r\n"), DETECT_OPAQUE, 15},
    {L("FOO /bar HTTP/1.1\r\n"), DETECT_HTTP1, 14},
    {L("FOO /bar HTTP/"), DETECT_HTTP1, 14},
    {L("FOO /bar HTTP"), DETECT_MORE, 0},
    {L("FOO /bar\r\n HTTP/1.1"), DETECT_OPAQUE, 10},
    {L("FOO HTTP/1.1\r\n"), DETECT_HTTP1, 9},
    {L("FOO  HTTP/1.1\r\n"), DETECT_HTTP1, 10},
    {L("FOO a HTTP b HTTP/\r\n"), DETECT_HTTP1, 18},
    {L("foo bar http/1.1\n"), DETECT_OPAQUE, 17},
    {L("GET\t/ HTTP/1.1\r\n"), DETECT_HTTP1, 5}, /* HAProxy takes a tab for a space */
    {L("GET \t/"), DETECT_HTTP1, 6},
    {L("GET\x0b/"), DETECT_HTTP1, 5}, /* Python's http.server any white space */
    {L("GET\xa0/"), DETECT_HTTP1, 5},
    {L("GET\r/"), DETECT_HTTP1, 5},
    {L("GET\r\n"), DETECT_OPAQUE, 5},
    {L("GET\0/ HTTP/1.1"), DETECT_OPAQUE, 4},
    {L("FOO\t/a\x0cHTTP/1.1"), DETECT_HTTP1, 12},
    {L("FOO\xa0/a HTTP/1.1"), DETECT_OPAQUE, 4},
    {L("FOO /aHTTP/1.1 \tHTTP/"), DETECT_HTTP1, 21},
    {L("FOO /aHTTP/1.1\n"), DETECT_OPAQUE, 15},
    {L(" GET / HTTP/1.1\r\n"), DETECT_HTTP1, 6},
    {L("\t \r\nFOO x HTTP/"), DETECT_HTTP1, 15},
    {L("0\x0c\x02\x01\x01`\x07"), DETECT_OPAQUE, 3}, /* LDAP */
    {L("0 \x02\x01\x01`\x1b"), DETECT_OPAQUE, 3},
    {L("\r\nGET / HTTP/1.1\r\n"), DETECT_HTTP1, 7},
    {L("\n\n\rFOO x HTTP/"), DETECT_HTTP1, 14},
    {L("\r\n\r\n\0\r\nQUIT\n"), DETECT_OPAQUE, 5}, /* PROXY protocol, version 2 */
    {L("\r\n\r\n"), DETECT_MORE, 0},
    {L("PING\r\n"), DETECT_OPAQUE, 5},
    {L("*1\r\n$4\r\nPING\r\n"), DETECT_OPAQUE, 3}, /* Redis */
    {L("EHLO mail.example\r\n"), DETECT_OPAQUE, 19},
    {L("\x16\x03\x01\x02"), DETECT_OPAQUE, 1},
    {L("\0"), DETECT_OPAQUE, 1},
    {L("(get / http/1.1"), DETECT_OPAQUE, 1},
    {L("SSH-2.0-x\r\n"), DETECT_OPAQUE, 10},
};

static enum detected detect_once(struct slice bytes, size_t *seen)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);
    enum detected is;

    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    is = detect_http(slice_of(copy, bytes.len), seen);
    free(copy);
    return is;
}

static void whole(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t seen = 0;
        enum detected is = detect_once(cases[i].bytes, &seen);

        if (is != cases[i].is)
            fail_msg("%d for \"%.*s\"", is, SLICE_ARGS(cases[i].bytes));
    }
}

/* Byte by byte the answer is the same, and comes with the byte that decides. */
static void in_pieces(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t seen = 0, len = 0;
        enum detected is = DETECT_MORE;

        while (is == DETECT_MORE && len < cases[i].bytes.len)
            is = detect_once(slice_take(cases[i].bytes, ++len), &seen);
        if (is != cases[i].is || (is != DETECT_MORE && len != cases[i].at))
            fail_msg("%d after %zu for \"%.*s\"", is, len, SLICE_ARGS(cases[i].bytes));
    }
}

static void limit(void **state)
{
    static const char *const starts[] = {"", "\r\n", "FOO /", "FOO ", "GET x"}; /* from the fourth on no HTTP */
    static char bytes[LIMIT_HTTP_START_LINE + 100];

    for (size_t i = 0; i < 5; i++) {
        enum detected end = i < 3 ? DETECT_HTTP1 : DETECT_OPAQUE; /* 414, or nothing of ours */
        size_t seen = 0;

        memset(bytes, 'x', sizeof(bytes));
        memcpy(bytes, starts[i], strlen(starts[i]));
        assert_int_equal(detect_http(slice_of(bytes, 1000), &seen), DETECT_MORE);
        assert_int_equal(detect_http(slice_of(bytes, LIMIT_HTTP_START_LINE - 1), &seen), DETECT_MORE);
        assert_int_equal(detect_http(slice_of(bytes, LIMIT_HTTP_START_LINE), &seen), end);
        seen = 0;
        assert_int_equal(detect_http(slice_of(bytes, sizeof(bytes)), &seen), end);
        seen = 0;
        if (i < 2)
            continue;
        memcpy(bytes + LIMIT_HTTP_START_LINE - 5, " HTTP/", 6);
        assert_int_equal(detect_http(slice_of(bytes, sizeof(bytes)), &seen), end);
        memcpy(bytes + LIMIT_HTTP_START_LINE - 6, " HTTP/", 6);
        assert_int_equal(detect_http(slice_of(bytes, LIMIT_HTTP_START_LINE - 1), &seen), DETECT_MORE);
        assert_int_equal(detect_http(slice_of(bytes, sizeof(bytes)), &seen), DETECT_HTTP1);
    }
    memset(bytes, '\n', sizeof(bytes));
    assert_int_equal(detect_http(slice_of(bytes, sizeof(bytes)), &(size_t){0}), DETECT_OPAQUE);
}

static void servers(void **state)
{
    static const struct {
        struct slice bytes;
        enum detected is;
    } servers_cases[] = {
        {{"", 0}, DETECT_MORE},
        {{"\0\0\0\4\0\0\0\0\0", 9}, DETECT_HTTP2},
        {{"\0\0\22\4\0\0\0\0\0\0\3\0\0", 13}, DETECT_HTTP2},
        {{"\0\0\22\4\0", 5}, DETECT_MORE},
        {{"\0\0\23\4\0", 5}, DETECT_OPAQUE},                /* no whole number of settings */
        {{"\0\0\0\4\1\0\0\0\0", 9}, DETECT_OPAQUE},     /* acknowledges nothing */
        {{"\0\0\0\4\0\0\0\0\1", 9}, DETECT_OPAQUE},     /* a stream */
        {{"\0\0\6\7\0\0\0\0\0", 9}, DETECT_OPAQUE},     /* GOAWAY */
        {{"\x4a\0\0\0\x0a8", 6}, DETECT_OPAQUE}, /* MySQL */
        {{"220 mail", 8}, DETECT_OPAQUE},
    };

    for (size_t i = 0; i < sizeof(servers_cases) / sizeof(servers_cases[0]); i++)
        assert_int_equal(detect_server(servers_cases[i].bytes), servers_cases[i].is);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(whole), cmocka_unit_test(in_pieces), cmocka_unit_test(limit),
                                       cmocka_unit_test(servers)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
