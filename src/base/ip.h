/*
 * IP addresses, addresses with a port, and networks, as values. An IPv4 address
 * inside IPv6 (::ffff:a.b.c.d) is kept as IPv4 from the first moment, so that
 * one host never has two spellings. Byte order is that of the network, ports
 * are in the machine's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

struct ip {
    uint8_t version;   /* 4, 6, or 0: none */
    uint8_t bytes[16]; /* IPv4 in the first four, the rest zero */
};

struct addr {
    struct ip ip;
    uint16_t port;
};

struct cidr {
    struct ip ip;   /* bits behind the prefix are zero */
    uint8_t prefix; /* 0 to 32 or 128 */
};

enum { ADDR_TEXT_MAX = 56, IP_TEXT_MAX = 46 };

struct ip ip_v4(uint32_t host_order);
/* From 16 network-order bytes; a mapped IPv4 address becomes IPv4. */
struct ip ip_v6(const uint8_t bytes[16]);
bool ip_eq(struct ip a, struct ip b);
bool ip_is_loopback(struct ip ip);
bool ip_is_unspecified(struct ip ip);
bool addr_eq(struct addr a, struct addr b);
/* "192.0.2.1", "2001:db8::1"; no zone, no brackets, nothing behind. 0 or -EINVAL. */
int ip_parse(struct slice text, struct ip *ret_ip);
/* "192.0.2.1:80", "[2001:db8::1]:80". 0 or -EINVAL. */
int addr_parse(struct slice text, struct addr *ret_addr);
/* "10.0.0.0/8", or a single address; host bits are cleared. 0 or -EINVAL. */
int cidr_parse(struct slice text, struct cidr *ret_cidr);
bool cidr_contains(struct cidr net, struct ip ip);
/* Both write NUL terminated text (RFC 5952) and return `out`. */
char *ip_format(struct ip ip, char out[IP_TEXT_MAX]);
char *addr_format(struct addr addr, char out[ADDR_TEXT_MAX]);

struct sockaddr_storage;
struct sockaddr;
/* Length for the system calls. */
unsigned addr_to_sockaddr(struct addr addr, struct sockaddr_storage *ret_sa);
/* -EAFNOSUPPORT for families other than IPv4 and IPv6. */
int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr);
