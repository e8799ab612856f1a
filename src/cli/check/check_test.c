#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "cli/check/check.h"
#include "cli/versions.h"

static void test_conntrack_room(void **state)
{
    static const struct {
        uint64_t used, max;
        enum check_result want;
    } cases[] = {
        {0, 262144, CHECK_OK},        {80, 100, CHECK_OK},    {81, 100, CHECK_WARNING}, {95, 100, CHECK_WARNING},
        {96, 100, CHECK_ERROR},       {100, 100, CHECK_ERROR}, {200, 100, CHECK_ERROR},  {0, 0, CHECK_ERROR},
        {UINT64_MAX, 9, CHECK_ERROR},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct errmsg msg = {""};

        assert_int_equal(check_conntrack_room(cases[i].used, cases[i].max, &msg), cases[i].want);
        assert_int_equal(*msg.text != '\0', cases[i].want != CHECK_OK);
    }
}

static void test_version_in_metrics(void **state)
{
    static const struct {
        const char *metrics, *want;
    } cases[] = {
        {"proxy_build_info{version=\"1.2.3\",vendor=\"x\"} 1\n", "1.2.3"},
        {"# HELP proxy_build_info{version=\"9\"}\n", NULL},
        {"build{version=\"1\"} 1\nx_build_info{version=\"2\"} 1", "2"},
        {"x_build_info{version=\"\033[2J\"} 1\n", NULL},
        {"x_build_info 1\n", NULL},
        {"", NULL},
    };
    char version[VERSION_TEXT_MAX];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(version_in_metrics(slice_str(cases[i].metrics), version), cases[i].want != NULL);
        if (cases[i].want)
            assert_string_equal(version, cases[i].want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_conntrack_room),
        cmocka_unit_test(test_version_in_metrics),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
