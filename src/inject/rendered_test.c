/* Containers that are remembered are those that would be made. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "inject/inject_fixture.h"
#include "inject/rendered.h"

/* --- injectors --- */

static struct inject_answer ask(const struct injector *injector, const json_t *objects, const json_t *test)
{
    json_t *object = fixture_object(objects, test);
    struct inject_request request = {.object = object,
                                     .namespace_ = "emojivoto",
                                     .namespace_annotations = json_object_get(test, "namespace"),
                                     .origin = json_object_get(test, "command") ? INJECT_COMMAND : INJECT_ADMISSION};
    struct inject_answer answer;
    struct errmsg msg = {""};

    if (inject(injector, &request, &msg, &answer) < 0)
        fail_msg("%s", msg.text);
    json_decref(object);
    return answer;
}

static void expect_equal(const struct injector *seasoned, const json_t *objects, const json_t *test)
{
    struct inject_answer want, got = ask(seasoned, objects, test);
    struct fixture fresh;

    fixture_setup(&fresh, NULL);
    want = ask(fresh.injector, objects, test);
    assert_int_equal(want.verdict, got.verdict);
    if ((want.patch || got.patch) && !json_equal(want.patch, got.patch))
        fail_msg("%s: another patch than a new injector's", json_string_value(json_object_get(test, "name")));
    inject_answer_release(&want);
    inject_answer_release(&got);
    fixture_teardown(&fresh);
}

/* All cases, there and back: kinds of pods come again while they are remembered, and after they were forgotten. */
static void an_injector_that_has_seen_much(void **state)
{
    static const char *const files[] = {"annotations.json", "pods.json"};
    json_t *objects = fixture_load("objects.json");
    struct fixture seasoned;

    fixture_setup(&seasoned, NULL);
    for (size_t f = 0; f < sizeof(files) / sizeof(files[0]); f++) {
        json_t *cases = fixture_load(files[f]);
        size_t count = json_array_size(cases);

        for (size_t i = 0; i < 2 * count; i++)
            expect_equal(seasoned.injector, objects, json_array_get(cases, i < count ? i : 2 * count - 1 - i));
        json_decref(cases);
    }
    fixture_teardown(&seasoned);
    json_decref(objects);
}

/* --- the cache --- */

/* The number that was put beside what this data gave; `put` when it is not known. */
static json_int_t look(struct rendered_cache *cache, const char *ports, json_int_t put)
{
    json_t *data = json_pack("{s:{s:s}, s:{}, s:{}}", "pod", "inboundPorts", ports, "proxy", "root"), *made = rendered_find(cache, data);
    json_int_t found;

    assert_non_null(made);
    if (!json_object_get(made, "n"))
        json_object_set_new(made, "n", json_integer(put));
    found = json_integer_value(json_object_get(made, "n"));
    json_decref(made);
    json_decref(data);
    return found;
}

static void the_one_not_asked_for_longest_goes(void **state)
{
    struct rendered_cache cache = {.turn = 0};
    char ports[16];

    for (int i = 0; i < LIMIT_INJECT_RENDERED; i++) {
        snprintf(ports, sizeof(ports), "%d", i);
        assert_int_equal(look(&cache, ports, i), i);
    }
    assert_int_equal(look(&cache, "0", -1), 0);
    assert_int_equal(look(&cache, "another", 100), 100); /* takes the place of 1 */
    assert_int_equal(look(&cache, "0", -1), 0);
    assert_int_equal(look(&cache, "2", -1), 2);
    assert_int_equal(look(&cache, "1", 101), 101);
    assert_int_equal(look(&cache, "another", -1), 100);
    rendered_release(&cache);
}

static void large_data_is_not_kept(void **state)
{
    struct rendered_cache cache = {.turn = 0};
    char *ports = test_calloc(1, LIMIT_INJECT_RENDERED_BYTES + 1);

    memset(ports, '7', LIMIT_INJECT_RENDERED_BYTES);
    assert_int_equal(look(&cache, ports, 1), 1);
    assert_int_equal(look(&cache, ports, 2), 2);
    rendered_release(&cache);
    test_free(ports);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_injector_that_has_seen_much),
        cmocka_unit_test(the_one_not_asked_for_longest_goes),
        cmocka_unit_test(large_data_is_not_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
