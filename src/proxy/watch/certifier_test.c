#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/duration.h"
#include "proxy/watch/certifier.h"

static const int64_t MIN_NS = 10 * NS_PER_S, MAX_NS = 86400 * NS_PER_S; /* as without LINKERD2_PROXY_IDENTITY_*_REFRESH */

static void test_at_seventy_percent(void **state)
{
    assert_int_equal(certifier_refresh_in(86400 * NS_PER_S, MIN_NS, MAX_NS), 60480 * NS_PER_S);
    assert_int_equal(certifier_refresh_in(100 * NS_PER_S, MIN_NS, MAX_NS), 70 * NS_PER_S);
}

static void test_within_bounds(void **state)
{
    assert_int_equal(certifier_refresh_in(5 * NS_PER_S, MIN_NS, MAX_NS), MIN_NS);
    assert_int_equal(certifier_refresh_in(-1, MIN_NS, MAX_NS), MIN_NS); /* over already, by our clock */
    assert_int_equal(certifier_refresh_in(365 * 86400 * NS_PER_S, MIN_NS, MAX_NS), MAX_NS);
    assert_int_equal(certifier_refresh_in(INT64_MAX, MIN_NS, MAX_NS), MAX_NS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_at_seventy_percent), cmocka_unit_test(test_within_bounds)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
