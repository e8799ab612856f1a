#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "init/options.h"

#define WORDS(...) ((const char *const[]){"linkerd-init", __VA_ARGS__, NULL})
#define PORTS "--incoming-proxy-port", "4143", "--outgoing-proxy-port", "4140"

static int parse(const char *const words[], struct buffer *problems, struct options *options)
{
    bool help;
    int argc = 0, r;

    while (words[argc])
        argc++;
    buffer_init(problems, 1 << 20);
    r = options_parse(argc, (char *const *)words, problems, &help, options);
    assert_int_equal(buffer_add_byte(problems, '\0'), 0);
    return r;
}

static void test_as_injected(void **state)
{
    struct options o;
    struct buffer problems;

    assert_int_equal(parse(WORDS("--firewall-bin-path", "iptables-nft", "--firewall-save-bin-path", "iptables-nft-save",
                                 "--ipv6=false", PORTS, "--proxy-uid", "2102", "--inbound-ports-to-ignore",
                                 "4190,4191,4567,4568", "--outbound-ports-to-ignore", "4567,4568", "--log-format",
                                 "json", "--log-level", "debug", "--subnets-to-ignore", "10.0.0.0/8,fd00::/8",
                                 "--timeout-close-wait-secs", "60"), &problems, &o), 0);
    assert_int_equal(o.redirect.inbound_port, 4143);
    assert_int_equal(o.redirect.outbound_port, 4140);
    assert_int_equal(o.redirect.proxy_uid, 2102);
    assert_int_equal(o.redirect.proxy_gid, 0);
    assert_int_equal(o.redirect.skip_inbound_count, 4);
    assert_int_equal(o.redirect.skip_inbound[3].first, 4568);
    assert_int_equal(o.redirect.skip_outbound_count, 2);
    assert_int_equal(o.redirect.skip_networks_count, 2);
    assert_int_equal(o.redirect.skip_networks[1].ip.version, 6);
    assert_int_equal(o.mode, FIREWALL_NFT);
    assert_true(o.mode_given);
    assert_false(o.ipv6);
    assert_true(o.log_json);
    assert_int_equal(o.log_level, JOURNAL_DEBUG);
    assert_int_equal(o.close_wait_s, 60);
    options_release(&o);
    buffer_release(&problems);
}

static void test_defaults_and_letters(void **state)
{
    struct options o;
    struct buffer problems;

    assert_int_equal(parse(WORDS("-p", "1", "-o2", "-wu=3", "-g", "-1", "-r", "80", "-r", "443,8080"), &problems, &o), 0);
    assert_int_equal(o.redirect.inbound_port, 1);
    assert_int_equal(o.redirect.outbound_port, 2);
    assert_int_equal(o.redirect.proxy_uid, 3);
    assert_int_equal(o.redirect.proxy_gid, 0);
    assert_int_equal(o.redirect.inbound_only_count, 3);
    assert_int_equal(o.redirect.inbound_only[2], 8080);
    assert_true(o.wait);
    assert_true(o.ipv6);
    assert_int_equal(o.mode, FIREWALL_LEGACY);
    assert_false(o.mode_given);
    assert_null(o.netns);
    options_release(&o);
    buffer_release(&problems);
}

/* A mode wins over the older flag; spaces and surplus commas do no harm. */
static void test_leniency(void **state)
{
    struct options o;
    struct buffer problems;

    assert_int_equal(parse(WORDS(PORTS, "--iptables-mode", "plain", "--firewall-bin-path", "iptables-nft",
                                 "--inbound-ports-to-ignore", " 22, 25-27,,", "--subnets-to-ignore", "1.1.1.1/24 ",
                                 "--netns", ""), &problems, &o), 0);
    assert_int_equal(o.mode, FIREWALL_PLAIN);
    assert_int_equal(o.redirect.skip_inbound_count, 2);
    assert_int_equal(o.redirect.skip_inbound[1].last, 27);
    assert_int_equal(o.redirect.skip_networks[0].ip.bytes[3], 0);
    assert_null(o.netns);
    options_release(&o);
    buffer_release(&problems);
}

static void test_remove_needs_no_ports(void **state)
{
    struct options o;
    struct buffer problems;

    assert_int_equal(parse(WORDS("--remove"), &problems, &o), 0);
    assert_true(o.remove);
    options_release(&o);
    buffer_release(&problems);
}

static void test_mistakes(void **state)
{
    static const struct {
        const char *words[8];
        const char *said;
    } cases[] = {
        {{"linkerd-init"}, "--incoming-proxy-port is needed"},
        {{"linkerd-init", "-p", "0", "-o", "1"}, "--incoming-proxy-port: \"0\" is not valid"},
        {{"linkerd-init", "-p", "1", "-o", "65536"}, "--outgoing-proxy-port: \"65536\" is not valid"},
        {{"linkerd-init", "-p", "1", "-o"}, "--outgoing-proxy-port: a value is missing"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--proxy-uid", "root"}, "--proxy-uid: \"root\""},
        {{"linkerd-init", "-p", "1", "-o", "1", "--proxy-uid", "4294967295"}, "--proxy-uid: \"4294967295\""},
        {{"linkerd-init", "-p", "1", "-o", "1", "--inbound-ports-to-ignore=1,x,3"}, "\"x\" is not a port"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--inbound-ports-to-ignore=9-3"}, "\"9-3\" is not a port"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--ports-to-redirect=1-3"}, "\"1-3\" is not a port"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--subnets-to-ignore=1.1.1.1/24,0.0.0.0"}, "\"0.0.0.0\" is not a network"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--subnets-to-ignore=1.1.1.1/33"}, "\"1.1.1.1/33\" is not a network"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--iptables-mode", "iptables"}, "expected legacy, nft or plain"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--firewall-bin-path", "rm"}, "--firewall-bin-path: \"rm\""},
        {{"linkerd-init", "-p", "1", "-o", "1", "--ipv6=maybe"}, "--ipv6: \"maybe\" is not valid"},
        {{"linkerd-init", "-p", "1", "-o", "1", "--log-level", "loud"}, "--log-level: \"loud\""},
        {{"linkerd-init", "-p", "1", "-o", "1", "--log-format", "xml"}, "--log-format: \"xml\""},
        {{"linkerd-init", "-p", "1", "-o", "1", "--nonsense"}, "--nonsense: there is no such flag"},
        {{"linkerd-init", "-p", "1", "-o", "1", "-z"}, "-z: there is no such flag"},
        {{"linkerd-init", "-p", "1", "-o", "1", "word"}, "\"word\": nothing but flags"},
        {{"linkerd-init", "--remove", "--simulate"}, "cannot be combined"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct options o;
        struct buffer problems;

        assert_int_equal(parse(cases[i].words, &problems, &o), -EINVAL);
        if (!strstr(problems.data, cases[i].said))
            fail_msg("case %zu: expected '%s' in '%s'", i, cases[i].said, problems.data);
        if (strstr(problems.data, "is not valid") && strstr(problems.data, "is needed"))
            fail_msg("case %zu: one mistake is told twice: '%s'", i, problems.data);
        options_release(&o);
        buffer_release(&problems);
    }
}

/* All at once. */
static void test_every_mistake_is_told(void **state)
{
    struct options o;
    struct buffer problems;

    assert_int_equal(parse(WORDS("-p", "x", "--ipv6=2", "--subnets-to-ignore", "y"), &problems, &o), -EINVAL);
    assert_non_null(strstr(problems.data, "--incoming-proxy-port"));
    assert_non_null(strstr(problems.data, "--outgoing-proxy-port"));
    assert_non_null(strstr(problems.data, "--ipv6"));
    assert_non_null(strstr(problems.data, "--subnets-to-ignore"));
    options_release(&o);
    buffer_release(&problems);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_injected),      cmocka_unit_test(test_defaults_and_letters),
        cmocka_unit_test(test_leniency),         cmocka_unit_test(test_remove_needs_no_ports),
        cmocka_unit_test(test_mistakes),         cmocka_unit_test(test_every_mistake_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
