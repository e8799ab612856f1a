/*
 * What a client can make a listener wait for, and for how long. Time is the test's; connections are socket pairs that the listener accepts from
 * a bell, so nothing depends on the machine.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/duration.h"
#include "net/http/http_listener.h"
#include "net/tls/tls_fixture.h"

enum { MAX_CONNECTIONS = 4, MAX_REQUESTS = 3, MAX_BODY = 1000, MAX_HELD = 1500, QUEUE = 8 };
enum { LINGER = 2 }; /* seconds, more than a connection whose end was said waits for the client's */

static struct {
    struct sys sys;
    struct sys_ops ops;
    int64_t now_ns;
    struct loop loop;
    struct http_listener *listener;
    int bell; /* what listens: readable while there is somebody in the queue */
    int queue[QUEUE];
    int queued;
    struct tls_context *tls;
    struct authority authority;
    unsigned asked, gone, failures;
    char why[200];
    bool later;       /* requests are not answered by on_request() */
    size_t answer_len;
    struct http_exchange *waiting;
} world;

/* --- the listener's system --- */

static int64_t now(struct sys *sys)
{
    return world.now_ns;
}

static int64_t wall(struct sys *sys)
{
    return FIXTURE_WALL;
}

static int take_queued(struct sys *sys, int listener, struct addr *ret_peer)
{
    uint64_t rung;

    if (world.queued == 0) {
        assert_int_equal(read(world.bell, &rung, sizeof(rung)), sizeof(rung));
        return -EAGAIN;
    }
    *ret_peer = (struct addr){0};
    return world.queue[--world.queued];
}

static void settle(void)
{
    unsigned turns = 0;

    while (loop_turn(&world.loop, 0))
        assert_true(++turns < 100000);
}

static void pass(int64_t seconds)
{
    settle();
    world.now_ns += seconds * NS_PER_S;
    settle();
}

/* --- what is asked --- */

static void answer(struct http_exchange *exchange)
{
    struct http_answer answer = {.status = 200, .content_type = SLICE_LIT("text/plain")};

    buffer_init(&answer.body, world.answer_len + 100);
    while (answer.body.len < world.answer_len)
        buffer_add_byte(&answer.body, 'x');
    buffer_add_lit(&answer.body, "done\n");
    http_exchange_answer(exchange, &answer);
}

static void on_gone(struct http_exchange *exchange)
{
    world.gone++;
    world.waiting = NULL;
}

static void on_request(void *owner, struct http_exchange *exchange)
{
    world.asked++;
    exchange->on_gone = on_gone;
    world.waiting = exchange;
    if (!world.later)
        answer(exchange);
}

static struct tls_context *context(void *owner)
{
    return world.tls;
}

static void on_failure(void *owner, struct addr peer, const char *why)
{
    world.failures++;
    snprintf(world.why, sizeof(world.why), "%s", why);
}

/* --- set-up --- */

static void make_context(void)
{
    struct workload server;
    struct buffer chain, key;
    struct errmsg msg = {""};

    workload_init(&server, &world.authority, (struct san){SAN_DNS, SLICE_LIT("webhook.test")});
    buffer_init(&chain, 1 << 16);
    buffer_init(&key, 1 << 16);
    for (size_t i = 0; i < server.chain.count; i++)
        assert_int_equal(x509_cert_write_pem(server.chain.certs[i], &chain), 0);
    assert_int_equal(x509_key_write_pem(server.key, &key), 0);
    if (tls_web_context_new(&world.sys, &(struct tls_web){.certificate = buffer_slice(&chain), .key = buffer_slice(&key)}, &msg, &world.tls) < 0)
        fail_msg("%s", msg.text);
    buffer_release(&chain);
    buffer_release(&key);
    workload_release(&server);
}

static int set_up(void **state)
{
    struct http_listener_options options = {
        .max_connections = MAX_CONNECTIONS, .max_requests = MAX_REQUESTS, .max_body = MAX_BODY, .max_held = MAX_HELD,
        .head_timeout_ns = 10 * NS_PER_S, .body_timeout_ns = 20 * NS_PER_S, .idle_timeout_ns = 300 * NS_PER_S, .stall_timeout_ns = 30 * NS_PER_S,
        .handshake_timeout_ns = 15 * NS_PER_S, .use = DESCRIPTOR_ACCEPT, .on_request = on_request, .context = context, .on_failure = on_failure};

    memset(&world, 0, sizeof(world));
    world.ops = *sys_linux()->ops;
    world.ops.now = now;
    world.ops.wall = wall;
    world.ops.accept = take_queued;
    world.sys.ops = &world.ops;
    world.now_ns = NS_PER_S;
    assert_int_equal(loop_init(&world.loop, &world.sys, 1024), 0);
    authority_init(&world.authority, "root.test");
    make_context();
    world.bell = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    options.security = *state ? HTTP_LISTENER_TLS : HTTP_LISTENER_PLAIN;
    assert_int_equal(http_listener_on(&world.loop, world.bell, &options, &world.listener), 0);
    return 0;
}

static int tear_down(void **state)
{
    http_listener_free(world.listener);
    settle();
    assert_int_equal(world.loop.pages.lent, 0);
    tls_context_unref(world.tls);
    authority_release(&world.authority);
    loop_release(&world.loop);
    return 0;
}

/* --- a client --- */

static int dial(void)
{
    uint64_t ring = 1;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    world.queue[world.queued++] = fds[1];
    assert_int_equal(write(world.bell, &ring, sizeof(ring)), sizeof(ring));
    settle();
    return fds[0];
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    settle();
}

/* What has come so far; *ret_ended: and it was all. */
static const char *hear(int fd, bool *ret_ended)
{
    static char text[4096];
    size_t len = 0;
    ssize_t n = -1;

    settle();
    while (len + 1 < sizeof(text) && (n = recv(fd, text + len, sizeof(text) - 1 - len, 0)) > 0)
        len += (size_t)n;
    text[len] = '\0';
    *ret_ended = n == 0 || (n < 0 && errno != EAGAIN);
    return text;
}

static bool has_ended(int fd)
{
    bool ended;

    hear(fd, &ended);
    return ended;
}

static void expect(int fd, const char *start, bool ended)
{
    bool is_over;
    const char *text = hear(fd, &is_over);

    if (strncmp(text, start, strlen(start)) != 0 || is_over != ended)
        fail_msg("expected \"%s\"%s, got \"%s\"%s", start, ended ? " and the end" : "", text, is_over ? " and the end" : "");
}

#define GET "GET / HTTP/1.1\r\nhost: x\r\n\r\n"
#define POST(length) "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: " length "\r\n\r\n"
#define OK "HTTP/1.1 200 "

/* --- heads, bodies, pauses --- */

static void a_head_that_comes_slowly(void **state)
{
    int fd = dial();

    for (const char *at = "GET / HTT"; *at; at++) { /* a byte a second is no progress */
        say(fd, (const char[]){*at, '\0'});
        assert_false(has_ended(fd));
        pass(1);
    }
    assert_false(has_ended(fd));
    pass(2);
    assert_true(has_ended(fd));
    pass(LINGER);
    assert_int_equal(world.asked, 0);
    assert_int_equal(http_listener_connections(world.listener), 0);
    close(fd);
}

static void a_body_that_comes_slowly(void **state)
{
    int fd = dial();

    say(fd, POST("100"));
    for (int i = 0; i < 19; i++) {
        say(fd, "x");
        pass(1);
    }
    expect(fd, "", false);
    pass(2);
    expect(fd, "HTTP/1.1 408 ", true);
    assert_int_equal(world.asked, 0);
    close(fd);
}

static void a_body_in_time(void **state)
{
    int fd = dial();

    say(fd, POST("3"));
    pass(19);
    say(fd, "abc");
    expect(fd, OK, false);
    pass(21); /* its deadline is not the next request's */
    say(fd, GET);
    expect(fd, OK, false);
    assert_int_equal(world.asked, 2);
    close(fd);
    settle();
    assert_int_equal(http_listener_connections(world.listener), 0);
}

static void a_pause_between_requests(void **state)
{
    int fd = dial();

    pass(299);
    say(fd, GET);
    expect(fd, OK, false);
    pass(299);
    assert_false(has_ended(fd));
    pass(2);
    assert_true(has_ended(fd));
    close(fd);
}

/* --- answers --- */

/* An answer that nobody reads is given up; one that is read slowly is not. */
static void an_answer_that_nobody_reads(void **state)
{
    int fd = dial();
    char piece[4096];

    world.answer_len = 4 << 20; /* more than a socket takes */
    say(fd, GET);
    for (int i = 0; i < 5; i++) {
        pass(29);
        while (recv(fd, piece, sizeof(piece), 0) > 0)
            ;
        settle(); /* which fills the socket again */
        assert_int_equal(http_listener_connections(world.listener), 1);
    }
    pass(31);
    pass(LINGER);
    assert_int_equal(http_listener_connections(world.listener), 0);
    assert_int_equal(world.gone, 0); /* it had been answered */
    close(fd);
}

static void an_answer_that_takes_long(void **state)
{
    int fd = dial();

    world.later = true;
    say(fd, GET);
    pass(1000); /* whoever was asked may take as long as he wants */
    expect(fd, "", false);
    answer(world.waiting);
    expect(fd, OK, false);
    assert_int_equal(world.gone, 0);
    close(fd);
}

/* Who says no more may still read; who is gone does not. */
static void a_client_that_leaves(void **state)
{
    int fd = dial();

    world.later = true;
    say(fd, "POST / HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 3\r\n\r\n");
    say(fd, "abc");
    assert_int_equal(shutdown(fd, SHUT_WR), 0);
    settle();
    assert_int_equal(world.gone, 0);
    close(fd); /* with something unread in it: a reset */
    settle();
    assert_int_equal(world.asked, 1);
    assert_int_equal(world.gone, 1);
    assert_int_equal(http_listener_connections(world.listener), 0);
}

static void a_listener_that_ends(void **state)
{
    int fd = dial();

    world.later = true;
    say(fd, GET);
    http_listener_free(world.listener);
    world.listener = NULL;
    assert_int_equal(world.gone, 1);
    close(fd);
}

/* --- how much --- */

static void bodies_that_are_too_large(void **state)
{
    int fd = dial(), other = dial();

    say(fd, POST("1001"));
    expect(fd, "HTTP/1.1 413 ", true);
    say(other, "POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n");
    for (int i = 0; i < 1001; i++)
        say(other, "x");
    expect(other, "HTTP/1.1 413 ", true);
    assert_int_equal(world.asked, 0);
    close(fd);
    close(other);
}

/* What all bodies hold together is bounded, and given back. */
static void bodies_that_are_too_many(void **state)
{
    char body[1001];
    int first = dial(), second = dial(), third = dial();

    memset(body, 'x', 1000);
    body[1000] = '\0';
    world.later = true;
    say(first, POST("1000"));
    say(first, body);
    say(second, POST("1000"));
    say(second, body);
    expect(first, "", false);
    expect(second, "HTTP/1.1 503 ", true);
    answer(world.waiting);
    expect(first, OK, false);
    world.later = false;
    say(third, POST("1000"));
    say(third, body);
    expect(third, OK, false);
    close(first);
    close(second);
    close(third);
}

static void requests_that_are_too_many(void **state)
{
    int fds[MAX_REQUESTS + 1];

    world.later = true;
    for (int i = 0; i <= MAX_REQUESTS; i++) {
        fds[i] = dial();
        say(fds[i], GET);
    }
    expect(fds[MAX_REQUESTS], "HTTP/1.1 503 ", true);
    assert_int_equal(world.asked, MAX_REQUESTS);
    http_listener_free(world.listener);
    world.listener = NULL;
    assert_int_equal(world.gone, MAX_REQUESTS);
    for (int i = 0; i <= MAX_REQUESTS; i++)
        close(fds[i]);
}

/* A newcomer takes the place of one that asks nothing; where all are asking something, he is turned away. */
static void connections_that_are_too_many(void **state)
{
    int fds[MAX_CONNECTIONS + 1], late;

    world.later = true;
    for (int i = 0; i <= MAX_CONNECTIONS; i++) {
        fds[i] = dial();
        if (i < MAX_REQUESTS)
            say(fds[i], GET);
    }
    assert_int_equal(http_listener_connections(world.listener), MAX_CONNECTIONS);
    assert_true(has_ended(fds[MAX_CONNECTIONS - 1])); /* the only one that asked nothing */
    assert_false(has_ended(fds[MAX_CONNECTIONS]));
    say(fds[MAX_CONNECTIONS], "POST / HTTP/1.1\r\n");
    late = dial();
    assert_true(has_ended(late) || has_ended(fds[MAX_CONNECTIONS])); /* not one that waits for its answer */
    for (int i = 0; i < MAX_REQUESTS; i++)
        assert_false(has_ended(fds[i]));
    for (int i = 0; i <= MAX_CONNECTIONS; i++)
        close(fds[i]);
    close(late);
}

static void a_drain(void **state)
{
    int idle = dial(), busy = dial();

    world.later = true;
    say(busy, GET);
    http_listener_drain(world.listener);
    settle();
    assert_true(has_ended(idle));
    pass(LINGER);
    assert_int_equal(http_listener_connections(world.listener), 1);
    answer(world.waiting);
    expect(busy, OK, true);
    pass(LINGER);
    assert_int_equal(http_listener_connections(world.listener), 0);
    close(idle);
    close(busy);
}

/* --- TLS --- */

static void a_handshake_without_end(void **state)
{
    static const char hello[] = "\x16\x03\x01\x02\x01\x01\x01\x01\xfd\x03\x03";
    int silent = dial(), slow = dial();

    for (size_t i = 0; i < sizeof(hello) - 1; i++) { /* a byte a second moves no deadline */
        assert_int_equal(send(slow, hello + i, 1, MSG_NOSIGNAL), 1);
        pass(1);
    }
    pass(3);
    assert_int_equal(http_listener_connections(world.listener), 2);
    pass(2);
    assert_int_equal(http_listener_connections(world.listener), 0);
    assert_int_equal(world.failures, 2);
    assert_string_equal(world.why, "the handshake took too long");
    close(silent);
    close(slow);
}

static void no_handshake_at_all(void **state)
{
    int fd = dial();

    say(fd, GET);
    assert_true(has_ended(fd));
    assert_int_equal(world.failures, 1);
    close(fd);
}

/* OpenSSL's client, up to where both are content. */
static SSL *shake(int fd)
{
    SSL *peer = tls_foreign(fd, NULL, &world.authority.anchors, false, TLS1_3_VERSION);

    for (int i = 0; i < 20 && SSL_do_handshake(peer) != 1; i++)
        settle();
    assert_int_equal(SSL_is_init_finished(peer), 1);
    settle();
    return peer;
}

static void a_handshake_in_time(void **state)
{
    int fd = dial();
    char text[256];
    SSL *peer;
    int n;

    pass(14);
    peer = shake(fd);
    pass(16); /* its deadline is over, and was for the handshake alone */
    assert_int_equal(http_listener_connections(world.listener), 1);
    assert_int_equal(SSL_write(peer, GET, sizeof(GET) - 1), sizeof(GET) - 1);
    settle();
    n = SSL_read(peer, text, sizeof(text));
    assert_true(n > 0 && strncmp(text, OK, strlen(OK)) == 0);
    pass(301);
    pass(LINGER);
    assert_int_equal(http_listener_connections(world.listener), 0);
    assert_int_equal(world.failures, 0);
    tls_foreign_free(peer);
}

/* Before there is a certificate, connections are turned away at once. */
static void no_certificate_yet(void **state)
{
    struct tls_context *had = world.tls;
    int fd;

    world.tls = NULL;
    fd = dial();
    assert_true(has_ended(fd));
    close(fd);
    world.tls = had;
    fd = dial();
    tls_foreign_free(shake(fd));
}

#define PLAIN(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)
#define TLS(test) {#test, test, set_up, tear_down, (void *)"tls"}

int main(void)
{
    const struct CMUnitTest tests[] = {
        PLAIN(a_head_that_comes_slowly),
        PLAIN(a_body_that_comes_slowly),
        PLAIN(a_body_in_time),
        PLAIN(a_pause_between_requests),
        PLAIN(an_answer_that_nobody_reads),
        PLAIN(an_answer_that_takes_long),
        PLAIN(a_client_that_leaves),
        PLAIN(a_listener_that_ends),
        PLAIN(bodies_that_are_too_large),
        PLAIN(bodies_that_are_too_many),
        PLAIN(requests_that_are_too_many),
        PLAIN(connections_that_are_too_many),
        PLAIN(a_drain),
        TLS(a_handshake_without_end),
        TLS(no_handshake_at_all),
        TLS(a_handshake_in_time),
        TLS(no_certificate_yet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
