#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>

#include "base/limits.h"
#include "codec/http1/http1.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define L(text)                                                                                                        \
    {                                                                                                                  \
        "" text, sizeof(text) - 1                                                                                      \
    }
#define H "Host: h\r\n"

static struct http_field fields[LIMIT_HTTP_FIELDS];

/* A copy of exact size, so that AddressSanitizer sees a byte read too far. */
static char *alone(struct slice s)
{
    char *copy = malloc(s.len ? s.len : 1);

    if (s.len)
        memcpy(copy, s.ptr, s.len);
    return copy;
}

static ssize_t request(struct slice bytes, struct http_head *ret_head, struct http1_framing *ret_framing,
                       struct http1_scan *scan)
{
    *ret_head = (struct http_head){.fields = fields, .room = LIMIT_HTTP_FIELDS};
    return http1_parse_request(bytes, scan, ret_head, ret_framing);
}

static const struct {
    struct slice bytes;
    int status;
} refused[] = {
    /* start line */
    {L("GET /\r\n\r\n"), 400},
    {L("GET  / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET /  HTTP/1.1\r\n" H "\r\n"), 400},
    {L(" GET / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET\t/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET / HTTP/1.1 \r\n" H "\r\n"), 400},
    {L("GET / HTTP/1.1\n" H "\r\n"), 400},
    {L("GET / HTTP/1.1\r" H "\r\n"), 400},
    {L("GET / HTTP/1.1\r\r\n" H "\r\n"), 400},
    {L("\r\n\r\nGET / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("\nGET / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("\r\n GET / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("G\0T / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("G@T / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("G\xc3\x84T / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET: / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET /\0 HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET /\x7f HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET /a\tb HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET /\rx HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET /a b HTTP/1.1\r\n" H "\r\n"), 400},
    /* versions */
    {L("GET / HTTP/2.0\r\n" H "\r\n"), 505},
    {L("GET / HTTP/1.2\r\n" H "\r\n"), 505},
    {L("GET / HTTP/0.9\r\n" H "\r\n"), 505},
    {L("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 505},
    {L("GET / HTTP/1.10\r\n" H "\r\n"), 400},
    {L("GET / HTTP/11\r\n" H "\r\n"), 400},
    {L("GET / HTTP/1,1\r\n" H "\r\n"), 400},
    {L("GET / HTTP/1.\r\n" H "\r\n"), 400},
    {L("GET / http/1.1\r\n" H "\r\n"), 400},
    {L("GET / HTTPS/1.1\r\n" H "\r\n"), 400},
    {L("GET / HTTP/-1.1\r\n" H "\r\n"), 400},
    {L("GET / XTTP/1.1\r\n" H "\r\n"), 400},
    /* targets */
    {L("GET /#f HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET x HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET * HTTP/1.1\r\n" H "\r\n"), 400},
    {L("OPTIONS *x HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET h:80 HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET ftp://h/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http:/h/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http:// HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http:///x HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http://u@h/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http://u:p@h/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http://h:x/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http://h:65536/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http://h\\@g/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http://h?q HTTP/1.1\r\n" H "\r\n"), 400},
    {L("GET http://h/#f HTTP/1.1\r\n" H "\r\n"), 400},
    {L("CONNECT / HTTP/1.1\r\n" H "\r\n"), 400},
    {L("CONNECT h HTTP/1.1\r\n" H "\r\n"), 400},
    {L("CONNECT h: HTTP/1.1\r\n" H "\r\n"), 400},
    {L("CONNECT u@h:1 HTTP/1.1\r\n" H "\r\n"), 400},
    {L("CONNECT http://h:1/ HTTP/1.1\r\n" H "\r\n"), 400},
    {L("CONNECT h:1 HTTP/1.1\r\n" H "Content-Length: 1\r\n\r\n"), 400},
    {L("CONNECT h:1 HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 400},
    /* fields */
    {L("GET / HTTP/1.1\r\n" H " folded\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "\tfolded\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n Host: h\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a: b\r\n c\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost : h\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost\t: h\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H ": x\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "no colon\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a\0b: x\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a(b: x\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a\xc3\xa4: x\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a: x\0\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a: 0123456789\x01"
       "0123456789\r\n\r\n"),
     400},
    {L("GET / HTTP/1.1\r\n" H "a: 0123456789\x7f\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a: x\x0b\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a: x\rb: y\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a: x\nb: y\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "a: x\r\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "\r\r\n"), 400},
    /* Host */
    {L("GET / HTTP/1.1\r\n" H H "\r\n"), 400},
    {L("GET / HTTP/1.1\r\n" H "host: g\r\n\r\n"), 400},
    {L("GET / HTTP/1.0\r\n" H H "\r\n"), 400},
    {L("GET http://h/ HTTP/1.1\r\n" H H "\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: a,b\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: u@h\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: h/x\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: h:80:80\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: h:+80\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: h:99999\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: :80\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: [::1\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: [::1]x\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: [1.2.3.4]\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: [fe80::1%25e]\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: ::1\r\n\r\n"), 400},
    {L("GET / HTTP/1.1\r\nHost: h\xc3\xa4\r\n\r\n"), 400},
    {L("GET http://h/ HTTP/1.1\r\nHost: a b\r\n\r\n"), 400},
    /* Content-Length */
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\ncontent-length: 5\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5, 5\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5,6\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: +5\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: -5\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 0x5\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5 5\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5;\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: five\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length:\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5.0\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: \"5\"\r\n\r\nhello"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 9223372036854775808\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 18446744073709551621\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 99999999999999999999999999\r\n\r\n"), 400},
    /* Transfer-Encoding */
    {L("POST / HTTP/1.1\r\n" H "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: identity\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked, identity\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunked;q=1\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \"chunked\"\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: ,chunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: chunk\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding:\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: \x0b"
       "chunked\r\n\r\n"),
     400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding : chunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "X: y\r\n Transfer-Encoding: chunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n"), 400},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: gzip, chunked\r\n\r\n"), 501},
    {L("POST / HTTP/1.1\r\n" H "Transfer-Encoding: GZIP\r\n\r\n"), 501},
};

static void refusals(void **state)
{
    for (size_t i = 0; i < COUNT(refused); i++) {
        char *bytes = alone(refused[i].bytes);
        struct http1_framing framing;
        struct http1_scan scan = {0};
        struct http_head head;
        ssize_t n = request(slice_of(bytes, refused[i].bytes.len), &head, &framing, &scan);

        if (n != -refused[i].status)
            fail_msg("%zd for \"%.*s\"", n, SLICE_ARGS(refused[i].bytes));
        assert_non_null(scan.refusal);
        assert_int_not_equal(scan.refusal[0], '\0');
        free(bytes);
    }
}

/* However a bad head is cut into pieces, it never gets through. */
static void refusals_in_pieces(void **state)
{
    for (size_t i = 0; i < COUNT(refused); i++)
        for (size_t cut = 1; cut < refused[i].bytes.len; cut++) {
            struct http1_framing framing;
            struct http1_scan scan = {0};
            struct http_head head;
            ssize_t n = 0;

            for (size_t len = cut; n == 0 && len < refused[i].bytes.len; len += cut) {
                char *bytes = alone(slice_take(refused[i].bytes, len));

                n = request(slice_of(bytes, len), &head, &framing, &scan);
                free(bytes);
            }
            if (n == 0)
                n = request(refused[i].bytes, &head, &framing, &scan);
            if (n >= 0)
                fail_msg("%zd with cut %zu for \"%.*s\"", n, cut, SLICE_ARGS(refused[i].bytes));
        }
}

struct accepted {
    struct slice bytes;
    uint8_t version, body;
    uint64_t length;
    const char *flags; /* k keep_alive, c close, u upgrade, e expect, t te_trailers, n no_host, a absolute_form */
    struct slice method, scheme, authority, path;
    unsigned count;
};

static const struct accepted accepted[] = {
    {L("GET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "k", L("GET"), L("http"), L("h"), L("/"), 1},
    {L("\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "k", L("GET"), L("http"), L("h"), L("/"),
     1},
    {L("GET /a?b=c&d=%20 HTTP/1.1\r\nHost:example.com:8080\r\nA:  x y \t\r\nB:\r\nC: \r\n\r\n"), HTTP_1_1,
     HTTP1_BODY_NONE, 0, "k", L("GET"), L("http"), L("example.com:8080"), L("/a?b=c&d=%20"), 4},
    {L("GET /\xc3\xa4\"<>[]^`{|} HTTP/1.1\r\nHost: [2001:db8::1]:80\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "k",
     L("GET"), L("http"), L("[2001:db8::1]:80"), L("/\xc3\xa4\"<>[]^`{|}"), 1},
    {L("GET // HTTP/1.1\r\nHost: a_b.c\r\nX: \xff\ty\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "k", L("GET"), L("http"),
     L("a_b.c"), L("//"), 2},
    {L("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"), HTTP_1_1, HTTP1_BODY_LENGTH, 5, "k", L("POST"),
     L("http"), L("h"), L("/"), 2},
    {L("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9223372036854775807\r\n\r\n"), HTTP_1_1, HTTP1_BODY_LENGTH,
     INT64_MAX, "k", L("POST"), L("http"), L("h"), L("/"), 2},
    {L("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 0\r\n\r\n"), HTTP_1_1, HTTP1_BODY_LENGTH, 0, "k", L("POST"),
     L("http"), L("h"), L("/"), 2},
    {L("POST / HTTP/1.1\r\nHost: h\r\ntransfer-encoding: Chunked\r\n\r\n0\r\n\r\n"), HTTP_1_1, HTTP1_BODY_CHUNKED, 0,
     "k", L("POST"), L("http"), L("h"), L("/"), 2},
    {L("GET / HTTP/1.1\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "kn", L("GET"), L("http"), L(""), L("/"), 0},
    {L("GET / HTTP/1.1\r\nHost:\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "kn", L("GET"), L("http"), L(""), L("/"), 1},
    {L("GET / HTTP/1.0\r\n\r\n"), HTTP_1_0, HTTP1_BODY_NONE, 0, "n", L("GET"), L("http"), L(""), L("/"), 0},
    {L("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n"), HTTP_1_0, HTTP1_BODY_NONE, 0, "kn", L("GET"), L("http"),
     L(""), L("/"), 1},
    {L("GET / HTTP/1.1\r\nHost: h\r\nConnection: x, CLOSE ,keep-alive\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "c",
     L("GET"), L("http"), L("h"), L("/"), 2},
    {L("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0,
     "ku", L("GET"), L("http"), L("h"), L("/"), 3},
    {L("GET / HTTP/1.1\r\nHost: h\r\nConnection: keep-alive\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"),
     HTTP_1_1, HTTP1_BODY_NONE, 0, "ku", L("GET"), L("http"), L("h"), L("/"), 4},
    {L("GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: websocket, h2c\r\n\r\n"), HTTP_1_1,
     HTTP1_BODY_NONE, 0, "k", L("GET"), L("http"), L("h"), L("/"), 3},
    {L("GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "k", L("GET"),
     L("http"), L("h"), L("/"), 2},
    {L("GET / HTTP/1.0\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\n"), HTTP_1_0, HTTP1_BODY_NONE, 0, "n",
     L("GET"), L("http"), L(""), L("/"), 2},
    {L("PUT / HTTP/1.1\r\nHost: h\r\nExpect: 100-Continue\r\nTE: gzip;q=1, trailers\r\nContent-Length: 1\r\n\r\n"),
     HTTP_1_1, HTTP1_BODY_LENGTH, 1, "ket", L("PUT"), L("http"), L("h"), L("/"), 4},
    {L("PUT / HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"), HTTP_1_0, HTTP1_BODY_NONE, 0, "n", L("PUT"), L("http"), L(""),
     L("/"), 1},
    {L("GET http://a:1/x?y HTTP/1.1\r\nHost: b\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "ka", L("GET"), L("http"),
     L("a:1"), L("/x?y"), 1},
    {L("GET HTTPS://a HTTP/1.1\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "ka", L("GET"), L("https"), L("a"), L("/"), 0},
    {L("GET http://a/b@c HTTP/1.1\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "ka", L("GET"), L("http"), L("a"), L("/b@c"),
     0},
    {L("OPTIONS http://a HTTP/1.1\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "ka", L("OPTIONS"), L("http"), L("a"),
     L("*"), 0},
    {L("OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "k", L("OPTIONS"), L("http"), L("h"),
     L("*"), 1},
    {L("CONNECT a:443 HTTP/1.1\r\nHost: b\r\nContent-Length: 0\r\n\r\nraw"), HTTP_1_1, HTTP1_BODY_TUNNEL, 0, "k",
     L("CONNECT"), L(""), L("a:443"), L(""), 2},
    {L("MY-METHOD! / HTTP/1.1\r\nHost: h:\r\n\r\n"), HTTP_1_1, HTTP1_BODY_NONE, 0, "k", L("MY-METHOD!"), L("http"),
     L("h:"), L("/"), 1},
};

static void check_slice(const char *what, const struct accepted *want, struct slice is, struct slice expected)
{
    if (!slice_eq(is, expected))
        fail_msg("%s \"%.*s\" for \"%.*s\"", what, SLICE_ARGS(is), SLICE_ARGS(want->bytes));
}

static size_t head_len(const struct accepted *want)
{
    return slice_find_slice(want->bytes, SLICE_LIT("\r\n\r\n")) + 4;
}

static void check_accepted(const struct accepted *want, ssize_t n, const struct http_head *head,
                           const struct http1_framing *framing)
{
    char flags[16] = "";
    size_t at = 0;

    if (n != (ssize_t)head_len(want))
        fail_msg("%zd for \"%.*s\"", n, SLICE_ARGS(want->bytes));
#define FLAG(set, letter)                                                                                              \
    if (set)                                                                                                           \
    flags[at++] = (letter)
    FLAG(framing->keep_alive, 'k');
    FLAG(framing->close, 'c');
    FLAG(framing->upgrade, 'u');
    FLAG(framing->expect_continue, 'e');
    FLAG(framing->te_trailers, 't');
    FLAG(framing->no_host, 'n');
    FLAG(head->absolute_form, 'a');
#undef FLAG
    flags[at] = '\0';
    if (strcmp(flags, want->flags) != 0)
        fail_msg("flags %s for \"%.*s\"", flags, SLICE_ARGS(want->bytes));
    assert_int_equal(head->version, want->version);
    assert_int_equal(framing->body, want->body);
    assert_int_equal(framing->length, want->length);
    assert_int_equal(head->count, want->count);
    check_slice("method", want, head->method, want->method);
    check_slice("scheme", want, head->scheme, want->scheme);
    check_slice("authority", want, head->authority, want->authority);
    check_slice("path", want, head->path, want->path);
    if (want->authority.len && http_find(head, HTTP_TOKEN_HOST))
        check_slice("Host", want, http_find(head, HTTP_TOKEN_HOST)->value, want->authority);
}

static void acceptance(void **state)
{
    for (size_t i = 0; i < COUNT(accepted); i++) {
        char *bytes = alone(accepted[i].bytes);
        struct http1_framing framing;
        struct http1_scan scan = {0};
        struct http_head head;
        ssize_t n = request(slice_of(bytes, accepted[i].bytes.len), &head, &framing, &scan);

        check_accepted(&accepted[i], n, &head, &framing);
        assert_int_equal(scan.seen, 0);
        free(bytes);
    }
}

/* Cut anywhere, into equal pieces of any size, the result is the same, and nothing is said before the head is there. */
static void acceptance_in_pieces(void **state)
{
    for (size_t i = 0; i < COUNT(accepted); i++) {
        for (size_t cut = 1; cut < head_len(&accepted[i]); cut++) {
            struct http1_framing framing;
            struct http1_scan scan = {0};
            struct http_head head;
            ssize_t n;

            for (size_t len = cut; len < head_len(&accepted[i]); len += cut) {
                char *bytes = alone(slice_take(accepted[i].bytes, len));

                assert_int_equal(request(slice_of(bytes, len), &head, &framing, &scan), 0);
                free(bytes);
            }
            n = request(accepted[i].bytes, &head, &framing, &scan);
            check_accepted(&accepted[i], n, &head, &framing);
        }
    }
}

static void field_values(void **state)
{
    struct http1_framing framing;
    struct http1_scan scan = {0};
    struct http_head head;

    assert_true(request(SLICE_LIT("GET / HTTP/1.1\r\nhOST: h\r\nA: \t x\ty  \t\r\nB:\r\nl5d-client-id: x\r\n\r\n"),
                        &head, &framing, &scan) > 0);
    assert_int_equal(head.count, 4);
    assert_true(slice_eq(fields[0].name, SLICE_LIT("hOST")));
    assert_int_equal(fields[0].token, HTTP_TOKEN_HOST);
    assert_true(slice_eq(fields[1].value, SLICE_LIT("x\ty")));
    assert_int_equal(fields[1].token, HTTP_TOKEN_OTHER);
    assert_int_equal(fields[2].value.len, 0);
    assert_int_equal(fields[3].token, HTTP_TOKEN_L5D_CLIENT_ID);
}

/* A head built of a start line of one length and fields of another. */
static char *big_head(size_t path_len, unsigned count, size_t value_len, bool end, size_t *ret_len)
{
    char *bytes = malloc(path_len + count * (value_len + 16) + 64), *at = bytes;

    at += snprintf(at, 32, "GET /");
    memset(at, 'p', path_len);
    at += path_len;
    at += snprintf(at, 32, " HTTP/1.1\r\n");
    for (unsigned i = 0; i < count; i++) {
        at += snprintf(at, 32, "f%u: ", i);
        memset(at, 'v', value_len);
        at += value_len;
        at += snprintf(at, 8, "\r\n");
    }
    if (end)
        at += snprintf(at, 8, "\r\n");
    *ret_len = (size_t)(at - bytes);
    return bytes;
}

static void limits(void **state)
{
    static const struct {
        size_t path_len;
        unsigned count;
        size_t value_len;
        bool end;
        int status; /* 0: complete or incomplete */
    } cases[] = {
        {LIMIT_HTTP_START_LINE - 16, 0, 0, true, 0},
        {LIMIT_HTTP_START_LINE - 15, 0, 0, true, 414},
        {LIMIT_HTTP_START_LINE + 100, 0, 0, true, 414},
        {LIMIT_HTTP_START_LINE - 16, 0, 0, false, 0},
        {1, LIMIT_HTTP_FIELDS, 1, true, 0},
        {1, LIMIT_HTTP_FIELDS + 1, 1, true, 431},
        {1, 1, LIMIT_HTTP_HEAD - 8, true, 0},
        {1, 1, LIMIT_HTTP_HEAD - 7, true, 431},
        {1, 1, LIMIT_HTTP_HEAD - 6, false, 0},
        {1, 1, LIMIT_HTTP_HEAD - 5, false, 431},
        {1, 100, 10000, true, 431},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (int pieces = 0; pieces < 2; pieces++) {
            struct http1_framing framing;
            struct http1_scan scan = {0};
            struct http_head head;
            size_t len;
            char *bytes = big_head(cases[i].path_len, cases[i].count, cases[i].value_len, cases[i].end, &len);
            ssize_t n = 0;

            for (size_t part = 997; pieces && n == 0 && part < len; part += 997)
                n = request(slice_of(bytes, part), &head, &framing, &scan);
            if (n == 0)
                n = request(slice_of(bytes, len), &head, &framing, &scan);
            assert_int_equal(n < 0 ? -n : 0, cases[i].status);
            if (n >= 0)
                assert_int_equal(n, cases[i].end ? len : 0);
            free(bytes);
        }
}

/* A line that never ends is refused at the limit, not later. */
static void endless_line(void **state)
{
    static char bytes[LIMIT_HTTP_START_LINE + 2];
    struct http1_framing framing;
    struct http1_scan scan = {0};
    struct http_head head;

    memset(bytes, 'A', sizeof(bytes));
    assert_int_equal(request(slice_of(bytes, LIMIT_HTTP_START_LINE), &head, &framing, &scan), 0);
    assert_int_equal(request(slice_of(bytes, LIMIT_HTTP_START_LINE + 1), &head, &framing, &scan), -414);
}

static void less_room(void **state)
{
    struct http_head head = {.fields = fields, .room = 1};
    struct http1_framing framing;
    struct http1_scan scan = {0};

    assert_int_equal(http1_parse_request(SLICE_LIT("GET / HTTP/1.1\r\na: b\r\nc: d\r\n\r\n"), &scan, &head, &framing),
                     -431);
}

static void connection_options(void **state)
{
    char bytes[512] = "GET / HTTP/1.1\r\nConnection: a";
    struct http1_framing framing;
    struct http1_scan scan = {0};
    struct http_head head;

    for (int i = 1; i < LIMIT_HTTP_CONNECTION_OPTIONS; i++)
        strncat(bytes, ",b", sizeof(bytes) - strlen(bytes) - 1);
    strncat(bytes, "\r\n\r\n", sizeof(bytes) - strlen(bytes) - 1);
    assert_true(request(slice_str(bytes), &head, &framing, &scan) > 0);
    bytes[strlen(bytes) - 4] = '\0';
    strncat(bytes, ",c\r\n\r\n", sizeof(bytes) - strlen(bytes) - 1);
    assert_int_equal(request(slice_str(bytes), &head, &framing, &scan), -400);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals),
        cmocka_unit_test(refusals_in_pieces),
        cmocka_unit_test(acceptance),
        cmocka_unit_test(field_values),
        cmocka_unit_test(acceptance_in_pieces),
        cmocka_unit_test(limits),
        cmocka_unit_test(endless_line),
        cmocka_unit_test(less_room),
        cmocka_unit_test(connection_options),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
