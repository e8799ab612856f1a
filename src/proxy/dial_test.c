/* Dials over loopback: the worker's TLS context is replaced while one connects; one that is given up; one that is refused. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "net/tls/tls_fixture.h"
#include "proxy/dial.h"

struct dials {
    struct tls_world world;
    struct authority authority;
    struct workload client, server;
    struct tls_context *context; /* the client's; the test's own reference */
    int listener;
    struct endpoint_info endpoint;
    struct io_stack stack;
    struct dial dial;
    int ended; /* times that done() was called */
    bool ok;
};

static const char CLIENT[] = "client.shop.serviceaccount.identity.linkerd.cluster.local";
static const char NAME[] = "server.shop.serviceaccount.identity.linkerd.cluster.local";

static int setup(void **state)
{
    struct dials *d = calloc(1, sizeof(*d));
    struct sys *sys;

    tls_world_init(&d->world);
    authority_init(&d->authority, "root");
    workload_init(&d->client, &d->authority, san_parse(slice_str(CLIENT)));
    workload_init(&d->server, &d->authority, san_parse(slice_str(NAME)));
    d->context = tls_world_context(&d->world, &d->client, san_parse(slice_str(CLIENT)), &d->authority.anchors);
    sys = d->world.loop.sys;
    assert_int_equal(addr_parse(SLICE_LIT("127.0.0.1:0"), &d->endpoint.addr), 0);
    d->listener = sys->ops->listen(sys, d->endpoint.addr, 0);
    assert_true(d->listener >= 0);
    assert_int_equal(sys->ops->local_addr(sys, d->listener, &d->endpoint.addr), 0);
    d->endpoint.identity_kind = IDENTITY_DNS;
    d->endpoint.identity = slice_str(NAME);
    d->stack.fd.watch.fd = -1;
    *state = d;
    return 0;
}

static int teardown(void **state)
{
    struct dials *d = *state;

    if (io_is_open(&d->stack))
        io_close(&d->stack, false);
    tls_context_unref(d->context);
    if (d->listener >= 0)
        d->world.loop.sys->ops->close(d->world.loop.sys, d->listener, false);
    workload_release(&d->client);
    workload_release(&d->server);
    authority_release(&d->authority);
    tls_world_release(&d->world);
    free(d);
    return 0;
}

static void done(struct dial *dial, bool ok)
{
    struct dials *d = CONTAINER_OF(dial, struct dials, dial);

    d->ended++;
    d->ok = ok;
}

static void start(struct dials *d)
{
    struct dial_options options = {
        .endpoint = &d->endpoint, .session = DIAL_HTTP2, .timeout_ns = INT64_C(10000000000), .tls = d->context};

    assert_int_equal(dial_start(&d->dial, &d->world.loop, &d->stack, &options, done), 0);
}

static void test_context_replaced(void **state)
{
    struct dials *d = *state;
    struct tls_context *server = tls_world_context(&d->world, &d->server, san_parse(slice_str(NAME)), &d->authority.anchors);
    struct tls_end end = {.wakes = 0};
    struct sys *sys = d->world.loop.sys;
    struct addr peer;
    int fd = -EAGAIN, r = -EAGAIN;

    start(d);
    tls_context_unref(d->context); /* a newer certificate came before the connection did */
    d->context = NULL;
    while ((fd = sys->ops->accept(sys, d->listener, &peer)) == -EAGAIN)
        loop_turn(&d->world.loop, 1000000);
    assert_true(fd >= 0);
    tls_end_open(&d->world, &end, fd);
    assert_int_equal(tls_push_server(&end.stack, server, NULL, 0), 0);
    while (!d->ended || r == -EAGAIN) {
        loop_turn(&d->world.loop, 1000000);
        if (r == -EAGAIN)
            r = tls_handshake(&end.stack);
    }
    assert_int_equal(r, 0);
    assert_true(d->ok);
    io_close(&end.stack, false);
    tls_context_unref(server);
}

static void test_given_up(void **state)
{
    struct dials *d = *state;

    start(d);
    dial_release(&d->dial);
    dial_release(&d->dial); /* allowed at any time */
    while (loop_turn(&d->world.loop, 0))
        ;
    assert_int_equal(d->ended, 0);
    assert_false(io_is_open(&d->stack));
}

static void test_refused(void **state)
{
    struct dials *d = *state;

    d->world.loop.sys->ops->close(d->world.loop.sys, d->listener, false);
    d->listener = -1;
    start(d);
    while (!d->ended)
        loop_turn(&d->world.loop, 1000000);
    assert_false(d->ok);
    assert_int_equal(d->dial.reason, REASON_CONNECT_REFUSED);
    assert_int_equal(d->dial.error, -ECONNREFUSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_context_replaced, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
