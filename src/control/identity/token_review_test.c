#include "kube/api/api_world.h"

#include <stdio.h>

#include "control/identity/token_review.h"

static struct api_world world;
static struct token_validator *validator;

struct told {
    unsigned times;
    enum token_verdict verdict;
    struct token_subject subject;
    char why[512];
};

static void done(void *owner, enum token_verdict verdict, const struct token_subject *subject, const char *why)
{
    struct told *told = owner;

    told->times++;
    told->verdict = verdict;
    if (subject)
        told->subject = *subject;
    snprintf(told->why, sizeof(told->why), "%s", why);
}

static int setup(void **state)
{
    api_world_init(&world, false);
    return token_review_new(world.client, &validator);
}

static int teardown(void **state)
{
    validator->ops->free(validator);
    api_world_release(&world);
    return 0;
}

static void test_answers(void **state)
{
#define USER(name) "\"user\":{\"username\":\"" name "\"}"
#define FOR_US "\"audiences\":[\"other\",\"identity.l5d.io\"]"
#define GOOD USER("system:serviceaccount:shop:web") "," FOR_US
    static const struct {
        const char *answer;
        enum token_verdict verdict;
        const char *why;
    } cases[] = {
        {"{\"kind\":\"TokenReview\",\"status\":{\"authenticated\":true," GOOD "}}", TOKEN_VALID, ""},
        {"{\"status\":{\"authenticated\":false," GOOD "}}", TOKEN_NOT_AUTHENTICATED, "it gives no reason"},
        {"{\"status\":{" GOOD "}}", TOKEN_NOT_AUTHENTICATED, "it gives no reason"},
        {"{\"status\":{\"authenticated\":\"true\"," GOOD "}}", TOKEN_NOT_AUTHENTICATED, "it gives no reason"},
        {"{\"status\":{\"error\":\"token has expired\"}}", TOKEN_NOT_AUTHENTICATED, "does not accept the token: token has expired"},
        {"{\"status\":{\"authenticated\":true," USER("system:serviceaccount:shop:web") "}}", TOKEN_NOT_AUTHENTICATED, "not for the audience identity.l5d.io"},
        {"{\"status\":{\"authenticated\":true," USER("system:serviceaccount:shop:web") ",\"audiences\":[\"other\"]}}", TOKEN_NOT_AUTHENTICATED, "audience"},
        {"{\"status\":{\"authenticated\":true," USER("admin") "," FOR_US "}}", TOKEN_MALFORMED, "not one of a service account but of admin"},
        {"{\"status\":{\"authenticated\":true," USER("system:serviceaccount:shop") "," FOR_US "}}", TOKEN_MALFORMED, "but of"},
        {"{\"status\":{\"authenticated\":true," USER("system:serviceaccount:shop:web:x") "," FOR_US "}}", TOKEN_MALFORMED, "but of"},
        {"{\"status\":{\"authenticated\":true," USER("system:serviceaccount::web") "," FOR_US "}}", TOKEN_MALFORMED, "but of"},
        {"{\"status\":[]}", TOKEN_UNAVAILABLE, "no TokenReview"},
        {"{}", TOKEN_UNAVAILABLE, "no TokenReview"},
        {"<html>", TOKEN_UNAVAILABLE, "no TokenReview"},
        {"", TOKEN_UNAVAILABLE, "no TokenReview"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct token_subject subject;
        struct errmsg why;
        enum token_verdict verdict = token_review_read(slice_str(cases[i].answer), &subject, &why);

        if (verdict != cases[i].verdict || !strstr(why.text, cases[i].why))
            fail_msg("%s: %d, %s", cases[i].answer, verdict, why.text);
        if (verdict == TOKEN_VALID) {
            assert_string_equal(subject.namespace, "shop");
            assert_string_equal(subject.service_account, "web");
        }
    }
}

static void test_asking(void **state)
{
    struct told told = {0};
    struct served *served;
    void *handle;

    assert_non_null(validator->ops->validate(validator, SLICE_LIT("a.\"b\".c"), 0, done, &told));
    served = api_next(&world, "POST /apis/authentication.k8s.io/v1/tokenreviews");
    assert_true(slice_eq(buffer_slice(&served->body), SLICE_LIT("{\"apiVersion\":\"authentication.k8s.io/v1\",\"kind\":\"TokenReview\",\"spec\":{\"audiences\":"
                                                                "[\"identity.l5d.io\"],\"token\":\"a.\\\"b\\\".c\"}}")));
    api_answer(served, 201, NULL, "{\"status\":{\"authenticated\":true," GOOD "}}");
    assert_int_equal(told.times, 1);
    assert_int_equal(told.verdict, TOKEN_VALID);
    assert_string_equal(told.subject.service_account, "web");
    validator->ops->validate(validator, SLICE_LIT("x"), 0, done, &told);
    api_answer(api_next(&world, "POST /apis/authentication.k8s.io/v1/tokenreviews"), 403, NULL, "{}");
    assert_int_equal(told.times, 2);
    assert_int_equal(told.verdict, TOKEN_UNAVAILABLE);
    assert_non_null(strstr(told.why, "status 403"));
    handle = validator->ops->validate(validator, SLICE_LIT("x"), 0, done, &told);
    served = api_next(&world, "POST /apis/authentication.k8s.io/v1/tokenreviews");
    validator->ops->cancel(validator, handle);
    api_settle(&world);
    assert_true(served->gone);
    assert_int_equal(told.times, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_answers),
        cmocka_unit_test_setup_teardown(test_asking, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
