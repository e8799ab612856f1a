#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/grpc/grpc.h"
#include "net/grpc/grpc_message.h"

/* The same bytes in pieces of every size give the same messages. */
static void test_read_in_pieces(void **state)
{
    static const char wire[] = "\0\0\0\0\3abc\0\0\0\0\0\0\0\0\0\5defgh";
    static const char *const expected[] = {"abc", "", "defgh"};

    for (size_t piece = 1; piece < sizeof(wire); piece++) {
        struct grpc_reader reader;
        unsigned seen = 0;

        grpc_reader_init(&reader);
        for (size_t at = 0; at < sizeof(wire) - 1; at += piece) {
            struct slice bytes = slice_take(slice_of(wire + at, sizeof(wire) - 1 - at), piece), message;

            while (grpc_read(&reader, &bytes, &message) == 1) {
                assert_true(seen < 3);
                assert_true(slice_eq(message, slice_str(expected[seen])));
                seen++;
            }
            assert_int_equal(bytes.len, 0);
        }
        assert_int_equal(seen, 3);
        assert_true(grpc_reader_is_idle(&reader));
        grpc_reader_trim(&reader);
        grpc_reader_release(&reader);
    }
}

static void test_refused_prefixes(void **state)
{
    static const struct {
        char prefix[6];
        int error;
    } cases[] = {
        {"\1\0\0\0\1", -EOPNOTSUPP}, {"\2\0\0\0\1", -EPROTO},          {"\377\0\0\0\1", -EPROTO},
        {"\0\0\100\0\1", -EMSGSIZE}, {"\0\377\377\377\377", -EMSGSIZE},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct grpc_reader reader;
        struct slice bytes = slice_of(cases[i].prefix, GRPC_PREFIX), message;

        grpc_reader_init(&reader);
        assert_int_equal(grpc_read(&reader, &bytes, &message), cases[i].error);
        grpc_reader_release(&reader);
    }
}

static void test_texts(void **state)
{
    static const struct {
        struct slice plain, encoded;
    } cases[] = {
        {SLICE_LIT(""), SLICE_LIT("")},
        {SLICE_LIT("no such method"), SLICE_LIT("no such method")},
        {SLICE_LIT("100%"), SLICE_LIT("100%25")},
        {SLICE_LIT("a\r\nb"), SLICE_LIT("a%0D%0Ab")},
        {SLICE_LIT("\xc3\xa4\0!"), SLICE_LIT("%C3%A4%00!")},
    };
    static const struct {
        struct slice encoded, plain;
    } odd[] = {
        {SLICE_LIT("%"), SLICE_LIT("%")},
        {SLICE_LIT("%2"), SLICE_LIT("%2")},
        {SLICE_LIT("%zz%41%4"), SLICE_LIT("%zzA%4")},
        {SLICE_LIT("%c3%a4"), SLICE_LIT("\xc3\xa4")},
    };
    struct arena arena;

    arena_init(&arena, 4096);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(slice_eq(grpc_text_encode(&arena, cases[i].plain), cases[i].encoded));
        assert_true(slice_eq(grpc_text_decode(&arena, cases[i].encoded), cases[i].plain));
    }
    for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++)
        assert_true(slice_eq(grpc_text_decode(&arena, odd[i].encoded), odd[i].plain));
    arena_release(&arena);
}

static void test_timeouts(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } cases[] = {
        {1, "1n"},
        {99999999, "99999999n"},
        {100000000, "100000u"},
        {100000001, "100001u"}, /* rounded up: never shorter than meant */
        {10 * NS_PER_S, "10000000u"},
        {3600 * NS_PER_S, "3600000m"},
        {INT64_MAX, "9223372037S"},
    };
    static const char *const bad[] = {"", "1", "S", "1s", "-1S", "100000000S", "1.5S", " 1S", "1S ", "1x"};
    char out[GRPC_TIMEOUT_TEXT];
    int64_t ns;

    for (size_t i = 0; i + 1 < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_true(slice_eq(grpc_timeout_format(cases[i].ns, out), slice_str(cases[i].text)));
        assert_int_equal(grpc_timeout_parse(slice_str(cases[i].text), &ns), 0);
        assert_true(ns >= cases[i].ns);
    }
    assert_true(slice_eq(grpc_timeout_format(INT64_MAX, out), SLICE_LIT("2562048H")));
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(grpc_timeout_parse(slice_str(bad[i]), &ns), -EINVAL);
    assert_int_equal(grpc_timeout_parse(SLICE_LIT("99999999H"), &ns), 0);
    assert_int_equal(ns, INT64_MAX);
    assert_int_equal(grpc_timeout_parse(SLICE_LIT("0S"), &ns), 0);
    assert_int_equal(ns, 0);
}

static void test_statuses(void **state)
{
    assert_string_equal(grpc_code_name(GRPC_OK), "OK");
    assert_string_equal(grpc_code_name(GRPC_NOT_FOUND), "NotFound");
    assert_string_equal(grpc_code_name(GRPC_UNAUTHENTICATED), "Unauthenticated");
    assert_string_equal(grpc_code_name(17), "Unknown");
    assert_string_equal(grpc_code_name(-1), "Unknown");
    assert_int_equal(grpc_status_of_http(404), GRPC_UNIMPLEMENTED);
    assert_int_equal(grpc_status_of_http(503), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_http(418), GRPC_UNKNOWN);
    assert_int_equal(grpc_status_of_reset(7), GRPC_UNAVAILABLE);
    assert_int_equal(grpc_status_of_reset(8), GRPC_CANCELLED);
    assert_int_equal(grpc_status_of_reset(1), GRPC_INTERNAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_read_in_pieces), cmocka_unit_test(test_refused_prefixes), cmocka_unit_test(test_texts),
        cmocka_unit_test(test_timeouts),       cmocka_unit_test(test_statuses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
