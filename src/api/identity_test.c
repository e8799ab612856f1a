#include "api/identity.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/arena.h"
#include "base/duration.h"

#define LIT(text) SLICE_LIT(text)

static void certify_comes_back(void **state)
{
    struct slice chain[] = {LIT("i1\0x"), LIT("")};
    struct certify_request request = {LIT("a.b"), LIT("to\0ken"), LIT("\xff\x00")}, request_back;
    struct certify_response response = {LIT("leaf\0"), chain, 2, 5 * NS_PER_S + 7}, back;
    struct arena arena;
    struct buffer out;

    arena_init(&arena, 4096);
    buffer_init(&out, 4096);
    assert_int_equal(certify_request_encode(&request, NULL, &out), 0);
    assert_int_equal(certify_request_decode(buffer_slice(&out), &arena, NULL, &request_back), 0);
    assert_true(slice_eq(request.identity, request_back.identity) && slice_eq(request.token, request_back.token) &&
                slice_eq(request.csr, request_back.csr));
    buffer_clear(&out);
    assert_int_equal(certify_response_encode(&response, NULL, &out), 0);
    assert_int_equal(certify_response_decode(buffer_slice(&out), &arena, NULL, &back), 0);
    assert_true(slice_eq(back.leaf, response.leaf) && back.intermediate_count == 2);
    assert_true(slice_eq(back.intermediates[0], chain[0]) && back.intermediates[1].len == 0);
    assert_true(back.valid_until_wall_ns == response.valid_until_wall_ns);
    buffer_release(&out);
    arena_release(&arena);
}

static void certificates_without_an_end_are_refused(void **state)
{
    static const struct {
        struct slice bytes;
        int r;
        int64_t until;
    } samples[] = {
        {{"\x0a\x01l\x1a\x02\x08\x01", 7}, 0, NS_PER_S},
        {{"\x1a\x02\x08\x01", 4}, -EBADMSG},     /* no leaf */
        {{"\x0a\x01l", 3}, -EBADMSG},            /* no end */
        {{"\x0a\x01l\x1a\x00", 5}, -EBADMSG},    /* 1970 */
        {{"\x0a\x01l\x1a\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 16}, -EBADMSG}, /* before */
        {{"\x0a\x01l\x1a\x08\x08\x01\x10\x80\x94\xeb\xdc\x03", 13}, -EBADMSG},             /* 10^9 ns */
        {{"\x0a\x01l\x1a\x0a\x08\xff\xff\xff\xff\xff\xff\xff\xff\x7f", 15}, 0, INT64_MAX}, /* far away */
    };

    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct certify_response response;
        struct arena arena;
        int r;

        arena_init(&arena, 4096);
        r = certify_response_decode(samples[i].bytes, &arena, NULL, &response);
        if (r != samples[i].r || (r == 0 && response.valid_until_wall_ns != samples[i].until))
            fail_msg("%zu: %d", i, r);
        arena_release(&arena);
    }
}

static void bundles_come_back(void **state)
{
    struct slice back = SLICE_NULL;
    struct arena arena;
    struct buffer out;

    arena_init(&arena, 4096);
    buffer_init(&out, 4096);
    assert_int_equal(bundle_encode(LIT("pem"), NULL, &out), 0);
    assert_int_equal(bundle_decode(buffer_slice(&out), &arena, NULL, &back), 0);
    assert_true(slice_eq(back, LIT("pem")));
    assert_int_equal(bundle_decode(LIT(""), &arena, NULL, &back), -EBADMSG);
    buffer_clear(&out);
    assert_int_equal(watch_bundle_encode(LIT("cluster.local"), NULL, &out), 0);
    assert_int_equal(watch_bundle_decode(buffer_slice(&out), &arena, NULL, &back), 0);
    assert_true(slice_eq(back, LIT("cluster.local")));
    buffer_release(&out);
    arena_release(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(certify_comes_back),
        cmocka_unit_test(certificates_without_an_end_are_refused),
        cmocka_unit_test(bundles_come_back),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
