#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/limits.h"
#include "codec/http1/http1.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define L(text)                                                                                                        \
    {                                                                                                                  \
        "" text, sizeof(text) - 1                                                                                      \
    }

static struct http_field fields[LIMIT_HTTP_FIELDS];

/* Feeds pieces of `cut` bytes; the data in `out`; how many bytes were taken up to the trailers, or -400. */
static ssize_t decode(struct slice in, size_t cut, char *out, size_t *ret_len, struct http1_chunked *chunked)
{
    size_t at = 0, len = 0;

    while (at < in.len && chunked->state != HTTP1_CHUNKED_TRAILERS) {
        struct slice part = slice_take(slice_skip(in, at), cut), data;

        while (part.len && chunked->state != HTTP1_CHUNKED_TRAILERS) {
            ssize_t n = http1_chunked_feed(chunked, part, &data);

            if (n < 0)
                return n;
            assert_true(n > 0 && (size_t)n <= part.len);
            if (data.len) {
                assert_true(data.ptr >= part.ptr && data.ptr + data.len <= part.ptr + part.len);
                memcpy(out + len, data.ptr, data.len);
            }
            len += data.len;
            at += (size_t)n;
            part = slice_skip(part, (size_t)n);
        }
    }
    *ret_len = len;
    return (ssize_t)at;
}

static void chunked_good(void **state)
{
    static const struct {
        struct slice in, data;
        size_t left; /* bytes behind the last chunk's line */
    } cases[] = {
        {L("0\r\n\r\n"), L(""), 2},
        {L("5\r\nhello\r\n0\r\n\r\n"), L("hello"), 2},
        {L("5;a=b\r\nhello\r\n6;c=\"d e\"; f \t\r\n world\r\n000;x\r\nT: v\r\n\r\n"), L("hello world"), 8},
        {L("0000000000a\r\n0123456789\r\n0\r\n\r\n"), L("0123456789"), 2},
        {L("B\r\n\r\n0\r\n\r\n0\r\n\r\r\n0\r\n\r\n"), L("\r\n0\r\n\r\n0\r\n\r"), 2},
        {L("1\r\na\r\n0\r\n\r\nGET / HTTP/1.1\r\n"), L("a"), 18},
    };
    char out[64];

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t cut = 1; cut <= cases[i].in.len; cut++) {
            struct http1_chunked chunked = {0};
            size_t len = 0;
            ssize_t n = decode(cases[i].in, cut, out, &len, &chunked);

            assert_int_equal(n, cases[i].in.len - cases[i].left);
            assert_int_equal(chunked.state, HTTP1_CHUNKED_TRAILERS);
            assert_true(slice_eq(slice_of(out, len), cases[i].data));
        }
}

static void chunked_bad(void **state)
{
    static const struct slice cases[] = {
        L("\r\n"),
        L("g\r\n"),
        L(";a\r\n"),
        L(" 5\r\nhello\r\n"),
        L("5 \r\nhello\r\n"),
        L("5 ;a\r\nhello\r\n"),
        L("+5\r\nhello\r\n"),
        L("-5\r\nhello\r\n"),
        L("0x5\r\nhello\r\n"),
        L("5\nhello\r\n"),
        L("5\r hello\r\n"),
        L("5;a\nhello\r\n"),
        L("5;a\0\r\nhello\r\n"),
        L("5;a\r\r\nhello\r\n"),
        L("5\r\nhello!\r\n"),
        L("5\r\nhello\n"),
        L("5\r\nhello\r0\r\n"),
        L("5\r\nhello0\r\n\r\n"),
        L("0\n\r\n"),
        L("10000000000000000\r\n"),
        L("ffffffffffffffff\r\n"),
        L("8000000000000000\r\n"),
        L("fffffffffffffffffffffffff\r\n"),
        L("5\r\nhello\r\n\r\n"),
        L("5_0\r\n"),
        L("\xb5\r\n"),
    };
    char out[64];

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t cut = 1; cut <= cases[i].len; cut++) {
            struct http1_chunked chunked = {0};
            struct slice data;
            size_t len;
            ssize_t n = decode(cases[i], cut, out, &len, &chunked);

            if (n != -400)
                fail_msg("%zd for \"%.*s\"", n, SLICE_ARGS(cases[i]));
            assert_int_equal(chunked.state, HTTP1_CHUNKED_FAILED);
            assert_non_null(chunked.refusal);
            assert_int_equal(http1_chunked_feed(&chunked, SLICE_LIT("0\r\n\r\n"), &data), -400); /* for good */
        }
}

static void chunked_limits(void **state)
{
    char in[LIMIT_HTTP_CHUNK_LINE + 8], out[8];
    struct http1_chunked chunked = {0};
    size_t len;

    memset(in, '0', sizeof(in)); /* zeros count as well */
    assert_int_equal(decode(slice_of(in, LIMIT_HTTP_CHUNK_LINE), 1, out, &len, &chunked), LIMIT_HTTP_CHUNK_LINE);
    assert_int_equal(decode(slice_of(in, 1), 1, out, &len, &chunked), -400);
    chunked = (struct http1_chunked){0};
    memset(in + 1, 'e', sizeof(in) - 1);
    in[0] = '1';
    in[1] = ';';
    assert_int_equal(decode(slice_of(in, sizeof(in)), 7, out, &len, &chunked), -400);
    chunked = (struct http1_chunked){0};
    assert_int_equal(decode(SLICE_LIT("7fffffffffffffff\r\nxyz"), 100, out, &len, &chunked), 21);
    assert_int_equal(chunked.left, INT64_MAX - 3);
    assert_int_equal(len, 3);
}

static void trailers_read(void **state)
{
    static const struct {
        struct slice in;
        int r; /* 0: all of it */
        const char *kept;
    } cases[] = {
        {L("\r\n"), 0, ""},
        {L("A: b\r\ngrpc-status: 0\r\n\r\n"), 0, "A=b;grpc-status=0;"},
        {L("Content-Length: 5\r\nTransfer-Encoding: chunked\r\nHost: h\r\nl5d-client-id: x\r\nX: y\r\nCookie: c\r\n"
           "Authorization: a\r\nSet-Cookie: s\r\nTrailer: t\r\nConnection: close\r\nContent-Type: d\r\n\r\n"),
         0, "X=y;"},
        {L("A: b\r\n c\r\n\r\n"), -400, ""},
        {L("A : b\r\n\r\n"), -400, ""},
        {L("A: b\n\r\n"), -400, ""},
        {L("A: \0\r\n\r\n"), -400, ""},
        {L("\n"), -400, ""},
        {L("\r\r\n"), -400, ""},
        {L("GET / HTTP/1.1\r\n\r\n"), -400, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (size_t cut = 1; cut <= cases[i].in.len; cut++) {
            struct http_head head = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
            struct http1_scan scan = {0};
            char text[256] = "";
            ssize_t n = 0;

            for (size_t len = cut; n == 0 && len < cases[i].in.len; len += cut)
                n = http1_parse_trailers(slice_take(cases[i].in, len), &scan, &head);
            if (n == 0)
                n = http1_parse_trailers(cases[i].in, &scan, &head);
            assert_int_equal(n, cases[i].r ? cases[i].r : (ssize_t)cases[i].in.len);
            for (unsigned j = 0; n > 0 && j < head.count; j++)
                snprintf(text + strlen(text), sizeof(text) - strlen(text), "%.*s=%.*s;",
                         SLICE_ARGS(head.fields[j].name), SLICE_ARGS(head.fields[j].value));
            assert_string_equal(text, cases[i].kept);
        }
}

static void trailers_limit(void **state)
{
    static char in[LIMIT_HTTP_TRAILERS + 2] = "A: ";
    struct http_head head = {.fields = fields, .room = 4};
    struct http1_scan scan = {0};

    memset(in + 3, 'x', sizeof(in) - 3);
    assert_int_equal(http1_parse_trailers(slice_of(in, 100), &scan, &head), 0);
    assert_int_equal(http1_parse_trailers(slice_of(in, LIMIT_HTTP_TRAILERS), &scan, &head), 0);
    assert_int_equal(http1_parse_trailers(slice_of(in, LIMIT_HTTP_TRAILERS + 1), &scan, &head), -431);
    scan = (struct http1_scan){0};
    assert_int_equal(http1_parse_trailers(SLICE_LIT("a: 1\r\na: 1\r\na: 1\r\na: 1\r\na: 1\r\n\r\n"), &scan, &head),
                     -431);
}

/* --- writing --- */

static struct page_pool pool;

static void expect_bytes(struct chain *chain, const char *expected)
{
    static char text[6 * LIMIT_BUFFER_PAGE];
    size_t len = chain_copy(chain, text, sizeof(text) - 1);

    text[len] = '\0';
    assert_string_equal(text, expected);
    chain_clear(chain);
    assert_int_equal(pool.lent, 0);
}

#define F(token, name, value)                                                                                          \
    {                                                                                                                  \
        L(name), L(value), token, 0                                                                                    \
    }

static void write_requests(void **state)
{
    static struct http_field list[] = {
        F(HTTP_TOKEN_OTHER, "aCCept", "*/*"),
        F(HTTP_TOKEN_HOST, "hOst", "old"),
        F(HTTP_TOKEN_CONTENT_LENGTH, "content-length", "77"),
        F(HTTP_TOKEN_CONNECTION, "Connection", "x"),
        F(HTTP_TOKEN_UPGRADE, "Upgrade", "websocket"),
        F(HTTP_TOKEN_TE, "te", "trailers"),
        F(HTTP_TOKEN_TRANSFER_ENCODING, "Transfer-Encoding", "chunked"),
    };
    static const struct {
        struct http_head head;
        struct http1_framing framing;
        const char *bytes; /* NULL: -EINVAL */
    } cases[] = {
        {{HTTP_1_1, false, 0, L("GET"), L("http"), L("h"), L("/x"), list, 2, 2},
         {0},
         "GET /x HTTP/1.1\r\naCCept: */*\r\nhOst: h\r\n\r\n"},
        {{HTTP_2, false, 0, L("POST"), L("http"), L("h"), L("/x"), list, 1, 2},
         {.body = HTTP1_BODY_LENGTH, .length = UINT64_MAX},
         "POST /x HTTP/1.1\r\nHost: h\r\naCCept: */*\r\nContent-Length: 18446744073709551615\r\n\r\n"},
        {{HTTP_1_0, true, 0, L("GET"), L("https"), L("h:1"), L("/x?y"), list, 7, 7},
         {.keep_alive = true},
         "GET https://h:1/x?y HTTP/1.0\r\naCCept: */*\r\nhOst: h:1\r\nConnection: keep-alive\r\ncontent-length: "
         "0\r\n\r\n"},
        {{HTTP_1_1, false, 0, L("PUT"), L("http"), L("h"), L("/"), list, 7, 7},
         {.body = HTTP1_BODY_CHUNKED, .close = true, .upgrade = true, .te_trailers = true},
         "PUT / HTTP/1.1\r\naCCept: */*\r\nhOst: h\r\nUpgrade: websocket\r\nConnection: close, upgrade, TE\r\nTE: "
         "trailers\r\n"
         "Transfer-Encoding: chunked\r\n\r\n"},
        {{HTTP_1_1, false, 0, L("GET"), L("http"), L(""), L("/"), list, 2, 2},
         {0},
         "GET / HTTP/1.1\r\naCCept: */*\r\nhOst: old\r\n\r\n"},
        {{HTTP_1_1, false, 0, L("CONNECT"), L(""), L("h:443"), L(""), list, 0, 0},
         {.body = HTTP1_BODY_TUNNEL},
         "CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n"},
        {{HTTP_1_1, true, 0, L("OPTIONS"), L("http"), L("h"), L("*"), list, 0, 0},
         {0},
         "OPTIONS http://h HTTP/1.1\r\nHost: h\r\n\r\n"},
        {{HTTP_1_1, false, 0, L("OPTIONS"), L("http"), L("h"), L("*"), list, 0, 0},
         {0},
         "OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n"},
        {{HTTP_1_1, false, 0, L("GET"), L("http"), L("h"), L("x"), list, 0, 0}, {0}, NULL},
        {{HTTP_1_1, false, 0, L("GET"), L("http"), L("h"), L(""), list, 0, 0}, {0}, NULL},
        {{HTTP_1_1, false, 0, L("GET"), L("http"), L("h"), L("/ x"), list, 0, 0}, {0}, NULL},
        {{HTTP_1_1, false, 0, L("GET"), L("http"), L("h"), L("/\r\nx"), list, 0, 0}, {0}, NULL},
        {{HTTP_1_1, false, 0, L("GET"), L("http"), L("h\r\nx: y"), L("/"), list, 0, 0}, {0}, NULL},
        {{HTTP_1_1, false, 0, L("G T"), L("http"), L("h"), L("/"), list, 0, 0}, {0}, NULL},
        {{HTTP_1_1, false, 0, L(""), L("http"), L("h"), L("/"), list, 0, 0}, {0}, NULL},
        {{HTTP_1_1, false, 0, L("CONNECT"), L(""), L(""), L(""), list, 0, 0}, {0}, NULL},
    };
    struct chain chain;

    chain_init(&chain, &pool);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int r = http1_write_request(&chain, &cases[i].head, &cases[i].framing);

        assert_int_equal(r, cases[i].bytes ? 0 : -EINVAL);
        expect_bytes(&chain, cases[i].bytes ? cases[i].bytes : "");
    }
}

static void write_responses(void **state)
{
    static struct http_field list[] = {
        F(HTTP_TOKEN_OTHER, "Server", "x"),
        F(HTTP_TOKEN_CONTENT_LENGTH, "Content-Length", "77"),
        F(HTTP_TOKEN_UPGRADE, "Upgrade", "websocket"),
        F(HTTP_TOKEN_HOST, "Host", "odd"),
    };
    static const struct {
        struct http_head head;
        struct http1_framing framing;
        const char *bytes;
    } cases[] = {
        {{HTTP_1_1, .status = 200, .fields = list, .count = 4},
         {.body = HTTP1_BODY_LENGTH, .length = 5, .keep_alive = true},
         "HTTP/1.1 200 OK\r\nServer: x\r\nHost: odd\r\nContent-Length: 5\r\n\r\n"},
        {{HTTP_1_0, .status = 404, .fields = list, .count = 1},
         {.body = HTTP1_BODY_UNTIL_CLOSE, .close = true, .reason = L("Not here")},
         "HTTP/1.0 404 Not here\r\nServer: x\r\nConnection: close\r\n\r\n"},
        {{HTTP_1_1, .status = 304, .fields = list, .count = 2},
         {.body = HTTP1_BODY_NONE},
         "HTTP/1.1 304 Not Modified\r\nServer: x\r\nContent-Length: 77\r\n\r\n"},
        {{HTTP_1_1, .status = 204, .fields = list, .count = 2},
         {.body = HTTP1_BODY_NONE},
         "HTTP/1.1 204 No Content\r\nServer: x\r\n\r\n"},
        {{HTTP_1_1, .status = 101, .fields = list, .count = 3},
         {.body = HTTP1_BODY_TUNNEL, .upgrade = true},
         "HTTP/1.1 101 Switching Protocols\r\nServer: x\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n"},
        {{HTTP_1_1, .status = 799},
         {.body = HTTP1_BODY_CHUNKED},
         "HTTP/1.1 799 \r\nTransfer-Encoding: chunked\r\n\r\n"},
        {{HTTP_1_1, .status = 200}, {.reason = L("a\r\nb: c")}, NULL},
        {{HTTP_1_1, .status = 99}, {0}, NULL},
        {{HTTP_1_1, .status = 1000}, {0}, NULL},
    };
    struct chain chain;

    chain_init(&chain, &pool);
    for (size_t i = 0; i < COUNT(cases); i++) {
        int r = http1_write_response(&chain, &cases[i].head, &cases[i].framing);

        assert_int_equal(r, cases[i].bytes ? 0 : -EINVAL);
        expect_bytes(&chain, cases[i].bytes ? cases[i].bytes : "");
    }
}

/* Nothing that would start another line, or end the head, gets out. */
static void write_injection(void **state)
{
    static const struct http_field bad[] = {
        F(HTTP_TOKEN_OTHER, "a", "b\r\nc: d"), F(HTTP_TOKEN_OTHER, "a", "b\nc"),  F(HTTP_TOKEN_OTHER, "a", "b\rc"),
        F(HTTP_TOKEN_OTHER, "a", "b\0"),       F(HTTP_TOKEN_OTHER, "", "b"),      F(HTTP_TOKEN_OTHER, "a:", "b"),
        F(HTTP_TOKEN_OTHER, "a ", "b"),        F(HTTP_TOKEN_OTHER, ":path", "/"), F(HTTP_TOKEN_OTHER, "a\r\n", "b"),
    };
    struct http1_framing framing = {0};
    struct chain chain;

    chain_init(&chain, &pool);
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct http_field field = bad[i];
        struct http_head head = {.status = 200, .fields = &field, .count = 1};

        assert_int_equal(http1_write_response(&chain, &head, &framing), -EINVAL);
        assert_int_equal(http1_write_last_chunk(&chain, &field, 1), -EINVAL);
        head = (struct http_head){.method = L("GET"), .path = L("/"), .fields = &field, .count = 1};
        assert_int_equal(http1_write_request(&chain, &head, &framing), -EINVAL);
        assert_true(chain_empty(&chain));
    }
    assert_int_equal(pool.lent, 0);
}

static void write_chunks(void **state)
{
    static const struct http_field trailers[] = {
        F(HTTP_TOKEN_GRPC_STATUS, "grpc-status", "0"),
        F(HTTP_TOKEN_CONTENT_LENGTH, "Content-Length", "5"),
        F(HTTP_TOKEN_OTHER, "X-Sum", "y"),
    };
    struct chain chain;

    chain_init(&chain, &pool);
    assert_int_equal(http1_write_chunk(&chain, SLICE_NULL), 0);
    assert_int_equal(http1_write_chunk(&chain, SLICE_LIT("0123456789abcdefg")), 0);
    assert_int_equal(http1_write_last_chunk(&chain, trailers, 3), 0);
    expect_bytes(&chain, "11\r\n0123456789abcdefg\r\n0\r\ngrpc-status: 0\r\nX-Sum: y\r\n\r\n");
    assert_int_equal(http1_write_last_chunk(&chain, NULL, 0), 0);
    expect_bytes(&chain, "0\r\n\r\n");
}

/* A head larger than a page comes back from the parser as it went; with too few pages nothing is left behind. */
static void write_large(void **state)
{
    static char value[60000], bytes[6 * LIMIT_BUFFER_PAGE];
    static struct http_field list[] = {F(HTTP_TOKEN_OTHER, "a", ""), F(HTTP_TOKEN_OTHER, "b", "last")};
    struct http_head head = {.method = L("GET"), .authority = L("h"), .path = L("/"), .fields = list, .count = 2};
    struct http1_framing framing = {.body = HTTP1_BODY_LENGTH, .length = 3};
    struct http1_scan scan = {0};
    struct chain chain;
    size_t len;

    memset(value, 'v', sizeof(value));
    list[0].value = slice_of(value, sizeof(value));
    for (size_t before = 0; before < LIMIT_BUFFER_PAGE; before += 1023) {
        struct http_head back = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
        struct http1_framing framing_back;

        chain_init(&chain, &pool);
        assert_int_equal(chain_add(&chain, slice_of(value, before)), 0);
        assert_int_equal(http1_write_request(&chain, &head, &framing), 0);
        len = chain_copy(&chain, bytes, sizeof(bytes));
        assert_int_equal(http1_parse_request(slice_of(bytes + before, len - before), &scan, &back, &framing_back),
                         len - before);
        assert_true(slice_eq(back.fields[1].value, list[0].value));
        assert_true(slice_eq(back.fields[2].value, list[1].value));
        assert_int_equal(framing_back.length, 3);
        chain_clear(&chain);

        pool.max_pages = before ? 3 : 2;
        assert_int_equal(chain_add(&chain, slice_of(value, before)), 0);
        assert_int_equal(http1_write_request(&chain, &head, &framing), -ENOMEM);
        assert_int_equal(http1_write_chunk(&chain, slice_of(value, sizeof(value))), -ENOMEM);
        assert_int_equal(chain.len, before);
        pool.max_pages = 100;
        chain_clear(&chain);
        assert_int_equal(pool.lent, 0);
    }
}

static void reasons(void **state)
{
    static const struct {
        unsigned status;
        const char *text;
    } cases[] = {
        {100, "Continue"},
        {200, "OK"},
        {226, "IM Used"},
        {308, "Permanent Redirect"},
        {404, "Not Found"},
        {431, "Request Header Fields Too Large"},
        {451, "Unavailable For Legal Reasons"},
        {418, "Client Error"},
        {511, "Network Authentication Required"},
        {599, "Server Error"},
        {299, "Success"},
        {99, ""},
        {600, ""},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_true(slice_eq(http1_reason(cases[i].status), slice_str(cases[i].text)));
}

static int open_pool(void **state)
{
    page_pool_init(&pool, 4, 100);
    return 0;
}

static int close_pool(void **state)
{
    page_pool_release(&pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunked_good),    cmocka_unit_test(chunked_bad),     cmocka_unit_test(chunked_limits),
        cmocka_unit_test(trailers_read),   cmocka_unit_test(trailers_limit),  cmocka_unit_test(write_requests),
        cmocka_unit_test(write_responses), cmocka_unit_test(write_injection), cmocka_unit_test(write_chunks),
        cmocka_unit_test(write_large),     cmocka_unit_test(reasons),
    };

    return cmocka_run_group_tests(tests, open_pool, close_pool);
}
