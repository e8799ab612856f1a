#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "control/validate/validate_fixture.h"

static struct store *world;

static int setup(void **state)
{
    world = validate_world();
    return 0;
}

static int teardown(void **state)
{
    store_free(world);
    return 0;
}

/* ---- cases ---- */

static void run_case(const char *file, const json_t *each)
{
    const struct validate_context context = {world, SLICE_LIT("cluster.local")};
    json_t *said = validate_said(each, &context), *expected = json_object_get(each, "says");
    json_t *nothing = json_array();

    if (!json_equal(said, expected ? expected : nothing)) {
        char *got = json_dumps(said, JSON_INDENT(2)), *want = json_dumps(expected ? expected : nothing, JSON_INDENT(2));

        fail_msg("%s: %s: said %s\nexpected %s", file, json_string_value(json_object_get(each, "case")), got, want);
    }
    json_decref(nothing);
    json_decref(said);
}

static void cases(void **state)
{
    static const char *const files[] = {"profile.yaml", "server.yaml", "policy.yaml", "routes.yaml", "review.yaml"};
    size_t count = 0;

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        json_t *all = validate_cases(files[i]), *each;
        size_t j;

        json_array_foreach (all, j, each)
            run_case(files[i], each);
        count += json_array_size(all);
        json_decref(all);
    }
    assert_true(count > 150); /* so that a file that lost its cases is noticed */
}

/* ---- contexts ---- */

static void assert_says(const struct validate_context *context, const char *object, const char *expected)
{
    json_t *each = json_pack("{s:o}", "object", json_loads(object, 0, NULL)), *said;
    char *text;

    assert_non_null(each);
    said = validate_said(each, context);
    text = json_dumps(said, JSON_COMPACT);
    assert_string_equal(text, expected);
    free(text);
    json_decref(said);
    json_decref(each);
}

/* As sp-validator asks: it knows no domain and no other objects. */
static void without_store_and_domain(void **state)
{
    static const struct validate_context none = {NULL, {NULL, 0}};

    assert_says(&none, "{\"apiVersion\": \"linkerd.io/v1alpha2\", \"kind\": \"ServiceProfile\", \"metadata\": {\"name\": \"web.default.svc.any.org\"}, "
                       "\"spec\": {\"routes\": []}}", "[]");
    assert_says(&none, "{\"apiVersion\": \"linkerd.io/v1alpha2\", \"kind\": \"ServiceProfile\", \"metadata\": {\"name\": \"web\"}, "
                       "\"spec\": {\"routes\": []}}",
                "[\"refused: metadata.name: \\\"web\\\" is no name of a Service; expected SERVICE.NAMESPACE.svc.DOMAIN with the cluster's domain, which "
                "is mostly cluster.local, e.g. \\\"web.default.svc.cluster.local\\\"\"]");
    assert_says(&none, "{\"apiVersion\": \"policy.linkerd.io/v1beta3\", \"kind\": \"Server\", \"metadata\": {\"name\": \"new\"}, "
                       "\"spec\": {\"podSelector\": {\"matchLabels\": {\"app\": \"web\"}}, \"port\": 8080}}", "[]");
}

/* ---- bounds ---- */

static json_t *with_patterns(size_t count, const char *pattern)
{
    json_t *routes = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(routes, json_pack("{s:s, s:{s:s}}", "name", "r", "condition", "pathRegex", pattern));
    return json_pack("{s:{s:s, s:s, s:{s:s}, s:{s:o}}}", "object", "apiVersion", "linkerd.io/v1alpha2", "kind", "ServiceProfile", "metadata", "name",
                     "web.default.svc.cluster.local", "spec", "routes", routes);
}

static void patterns_are_bounded(void **state)
{
    static const struct validate_context none = {NULL, {NULL, 0}};
    json_t *few = with_patterns(LIMIT_VALIDATE_PATTERNS, "/a"), *many = with_patterns(LIMIT_VALIDATE_PATTERNS + 2, "/a");
    json_t *said = validate_said(few, &none), *of_many = validate_said(many, &none);

    assert_int_equal(json_array_size(said), 0);
    assert_int_equal(json_array_size(of_many), 1);
    assert_string_equal(json_string_value(json_array_get(of_many, 0)),
                        "warning: spec.routes[4096].condition.pathRegex: the patterns from here on are not checked: more than 4096");
    json_decref(said);
    json_decref(of_many);
    json_decref(few);
    json_decref(many);
}

/* Paths and texts of any length: the message ends, and says how much is left out. */
static void messages_are_bounded(void **state)
{
    static const struct validate_context none = {NULL, {NULL, 0}};
    json_t *innermost = json_object(), *each, *object, *question;
    struct review review = {.kind = "ServiceProfile"};
    struct validate_opinion opinion;
    struct errmsg msg;
    char *body;

    for (int depth = 0; depth < 30; depth++) /* each level holds twenty like it: the paths are long, and there are many */
        innermost = json_pack("{s:[o, {}]}", "all", innermost);
    object = with_patterns(0, "");
    json_object_set_new(json_object_get(json_object_get(object, "object"), "spec"), "routes",
                        json_pack("[{s:s, s:o}]", "name", "r", "condition", innermost));
    each = object;
    question = validate_question(each);
    body = json_dumps(question, 0);
    assert_int_equal(review_read(slice_str(body), &msg, &review), 0);
    assert_int_equal(validate(&review, &none, &opinion), 0);
    assert_true(opinion.problems == LIMIT_SOURCE_REPORTS);
    assert_true(opinion.denial.len <= LIMIT_VALIDATE_MESSAGE);
    assert_string_equal(json_string_value(json_array_get(opinion.warnings, 0)), "and 11 more complaints like these");
    validate_opinion_release(&opinion);
    review_release(&review);
    free(body);
    json_decref(question);
    json_decref(each);
}

/* The sources do not read it, so it must not be stored. */
static void too_deep(void **state)
{
    static const struct validate_context none = {NULL, {NULL, 0}};
    json_t *each = with_patterns(0, ""), *innermost = json_object(), *said;

    for (int depth = 0; depth < LIMIT_YAML_DEPTH; depth++)
        innermost = json_pack("{s:o}", "not", innermost);
    json_object_set_new(json_object_get(json_object_get(each, "object"), "spec"), "routes",
                        json_pack("[{s:s, s:o}]", "name", "r", "condition", innermost));
    said = validate_said(each, &none);
    assert_int_equal(json_array_size(said), 1);
    assert_string_equal(json_string_value(json_array_get(said, 0)), "refused: larger than the control plane reads: expected at most 8388608 bytes "
                                                                    "when it is decoded, 100 levels and 1000000 values");
    json_decref(said);
    json_decref(each);
}

static void no_review(void **state)
{
    static const struct validate_context none = {NULL, {NULL, 0}};
    struct errmsg msg = {""};
    struct buffer out;

    buffer_init(&out, LIMIT_ADMISSION);
    assert_int_equal(validate_review(SLICE_LIT("{}"), &none, &msg, &out), -EINVAL);
    assert_string_equal(msg.text, "the body has kind \"\" and apiVersion \"\": expected AdmissionReview and admission.k8s.io/v1 or v1beta1");
    assert_int_equal(out.len, 0);
    buffer_release(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(cases),
        cmocka_unit_test(without_store_and_domain),
        cmocka_unit_test(patterns_are_bounded),
        cmocka_unit_test(messages_are_bounded),
        cmocka_unit_test(too_deep),
        cmocka_unit_test(no_review),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
