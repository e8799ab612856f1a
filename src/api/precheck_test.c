#include "api/precheck.h"

#include <errno.h>
#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/limits.h"
#include "destination.pb-c.h"
#include "identity.pb-c.h"

struct sample {
    const char *name;
    const ProtobufCMessageDescriptor *type;
    struct slice bytes;
    const char *refused; /* part of the sentence, or NULL: accepted */
};

#define GET &destination__get_destination__descriptor
#define UPDATE &destination__update__descriptor

static const struct sample samples[] = {
    {"nothing", GET, {"", 0}, NULL},
    {"a string", GET, {"\x12\x01" "a", 3}, NULL},
    {"a string twice", GET, {"\x12\x01" "a\x12\x01" "b", 6}, NULL},
    {"an empty string", GET, {"\x12\x00", 2}, NULL},
    {"two-byte UTF-8", GET, {"\x12\x02\xc3\xa9", 4}, NULL},
    {"cut off UTF-8", GET, {"\x12\x01\xc3", 3}, "GetDestination.path: is not UTF-8"},
    {"a surrogate", GET, {"\x12\x03\xed\xa0\x80", 5}, "is not UTF-8"},
    {"a NUL", GET, {"\x12\x03" "a\0b", 5}, "GetDestination.path: holds a NUL"},
    {"a NUL in the key of a map", UPDATE, {"\x0a\x05\x12\x03\x0a\x01\0", 7}, "MetricLabelsEntry.key: holds a NUL"},
    {"NULs in bytes", &identity__certify_request__descriptor, {"\x12\x02\0\0", 4}, NULL},
    {"an unknown varint", GET, {"\x78\x01", 2}, NULL},
    {"an unknown fixed64", GET, {"\x79" "12345678", 9}, NULL},
    {"an unknown fixed32", GET, {"\x7d" "1234", 5}, NULL},
    {"unknown bytes with a NUL", GET, {"\x7a\x01\0", 3}, NULL},
    {"a tag alone", GET, {"\x12", 1}, "cut off in field 2"},
    {"a length beyond the end", GET, {"\x12\x02" "a", 3}, "cut off"},
    {"a length of 4 GiB", GET, {"\x12\xff\xff\xff\xff\x0f", 6}, "cut off"},
    {"a length of ten bytes", GET, {"\x12\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11}, "cut off"},
    {"field 0", GET, {"\x02\x00", 2}, "malformed tag"},
    {"a tag of six bytes", GET, {"\x92\x80\x80\x80\x80\x00\x00", 7}, "malformed tag"},
    {"a tag beyond 2^29", GET, {"\xfa\xff\xff\xff\x7f\x00", 6}, "malformed tag"},
    {"an endless varint", GET, {"\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 12}, "cut off"},
    {"a varint of 65 bits", GET, {"\x78\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 11}, "cut off"},
    {"a group", GET, {"\x7b\x7c", 2}, "malformed"},
    {"wire type 6", GET, {"\x7e\x00", 2}, "malformed"},
    {"a string as varint", GET, {"\x10\x01", 2}, "encoded as another type"},
    {"a message as fixed32", UPDATE, {"\x0d" "1234", 5}, "encoded as another type"},
    {"a cut off inner message", UPDATE, {"\x0a\x02\x0a\x05", 4}, "WeightedAddrSet"},
    {"a message twice", UPDATE, {"\x1a\x00\x1a\x02\x08\x01", 6}, "Update.no_endpoints: there twice"},
    {"two members of a oneof", UPDATE, {"\x1a\x00\x12\x00", 4}, NULL},
    {"a repeated message twice", UPDATE, {"\x12\x04\x0a\x00\x0a\x00", 6}, NULL},
};

static void samples_are_judged(void **state)
{
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct sample *sample = &samples[i];
        char *exact = malloc(sample->bytes.len ? sample->bytes.len : 1); /* so that ASan sees one byte too far */
        struct errmsg msg = {0};
        int r;

        memcpy(exact, sample->bytes.ptr, sample->bytes.len);
        r = precheck(sample->type, slice_of(exact, sample->bytes.len), &msg);
        free(exact);
        if (r != (sample->refused ? -EBADMSG : 0) || (sample->refused && !strstr(msg.text, sample->refused)))
            fail_msg("%s: %d '%s'", sample->name, r, msg.text);
        assert_int_equal(precheck(sample->type, sample->bytes, NULL), r);
    }
}

/* RequestMatch.not inside each other: one message more with each level. */
static struct slice nested(char *room, size_t size, unsigned levels)
{
    size_t at = size;

    for (unsigned i = 0; i < levels; i++) {
        size_t len = size - at;

        if (len >= 128)
            room[--at] = (char)(len >> 7);
        room[--at] = (char)(len >= 128 ? (len & 0x7f) | 0x80 : len);
        room[--at] = 0x1a;
    }
    return slice_of(room + at, size - at);
}

static void depth_is_bounded(void **state)
{
    char room[4096];
    struct errmsg msg = {0};

    assert_int_equal(precheck(&destination__request_match__descriptor,
                              nested(room, sizeof(room), LIMIT_PROTOBUF_DEPTH - 1), &msg), 0);
    assert_int_equal(precheck(&destination__request_match__descriptor,
                              nested(room, sizeof(room), LIMIT_PROTOBUF_DEPTH), &msg), -EBADMSG);
    assert_non_null(strstr(msg.text, "nested deeper than 64"));
    assert_int_equal(precheck(&destination__request_match__descriptor, nested(room, sizeof(room), 1000), &msg),
                     -EBADMSG);
}

static void size_is_bounded(void **state)
{
    size_t len = LIMIT_GRPC_MESSAGE + 1;
    char *bytes = calloc(1, len);
    struct errmsg msg = {0};

    for (size_t i = 0; i + 1 < len; i += 2)
        bytes[i] = 0x78; /* unknown field 15, value 0 */
    assert_int_equal(precheck(GET, slice_of(bytes, LIMIT_GRPC_MESSAGE), &msg), 0);
    assert_int_equal(precheck(GET, slice_of(bytes, len), &msg), -EBADMSG);
    free(bytes);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_are_judged),
        cmocka_unit_test(depth_is_bounded),
        cmocka_unit_test(size_is_bounded),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
