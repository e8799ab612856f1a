/*
 * What an idle connection holds, in bytes of malloc(), printed and bounded. Counts allocations of OpenSSL's and ours.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <malloc.h>
#include <openssl/crypto.h>

#include "net/tls/tls_fixture.h"
#include "net/tls/tls_internal.h"

#define SERVER "web.shop.serviceaccount.identity.linkerd.cluster.local"
#define CLIENT "cart.shop.serviceaccount.identity.linkerd.cluster.local"

static const struct san server_id = {SAN_DNS, {SERVER, sizeof(SERVER) - 1}};
static const struct san client_id = {SAN_DNS, {CLIENT, sizeof(CLIENT) - 1}};

/* Everything that OpenSSL takes goes through these; malloc_usable_size() is what it costs. */
static size_t openssl_bytes, openssl_blocks;

static void *count_malloc(size_t size, const char *file, int line)
{
    void *p = malloc(size);

    openssl_bytes += malloc_usable_size(p);
    openssl_blocks += p != NULL;
    return p;
}

static void count_free(void *p, const char *file, int line)
{
    openssl_bytes -= malloc_usable_size(p);
    openssl_blocks -= p != NULL;
    free(p);
}

static void *count_realloc(void *p, size_t size, const char *file, int line)
{
    void *q;

    openssl_bytes -= malloc_usable_size(p);
    openssl_blocks -= p != NULL;
    q = realloc(p, size);
    openssl_bytes += malloc_usable_size(q);
    openssl_blocks += q != NULL;
    return q;
}

enum { PAIRS = 64, RECORDS = 100 };

static void talk(struct tls_world *world, struct tls_end *a, struct tls_end *b)
{
    char bytes[256] = {0};

    for (int i = 0; i < RECORDS; i++) {
        tls_write(world, a, bytes, 200);
        assert_int_equal(tls_read(world, b, bytes, sizeof(bytes)), 200);
        tls_write(world, b, bytes, 256);
        assert_int_equal(tls_read(world, a, bytes, sizeof(bytes)), 256);
    }
}

static void connect_pairs(struct tls_world *world, struct tls_context *client, struct tls_context *server,
                          struct tls_end (*pairs)[2], int count)
{
    struct tls_client options = {.server_name = server_id.name, .expected = server_id};

    for (int i = 0; i < count; i++) {
        int c, s;

        tls_connect(world, &pairs[i][0], &pairs[i][1]);
        assert_int_equal(tls_push_client(&pairs[i][0].stack, client, &options), 0);
        assert_int_equal(tls_push_server(&pairs[i][1].stack, server, NULL, 0), 0);
        tls_shake(world, &pairs[i][0], &pairs[i][1], &c, &s);
        assert_int_equal(c, 0);
        assert_int_equal(s, 0);
        talk(world, &pairs[i][0], &pairs[i][1]);
    }
}

/* Bytes of one end: the filter's own blocks, and OpenSSL's over all pairs. */
static size_t own_bytes(const struct tls_end *end)
{
    const struct tls *tls = tls_of(&end->stack);

    assert_null(tls->handshake);
    assert_null(tls->ssl);
    return malloc_usable_size((void *)tls) + (tls->names ? malloc_usable_size(tls->names) : 0);
}

static void test_idle(void **state)
{
    static struct tls_end pairs[PAIRS][2];
    struct tls_world world;
    struct authority authority;
    struct workload client, server;
    struct tls_context *client_ctx, *server_ctx;
    size_t before, blocks_before, own, theirs;

    tls_world_init(&world);
    authority_init(&authority, "root");
    workload_init(&client, &authority, client_id);
    workload_init(&server, &authority, server_id);
    client_ctx = tls_world_context(&world, &client, client_id, &authority.anchors);
    server_ctx = tls_world_context(&world, &server, server_id, &authority.anchors);
    connect_pairs(&world, client_ctx, server_ctx, pairs, 1); /* what is made once */
    before = openssl_bytes;
    blocks_before = openssl_blocks;
    connect_pairs(&world, client_ctx, server_ctx, pairs + 1, PAIRS - 1);
    theirs = (openssl_bytes - before) / (2 * (PAIRS - 1));
    own = own_bytes(&pairs[1][0]) > own_bytes(&pairs[1][1]) ? own_bytes(&pairs[1][0]) : own_bytes(&pairs[1][1]);
    printf("an idle connection holds %zu bytes: %zu of the filter and %zu in %zu blocks of OpenSSL's ciphers\n",
           own + theirs, own, theirs, (openssl_blocks - blocks_before) / (2 * (PAIRS - 1)));
    assert_true(theirs > 0);
    assert_true(own + theirs <= 4096);
    assert_int_equal(world.loop.pages.lent, 0);
    for (int i = 0; i < PAIRS; i++) {
        io_close(&pairs[i][0].stack, true);
        io_close(&pairs[i][1].stack, true);
    }
    assert_true(openssl_bytes <= before); /* all of it came back */
    tls_context_unref(client_ctx);
    tls_context_unref(server_ctx);
    workload_release(&client);
    workload_release(&server);
    authority_release(&authority);
    tls_world_release(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_idle)};

    if (CRYPTO_set_mem_functions(count_malloc, count_realloc, count_free) != 1)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
