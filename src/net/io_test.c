/* The io stack over socket pairs with Linux's own loop: readiness, filters, closing. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/io.h"

struct end {
    struct io_stack stack;
    unsigned wakes;
};

struct world {
    struct loop loop;
    struct end end;
    int peer; /* the other side of the pair, a plain descriptor */
};

static void note_ready(struct io_stack *stack)
{
    CONTAINER_OF(stack, struct end, stack)->wakes++;
}

static void settle(struct world *w)
{
    while (loop_turn(&w->loop, 0))
        ;
}

static int setup(void **state)
{
    struct world *w = calloc(1, sizeof(*w));
    int fds[2];

    assert_int_equal(loop_init(&w->loop, sys_linux(), 1024), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    w->peer = fds[1];
    assert_int_equal(io_open(&w->end.stack, &w->loop, fds[0], note_ready), 0);
    settle(w);
    *state = w;
    return 0;
}

static int teardown(void **state)
{
    struct world *w = *state;

    io_close(&w->end.stack, false);
    close(w->peer);
    assert_int_equal(w->loop.pages.lent, 0);
    loop_release(&w->loop);
    free(w);
    return 0;
}

static void send_bytes(struct world *w, const char *text)
{
    assert_int_equal(send(w->peer, text, strlen(text), 0), strlen(text));
    settle(w);
}

static void expect_read(struct world *w, const char *text)
{
    char bytes[256];

    assert_int_equal(io_read(&w->end.stack, bytes, sizeof(bytes)), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static void expect_sent(struct world *w, const char *text)
{
    char bytes[256];

    assert_int_equal(recv(w->peer, bytes, sizeof(bytes), MSG_DONTWAIT), strlen(text));
    assert_memory_equal(bytes, text, strlen(text));
}

static ssize_t write_text(struct world *w, const char *text)
{
    struct iovec iov = {(void *)text, strlen(text)};

    return io_writev(&w->end.stack, &iov, 1);
}

static void test_readiness(void **state)
{
    struct world *w = *state;
    char byte;
    unsigned wakes;

    assert_true(io_is_open(&w->end.stack));
    assert_true(w->end.stack.writable);
    assert_int_equal(io_read(&w->end.stack, &byte, 1), -EAGAIN);
    assert_false(io_pending(&w->end.stack));
    wakes = w->end.wakes;
    send_bytes(w, "one");
    assert_true(w->end.wakes > wakes);
    assert_true(io_pending(&w->end.stack));
    expect_read(w, "one"); /* a short read empties it */
    assert_false(io_pending(&w->end.stack));
    assert_int_equal(io_read(&w->end.stack, &byte, 1), -EAGAIN);
    send_bytes(w, "two");
    assert_int_equal(io_read(&w->end.stack, &byte, 1), 1); /* a full one does not */
    assert_true(io_pending(&w->end.stack));
    expect_read(w, "wo");
    assert_int_equal(w->end.stack.error, 0);
}

static void test_end(void **state)
{
    struct world *w = *state;
    char byte;

    send_bytes(w, "last");
    assert_int_equal(shutdown(w->peer, SHUT_WR), 0);
    settle(w);
    assert_true(w->end.stack.hangup);
    expect_read(w, "last");
    assert_true(io_pending(&w->end.stack)); /* the end is there to read */
    assert_int_equal(io_read(&w->end.stack, &byte, 1), 0);
    assert_int_equal(write_text(w, "more"), 4); /* the other way is open */
    expect_sent(w, "more");
    assert_int_equal(io_shutdown(&w->end.stack), 0);
    assert_int_equal(recv(w->peer, &byte, 1, MSG_DONTWAIT), 0);
}

static void test_broken(void **state)
{
    struct world *w = *state;
    int fds[2];

    close(w->peer);
    settle(w);
    assert_true(w->end.stack.hangup);
    assert_int_equal(write_text(w, "x"), -EPIPE);
    assert_int_equal(w->end.stack.error, -EPIPE); /* remembered */
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
    close(fds[1]);
    w->peer = fds[0]; /* for teardown */
}

static void test_blocked(void **state)
{
    static char bytes[65536];
    struct world *w = *state;
    struct iovec iov = {bytes, sizeof(bytes)};
    size_t sent = 0, got = 0;
    unsigned wakes;
    ssize_t n;

    while ((n = io_writev(&w->end.stack, &iov, 1)) > 0)
        sent += (size_t)n;
    assert_int_equal(n, -EAGAIN);
    assert_false(w->end.stack.writable);
    settle(w);
    wakes = w->end.wakes;
    while ((n = recv(w->peer, bytes, sizeof(bytes), MSG_DONTWAIT)) > 0)
        got += (size_t)n;
    settle(w);
    assert_int_equal(got, sent);
    assert_true(w->end.stack.writable);
    assert_true(w->end.wakes > wakes);
}

static void test_counters(void **state)
{
    struct world *w = *state;
    _Atomic(int64_t) in = 0, out = 0;

    w->end.stack.count_read = &in;
    w->end.stack.count_written = &out;
    send_bytes(w, "12345");
    expect_read(w, "12345");
    assert_int_equal(write_text(w, "123"), 3);
    assert_int_equal(atomic_load(&in), 5);
    assert_int_equal(atomic_load(&out), 3);
}

static void test_write_chain(void **state)
{
    struct world *w = *state;
    size_t len = 3 << 20, got = 0, left = len;
    char *bytes = malloc(len), *back = malloc(len);
    struct chain chain;
    int r;

    for (size_t i = 0; i < len; i++)
        bytes[i] = (char)(i * 5 + i / 253);
    chain_init(&chain, &w->loop.pages);
    assert_int_equal(chain_add(&chain, slice_of(bytes, len)), 0);
    do {
        ssize_t n;

        r = io_write_chain(&w->end.stack, &chain);
        assert_true(r == 0 || r == -EAGAIN);
        assert_true(chain.len <= left);
        left = chain.len;
        while ((n = recv(w->peer, back + got, len - got, MSG_DONTWAIT)) > 0)
            got += (size_t)n;
        settle(w);
    } while (r == -EAGAIN);
    assert_true(chain_empty(&chain));
    assert_int_equal(got, len);
    assert_memory_equal(bytes, back, len);
    free(bytes);
    free(back);
}

static void test_prefix(void **state)
{
    struct world *w = *state;
    struct chain bytes;
    char part[4];

    chain_init(&bytes, &w->loop.pages);
    assert_int_equal(io_push_prefix(&w->end.stack, &bytes), 0); /* nothing to give back: no filter */
    assert_string_equal(w->end.stack.top->ops->name, "fd");
    assert_int_equal(chain_add(&bytes, SLICE_LIT("peeked")), 0);
    assert_int_equal(io_push_prefix(&w->end.stack, &bytes), 0);
    assert_string_equal(w->end.stack.top->ops->name, "prefix");
    assert_true(chain_empty(&bytes));
    assert_true(io_pending(&w->end.stack));
    assert_int_equal(io_read(&w->end.stack, part, 4), 4);
    assert_memory_equal(part, "peek", 4);
    assert_true(io_pending(&w->end.stack));
    expect_read(w, "ed");
    assert_string_equal(w->end.stack.top->ops->name, "fd"); /* it has left */
    assert_false(io_pending(&w->end.stack));
    send_bytes(w, "after");
    expect_read(w, "after");
    assert_int_equal(write_text(w, "out"), 3); /* writing passes */
    expect_sent(w, "out");
}

static void test_preamble(void **state)
{
    struct world *w = *state;

    assert_int_equal(io_push_preamble(&w->end.stack, SLICE_LIT("head ")), 0);
    assert_int_equal(write_text(w, "body"), 4);
    expect_sent(w, "head body"); /* in one packet */
    assert_string_equal(w->end.stack.top->ops->name, "fd");
    assert_int_equal(write_text(w, "more"), 4);
    expect_sent(w, "more");
}

static void test_preamble_alone(void **state)
{
    struct world *w = *state;

    assert_int_equal(io_push_preamble(&w->end.stack, SLICE_LIT("head ")), 0);
    assert_int_equal(io_flush(&w->end.stack), 0);
    expect_sent(w, "head ");
    assert_int_equal(io_push_preamble(&w->end.stack, SLICE_LIT("tail")), 0);
    assert_int_equal(io_shutdown(&w->end.stack), 0); /* before the end, too */
    expect_sent(w, "tail");
}

/* Below a preamble, one byte of room at a time: nothing is lost, doubled or reordered. */
struct drip {
    struct io io;
    char *to;
    size_t len;
    bool open; /* takes one byte when open, then closes */
};

static ssize_t drip_writev(struct io *io, const struct iovec *iov, int count)
{
    struct drip *drip = CONTAINER_OF(io, struct drip, io);

    if (!drip->open)
        return -EAGAIN;
    for (int i = 0; i < count; i++)
        if (iov[i].iov_len) {
            drip->to[drip->len++] = *(char *)iov[i].iov_base;
            drip->open = false;
            return 1;
        }
    return -EAGAIN;
}

static void drip_free(struct io *io)
{
}

static const struct io_ops drip_ops = {.name = "drip",
                                       .read = io_pass_read,
                                       .writev = drip_writev,
                                       .flush = io_pass_flush,
                                       .shutdown = io_pass_shutdown,
                                       .pending = io_pass_pending,
                                       .free = drip_free};

static void test_preamble_in_drops(void **state)
{
    struct world *w = *state;
    char out[64] = "";
    struct drip drip = {.io.ops = &drip_ops, .to = out};
    const char *body = "body";
    size_t done = 0;

    io_push(&w->end.stack, &drip.io);
    assert_int_equal(io_push_preamble(&w->end.stack, SLICE_LIT("head ")), 0);
    for (int i = 0; i < 20 && done < 4; i++) {
        ssize_t n;

        drip.open = true;
        n = write_text(w, body + done);
        assert_true(n == -EAGAIN || n == 1);
        done += n > 0 ? (size_t)n : 0;
    }
    assert_string_equal(out, "head body");
    io_close(&w->end.stack, false); /* while `drip` lives */
}

static void test_close(void **state)
{
    struct world *w = *state;
    char byte;

    assert_int_equal(io_push_preamble(&w->end.stack, SLICE_LIT("never sent")), 0);
    io_close(&w->end.stack, false);
    assert_false(io_is_open(&w->end.stack));
    assert_int_equal(recv(w->peer, &byte, 1, MSG_DONTWAIT), 0);
    io_close(&w->end.stack, false);
}

/* The socket alone changes hands, with what it has to tell; bytes that a filter holds would be lost. */
static void test_take_fd(void **state)
{
    struct world *w = *state;
    struct end other = {.wakes = 0};
    int fd = io_take_fd(&w->end.stack);

    assert_true(fd >= 0);
    assert_false(io_is_open(&w->end.stack));
    io_close(&w->end.stack, false);
    send_bytes(w, "before"); /* nobody watches */
    assert_int_equal(io_open(&other.stack, &w->loop, fd, note_ready), 0);
    settle(w);
    assert_true(other.wakes > 0 && other.stack.readable && other.stack.writable);
    assert_int_equal(io_push_preamble(&other.stack, SLICE_LIT("held")), 0);
    assert_int_equal(io_take_fd(&other.stack), -EBUSY);
    assert_true(io_is_open(&other.stack));
    io_close(&other.stack, false);
}

static void test_bad_descriptor(void **state)
{
    struct world *w = *state;
    struct io_stack stack;

    assert_true(io_open(&stack, &w->loop, -1, note_ready) < 0);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_readiness),      TEST(test_end),    TEST(test_broken),          TEST(test_blocked),
        TEST(test_counters),       TEST(test_prefix), TEST(test_write_chain),     TEST(test_preamble),
        TEST(test_preamble_alone), TEST(test_close),  TEST(test_preamble_in_drops), TEST(test_bad_descriptor),
        TEST(test_take_fd),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
