#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "codec/authority.h"

#define L(text)                                                                                                        \
    {                                                                                                                  \
        "" text, sizeof(text) - 1                                                                                      \
    }

static void authorities(void **state)
{
    static const struct {
        struct slice text;
        const char *host; /* NULL: refused */
        int port;         /* -1: none */
        bool is_ip6;
    } cases[] = {
        {L("example.com"), "example.com", -1, false},
        {L("Example.COM:80"), "Example.COM", 80, false},
        {L("a_b-c.d"), "a_b-c.d", -1, false},
        {L("name."), "name.", -1, false},
        {L("name:"), "name", -1, false},
        {L("name:0"), "name", 0, false},
        {L("name:00080"), "name", 80, false},
        {L("10.0.0.1:65535"), "10.0.0.1", 65535, false},
        {L("[::1]"), "::1", -1, true},
        {L("[2001:db8::1]:443"), "2001:db8::1", 443, true},
        {L(""), NULL, 0, false},
        {L(":80"), NULL, 0, false},
        {L("a:65536"), NULL, 0, false},
        {L("a:000080"), NULL, 0, false},
        {L("a: 80"), NULL, 0, false},
        {L("a:8 0"), NULL, 0, false},
        {L("a:b"), NULL, 0, false},
        {L("a:80:80"), NULL, 0, false},
        {L("u@a"), NULL, 0, false},
        {L("a,b"), NULL, 0, false},
        {L("a b"), NULL, 0, false},
        {L("a%20b"), NULL, 0, false},
        {L("a/"), NULL, 0, false},
        {L("a\0"), NULL, 0, false},
        {L("a\xc3\xa4"), NULL, 0, false},
        {L("::1"), NULL, 0, false},
        {L("[]"), NULL, 0, false},
        {L("[::1"), NULL, 0, false},
        {L("[::1]80"), NULL, 0, false},
        {L("[::1]x:80"), NULL, 0, false},
        {L("[1.2.3.4]"), NULL, 0, false},
        {L("[::1%25eth0]"), NULL, 0, false},
        {L("[v1.x]"), NULL, 0, false},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct authority authority = {.port = 4711};
        int r = authority_parse(cases[i].text, &authority);

        if (r != (cases[i].host ? 0 : -EINVAL))
            fail_msg("%d for \"%.*s\"", r, SLICE_ARGS(cases[i].text));
        if (r < 0) {
            assert_int_equal(authority.port, 4711);
            continue;
        }
        assert_true(slice_eq(authority.host, slice_str(cases[i].host)));
        assert_int_equal(authority.has_port, cases[i].port >= 0);
        assert_int_equal(authority.port, cases[i].port >= 0 ? cases[i].port : 0);
        assert_int_equal(authority.is_ip6, cases[i].is_ip6);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(authorities)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
