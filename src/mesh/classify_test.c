#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "mesh/classify.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* grpc-status with this value, or nothing for NULL. */
static unsigned field_of(const char *value, struct http_field *field)
{
    *field = (struct http_field){SLICE_LIT("grpc-status"), slice_str(value), HTTP_TOKEN_GRPC_STATUS, 0};
    return value != NULL;
}

static void responses(void **state)
{
    static const struct {
        uint16_t status;
        bool grpc;
        const char *head, *trailers;
        bool failure;
        int code;
    } cases[] = {
        {200, false, NULL, NULL, false, -1},
        {404, false, NULL, NULL, false, -1},
        {499, false, NULL, NULL, false, -1},
        {500, false, NULL, NULL, true, -1},
        {599, false, NULL, NULL, true, -1},
        {600, false, NULL, NULL, false, -1},
        {200, false, "13", NULL, false, -1}, /* not gRPC: what it says there means nothing */
        {200, false, NULL, "13", false, -1},
        {200, true, "0", NULL, false, 0},
        {200, true, NULL, "0", false, 0},
        {200, true, NULL, "1", false, 1},
        {200, true, NULL, "2", true, 2},
        {200, true, NULL, "3", false, 3},
        {200, true, NULL, "4", true, 4},
        {200, true, NULL, "5", false, 5},
        {200, true, NULL, "7", true, 7},
        {200, true, NULL, "8", false, 8},
        {200, true, NULL, "12", false, 12},
        {200, true, NULL, "13", true, 13},
        {200, true, NULL, "14", true, 14},
        {200, true, NULL, "15", true, 15},
        {200, true, NULL, "16", false, 16},
        {200, true, NULL, "17", true, 2}, /* no code: unknown */
        {200, true, NULL, "65536", false, -1},
        {200, true, NULL, "", false, -1},
        {200, true, NULL, "-1", false, -1},
        {200, true, NULL, "14 ", false, -1},
        {200, true, "14", "0", true, 14}, /* the head is final */
        {500, true, NULL, "0", false, 0},
        {503, true, NULL, NULL, true, -1},
        {200, true, NULL, NULL, false, -1},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct http_field in_head, in_trailers;
        struct http_head head = {.status = cases[i].status, .fields = &in_head};
        struct classification c;

        head.count = (uint16_t)field_of(cases[i].head, &in_head);
        c = classify_start(&head, cases[i].grpc, NULL);
        classify_end(&c, &in_trailers, field_of(cases[i].trailers, &in_trailers));
        if (c.is_failure != cases[i].failure || c.grpc_status != cases[i].code)
            fail_msg("case %zu: %d %d", i, c.is_failure, c.grpc_status);
    }
}

static void profile_classes(void **state)
{
    struct response_condition ranges[] = {{.kind = RESPONSE_STATUS, .min = 400, .max = 499},
                                          {.kind = RESPONSE_STATUS, .min = 429, .max = 429}};
    struct response_condition not_429 = {.kind = RESPONSE_NOT, .children = &ranges[1], .count = 1};
    struct response_condition both[] = {ranges[0], not_429};
    struct response_class classes[] = {
        {{.kind = RESPONSE_STATUS, .min = 503, .max = 503}, false},
        {{.kind = RESPONSE_ALL, .children = both, .count = 2}, true},
        {{.kind = RESPONSE_ANY, .children = ranges, .count = 2}, false},
    };
    struct profile_route route = {.classes = classes, .class_count = 3}, bare = {0};
    static const struct {
        uint16_t status;
        const char *trailers;
        bool with_classes, bare;
    } cases[] = {
        {503, NULL, false, true}, /* the first class that matches decides */
        {502, NULL, true, true},  /* none does: by status */
        {404, NULL, true, false},
        {429, NULL, false, false},
        {200, NULL, false, false},
        {404, "0", true, false}, /* a class is final */
        {200, "14", true, false}, /* with classes, trailers speak for any response */
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        for (int with = 0; with < 2; with++) {
            struct http_field trailer;
            struct http_head head = {.status = cases[i].status};
            struct classification c = classify_start(&head, false, with ? &route : &bare);

            classify_end(&c, &trailer, field_of(cases[i].trailers, &trailer));
            if (c.is_failure != (with ? cases[i].with_classes : cases[i].bare))
                fail_msg("case %zu, %d", i, with);
        }
}

static void errors_are_failures(void **state)
{
    struct http_head head = {.status = 200};
    struct classification c = classify_start(&head, false, NULL);

    classify_error(&c);
    assert_true(c.is_failure);
}

static void names(void **state)
{
    assert_string_equal(grpc_status_name(0), "OK");
    assert_string_equal(grpc_status_name(7), "PERMISSION_DENIED");
    assert_string_equal(grpc_status_name(8), "RESOURCE_EXHAUSTED");
    assert_string_equal(grpc_status_name(13), "INTERNAL");
    assert_string_equal(grpc_status_name(16), "UNAUTHENTICATED");
    assert_string_equal(grpc_status_name(17), "UNKNOWN");
    assert_string_equal(grpc_status_name(-1), "UNKNOWN");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(responses),
        cmocka_unit_test(profile_classes),
        cmocka_unit_test(errors_are_failures),
        cmocka_unit_test(names),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
