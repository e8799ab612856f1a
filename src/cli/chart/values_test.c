#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "cli/chart/values.h"

/* The tree on one line, keys in order. */
static void check_tree(json_t *tree, const char *want)
{
    char *text = json_dumps(tree, JSON_COMPACT | JSON_SORT_KEYS);

    assert_non_null(text);
    assert_string_equal(text, want);
    free(text);
}

static json_t *tree_of(const char *text)
{
    struct errmsg msg = {""};
    json_t *tree = NULL;

    assert_int_equal(values_read(slice_str(text), "f", NUMBERS_AS_WRITTEN, &msg, &tree), 0);
    return tree;
}

static void test_set(void **state)
{
    static const struct {
        const char *values, *argument;
        enum values_set how;
        const char *want; /* "!..." a sentence */
    } examples[] = {
        {"", "a=1,b=x,c=true,d=null,e=,f=1.5,g=007,h=0,i=-3,j=FALSE", SET_TYPED,
         "{\"a\":1,\"b\":\"x\",\"c\":true,\"d\":null,\"e\":\"\",\"f\":\"1.5\",\"g\":\"007\",\"h\":0,\"i\":-3,\"j\":false}"},
        {"", "a=1,b=true,c=null", SET_STRING, "{\"a\":\"1\",\"b\":\"true\",\"c\":\"null\"}"},
        {"a: {b: 1}", "a.c=2,a.b=3", SET_TYPED, "{\"a\":{\"b\":3,\"c\":2}}"},
        {"", "a\\.b/c=d\\,e", SET_TYPED, "{\"a.b/c\":\"d,e\"}"},
        {"", "a={1,x,true},b={}", SET_TYPED, "{\"a\":[1,\"x\",true],\"b\":[\"\"]}"},
        {"", "a[1].b=2,a[1].c=3", SET_TYPED, "{\"a\":[null,{\"b\":2,\"c\":3}]}"},
        {"a: [1, 2]", "a[0]=x", SET_TYPED, "{\"a\":[\"x\",2]}"},
        {"", "a[0][1]=2", SET_TYPED, "{\"a\":[[null,2]]}"},
        {"a: null", "a.b=1", SET_TYPED, "{\"a\":{\"b\":1}}"},
        {"", "", SET_TYPED, "{}"},
        {"", "a", SET_TYPED, "!\"a\": a has no value: expected NAME=VALUE"},
        {"", "a,b=1", SET_TYPED, "!\"a,b=1\": a has no value: expected NAME=VALUE"},
        {"", "=1", SET_TYPED, "!\"=1\": a name is empty"},
        {"", "a[-1]=1", SET_TYPED, "!\"a[-1]=1\": \"[-1\" is no index: expected a number up to 65536 and ]"},
        {"", "a[0]b=1", SET_TYPED, "!\"a[0]b=1\": unexpected \"b=1\" behind an index: expected =, . or ["},
        {"", "a={1", SET_TYPED, "!\"a={1\": a list has no end: expected }"},
        {"", "a={1}x", SET_TYPED, "!\"a={1}x\": unexpected \"x\" behind a list"},
        {"", "a=\xff", SET_TYPED, "!\"a=\xff\": is not UTF-8 text"},
        {"a: 1", "a.b=1", SET_TYPED, "!\"a.b=1\": a is set already, and is no map"},
        {"a: {}", "a[0]=1", SET_TYPED, "!\"a[0]=1\": a is set already, and is no list"},
        {"", "a=/nowhere/at/all", SET_FILE, "!/nowhere/at/all: No such file or directory"},
    };

    for (size_t i = 0; i < sizeof(examples) / sizeof(examples[0]); i++) {
        json_t *tree = tree_of(examples[i].values);
        struct errmsg msg = {""};
        int r = values_set(tree, examples[i].argument, examples[i].how, &msg);

        if (*examples[i].want == '!')
            assert_string_equal(msg.text, examples[i].want + 1);
        else
            check_tree(tree, examples[i].want);
        assert_int_equal(r == 0, *examples[i].want != '!');
        json_decref(tree);
    }
}

static void test_merge_and_complete(void **state)
{
    json_t *values = tree_of("a: {b: 1, c: null}\nd: x\ne: null\nq: null\nt: {x: 1}"), *over = tree_of("a: {b: 2, z: 3}\nd: {k: 1}");
    json_t *defaults = tree_of("a: {b: 9, c: 9, f: 9}\nd: y\ne: 9\ng: [1]\nq: null\nt: text");

    assert_int_equal(values_merge(values, over), 0);
    check_tree(values, "{\"a\":{\"b\":2,\"c\":null,\"z\":3},\"d\":{\"k\":1},\"e\":null,\"q\":null,\"t\":{\"x\":1}}");
    assert_int_equal(values_complete(values, defaults), 0);
    check_tree(values, "{\"a\":{\"b\":2,\"f\":9,\"z\":3},\"d\":{\"k\":1},\"g\":[1],\"q\":null,\"t\":{\"x\":1}}");
    json_decref(values);
    json_decref(over);
    json_decref(defaults);
}

static void test_paths(void **state)
{
    json_t *values = json_object();

    assert_int_equal(values_put(values, "a.b.c", json_integer(1)), 0);
    assert_int_equal(values_put(values, "a.d", json_true()), 0);
    check_tree(values, "{\"a\":{\"b\":{\"c\":1},\"d\":true}}");
    assert_int_equal(json_integer_value(values_at(values, "a.b.c")), 1);
    assert_null(values_at(values, "a.x.c"));
    assert_null(values_at(values, "a.d.e"));
    json_decref(values);
}

static void test_files(void **state)
{
    struct errmsg msg = {""};
    json_t *tree = NULL;

    assert_int_equal(values_read(SLICE_LIT("a: 1\nb: 0x10\nc: 1.5\nd: yes\n"), "f", NUMBERS_AS_REALS, &msg, &tree), 0);
    check_tree(tree, "{\"a\":1.0,\"b\":16.0,\"c\":1.5,\"d\":true}");
    json_decref(tree);
    tree = NULL;
    assert_true(values_read(SLICE_LIT("- a"), "f", NUMBERS_AS_REALS, &msg, &tree) < 0);
    assert_string_equal(msg.text, "f: is a list: expected a map of values");
    assert_true(values_read(SLICE_LIT("a: [1"), "f", NUMBERS_AS_REALS, &msg, &tree) < 0);
    assert_true(strncmp(msg.text, "f:1:", 4) == 0);
    assert_null(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_set), cmocka_unit_test(test_merge_and_complete), cmocka_unit_test(test_paths),
                                       cmocka_unit_test(test_files)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
