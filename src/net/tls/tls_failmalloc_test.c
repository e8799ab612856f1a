/*
 * Handshakes in which one of OpenSSL's allocations fails, each time another one: nothing crashes or leaks, no side
 * believes anybody but the right peer, and whatever fails has a reason. (A client that cannot read its own certificate
 * may show none: the server then sees nobody, never somebody else.)
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <openssl/crypto.h>

#include "net/tls/tls_fixture.h"

enum { STRIDE = 17 }; /* a handshake of both sides takes some 8000 allocations */

static const struct san name = {SAN_DNS, {"web.shop", 8}};

static long left = -1; /* allocations until one fails; negative: none does */
static bool failed;

static bool fails_now(void)
{
    if (left < 0 || left-- > 0)
        return false;
    failed = true;
    return true;
}

static void *failing_malloc(size_t size, const char *file, int line)
{
    return fails_now() ? NULL : malloc(size);
}

static void *failing_realloc(void *p, size_t size, const char *file, int line)
{
    if (size == 0) {
        free(p);
        return NULL;
    }
    return fails_now() ? NULL : realloc(p, size);
}

static void plain_free(void *p, const char *file, int line)
{
    free(p);
}

static void check_end(const struct tls_end *end, int result, bool client)
{
    struct tls_peer peer;

    if (result < 0 && result != -EAGAIN)
        assert_int_not_equal(tls_failure(&end->stack), TLS_OK);
    if (tls_peer(&end->stack, &peer))
        assert_true(san_eq(peer.id, name) || (!client && peer.id.kind == SAN_NONE));
}

/* True when no allocation failed: there were not that many. */
static bool shake_with_failure(struct tls_world *world, struct tls_context *context, long at)
{
    struct tls_client options = {.server_name = name.name, .expected = name};
    struct tls_end a, b;
    int c = -EAGAIN, s = -EAGAIN, pushed_client, pushed_server;

    tls_connect(world, &a, &b);
    failed = false;
    left = at;
    pushed_client = tls_push_client(&a.stack, context, &options);
    pushed_server = tls_push_server(&b.stack, context, NULL, 0);
    if (pushed_client == 0 && pushed_server == 0)
        tls_shake(world, &a, &b, &c, &s);
    left = -1;
    if (pushed_client == 0 && pushed_server == 0) {
        check_end(&a, c, true);
        check_end(&b, s, false);
    } else {
        assert_true(failed);
    }
    if (!failed) {
        assert_int_equal(c, 0);
        assert_int_equal(s, 0);
    }
    io_close(&a.stack, true);
    io_close(&b.stack, true);
    return !failed;
}

static void test_sweep(void **state)
{
    struct tls_world world;
    struct authority authority;
    struct workload workload;
    struct tls_context *context;
    long at = 0;

    tls_world_init(&world);
    authority_init(&authority, "root");
    workload_init(&workload, &authority, name);
    context = tls_world_context(&world, &workload, name, &authority.anchors);
    while (!shake_with_failure(&world, context, at)) {
        at += STRIDE;
        assert_true(at < 200000);
    }
    assert_true(at > 1000);
    tls_context_unref(context);
    workload_release(&workload);
    authority_release(&authority);
    tls_world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_sweep)};

    if (CRYPTO_set_mem_functions(failing_malloc, failing_realloc, plain_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
