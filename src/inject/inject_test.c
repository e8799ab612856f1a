/*
 * testdata/cases.json: what a workload and annotations make. A case names an object of testdata/objects.json and what is merged into it;
 * `at` says what stands at a pointer afterwards (null: nothing), `env` the same of the proxy's variables, `result` is a file with the whole
 * object. With REWRITE=1 in the environment such files are written instead.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "inject/inject_fixture.h"
#include "inject/json_patch.h"

/* --- what a case says --- */

static json_t *at(json_t *tree, const char *pointer)
{
    while (tree && *pointer) {
        char step[256];
        size_t len = 0;

        for (pointer++; *pointer && *pointer != '/'; pointer++)
            step[len++] = pointer[0] == '~' && pointer[1] == '1' ? (pointer++, '/') : *pointer;
        step[len] = '\0';
        tree = json_is_array(tree) ? json_array_get(tree, strtoul(step, NULL, 10)) : json_object_get(tree, step);
    }
    return tree;
}

static const json_t *container(const json_t *object, const char *name)
{
    static const char *const lists[] = {"initContainers", "containers"};
    struct workload workload;
    json_t *item;
    size_t i;

    workload_read((json_t *)(uintptr_t)object, &workload);
    for (size_t k = 0; k < 2; k++)
        json_array_foreach (member_array(workload.spec, lists[k]), i, item)
            if (strcmp(member_text(item, "name"), name) == 0)
                return item;
    return NULL;
}

static json_t *variable(const json_t *object, const char *name)
{
    json_t *item, *found = NULL;
    size_t i;

    json_array_foreach (json_object_get(container(object, "linkerd-proxy"), "env"), i, item)
        if (strcmp(member_text(item, "name"), name) == 0) {
            assert_null(found);
            found = json_object_get(item, "value");
        }
    return found;
}

/* --- comparing --- */

static void compare(const char *test, const char *what, const json_t *want, const json_t *got)
{
    char *wanted, *found;

    if (json_is_null(want) ? !got || json_is_null(got) : got && json_equal((json_t *)(uintptr_t)want, (json_t *)(uintptr_t)got))
        return;
    wanted = json_dumps(want, JSON_ENCODE_ANY | JSON_SORT_KEYS);
    found = got ? json_dumps(got, JSON_ENCODE_ANY | JSON_SORT_KEYS) : strdup("nothing");
    print_error("%s: %s:\n  want %s\n  got  %s\n", test, what, wanted, found);
    free(wanted);
    free(found);
    fail();
}

static void compare_result(const char *test, const char *file, json_t *result)
{
    char path[1024];
    json_t *want;

    snprintf(path, sizeof(path), TESTDATA "/%s", file);
    if (getenv("REWRITE"))
        assert_int_equal(json_dump_file(result, path, JSON_INDENT(2) | JSON_SORT_KEYS), 0);
    want = fixture_load(file);
    compare(test, file, want, result);
    json_decref(want);
}

static void compare_object(const char *name, const json_t *test, json_t *result)
{
    const char *key;
    json_t *want;

    json_object_foreach (json_object_get(test, "at"), key, want)
        compare(name, key, want, at(result, key));
    json_object_foreach (json_object_get(test, "env"), key, want)
        compare(name, key, want, variable(result, key));
    if (json_object_get(test, "result"))
        compare_result(name, json_string_value(json_object_get(test, "result")), result);
}

static json_t *skip_names(unsigned skips)
{
    json_t *names = json_array();

    for (enum inject_skip skip = 0; skip < SKIP_COUNT; skip++)
        if (skips & (1U << skip))
            json_array_append_new(names, json_string(inject_skip_name(skip)));
    return names;
}

static void compare_answer(const char *name, const json_t *test, const json_t *object, const struct inject_answer *answer)
{
    static const char *const verdicts[] = {[INJECT_YES] = "yes", [INJECT_NO] = "no", [INJECT_REFUSED] = "refused"};
    const char *want = json_string_value(json_object_get(test, "verdict"));
    json_t *skips = skip_names(answer->skips), *warnings = json_object_get(test, "warnings"), *none = json_array();
    json_t *result = answer->patch ? json_patch_apply(object, answer->patch) : json_deep_copy(object);

    if (strcmp(verdicts[answer->verdict], want ? want : "yes") != 0)
        fail_msg("%s: is %s, not %s: %s", name, verdicts[answer->verdict], want ? want : "yes", answer->denial.text);
    compare(name, "skips", json_object_get(test, "skips") ? json_object_get(test, "skips") : none, skips);
    compare(name, "warnings", warnings ? warnings : none, answer->warnings);
    if (json_object_get(test, "denial"))
        assert_string_equal(answer->denial.text, json_string_value(json_object_get(test, "denial")));
    if (json_object_get(test, "patched"))
        assert_int_equal(answer->patch != NULL, json_is_true(json_object_get(test, "patched")));
    compare_object(name, test, result);
    json_decref(result);
    json_decref(skips);
    json_decref(none);
}

/* --- running --- */

static void run_case(const json_t *objects, const json_t *test)
{
    const char *name = json_string_value(json_object_get(test, "name"));
    json_t *object = fixture_object(objects, test), *before = json_deep_copy(object), *owner = json_object_get(test, "owner");
    struct inject_request request = {.object = object,
                                     .namespace_ = "emojivoto",
                                     .namespace_annotations = json_object_get(test, "namespace"),
                                     .owner_kind = json_string_value(json_object_get(owner, "kind")),
                                     .owner_name = json_string_value(json_object_get(owner, "name")),
                                     .origin = json_object_get(test, "command") ? INJECT_COMMAND : INJECT_ADMISSION};
    struct inject_answer answer;
    struct fixture fixture;
    struct errmsg msg = {""};

    fixture_setup(&fixture, json_object_get(test, "values"));
    if (inject(fixture.injector, &request, &msg, &answer) < 0)
        fail_msg("%s: %s", name, msg.text);
    assert_true(json_equal(object, before)); /* it changes nothing itself */
    compare_answer(name, test, object, &answer);
    inject_answer_release(&answer);
    fixture_teardown(&fixture);
    json_decref(before);
    json_decref(object);
}

static void run_file(const char *file)
{
    json_t *objects = fixture_load("objects.json"), *cases = fixture_load(file), *test;
    size_t i;

    json_array_foreach (cases, i, test)
        run_case(objects, test);
    json_decref(cases);
    json_decref(objects);
}

static void decisions(void **state)
{
    (void)state;
    run_file("decisions.json");
}

static void annotations(void **state)
{
    (void)state;
    run_file("annotations.json");
}

static void pods(void **state)
{
    (void)state;
    run_file("pods.json");
}

/* A pod that has its proxy is left as it is: webhooks are called again when others changed something. */
static void a_second_time(void **state)
{
    json_t *objects = fixture_load("objects.json"), *namespace_ = json_pack("{s:s}", "linkerd.io/inject", "enabled"), *twice;
    struct inject_request request = {.object = json_object_get(objects, "pod"), .namespace_ = "emojivoto", .namespace_annotations = namespace_};
    struct inject_answer first, second;
    struct fixture fixture;
    struct errmsg msg;

    (void)state;
    fixture_setup(&fixture, NULL);
    assert_int_equal(inject(fixture.injector, &request, &msg, &first), 0);
    twice = json_patch_apply(request.object, first.patch);
    request.object = twice;
    assert_int_equal(inject(fixture.injector, &request, &msg, &second), 0);
    assert_int_equal(second.verdict, INJECT_NO);
    assert_int_equal(second.skips, 1U << SKIP_SIDECAR);
    assert_null(second.patch);
    json_decref(twice);
    inject_answer_release(&first);
    inject_answer_release(&second);
    fixture_teardown(&fixture);
    json_decref(namespace_);
    json_decref(objects);
}

static void values_that_do_not_fit(void **state)
{
    struct injector_setup setup = {.namespace_ = "linkerd", .created_by = "x"};
    struct template_set *templates;
    struct injector *injector;
    struct errmsg msg;

    (void)state;
    assert_int_equal(inject_templates(chart_files, chart_files_count, &msg, &templates), 0);
    setup.templates = templates;
    setup.values = json_pack("{s:{}, s:{}}", "proxy", "debugContainer");
    assert_true(injector_new(&setup, &msg, &injector) < 0);
    assert_string_equal(msg.text, "the values of the installation have no map \"proxyInit\": expected those of the chart linkerd-control-plane");
    json_object_set_new(setup.values, "proxyInit", json_object());
    assert_true(injector_new(&setup, &msg, &injector) < 0);
    assert_non_null(strstr(msg.text, "_proxy.tpl:"));
    json_decref(setup.values);
    template_set_free(templates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decisions),
        cmocka_unit_test(annotations),
        cmocka_unit_test(pods),
        cmocka_unit_test(a_second_time),
        cmocka_unit_test(values_that_do_not_fit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
