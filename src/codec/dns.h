/*
 * DNS messages (RFC 1035) as a responder needs them: reads one question, writes
 * one answer. EDNS (RFC 6891) is understood as far as the size of datagrams.
 *
 *     r = dns_query_read(bytes, &query)          0; -EINVAL: answer FORMERR; -EBADMSG: answer nothing
 *     dns_answer_init(&answer, &query, room, size)
 *     dns_answer_address(&answer, ...) ...       records; what does not fit sets TC
 *     len = dns_answer_end(&answer, code)
 *
 * Bounded and total: any bytes may come in, names are at most 255 bytes, and
 * pointers of compression are refused in questions, where none can be.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/slice.h"

enum dns_type {
    DNS_A = 1,
    DNS_NS = 2,
    DNS_CNAME = 5,
    DNS_SOA = 6,
    DNS_AAAA = 28,
    DNS_SRV = 33,
    DNS_OPT = 41,
    DNS_IXFR = 251,
    DNS_AXFR = 252,
    DNS_ANY = 255
};

enum dns_code { DNS_NOERROR, DNS_FORMERR, DNS_SERVFAIL, DNS_NXDOMAIN, DNS_NOTIMP, DNS_REFUSED, DNS_BADVERS = 16 };

enum { DNS_HEADER = 12, DNS_NAME_MAX = 255, DNS_TEXT_MAX = 256, DNS_UDP_PLAIN = 512, DNS_CLASS_IN = 1 };

struct dns_query {
    uint16_t id;
    uint8_t opcode;
    bool recursion_desired;
    uint8_t name[DNS_NAME_MAX]; /* as asked, on the wire: lengths and labels */
    size_t name_len;            /* 0 when the question could not be read */
    uint16_t type, class;
    bool edns;
    uint8_t edns_version;
    uint16_t udp_size;          /* what the asker takes in a datagram; at least 512 */
};

/* 0; -EINVAL: a question that can be answered with FORMERR only; -EBADMSG: no question at all. */
int dns_query_read(struct slice message, struct dns_query *ret_query);
/*
 * The name in lower case with dots between and none at the end ("" is the root). -EINVAL when a label holds something
 * besides letters, digits, '-' and '_': it is nobody's name here.
 */
int dns_query_text(const struct dns_query *query, char ret_text[DNS_TEXT_MAX]);

/* For tests and for askers: a question. Its length, or -ENOBUFS, -EINVAL (no name). */
int dns_query_write(uint16_t id, struct slice name, uint16_t type, uint16_t udp_size, uint8_t *room, size_t size);

enum dns_section { DNS_ANSWER, DNS_AUTHORITY, DNS_ADDITIONAL };

struct dns_answer {
    const struct dns_query *query;
    uint8_t *room;
    size_t size, len;
    uint16_t counts[3];
    bool truncated;
};

/* `room` has at least DNS_UDP_PLAIN bytes. The query lives as long as the answer. */
void dns_answer_init(struct dns_answer *answer, const struct dns_query *query, uint8_t *room, size_t size);
/* Records; `owner` empty is the name that was asked for. Names are text as dns_query_text() gives them. */
void dns_answer_address(struct dns_answer *answer, enum dns_section section, struct slice owner, uint32_t ttl_s, struct ip ip);
void dns_answer_cname(struct dns_answer *answer, uint32_t ttl_s, struct slice target);
void dns_answer_srv(struct dns_answer *answer, uint32_t ttl_s, uint16_t weight, uint16_t port, struct slice target);
/* The start of authority that comes with an answer without records; ttl_s is that of the absence (RFC 2308). */
void dns_answer_soa(struct dns_answer *answer, enum dns_section section, struct slice zone, uint32_t serial, uint32_t ttl_s);
/* Writes the header; the length of the whole. */
size_t dns_answer_end(struct dns_answer *answer, enum dns_code code, bool authoritative);
