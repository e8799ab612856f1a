#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/transport_header.h"

#define L(text)                                                                                                        \
    {                                                                                                                  \
        "" text, sizeof(text) - 1                                                                                      \
    }
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
#define P "transport.l5d.io/v1\r\n\r\n"

static const struct {
    struct slice bytes;
    ssize_t r; /* 1: all of it */
    struct transport_header header;
} cases[] = {
    {L(P "\0\0\0\x03\x08\xc8\x1f"), 1, {4040, TRANSPORT_OPAQUE, L("")}},
    {L(P "\0\0\0\x1c\x08\xc8\x1f\x12\x13"
         "foo.bar.example.com"
         "\x1a\x02\x12\x00"),
     1,
     {4040, TRANSPORT_HTTP2, L("foo.bar.example.com")}},
    {L(P "\0\0\0\x06\x08\x50\x1a\x02\x0a\x00"), 1, {80, TRANSPORT_HTTP1, L("")}},
    {L(P "\0\0\0\x04\x1a\x00\x08\x50"), 1, {80, TRANSPORT_OPAQUE, L("")}}, /* any order, empty session */
    {L(P "\0\0\0\x0a\x08\x50\x1a\x06\x0a\x00\x12\x00\x18\x01"), 1, {80, TRANSPORT_HTTP2, L("")}}, /* the last counts */
    {L(P "\0\0\0\x04\x08\x50\x08\x51"), 1, {81, TRANSPORT_OPAQUE, L("")}},
    {L(P "\0\0\0\x04\x08\xff\xff\x03"), 1, {65535, TRANSPORT_OPAQUE, L("")}},
    {L(P "\0\0\0\x17\x08\x50\x20\x80\x01\x2a\x02xy\x31"
         "12345678"
         "\x3d"
         "1234"),
     1, /* unknown fields */
     {80, TRANSPORT_OPAQUE, L("")}},
    {L(P "\0\0\0\x08\x08\x50\x12\x04::fe"), 1, {80, TRANSPORT_OPAQUE, L("::fe")}},
    {L(P "\0\0\0\x07\x08\x50\xf8\xff\xff\x7f\x05"), 1, {80, TRANSPORT_OPAQUE, L("")}},
    {L(P "\0\0\0\x00"), -EBADMSG, {0}},                                                 /* no port */
    {L(P "\0\0\0\x02\x08\x00"), -EBADMSG, {0}},                                         /* port 0 */
    {L(P "\0\0\0\x04\x08\x80\x80\x04"), -EBADMSG, {0}},                                 /* 65536 */
    {L(P "\0\0\0\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), -EBADMSG, {0}},     /* -1 */
    {L(P "\0\0\0\x0b\x08\xd0\x80\x80\x80\x80\x80\x80\x80\x80\x02"), -EBADMSG, {0}},     /* 65 bits */
    {L(P "\0\0\0\x0c\x08\xd0\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01"), -EBADMSG, {0}}, /* eleven bytes */
    {L(P "\0\0\0\x02\x08\xd0"), -EBADMSG, {0}},
    {L(P "\0\0\0\x05\x0d"
         "1234"),
     -EBADMSG,
     {0}}, /* port of another wire type */
    {L(P "\0\0\0\x04\x08\x50\x10\x01"), -EBADMSG, {0}},
    {L(P "\0\0\0\x04\x08\x50\x18\x01"), -EBADMSG, {0}},
    {L(P "\0\0\0\x06\x08\x50\x1a\x02\x08\x01"), -EBADMSG, {0}},
    {L(P "\0\0\0\x06\x08\x50\x12\x03"
         "ab"),
     -EBADMSG,
     {0}}, /* beyond the end */
    {L(P "\0\0\0\x06\x08\x50\x1a\x02\x0a\x01"), -EBADMSG, {0}},
    {L(P "\0\0\0\x07\x08\x50\x12\x03"
         "a\0b"),
     -EBADMSG,
     {0}},
    {L(P "\0\0\0\x07\x08\x50\x12\x03"
         "a b"),
     -EBADMSG,
     {0}},
    {L(P "\0\0\0\x06\x08\x50\x12\x02\xc3\xa4"), -EBADMSG, {0}},
    {L(P "\0\0\0\x04\x08\x50\x23\x24"), -EBADMSG, {0}}, /* a group */
    {L(P "\0\0\0\x04\x08\x50\x00\x01"), -EBADMSG, {0}}, /* field 0 */
    {L(P "\0\0\0\x04\x08\x50\x26\x01"), -EBADMSG, {0}}, /* wire type 6 */
    {L(P "\0\0\x20\x01"), -EMSGSIZE, {0}},
    {L(P "\xff\xff\xff\xff"), -EMSGSIZE, {0}},
    {L(P "\0\0\x20\x00"), 0, {0}},
    {L(""), 0, {0}},
    {L("GET / HTTP/1.1\r\n"), -ENOMSG, {0}},
    {L("transport.l5d.io/v2"), -ENOMSG, {0}},
    {L("transport.l5d.io/v1\r\n\n"), -ENOMSG, {0}},
};

static ssize_t decode(struct slice bytes, struct transport_header *ret_header, char **ret_copy)
{
    char *copy = malloc(bytes.len ? bytes.len : 1);

    if (bytes.len)
        memcpy(copy, bytes.ptr, bytes.len);
    *ret_copy = copy;
    return transport_header_decode(slice_of(copy, bytes.len), ret_header);
}

static void decoding(void **state)
{
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct transport_header header = {0};
        char *copy;
        ssize_t r = decode(cases[i].bytes, &header, &copy);

        if (r != (cases[i].r == 1 ? (ssize_t)cases[i].bytes.len : cases[i].r))
            fail_msg("case %zu: %zd", i, r);
        assert_int_equal(header.port, cases[i].header.port);
        assert_int_equal(header.session, cases[i].header.session);
        assert_true(slice_eq(header.name, cases[i].header.name));
        free(copy);
        for (size_t len = 0; cases[i].r == 1 && len < cases[i].bytes.len; len++) {
            assert_int_equal(decode(slice_take(cases[i].bytes, len), &header, &copy), 0);
            free(copy);
        }
    }
}

static void leaves_the_rest(void **state)
{
    struct transport_header header;

    assert_int_equal(transport_header_decode(SLICE_LIT(P "\0\0\0\x02\x08\x50"
                                                         "GET /"),
                                             &header),
                     29);
}

static void encoding(void **state)
{
    char name[256], out[TRANSPORT_HEADER_MAX];
    struct transport_header header = {4040, TRANSPORT_HTTP2, L("foo.bar.example.com")}, back;
    int len = transport_header_encode(&header, out);

    assert_true(slice_eq(slice_of(out, (size_t)len), cases[1].bytes));
    memset(name, 'n', sizeof(name));
    for (int session = TRANSPORT_OPAQUE; session <= TRANSPORT_HTTP2; session++)
        for (unsigned port = 1; port <= 65535; port += 127)
            for (size_t name_len = 0; name_len <= 255; name_len += 51) {
                header = (struct transport_header){(uint16_t)port, (uint8_t)session, slice_of(name, name_len)};
                len = transport_header_encode(&header, out);
                assert_int_equal(transport_header_decode(slice_of(out, (size_t)len), &back), len);
                assert_int_equal(back.port, port);
                assert_int_equal(back.session, session);
                assert_true(slice_eq(back.name, header.name));
            }
    header.name.len = 256;
    assert_int_equal(transport_header_encode(&header, out), -EINVAL);
    header.name = SLICE_LIT("a b");
    assert_int_equal(transport_header_encode(&header, out), -EINVAL);
    header = (struct transport_header){0};
    assert_int_equal(transport_header_encode(&header, out), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decoding),
        cmocka_unit_test(leaves_the_rest),
        cmocka_unit_test(encoding),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
