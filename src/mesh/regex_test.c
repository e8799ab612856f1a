#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/limits.h"
#include "mesh/regex.h"

struct match_case {
    const char *pattern, *value;
    int expected;
};

static void check(enum regex_mode mode, const struct match_case *cases, size_t count)
{
    struct regex_scratch *scratch = regex_scratch_new();

    for (size_t i = 0; i < count; i++) {
        struct regex *regex;
        struct errmsg msg = {""};
        int r = regex_new(slice_str(cases[i].pattern), mode, &msg, &regex);

        if (r < 0)
            fail_msg("%s: %s", cases[i].pattern, msg.text);
        r = regex_match(regex, slice_str(cases[i].value), scratch);
        if (r != cases[i].expected)
            fail_msg("%s against %s: %d", cases[i].pattern, cases[i].value, r);
        regex_free(regex);
    }
    regex_scratch_free(scratch);
}

/* The leftmost match must span the whole value; nothing is anchored. */
static void policy_mode(void **state)
{
    static const struct match_case cases[] = {
        {"a|ab", "ab", 0}, /* finds "a" and is content */
        {"ab|a", "ab", 1},
        {"a|ab", "a", 1},
        {"(a|ab)$", "ab", 1},
        {"^(a|ab)$", "ab", 1},
        {"a*?", "aaa", 0}, /* lazy: finds nothing, at the start */
        {"a*?$", "aaa", 1},
        {"a*", "aaa", 1},
        {"a*", "", 1},
        {"", "", 1},
        {"", "a", 0},
        {"b", "ab", 0},
        {"ab", "ab", 1},
        {"ab", "abc", 0},
        {"ab", "xab", 0},
        {"/users/\\d+", "/users/42", 1},
        {"/users/\\d+", "/users/42/", 0},
        {"/users/\\d+", "/v1/users/42", 0},
        {"(?i)/Users", "/uSERS", 1},
        {"/users", "/Users", 0},
        {".*", "/a\nb", 0}, /* a dot is no line feed */
        {"(?s).*", "/a\nb", 1},
        {"a$", "a\n", 0}, /* the very end */
        {"a\\z", "a", 1},
        {"qu+x", "quuuux", 1},
        {"qu+x", "quxa", 0},
        {"[^/]+", "abc", 1},
        {"[^/]+", "a/c", 0},
        {"[]a]+", "]a]", 1},
        {"[[:alpha:]]+", "abc", 1},
        {"\\p{L}+", "gr\xc3\xbc\xc3\x9f", 1},
        {"gr.n", "gr\xc3\xbcn", 1},
        {"gr..n", "gr\xc3\xbcn", 0}, /* one character */
        {".*", "a\xff", 0},         /* no UTF-8 */
        {"a{2,3}", "aaa", 1},
        {"a{2}", "aaa", 0},
        {"a{2,}?$", "aaaa", 1},
        {"(?P<x>a)(?<y>b)", "ab", 1},
        {"(?:a|b)+", "abab", 1},
        {"a\\.b", "a.b", 1},
        {"a\\.b", "axb", 0},
        {"\\x41\\x{42}", "AB", 1},
        {"\\/a", "/a", 1},
        {"x\\bx", "xx", 0},
        {"a|b|", "", 1},
    };

    check(REGEX_POLICY, cases, sizeof(cases) / sizeof(cases[0]));
}

/* `^` and `$` by concatenation, then a search. */
static void profile_mode(void **state)
{
    static const struct match_case cases[] = {
        {"a|ab", "ab", 1}, /* ^a|ab$ */
        {"a|b", "a", 1},
        {"a|b", "axxx", 1},
        {"a|b", "xxxb", 1},
        {"a|b", "xaxbx", 0},
        {"^a|b$", "xxxb", 1},
        {"^a|b$", "xxxbx", 0},
        {"/a", "/a", 1},
        {"/a", "/ab", 0},
        {"/a", "x/a", 0},
        {"^/a", "/ab", 0},
        {"/a$", "x/a", 0},
        {"  /a\t\n", "/a", 1},
        {"", "", 1},
        {"", "/", 0},
        {"/users/[^/]*/name", "/users/1/name", 1},
        {"/users/[^/]*/name", "/users/1/2/name", 0},
        {"a|b|c", "xbx", 1}, /* the middle one is bound to neither side */
        {"(?i)a|b", "xxxB", 1},
        {"x|.*", "/anything", 1},
        {"x|y\\$", "zy$", 1}, /* ends with a dollar, so that none is added */
        {"x|y\\$", "zy$z", 1},
        {"x|(y)", "zy\n", 0},
        {"q|y", "a\nb\ny", 1}, /* looking for an end crosses lines */
    };

    check(REGEX_PROFILE, cases, sizeof(cases) / sizeof(cases[0]));
}

static void refused(void **state)
{
    static const char *const patterns[] = {
        "(a)\\1", "(a)\\g1", "(?<n>a)\\k<n>", "(?P<n>a)(?P=n)", /* back-references */
        "(?=a)", "(?!a)", "(?<=a)b", "(?<!a)b",                /* look-around */
        "(?R)", "(?1)", "(?0)", "(?&n)", "(?P>n)", "(?-1)(a)", "(?+1)(a)", "a(?R)?b", /* recursion */
        "(?>a)", "a++", "a*+", "a?+", "a{2}+", "(?|a|b)", "(?(1)a|b)", "(?#x)", "(?C1)", "(?x)a", "(?J)a", "(?^)a",
        "(*ACCEPT)", "(*UTF)a", "a(*FAIL)", "(*atomic:a)",
        "\\K", "\\G", "\\X", "\\R", "\\C", "\\N", "\\h", "\\v", "\\Qa", "\\Z", "\\e", "\\cA", "\\o{1}", "\\u0041", "\\0",
        "\\<a", "a\\>", "\\b{start}", "[\\b]", "[\\1]",
        "[a[b]]", "[a&&b]", "[a--b]", "[a~~b]", "[[.a.]]", "[[=a=]]",
        "a**", "a+*", "a{2}{3}", "*a", "+", "?", "a|*", "a{,3}", "a{", "{2}", "}", "a{x}", "a{3,2}",
        "(", ")", "(a", "a)", "a)|(b", "[", "[a", "[]", "[^]", "\\", "a\\", "[z-a]", "\\p{Nonsense}", "[[:nonsense:]]",
        "\xff", "a\xc3", "((((((((((((((((((((((((((((((((((((((((((((((((((((a))))))))))))))))))))))))))))))))))))))))))))))))))))",
        "((a{1000}){1000}){1000}",
    };

    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        for (int mode = 0; mode < 2; mode++) {
            struct regex *regex = NULL;
            struct errmsg msg = {""};
            int r = regex_new(slice_str(patterns[i]), (enum regex_mode)mode, &msg, &regex);

            if (mode == REGEX_PROFILE && strcmp(patterns[i], "\\") == 0)
                continue;
            if (r != -EINVAL || regex)
                fail_msg("%s is accepted: %d", patterns[i], r);
            assert_int_equal(strncmp(msg.text, "regular expression: ", 20), 0);
        }
}

static void nul_and_length(void **state)
{
    static char longer[LIMIT_REGEX_LENGTH + 1];
    struct regex_scratch *scratch = regex_scratch_new();
    struct regex *regex;

    assert_int_equal(regex_new(slice_of("a\0b", 3), REGEX_POLICY, NULL, &regex), -EINVAL);
    memset(longer, 'a', sizeof(longer));
    assert_int_equal(regex_new(slice_of(longer, sizeof(longer)), REGEX_POLICY, NULL, &regex), -E2BIG);
    for (int mode = 0; mode < 2; mode++) {
        assert_int_equal(regex_new(slice_of(longer, LIMIT_REGEX_LENGTH), (enum regex_mode)mode, NULL, &regex), 0);
        assert_int_equal(regex_match(regex, slice_of(longer, LIMIT_REGEX_LENGTH), scratch), 1);
        regex_free(regex);
    }
    assert_int_equal(regex_new(SLICE_LIT("a.b"), REGEX_POLICY, NULL, &regex), 0);
    assert_int_equal(regex_match(regex, slice_of("a\0b", 3), scratch), 1);
    regex_free(regex);
    regex_scratch_free(scratch);
    regex_free(NULL);
    regex_scratch_free(NULL);
}

/* Work beyond the limits is an error of its own, in bounded time, and the scratch stays good. */
static void limits_are_errors(void **state)
{
    static const char *const patterns[] = {"(a+)+b$", "(a|aa)+b$", "(a*)*b$", "(.*)(.*)(.*)(.*)(.*)b$", "(a|b|ab)*c"};
    static char value[16 * 1024];
    struct regex_scratch *scratch = regex_scratch_new();
    struct regex *simple;

    memset(value, 'a', sizeof(value));
    assert_int_equal(regex_new(SLICE_LIT("a"), REGEX_POLICY, NULL, &simple), 0);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        for (int mode = 0; mode < 2; mode++) {
            struct regex *regex;

            assert_int_equal(regex_new(slice_str(patterns[i]), (enum regex_mode)mode, NULL, &regex), 0);
            /* A b before the end keeps the engine from seeing at once that no b is there. */
            value[sizeof(value) - 1] = 'c';
            value[sizeof(value) - 2] = 'b';
            assert_int_equal(regex_match(regex, slice_of(value, sizeof(value)), scratch), -EOVERFLOW);
            assert_int_equal(regex_match(simple, SLICE_LIT("a"), scratch), 1);
            assert_int_equal(regex_match(simple, SLICE_LIT("b"), scratch), 0);
            regex_free(regex);
        }
    regex_free(simple);
    regex_scratch_free(scratch);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(policy_mode), cmocka_unit_test(profile_mode),      cmocka_unit_test(refused),
        cmocka_unit_test(nul_and_length), cmocka_unit_test(limits_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
