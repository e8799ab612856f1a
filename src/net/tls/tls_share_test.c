/*
 * Threads that share one generation of credentials after the other, as workers do, while another publishes new ones
 * through a cell. Meant for ThreadSanitizer; the result is checked in any build.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "event/cell.h"
#include "net/tls/tls_fixture.h"

#define NAME "web.shop.serviceaccount.identity.linkerd.cluster.local"

enum { WORKERS = 3, GENERATIONS = 12, HANDSHAKES = 4 };

static const struct san name = {SAN_DNS, {NAME, sizeof(NAME) - 1}};

struct worker {
    pthread_t id;
    struct cell *cell;
    atomic_int *ended; /* generations that are published and will not be followed */
    unsigned handshakes, contexts;
    struct tls_world world;
    struct cell_reader reader;
    struct task changed;
    struct tls_context *context;
};

static void take_new(struct task *task)
{
    struct worker *worker = CONTAINER_OF(task, struct worker, changed);
    struct tls_credentials *credentials = cell_take(&worker->reader);

    if (!credentials)
        return;
    tls_context_unref(worker->context);
    if (tls_context_new(&worker->world.sys, credentials, &worker->context) < 0)
        abort();
    worker->contexts++;
    tls_credentials_unref(credentials);
}

static void shake_once(struct worker *worker)
{
    struct tls_client options = {.server_name = name.name, .expected = name};
    struct tls_end a, b;
    char bytes[16];
    int c, s;

    tls_connect(&worker->world, &a, &b);
    if (tls_push_client(&a.stack, worker->context, &options) < 0 ||
        tls_push_server(&b.stack, worker->context, NULL, 0) < 0)
        abort();
    tls_shake(&worker->world, &a, &b, &c, &s);
    if (c != 0 || s != 0)
        abort();
    tls_write(&worker->world, &a, "hello", 5);
    if (tls_read(&worker->world, &b, bytes, sizeof(bytes)) != 5)
        abort();
    io_close(&a.stack, true);
    io_close(&b.stack, true);
    worker->handshakes++;
}

static void *work(void *what)
{
    struct worker *worker = what;

    tls_world_init(&worker->world);
    task_init(&worker->changed, take_new);
    cell_subscribe(worker->cell, &worker->reader, &worker->world.loop, &worker->changed);
    while (!atomic_load(worker->ended) || cell_changed(&worker->reader) || worker->handshakes < HANDSHAKES) {
        tls_settle(&worker->world);
        if (worker->context)
            shake_once(worker);
    }
    cell_unsubscribe(&worker->reader);
    tls_context_unref(worker->context);
    tls_world_release(&worker->world);
    return NULL;
}

static void test_share(void **state)
{
    static struct worker workers[WORKERS];
    struct authority authority;
    struct workload workload;
    struct cell cell;
    atomic_int ended = 0;

    authority_init(&authority, "root");
    cell_init(&cell, tls_credentials_ref, tls_credentials_unref);
    for (int i = 0; i < WORKERS; i++) {
        workers[i] = (struct worker){.cell = &cell, .ended = &ended};
        assert_int_equal(pthread_create(&workers[i].id, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < GENERATIONS; i++) {
        struct tls_credentials *credentials;

        workload_init(&workload, &authority, name);
        assert_int_equal(tls_credentials_new(workload.key, &workload.chain, name, &authority.anchors, FIXTURE_WALL,
                                             NULL, &credentials),
                         0);
        cell_publish(&cell, credentials);
        workload_release(&workload);
    }
    atomic_store(&ended, 1);
    for (int i = 0; i < WORKERS; i++) {
        pthread_join(workers[i].id, NULL);
        assert_true(workers[i].handshakes >= HANDSHAKES);
        assert_true(workers[i].contexts >= 1);
    }
    cell_release(&cell);
    authority_release(&authority);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_share)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
