#include "api/workload.h"

#include <errno.h>
#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"

static void tokens_are_read(void **state)
{
    static const struct {
        const char *text;
        int r;
        const char *ns, *node, *pod;
    } samples[] = {
        {"", 0, "", "", ""},
        {"{}", 0, "", "", ""},
        {"{\"ns\":\"a\",\"nodeName\":\"n\",\"pod\":\"p\"}", 0, "a", "n", "p"},
        {"{\"ns\":\"a\",\"other\":1,\"pod\":null}\n", 0, "a", "", ""},
        {"ns:emojivoto", 0, "emojivoto", "", ""},
        {"ns:", 0, "", "", ""},
        {"ns:a:b", -EINVAL, "", "", ""},
        {"emojivoto", -EINVAL, "", "", ""},
        {"{\"ns\":1}", -EINVAL, "", "", ""},
        {"{\"ns\":\"a\",\"ns\":\"b\"}", -EINVAL, "", "", ""},
        {"{\"ns\":\"a\"", -EINVAL, "", "", ""},
        {"{\"ns\":\"a\"}x", -EINVAL, "", "", ""},
        {"{\"ns\":\"\\u0000\"}", -EINVAL, "", "", ""},
        {"{\"ns\":{\"a\":{}}}", -EINVAL, "", "", ""},
        {"ns:\xff", -EINVAL, "", "", ""},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct context_token token = {0};
        struct errmsg msg = {0};
        struct arena arena;
        int r;

        arena_init(&arena, 4096);
        r = context_token_parse(slice_str(samples[i].text), &arena, &msg, &token);
        if (r != samples[i].r)
            fail_msg("%s: %d %s", samples[i].text, r, msg.text);
        if (r == 0)
            assert_true(slice_eq(token.ns, slice_str(samples[i].ns)) &&
                        slice_eq(token.node_name, slice_str(samples[i].node)) &&
                        slice_eq(token.pod, slice_str(samples[i].pod)));
        else
            assert_true(strncmp(msg.text, "context token: ", 15) == 0 && token.ns.ptr == NULL);
        arena_release(&arena);
    }
}

static void workloads_are_read(void **state)
{
    static const struct {
        const char *text;
        int r;
        const char *ns, *name;
        bool external;
    } samples[] = {
        {"emojivoto:web-1", 0, "emojivoto", "web-1", false},
        {"a:b:c", 0, "a", "b:c", false},
        {"{\"ns\":\"a\",\"pod\":\"p\"}", 0, "a", "p", false},
        {"{\"external_workload\":\"vm\",\"ns\":\"a\"}", 0, "a", "vm", true},
        {"", -EINVAL, "", "", false},
        {"web", -EINVAL, "", "", false},
        {":web", -EINVAL, "", "", false},
        {"ns:", -EINVAL, "", "", false},
        {"{}", -EINVAL, "", "", false},
        {"{\"ns\":\"a\"}", -EINVAL, "", "", false},
        {"{\"pod\":\"a\"}", -EINVAL, "", "", false},
        {"{\"ns\":\"a\",\"pod\":\"p\",\"external_workload\":\"vm\"}", -EINVAL, "", "", false},
        {"{\"ns\":\"a\",\"pod\":[\"p\"]}", -EINVAL, "", "", false},
        {"[]", -EINVAL, "", "", false},
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct workload workload = {0};
        struct errmsg msg = {0};
        struct arena arena;
        int r;

        arena_init(&arena, 4096);
        r = workload_parse(slice_str(samples[i].text), &arena, &msg, &workload);
        if (r != samples[i].r)
            fail_msg("%s: %d %s", samples[i].text, r, msg.text);
        if (r == 0)
            assert_true(slice_eq(workload.ns, slice_str(samples[i].ns)) &&
                        slice_eq(workload.name, slice_str(samples[i].name)) &&
                        workload.external == samples[i].external);
        arena_release(&arena);
    }
}

static void length_is_bounded(void **state)
{
    char text[5000];
    struct context_token token;
    struct workload workload;
    struct arena arena;

    arena_init(&arena, 64 * 1024);
    memset(text, ' ', sizeof(text));
    memcpy(text, "{\"ns\":\"a\",\"pod\":\"p\"}", 20);
    assert_int_equal(context_token_parse(slice_of(text, 4096), &arena, NULL, &token), 0);
    assert_int_equal(context_token_parse(slice_of(text, 4097), &arena, NULL, &token), -EINVAL);
    assert_int_equal(workload_parse(slice_of(text, 4097), &arena, NULL, &workload), -EINVAL);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tokens_are_read),
        cmocka_unit_test(workloads_are_read),
        cmocka_unit_test(length_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
