/* A ConfigMap that is followed, at an API server that tells, refuses, ends and breaks off. Time is the test's. */
#include "kube/api/api_world.h"

#include <unistd.h>

#include "base/duration.h"
#include "control/config_map.h"

#define WATCH "/api/v1/namespaces/linkerd/configmaps?fieldSelector=metadata.name%3Dsome&watch=true&timeoutSeconds="
#define EVENT(type, data) "{\"type\":\"" type "\",\"object\":{\"kind\":\"ConfigMap\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"some\"},\"data\":" data "}}\n"

static struct api_world world;
static struct controller controller;
static struct config_map *map;
static struct buffer told;

static void on_text(void *owner, struct slice text)
{
    assert_ptr_equal(owner, &told);
    buffer_add(&told, text);
    buffer_add_byte(&told, ' ');
}

static struct served *next(void)
{
    api_settle(&world);
    return api_take(&world, WATCH);
}

static void expect_told(const char *texts)
{
    api_settle(&world);
    assert_true(slice_eq(buffer_slice(&told), slice_str(texts)));
    buffer_clear(&told);
}

static int set_up(void **state)
{
    struct config_map_setup setup = {&controller, NULL, "test", "some", "a.pem", on_text, &told};

    api_world_init(&world, false);
    buffer_init(&told, 4096);
    controller.options.namespace_ = SLICE_LIT("linkerd");
    assert_int_equal(log_new(sys_linux(), STDERR_FILENO, LOG_PLAIN, SLICE_LIT("error"), &controller.log), 0);
    setup.client = world.client;
    assert_int_equal(config_map_new(&setup, &map), 0);
    return 0;
}

static int tear_down(void **state)
{
    config_map_free(map);
    map = NULL;
    buffer_release(&told);
    log_free(controller.log);
    api_world_release(&world);
    return 0;
}

static void changes_are_told(void **state)
{
    struct served *watch = next();

    assert_false(config_map_is_settled(map));
    api_send(watch, EVENT("ADDED", "{\"a.pem\":\"one\",\"b.pem\":\"other\"}"));
    expect_told("one ");
    assert_true(config_map_is_settled(map));
    api_send(watch, EVENT("MODIFIED", "{\"a.pem\":\"two\"}"));
    expect_told("two ");
    api_send(watch, EVENT("MODIFIED", "{\"b.pem\":\"two\"}") EVENT("MODIFIED", "{\"a.pem\":2}") EVENT("MODIFIED", "null") EVENT("DELETED", "{\"a.pem\":\"no\"}"));
    expect_told("");
    api_expect_quiet(&world);
}

/* A watch that has lasted is followed by the next at once, which begins with the state. */
static void watches_follow(void **state)
{
    struct served *watch = next();

    api_send(watch, EVENT("ADDED", "{\"a.pem\":\"one\"}"));
    expect_told("one ");
    api_pass(&world, 400 * NS_PER_S);
    api_end(watch);
    api_settle(&world);
    watch = next();
    api_send(watch, EVENT("ADDED", "{\"a.pem\":\"two\"}"));
    expect_told("two ");
    api_cut(&world);
    api_pass(&world, 1 * NS_PER_S);
    api_send(next(), EVENT("ADDED", "{\"a.pem\":\"three\"}"));
    expect_told("three ");
}

/* Without the right, or with nonsense: settled, and asked again after a pause that grows. */
static void refusals(void **state)
{
    api_answer(next(), 403, NULL, "{\"kind\":\"Status\",\"message\":\"no\"}");
    api_settle(&world);
    assert_true(config_map_is_settled(map));
    api_expect_quiet(&world);
    api_pass(&world, 200 * NS_PER_MS);
    api_send(next(), "nonsense");
    api_settle(&world);
    api_expect_quiet(&world);
    api_pass(&world, 400 * NS_PER_MS);
    api_send(next(), "{\"type\":\"ERROR\",\"object\":{\"kind\":\"Status\",\"code\":500,\"message\":\"no\"}}\n");
    api_settle(&world);
    api_expect_quiet(&world);
    api_pass(&world, 800 * NS_PER_MS);
    api_answer(next(), 200, NULL, ""); /* ended at once */
    api_settle(&world);
    api_expect_quiet(&world);
    api_pass(&world, 2 * NS_PER_S);
    api_send(next(), EVENT("ADDED", "{\"a.pem\":\"one\"}"));
    expect_told("one ");
}

/* A server that never ends a watch: it is ended from here. */
static void one_that_is_overdue(void **state)
{
    struct served *watch = next();

    api_send(watch, EVENT("ADDED", "{\"a.pem\":\"one\"}"));
    expect_told("one ");
    api_pass(&world, 659 * NS_PER_S);
    api_expect_quiet(&world);
    api_pass(&world, 1 * NS_PER_S);
    assert_true(watch->gone);
    api_send(next(), EVENT("ADDED", "{\"a.pem\":\"two\"}"));
    expect_told("two ");
}

static void ended_in_the_middle(void **state)
{
    struct served *watch = next();

    config_map_free(map);
    map = NULL;
    api_settle(&world);
    assert_true(watch->gone);
}

#define ROW(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        ROW(changes_are_told), ROW(watches_follow), ROW(refusals), ROW(one_that_is_overdue), ROW(ended_in_the_middle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
