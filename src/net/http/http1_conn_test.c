/* HTTP/1 byte by byte: our server against scripted clients, our client against scripted servers. */
#include "net/http/conn_world.h"
#include "net/http/http1_conn.h"

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"

static struct world world;
static struct buffer got;

static int begin(void **state)
{
    world.server_limits = (struct http_server_limits){.head_timeout_ns = 5 * NS_PER_S, .idle_timeout_ns = 60 * NS_PER_S};
    world.client_limits = (struct http_client_limits){0};
    buffer_init(&got, 1 << 24);
    return 0;
}

static int server_only(void **state)
{
    begin(state);
    world_init_server(&world, &http1_protocol);
    return 0;
}

static int client_only(void **state)
{
    begin(state);
    world_init_client(&world, &http1_protocol);
    return 0;
}

static int tear_down(void **state)
{
    world_release(&world);
    buffer_release(&got);
    return 0;
}

static void restart_server(void)
{
    world_release(&world);
    world_init_server(&world, &http1_protocol);
    buffer_clear(&got);
}

/* The owner lets each stream go as soon as both directions have ended, as a proxy does. */
static void release_ended(void)
{
    settle(&world);
    LIST_FOR_EACH (link, &world.parties) {
        struct party *party = CONTAINER_OF(link, struct party, link);

        if (party->stream && party->ended && party->end_sent)
            party_release(party);
    }
    settle(&world);
}

static void say(const char *text)
{
    raw_send(&world, world.client.raw, slice_str(text));
    for (int i = 0; i < 8; i++)
        release_ended();
}

/* All that the server has said since the last call; true when it has closed. */
static bool hear(void)
{
    buffer_clear(&got);
    return raw_receive(world.client.raw, &got);
}

static void assert_heard(const char *expected, bool closed)
{
    bool is_closed = hear();

    if (!slice_eq(buffer_slice(&got), slice_str(expected)))
        print_message("heard: %.*s\n", (int)got.len, got.data);
    assert_true(slice_eq(buffer_slice(&got), slice_str(expected)));
    assert_int_equal(is_closed, closed);
}

struct exchange_case {
    const char *in;
    const char *out;
    bool closed;
};

static void run_cases(const struct exchange_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t piece = 1; piece < 1000; piece = piece == 1 ? 7 : 1000) {
            struct slice rest = slice_str(cases[i].in);

            while (rest.len) {
                raw_send(&world, world.client.raw, slice_take(rest, piece));
                rest = slice_skip(rest, piece);
                release_ended();
            }
            for (int turns = 0; turns < 8; turns++)
                release_ended();
            assert_heard(cases[i].out, cases[i].closed);
            assert_int_equal(world.loop.pages.lent, world.server.server && world.server.server->streams ? 1 : 0);
            restart_server();
        }
    }
}

#define CASES(cases) run_cases((cases), sizeof(cases) / sizeof((cases)[0]))
#define HOST "Host: a\r\n"
#define OK_EMPTY "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
#define OK_CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

static void test_exchanges(void **state)
{
    static const struct exchange_case cases[] = {
        {"GET /status/200 HTTP/1.1\r\n" HOST "\r\n", OK_EMPTY, false},
        {"GET /status/204 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 204 No Content\r\n\r\n", false},
        {"GET /status/200 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\n",
         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true},
        {"GET /length/5 HTTP/1.1\r\n" HOST "\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nahovc", false},
        {"GET /bytes/5 HTTP/1.1\r\n" HOST "\r\n", OK_CHUNKED "5\r\nahovc\r\n0\r\n\r\n", false},
        {"GET /trailers/5 HTTP/1.1\r\n" HOST "TE: trailers\r\nConnection: TE\r\n\r\n",
         "HTTP/1.1 200 OK\r\ntrailer: x-sum\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nahovc\r\n0\r\nx-sum: 42\r\nx-more: yes\r\n\r\n",
         false},
        {"POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nz", OK_CHUNKED "1\r\nz\r\n0\r\n\r\n", false},
        {"POST /echo HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n1\r\nz\r\n0\r\n\r\n",
         OK_CHUNKED "1\r\nz\r\n0\r\n\r\n", false},
        /* HTTP/1.0: closed unless asked to be kept; no chunks, no interim heads */
        {"GET /length/5 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nahovc", true},
        {"GET /bytes/5 HTTP/1.0\r\n\r\n", "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nahovc", true},
        {"GET /length/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\nContent-Length: 5\r\n\r\nahovc", false},
        {"GET /bytes/5 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
         "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nahovc", true},
    };

    CASES(cases);
}

#define REFUSED(status) "HTTP/1.1 " status "\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"

static void test_refusals(void **state)
{
    static const struct exchange_case cases[] = {
        {"BAD\r\n\r\n", REFUSED("400 Bad Request"), true},
        {"GET / HTTP/1.1\r\n\r\n", REFUSED("400 Bad Request"), true},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nContent-Length: 1\r\n\r\nx", REFUSED("400 Bad Request"), true},
        {"GET / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
         REFUSED("400 Bad Request"), true},
        {"GET / HTTP/2.0\r\n" HOST "\r\n", REFUSED("505 HTTP Version Not Supported"), true},
        {"POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n", REFUSED("501 Not Implemented"), true},
        /* behind a good one: that is answered first */
        {"GET /status/200 HTTP/1.1\r\n" HOST "\r\nBAD\r\n\r\n", OK_EMPTY REFUSED("400 Bad Request"), true},
        /* a broken chunk when nothing was answered yet */
        {"POST /hold HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\nxyz\r\n", REFUSED("400 Bad Request"), true},
        {"POST /hold HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n0\r\nbad trailer\r\n\r\n",
         REFUSED("400 Bad Request"), true},
    };

    CASES(cases);
}

static void test_pipelining(void **state)
{
    static const struct exchange_case cases[] = {
        {"GET /length/1 HTTP/1.1\r\n" HOST "\r\n"
         "GET /length/2 HTTP/1.1\r\n" HOST "\r\n"
         "POST /echo HTTP/1.1\r\n" HOST "Content-Length: 1\r\n\r\nz"
         "GET /status/404 HTTP/1.1\r\n" HOST "\r\n",
         "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na"
         "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nah"
         OK_CHUNKED "1\r\nz\r\n0\r\n\r\n"
         "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", false},
        /* what comes behind Connection: close is not looked at */
        {"GET /length/1 HTTP/1.1\r\n" HOST "Connection: close\r\n\r\nGET /length/2 HTTP/1.1\r\n" HOST "\r\n",
         "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 1\r\n\r\na", true},
    };

    CASES(cases);
}

/* A client that pipelines without end while its first request is served is not read without end. */
static void test_pipelining_is_bounded(void **state)
{
    static const char line[] = "GET /status/200 HTTP/1.1\r\nHost: a\r\n\r\n";
    size_t sent = 0;

    say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
    for (int i = 0; i < 100000; i++) {
        ssize_t n = send(world.client.raw, line, sizeof(line) - 1, MSG_NOSIGNAL);

        if (n <= 0)
            break;
        sent += (size_t)n;
        settle(&world);
    }
    assert_true(sent < 2 << 20);
    assert_true(world.loop.pages.lent <= LIMIT_PIPELINE_BYTES / LIMIT_BUFFER_PAGE);
    assert_int_equal(world.server.server->requests, 1);
}

static void test_expect(void **state)
{
    say("POST /hold HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_heard("", false);
    party_respond(world.newest, 100, NULL, false);
    settle(&world);
    assert_heard("HTTP/1.1 100 Continue\r\n\r\n", false);
    say("abc");
    assert_true(world.newest->ended);
    party_respond(world.newest, 200, NULL, true);
    release_ended();
    assert_heard(OK_EMPTY, false);
    assert_false(world.server.closed);
    restart_server();
    /* A final answer without 100: whether the body comes is open, so the connection ends. */
    say("POST /hold HTTP/1.1\r\n" HOST "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    party_respond(world.newest, 417, NULL, true);
    party_release(world.newest);
    settle(&world);
    assert_heard("HTTP/1.1 417 Expectation Failed\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true);
    restart_server();
    /* 1xx means nothing to HTTP/1.0 */
    say("POST /hold HTTP/1.0\r\nContent-Length: 3\r\n\r\nabc");
    party_respond(world.newest, 100, NULL, false);
    party_respond(world.newest, 200, NULL, true);
    release_ended();
    assert_heard("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true);
}

static void test_unread_bodies(void **state)
{
    /* The owner answers and goes before the body has come: the rest is read away and the next request served. */
    say("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    party_respond(world.newest, 200, NULL, true);
    party_release(world.newest);
    settle(&world);
    assert_heard(OK_EMPTY, false);
    say("defghijGET /length/1 HTTP/1.1\r\n" HOST "\r\n");
    assert_heard("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", false);
    restart_server();
    /* A body that is too long to be read away ends the connection. */
    say("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 1000000\r\n\r\nabc");
    party_respond(world.newest, 200, NULL, true);
    party_release(world.newest);
    settle(&world);
    for (int i = 0; i < 100 && !world.server.closed; i++) {
        static char bytes[10000];

        raw_send(&world, world.client.raw, slice_of(bytes, sizeof(bytes)));
        pass(&world, 100 * NS_PER_MS);
    }
    assert_true(world.server.closed);
    assert_heard(OK_EMPTY, true);
}

static void test_tunnels(void **state)
{
    say("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nearly");
    assert_true(slice_eq(world.newest->head.method, SLICE_LIT("CONNECT")));
    assert_true(slice_eq(world.newest->head.authority, SLICE_LIT("a:1")));
    assert_false(world.newest->ended);
    assert_int_equal(world.newest->body_len, 0);
    party_respond(world.newest, 200, NULL, false);
    settle(&world);
    assert_heard("HTTP/1.1 200 OK\r\n\r\n", false);
    assert_memory_equal(world.newest->body.data, "early", 5);
    say("more");
    assert_memory_equal(world.newest->body.data, "earlymore", 9);
    world.newest->stream->ops->send_data(world.newest->stream, SLICE_LIT("raw"), false);
    settle(&world);
    assert_heard("raw", false);
    shutdown(world.client.raw, SHUT_WR); /* half-close travels in both directions */
    settle(&world);
    assert_true(world.newest->ended);
    world.newest->stream->ops->send_data(world.newest->stream, SLICE_LIT("last"), true);
    world.newest->end_sent = true;
    settle(&world);
    assert_heard("last", true);
    release_ended();
    assert_true(world.server.closed);
    assert_int_equal(world.server.why.error, HTTP_ERROR_NONE);
    restart_server();
    /* Refused: the next request follows. */
    say("CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nGET /length/1 HTTP/1.1\r\n" HOST "\r\n");
    party_respond(world.newest, 403, NULL, true);
    release_ended();
    release_ended();
    assert_heard("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", false);
}

#define UPGRADE "GET /hold HTTP/1.1\r\n" HOST "Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static void test_upgrades(void **state)
{
    say(UPGRADE);
    assert_false(world.newest->ended);
    assert_true(slice_eq(http_find(&world.newest->head, HTTP_TOKEN_UPGRADE)->value, SLICE_LIT("websocket")));
    party_respond(world.newest, 101, (const char *const[]){"upgrade", "websocket", NULL}, false);
    settle(&world);
    hear();
    assert_true(slice_starts(buffer_slice(&got), SLICE_LIT("HTTP/1.1 101 Switching Protocols\r\n")));
    assert_true(slice_find_slice(buffer_slice(&got), SLICE_LIT("pgrade: websocket\r\n")) < got.len);
    say("frame");
    assert_memory_equal(world.newest->body.data, "frame", 5);
    world.newest->stream->ops->send_data(world.newest->stream, SLICE_LIT("answer"), false);
    settle(&world);
    assert_heard("answer", false);
    restart_server();
    /* Declined: an ordinary response, and the connection goes on. */
    say(UPGRADE);
    party_respond(world.newest, 200, NULL, true);
    release_ended();
    assert_true(world.newest->ended);
    assert_heard(OK_EMPTY, false);
    say("GET /length/1 HTTP/1.1\r\n" HOST "\r\n");
    assert_heard("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", false);
    restart_server();
    /* 101 to somebody who did not ask is a mistake of the owner's. */
    say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
    {
        struct http_head head = {.version = HTTP_1_1, .status = 101};

        assert_int_equal(world.newest->stream->ops->send_head(world.newest->stream, &head, false), -EINVAL);
    }
}

static void test_timeouts(void **state)
{
    pass(&world, 60 * NS_PER_S); /* idle from the start */
    pass(&world, NS_PER_S);
    assert_true(world.server.closed);
    assert_heard("", true);
    restart_server();
    say("GET / HT");
    pass(&world, 4 * NS_PER_S);
    say("TP");
    assert_heard("", false);
    pass(&world, NS_PER_S); /* counted from the first byte */
    assert_heard("HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true);
    assert_int_equal(world.server.refused_status, 408);
    restart_server();
    say("GET /length/1 HTTP/1.1\r\n" HOST "\r\n");
    hear();
    pass(&world, 59 * NS_PER_S);
    say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
    pass(&world, 600 * NS_PER_S); /* no timeout of ours while a request is served */
    assert_false(world.server.closed);
    party_respond(world.newest, 200, NULL, true);
    release_ended();
    assert_heard(OK_EMPTY, false);
    pass(&world, 61 * NS_PER_S);
    assert_heard("", true);
}

static void test_half_closed_clients(void **state)
{
    say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
    shutdown(world.client.raw, SHUT_WR);
    settle(&world);
    assert_false(world.newest->was_reset);
    party_respond(world.newest, 200, NULL, true);
    release_ended();
    assert_heard(OK_EMPTY, true);
    restart_server();
    /* In the middle of a body the request is lost. */
    say("POST /hold HTTP/1.1\r\n" HOST "Content-Length: 10\r\n\r\nabc");
    shutdown(world.client.raw, SHUT_WR);
    settle(&world);
    assert_true(world.newest->was_reset);
    assert_int_equal(world.newest->reset.error, HTTP_ERROR_CLOSED);
    assert_true(world.server.closed);
    restart_server();
    /* In the middle of a head nobody has heard of it. */
    say("GET / HT");
    shutdown(world.client.raw, SHUT_WR);
    settle(&world);
    assert_true(world.server.closed);
    assert_null(world.newest);
}

/* A client that is gone while it waits is noticed at once, half-closed before or not. */
static void test_clients_that_vanish(void **state)
{
    for (int half = 0; half < 2; half++) {
        say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
        party_respond(world.newest, 103, NULL, false);
        settle(&world);
        if (half)
            shutdown(world.client.raw, SHUT_WR);
        settle(&world);
        assert_false(world.newest->was_reset);
        close(world.client.raw); /* with 103 unread: the server's end sees a reset */
        world.client.raw = -1;
        settle(&world);
        assert_true(world.newest->was_reset);
        assert_int_equal(world.newest->reset.error, HTTP_ERROR_CLOSED);
        assert_int_equal(world.newest->reset.code, ECONNRESET);
        assert_true(world.server.closed);
        restart_server();
    }
}

/* A request that has come, but was not read yet, is served by a draining connection. */
static void test_drain_reads_first(void **state)
{
    static const char text[] = "GET /status/200 HTTP/1.1\r\n" HOST "\r\n";

    assert_int_equal(send(world.client.raw, text, sizeof(text) - 1, 0), (ssize_t)sizeof(text) - 1);
    http1_protocol.server_drain(world.server.server);
    for (int i = 0; i < 4; i++)
        release_ended();
    assert_int_equal(world.server.refused, 0);
    hear();
    assert_true(got.len == 0 || slice_starts(buffer_slice(&got), SLICE_LIT("HTTP/1.1 200 OK\r\nConnection: close\r\n")));
}

/* An announced end is said with the next answer; until then an idle connection stays. */
static void test_announced_end(void **state)
{
    say("GET /status/200 HTTP/1.1\r\n" HOST "\r\n");
    assert_heard("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false);
    http1_server_announce_end(world.server.server);
    pass(&world, 50 * NS_PER_S);
    assert_false(world.server.closed);
    say("GET /status/200 HTTP/1.1\r\n" HOST "\r\n");
    assert_heard("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true);
}

/* Heads of every size up to the limit pass, larger ones are refused with the right status. */
static void test_large_heads(void **state)
{
    static const size_t lens[] = {1000, 16000, 16384, 30000, 60000};
    static char text[200000];

    for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
        int n = snprintf(text, sizeof(text), "GET /length/1 HTTP/1.1\r\nHost: a\r\nX-Big: ");

        memset(text + n, 'x', lens[i]);
        snprintf(text + n + lens[i], sizeof(text) - (size_t)n - lens[i], "\r\n\r\nGET /length/2 HTTP/1.1\r\nHost: a\r\n\r\n");
        say(text);
        assert_heard("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nah", false);
        restart_server();
    }
    {
        int n = snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX-Big: ");

        memset(text + n, 'x', LIMIT_HTTP_HEAD);
        snprintf(text + n + LIMIT_HTTP_HEAD, 5, "\r\n\r\n");
        say(text);
        assert_heard(REFUSED("431 Request Header Fields Too Large"), true);
        restart_server();
    }
    memcpy(text, "GET /", 5);
    memset(text + 5, 'x', LIMIT_HTTP_START_LINE);
    text[5 + LIMIT_HTTP_START_LINE] = '\0';
    say(text);
    assert_heard(REFUSED("414 URI Too Long"), true);
}

static void test_owner_closes(void **state)
{
    say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
    party_respond(world.newest, 200, (const char *const[]){"connection", "close", NULL}, true);
    release_ended();
    assert_heard("HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n", true);
    restart_server();
    /* Fewer bytes than promised: the client must not take them for all. */
    say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
    party_respond(world.newest, 200, (const char *const[]){"content-length", "10", NULL}, false);
    assert_int_equal(world.newest->stream->ops->send_data(world.newest->stream, SLICE_LIT("abc"), false), 3);
    assert_int_equal(world.newest->stream->ops->send_data(world.newest->stream, SLICE_NULL, true), -EPROTO);
    party_release(world.newest);
    settle(&world);
    assert_true(world.server.closed);
    assert_int_equal(world.server.why.error, HTTP_ERROR_RESET);
    restart_server();
    /* More than promised never leaves. */
    say("GET /hold HTTP/1.1\r\n" HOST "\r\n");
    party_respond(world.newest, 200, (const char *const[]){"content-length", "2", NULL}, false);
    assert_int_equal(world.newest->stream->ops->send_data(world.newest->stream, SLICE_LIT("abc"), false), -EPROTO);
    party_release(world.newest);
    settle(&world);
    assert_true(world.server.closed);
}

/* --- our client --- */

static void answer(const char *text)
{
    raw_send(&world, world.server.raw, slice_str(text));
}

static void assert_asked(const char *expected)
{
    buffer_clear(&got);
    raw_receive(world.server.raw, &got);
    if (!slice_eq(buffer_slice(&got), slice_str(expected)))
        print_message("asked: %.*s\n", (int)got.len, got.data);
    assert_true(slice_eq(buffer_slice(&got), slice_str(expected)));
}

static void restart_client(void)
{
    world_release(&world);
    world_init_client(&world, &http1_protocol);
}

static void test_requests(void **state)
{
    struct party *party = request(&world, "GET", "/a?b", true);

    settle(&world);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_BUSY);
    assert_asked("GET /a?b HTTP/1.1\r\nHost: test.example:80\r\n\r\n");
    answer("HTTP/1.1 200 Fine\r\nContent-Length: 3\r\n\r\nabc");
    assert_int_equal(party->head.status, 200);
    assert_true(party->ended);
    assert_int_equal(party->body_len, 3);
    party_release(party);
    settle(&world);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_READY);
    party = request(&world, "POST", "/", true);
    settle(&world);
    assert_asked("POST / HTTP/1.1\r\nHost: test.example:80\r\nContent-Length: 0\r\n\r\n");
    answer("HTTP/1.1 204 None\r\n\r\n");
    assert_true(party->ended);
    party_release(party);
    settle(&world);
    party = request_with(&world, "POST", "/", (const char *const[]){"te", "trailers", NULL}, false);
    party->stream->ops->send_data(party->stream, SLICE_LIT("xyz"), true);
    party->end_sent = true;
    settle(&world);
    buffer_clear(&got);
    raw_receive(world.server.raw, &got);
    assert_true(slice_find_slice(buffer_slice(&got), SLICE_LIT("TE: trailers\r\n")) < got.len);
    assert_true(slice_ends(buffer_slice(&got), SLICE_LIT("\r\n\r\n3\r\nxyz\r\n0\r\n\r\n")));
    answer("HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
           "2\r\nab\r\n0\r\nX-T: 1\r\n\r\n");
    assert_int_equal(party->interims, 1);
    assert_int_equal(party->body_len, 2);
    assert_memory_equal(party->trailers.data, "X-T: 1\n", 7);
    party_release(party);
    settle(&world);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_READY);
    assert_int_equal(world.loop.pages.lent, 0);
}

static void test_closing_servers(void **state)
{
    struct party *party = request(&world, "GET", "/", true);

    settle(&world);
    answer("HTTP/1.1 200 OK\r\n\r\nuntil close");
    assert_false(party->ended);
    shutdown(world.server.raw, SHUT_RDWR);
    settle(&world);
    assert_true(party->ended);
    assert_int_equal(party->body_len, 11);
    assert_false(party->was_reset);
    party_release(party);
    settle(&world);
    assert_true(world.client.closed);
    restart_client();

    party = request(&world, "GET", "/", true);
    settle(&world);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\ncut");
    shutdown(world.server.raw, SHUT_RDWR);
    settle(&world);
    assert_true(party->was_reset);
    assert_int_equal(party->reset.error, HTTP_ERROR_CLOSED);
    restart_client();

    party = request(&world, "GET", "/", true);
    settle(&world);
    answer("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nab");
    assert_true(party->ended);
    party_release(party);
    settle(&world);
    assert_true(world.client.closed);
    assert_int_equal(world.client.why.error, HTTP_ERROR_NONE);
}

/* REFUSED, so that the caller may try again, only for a used connection that gave not a byte. */
static void test_lost_requests(void **state)
{
    struct party *party = request(&world, "GET", "/", true);

    settle(&world);
    shutdown(world.server.raw, SHUT_RDWR);
    settle(&world);
    assert_int_equal(party->reset.error, HTTP_ERROR_CLOSED); /* never used before */
    restart_client();

    for (int with_bytes = 0; with_bytes < 2; with_bytes++) {
        party = request(&world, "GET", "/", true);
        settle(&world);
        answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
        party_release(party);
        settle(&world);
        party = request(&world, "GET", "/", true);
        settle(&world);
        if (with_bytes)
            answer("HTTP/1.1 2");
        shutdown(world.server.raw, SHUT_RDWR);
        settle(&world);
        assert_true(party->was_reset);
        assert_int_equal(party->reset.error, with_bytes ? HTTP_ERROR_CLOSED : HTTP_ERROR_REFUSED);
        assert_true(world.client.closed);
        restart_client();
    }
}

static void test_bad_servers(void **state)
{
    static const char *const answers[] = {
        "garbage\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nx",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\nx",
        "HTTP/1.1 101 Switching\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    };

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct party *party = request(&world, "GET", "/", true);

        settle(&world);
        answer(answers[i]);
        assert_true(party->was_reset);
        assert_int_equal(party->reset.error, HTTP_ERROR_PROTOCOL);
        assert_true(world.client.closed);
        restart_client();
    }
    /* Bytes that nobody asked for. */
    answer("HTTP/1.1 200 OK\r\n\r\n");
    assert_true(world.client.closed);
    assert_int_equal(world.client.why.error, HTTP_ERROR_PROTOCOL);
    restart_client();
    /* More behind a whole answer. */
    {
        struct party *party = request(&world, "GET", "/", true);

        settle(&world);
        answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\n\r\n");
        assert_true(party->ended);
        party_release(party);
        settle(&world);
        assert_true(world.client.closed);
    }
}

static void test_too_many_interims(void **state)
{
    struct party *party = request(&world, "GET", "/", true);

    settle(&world);
    for (int i = 0; i < LIMIT_HTTP_INTERIM; i++)
        answer("HTTP/1.1 103 Early\r\n\r\n");
    assert_int_equal(party->interims, LIMIT_HTTP_INTERIM);
    assert_false(party->was_reset);
    answer("HTTP/1.1 103 Early\r\n\r\n");
    assert_true(party->was_reset);
    assert_int_equal(party->reset.error, HTTP_ERROR_PROTOCOL);
}

/* The answer comes before the request has ended: it passes, and the connection is not used again. */
static void test_early_answers(void **state)
{
    struct party *party = request_with(&world, "POST", "/", (const char *const[]){"content-length", "100", NULL}, false);

    party->stream->ops->send_data(party->stream, SLICE_LIT("abc"), false);
    settle(&world);
    answer("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    assert_int_equal(party->head.status, 413);
    assert_true(party->ended);
    assert_int_equal(party->body_len, 2);
    party_release(party);
    settle(&world);
    assert_true(world.client.closed);
    restart_client();
    /* The same, when the server closes at once and our writes fail. */
    party = request(&world, "POST", "/", false);
    party_send(party, 100000, false);
    settle(&world);
    answer("HTTP/1.1 413 Too Large\r\nConnection: close\r\nContent-Length: 2\r\n\r\nno");
    shutdown(world.server.raw, SHUT_RDWR);
    party_send(party, 900000, true);
    settle(&world);
    assert_true(party->head_seen);
    assert_int_equal(party->head.status, 413);
}

static void test_client_tunnels(void **state)
{
    struct party *party = request_with(&world, "GET", "/", (const char *const[]){"upgrade", "websocket", NULL}, false);

    settle(&world);
    buffer_clear(&got);
    raw_receive(world.server.raw, &got);
    assert_true(slice_find_slice(buffer_slice(&got), SLICE_LIT("pgrade: websocket\r\n")) < got.len);
    assert_true(slice_find_slice(buffer_slice(&got), SLICE_LIT("onnection: ")) < got.len);
    assert_int_equal(party->stream->ops->send_data(party->stream, SLICE_LIT("early"), false), 0);
    answer("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\nhello");
    assert_int_equal(party->head.status, 101);
    assert_memory_equal(party->body.data, "hello", 5);
    settle(&world);
    assert_true(party->writable_events > 0);
    assert_int_equal(party->stream->ops->send_data(party->stream, SLICE_LIT("frame"), false), 5);
    settle(&world);
    assert_asked("frame");
    shutdown(world.server.raw, SHUT_WR);
    settle(&world);
    assert_true(party->ended);
    assert_int_equal(party->stream->ops->send_data(party->stream, SLICE_LIT("bye"), true), 3);
    settle(&world);
    assert_asked("bye");
    party_release(party);
    settle(&world);
    assert_true(world.client.closed);
    restart_client();

    party = request(&world, "CONNECT", "", false);
    settle(&world);
    assert_asked("CONNECT test.example:80 HTTP/1.1\r\nHost: test.example:80\r\n\r\n");
    answer("HTTP/1.1 200 OK\r\n\r\nraw");
    assert_memory_equal(party->body.data, "raw", 3);
    party_release(party);
    settle(&world);
    assert_true(world.client.closed);
    restart_client();
    /* An upgrade that is declined leaves a connection that can be used on. */
    party = request_with(&world, "GET", "/", (const char *const[]){"upgrade", "websocket", NULL}, false);
    settle(&world);
    answer("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_true(party->ended);
    assert_int_equal(party->stream->ops->send_data(party->stream, SLICE_NULL, true), 0);
    party_release(party);
    settle(&world);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_READY);
}

int main(void)
{
#define SERVER(name) cmocka_unit_test_setup_teardown(name, server_only, tear_down)
#define CLIENT(name) cmocka_unit_test_setup_teardown(name, client_only, tear_down)
    const struct CMUnitTest tests[] = {
        SERVER(test_exchanges),   SERVER(test_refusals),     SERVER(test_pipelining), SERVER(test_pipelining_is_bounded),
        SERVER(test_expect),      SERVER(test_unread_bodies), SERVER(test_tunnels),   SERVER(test_upgrades),
        SERVER(test_timeouts),    SERVER(test_half_closed_clients), SERVER(test_large_heads), SERVER(test_clients_that_vanish),
        SERVER(test_drain_reads_first), SERVER(test_announced_end), SERVER(test_owner_closes),
        CLIENT(test_requests),    CLIENT(test_closing_servers), CLIENT(test_lost_requests), CLIENT(test_bad_servers),
        CLIENT(test_too_many_interims), CLIENT(test_early_answers), CLIENT(test_client_tunnels),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
