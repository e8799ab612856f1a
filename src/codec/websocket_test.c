#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>

#include "codec/websocket.h"

/* What comes of the bytes: "[" begins, "]" ends a message, "P(..)" and so on are control frames; "!" refused. */
static void read_all(struct slice in, size_t step, char out[512])
{
    struct websocket_reader reader = {0};
    size_t n = 0;

    out[0] = '\0';
    while (in.len) {
        struct websocket_event event;
        ssize_t r = websocket_feed(&reader, slice_take(in, step), &event);

        if (r < 0) {
            assert_int_equal(r, -EPROTO);
            assert_non_null(reader.refusal);
            snprintf(out + n, 512 - n, "!");
            return;
        }
        assert_true(r > 0 && (size_t)r <= in.len);
        in = slice_skip(in, (size_t)r);
        if (event.kind == WEBSOCKET_DATA)
            n += (size_t)snprintf(out + n, 512 - n, "%s%.*s%s", event.begins ? "[" : "", SLICE_ARGS(event.bytes), event.ends ? "]" : "");
        else if (event.kind == WEBSOCKET_CONTROL)
            n += (size_t)snprintf(out + n, 512 - n, "%x(%.*s)", event.opcode, SLICE_ARGS(event.bytes));
    }
}

#define LETTERS_126                                                                                                    \
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz"                                   \
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuv"

static void test_reading(void **state)
{
    static const struct {
        struct slice in;
        const char *want;
    } cases[] = {
        {SLICE_LIT("\x82\x03" "abc"), "[abc]"},
        {SLICE_LIT("\x81\x00"), "[]"},
        {SLICE_LIT("\x02\x02" "ab\x00\x01" "c\x80\x00"), "[abc]"},
        {SLICE_LIT("\x02\x01" "a\x89\x02hi\x80\x01" "b"), "[a9(hi)b]"},
        {SLICE_LIT("\x88\x02\x03\xe8\x8a\x00"), "8(\x03\xe8)a()"},
        {SLICE_LIT("\x82\x7e\x00\x7e" LETTERS_126), "[" LETTERS_126 "]"},
        {SLICE_LIT("\x82\x7e\x00\x7d"), "!"},                         /* 125 has a shorter form */
        {SLICE_LIT("\x82\x7f\x00\x00\x00\x00\x00\x00\xff\xff"), "!"},
        {SLICE_LIT("\x82\x7f\x80\x00\x00\x00\x00\x00\x00\x00"), "!"}, /* more than there is */
        {SLICE_LIT("\xc2\x00"), "!"},                                 /* a reserved bit */
        {SLICE_LIT("\x82\x83" "mask" "abc"), "!"},
        {SLICE_LIT("\x83\x00"), "!"},
        {SLICE_LIT("\x8b\x00"), "!"},
        {SLICE_LIT("\x09\x00"), "!"},                                 /* a ping in pieces */
        {SLICE_LIT("\x89\x7e\x00\x7e"), "!"},
        {SLICE_LIT("\x80\x00"), "!"},                                 /* goes on with nothing */
        {SLICE_LIT("\x02\x00\x82\x00"), "[!"},
    };
    char got[512];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        for (size_t step = 1; step < 200; step += step == 1 ? 1 : 197) {
            read_all(cases[i].in, step, got);
            assert_string_equal(got, cases[i].want);
        }
}

static void test_a_refusal_stays(void **state)
{
    struct websocket_reader reader = {0};
    struct websocket_event event;

    assert_int_equal(websocket_feed(&reader, SLICE_LIT("\xf2\x00"), &event), -EPROTO);
    assert_int_equal(websocket_feed(&reader, SLICE_LIT("\x82\x00"), &event), -EPROTO);
}

static void test_writing(void **state)
{
    static const uint8_t mask[4] = {1, 2, 3, 4};
    static const struct {
        uint64_t len;
        struct slice want;
    } cases[] = {
        {0, SLICE_LIT("\x82\x80\1\2\3\4")},
        {125, SLICE_LIT("\x82\xfd\1\2\3\4")},
        {126, SLICE_LIT("\x82\xfe\x00\x7e\1\2\3\4")},
        {65535, SLICE_LIT("\x82\xfe\xff\xff\1\2\3\4")},
        {65536, SLICE_LIT("\x82\xff\0\0\0\0\0\1\0\0\1\2\3\4")},
    };
    char out[WEBSOCKET_HEADER_MAX], text[] = "abcdef";

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t n = websocket_header(WEBSOCKET_BINARY, cases[i].len, mask, out);

        assert_true(slice_eq(slice_of(out, n), cases[i].want));
    }
    websocket_mask(mask, 0, text, 3); /* in two pieces as in one */
    websocket_mask(mask, 3, text + 3, 3);
    assert_memory_equal(text, "\x60\x60\x60\x60\x64\x64", 6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reading),
        cmocka_unit_test(test_a_refusal_stays),
        cmocka_unit_test(test_writing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
