#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <sys/socket.h>

#include "base/buffer.h"
#include "base/duration.h"
#include "base/errmsg.h"
#include "base/ip.h"
#include "base/rng.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define L(text) {"" text, sizeof(text) - 1}

static void ip_texts(void **state)
{
    static const struct {
        struct slice text;
        const char *printed; /* NULL: refused */
    } cases[] = {
        {L("192.0.2.1"), "192.0.2.1"},
        {L("0.0.0.0"), "0.0.0.0"},
        {L("255.255.255.255"), "255.255.255.255"},
        {L("::"), "::"},
        {L("::1"), "::1"},
        {L("2001:DB8:0:0:0:0:0:1"), "2001:db8::1"},
        {L("::ffff:192.0.2.1"), "192.0.2.1"}, /* one host, one spelling */
        {L("::ffff:c000:201"), "192.0.2.1"},
        {L("2001:db8:1111:2222:3333:4444:5555:6666"), "2001:db8:1111:2222:3333:4444:5555:6666"},
        {L(""), NULL},
        {L("1.2.3"), NULL},
        {L("1.2.3.4.5"), NULL},
        {L("1.2.3.256"), NULL},
        {L("01.2.3.4"), NULL},
        {L(" 1.2.3.4"), NULL},
        {L("1.2.3.4\0"), NULL},
        {L("1.2.3.4 "), NULL},
        {L("fe80::1%eth0"), NULL},
        {L("[::1]"), NULL},
        {L("::1::"), NULL},
        {L("2001:0db8:1111:2222:3333:4444:5555:6666:7777"), NULL},
        {L("2001:0db8:1111:2222:3333:4444:5555:6666:7777:8888:9999"), NULL},
    };
    char out[IP_TEXT_MAX];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ip ip = {0};
        int r = ip_parse(cases[i].text, &ip);

        assert_int_equal(r, cases[i].printed ? 0 : -EINVAL);
        if (r == 0)
            assert_string_equal(ip_format(ip, out), cases[i].printed);
    }
    assert_string_equal(ip_format((struct ip){0}, out), "");
}

static void ip_facts(void **state)
{
    static const struct {
        struct slice text;
        bool loopback, unspecified;
    } cases[] = {
        {L("127.0.0.1"), true, false},  {L("127.255.0.9"), true, false}, {L("128.0.0.1"), false, false},
        {L("0.0.0.0"), false, true},    {L("::"), false, true},          {L("::1"), true, false},
        {L("::ffff:127.0.0.1"), true, false}, {L("7f00::"), false, false},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct ip ip;

        assert_int_equal(ip_parse(cases[i].text, &ip), 0);
        assert_int_equal(ip_is_loopback(ip), cases[i].loopback);
        assert_int_equal(ip_is_unspecified(ip), cases[i].unspecified);
    }
    assert_true(ip_eq(ip_v4(0x7f000001), (struct ip){4, {127, 0, 0, 1}}));
    assert_false(ip_eq((struct ip){4, {0}}, (struct ip){6, {0}}));
}

static void addrs(void **state)
{
    static const struct {
        struct slice text;
        const char *printed;
    } cases[] = {
        {L("192.0.2.1:80"), "192.0.2.1:80"},
        {L("[2001:db8::1]:65535"), "[2001:db8::1]:65535"},
        {L("[::ffff:10.0.0.1]:0"), "10.0.0.1:0"},
        {L(""), NULL},
        {L(":80"), NULL},
        {L("[]:80"), NULL},
        {L("["), NULL},
        {L("[::1]"), NULL},
        {L("[::1]80"), NULL},
        {L("[::1]:"), NULL},
        {L("::1:80"), NULL},
        {L("[1.2.3.4]:80"), NULL},
        {L("1.2.3.4:65536"), NULL},
        {L("1.2.3.4:-1"), NULL},
        {L("1.2.3.4:80 "), NULL},
        {L("1.2.3.4"), NULL},
        {L("name:80"), NULL},
    };
    char out[ADDR_TEXT_MAX];

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct addr addr = {0}, back;
        struct sockaddr_storage sa;
        int r = addr_parse(cases[i].text, &addr);

        assert_int_equal(r, cases[i].printed ? 0 : -EINVAL);
        if (r < 0)
            continue;
        assert_string_equal(addr_format(addr, out), cases[i].printed);
        assert_true(addr_to_sockaddr(addr, &sa) <= sizeof(sa));
        assert_int_equal(addr_from_sockaddr((struct sockaddr *)&sa, &back), 0);
        assert_true(addr_eq(addr, back));
    }
    assert_int_equal(addr_from_sockaddr(&(struct sockaddr){.sa_family = AF_UNIX}, &(struct addr){0}), -EAFNOSUPPORT);
}

static void cidrs(void **state)
{
    static const struct {
        struct slice net;
        int r;
        struct slice inside, outside;
    } cases[] = {
        {L("10.0.0.0/8"), 0, L("10.255.0.1"), L("11.0.0.0")},
        {L("10.1.2.3/8"), 0, L("10.9.9.9"), L("9.255.255.255")},
        {L("192.0.2.1"), 0, L("192.0.2.1"), L("192.0.2.0")},
        {L("192.0.2.128/25"), 0, L("192.0.2.255"), L("192.0.2.127")},
        {L("0.0.0.0/0"), 0, L("255.0.0.1"), L("::1")},
        {L("::/0"), 0, L("2001:db8::1"), L("1.2.3.4")},
        {L("2001:db8::/33"), 0, L("2001:db8:7fff::"), L("2001:db8:8000::")},
        {L("::1/128"), 0, L("::1"), L("::2")},
        {L("10.0.0.0/33"), -EINVAL, L(""), L("")},
        {L("::/129"), -EINVAL, L(""), L("")},
        {L("10.0.0.0/"), -EINVAL, L(""), L("")},
        {L("10.0.0.0/-1"), -EINVAL, L(""), L("")},
        {L("10.0.0/8"), -EINVAL, L(""), L("")},
        {L("/8"), -EINVAL, L(""), L("")},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct cidr net;
        struct ip ip;

        assert_int_equal(cidr_parse(cases[i].net, &net), cases[i].r);
        if (cases[i].r < 0)
            continue;
        assert_int_equal(ip_parse(cases[i].inside, &ip), 0);
        assert_true(cidr_contains(net, ip));
        assert_int_equal(ip_parse(cases[i].outside, &ip), 0);
        assert_false(cidr_contains(net, ip));
    }
}

struct duration_case {
    struct slice text;
    int r;
    int64_t ns;
};

static void durations_of(int (*parse)(struct slice, int64_t *), const struct duration_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        int64_t ns = -4711;

        assert_int_equal(parse(cases[i].text, &ns), cases[i].r);
        assert_int_equal(ns, cases[i].r < 0 ? -4711 : cases[i].ns);
    }
}

static void durations_env(void **state)
{
    static const struct duration_case cases[] = {
        {L("0"), 0, 0},
        {L("0s"), 0, 0},
        {L("250ms"), 0, 250 * NS_PER_MS},
        {L("10s"), 0, 10 * NS_PER_S},
        {L("2m"), 0, 120 * NS_PER_S},
        {L("1h"), 0, 3600 * NS_PER_S},
        {L("365d"), 0, 365 * 86400 * NS_PER_S},
        {L("106751d"), 0, INT64_C(106751) * 86400 * NS_PER_S},
        {L("106752d"), -ERANGE, 0},
        {L("99999999999999999999s"), -ERANGE, 0},
        {L(""), -EINVAL, 0},
        {L("1"), -EINVAL, 0},
        {L("s"), -EINVAL, 0},
        {L("1.5s"), -EINVAL, 0},
        {L("-1s"), -EINVAL, 0},
        {L("1 s"), -EINVAL, 0},
        {L("1s "), -EINVAL, 0},
        {L("1S"), -EINVAL, 0},
        {L("1us"), -EINVAL, 0},
        {L("1m1s"), -EINVAL, 0},
    };

    durations_of(duration_parse, cases, COUNT(cases));
}

static void durations_go(void **state)
{
    static const struct duration_case cases[] = {
        {L("0"), 0, 0},
        {L("1h15m30.918273645s"), 0, 4530 * NS_PER_S + 918273645},
        {L("-2s"), 0, -2 * NS_PER_S},
        {L("+2s"), 0, 2 * NS_PER_S},
        {L("1.5h"), 0, 5400 * NS_PER_S},
        {L(".5s"), 0, NS_PER_S / 2},
        {L("1.s"), 0, NS_PER_S},
        {L("3us"), 0, 3 * NS_PER_US},
        {L("3\xc2\xb5s"), 0, 3 * NS_PER_US},
        {L("3\xce\xbcs"), 0, 3 * NS_PER_US},
        {L("7ns"), 0, 7},
        {L("0.1234567891s"), 0, 123456789},
        {L("9223372036854775807ns"), 0, INT64_MAX},
        {L("9223372036854775808ns"), -ERANGE, 0},
        {L("9223372036.854775807s"), 0, INT64_MAX},
        {L("9223372036.854775808s"), -ERANGE, 0},
        {L("9223372036.999999999s"), -ERANGE, 0},
        {L("2562047h60m"), -ERANGE, 0},
        {L(""), -EINVAL, 0},
        {L("-"), -EINVAL, 0},
        {L("1"), -EINVAL, 0},
        {L("."), -EINVAL, 0},
        {L(".s"), -EINVAL, 0},
        {L("1d"), -EINVAL, 0},
        {L("1s-2s"), -EINVAL, 0},
        {L("--1s"), -EINVAL, 0},
        {L("1.2.3s"), -EINVAL, 0},
        {L("1s "), -EINVAL, 0},
    };

    durations_of(duration_parse_go, cases, COUNT(cases));
}

static void duration_texts(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {0, "0s"},
        {1, "1ns"},
        {250 * NS_PER_MS, "250ms"},
        {1500 * NS_PER_MS, "1s500ms"},
        {3723 * NS_PER_S, "1h2m"},
        {3603 * NS_PER_S, "1h"},
        {-2 * NS_PER_S, "-2s"},
        {90000 * NS_PER_S, "1d1h"},
        {INT64_MAX, "106751d23h"},
        {INT64_MIN, "-106751d23h"},
    };
    char out[DURATION_TEXT_MAX];

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_string_equal(duration_format(cases[i].ns, out), cases[i].text);
}

static void rng_ranges(void **state)
{
    struct rng rng, same;
    unsigned seen[7] = {0};

    rng_seed(&rng, 0);
    rng_seed(&same, 0);
    for (int i = 0; i < 70000; i++) {
        uint64_t pick = rng_below(&rng, 7);

        assert_true(pick < 7);
        assert_int_equal(pick, rng_below(&same, 7)); /* a seed repeats its run */
        seen[pick]++;
    }
    for (int i = 0; i < 7; i++)
        assert_in_range(seen[i], 9500, 10500);
    assert_int_equal(rng_below(&rng, 1), 0);
    for (int i = 0; i < 10000; i++) {
        double unit = rng_unit(&rng);

        assert_true(unit >= 0.0 && unit < 1.0);
    }
}

static void rng_reference(void **state)
{
    /* xoshiro256** from the state {1, 2, 3, 4}: the values of its authors' program. */
    static const uint64_t expected[] = {11520, 0, 1509978240, 1215971899390074240};
    struct rng rng = {{1, 2, 3, 4}};

    for (size_t i = 0; i < COUNT(expected); i++)
        assert_int_equal(rng_next(&rng), expected[i]);
}

static void error_messages(void **state)
{
    struct errmsg msg = {""};
    char longer[600];

    assert_int_equal(errmsg_set(NULL, -EINVAL, "nobody reads %d", 1), -EINVAL);
    assert_int_equal(errmsg_prefix(NULL, -EINVAL, "nobody reads"), -EINVAL);
    assert_int_equal(errmsg_set(&msg, -EINVAL, "port %d: out of range", 70000), -EINVAL);
    assert_int_equal(errmsg_prefix(&msg, -ENOENT, "%s:%d", "a.yaml", 3), -ENOENT);
    assert_string_equal(msg.text, "a.yaml:3: port 70000: out of range");
    memset(longer, 'x', sizeof(longer) - 1);
    longer[sizeof(longer) - 1] = '\0';
    errmsg_set(&msg, -1, "%s", longer);
    assert_int_equal(strlen(msg.text), sizeof(msg.text) - 1);
    errmsg_prefix(&msg, -1, "p");
    assert_int_equal(strlen(msg.text), sizeof(msg.text) - 1);
    assert_memory_equal(msg.text, "p: xxx", 6);
    errmsg_prefix(&msg, -1, "%s", longer);
    assert_int_equal(strlen(msg.text), sizeof(msg.text) - 1);
}

static void json_strings(void **state)
{
    static const struct {
        struct slice text, json;
    } cases[] = {
        {L(""), L("\"\"")},
        {L("plain"), L("\"plain\"")},
        {L("a\"b\\c/"), L("\"a\\\"b\\\\c/\"")},
        {L("\n\r\t\0\x1f\x7f"), L("\"\\n\\u000d\\u0009\\u0000\\u001f\\u007f\"")},
        {L("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), L("\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"")},
        {L("a\xff" "b"), L("\"a\\ufffdb\"")},
        {L("\xc3"), L("\"\\ufffd\"")},
        {L("\xed\xa0\x80"), L("\"\\ufffd\\ufffd\\ufffd\"")},
    };
    struct buffer buffer;

    buffer_init(&buffer, 1000);
    for (size_t i = 0; i < COUNT(cases); i++) {
        buffer_clear(&buffer);
        assert_int_equal(buffer_add_json(&buffer, cases[i].text), 0);
        assert_int_equal(buffer.len, cases[i].json.len);
        assert_memory_equal(buffer.data, cases[i].json.ptr, buffer.len);
    }
    buffer_release(&buffer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ip_texts),      cmocka_unit_test(ip_facts),       cmocka_unit_test(addrs),
        cmocka_unit_test(cidrs),         cmocka_unit_test(durations_env),  cmocka_unit_test(durations_go),
        cmocka_unit_test(duration_texts), cmocka_unit_test(rng_ranges),    cmocka_unit_test(rng_reference),
        cmocka_unit_test(error_messages), cmocka_unit_test(json_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
