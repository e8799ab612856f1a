#include "codec/transport_header.h"

#include <assert.h>
#include <errno.h>

#include "base/limits.h"
#include "base/mutation.h"

#define PREFACE SLICE_LIT("transport.l5d.io/v1\r\n\r\n")

enum {
    PREFACE_LEN = 23,
    LENGTH_LEN = 4,
    NAME_MAX_LEN = 255,
    WIRE_VARINT = 0,
    WIRE_FIXED64 = 1,
    WIRE_BYTES = 2,
    WIRE_FIXED32 = 5,
};

static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++) {
        unsigned char c = (unsigned char)name.ptr[i], letter = c | 0x20;

        /* The colon is for IPv6 addresses. */
        if (!(letter >= 'a' && letter <= 'z') && !(c >= '0' && c <= '9') && c != '-' && c != '.' && c != '_' &&
            c != ':')
            return false;
    }
    return name.len <= NAME_MAX_LEN;
}

static char *put_varint(char *at, unsigned value)
{
    for (; value >= 0x80; value >>= 7)
        *at++ = (char)(value | 0x80);
    *at++ = (char)value;
    return at;
}

static char *put_message(char *at, const struct transport_header *header)
{
    *at++ = 1 << 3 | WIRE_VARINT;
    at = put_varint(at, header->port);
    if (header->name.len) {
        *at++ = 2 << 3 | WIRE_BYTES;
        at = put_varint(at, (unsigned)header->name.len);
        memcpy(at, header->name.ptr, header->name.len);
        at += header->name.len;
    }
    if (header->session != TRANSPORT_OPAQUE) {
        *at++ = 3 << 3 | WIRE_BYTES;
        *at++ = 2;
        *at++ = (char)((header->session == TRANSPORT_HTTP1 ? 1 : 2) << 3 | WIRE_BYTES);
        *at++ = 0; /* the empty message */
    }
    return at;
}

int transport_header_encode(const struct transport_header *header, char out[TRANSPORT_HEADER_MAX])
{
    struct slice preface = PREFACE;
    char *message = out + PREFACE_LEN + LENGTH_LEN;
    size_t len;

    static_assert(PREFACE_LEN + LENGTH_LEN + NAME_MAX_LEN + 16 <= TRANSPORT_HEADER_MAX, "the longest name fits");
    if (header->port == 0 || !is_name(header->name))
        return -EINVAL;
    memcpy(out, preface.ptr, PREFACE_LEN);
    len = (size_t)(put_message(message, header) - message);
    for (int i = 0; i < LENGTH_LEN; i++)
        out[PREFACE_LEN + i] = (char)(len >> (8 * (LENGTH_LEN - 1 - i)));
    return (int)(PREFACE_LEN + LENGTH_LEN + len);
}

/* A varint off the front; at most ten bytes and 64 bits. 0 or -EBADMSG. */
static int take_varint(struct slice *from, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < 10 && i < from->len; i++) {
        uint64_t byte = (unsigned char)from->ptr[i];

        if (i == 9 && byte > 1)
            break;
        value |= (byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *from = slice_skip(*from, i + 1);
            *ret_value = value;
            return 0;
        }
    }
    return -EBADMSG;
}

struct field {
    uint64_t number;
    unsigned wire;
    uint64_t value;     /* of a varint */
    struct slice bytes; /* of a length-delimited field */
};

/* The next field, with its content whatever it is. 0 or -EBADMSG. */
static int take_field(struct slice *from, struct field *ret_field)
{
    struct field field = {0};
    uint64_t key, skip = 0;

    if (take_varint(from, &key) < 0)
        return -EBADMSG;
    field.number = key >> 3;
    field.wire = key & 7;
    if (field.number == 0 || field.number > 0x1fffffff)
        return -EBADMSG;
    if (field.wire == WIRE_VARINT) {
        if (take_varint(from, &field.value) < 0)
            return -EBADMSG;
    } else if (field.wire == WIRE_BYTES) {
        if (take_varint(from, &skip) < 0)
            return -EBADMSG;
    } else if (field.wire == WIRE_FIXED64 || field.wire == WIRE_FIXED32) {
        skip = field.wire == WIRE_FIXED64 ? 8 : 4;
    } else {
        return -EBADMSG; /* groups, and what does not exist */
    }
    if (skip > from->len)
        return -EBADMSG;
    field.bytes = slice_take(*from, (size_t)skip);
    *from = slice_skip(*from, (size_t)skip);
    *ret_field = field;
    return 0;
}

/* SessionProtocol. Of a oneof the last member counts. */
static int read_session(struct slice message, uint8_t *session)
{
    struct field field;

    while (message.len) {
        if (take_field(&message, &field) < 0)
            return -EBADMSG;
        if ((field.number == 1 || field.number == 2) && field.wire != WIRE_BYTES)
            return -EBADMSG;
        if (field.number == 1)
            *session = TRANSPORT_HTTP1;
        else if (field.number == 2)
            *session = TRANSPORT_HTTP2;
    }
    return 0;
}

static int read_message(struct slice message, struct transport_header *ret_header)
{
    struct transport_header header = {0};
    struct field field;
    uint64_t port = 0;

    while (message.len) {
        if (take_field(&message, &field) < 0)
            return -EBADMSG;
        if (field.number <= 3 && field.wire != (field.number == 1 ? WIRE_VARINT : WIRE_BYTES))
            return -EBADMSG;
        if (field.number == 1)
            port = field.value;
        else if (field.number == 2)
            header.name = field.bytes;
        else if (field.number == 3 && read_session(field.bytes, &header.session) < 0)
            return -EBADMSG;
    }
    if (port == 0 || port > UINT16_MAX || !is_name(header.name))
        return -EBADMSG;
    header.port = (uint16_t)port;
    *ret_header = header;
    return 0;
}

ssize_t transport_header_decode(struct slice bytes, struct transport_header *ret_header)
{
    struct slice preface = PREFACE, rest;
    size_t len = 0;

    if (!slice_eq(slice_take(bytes, PREFACE_LEN), slice_take(preface, bytes.len)))
        return -ENOMSG;
    if (bytes.len < PREFACE_LEN + LENGTH_LEN)
        return 0;
    rest = slice_skip(bytes, PREFACE_LEN);
    for (int i = 0; i < LENGTH_LEN; i++)
        len = len << 8 | (unsigned char)rest.ptr[i];
    if (len > LIMIT_TRANSPORT_HEADER && !mutation("transport-header-without-limit"))
        return -EMSGSIZE;
    rest = slice_skip(rest, LENGTH_LEN);
    if (rest.len < len)
        return 0;
    if (read_message(slice_take(rest, len), ret_header) < 0)
        return -EBADMSG;
    return (ssize_t)(PREFACE_LEN + LENGTH_LEN + len);
}
