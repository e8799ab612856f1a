#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/slice.h"

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define L(text) {"" text, sizeof(text) - 1}

static void comparison(void **state)
{
    static const struct {
        struct slice a, b;
        int order;
        bool eq_nocase, starts, ends;
    } cases[] = {
        {L(""), L(""), 0, true, true, true},
        {L("a"), L(""), 1, false, true, true},
        {L(""), L("a"), -1, false, false, false},
        {L("abc"), L("ABC"), 1, true, false, false},
        {L("abc"), L("ab"), 1, false, true, false},
        {L("abc"), L("bc"), -1, false, false, true},
        {L("a\0b"), L("a\0c"), -1, false, false, false},
        {L("a\0b"), L("a"), 1, false, true, false},
        {L("\xc3\x84"), L("\xc3\xa4"), -1, false, false, false}, /* only ASCII has cases */
        {L("[@"), L("{`"), -1, false, false, false},             /* neighbours of the letters */
        {L("\xff"), L("a"), 1, false, false, false},             /* bytes are unsigned */
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        int order = slice_cmp(cases[i].a, cases[i].b);

        assert_int_equal((order > 0) - (order < 0), cases[i].order);
        assert_int_equal(slice_eq(cases[i].a, cases[i].b), cases[i].order == 0);
        assert_int_equal(slice_eq_nocase(cases[i].a, cases[i].b), cases[i].eq_nocase);
        assert_int_equal(slice_starts(cases[i].a, cases[i].b), cases[i].starts);
        assert_int_equal(slice_ends(cases[i].a, cases[i].b), cases[i].ends);
    }
    assert_true(slice_eq(SLICE_NULL, SLICE_LIT("")));
    assert_true(slice_eq(slice_str(NULL), SLICE_NULL));
}

static void parts(void **state)
{
    struct slice s = SLICE_LIT("hello");

    assert_true(slice_eq(slice_skip(s, 2), SLICE_LIT("llo")));
    assert_int_equal(slice_skip(s, 9).len, 0);
    assert_int_equal(slice_skip(SLICE_NULL, 1).len, 0);
    assert_true(slice_eq(slice_take(s, 2), SLICE_LIT("he")));
    assert_true(slice_eq(slice_take(s, 9), s));
    assert_true(slice_eq(slice_trim(SLICE_LIT(" \t a b\t ")), SLICE_LIT("a b")));
    assert_int_equal(slice_trim(SLICE_LIT(" \t ")).len, 0);
    assert_int_equal(slice_trim(SLICE_LIT("\r\n")).len, 2);
    assert_int_equal(slice_trim(SLICE_NULL).len, 0);
}

static void finding(void **state)
{
    static const struct {
        struct slice s, needle;
        size_t at;
    } cases[] = {
        {L("abcabc"), L("ca"), 2}, {L("abc"), L("x"), 3},     {L("abc"), L(""), 0}, {L(""), L("a"), 0},
        {L("ab"), L("abc"), 2},    {L("a\0bc"), L("\0b"), 1}, {L("abc"), L("c"), 2},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_int_equal(slice_find_slice(cases[i].s, cases[i].needle), cases[i].at);
        if (cases[i].needle.len == 1)
            assert_int_equal(slice_find(cases[i].s, cases[i].needle.ptr[0]), cases[i].at);
    }
    assert_int_equal(slice_find(SLICE_NULL, 'a'), 0);
}

static void splitting(void **state)
{
    static const struct {
        struct slice text;
        const char *parts[4];
    } cases[] = {
        {L("a,b"), {"a", "b"}}, {L("a"), {"a"}},           {L(""), {""}},
        {L(","), {"", ""}},     {L("a,,b"), {"a", "", "b"}}, {L("a,"), {"a", ""}},
    };
    struct slice part;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct slice rest = cases[i].text;

        for (size_t j = 0; j < 4 && cases[i].parts[j]; j++) {
            assert_true(slice_split(&rest, ',', &part));
            assert_true(slice_eq(part, slice_str(cases[i].parts[j])));
        }
        assert_false(slice_split(&rest, ',', &part));
        assert_false(slice_split(&rest, ',', &part));
    }
}

static void numbers(void **state)
{
    static const struct {
        struct slice text;
        uint64_t max;
        int r;
        uint64_t value;
    } cases[] = {
        {L("0"), 0, 0, 0},
        {L("65535"), 65535, 0, 65535},
        {L("65536"), 65535, -ERANGE, 0},
        {L("007"), 10, 0, 7},
        {L("18446744073709551615"), UINT64_MAX, 0, UINT64_MAX},
        {L("18446744073709551616"), UINT64_MAX, -ERANGE, 0},
        {L("99999999999999999999999"), UINT64_MAX, -ERANGE, 0},
        {L(""), 10, -EINVAL, 0},
        {L("-1"), 10, -EINVAL, 0},
        {L("+1"), 10, -EINVAL, 0},
        {L(" 1"), 10, -EINVAL, 0},
        {L("1 "), 10, -EINVAL, 0},
        {L("0x1"), 10, -EINVAL, 0},
        {L("1\0"), 10, -EINVAL, 0},
        {L("\xb1"), 10, -EINVAL, 0},
    };

    for (size_t i = 0; i < COUNT(cases); i++) {
        uint64_t value = 4711;

        assert_int_equal(slice_u64(cases[i].text, cases[i].max, &value), cases[i].r);
        assert_int_equal(value, cases[i].r < 0 ? 4711 : cases[i].value); /* untouched on failure */
    }
}

static void utf8(void **state)
{
    static const struct {
        struct slice text;
        bool good;
    } cases[] = {
        {L(""), true},
        {L("a\0b"), true},
        {L("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"), true},
        {L("\xf4\x8f\xbf\xbf"), true},   /* U+10FFFF */
        {L("\xf4\x90\x80\x80"), false},  /* beyond */
        {L("\xed\x9f\xbf"), true},       /* U+D7FF */
        {L("\xed\xa0\x80"), false},      /* surrogate */
        {L("\xc0\x80"), false},          /* overlong NUL */
        {L("\xc1\xbf"), false},
        {L("\xe0\x9f\xbf"), false},
        {L("\xf0\x8f\xbf\xbf"), false},
        {L("\x80"), false},              /* continuation alone */
        {L("\xc3"), false},              /* cut short */
        {L("\xe2\x82"), false},
        {L("\xf0\x9f\x98"), false},
        {L("\xc3\x28"), false},
        {L("\xfe"), false},
        {L("\xff"), false},
        {L("\xf8\x88\x80\x80\x80"), false},
    };

    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(slice_is_utf8(cases[i].text), cases[i].good);
}

static void duplicate(void **state)
{
    char *copy = slice_dup(SLICE_LIT("name"));

    assert_string_equal(copy, "name");
    free(copy);
    copy = slice_dup(SLICE_NULL);
    assert_string_equal(copy, "");
    free(copy);
}

/* Every byte in every place of short and long names, beside the plain definition. */
static void test_case_of_every_byte(void **state)
{
    for (size_t len = 1; len <= 25; len++)
        for (size_t at = 0; at < len; at++)
            for (unsigned byte = 0; byte < 256; byte++) {
                char bytes[25], lowered[25], other[25];
                bool upper = byte >= 'A' && byte <= 'Z';

                memset(bytes, 'z', len);
                bytes[at] = (char)byte;
                slice_lower(slice_of(bytes, len), lowered);
                assert_int_equal(lowered[at], (char)(upper ? byte + 32 : byte));
                assert_int_equal(slice_has_upper(slice_of(bytes, len)), upper);
                assert_true(slice_eq_nocase(slice_of(bytes, len), slice_of(lowered, len)));
                memset(other, 'Z', len);
                other[at] = (char)(byte ^ 0x20);
                assert_int_equal(slice_eq_nocase(slice_of(bytes, len), slice_of(other, len)),
                                 upper || (byte >= 'a' && byte <= 'z'));
            }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_case_of_every_byte),
        cmocka_unit_test(comparison), cmocka_unit_test(parts),   cmocka_unit_test(finding),
        cmocka_unit_test(splitting),  cmocka_unit_test(numbers), cmocka_unit_test(utf8),
        cmocka_unit_test(duplicate),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
