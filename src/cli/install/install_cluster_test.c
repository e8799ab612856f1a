/* Which versions of Kubernetes are new enough, as servers write them. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/install/install_cluster.h"

static void test_versions(void **state)
{
    static const struct {
        const char *version;
        int result;
        const char *says;
    } cases[] = {
        {"{'major': '1', 'minor': '29', 'gitVersion': 'v1.29.0'}", 0, ""},
        {"{'major': '1', 'minor': '30+', 'gitVersion': 'v1.30.1-gke.5'}", 0, ""},
        {"{'major': '1', 'minor': '133', 'gitVersion': 'v1.133.0'}", 0, ""},
        {"{'major': '2', 'minor': '0', 'gitVersion': 'v2.0.0'}", 0, ""},
        {"{'major': '1', 'minor': '28', 'gitVersion': 'v1.28.15'}", -ENOTSUP, "the cluster runs Kubernetes v1.28.15: at least 1.29 is needed"},
        {"{'major': '1', 'minor': '9+'}", -ENOTSUP, "Kubernetes of an unknown version: at least 1.29"},
        {"{'major': '0', 'minor': '99', 'gitVersion': 'v0.99.0'}", -ENOTSUP, "v0.99.0"},
        {"{'major': '1', 'minor': '', 'gitVersion': 'v1'}", -EPROTO, "expected major and minor"},
        {"{'major': '1', 'minor': 29}", -EPROTO, "expected major and minor"},
        {"{'major': '-1', 'minor': '29'}", -EPROTO, "expected major and minor"},
        {"[]", -EPROTO, "expected major and minor"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct errmsg msg = {""};
        char text[200];
        json_t *version;

        snprintf(text, sizeof(text), "%s", cases[i].version);
        for (char *at = text; *at; at++)
            if (*at == '\'')
                *at = '"';
        version = json_loads(text, 0, NULL);
        assert_non_null(version);
        assert_int_equal(cluster_version_check(version, &msg), cases[i].result);
        assert_non_null(strstr(msg.text, cases[i].says));
        json_decref(version);
    }
}

static void test_namespaces(void **state)
{
    static const char *const good[] = {"linkerd", "a", "0", "a-b-0", "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-012345678"};
    static const char *const bad[] = {"", "-a", "a-", "A", "a.b", "a/b", "a?b", "a b", "../x",
                                      "abcdefghijklmnopqrstuvwxyz-abcdefghijklmnopqrstuvwxyz-0123456789"};
    struct errmsg msg;

    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
        assert_int_equal(namespace_check(good[i], &msg), 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(namespace_check(bad[i], &msg), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_versions), cmocka_unit_test(test_namespaces)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
