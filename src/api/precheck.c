#include "api/precheck.h"

#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/limits.h"

enum wire_type { WIRE_VARINT = 0, WIRE_64 = 1, WIRE_BYTES = 2, WIRE_32 = 5 };

enum { FIELD_NUMBER_MAX = (1 << 29) - 1 };

/* Of at most `most` bytes: 5 for tags and lengths, as protobuf-c has it. */
static bool take_varint(struct slice *rest, unsigned most, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (unsigned i = 0; i < most && i < rest->len; i++) {
        uint8_t byte = (uint8_t)rest->ptr[i];

        if (i == 9 && byte > 1)
            return false;
        value |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *rest = slice_skip(*rest, i + 1);
            *ret_value = value;
            return true;
        }
    }
    return false;
}

/* Takes the value behind a tag off; *ret_bytes is set for WIRE_BYTES only. */
static bool take_value(struct slice *rest, unsigned wire, struct slice *ret_bytes)
{
    uint64_t number;
    size_t len;

    switch (wire) {
    case WIRE_VARINT:
        return take_varint(rest, 10, &number);
    case WIRE_64:
    case WIRE_32:
        len = wire == WIRE_64 ? 8 : 4;
        if (rest->len < len)
            return false;
        *rest = slice_skip(*rest, len);
        return true;
    case WIRE_BYTES:
        if (!take_varint(rest, 5, &number) || number > rest->len)
            return false;
        *ret_bytes = slice_take(*rest, (size_t)number);
        *rest = slice_skip(*rest, (size_t)number);
        return true;
    default:
        return false; /* groups, and two values that mean nothing */
    }
}

/* The fields of a descriptor are sorted by number. */
static const ProtobufCFieldDescriptor *find_field(const ProtobufCMessageDescriptor *type, uint64_t number)
{
    size_t low = 0, high = type->n_fields;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (type->fields[middle].id == number)
            return &type->fields[middle];
        if (type->fields[middle].id < number)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

static unsigned wire_type_of(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        return WIRE_32;
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return WIRE_64;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_BYTES:
    case PROTOBUF_C_TYPE_MESSAGE:
        return WIRE_BYTES;
    default:
        return WIRE_VARINT;
    }
}

static int check_message(const ProtobufCMessageDescriptor *type, struct slice rest, unsigned depth, struct errmsg *msg);

/* `seen` has a bit for each field of the message that was met; of 64 fields, more than any message has. */
static bool seen_before(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field, uint64_t *seen)
{
    uint64_t bit = UINT64_C(1) << ((size_t)(field - type->fields) % 64);
    bool before = *seen & bit;

    *seen |= bit;
    return before;
}

static int check_field(const ProtobufCMessageDescriptor *type, const ProtobufCFieldDescriptor *field, unsigned wire,
                       struct slice bytes, unsigned depth, struct errmsg *msg)
{
    if (wire != wire_type_of(field))
        return errmsg_set(msg, -EBADMSG, "%s.%s: encoded as another type", type->short_name, field->name);
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return check_message(field->descriptor, bytes, depth + 1, msg);
    if (field->type != PROTOBUF_C_TYPE_STRING)
        return 0;
    if (slice_find(bytes, '\0') < bytes.len)
        return errmsg_set(msg, -EBADMSG, "%s.%s: holds a NUL", type->short_name, field->name);
    if (!slice_is_utf8(bytes))
        return errmsg_set(msg, -EBADMSG, "%s.%s: is not UTF-8", type->short_name, field->name);
    return 0;
}

static int check_message(const ProtobufCMessageDescriptor *type, struct slice rest, unsigned depth, struct errmsg *msg)
{
    uint64_t seen = 0;

    if (depth > LIMIT_PROTOBUF_DEPTH)
        return errmsg_set(msg, -EBADMSG, "%s: nested deeper than %d", type->short_name, LIMIT_PROTOBUF_DEPTH);
    assert(type->n_fields <= 64);
    while (rest.len > 0) {
        const ProtobufCFieldDescriptor *field;
        struct slice bytes = SLICE_NULL;
        uint64_t tag;
        int r;

        if (!take_varint(&rest, 5, &tag) || tag >> 3 == 0 || tag >> 3 > FIELD_NUMBER_MAX)
            return errmsg_set(msg, -EBADMSG, "%s: malformed tag", type->short_name);
        if (!take_value(&rest, tag & 7, &bytes))
            return errmsg_set(msg, -EBADMSG, "%s: malformed or cut off in field %llu", type->short_name,
                              (unsigned long long)(tag >> 3));
        field = find_field(type, tag >> 3);
        if (!field)
            continue;
        if (seen_before(type, field, &seen) && field->type == PROTOBUF_C_TYPE_MESSAGE &&
            field->label != PROTOBUF_C_LABEL_REPEATED)
            return errmsg_set(msg, -EBADMSG, "%s.%s: there twice", type->short_name, field->name);
        r = check_field(type, field, tag & 7, bytes, depth, msg);
        if (r < 0)
            return r;
    }
    return 0;
}

int precheck(const ProtobufCMessageDescriptor *type, struct slice bytes, struct errmsg *msg)
{
    if (bytes.len > LIMIT_GRPC_MESSAGE)
        return errmsg_set(msg, -EBADMSG, "%s: %zu bytes, more than %d", type->short_name, bytes.len, LIMIT_GRPC_MESSAGE);
    return check_message(type, bytes, 1, msg);
}
