/* A writer, an API server that the test plays, and a job that writes the name of each Service into it. */
#include "control/writer.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "kube/api/api_world.h"
#include "kube/lease.h"

static struct api_world world;
static struct controller controller;
static struct writer *writer;

/* What the job does. */
static unsigned looks, forgotten, answers;
static uint64_t digest;  /* of what it would write; 0: nothing to write */
static int last_status;
static unsigned steps;   /* requests for each object */

static void touch(struct writer *w, const struct kube_object *changed)
{
    writer_touch(w, changed->kind, changed->namespace_, changed->name);
}

static void touch_all(struct writer *w)
{
    struct kube_set set = store_all(controller.store, KUBE_SERVICE);

    for (size_t i = 0; i < set.count; i++)
        touch(w, set.items[i]);
}

static int ask(struct writer *w, struct writer_item *item)
{
    struct api_request request = {.method = "PATCH", .content_type = SLICE_LIT(API_MERGE_PATCH), .body = SLICE_LIT("{}")};
    char path[128];

    snprintf(path, sizeof(path), "/services/%.*s", SLICE_ARGS(item->name));
    request.path = slice_str(path);
    return writer_ask(w, item, WRITER_PATCH, digest, &request);
}

static int look(struct writer *w, struct writer_item *item)
{
    looks++;
    item->state = &looks;
    answers = 0;
    return digest ? ask(w, item) : 0;
}

static int next(struct writer *w, struct writer_item *item, const struct api_answer *answer, enum writer_verb verb)
{
    assert_int_equal(verb, WRITER_PATCH);
    last_status = answer->status;
    return ++answers < steps ? ask(w, item) : 0;
}

static void forget(struct writer_item *item)
{
    if (item->state)
        forgotten++;
    item->state = NULL;
}

static const struct writer_job job = {
    .component = "test", .what = "names", .label = "names", .lease = "names-write", .kinds = STORE_KIND(KUBE_SERVICE),
    .touch = touch, .touch_all = touch_all, .look = look, .next = next, .forget = forget};

/* --- the server --- */

static bool serve_leases = true;

/* Renewals of the lease are answered until the first other request, or until nothing is left to answer. */
static struct served *next_write(void)
{
    for (;;) {
        struct served *found = NULL;

        api_settle(&world);
        LIST_FOR_EACH (link, &world.served) {
            struct served *served = CONTAINER_OF(link, struct served, link);

            if (!found && !served->taken && !served->gone && served->ended)
                found = served;
        }
        if (!found)
            return NULL;
        found->taken = true;
        if (!strstr(found->path, "/leases"))
            return found;
        if (!serve_leases)
            continue;
        if (strcmp(found->method, "GET") == 0)
            api_answer(found, 404, NULL, "{}");
        else
            api_answer(found, 200, NULL, "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"holderIdentity\":\"x\",\"leaseDurationSeconds\":30}}");
    }
}

static void pass(int64_t ns)
{
    world.now_ns += ns;
    api_settle(&world);
}

static void answer(struct served *served, unsigned status)
{
    assert_non_null(served);
    api_answer(served, status, NULL, "{}");
    api_settle(&world);
}

static int64_t counted(int family, const char *labels)
{
    return metrics_value(&controller.metrics, controller.writer_families + family, slice_str(labels));
}
enum { WRITES, ERRORS, LEADER, QUEUE };

/* --- the world --- */

static void put(const char *name)
{
    struct kube_object *service = kube_object_new(KUBE_SERVICE);
    static uint64_t serial;

    service->namespace_ = SLICE_LIT("default");
    service->name = arena_dup(&service->arena, slice_str(name));
    service->digest[0] = ++serial;
    assert_int_equal(store_put(controller.store, service), 0);
    kube_object_unref(service);
}

static int setup(void **state)
{
    looks = forgotten = answers = 0;
    digest = 0;
    steps = 1;
    last_status = 0;
    serve_leases = true;
    api_world_init(&world, false);
    controller = (struct controller){.sys = &world.sys, .options = {.namespace_ = SLICE_LIT("linkerd")}};
    assert_int_equal(log_new(sys_linux(), STDERR_FILENO, LOG_PLAIN, SLICE_LIT("error"), &controller.log), 0);
    metrics_init(&controller.metrics, 1000, 600 * NS_PER_S, 1);
    controller.writer_families = writer_register(&controller.metrics);
    controller.shard = metrics_shard_new(&controller.metrics);
    assert_int_equal(store_new(1, 2, &controller.store), 0);
    assert_int_equal(writer_new(&controller, world.client, &job, &writer), 0);
    return 0;
}

static int teardown(void **state)
{
    writer_free(writer);
    store_free(controller.store);
    metrics_release(&controller.metrics);
    log_free(controller.log);
    api_world_release(&world);
    return 0;
}

static void begin(void)
{
    store_set_synced(controller.store);
    assert_null(next_write());
    assert_int_equal(counted(LEADER, "writer=\"names\""), 1);
}

static void test_written_once(void **state)
{
    put("a");
    assert_null(next_write()); /* nothing before the store is synced and the lease held */
    digest = 1;
    steps = 2;
    store_set_synced(controller.store);
    for (int i = 0; i < 2; i++) {
        struct served *served = next_write();

        assert_string_equal(served->path, "/services/a");
        answer(served, 200);
    }
    digest = 0; /* as it should be, from now on */
    pass(NS_PER_S);
    assert_null(next_write());
    assert_int_equal(looks, 2);
    assert_int_equal(forgotten, 2);
    assert_int_equal(counted(WRITES, "writer=\"names\",verb=\"patch\""), 2);
    assert_int_equal(counted(QUEUE, "writer=\"names\""), 0);
}

/* Touched while it is written: looked at again. All are, every five minutes. */
static void test_looked_at_again(void **state)
{
    struct served *served;

    begin();
    digest = 1;
    put("a");
    served = next_write();
    put("a");
    digest = 2;
    answer(served, 200);
    pass(NS_PER_S);
    answer(next_write(), 200);
    digest = 0;
    pass(NS_PER_S);
    assert_null(next_write());
    looks = 0;
    for (int i = 0; i < 60; i++) {
        pass(5 * NS_PER_S);
        assert_null(next_write());
    }
    assert_int_equal(looks, 1);
}

/* Somebody undoes what is written, each time at once: it is written ever more seldom, and at once when it is something else. */
static void test_a_fight(void **state)
{
    unsigned first = 0, second = 0;

    begin();
    digest = 1;
    put("a");
    for (int i = 0; i < 400; i++) {
        struct served *served = next_write();

        if (served) {
            answer(served, 200);
            if (i < 200)
                first++;
            else
                second++;
        }
        pass(100 * NS_PER_MS);
    }
    assert_in_range(first, 5, 10);  /* in 20 seconds */
    assert_in_range(second, 1, 3);  /* in the next 20 */
    digest = 2;
    for (int i = 0; i < 12; i++) {
        struct served *served = next_write();

        if (served) {
            answer(served, 200);
            break;
        }
        pass(NS_PER_S);
    }
    pass(100 * NS_PER_MS);
    answer(next_write(), 200);
}

static void test_failures(void **state)
{
    static const unsigned passing[] = {500, 503, 504}; /* 401 and 429 the client asks again by itself */

    begin();
    digest = 1;
    put("a");
    for (size_t i = 0; i < sizeof(passing) / sizeof(passing[0]); i++) {
        answer(next_write(), passing[i]);
        assert_null(next_write());
        assert_int_equal(last_status, 0); /* none of the job's business */
        pass(3 * NS_PER_S);
    }
    answer(next_write(), 409);
    assert_int_equal(last_status, 409);
    pass(NS_PER_S);
    answer(next_write(), 422); /* refused: not again, until something changes */
    assert_int_equal(last_status, 422);
    for (int i = 0; i < 20; i++) {
        assert_null(next_write()); /* and the lease is renewed in time */
        pass(5 * NS_PER_S);
    }
    put("a");
    answer(next_write(), 404);
    pass(5 * NS_PER_S);
    assert_null(next_write());
    assert_int_equal(counted(ERRORS, "writer=\"names\",verb=\"patch\",reason=\"unavailable\""), 3);
    assert_int_equal(counted(ERRORS, "writer=\"names\",verb=\"patch\",reason=\"conflict\""), 1);
    assert_int_equal(counted(ERRORS, "writer=\"names\",verb=\"patch\",reason=\"refused\""), 1);
    assert_int_equal(counted(ERRORS, "writer=\"names\",verb=\"patch\",reason=\"gone\""), 1);
    assert_int_equal(looks, forgotten);
}

/* Without the lease nothing is begun and nothing kept; with it again, all are looked at. */
static void test_the_lease_is_lost(void **state)
{
    struct served *served;

    begin();
    digest = 1;
    steps = 2;
    put("a");
    put("b");
    served = next_write();
    serve_leases = false;
    for (int i = 0; i < 25; i++)
        pass(NS_PER_S);
    assert_int_equal(counted(LEADER, "writer=\"names\""), 0);
    assert_true(served->gone);
    while ((served = next_write()))
        assert_true(served->gone || strstr(served->path, "/services/")); /* begun before */
    put("c");
    assert_null(next_write());
    assert_int_equal(looks, forgotten);
    looks = 0;
    serve_leases = true;
    for (int i = 0; i < 40 && !looks; i++) {
        pass(NS_PER_S);
        while ((served = next_write()))
            answer(served, 200);
    }
    assert_true(looks >= 3);
}

/* More at once than LIMIT_WRITER_CALLS never, and not more in a second than LIMIT_WRITER_RATE behind a burst of as many. */
static void test_bounds(void **state)
{
    struct served *under_way[LIMIT_WRITER_CALLS];
    unsigned written = 0;
    char name[16];

    digest = 1;
    for (unsigned i = 0; i < 500; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        put(name);
    }
    store_set_synced(controller.store);
    for (unsigned i = 0; i < LIMIT_WRITER_CALLS; i++)
        assert_non_null(under_way[i] = next_write());
    assert_null(next_write());
    for (unsigned i = 0; i < LIMIT_WRITER_CALLS; i++)
        answer(under_way[i], 200);
    for (int tenths = 0; tenths < 30; tenths++) {
        struct served *served;

        while ((served = next_write())) {
            answer(served, 200);
            written++;
        }
        pass(NS_PER_S / 10);
    }
    assert_in_range(written, 3 * LIMIT_WRITER_RATE, 4 * LIMIT_WRITER_RATE + 1);
}

/* More than fit are looked at all the same, a queue full at a time. */
static void test_overflow(void **state)
{
    char name[16];

    begin();
    for (unsigned i = 0; i < LIMIT_WRITER_QUEUE + 500; i++) {
        snprintf(name, sizeof(name), "s%u", i);
        put(name);
    }
    for (int i = 0; i < 400 && looks < LIMIT_WRITER_QUEUE + 500; i++)
        pass(NS_PER_MS);
    assert_true(looks >= LIMIT_WRITER_QUEUE + 500);
    pass(NS_PER_S);
    assert_int_equal(counted(QUEUE, "writer=\"names\""), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_written_once, setup, teardown), cmocka_unit_test_setup_teardown(test_looked_at_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_fight, setup, teardown),      cmocka_unit_test_setup_teardown(test_failures, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_lease_is_lost, setup, teardown), cmocka_unit_test_setup_teardown(test_bounds, setup, teardown),
        cmocka_unit_test_setup_teardown(test_overflow, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
