/* The way through a proxy, against a proxy that the test plays byte by byte. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "net/tunnel.h"

#define HTTP_ASKS(host, more) "CONNECT " host " HTTP/1.1\r\nHost: " host "\r\nUser-Agent: clinkerd\r\n" more "\r\n"
#define BYTES(text) {"" text, sizeof(text) - 1}

struct step {
    struct slice asks, answers; /* what we say, and what the proxy says then */
};

static void nothing(struct io_stack *stack) {}

struct world {
    struct loop loop;
    struct io_stack stack;
    int peer;
};

static void turns(struct world *w)
{
    while (loop_turn(&w->loop, 0))
        ;
}

static void world_init(struct world *w)
{
    int fds[2];

    *w = (struct world){0};
    assert_int_equal(loop_init(&w->loop, sys_linux(), 1024), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    w->peer = fds[1];
    assert_int_equal(io_open(&w->stack, &w->loop, fds[0], nothing), 0);
    turns(w); /* it is writable */
}

static void world_release(struct world *w)
{
    io_close(&w->stack, false);
    close(w->peer);
    loop_release(&w->loop);
}

static void expect_asked(struct world *w, struct slice expected)
{
    char bytes[2000];
    ssize_t n = recv(w->peer, bytes, sizeof(bytes), MSG_DONTWAIT);

    assert_int_equal(n < 0 ? 0 : n, expected.len);
    assert_memory_equal(bytes, expected.ptr, expected.len);
}

/* Answers come in pieces of `piece` bytes. */
static int play(const struct tunnel_proxy *proxy, const char *host, const struct step *steps, size_t piece, struct errmsg *msg)
{
    struct world w;
    struct tunnel *tunnel;
    int r;

    world_init(&w);
    assert_int_equal(tunnel_new(proxy, slice_str(host), 443, &tunnel), 0);
    r = tunnel_run(tunnel, &w.stack, msg);
    for (; steps->answers.ptr && r == -EAGAIN; steps++) {
        expect_asked(&w, steps->asks);
        for (struct slice rest = steps->answers; rest.len && r == -EAGAIN; rest = slice_skip(rest, piece)) {
            struct slice part = slice_take(rest, piece);

            assert_int_equal(send(w.peer, part.ptr, part.len, 0), part.len);
            turns(&w);
            r = tunnel_run(tunnel, &w.stack, msg);
        }
    }
    if (r == -EAGAIN) { /* nothing more comes */
        shutdown(w.peer, SHUT_RDWR);
        turns(&w);
        r = tunnel_run(tunnel, &w.stack, msg);
    }
    tunnel_free(tunnel);
    world_release(&w);
    return r;
}

static const struct tunnel_proxy http = {.kind = TUNNEL_HTTP}, http_login = {.kind = TUNNEL_HTTP, .user = {"me", 2}, .password = {"p:w", 3}};
static const struct tunnel_proxy socks = {.kind = TUNNEL_SOCKS5}, socks_login = {.kind = TUNNEL_SOCKS5, .user = {"me", 2}, .password = {"pw", 2}};

#define ASKS_NAME BYTES("\x05\x01\x00\x03\x03" "api" "\x01\xbb")
#define FINE BYTES("\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")

static const struct {
    const struct tunnel_proxy *proxy;
    const char *host;
    struct step steps[4];
    int result;
    const char *says;
} cases[] = {
    {&http, "api", {{BYTES(HTTP_ASKS("api:443", "")), BYTES("HTTP/1.1 200 Connection established\r\n\r\n")}}, 0, NULL},
    {&http, "fd00::1", {{BYTES(HTTP_ASKS("[fd00::1]:443", "")), BYTES("HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n")}}, 0, NULL},
    {&http_login, "api", {{BYTES(HTTP_ASKS("api:443", "Proxy-Authorization: Basic bWU6cDp3\r\n")), BYTES("HTTP/1.1 200 OK\r\n\r\n")}}, 0, NULL},
    {&http, "api", {{BYTES(HTTP_ASKS("api:443", "")), BYTES("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\n\r\n")}}, 0, NULL},
    {&http, "api", {{BYTES(HTTP_ASKS("api:443", "")), BYTES("HTTP/1.1 407 Proxy Authentication Required\r\n\r\n")}}, -EACCES, "407 to CONNECT: give a user and password"},
    {&http, "api", {{BYTES(HTTP_ASKS("api:443", "")), BYTES("HTTP/1.1 403 Filtered\r\n\r\n")}}, -EACCES, "it answers 403 to CONNECT api:443"},
    {&http, "api", {{BYTES(HTTP_ASKS("api:443", "")), BYTES("HTTP/1.1 502 Bad Gateway\r\n\r\n")}}, -EHOSTUNREACH, "it answers 502"},
    {&http, "api", {{BYTES(HTTP_ASKS("api:443", "")), BYTES("SSH-2.0-x\r\n\r\n")}}, -EPROTO, "is no HTTP"},
    {&http, "api", {{BYTES(HTTP_ASKS("api:443", "")), BYTES("HTTP/1.1 200 OK\r\n")}}, -ECONNRESET, "it closed the connection"},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05\x00")}, {ASKS_NAME, FINE}}, 0, NULL},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05\x00")}, {ASKS_NAME, BYTES("\x05\x00\x00\x03\x02xy\x00\x00")}}, 0, NULL},
    {&socks, "10.0.0.1", {{BYTES("\x05\x01\x00"), BYTES("\x05\x00")}, {BYTES("\x05\x01\x00\x01\x0a\x00\x00\x01\x01\xbb"), FINE}}, 0, NULL},
    {&socks, "fd00::1", {{BYTES("\x05\x01\x00"), BYTES("\x05\x00")}, {BYTES("\x05\x01\x00\x04\xfd\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01\x01\xbb"),
        BYTES("\x05\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00")}}, 0, NULL},
    {&socks_login, "api", {{BYTES("\x05\x02\x00\x02"), BYTES("\x05\x02")}, {BYTES("\x01\x02me\x02pw"), BYTES("\x01\x00")}, {ASKS_NAME, FINE}}, 0, NULL},
    {&socks_login, "api", {{BYTES("\x05\x02\x00\x02"), BYTES("\x05\x00")}, {ASKS_NAME, FINE}}, 0, NULL},
    {&socks_login, "api", {{BYTES("\x05\x02\x00\x02"), BYTES("\x05\x02")}, {BYTES("\x01\x02me\x02pw"), BYTES("\x01\x01")}}, -EACCES, "it refuses user and password"},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05\xff")}}, -EACCES, "it wants a login"},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05\x02")}}, -EACCES, "it wants a login"}, /* which was not offered */
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("HT")}}, -EPROTO, "is not SOCKS 5"},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05\x00")}, {ASKS_NAME, BYTES("\x05\x05\x00\x01\x00\x00\x00\x00\x00\x00")}}, -EHOSTUNREACH, "connection refused (5)"},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05\x00")}, {ASKS_NAME, BYTES("\x05\x02\x00\x01\x00\x00\x00\x00\x00\x00")}}, -EACCES, "not allowed by its rules"},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05\x00")}, {ASKS_NAME, BYTES("\x05\x63\x00\x01\x00\x00\x00\x00\x00\x00")}}, -EHOSTUNREACH, "unknown failure (99)"},
    {&socks, "api", {{BYTES("\x05\x01\x00"), BYTES("\x05")}}, -ECONNRESET, "it closed the connection"},
};

static void test_cases(void **state)
{
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t piece = 1; piece < 2000; piece = piece == 1 ? 7 : 2000) {
            struct errmsg msg = {""};
            int r = play(cases[i].proxy, cases[i].host, cases[i].steps, piece, &msg);

            if (r != cases[i].result || (cases[i].says && !strstr(msg.text, cases[i].says)))
                fail_msg("case %zu, pieces of %zu: %d %s", i, piece, r, msg.text);
        }
}

/* What comes at once behind the answer is nobody's. */
static void test_bytes_behind(void **state)
{
    struct step early[] = {{BYTES(HTTP_ASKS("api:443", "")), BYTES("HTTP/1.1 200 OK\r\n\r\nhello")}, {{0}, {0}}};
    struct errmsg msg = {""};

    assert_int_equal(play(&http, "api", early, 2000, &msg), -EPROTO);
    assert_non_null(strstr(msg.text, "nobody asked for"));
}

static void test_endless_answer(void **state)
{
    static char answer[LIMIT_TUNNEL + 4096];
    struct step steps[] = {{BYTES(HTTP_ASKS("api:443", "")), {answer, sizeof(answer)}}, {{0}, {0}}};
    struct errmsg msg = {""};

    memset(answer, 'x', sizeof(answer));
    memcpy(answer, "HTTP/1.1 200 OK\r\nx: ", 20);
    assert_int_equal(play(&http, "api", steps, 1000, &msg), -EPROTO);
}

static void test_too_long_for_socks(void **state)
{
    static char name[300];
    struct tunnel *tunnel;

    memset(name, 'a', sizeof(name) - 1);
    assert_int_equal(tunnel_new(&socks, slice_str(name), 443, &tunnel), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_cases), cmocka_unit_test(test_bytes_behind), cmocka_unit_test(test_endless_answer),
                                       cmocka_unit_test(test_too_long_for_socks)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
