#include "api/convert.h"

#include <stdlib.h>
#include <string.h>

#include "api/wire.h"
#include "base/duration.h"

/* Longer spans are as good as this one, and can be added to any clock. */
static const int64_t longest_s = INT64_C(100) * 365 * 24 * 3600;

/* --- decoding --- */

int take_bytes(struct decoder *d, ProtobufCBinaryData from, struct slice *ret_bytes)
{
    *ret_bytes = arena_dup(d->arena, slice_of(from.data, from.len));
    return ret_bytes->ptr ? 0 : errmsg_set(d->msg, -ENOMEM, "no memory");
}

int take_text(struct decoder *d, const char *from, struct slice *ret_text)
{
    *ret_text = from[0] ? arena_dup(d->arena, slice_str(from)) : SLICE_LIT("");
    return ret_text->ptr ? 0 : errmsg_set(d->msg, -ENOMEM, "no memory");
}

int take_texts(struct decoder *d, const char **from, size_t n, struct slice **ret_texts, size_t *ret_count)
{
    return TAKE_LIST(d, "strings", take_text, from, n, *ret_texts, *ret_count);
}

int take_duration(struct decoder *d, const char *name, const Google__Protobuf__Duration *from, int64_t *ret_ns)
{
    if (!from)
        return 0;
    if (from->seconds < 0 || from->nanos < 0 || from->nanos >= NS_PER_S)
        return errmsg_set(d->msg, -EPROTO, "%s: %lld s and %d ns is no duration", name, (long long)from->seconds,
                          (int)from->nanos);
    *ret_ns = from->seconds >= longest_s ? longest_s * NS_PER_S : from->seconds * NS_PER_S + from->nanos;
    return 0;
}

static void put_be64(uint8_t out[8], uint64_t value)
{
    for (int i = 0; i < 8; i++)
        out[i] = (uint8_t)(value >> (56 - 8 * i));
}

static uint64_t get_be64(const uint8_t in[8])
{
    uint64_t value = 0;

    for (int i = 0; i < 8; i++)
        value = value << 8 | in[i];
    return value;
}

int take_ip(struct decoder *d, const Net__IPAddress *from, struct ip *ret_ip)
{
    uint8_t bytes[16];

    switch (from ? from->ip_case : NET__IPADDRESS__IP__NOT_SET) {
    case NET__IPADDRESS__IP_IPV4:
        *ret_ip = ip_v4(from->ipv4);
        return 0;
    case NET__IPADDRESS__IP_IPV6:
        put_be64(bytes, from->ipv6->first);
        put_be64(bytes + 8, from->ipv6->last);
        *ret_ip = ip_v6(bytes);
        return 0;
    default:
        return errmsg_set(d->msg, -EPROTO, "ip: missing");
    }
}

int take_addr(struct decoder *d, const Net__TcpAddress *from, struct addr *ret_addr)
{
    int r;

    if (!from)
        return errmsg_set(d->msg, -EPROTO, "addr: missing");
    r = take_ip(d, from->ip, &ret_addr->ip);
    if (r < 0)
        return r;
    if (from->port == 0 || from->port > UINT16_MAX)
        return errmsg_set(d->msg, -EPROTO, "port: %u is not in 1 to 65535", (unsigned)from->port);
    ret_addr->port = (uint16_t)from->port;
    return 0;
}

/* A network of IPv4 addresses inside IPv6 is a network of IPv4 addresses, as struct ip has it. */
int take_cidr(struct decoder *d, const Net__IPNetwork *from, struct cidr *ret_net)
{
    bool v6 = from && from->ip && from->ip->ip_case == NET__IPADDRESS__IP_IPV6;
    uint32_t prefix = from ? from->prefix_len : 0;
    struct ip ip;
    int r;

    if (!from)
        return errmsg_set(d->msg, -EPROTO, "net: missing");
    r = take_ip(d, from->ip, &ip);
    if (r < 0)
        return r;
    if (prefix > (v6 ? 128u : 32u) || (v6 && ip.version == 4 && prefix < 96))
        return errmsg_set(d->msg, -EPROTO, "prefix_len: %u is too long or too short for its address", (unsigned)prefix);
    if (v6 && ip.version == 4)
        prefix -= 96;
    for (unsigned bit = prefix; bit < (ip.version == 4 ? 32u : 128u); bit++)
        ip.bytes[bit / 8] &= (uint8_t)~(0x80 >> bit % 8);
    *ret_net = (struct cidr){ip, (uint8_t)prefix};
    return 0;
}

static int take_resource(struct decoder *d, const Meta__Resource *from, struct metadata *ret)
{
    int r = 0;

    ret->kind = METADATA_RESOURCE;
    ret->port = from->port > UINT16_MAX ? 0 : (uint16_t)from->port;
    if ((r = take_text(d, from->group, &ret->group)) < 0 || (r = take_text(d, from->kind, &ret->resource_kind)) < 0 ||
        (r = take_text(d, from->name, &ret->name)) < 0 || (r = take_text(d, from->namespace_, &ret->namespace)) < 0)
        return r;
    return take_text(d, from->section, &ret->section);
}

int take_metadata(struct decoder *d, const Meta__Metadata *from, struct metadata *ret)
{
    *ret = (struct metadata){.kind = METADATA_NONE};
    if (!from)
        return 0;
    switch (from->kind_case) {
    case META__METADATA__KIND_DEFAULT:
        ret->kind = METADATA_DEFAULT;
        return take_text(d, from->default_, &ret->name);
    case META__METADATA__KIND_RESOURCE:
        return take_resource(d, from->resource, ret);
    default:
        return errmsg_set(d->msg, -EPROTO, "metadata: neither default nor resource");
    }
}

int take_label(struct decoder *d, const char *key, const char *value, struct label *ret_label)
{
    int r = take_text(d, key, &ret_label->name);

    return r < 0 ? r : take_text(d, value, &ret_label->value);
}

/* Merges runs of `width` from `from` to `to`; stable, so that of equal names the last stays last. */
static void merge_runs(const struct label *from, struct label *to, size_t count, size_t width)
{
    for (size_t start = 0; start < count; start += 2 * width) {
        size_t middle = start + width < count ? start + width : count;
        size_t end = start + 2 * width < count ? start + 2 * width : count;
        size_t a = start, b = middle;

        for (size_t at = start; at < end; at++) {
            if (b >= end || (a < middle && slice_cmp(from[a].name, from[b].name) <= 0))
                to[at] = from[a++];
            else
                to[at] = from[b++];
        }
    }
}

static void insertion_sort(struct label *items, size_t count)
{
    for (size_t i = 1; i < count; i++) {
        struct label moved = items[i];
        size_t at = i;

        for (; at > 0 && slice_cmp(items[at - 1].name, moved.name) > 0; at--)
            items[at] = items[at - 1];
        items[at] = moved;
    }
}

void labels_sort(struct labels *labels)
{
    size_t kept = 0;
    struct label *room = labels->count > 16 ? calloc(labels->count, sizeof(*room)) : NULL;

    if (!room) { /* few labels, as always but in an attack; without memory it is slow but right */
        insertion_sort(labels->items, labels->count);
    } else {
        for (size_t width = 1; width < labels->count; width *= 2) {
            merge_runs(labels->items, room, labels->count, width);
            memcpy(labels->items, room, labels->count * sizeof(*room));
        }
        free(room);
    }
    for (size_t i = 0; i < labels->count; i++) {
        if (i + 1 < labels->count && slice_eq(labels->items[i].name, labels->items[i + 1].name))
            continue;
        labels->items[kept++] = labels->items[i];
    }
    labels->count = kept;
}

/* --- what text may be --- */

static bool is_alnum(unsigned char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool text_is_token(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum((unsigned char)text.ptr[i]) && (!text.ptr[i] || !strchr("!#$%&'*+-.^_`|~", text.ptr[i])))
            return false;
    return text.len > 0;
}

bool text_is_field_value(struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c < 0x20 && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

bool text_is_dns_name(struct slice text)
{
    size_t label = 0;

    if (text.len > 0 && text.ptr[text.len - 1] == '.')
        text.len--;
    if (text.len == 0 || text.len > 253)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '.' && label == 0)
            return false;
        label = c == '.' ? 0 : label + 1;
        if (label > 63 || (c != '.' && c != '-' && c != '_' && !is_alnum(c)))
            return false;
    }
    return label > 0;
}

bool text_is_authority(struct slice text)
{
    for (size_t i = 0; i < text.len; i++)
        if (!is_alnum((unsigned char)text.ptr[i]) && (!text.ptr[i] || !strchr("-._~:[]%", text.ptr[i])))
            return false;
    return text.len > 0;
}

/* --- encoding --- */

void *give_memory(struct encoder *e, size_t count, size_t size)
{
    void *memory = e->error ? NULL : arena_zalloc(e->arena, count, size);

    if (!memory && !e->error)
        e->error = errmsg_set(e->msg, -ENOMEM, "no memory to encode");
    return memory;
}

/* Not protobuf_c_empty_string: protobuf-c leaves a member of a oneof out when its pointer is that one. */
static const char empty[] = "";

const char *give_text(struct encoder *e, struct slice text)
{
    struct slice copy;

    if (text.len == 0 || e->error)
        return empty;
    if (slice_find(text, '\0') < text.len || !slice_is_utf8(text)) {
        e->error = errmsg_set(e->msg, -EINVAL, "text that is not UTF-8 or holds a NUL cannot be sent");
        return empty;
    }
    copy = arena_dup(e->arena, text); /* with a NUL behind it */
    if (copy.ptr)
        return copy.ptr;
    e->error = errmsg_set(e->msg, -ENOMEM, "no memory to encode");
    return empty;
}

ProtobufCBinaryData give_bytes(struct slice bytes)
{
    return (ProtobufCBinaryData){bytes.len, (uint8_t *)(uintptr_t)bytes.ptr};
}

void give_texts(struct encoder *e, const struct slice *texts, size_t count, const char ***ret_texts, size_t *ret_n)
{
    *ret_texts = count ? give_memory(e, count, sizeof(**ret_texts)) : NULL;
    *ret_n = *ret_texts ? count : 0;
    for (size_t i = 0; i < *ret_n; i++)
        (*ret_texts)[i] = give_text(e, texts[i]);
}

Google__Protobuf__Duration *give_duration_always(struct encoder *e, int64_t ns)
{
    Google__Protobuf__Duration *duration = GIVE(e, Google__Protobuf__Duration, google__protobuf__duration);

    if (duration) {
        duration->seconds = ns / NS_PER_S;
        duration->nanos = (int32_t)(ns % NS_PER_S);
    }
    return duration;
}

Google__Protobuf__Duration *give_duration(struct encoder *e, int64_t ns)
{
    return ns ? give_duration_always(e, ns) : NULL;
}

Net__IPAddress *give_ip(struct encoder *e, const struct ip *ip)
{
    Net__IPAddress *to = GIVE(e, Net__IPAddress, net__ipaddress);

    if (!to)
        return NULL;
    if (ip->version == 4) {
        to->ip_case = NET__IPADDRESS__IP_IPV4;
        to->ipv4 = (uint32_t)(get_be64(ip->bytes) >> 32);
    } else if (ip->version == 6) {
        to->ip_case = NET__IPADDRESS__IP_IPV6;
        to->ipv6 = GIVE(e, Net__IPv6, net__ipv6);
        if (to->ipv6) {
            to->ipv6->first = get_be64(ip->bytes);
            to->ipv6->last = get_be64(ip->bytes + 8);
        }
    }
    return to;
}

Net__TcpAddress *give_addr(struct encoder *e, const struct addr *addr)
{
    Net__TcpAddress *to = GIVE(e, Net__TcpAddress, net__tcp_address);

    if (to) {
        to->ip = give_ip(e, &addr->ip);
        to->port = addr->port;
    }
    return to;
}

Net__IPNetwork *give_cidr(struct encoder *e, const struct cidr *net)
{
    Net__IPNetwork *to = GIVE(e, Net__IPNetwork, net__ipnetwork);

    if (to) {
        to->ip = give_ip(e, &net->ip);
        to->prefix_len = net->prefix;
    }
    return to;
}

static Meta__Resource *give_resource(struct encoder *e, const struct metadata *metadata)
{
    Meta__Resource *to = GIVE(e, Meta__Resource, meta__resource);

    if (!to)
        return NULL;
    to->group = give_text(e, metadata->group);
    to->kind = give_text(e, metadata->resource_kind);
    to->name = give_text(e, metadata->name);
    to->namespace_ = give_text(e, metadata->namespace);
    to->section = give_text(e, metadata->section);
    to->port = metadata->port;
    return to;
}

Meta__Metadata *give_metadata(struct encoder *e, const struct metadata *metadata)
{
    Meta__Metadata *to = metadata->kind == METADATA_NONE ? NULL : GIVE(e, Meta__Metadata, meta__metadata);

    if (!to)
        return NULL;
    if (metadata->kind == METADATA_DEFAULT) {
        to->kind_case = META__METADATA__KIND_DEFAULT;
        to->default_ = give_text(e, metadata->name);
    } else {
        to->kind_case = META__METADATA__KIND_RESOURCE;
        to->resource = give_resource(e, metadata);
    }
    return to;
}

int give_end(struct encoder *e, const ProtobufCMessage *message, struct buffer *out)
{
    int r = e->error;

    if (r == 0)
        r = wire_pack(message, out);
    if (r < 0 && !e->error)
        errmsg_set(e->msg, r, "no room for the encoded message");
    return r;
}
