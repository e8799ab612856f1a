#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cni/conflist.h"

#define ENTRY "{\"type\":\"linkerd-cni\",\"x\":[1]}"
#define OTHER "{\"type\":\"linkerd-cni\",\"x\":[2]}"

static char out[4096];

/* The result as a string, or the reason. */
static const char *insert(const char *text)
{
    struct errmsg msg = {""};
    struct buffer to;

    buffer_init(&to, 2 * LIMIT_CNI_CONFIG);
    if (conflist_insert(slice_str(text), SLICE_LIT(ENTRY), &to, &msg) == 0)
        snprintf(out, sizeof(out), "%.*s", SLICE_ARGS(buffer_slice(&to)));
    else
        snprintf(out, sizeof(out), "%s", msg.text);
    buffer_release(&to);
    return out;
}

static const char *without(const char *text)
{
    static char removed[4096];
    struct errmsg msg = {""};
    struct buffer to;
    int r;

    buffer_init(&to, 2 * LIMIT_CNI_CONFIG);
    r = conflist_remove(slice_str(text), &to, &msg);
    snprintf(removed, sizeof(removed), "%.*s", r == 0 ? (int)to.len : (int)strlen(msg.text), r == 0 ? to.data : msg.text);
    buffer_release(&to);
    return removed;
}

static const char *wrap(const char *text)
{
    struct errmsg msg = {""};
    struct buffer to;

    buffer_init(&to, 2 * LIMIT_CNI_CONFIG);
    snprintf(out, sizeof(out), "%s", conflist_wrap(slice_str(text), &to, &msg) == 0 ? "" : msg.text);
    if (to.len)
        snprintf(out, sizeof(out), "%.*s", SLICE_ARGS(buffer_slice(&to)));
    buffer_release(&to);
    return out;
}

static void test_inserted_and_removed_byte_for_byte(void **state)
{
    static const struct {
        const char *text, *with;
    } cases[] = {
        {"{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}]}", "{\"cniVersion\":\"1.0.0\",\"plugins\":[{\"type\":\"a\"}," ENTRY "]}"},
        {"\n{ \"plugins\" : [ {\"type\":\"a\"} ,\n\t{\"type\":\"b\",\"x\":\"]}\\\"\"}\n ] ,\r\n\"cniVersion\":\"0.3.1\" }\n\n",
         "\n{ \"plugins\" : [ {\"type\":\"a\"} ,\n\t{\"type\":\"b\",\"x\":\"]}\\\"\"}," ENTRY "\n ] ,\r\n\"cniVersion\":\"0.3.1\" }\n\n"},
        {"{\"a\":{\"plugins\":[{\"type\":\"no\"}]},\"cniVersions\":[\"1.0.0\",\"1.1.0\"],\"b\":-1.5e3,\"c\":null,\"\\u0070lugins\":[{\"type\":\"a\"}]}",
         "{\"a\":{\"plugins\":[{\"type\":\"no\"}]},\"cniVersions\":[\"1.0.0\",\"1.1.0\"],\"b\":-1.5e3,\"c\":null,\"\\u0070lugins\":[{\"type\":\"a\"}," ENTRY "]}"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(insert(cases[i].text), cases[i].with);
        assert_string_equal(without(cases[i].with), cases[i].text);
        assert_string_equal(without(cases[i].text), cases[i].text);
        assert_string_equal(insert(cases[i].with), cases[i].with);
    }
}

#define LIST(plugins) "{\"cniVersion\":\"1.0.0\",\"plugins\":[" plugins "]}"

static void test_what_others_made_of_it(void **state)
{
    static const struct {
        const char *text, *with, *without;
    } cases[] = {
        /* moved by others: it stays where it is */
        {LIST("{\"type\":\"a\"}, " ENTRY " ,{\"type\":\"b\"}"), LIST("{\"type\":\"a\"}, " ENTRY " ,{\"type\":\"b\"}"), LIST("{\"type\":\"a\"} ,{\"type\":\"b\"}")},
        {LIST(" " ENTRY ", {\"type\":\"b\"}"), LIST(" " ENTRY ", {\"type\":\"b\"}"), LIST(" {\"type\":\"b\"}")},
        /* an old one, two of them, ours twice, reformatted: one at the end */
        {LIST("{\"type\":\"a\"}," OTHER), LIST("{\"type\":\"a\"}," ENTRY), LIST("{\"type\":\"a\"}")},
        {LIST(OTHER "," OTHER ",{\"type\":\"a\"}"), LIST("{\"type\":\"a\"}," ENTRY), LIST("{\"type\":\"a\"}")},
        {LIST("{\"type\":\"a\"}," ENTRY "," ENTRY), LIST("{\"type\":\"a\"}," ENTRY), LIST("{\"type\":\"a\"}")},
        {LIST("{\"type\":\"a\"},\n { \"type\" : \"linkerd-cni\" }\n"), LIST("{\"type\":\"a\"}," ENTRY "\n"), LIST("{\"type\":\"a\"}\n")},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_string_equal(insert(cases[i].text), cases[i].with);
        assert_string_equal(without(cases[i].text), cases[i].without);
    }
    assert_string_equal(without(LIST(ENTRY)), LIST(""));
}

static void test_refused(void **state)
{
    static const struct {
        const char *text, *why;
    } cases[] = {
        {"", "it is not JSON"},
        {"{\"plugins\":[", "it is not JSON: line 1"},
        {"[]", "it is not a JSON object"},
        {"{\"cniVersion\":\"1.0.0\"} x", "it is not JSON"},
        {"{\"cniVersion\":\"1.0.0\"}", "it has no list \"plugins\""},
        {"{\"cniVersion\":\"1.0.0\",\"plugins\":{}}", "it has no list \"plugins\""},
        {LIST(""), "no plugin that makes a network"},
        {LIST(OTHER), "no plugin that makes a network"},
        {LIST("{\"type\":\"a\"},{}"), "entry 2 of \"plugins\" has no \"type\""},
        {LIST("1"), "entry 1 of \"plugins\" has no \"type\""},
        {"{\"plugins\":[{\"type\":\"a\"}],\"plugins\":[{\"type\":\"b\"}]}", "duplicate object key"},
        {"{\"plugins\":[{\"type\":\"a\",\"type\":\"b\"}]}", "duplicate object key"},
        {"{\"plugins\":[{\"type\":\"a\"}]}", "its cniVersion is \"\""},
        {"{\"cniVersion\":\"0.2.0\",\"plugins\":[{\"type\":\"a\"}]}", "its cniVersion is \"0.2.0\""},
        {"{\"cniVersions\":[\"1.0.0\",\"7\"],\"plugins\":[{\"type\":\"a\"}]}", "its cniVersion is"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        if (!strstr(insert(cases[i].text), cases[i].why))
            fail_msg("%s: %s", cases[i].text, out);
}

static void test_a_single_configuration(void **state)
{
    static const char conf[] = "{ \"cniVersion\": \"0.4.0\", \"name\": \"n\\\"1\", \"type\": \"bridge\" }\n";
    static char list[4096];

    snprintf(list, sizeof(list), "%s", wrap(conf));
    assert_string_equal(list, "{\"cniVersion\":\"0.4.0\",\"name\":\"n\\\"1\",\"plugins\":[{ \"cniVersion\": \"0.4.0\", \"name\": \"n\\\"1\", "
                              "\"type\": \"bridge\" }\n]}\n");
    assert_string_equal(without(insert(list)), list);
    assert_non_null(strstr(wrap("{\"type\":\"a\"}"), "\"name\":\"k8s-pod-network\""));
    assert_non_null(strstr(wrap("{\"type\":\"linkerd-cni\"}"), "it has no \"type\""));
    assert_non_null(strstr(wrap("{}"), "it has no \"type\""));
    assert_non_null(strstr(wrap("{"), "it is not JSON"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_inserted_and_removed_byte_for_byte),
        cmocka_unit_test(test_what_others_made_of_it),
        cmocka_unit_test(test_refused),
        cmocka_unit_test(test_a_single_configuration),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
