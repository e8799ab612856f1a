#include "codec/dns.h"

#include <errno.h>

enum { LABEL_MAX = 63, POINTER = 0xc0, OPT_LEN = 11, RECORD_HEAD = 10 };
enum { FLAG_RESPONSE = 0x8000, FLAG_AUTHORITATIVE = 0x0400, FLAG_TRUNCATED = 0x0200, FLAG_RECURSE = 0x0100 };

/* --- reading --- */

struct reader {
    const uint8_t *at, *end;
};

static uint16_t get16(const uint8_t *at)
{
    return (uint16_t)(at[0] << 8 | at[1]);
}

static size_t left(const struct reader *reader)
{
    return (size_t)(reader->end - reader->at);
}

/* A name without pointers, copied with its last zero. */
static int read_name(struct reader *reader, uint8_t name[DNS_NAME_MAX], size_t *ret_len)
{
    size_t len = 0;

    while (left(reader) > 0) {
        size_t label = reader->at[0];

        if (label > LABEL_MAX || left(reader) < label + 1 || len + label + 1 > DNS_NAME_MAX)
            return -EINVAL;
        memcpy(name + len, reader->at, label + 1);
        len += label + 1;
        reader->at += label + 1;
        if (label == 0) {
            *ret_len = len;
            return 0;
        }
    }
    return -EINVAL;
}

/* Past a name that may end in a pointer, which is not followed. */
static int skip_name(struct reader *reader)
{
    while (left(reader) > 0) {
        size_t label = reader->at[0];

        if ((label & POINTER) == POINTER) {
            if (left(reader) < 2)
                return -EINVAL;
            reader->at += 2;
            return 0;
        }
        if (label > LABEL_MAX || left(reader) < label + 1)
            return -EINVAL;
        reader->at += label + 1;
        if (label == 0)
            return 0;
    }
    return -EINVAL;
}

/* One record behind the question: only OPT matters, and may stand there once. */
static int read_record(struct reader *reader, struct dns_query *query)
{
    bool root = left(reader) > 0 && reader->at[0] == 0;
    uint16_t type, size, data;
    const uint8_t *head;

    if (skip_name(reader) < 0 || left(reader) < RECORD_HEAD)
        return -EINVAL;
    head = reader->at;
    type = get16(head);
    size = get16(head + 2);
    data = get16(head + 8);
    reader->at += RECORD_HEAD;
    if (left(reader) < data)
        return -EINVAL;
    reader->at += data;
    if (type != DNS_OPT)
        return 0;
    if (!root || query->edns)
        return -EINVAL;
    query->edns = true;
    query->edns_version = head[5];
    query->udp_size = size < DNS_UDP_PLAIN ? DNS_UDP_PLAIN : size;
    return 0;
}

int dns_query_read(struct slice message, struct dns_query *ret_query)
{
    const uint8_t *bytes = (const uint8_t *)message.ptr;
    struct reader reader = {bytes + DNS_HEADER, bytes + message.len};
    struct dns_query query = {.udp_size = DNS_UDP_PLAIN};
    unsigned records;

    if (message.len < DNS_HEADER || (get16(bytes + 2) & FLAG_RESPONSE))
        return -EBADMSG;
    query.id = get16(bytes);
    query.opcode = bytes[2] >> 3 & 15;
    query.recursion_desired = get16(bytes + 2) & FLAG_RECURSE;
    *ret_query = query;
    if (query.opcode != 0)
        return 0; /* its form is its own; the answer is NOTIMP */
    if (get16(bytes + 4) != 1 || get16(bytes + 6) != 0 || read_name(&reader, query.name, &query.name_len) < 0 || left(&reader) < 4)
        return -EINVAL;
    query.type = get16(reader.at);
    query.class = get16(reader.at + 2);
    reader.at += 4;
    *ret_query = query;
    records = get16(bytes + 8) + get16(bytes + 10);
    for (unsigned i = 0; i < records; i++) /* each takes at least eleven bytes, so the message bounds them */
        if (read_record(&reader, &query) < 0)
            return -EINVAL;
    *ret_query = query;
    return 0;
}

static bool is_plain(uint8_t byte)
{
    return (byte >= 'a' && byte <= 'z') || (byte >= '0' && byte <= '9') || byte == '-' || byte == '_';
}

int dns_query_text(const struct dns_query *query, char ret_text[DNS_TEXT_MAX])
{
    size_t at = 0, len = 0;

    while (at < query->name_len && query->name[at]) {
        size_t label = query->name[at++];

        if (len)
            ret_text[len++] = '.';
        for (; label > 0; label--) {
            uint8_t byte = query->name[at++];

            if (byte >= 'A' && byte <= 'Z')
                byte |= 0x20;
            if (!is_plain(byte))
                return -EINVAL;
            ret_text[len++] = (char)byte;
        }
    }
    ret_text[len] = '\0';
    return 0;
}

/* --- writing --- */

static void put16(uint8_t *at, unsigned value)
{
    at[0] = (uint8_t)(value >> 8);
    at[1] = (uint8_t)value;
}

static void put32(uint8_t *at, uint32_t value)
{
    put16(at, value >> 16);
    put16(at + 2, value & 0xffff);
}

/* Text to wire form. Its length, or -EINVAL. */
static int encode_name(struct slice text, uint8_t out[DNS_NAME_MAX])
{
    struct slice rest = text, label;
    size_t len = 0;

    while (rest.len && slice_split(&rest, '.', &label)) {
        if (!label.len || label.len > LABEL_MAX || len + label.len + 2 > DNS_NAME_MAX)
            return -EINVAL;
        out[len++] = (uint8_t)label.len;
        memcpy(out + len, label.ptr, label.len);
        len += label.len;
    }
    out[len++] = 0;
    return (int)len;
}

int dns_query_write(uint16_t id, struct slice name, uint16_t type, uint16_t udp_size, uint8_t *room, size_t size)
{
    uint8_t wire[DNS_NAME_MAX];
    int len = encode_name(name, wire);
    size_t total = DNS_HEADER + (size_t)(len < 0 ? 0 : len) + 4 + (udp_size ? OPT_LEN : 0);

    if (len < 0)
        return len;
    if (total > size)
        return -ENOBUFS;
    memset(room, 0, total);
    put16(room, id);
    put16(room + 2, FLAG_RECURSE);
    put16(room + 4, 1);
    put16(room + 10, udp_size ? 1 : 0);
    memcpy(room + DNS_HEADER, wire, (size_t)len);
    put16(room + DNS_HEADER + len, type);
    put16(room + DNS_HEADER + len + 2, DNS_CLASS_IN);
    if (udp_size) {
        put16(room + total - OPT_LEN + 1, DNS_OPT);
        put16(room + total - OPT_LEN + 3, udp_size);
    }
    return (int)total;
}

void dns_answer_init(struct dns_answer *answer, const struct dns_query *query, uint8_t *room, size_t size)
{
    *answer = (struct dns_answer){.query = query, .room = room, .size = size, .len = DNS_HEADER};
    if (!query->name_len)
        return;
    memcpy(room + DNS_HEADER, query->name, query->name_len);
    put16(room + DNS_HEADER + query->name_len, query->type);
    put16(room + DNS_HEADER + query->name_len + 2, query->class);
    answer->len += query->name_len + 4;
}

/* A record in order of the sections; one that does not fit sets TC, which makes askers of UDP come back over TCP. */
static void put_record(struct dns_answer *answer, enum dns_section section, struct slice owner, enum dns_type type, uint32_t ttl_s,
                       const uint8_t *data, size_t data_len)
{
    uint8_t name[DNS_NAME_MAX] = {POINTER, DNS_HEADER}; /* a pointer at the question */
    int name_len = owner.len ? encode_name(owner, name) : 2;
    size_t total = (size_t)(name_len < 0 ? 0 : name_len) + RECORD_HEAD + data_len;
    size_t room = answer->size - (answer->query->edns ? OPT_LEN : 0);
    uint8_t *at = answer->room + answer->len;

    if (name_len < 0 || answer->truncated)
        return;
    if (answer->len + total > room) {
        answer->truncated = section != DNS_ADDITIONAL; /* that is a courtesy */
        return;
    }
    memcpy(at, name, (size_t)name_len);
    at += name_len;
    put16(at, type);
    put16(at + 2, DNS_CLASS_IN);
    put32(at + 4, ttl_s);
    put16(at + 8, (unsigned)data_len);
    memcpy(at + RECORD_HEAD, data, data_len);
    answer->len += total;
    answer->counts[section]++;
}

void dns_answer_address(struct dns_answer *answer, enum dns_section section, struct slice owner, uint32_t ttl_s, struct ip ip)
{
    bool four = ip.version == 4;

    put_record(answer, section, owner, four ? DNS_A : DNS_AAAA, ttl_s, ip.bytes, four ? 4 : 16);
}

void dns_answer_cname(struct dns_answer *answer, uint32_t ttl_s, struct slice target)
{
    uint8_t data[DNS_NAME_MAX];
    int len = encode_name(target, data);

    if (len > 0)
        put_record(answer, DNS_ANSWER, SLICE_NULL, DNS_CNAME, ttl_s, data, (size_t)len);
}

void dns_answer_srv(struct dns_answer *answer, uint32_t ttl_s, uint16_t weight, uint16_t port, struct slice target)
{
    uint8_t data[6 + DNS_NAME_MAX] = {0};
    int len = encode_name(target, data + 6); /* RFC 2782: not compressed */

    put16(data + 2, weight);
    put16(data + 4, port);
    if (len > 0)
        put_record(answer, DNS_ANSWER, SLICE_NULL, DNS_SRV, ttl_s, data, 6 + (size_t)len);
}

/* Two names, ns.dns.ZONE and hostmaster.ZONE, then five numbers. */
void dns_answer_soa(struct dns_answer *answer, enum dns_section section, struct slice zone, uint32_t serial, uint32_t ttl_s)
{
    static const uint8_t server[] = "\2ns\3dns", master[] = "\12hostmaster";
    uint8_t data[2 * (DNS_NAME_MAX + 12) + 20], name[DNS_NAME_MAX];
    int len = encode_name(zone, name);
    size_t at = 0;

    if (len < 0)
        return;
    memcpy(data, server, sizeof(server) - 1);
    at = sizeof(server) - 1;
    memcpy(data + at, name, (size_t)len);
    at += (size_t)len;
    memcpy(data + at, master, sizeof(master) - 1);
    at += sizeof(master) - 1;
    memcpy(data + at, name, (size_t)len);
    at += (size_t)len;
    put32(data + at, serial);
    put32(data + at + 4, 7200);  /* refresh, retry and expiry are for secondaries, of which there are none */
    put32(data + at + 8, 1800);
    put32(data + at + 12, 86400);
    put32(data + at + 16, ttl_s);
    put_record(answer, section, zone, DNS_SOA, ttl_s, data, at + 20);
}

static void put_opt(struct dns_answer *answer, enum dns_code code)
{
    uint8_t *at = answer->room + answer->len;

    memset(at, 0, OPT_LEN);
    put16(at + 1, DNS_OPT);
    put16(at + 3, DNS_UDP_PLAIN);
    at[5] = (uint8_t)(code >> 4);
    answer->len += OPT_LEN;
    answer->counts[DNS_ADDITIONAL]++;
}

size_t dns_answer_end(struct dns_answer *answer, enum dns_code code, bool authoritative)
{
    const struct dns_query *query = answer->query;
    unsigned flags = FLAG_RESPONSE | (unsigned)query->opcode << 11 | (authoritative ? FLAG_AUTHORITATIVE : 0) |
                     (answer->truncated ? FLAG_TRUNCATED : 0) | (query->recursion_desired ? FLAG_RECURSE : 0) | (code & 15);

    if (query->edns)
        put_opt(answer, code);
    put16(answer->room, query->id);
    put16(answer->room + 2, flags);
    put16(answer->room + 4, query->name_len ? 1 : 0);
    for (int i = 0; i < 3; i++)
        put16(answer->room + 6 + 2 * i, answer->counts[i]);
    return answer->len;
}
