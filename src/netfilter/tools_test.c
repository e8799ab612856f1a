#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "netfilter/firewall.h"
#include "netfilter/tools.h"

static bool nothing(const char *path)
{
    return false;
}

static bool everything(const char *path)
{
    return true;
}

static bool only_sbin(const char *path)
{
    return strncmp(path, "/usr/sbin/", 10) == 0;
}

static bool only_plain(const char *path)
{
    return strstr(path, "/iptables-restore") || strstr(path, "/iptables-save");
}

static bool no_save(const char *path)
{
    return !strstr(path, "save");
}

static void test_names(void **state)
{
    enum firewall_mode mode;

    assert_int_equal(firewall_mode_parse("nft", &mode), 0);
    assert_int_equal(mode, FIREWALL_NFT);
    assert_int_equal(firewall_mode_parse("NFT", &mode), -EINVAL);
    assert_int_equal(firewall_mode_parse("", &mode), -EINVAL);
}

static void test_paths(void **state)
{
    struct firewall_tools tools;

    assert_int_equal(tools_find(FIREWALL_NFT, 6, NULL, only_sbin, NULL, &tools), 0);
    assert_string_equal(tools.restore, "/usr/sbin/ip6tables-nft-restore");
    assert_string_equal(tools.save, "/usr/sbin/ip6tables-nft-save");
    assert_int_equal(tools_find(FIREWALL_LEGACY, 4, "/opt/x:/opt/y", everything, NULL, &tools), 0);
    assert_string_equal(tools.restore, "/opt/x/iptables-legacy-restore");
    assert_int_equal(tools_find(FIREWALL_PLAIN, 4, ":.:bin", everything, NULL, &tools), 0);
    assert_string_equal(tools.save, "/usr/local/sbin/iptables-save"); /* never a relative folder */
}

static void test_absence(void **state)
{
    struct firewall_tools tools;
    struct errmsg msg = {""};

    assert_int_equal(tools_find_any(FIREWALL_NFT, 4, "/x", nothing, &msg, &tools), -ENOENT);
    assert_non_null(strstr(msg.text, "iptables-nft-restore"));
    assert_non_null(strstr(msg.text, "install iptables"));
    assert_int_equal(tools_find(FIREWALL_NFT, 4, "/x", no_save, &msg, &tools), -ENOENT);
    assert_int_equal(tools_find(FIREWALL_LEGACY, 4, NULL, only_plain, &msg, &tools), -ENOENT);
    assert_int_equal(tools_find_any(FIREWALL_LEGACY, 4, NULL, only_plain, &msg, &tools), 0);
    assert_int_equal(tools.mode, FIREWALL_PLAIN);
    assert_int_equal(tools_find_any(FIREWALL_LEGACY, 6, NULL, only_plain, &msg, &tools), -ENOENT);
}

static void test_hints(void **state)
{
    static const struct {
        const char *complaint, *hint;
    } cases[] = {
        {"iptables-nft-save v1.8.9 (nf_tables): Could not fetch rule set generation id: Permission denied (you must be "
         "root)", "CAP_NET_ADMIN"},
        {"Another app is currently holding the xtables lock. Stopped waiting after 1s.", "--use-wait-flag"},
        {"Fatal: can't open lock file /run/xtables.lock: Permission denied", "XTABLES_LOCKFILE"},
        {"iptables-restore v1.8.9 (legacy): iptables-restore: unable to initialize table 'nat'", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const char *hint = firewall_hint(slice_str(cases[i].complaint));

        if (cases[i].hint)
            assert_non_null(strstr(hint, cases[i].hint));
        else
            assert_null(hint);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names),
        cmocka_unit_test(test_paths),
        cmocka_unit_test(test_absence),
        cmocka_unit_test(test_hints),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
