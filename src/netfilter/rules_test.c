#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "netfilter/rules.h"

#define JUMP_IN "-A PREROUTING -m comment --comment \"proxy-init/install-proxy-init-prerouting\" -j PROXY_INIT_REDIRECT\n"
#define JUMP_OUT "-A OUTPUT -m comment --comment \"proxy-init/install-proxy-init-output\" -j PROXY_INIT_OUTPUT\n"
#define ALL_IN                                                                                                         \
    "-A PROXY_INIT_REDIRECT -p tcp -m comment --comment \"proxy-init/redirect-all-incoming-to-proxy-port\" "           \
    "-j REDIRECT --to-ports 4143\n"
#define ALL_OUT                                                                                                        \
    "-A PROXY_INIT_OUTPUT -p tcp -m comment --comment \"proxy-init/redirect-all-outgoing-to-proxy-port\" "             \
    "-j REDIRECT --to-ports 4140\n"
#define LOOPBACK "-A PROXY_INIT_OUTPUT -o lo -m comment --comment \"proxy-init/ignore-loopback\" -j RETURN\n"
#define HEAD "*nat\n:PROXY_INIT_REDIRECT - [0:0]\n:PROXY_INIT_OUTPUT - [0:0]\n"

static const struct redirect plain = {.inbound_port = 4143, .outbound_port = 4140};

static char *terminated(struct buffer *out)
{
    assert_int_equal(buffer_add_byte(out, '\0'), 0);
    return out->data;
}

/* The text for one case; the caller releases the buffer. */
static char *install_text(const struct redirect *redirect, int version, const char *existing, struct buffer *out)
{
    struct saved saved;

    assert_int_equal(saved_read(slice_str(existing), &saved), 0);
    buffer_init(out, 1 << 20);
    assert_int_equal(rules_install(redirect, version, &saved, out), 0);
    return terminated(out);
}

static void test_minimal(void **state)
{
    struct buffer out;

    assert_string_equal(install_text(&plain, 4, "", &out), HEAD ALL_IN LOOPBACK ALL_OUT JUMP_IN JUMP_OUT "COMMIT\n");
    buffer_release(&out);
}

static void test_everything_in_order(void **state)
{
    static const struct port_range in[] = {{4190, 4190}, {4191, 4191}, {4567, 4568}};
    static const struct port_range out_ports[] = {{25, 25}};
    static const uint16_t only[] = {80, 443};
    struct cidr nets[2];
    struct redirect redirect = {.inbound_port = 4143, .outbound_port = 4140, .proxy_uid = 2102, .proxy_gid = 2103,
                                .inbound_only = only, .inbound_only_count = 2,
                                .skip_inbound = in, .skip_inbound_count = 3,
                                .skip_outbound = out_ports, .skip_outbound_count = 1,
                                .skip_networks = nets, .skip_networks_count = 2};
    struct buffer out;

    assert_int_equal(cidr_parse(SLICE_LIT("10.1.2.3/8"), &nets[0]), 0);
    assert_int_equal(cidr_parse(SLICE_LIT("fd00::/8"), &nets[1]), 0);
#define PORTS_IN                                                                                                       \
    "-A PROXY_INIT_REDIRECT -p tcp -m multiport --dports 4190,4191,4567:4568 -m comment --comment "                    \
    "\"proxy-init/ignore-port-4190,4191,4567:4568\" -j RETURN\n"
#define REST                                                                                                           \
    "-A PROXY_INIT_REDIRECT -p tcp -m tcp --dport 80 -m comment --comment \"proxy-init/redirect-port-80-to-proxy-"     \
    "port\" -j REDIRECT --to-ports 4143\n"                                                                             \
    "-A PROXY_INIT_REDIRECT -p tcp -m tcp --dport 443 -m comment --comment \"proxy-init/redirect-port-443-to-proxy-"   \
    "port\" -j REDIRECT --to-ports 4143\n"                                                                             \
    "-A PROXY_INIT_OUTPUT -m owner --uid-owner 2102 -m comment --comment \"proxy-init/ignore-proxy-user-id\" -j "      \
    "RETURN\n"                                                                                                         \
    "-A PROXY_INIT_OUTPUT -m owner --gid-owner 2103 -m comment --comment \"proxy-init/ignore-proxy-group-id\" -j "     \
    "RETURN\n" LOOPBACK                                                                                                \
    "-A PROXY_INIT_OUTPUT -p tcp -m multiport --dports 25 -m comment --comment \"proxy-init/ignore-port-25\" -j "      \
    "RETURN\n" ALL_OUT JUMP_IN JUMP_OUT "COMMIT\n"
    assert_string_equal(install_text(&redirect, 4, "", &out),
                        HEAD PORTS_IN "-A PROXY_INIT_REDIRECT -s 10.0.0.0/8 -m comment --comment "
                                      "\"proxy-init/ignore-subnet-10.0.0.0/8\" -j RETURN\n" REST);
    buffer_release(&out);
    assert_string_equal(install_text(&redirect, 6, "", &out),
                        HEAD PORTS_IN "-A PROXY_INIT_REDIRECT -s fd00::/8 -m comment --comment "
                                      "\"proxy-init/ignore-subnet-fd00::/8\" -j RETURN\n" REST);
    buffer_release(&out);
}

/* Fifteen places to a match; a range takes two and is never cut. */
static void test_multiport_chunks(void **state)
{
    struct port_range ranges[31];
    struct redirect redirect = plain;
    struct buffer out;
    char *text;

    for (uint16_t i = 0; i < 31; i++)
        ranges[i] = (struct port_range){(uint16_t)(100 + 2 * i), (uint16_t)(100 + 2 * i)};
    ranges[14].last++; /* would take places 15 and 16 */
    redirect.skip_inbound = ranges;
    redirect.skip_inbound_count = 31;
    text = install_text(&redirect, 4, "", &out);
    assert_non_null(strstr(text, "--dports 100,102,104,106,108,110,112,114,116,118,120,122,124,126 "));
    assert_non_null(strstr(text, "--dports 128:129,130,132,134,136,138,140,142,144,146,148,150,152,154 "));
    assert_non_null(strstr(text, "--dports 156,158,160 "));
    assert_non_null(strstr(text, "\"proxy-init/ignore-port-156,158,160\""));
    buffer_release(&out);
}

static void test_whole_network_needs_no_match(void **state)
{
    struct cidr all;
    struct redirect redirect = plain;
    struct buffer out;

    assert_int_equal(cidr_parse(SLICE_LIT("0.0.0.0/0"), &all), 0);
    redirect.skip_networks = &all;
    redirect.skip_networks_count = 1;
    assert_non_null(strstr(install_text(&redirect, 4, "", &out),
                           "-A PROXY_INIT_REDIRECT -m comment --comment \"proxy-init/ignore-subnet-0.0.0.0/0\" -j"));
    buffer_release(&out);
}

#define SAVED(rules)                                                                                                   \
    "# Generated by iptables-nft-save v1.8.9 (nf_tables) on Mon Nov 23 12:02:44 2026\n*nat\n"                          \
    ":PREROUTING ACCEPT [0:0]\n:INPUT ACCEPT [0:0]\n:OUTPUT ACCEPT [0:0]\n:POSTROUTING ACCEPT [0:0]\n"                 \
    ":PROXY_INIT_OUTPUT - [0:0]\n:PROXY_INIT_REDIRECT - [0:0]\n" rules "COMMIT\n# Completed\n"

static void test_existing_jumps_are_kept(void **state)
{
    struct buffer out;

    assert_string_equal(install_text(&plain, 4, SAVED(JUMP_IN JUMP_OUT LOOPBACK ALL_OUT), &out),
                        HEAD ALL_IN LOOPBACK ALL_OUT "COMMIT\n");
    buffer_release(&out);
    /* Another's jump, without our comment, counts: nothing would be gained by a second. */
    assert_string_equal(install_text(&plain, 4, SAVED("-A OUTPUT -p tcp -j PROXY_INIT_OUTPUT\n" JUMP_IN), &out),
                        HEAD ALL_IN LOOPBACK ALL_OUT "COMMIT\n");
    buffer_release(&out);
    /* Two became one. */
    assert_string_equal(install_text(&plain, 4, SAVED(JUMP_IN JUMP_OUT JUMP_OUT), &out),
                        HEAD ALL_IN LOOPBACK ALL_OUT "-D OUTPUT -m comment --comment "
                        "\"proxy-init/install-proxy-init-output\" -j PROXY_INIT_OUTPUT\nCOMMIT\n");
    buffer_release(&out);
}

static void test_what_is_not_ours(void **state)
{
    static const char *const others[] = {
        "*filter\n" JUMP_IN JUMP_OUT ":PROXY_INIT_OUTPUT - [0:0]\nCOMMIT\n",            /* another table */
        "*nat\n-A PREROUTING -j PROXY_INIT_REDIRECTED\nCOMMIT\n",                         /* a longer name */
        "*nat\n-A PREROUTING -m comment --comment \"x -j PROXY_INIT_REDIRECT\" -j DOCKER\nCOMMIT\n", /* in quotes */
        "*nat\n-A PREROUTING -m comment --comment \"\\\" -j PROXY_INIT_REDIRECT\" -j DOCKER\nCOMMIT\n",
        "*nat\n-A PREROUTING -j\nCOMMIT\n-A \n:\n*\n-A PREROUTING -m comment --comment \"x",
    };
    struct saved saved;

    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++) {
        assert_int_equal(saved_read(slice_str(others[i]), &saved), 0);
        assert_false(saved_has_rules(&saved));
    }
}

static void test_saved_warnings(void **state)
{
    struct saved saved;
    struct buffer many;

    assert_int_equal(saved_read(SLICE_LIT("# Warning: iptables-legacy tables present, use iptables-legacy-save\n"),
                                &saved), 0);
    assert_true(saved.other_backend);
    assert_int_equal(saved_read(SLICE_LIT("# Table `nat' is incompatible, use 'nft' tool.\n"), &saved), -EPROTO);
    buffer_init(&many, 1 << 20);
    buffer_add_lit(&many, "*nat\n");
    for (int i = 0; i <= SAVED_JUMPS_MAX; i++)
        buffer_add_lit(&many, JUMP_OUT);
    assert_int_equal(saved_read(buffer_slice(&many), &saved), -E2BIG);
    buffer_release(&many);
}

static void test_remove(void **state)
{
    struct saved saved;
    struct buffer out;

    buffer_init(&out, 1 << 20);
    assert_int_equal(saved_read(SLICE_LIT(SAVED(JUMP_IN JUMP_OUT ALL_IN)), &saved), 0);
    assert_int_equal(rules_remove(&saved, &out), 0);
    assert_string_equal(terminated(&out),
                        "*nat\n-D PREROUTING -m comment --comment \"proxy-init/install-proxy-init-prerouting\" -j "
                        "PROXY_INIT_REDIRECT\n-D OUTPUT -m comment --comment "
                        "\"proxy-init/install-proxy-init-output\" -j PROXY_INIT_OUTPUT\n-F PROXY_INIT_REDIRECT\n"
                        "-X PROXY_INIT_REDIRECT\n-F PROXY_INIT_OUTPUT\n-X PROXY_INIT_OUTPUT\nCOMMIT\n");
    buffer_clear(&out);
    assert_int_equal(saved_read(SLICE_LIT("*nat\n:PREROUTING ACCEPT [0:0]\nCOMMIT\n"), &saved), 0);
    assert_int_equal(rules_remove(&saved, &out), 0);
    assert_int_equal(out.len, 0);
    buffer_release(&out);
}

static size_t wrong(const char *existing, enum chain chain)
{
    struct saved saved;
    size_t count = 99;

    assert_int_equal(saved_read(slice_str(existing), &saved), 0);
    assert_int_equal(rules_compare(&plain, 4, &saved, chain, &count), 0);
    return count;
}

static void test_compare(void **state)
{
    assert_int_equal(wrong(SAVED(JUMP_IN JUMP_OUT LOOPBACK ALL_OUT ALL_IN), CHAIN_OUTPUT), 0);
    assert_int_equal(wrong(SAVED(LOOPBACK ALL_IN ALL_OUT), CHAIN_OUTPUT), 0); /* chains may be mixed */
    assert_int_equal(wrong(SAVED(LOOPBACK ALL_IN ALL_OUT), CHAIN_REDIRECT), 0);
    assert_int_equal(wrong(SAVED(ALL_OUT LOOPBACK), CHAIN_OUTPUT), 2); /* wrong order */
    assert_int_equal(wrong(SAVED(LOOPBACK), CHAIN_OUTPUT), 1);
    assert_int_equal(wrong(SAVED(LOOPBACK ALL_OUT ALL_OUT), CHAIN_OUTPUT), 1);
    assert_int_equal(wrong("", CHAIN_OUTPUT), 2);
}

static void test_port_ranges(void **state)
{
    static const struct {
        const char *text;
        int r;
        struct port_range want;
    } cases[] = {
        {"22", 0, {22, 22}},        {"0", 0, {0, 0}},           {"65535", 0, {65535, 65535}},
        {"25-27", 0, {25, 27}},     {"22-22", 0, {22, 22}},     {" 22 ", 0, {22, 22}},
        {"", -EINVAL, {0, 0}},      {"65536", -EINVAL, {0, 0}}, {"27-25", -EINVAL, {0, 0}},
        {"1-2-3", -EINVAL, {0, 0}}, {"-1", -EINVAL, {0, 0}},    {"1-", -EINVAL, {0, 0}},
        {"http", -EINVAL, {0, 0}},  {"1:2", -EINVAL, {0, 0}},   {"+1", -EINVAL, {0, 0}},
        {"0x10", -EINVAL, {0, 0}},  {"1 - 2", -EINVAL, {0, 0}}, {"18446744073709551617", -EINVAL, {0, 0}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct port_range got = {0, 0};

        assert_int_equal(port_range_parse(slice_str(cases[i].text), &got), cases[i].r);
        assert_int_equal(got.first, cases[i].want.first);
        assert_int_equal(got.last, cases[i].want.last);
    }
    assert_true(port_range_has((struct port_range){25, 27}, 25));
    assert_true(port_range_has((struct port_range){25, 27}, 27));
    assert_false(port_range_has((struct port_range){25, 27}, 28));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_minimal),
        cmocka_unit_test(test_everything_in_order),
        cmocka_unit_test(test_multiport_chunks),
        cmocka_unit_test(test_whole_network_needs_no_match),
        cmocka_unit_test(test_existing_jumps_are_kept),
        cmocka_unit_test(test_what_is_not_ours),
        cmocka_unit_test(test_saved_warnings),
        cmocka_unit_test(test_remove),
        cmocka_unit_test(test_compare),
        cmocka_unit_test(test_port_ranges),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
