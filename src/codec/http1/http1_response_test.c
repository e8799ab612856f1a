#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/limits.h"
#include "codec/http1/http1.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define L(text)                                                                                                        \
    {                                                                                                                  \
        "" text, sizeof(text) - 1                                                                                      \
    }

enum { GET = 0, HEAD = HTTP1_ASKED_HEAD, CONNECT = HTTP1_ASKED_CONNECT, UPGRADE = HTTP1_ASKED_UPGRADE };

static struct http_field fields[LIMIT_HTTP_FIELDS];

static ssize_t response(struct slice bytes, unsigned asked, struct http_head *ret_head,
                        struct http1_framing *ret_framing, struct http1_scan *scan)
{
    *ret_head = (struct http_head){.fields = fields, .room = LIMIT_HTTP_FIELDS};
    return http1_parse_response(bytes, asked, scan, ret_head, ret_framing);
}

static void refusals(void **state)
{
    static const struct {
        unsigned asked;
        struct slice bytes;
    } cases[] = {
        {GET, L("HTTP/1.1 200 OK\n\n")},
        {GET, L("HTTP/1.1 200 OK\r\n\n")},
        {GET, L("\r\nHTTP/1.1 200 OK\r\n\r\n")},
        {GET, L("HTTP/2.0 200 OK\r\n\r\n")},
        {GET, L("HTTP/1.2 200 OK\r\n\r\n")},
        {GET, L("ICY 200 OK\r\n\r\n")},
        {GET, L("HTTP/1.1  200 OK\r\n\r\n")},
        {GET, L("HTTP/1.1 20 OK\r\n\r\n")},
        {GET, L("HTTP/1.1 2000 OK\r\n\r\n")},
        {GET, L("HTTP/1.1 099 OK\r\n\r\n")},
        {GET, L("HTTP/1.1 2x0 OK\r\n\r\n")},
        {GET, L("HTTP/1.1 -20 OK\r\n\r\n")},
        {GET, L("HTTP/1.1 200\tOK\r\n\r\n")},
        {GET, L("HTTP/1.1 200 O\0K\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nA : b\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nA: b\r\n c\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nA: \x01\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nContent-Length: 1,1\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {GET, L("HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n")},
        {GET, L("HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\n")},
        {GET, L("HTTP/1.1 304 OK\r\nContent-Length: x\r\n\r\n")},
        {GET, L("HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http1_framing framing;
        struct http1_scan scan = {0};
        struct http_head head;
        ssize_t n = response(cases[i].bytes, cases[i].asked, &head, &framing, &scan);

        if (n != -502)
            fail_msg("%zd for \"%.*s\"", n, SLICE_ARGS(cases[i].bytes));
        assert_non_null(scan.refusal);
    }
}

static void acceptance(void **state)
{
    static const struct {
        unsigned asked;
        struct slice bytes;
        unsigned status, body;
        uint64_t length;
        const char *flags; /* k keep_alive, c close, i interim, u upgrade, l has Content-Length */
        struct slice reason;
    } cases[] = {
        {GET, L("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 5, "kl", L("OK")},
        {GET, L("HTTP/1.1 200\r\nContent-Length: 0\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 0, "kl", L("")},
        {GET, L("HTTP/1.1 200 \r\nContent-Length: 0\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 0, "kl", L("")},
        {GET, L("HTTP/1.1 999 x \xe4\ty\r\ncontent-length:0\r\n\r\n"), 999, HTTP1_BODY_LENGTH, 0, "kl", L("x \xe4\ty")},
        {GET, L("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 200, HTTP1_BODY_CHUNKED, 0, "k", L("OK")},
        {GET, L("HTTP/1.1 200 OK\r\n\r\n"), 200, HTTP1_BODY_UNTIL_CLOSE, 0, "", L("OK")},
        {GET, L("HTTP/1.0 200 OK\r\n\r\n"), 200, HTTP1_BODY_UNTIL_CLOSE, 0, "", L("OK")},
        {GET, L("HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 1, "l", L("OK")},
        {GET, L("HTTP/1.0 200 OK\r\nContent-Length: 1\r\nConnection: keep-alive\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 1,
         "kl", L("OK")},
        {GET, L("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 1, "cl",
         L("OK")},
        {HEAD, L("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), 200, HTTP1_BODY_NONE, 0, "kl", L("OK")},
        {HEAD, L("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 200, HTTP1_BODY_NONE, 0, "k", L("OK")},
        {HEAD, L("HTTP/1.1 200 OK\r\n\r\n"), 200, HTTP1_BODY_NONE, 0, "k", L("OK")},
        {GET, L("HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n"), 204, HTTP1_BODY_NONE, 0, "k", L("No Content")},
        {GET, L("HTTP/1.1 304 Not Modified\r\nContent-Length: 5\r\n\r\n"), 304, HTTP1_BODY_NONE, 0, "kl",
         L("Not Modified")},
        {GET, L("HTTP/1.1 100 Continue\r\n\r\n"), 100, HTTP1_BODY_NONE, 0, "ki", L("Continue")},
        {GET, L("HTTP/1.1 103 Early Hints\r\nContent-Length: 5\r\n\r\n"), 103, HTTP1_BODY_NONE, 0, "ki",
         L("Early Hints")},
        {UPGRADE, L("HTTP/1.1 101 X\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), 101, HTTP1_BODY_TUNNEL, 0,
         "u", L("X")},
        {UPGRADE, L("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 1, "kl", L("OK")},
        {GET, L("HTTP/1.1 426 X\r\nUpgrade: TLS/1.2\r\nContent-Length: 0\r\n\r\n"), 426, HTTP1_BODY_LENGTH, 0, "kul",
         L("X")},
        {CONNECT, L("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"), 200, HTTP1_BODY_TUNNEL, 0, "", L("OK")},
        {CONNECT, L("HTTP/1.1 299 OK\r\nTransfer-Encoding: chunked\r\n\r\n"), 299, HTTP1_BODY_TUNNEL, 0, "", L("OK")},
        {CONNECT, L("HTTP/1.1 403 No\r\nContent-Length: 5\r\n\r\n"), 403, HTTP1_BODY_LENGTH, 5, "kl", L("No")},
        {GET, L("HTTP/1.1 200 OK\r\nHost: a b\r\nHost: c\r\nContent-Length: 0\r\n\r\n"), 200, HTTP1_BODY_LENGTH, 0,
         "kl", L("OK")}, /* means nothing here */
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t cut = 1; cut <= cases[i].bytes.len; cut++) {
            struct http1_framing framing;
            struct http1_scan scan = {0};
            struct http_head head;
            char flags[8] = "";
            size_t at = 0;
            ssize_t n;

            for (size_t len = cut; len < cases[i].bytes.len; len += cut)
                assert_int_equal(response(slice_take(cases[i].bytes, len), cases[i].asked, &head, &framing, &scan), 0);
            n = response(cases[i].bytes, cases[i].asked, &head, &framing, &scan);
            if (n != (ssize_t)cases[i].bytes.len)
                fail_msg("%zd for \"%.*s\"", n, SLICE_ARGS(cases[i].bytes));
#define FLAG(set, letter)                                                                                              \
    if (set)                                                                                                           \
    flags[at++] = (letter)
            FLAG(framing.keep_alive, 'k');
            FLAG(framing.close, 'c');
            FLAG(framing.interim, 'i');
            FLAG(framing.upgrade, 'u');
            FLAG(http_find(&head, HTTP_TOKEN_CONTENT_LENGTH), 'l');
#undef FLAG
            flags[at] = '\0';
            if (strcmp(flags, cases[i].flags) != 0 || framing.body != cases[i].body)
                fail_msg("%s body %d for \"%.*s\"", flags, framing.body, SLICE_ARGS(cases[i].bytes));
            assert_int_equal(head.status, cases[i].status);
            assert_int_equal(framing.length, cases[i].length);
            assert_true(slice_eq(framing.reason, cases[i].reason));
        }
}

static void strip(struct slice bytes, bool keep_upgrade, const char *expected)
{
    struct http_head head = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
    struct http1_framing framing;
    struct http1_scan scan = {0};
    char text[512] = "";

    assert_int_equal(http1_parse_request(bytes, &scan, &head, &framing), bytes.len);
    http1_strip_hop(&head, keep_upgrade);
    for (unsigned i = 0; i < head.count; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s=%.*s;", SLICE_ARGS(head.fields[i].name),
                 SLICE_ARGS(head.fields[i].value));
    assert_string_equal(text, expected);
}

static void hop_by_hop(void **state)
{
    strip(
        SLICE_LIT("GET / HTTP/1.1\r\nHost: h\r\nConnection: close, X-Hop\r\nX-Hop: 1\r\nx-hop: 2\r\nKeep-Alive: 5\r\n"
                  "Proxy-Connection: x\r\nTE: gzip\r\nTransfer-Encoding: chunked\r\nUpgrade: a\r\nHTTP2-Settings: b\r\n"
                  "Kept: yes\r\n\r\n"),
        false, "Host=h;Kept=yes;");
    strip(SLICE_LIT("GET / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), true,
          "Host=h;Upgrade=websocket;");
    strip(SLICE_LIT("GET / HTTP/1.1\r\nHost: h\r\nTE: gzip;q=1, Trailers\r\nTE: trailers\r\n\r\n"), false,
          "Host=h;TE=trailers;");
    strip(SLICE_LIT(
              "POST / HTTP/1.1\r\nHost: h\r\nConnection: Host, Content-Length, Cookie, Authorization, "
              "L5D-Client-Id, l5d-proxy-x, X-Forwarded-For, a\r\nConnection: b\r\nContent-Length: 3\r\nCookie: c\r\n"
              "Authorization: z\r\nl5d-client-id: i\r\nl5d-proxy-x: p\r\nx-forwarded-for: f\r\na: 1\r\nb: 2\r\nc: "
              "3\r\n\r\n"),
          false,
          "Host=h;Content-Length=3;Cookie=c;Authorization=z;l5d-client-id=i;l5d-proxy-x=p;x-forwarded-for=f;c=3;");
}

static void tokens(void **state)
{
    for (int token = 1; token < HTTP_TOKEN_COUNT; token++) {
        char upper[64];
        struct slice name = http_token_name((enum http_token)token);

        if (token == HTTP_TOKEN_L5D_PROXY_OTHER)
            continue;
        assert_true(name.len > 0 && name.len < sizeof(upper));
        for (size_t i = 0; i < name.len; i++)
            upper[i] = (char)(name.ptr[i] >= 'a' && name.ptr[i] <= 'z' ? name.ptr[i] - 32 : name.ptr[i]);
        assert_int_equal(http_token_of(name), token);
        assert_int_equal(http_token_of(slice_of(upper, name.len)), token);
        upper[0] = '*';
        assert_int_equal(http_token_of(slice_of(upper, name.len)), HTTP_TOKEN_OTHER);
    }
    assert_int_equal(http_token_of(SLICE_LIT("L5d-Proxy-x")), HTTP_TOKEN_L5D_PROXY_OTHER);
    assert_int_equal(http_token_of(SLICE_LIT("l5d-proxy-")), HTTP_TOKEN_L5D_PROXY_OTHER);
    assert_int_equal(http_token_of(SLICE_LIT("l5d-proxy")), HTTP_TOKEN_OTHER);
    assert_int_equal(http_token_of(SLICE_LIT("")), HTTP_TOKEN_OTHER);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(acceptance),
        cmocka_unit_test(hop_by_hop),
        cmocka_unit_test(tokens),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
