#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "control/injector/review.h"
#include "inject/inject_fixture.h"
#include "inject/json_patch.h"
#include "kube/access/base64.h"

static struct fixture fixture;
static json_t *objects;

static int setup(void **state)
{
    fixture_setup(&fixture, NULL);
    objects = fixture_load("objects.json");
    return 0;
}

static int teardown(void **state)
{
    json_decref(objects);
    fixture_teardown(&fixture);
    return 0;
}

/* --- reading --- */

static void no_reviews(void **state)
{
    static const struct {
        const char *body, *why;
    } cases[] = {
        {"", "the body is no JSON: line 1: "},
        {"{", "the body is no JSON: line 1: "},
        {"[]", "the body has kind \"\" and apiVersion \"\": expected AdmissionReview and admission.k8s.io/v1 or v1beta1"},
        {"{\"kind\": \"Pod\", \"apiVersion\": \"v1\"}", "the body has kind \"Pod\" and apiVersion \"v1\": expected AdmissionReview"},
        {"{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v2\"}", "the body has kind \"AdmissionReview\" and apiVersion \"admission.k8s.io/v2\": expected"},
        {"{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1\"}", "the AdmissionReview has no request with a uid"},
        {"{\"kind\": \"AdmissionReview\", \"apiVersion\": \"admission.k8s.io/v1\", \"request\": {\"uid\": 7}}", "the AdmissionReview has no request with a uid"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct review review;
        struct errmsg msg;

        assert_int_equal(review_read(slice_str(cases[i].body), &msg, &review), -EINVAL);
        if (strncmp(msg.text, cases[i].why, strlen(cases[i].why)) != 0)
            fail_msg("%s: %s", cases[i].body, msg.text);
    }
}

static void too_large(void **state)
{
    struct review review;
    struct errmsg msg;

    assert_int_equal(review_read(slice_of(NULL, LIMIT_ADMISSION + 1), &msg, &review), -ENOBUFS);
}

/* --- answering --- */

static const struct question {
    const char *version, *operation, *kind, *object;
    const char *annotation, *value; /* of the pod */
} question = {"admission.k8s.io/v1", "CREATE", "Pod", "pod", NULL, NULL};

static json_t *object_of(const struct question *q)
{
    json_t *object = json_deep_copy(json_object_get(objects, q->object));

    json_object_del(object, "kind"); /* as API servers may send it */
    if (q->annotation)
        json_object_set_new(json_object_get(object, "metadata"), "annotations", json_pack("{s:s}", q->annotation, q->value));
    return object;
}

/* The response's part of the answer, with its uid looked at. */
static json_t *ask(const struct question *q, json_t *object, const char *inject_of_namespace, struct review_outcome *outcome)
{
    json_t *question_ = json_pack("{s:s, s:s, s:{s:s, s:s, s:{s:s}, s:s, s:O}}", "apiVersion", q->version, "kind", "AdmissionReview", "request", "uid",
                                  "u-1", "operation", q->operation, "kind", "kind", q->kind, "namespace", "emojivoto", "object", object);
    json_t *annotations = json_pack("{s:s, s:s}", "linkerd.io/inject", inject_of_namespace, "config.linkerd.io/opaque-ports", "3306");
    char *body = json_dumps(question_, 0);
    struct review review;
    struct errmsg msg;
    struct buffer out;
    json_t *answer, *response;

    buffer_init(&out, LIMIT_ADMISSION);
    assert_int_equal(review_read(slice_str(body), &msg, &review), 0);
    assert_int_equal(review_answer(&review, fixture.injector, annotations, &out, outcome), 0);
    answer = json_loadb(out.data, out.len, 0, NULL);
    assert_string_equal(json_string_value(json_object_get(answer, "apiVersion")), q->version);
    assert_string_equal(json_string_value(json_object_get(answer, "kind")), "AdmissionReview");
    response = json_incref(json_object_get(answer, "response"));
    assert_string_equal(json_string_value(json_object_get(response, "uid")), "u-1");
    json_decref(answer);
    buffer_release(&out);
    review_release(&review);
    free(body);
    json_decref(annotations);
    json_decref(question_);
    return response;
}

static json_t *patched(const json_t *object, const json_t *response)
{
    struct arena arena;
    struct slice bytes;
    json_t *patch, *result;

    assert_string_equal(json_string_value(json_object_get(response, "patchType")), "JSONPatch");
    arena_init(&arena, LIMIT_ADMISSION);
    assert_int_equal(base64_read(&arena, slice_str(json_string_value(json_object_get(response, "patch"))), &bytes), 0);
    patch = json_loadb(bytes.ptr, bytes.len, 0, NULL);
    result = json_patch_apply(object, patch);
    json_decref(patch);
    arena_release(&arena);
    return result;
}

static void assert_allowed(const json_t *response, bool allowed, bool with_patch)
{
    assert_true(allowed ? json_is_true(json_object_get(response, "allowed")) : json_is_false(json_object_get(response, "allowed")));
    assert_int_equal(json_object_get(response, "patch") != NULL, with_patch);
}

static void a_pod(void **state)
{
    static const char *const versions[] = {"admission.k8s.io/v1", "admission.k8s.io/v1beta1"};

    for (size_t i = 0; i < 2; i++) {
        struct question q = question;
        json_t *object = object_of(&q), *response, *result;
        struct review_outcome outcome;

        q.version = versions[i];
        response = ask(&q, object, "enabled", &outcome);
        assert_allowed(response, true, true);
        result = patched(object, response);
        assert_string_equal(member_text(json_array_get(json_object_get(json_object_get(result, "spec"), "initContainers"), 1), "name"), "linkerd-proxy");
        assert_int_equal(outcome.verdict, INJECT_YES);
        assert_string_equal(outcome.annotated_at, "namespace");
        assert_string_equal(outcome.message.text, "Linkerd sidecar proxy injected");
        assert_null(json_object_get(response, "warnings"));
        json_decref(result);
        json_decref(response);
        json_decref(object);
    }
}

static void left_alone(void **state)
{
    static const struct question questions[] = {
        {"admission.k8s.io/v1", "UPDATE", "Pod", "pod", NULL, NULL},
        {"admission.k8s.io/v1", "DELETE", "Pod", "pod", NULL, NULL},
        {"admission.k8s.io/v1", "CREATE", "ConfigMap", "configmap", NULL, NULL},
        {"admission.k8s.io/v1", "CREATE", "Deployment", "deployment", NULL, NULL},
    };

    for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
        json_t *object = object_of(&questions[i]);
        struct review_outcome outcome;
        json_t *response = ask(&questions[i], object, "enabled", &outcome);

        assert_allowed(response, true, false);
        assert_string_equal(outcome.message.text, "");
        json_decref(response);
        json_decref(object);
    }
}

static void skipped(void **state)
{
    struct question q = question;
    json_t *object = object_of(&q), *response, *result;
    struct review_outcome outcome;

    json_object_set_new(json_object_get(object, "spec"), "hostNetwork", json_true());
    response = ask(&q, object, "disabled", &outcome);
    assert_allowed(response, true, true);
    result = patched(object, response);
    assert_string_equal(meta_annotation(json_object_get(result, "metadata"), "config.linkerd.io/opaque-ports"), "3306");
    assert_int_equal(outcome.verdict, INJECT_NO);
    assert_int_equal(outcome.skips, 1U << SKIP_HOST_NETWORK | 1U << SKIP_NOT_ENABLED);
    assert_string_equal(outcome.message.text, "Linkerd sidecar proxy injection skipped: hostNetwork is enabled, neither the namespace nor the pod "
                                              "have the annotation \"linkerd.io/inject:enabled\"");
    json_decref(result);
    json_decref(response);
    json_decref(object);
}

static void a_service(void **state)
{
    struct question q = {"admission.k8s.io/v1", "CREATE", "Service", "service", NULL, NULL};
    json_t *object = object_of(&q), *result;
    struct review_outcome outcome;
    json_t *response = ask(&q, object, "disabled", &outcome);

    assert_allowed(response, true, true);
    result = patched(object, response);
    assert_string_equal(meta_annotation(json_object_get(result, "metadata"), "config.linkerd.io/opaque-ports"), "3306");
    assert_string_equal(outcome.message.text, "");
    json_decref(result);
    json_decref(response);
    json_decref(object);
}

static void warned_of(void **state)
{
    struct question q = {"admission.k8s.io/v1", "CREATE", "Pod", "pod", "config.linkerd.io/proxy-uid", "root"};
    json_t *object = object_of(&q);
    struct review_outcome outcome;
    json_t *response = ask(&q, object, "enabled", &outcome);

    assert_allowed(response, true, true);
    assert_int_equal(outcome.warnings, 1);
    assert_string_equal(json_string_value(json_array_get(json_object_get(response, "warnings"), 0)),
                        "config.linkerd.io/proxy-uid: is \"root\": expected a user id above 0; it is ignored");
    json_decref(response);
    json_decref(object);
}

static void warned_of_many(void **state)
{
    struct question q = {"admission.k8s.io/v1", "CREATE", "Pod", "pod", "config.linkerd.io/proxy-uid", "root"};
    json_t *object = object_of(&q), *annotations = json_object_get(json_object_get(object, "metadata"), "annotations");
    struct review_outcome outcome;
    json_t *response;
    char name[64];

    json_object_set_new(annotations, "config.linkerd.io/proxy-gid", json_string("staff"));
    response = ask(&q, object, "enabled", &outcome);
    assert_int_equal(outcome.warnings, 2);
    assert_non_null(strstr(outcome.warning.text, "config.linkerd.io/proxy-uid: is \"root\""));
    assert_non_null(strstr(outcome.warning.text, "config.linkerd.io/proxy-gid: is \"staff\""));
    assert_null(strstr(outcome.warning.text, "more"));
    json_decref(response);
    for (int i = 0; i < 50; i++) {
        snprintf(name, sizeof(name), "config.linkerd.io/no-such-%d", i);
        json_object_set_new(annotations, name, json_string(""));
    }
    response = ask(&q, object, "enabled", &outcome);
    assert_in_range(outcome.warnings, 10, 52); /* as many as are told */
    assert_non_null(strstr(outcome.warning.text, " more, which `linkerd check` tells"));
    json_decref(response);
    json_decref(object);
}

static void refused(void **state)
{
    struct question q = {"admission.k8s.io/v1", "CREATE", "Pod", "pod", "config.linkerd.io/default-inbound-policy", "none"};
    json_t *object = object_of(&q);
    struct review_outcome outcome;
    json_t *response = ask(&q, object, "enabled", &outcome), *status = json_object_get(response, "status");

    assert_allowed(response, false, false);
    assert_int_equal(json_integer_value(json_object_get(status, "code")), 422);
    assert_non_null(strstr(member_text(status, "message"), "config.linkerd.io/default-inbound-policy: is \"none\": expected all-unauthenticated"));
    assert_int_equal(outcome.verdict, INJECT_REFUSED);
    json_decref(response);
    json_decref(object);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_reviews), cmocka_unit_test(too_large), cmocka_unit_test(a_pod),     cmocka_unit_test(left_alone),
        cmocka_unit_test(skipped),    cmocka_unit_test(a_service), cmocka_unit_test(warned_of), cmocka_unit_test(warned_of_many), cmocka_unit_test(refused),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
