#include "api/dump.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "api/wire.h"
#include "base/duration.h"
#include "base/ip.h"
#include "base/limits.h"
#include "google/protobuf/duration.pb-c.h"
#include "inbound.pb-c.h"
#include "net.pb-c.h"
#include "outbound.pb-c.h"

struct dump {
    struct buffer *out;
    enum dump_form form;
};

/* Depth is bounded: nothing is unpacked that nests deeper than LIMIT_PROTOBUF_DEPTH. */
static void put_object(struct dump *d, const ProtobufCMessage *message, unsigned depth, bool inline_first);

static const void *at(const ProtobufCMessage *message, size_t offset)
{
    return (const char *)message + offset;
}

static size_t count_of(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    return *(const size_t *)at(message, field->quantifier_offset);
}

static size_t size_of(ProtobufCType type)
{
    switch (type) {
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return 8;
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    default:
        return 4;
    }
}

/* What proto3 does not send when it is this. */
static bool is_default(ProtobufCType type, const void *value)
{
    static const char zero[8];

    if (type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(char *const *)value;

        return !text || !*text;
    }
    if (type == PROTOBUF_C_TYPE_MESSAGE)
        return !*(ProtobufCMessage *const *)value;
    if (type == PROTOBUF_C_TYPE_BYTES)
        return ((const ProtobufCBinaryData *)value)->len == 0;
    return memcmp(value, zero, size_of(type)) == 0;
}

static bool is_set(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return count_of(message, field) > 0;
    if (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF)
        return *(const uint32_t *)at(message, field->quantifier_offset) == field->id;
    return !is_default(field->type, at(message, field->offset));
}

static unsigned fields_set(const ProtobufCMessage *message)
{
    unsigned count = 0;

    for (unsigned i = 0; i < message->descriptor->n_fields; i++)
        count += is_set(message, &message->descriptor->fields[i]);
    return count;
}

static void indent(struct dump *d, unsigned depth)
{
    for (unsigned i = 0; i < depth; i++)
        buffer_add_lit(d->out, "  ");
}

/* --- values on one line --- */

static void put_duration(struct dump *d, const Google__Protobuf__Duration *from)
{
    char text[DURATION_TEXT_MAX];

    buffer_add_json(d->out, slice_str(duration_format(from->seconds * NS_PER_S + from->nanos, text)));
}

static void put_ip(struct dump *d, const Net__IPAddress *from)
{
    char text[IP_TEXT_MAX];
    struct ip ip = {.version = 0};
    uint8_t bytes[16];

    if (from->ip_case == NET__IPADDRESS__IP_IPV4)
        ip = ip_v4(from->ipv4);
    else if (from->ip_case == NET__IPADDRESS__IP_IPV6 && from->ipv6) {
        for (int i = 0; i < 16; i++)
            bytes[i] = (uint8_t)((i < 8 ? from->ipv6->first : from->ipv6->last) >> (56 - i % 8 * 8));
        ip = ip_v6(bytes);
    }
    if (ip.version)
        buffer_printf(d->out, "\"%s\"", ip_format(ip, text));
    else
        buffer_add_lit(d->out, "\"\"");
}

static void put_enum(struct dump *d, const ProtobufCEnumDescriptor *type, uint32_t value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, (int)value);

    if (found)
        buffer_printf(d->out, "\"%s\"", found->name);
    else
        buffer_printf(d->out, "%" PRIu32, value);
}

static void put_number(struct dump *d, const ProtobufCFieldDescriptor *field, const void *value)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        buffer_printf(d->out, "%s", *(const protobuf_c_boolean *)value ? "true" : "false");
        break;
    case PROTOBUF_C_TYPE_FLOAT:
        buffer_printf(d->out, "%g", (double)*(const float *)value);
        break;
    case PROTOBUF_C_TYPE_DOUBLE:
        buffer_printf(d->out, "%g", *(const double *)value);
        break;
    case PROTOBUF_C_TYPE_ENUM:
        put_enum(d, field->descriptor, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buffer_printf(d->out, "%" PRIu32, *(const uint32_t *)value);
        break;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
        buffer_printf(d->out, "%" PRId64, *(const int64_t *)value);
        break;
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buffer_printf(d->out, "%" PRIu64, *(const uint64_t *)value);
        break;
    default:
        buffer_printf(d->out, "%" PRId32, *(const int32_t *)value);
        break;
    }
}

/* True if the value was written on this line, behind a space where the form wants one. */
static bool put_flat(struct dump *d, const ProtobufCFieldDescriptor *field, const void *value)
{
    if (field->type == PROTOBUF_C_TYPE_STRING) {
        const char *text = *(char *const *)value;

        buffer_add_json(d->out, slice_str(text ? text : ""));
    } else if (field->type == PROTOBUF_C_TYPE_BYTES) {
        const ProtobufCBinaryData *bytes = value;

        buffer_add_json(d->out, slice_of((const char *)bytes->data, bytes->len));
    } else if (field->type != PROTOBUF_C_TYPE_MESSAGE) {
        put_number(d, field, value);
    } else {
        const ProtobufCMessage *message = *(ProtobufCMessage *const *)value;

        if (!message)
            buffer_add_lit(d->out, "{}");
        else if (message->descriptor == &google__protobuf__duration__descriptor)
            put_duration(d, (const Google__Protobuf__Duration *)message);
        else if (message->descriptor == &net__ipaddress__descriptor)
            put_ip(d, (const Net__IPAddress *)message);
        else if (!fields_set(message))
            buffer_add_lit(d->out, "{}");
        else
            return false;
    }
    return true;
}

/* --- nesting --- */

static bool is_map(const ProtobufCFieldDescriptor *field)
{
    const ProtobufCMessageDescriptor *entry = field->type == PROTOBUF_C_TYPE_MESSAGE ? field->descriptor : NULL;

    return entry && field->label == PROTOBUF_C_LABEL_REPEATED && entry->n_fields == 2 &&
           strcmp(entry->fields[0].name, "key") == 0 && strcmp(entry->fields[1].name, "value") == 0;
}

/* Maps of this API are of text to text. */
static void put_map(struct dump *d, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, unsigned depth)
{
    ProtobufCMessage *const *entries = *(ProtobufCMessage *const *const *)at(message, field->offset);
    size_t count = count_of(message, field);

    buffer_printf(d->out, d->form == DUMP_JSON ? "{\n" : "\n");
    for (size_t i = 0; i < count; i++) {
        const ProtobufCFieldDescriptor *pair = entries[i]->descriptor->fields;

        indent(d, depth + 1);
        put_flat(d, &pair[0], at(entries[i], pair[0].offset));
        buffer_add_lit(d->out, ": ");
        put_flat(d, &pair[1], at(entries[i], pair[1].offset));
        buffer_printf(d->out, d->form == DUMP_JSON && i + 1 < count ? ",\n" : "\n");
    }
    if (d->form == DUMP_JSON) {
        indent(d, depth);
        buffer_add_byte(d->out, '}');
    }
}

static void put_list(struct dump *d, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, unsigned depth)
{
    const char *items = *(const char *const *)at(message, field->offset);
    size_t count = count_of(message, field);

    buffer_printf(d->out, d->form == DUMP_JSON ? "[\n" : "\n");
    for (size_t i = 0; i < count; i++) {
        const void *item = items + i * size_of(field->type);

        indent(d, d->form == DUMP_JSON ? depth + 1 : depth);
        if (d->form == DUMP_YAML)
            buffer_add_lit(d->out, "- ");
        if (!put_flat(d, field, item))
            put_object(d, *(ProtobufCMessage *const *)item, depth + 1, true);
        else if (d->form == DUMP_YAML)
            buffer_add_byte(d->out, '\n');
        if (d->form == DUMP_JSON)
            buffer_printf(d->out, i + 1 < count ? ",\n" : "\n");
    }
    if (d->form == DUMP_JSON) {
        indent(d, depth);
        buffer_add_byte(d->out, ']');
    }
}

/* Behind "name:". In YAML it ends the line. */
static void put_value(struct dump *d, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, unsigned depth)
{
    const void *value = at(message, field->offset);
    size_t before = d->out->len;

    if (d->form == DUMP_JSON)
        buffer_add_byte(d->out, ' ');
    if (is_map(field)) {
        put_map(d, message, field, depth);
        return;
    }
    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        put_list(d, message, field, depth);
        return;
    }
    if (d->form == DUMP_YAML)
        buffer_add_byte(d->out, ' ');
    if (put_flat(d, field, value)) {
        if (d->form == DUMP_YAML)
            buffer_add_byte(d->out, '\n');
        return;
    }
    if (d->form == DUMP_YAML && d->out->len > before)
        d->out->data[d->out->len - 1] = '\n';
    put_object(d, *(ProtobufCMessage *const *)value, d->form == DUMP_YAML ? depth + 1 : depth, false);
}

/* In YAML the first field of a list's item stands on the line of its dash. In JSON `depth` is that of the brace. */
static void put_object(struct dump *d, const ProtobufCMessage *message, unsigned depth, bool inline_first)
{
    unsigned left = fields_set(message);

    if (d->form == DUMP_JSON)
        buffer_add_lit(d->out, "{\n");
    for (unsigned i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];

        if (!is_set(message, field))
            continue;
        if (d->form == DUMP_JSON)
            indent(d, depth + 1);
        else if (!inline_first)
            indent(d, depth);
        inline_first = false;
        buffer_printf(d->out, d->form == DUMP_JSON ? "\"%s\":" : "%s:", field->name);
        put_value(d, message, field, d->form == DUMP_JSON ? depth + 1 : depth);
        if (d->form == DUMP_JSON)
            buffer_printf(d->out, --left ? ",\n" : "\n");
    }
    if (d->form == DUMP_JSON) {
        indent(d, depth);
        buffer_add_byte(d->out, '}');
    }
}

int message_dump(enum dump_type type, struct slice message, enum dump_form form, struct errmsg *msg, struct buffer *out)
{
    static const ProtobufCMessageDescriptor *const types[] = {
        [DUMP_OUTBOUND_POLICY] = &outbound__outbound_policy__descriptor,
        [DUMP_SERVER] = &inbound__server__descriptor,
    };
    struct dump d = {out, form};
    struct arena scratch;
    ProtobufCMessage *wire;
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(types[type], message, &scratch, msg, &wire);
    if (r == 0) {
        put_object(&d, wire, 0, false);
        if (form == DUMP_JSON)
            buffer_add_byte(out, '\n');
        r = buffer_error(out);
    }
    arena_release(&scratch);
    return r;
}
