#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/duration.h"
#include "sim/net.h"

struct test {
    struct world world;
    struct host *a, *b;
    struct process *client, *server;
    struct poll *from, *to;
    int listener, near, far;
};

static struct addr addr_of(const char *text)
{
    struct addr addr;

    assert_int_equal(addr_parse(slice_str(text), &addr), 0);
    return addr;
}

#define OPS net_sys_ops

static void set_up(struct test *test, uint64_t seed)
{
    *test = (struct test){0};
    world_init(&test->world, seed);
    test->a = world_host(&test->world, "10.1.0.1");
    test->b = world_host(&test->world, "10.1.0.2");
    test->client = host_process(test->a, "client", false);
    test->server = host_process(test->b, "server", false);
    assert_int_equal(OPS.poll_new(&test->client->sys, &test->from), 0);
    assert_int_equal(OPS.poll_new(&test->server->sys, &test->to), 0);
    test->listener = OPS.listen(&test->server->sys, addr_of("0.0.0.0:80"), 0);
    assert_true(test->listener >= 0);
}

static void pass(struct test *test, int64_t ns)
{
    world_run(&test->world, test->world.now_ns + ns);
    assert_null(test->world.failure);
}

static void connect_both(struct test *test)
{
    struct addr peer;

    test->near = OPS.connect(&test->client->sys, addr_of("10.1.0.2:80"));
    assert_int_equal(OPS.connect_result(&test->client->sys, test->near), -EINPROGRESS);
    pass(test, 1 * NS_PER_S);
    assert_int_equal(OPS.connect_result(&test->client->sys, test->near), 0);
    test->far = OPS.accept(&test->server->sys, test->listener, &peer);
    assert_true(test->far >= 0 && ip_eq(peer.ip, test->a->ip));
    assert_int_equal(OPS.poll_add(&test->client->sys, test->from, test->near, 0, &test->near), 0);
    assert_int_equal(OPS.poll_add(&test->server->sys, test->to, test->far, 0, &test->far), 0);
}

static void tear_down(struct test *test)
{
    if (test->near)
        OPS.close(&test->client->sys, test->near, false);
    if (test->far)
        OPS.close(&test->server->sys, test->far, false);
    OPS.close(&test->server->sys, test->listener, false);
    OPS.poll_free(&test->client->sys, test->from);
    OPS.poll_free(&test->server->sys, test->to);
    assert_int_equal(net_open(test->client), 0);
    assert_int_equal(net_open(test->server), 0);
    world_release(&test->world);
}

/* What the poll tells of its one descriptor; 0: nothing. */
static unsigned told(struct process *process, struct poll *poll)
{
    struct sys_event events[4];
    int n = OPS.poll_wait(&process->sys, poll, events, 4, 0);

    assert_in_range(n, 0, 1);
    return n ? events[0].what : 0;
}

static ssize_t write_text(struct process *process, int fd, const char *text)
{
    struct iovec iov = {(char *)(uintptr_t)text, strlen(text)};

    return OPS.writev(&process->sys, fd, &iov, 1);
}

static ssize_t read_some(struct process *process, int fd, size_t len)
{
    static char bytes[1024 * 1024];
    struct iovec iov = {bytes, len};

    return OPS.readv(&process->sys, fd, &iov, 1);
}

static void readiness_comes_in_edges(void **state)
{
    struct test test;

    set_up(&test, 1);
    connect_both(&test);
    assert_int_equal(told(test.client, test.from), SYS_WRITABLE);
    assert_int_equal(told(test.client, test.from), 0);
    assert_int_equal(told(test.server, test.to), SYS_WRITABLE);
    assert_int_equal(write_text(test.client, test.near, "hello"), 5);
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(told(test.server, test.to), SYS_READABLE | SYS_WRITABLE); /* all that is true, as epoll says it */
    assert_int_equal(told(test.server, test.to), 0);                           /* not again for the same bytes */
    assert_int_equal(read_some(test.server, test.far, 2), 2);
    assert_int_equal(told(test.server, test.to), 0);
    assert_int_equal(read_some(test.server, test.far, 100), 3);
    assert_int_equal(read_some(test.server, test.far, 100), -EAGAIN);
    tear_down(&test);
}

static void half_close_is_an_end_and_a_hang_up(void **state)
{
    struct test test;

    set_up(&test, 2);
    connect_both(&test);
    told(test.server, test.to);
    assert_int_equal(OPS.shutdown(&test.client->sys, test.near), 0);
    assert_int_equal(write_text(test.client, test.near, "x"), -EPIPE);
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(told(test.server, test.to), SYS_READABLE | SYS_WRITABLE | SYS_HANGUP);
    assert_int_equal(read_some(test.server, test.far, 10), 0);
    assert_int_equal(write_text(test.server, test.far, "still"), 5);
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(read_some(test.client, test.near, 10), 5);
    tear_down(&test);
}

static void a_full_buffer_is_told_when_there_is_room(void **state)
{
    struct test test;
    static char big[64 * 1024];
    struct iovec iov = {big, sizeof(big)};
    ssize_t sent;

    set_up(&test, 3);
    net_faults(test.world.net)->buffer_max = 4096;
    connect_both(&test);
    told(test.client, test.from);
    sent = OPS.writev(&test.client->sys, test.near, &iov, 1);
    assert_in_range(sent, 512, 4096);
    assert_int_equal(OPS.writev(&test.client->sys, test.near, &iov, 1), -EAGAIN);
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(told(test.client, test.from), 0); /* arrived, but nobody has read it */
    assert_int_equal(read_some(test.server, test.far, 1), 1);
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(told(test.client, test.from), 0); /* room for one byte is not worth a word */
    assert_int_equal(read_some(test.server, test.far, 100000), sent - 1);
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(told(test.client, test.from), SYS_WRITABLE);
    tear_down(&test);
}

static void a_reset_comes_behind_the_bytes_and_once(void **state)
{
    struct test test;

    set_up(&test, 4);
    connect_both(&test);
    told(test.client, test.from);
    assert_int_equal(write_text(test.server, test.far, "last"), 4);
    pass(&test, 1 * NS_PER_S);
    OPS.close(&test.server->sys, test.far, true);
    test.far = 0;
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(told(test.client, test.from), SYS_READABLE | SYS_WRITABLE | SYS_HANGUP | SYS_BROKEN);
    assert_int_equal(read_some(test.client, test.near, 10), 4);
    assert_int_equal(read_some(test.client, test.near, 10), -ECONNRESET);
    assert_int_equal(read_some(test.client, test.near, 10), 0);
    assert_int_equal(write_text(test.client, test.near, "x"), -EPIPE);
    tear_down(&test);
}

static void closing_with_unread_bytes_resets(void **state)
{
    struct test test;

    set_up(&test, 5);
    connect_both(&test);
    assert_int_equal(write_text(test.client, test.near, "unread"), 6);
    pass(&test, 1 * NS_PER_S);
    OPS.close(&test.server->sys, test.far, false);
    test.far = 0;
    pass(&test, 1 * NS_PER_S);
    assert_int_equal(read_some(test.client, test.near, 10), -ECONNRESET);
    tear_down(&test);
}

static void connecting_can_fail(void **state)
{
    static const struct {
        const char *to;
        int result;
    } cases[] = {{"10.1.0.2:81", -ECONNREFUSED}, {"10.1.0.99:80", -EINPROGRESS}, {"10.1.0.2:80", 0}};

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct test test;

        set_up(&test, 10 + i);
        test.near = OPS.connect(&test.client->sys, addr_of(cases[i].to));
        pass(&test, 1 * NS_PER_S);
        assert_int_equal(OPS.connect_result(&test.client->sys, test.near), cases[i].result);
        tear_down(&test);
    }
}

static void a_cut_holds_bytes_back_until_it_is_healed(void **state)
{
    struct test test;

    set_up(&test, 20);
    connect_both(&test);
    net_cut(test.world.net, test.a, test.b);
    assert_int_equal(write_text(test.client, test.near, "late"), 4);
    pass(&test, 60 * NS_PER_S);
    assert_int_equal(read_some(test.server, test.far, 10), -EAGAIN);
    net_heal(test.world.net, test.a, test.b);
    pass(&test, 3 * NS_PER_S);
    assert_int_equal(read_some(test.server, test.far, 10), 4);
    tear_down(&test);
}

static void a_full_backlog_drops_and_is_tried_again(void **state)
{
    struct test test;
    int fds[3];
    struct addr peer;

    set_up(&test, 21);
    OPS.close(&test.server->sys, test.listener, false);
    test.listener = OPS.listen(&test.server->sys, addr_of("0.0.0.0:80"), 2);
    for (int i = 0; i < 3; i++)
        fds[i] = OPS.connect(&test.client->sys, addr_of("10.1.0.2:80"));
    pass(&test, 100 * NS_PER_MS);
    assert_int_equal(OPS.connect_result(&test.client->sys, fds[0]) + OPS.connect_result(&test.client->sys, fds[1]) +
                     OPS.connect_result(&test.client->sys, fds[2]), -EINPROGRESS);
    test.far = OPS.accept(&test.server->sys, test.listener, &peer);
    pass(&test, 2 * NS_PER_S);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(OPS.connect_result(&test.client->sys, fds[i]), 0);
        OPS.close(&test.client->sys, fds[i], false);
    }
    tear_down(&test);
}

static void redirection_keeps_the_destination(void **state)
{
    struct test test;
    struct process *proxy;
    struct addr peer, original;
    int outbound, inbound, fd, near;

    set_up(&test, 22);
    test.a->outbound_port = 4140;
    test.b->inbound_port = 4143;
    proxy = host_process(test.a, "proxy", true);
    outbound = OPS.listen(&proxy->sys, addr_of("127.0.0.1:4140"), 0);
    inbound = OPS.listen(&test.server->sys, addr_of("0.0.0.0:4143"), 0);
    test.near = OPS.connect(&test.client->sys, addr_of("10.1.0.2:80"));
    near = OPS.connect(&proxy->sys, addr_of("10.1.0.2:80"));
    pass(&test, 1 * NS_PER_S);
    fd = OPS.accept(&proxy->sys, outbound, &peer);
    assert_true(fd >= 0 && ip_eq(peer.ip, test.a->ip));
    assert_int_equal(OPS.original_dst(&proxy->sys, fd, &original), 0);
    assert_true(addr_eq(original, addr_of("10.1.0.2:80")));
    OPS.close(&proxy->sys, fd, false);
    fd = OPS.accept(&test.server->sys, inbound, &peer);
    assert_true(fd >= 0);
    assert_int_equal(OPS.original_dst(&test.server->sys, fd, &original), 0);
    assert_true(addr_eq(original, addr_of("10.1.0.2:80")));
    OPS.close(&test.server->sys, fd, false);
    assert_int_equal(OPS.accept(&test.server->sys, test.listener, &peer), -EAGAIN);
    OPS.close(&proxy->sys, near, false);
    OPS.close(&proxy->sys, outbound, false);
    OPS.close(&test.server->sys, inbound, false);
    tear_down(&test);
}

static void using_another_process_descriptor_is_found_out(void **state)
{
    struct test test;

    set_up(&test, 23);
    connect_both(&test);
    assert_int_equal(read_some(test.server, test.near, 1), -EBADF);
    assert_non_null(test.world.failure);
    tear_down(&test);
}

static uint64_t run_of(uint64_t seed)
{
    struct test test;
    uint64_t trace;

    set_up(&test, seed);
    net_faults(test.world.net)->segment_max = 3;
    connect_both(&test);
    for (int i = 0; i < 20; i++) {
        write_text(test.client, test.near, "some bytes on their way");
        pass(&test, 100 * NS_PER_US);
        read_some(test.server, test.far, 1000);
    }
    trace = test.world.trace;
    tear_down(&test);
    return trace;
}

static void a_seed_is_a_run(void **state)
{
    assert_true(run_of(7) == run_of(7));
    assert_true(run_of(7) != run_of(8));
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(readiness_comes_in_edges),
        cmocka_unit_test(half_close_is_an_end_and_a_hang_up),
        cmocka_unit_test(a_full_buffer_is_told_when_there_is_room),
        cmocka_unit_test(a_reset_comes_behind_the_bytes_and_once),
        cmocka_unit_test(closing_with_unread_bytes_resets),
        cmocka_unit_test(connecting_can_fail),
        cmocka_unit_test(a_cut_holds_bytes_back_until_it_is_healed),
        cmocka_unit_test(a_full_backlog_drops_and_is_tried_again),
        cmocka_unit_test(redirection_keeps_the_destination),
        cmocka_unit_test(using_another_process_descriptor_is_found_out),
        cmocka_unit_test(a_seed_is_a_run),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
