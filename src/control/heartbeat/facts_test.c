#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

#include "control/heartbeat/facts.h"

static struct facts facts;

static int setup(void **state)
{
    facts = (struct facts){0};
    return 0;
}

static void assert_query(const char *expected)
{
    struct buffer out;

    buffer_init(&out, 1 << 16);
    facts_query(&facts, &out);
    buffer_add_byte(&out, '\0');
    assert_string_equal(out.data, expected);
    buffer_release(&out);
}

static void test_query(void **state)
{
    assert_query("");
    facts_add(&facts, "b", SLICE_LIT("x y&=/\xc3\xa4~"));
    facts_add(&facts, "a", SLICE_LIT("1"));
    facts_add(&facts, "b", SLICE_LIT("another"));
    facts_add(&facts, "empty", SLICE_LIT(""));
    assert_query("a=1&b=x%20y%26%3D%2F%C3%A4~");
}

static void test_full(void **state)
{
    char name[16], large[FACT_VALUE_MAX];

    memset(large, 'x', sizeof(large));
    facts_add(&facts, "large", slice_of(large, sizeof(large)));
    assert_int_equal(facts.count, 0);
    for (int i = 0; i < FACTS_MAX + 10; i++) {
        snprintf(name, sizeof(name), "n%d", i);
        facts_add(&facts, name, SLICE_LIT("1"));
    }
    assert_int_equal(facts.count, FACTS_MAX);
}

static void test_answers(void **state)
{
    assert_true(facts_read_config(&facts, SLICE_LIT("{\"metadata\":{\"uid\":\"u-1\",\"creationTimestamp\":\"2023-11-14T22:13:20Z\"}}")));
    assert_true(facts_read_version(&facts, SLICE_LIT("{\"major\":\"1\",\"gitVersion\":\"v1.34.1\"}")));
    assert_true(facts_read_extensions(&facts, SLICE_LIT("{\"items\":[{\"metadata\":{\"labels\":{\"linkerd.io/extension\":\"viz\"}}},{\"metadata\":{}}]}")));
    assert_true(facts_read_profiles(&facts, SLICE_LIT("{\"metadata\":{\"remainingItemCount\":41},\"items\":[{}]}")));
    assert_query("ext-viz=1&install-time=1700000000&k8s-version=v1.34.1&service-profile-count=42&uuid=u-1");
}

static void test_bad_answers(void **state)
{
    static const char *const bad[] = {"", "<html>", "[]", "{}", "null", "{\"metadata\":[],\"items\":{},\"gitVersion\":1,\"data\":3}"};

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_false(facts_read_config(&facts, slice_str(bad[i])));
        assert_false(facts_read_version(&facts, slice_str(bad[i])));
        assert_false(facts_read_extensions(&facts, slice_str(bad[i])));
        assert_false(facts_read_profiles(&facts, slice_str(bad[i])));
        assert_false(facts_read_number(&facts, "n", 0, slice_str(bad[i])));
    }
    assert_query("");
}

static void test_numbers(void **state)
{
#define VECTOR(items) "{\"status\":\"success\",\"data\":{\"resultType\":\"vector\",\"result\":[" items "]}}"
    static const struct {
        const char *answer;
        int digits;
        const char *query;
    } cases[] = {
        {VECTOR("{\"metric\":{},\"value\":[1700000000.1,\"12.6\"]}"), 0, "n=13"},
        {VECTOR("{\"value\":[1,\"0.12345\"]}"), 3, "n=0.123"},
        {VECTOR("{\"value\":[1,\"NaN\"]}"), 0, ""},
        {VECTOR("{\"value\":[1,\"+Inf\"]}"), 0, ""},
        {VECTOR("{\"value\":[1,\"1x\"]}"), 0, ""},
        {VECTOR("{\"value\":[1]}"), 0, ""},
        {VECTOR(""), 0, ""},
        {VECTOR("{\"value\":[1,\"1\"]},{\"value\":[1,\"2\"]}"), 0, ""},
        {"{\"data\":{\"resultType\":\"matrix\",\"result\":[{\"value\":[1,\"1\"]}]}}", 0, ""},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        facts = (struct facts){0};
        assert_int_equal(facts_read_number(&facts, "n", cases[i].digits, slice_str(cases[i].answer)), cases[i].query[0] != '\0');
        assert_query(cases[i].query);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_query, setup), cmocka_unit_test_setup(test_full, setup), cmocka_unit_test_setup(test_answers, setup),
        cmocka_unit_test_setup(test_bad_answers, setup), cmocka_unit_test_setup(test_numbers, setup),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
