/* Forwarding over socket pairs: half-close both ways, a peer that does not read, much data, broken sides. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/limits.h"
#include "proxy/forward.h"

struct world {
    struct loop loop;
    struct io_stack first, second;
    int client, server; /* the far ends, plain descriptors */
    struct forward forward;
};

static void note_ready(struct io_stack *stack)
{
}

static void open_pair(struct world *w, struct io_stack *stack, int *ret_far)
{
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(io_open(stack, &w->loop, fds[0], note_ready), 0);
    *ret_far = fds[1];
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));

    assert_int_equal(loop_init(&w->loop, sys_linux(), 1024), 0);
    open_pair(w, &w->first, &w->client);
    open_pair(w, &w->second, &w->server);
    forward_init(&w->forward, &w->first, &w->second, &w->loop.pages);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    forward_release(&w->forward);
    io_close(&w->first, false);
    io_close(&w->second, false);
    if (w->client >= 0)
        close(w->client);
    if (w->server >= 0)
        close(w->server);
    assert_int_equal(w->loop.pages.lent, 0);
    loop_release(&w->loop);
    free(w);
    return 0;
}

/* Runs until it waits for readiness that is not there, or ends. */
static int run(struct world *w)
{
    int r;

    do {
        while (loop_turn(&w->loop, 0))
            ;
        r = forward_run(&w->forward);
    } while (r == -EALREADY);
    return r;
}

static void say(int fd, const char *text)
{
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static void hear(int fd, const char *text)
{
    char bytes[256];
    ssize_t n = recv(fd, bytes, sizeof(bytes), MSG_DONTWAIT);

    assert_int_equal(n, strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void hear_end(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
}

static void hear_nothing(int fd)
{
    char byte;

    assert_int_equal(recv(fd, &byte, 1, MSG_DONTWAIT), -1);
    assert_int_equal(errno, EAGAIN);
}

static void test_both_ways(void **state)
{
    struct world *w = *state;

    assert_int_equal(run(w), -EAGAIN);
    assert_int_equal(w->loop.pages.lent, 0); /* idle: no buffers */
    say(w->client, "question");
    assert_int_equal(run(w), -EAGAIN);
    hear(w->server, "question");
    hear_nothing(w->client);
    say(w->server, "answer");
    assert_int_equal(run(w), -EAGAIN);
    hear(w->client, "answer");
    assert_int_equal(w->loop.pages.lent, 0);
}

static void half_close(struct world *w, int first, int second)
{
    say(first, "last words");
    shutdown(first, SHUT_WR);
    assert_int_equal(run(w), -EAGAIN); /* the other direction lives */
    hear(second, "last words");
    hear_end(second);
    for (int i = 0; i < 3; i++) {
        say(second, "more");
        assert_int_equal(run(w), -EAGAIN);
        hear(first, "more");
    }
    say(second, "bye");
    shutdown(second, SHUT_WR);
    assert_int_equal(run(w), 0);
    hear(first, "bye");
    hear_end(first);
}

static void test_client_ends_first(void **state)
{
    struct world *w = *state;

    half_close(w, w->client, w->server);
}

static void test_server_ends_first(void **state)
{
    struct world *w = *state;

    half_close(w, w->server, w->client);
}

static void test_both_end_at_once(void **state)
{
    struct world *w = *state;

    shutdown(w->client, SHUT_WR);
    shutdown(w->server, SHUT_WR);
    assert_int_equal(run(w), 0);
    hear_end(w->client);
    hear_end(w->server);
}

static void test_much(void **state)
{
    struct world *w = *state;
    size_t len = 8 << 20, sent = 0, got = 0;
    char *bytes = malloc(len), *back = malloc(len);
    int r = -EAGAIN;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 7 + i / 251);
    while (r != 0) {
        ssize_t n = sent < len ? send(w->client, bytes + sent, len - sent, MSG_NOSIGNAL) : 0;

        sent += n > 0 ? (size_t)n : 0;
        if (sent == len) {
            shutdown(w->client, SHUT_WR);
            shutdown(w->server, SHUT_WR);
        }
        r = run(w);
        assert_true(r == 0 || r == -EAGAIN);
        while ((n = recv(w->server, back + got, len - got, MSG_DONTWAIT)) > 0)
            got += (size_t)n;
    }
    while (got < len) {
        ssize_t n = recv(w->server, back + got, len - got, MSG_DONTWAIT);

        assert_true(n > 0);
        got += (size_t)n;
    }
    assert_memory_equal(bytes, back, len);
    free(bytes);
    free(back);
}

/* What is not taken is not read for ever: the sender is blocked too, and the memory has a limit. */
static void test_blocked(void **state)
{
    static char bytes[65536];
    struct world *w = *state;
    size_t sent = 0, got = 0, still = 0;
    ssize_t n;

    while (still < 3) {
        n = send(w->client, bytes, sizeof(bytes), MSG_NOSIGNAL);
        still = n > 0 ? 0 : still + 1;
        sent += n > 0 ? (size_t)n : 0;
        assert_int_equal(run(w), -EAGAIN);
        assert_true(w->forward.out.bytes.len <= LIMIT_FORWARD_AHEAD + LIMIT_BUFFER_PAGE);
        assert_true(sent < 64 << 20);
    }
    say(w->server, "the other way is free");
    assert_int_equal(run(w), -EAGAIN);
    hear(w->client, "the other way is free");
    shutdown(w->client, SHUT_WR);
    do { /* the end comes behind all that was kept */
        while ((n = recv(w->server, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
            got += (size_t)n;
        assert_int_equal(run(w), -EAGAIN);
    } while (n < 0);
    assert_int_equal(got, sent);
    assert_int_equal(w->loop.pages.lent, 0);
}

/* A stream in bulk is read in few large pieces; when it turns to small ones, so does the room that is taken for them. */
static void test_adapts(void **state)
{
    static char bytes[65536];
    struct world *w = *state;

    assert_int_equal(w->forward.out.ahead, 0);
    for (int i = 0; i < 8; i++) {
        while (send(w->client, bytes, sizeof(bytes), MSG_NOSIGNAL) > 0)
            ;
        assert_int_equal(run(w), -EAGAIN);
        while (recv(w->server, bytes, sizeof(bytes), MSG_DONTWAIT) > 0)
            assert_int_equal(run(w), -EAGAIN);
    }
    assert_true(w->forward.out.ahead > 0);
    assert_true((size_t)LIMIT_BUFFER_PAGE << w->forward.out.ahead <= LIMIT_FORWARD_AHEAD);
    assert_int_equal(w->forward.back.ahead, 0);
    assert_int_equal(w->loop.pages.lent, 0); /* all given back */
    for (int i = 0; i < 8; i++) {
        say(w->client, "small");
        assert_int_equal(run(w), -EAGAIN);
        hear(w->server, "small");
    }
    assert_int_equal(w->forward.out.ahead, 0);
}

static void reset(int *fd)
{
    close(*fd);
    *fd = -1;
}

static void test_reader_gone(void **state)
{
    struct world *w = *state;
    int r;

    say(w->client, "to nobody");
    reset(&w->server);
    r = run(w);
    assert_true(r < 0 && r != -EAGAIN && r != -EALREADY);
    assert_false(w->forward.failed_first);
}

static void test_first_gone(void **state)
{
    struct world *w = *state;
    int r;

    say(w->server, "to nobody");
    reset(&w->client);
    r = run(w);
    assert_true(r < 0 && r != -EAGAIN && r != -EALREADY);
    assert_true(w->forward.failed_first);
}

/* Both far ends closed in order with nothing pending is an orderly end, not an error. */
static void test_gone_quietly(void **state)
{
    struct world *w = *state;

    reset(&w->client);
    assert_int_equal(run(w), -EAGAIN);
    hear_end(w->server);
    reset(&w->server);
    assert_int_equal(run(w), 0);
}

/* One that ended its sending and then breaks takes no answer: the other side is not kept waiting to give one. */
static void test_broken_after_the_end(void **state)
{
    struct world *w = *state;

    say(w->server, "never read");
    assert_int_equal(shutdown(w->client, SHUT_WR), 0);
    assert_int_equal(run(w), -EAGAIN);
    hear_end(w->server);
    reset(&w->client); /* with bytes unread: what it was sent comes back as a reset */
    assert_int_equal(run(w), -ECONNRESET);
    assert_true(w->forward.failed_first);
}

static void test_no_memory(void **state)
{
    struct world *w = *state;

    w->loop.pages.max_pages = 0;
    say(w->client, "x");
    assert_int_equal(run(w), -ENOMEM);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_both_ways), TEST(test_client_ends_first), TEST(test_server_ends_first), TEST(test_both_end_at_once),
        TEST(test_much),      TEST(test_blocked),           TEST(test_reader_gone),       TEST(test_first_gone),
        TEST(test_gone_quietly), TEST(test_no_memory), TEST(test_adapts), TEST(test_broken_after_the_end),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
