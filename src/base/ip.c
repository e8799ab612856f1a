#include "base/ip.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <sys/socket.h>

struct ip ip_v4(uint32_t host_order)
{
    return (struct ip){4, {(uint8_t)(host_order >> 24), (uint8_t)(host_order >> 16), (uint8_t)(host_order >> 8),
                           (uint8_t)host_order}};
}

struct ip ip_v6(const uint8_t bytes[16])
{
    static const uint8_t mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
    struct ip ip = {0};

    if (memcmp(bytes, mapped, sizeof(mapped)) == 0) {
        ip.version = 4;
        memcpy(ip.bytes, bytes + 12, 4);
    } else {
        ip.version = 6;
        memcpy(ip.bytes, bytes, 16);
    }
    return ip;
}

bool ip_eq(struct ip a, struct ip b)
{
    return a.version == b.version && memcmp(a.bytes, b.bytes, 16) == 0;
}

bool ip_is_loopback(struct ip ip)
{
    static const uint8_t one[16] = {[15] = 1};

    return ip.version == 4 ? ip.bytes[0] == 127 : ip.version == 6 && memcmp(ip.bytes, one, 16) == 0;
}

bool ip_is_unspecified(struct ip ip)
{
    static const uint8_t zero[16];

    return memcmp(ip.bytes, zero, 16) == 0;
}

bool addr_eq(struct addr a, struct addr b)
{
    return a.port == b.port && ip_eq(a.ip, b.ip);
}

int ip_parse(struct slice text, struct ip *ret_ip)
{
    char copy[IP_TEXT_MAX];
    uint8_t bytes[16];

    if (text.len == 0 || text.len >= sizeof(copy) || memchr(text.ptr, '\0', text.len))
        return -EINVAL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    if (inet_pton(AF_INET, copy, bytes) == 1) {
        *ret_ip = (struct ip){4, {bytes[0], bytes[1], bytes[2], bytes[3]}};
        return 0;
    }
    if (inet_pton(AF_INET6, copy, bytes) != 1)
        return -EINVAL;
    *ret_ip = ip_v6(bytes);
    return 0;
}

int addr_parse(struct slice text, struct addr *ret_addr)
{
    struct slice host, port;
    struct addr addr;
    uint64_t number;
    size_t at;

    if (text.len && text.ptr[0] == '[') {
        at = slice_find(text, ']');
        if (at + 1 >= text.len || text.ptr[at + 1] != ':')
            return -EINVAL;
        host = slice_of(text.ptr + 1, at - 1);
        port = slice_skip(text, at + 2);
    } else {
        at = slice_find(text, ':');
        if (at == text.len)
            return -EINVAL;
        host = slice_take(text, at);
        port = slice_skip(text, at + 1);
    }
    if (ip_parse(host, &addr.ip) < 0 || slice_u64(port, UINT16_MAX, &number) < 0)
        return -EINVAL;
    if ((text.ptr[0] == '[') != (slice_find(host, ':') < host.len))
        return -EINVAL;
    addr.port = (uint16_t)number;
    *ret_addr = addr;
    return 0;
}

static void clear_host_bits(struct cidr *net)
{
    for (int bit = net->prefix; bit < 128; bit++)
        net->ip.bytes[bit / 8] &= (uint8_t) ~(0x80 >> (bit % 8));
}

int cidr_parse(struct slice text, struct cidr *ret_cidr)
{
    size_t at = slice_find(text, '/');
    struct cidr net;
    uint64_t prefix, max;

    if (ip_parse(slice_take(text, at), &net.ip) < 0)
        return -EINVAL;
    max = net.ip.version == 4 ? 32 : 128;
    prefix = max;
    if (at < text.len && slice_u64(slice_skip(text, at + 1), max, &prefix) < 0)
        return -EINVAL;
    net.prefix = (uint8_t)prefix;
    clear_host_bits(&net);
    *ret_cidr = net;
    return 0;
}

bool cidr_contains(struct cidr net, struct ip ip)
{
    unsigned whole = net.prefix / 8, bits = net.prefix % 8;

    if (net.ip.version != ip.version || memcmp(net.ip.bytes, ip.bytes, whole) != 0)
        return false;
    return bits == 0 || (net.ip.bytes[whole] ^ ip.bytes[whole]) >> (8 - bits) == 0;
}

char *ip_format(struct ip ip, char out[IP_TEXT_MAX])
{
    if (ip.version == 0 || !inet_ntop(ip.version == 4 ? AF_INET : AF_INET6, ip.bytes, out, IP_TEXT_MAX))
        out[0] = '\0';
    return out;
}

char *addr_format(struct addr addr, char out[ADDR_TEXT_MAX])
{
    char ip[IP_TEXT_MAX];

    snprintf(out, ADDR_TEXT_MAX, addr.ip.version == 6 ? "[%s]:%u" : "%s:%u", ip_format(addr.ip, ip),
             (unsigned)addr.port);
    return out;
}

unsigned addr_to_sockaddr(struct addr addr, struct sockaddr_storage *ret_sa)
{
    memset(ret_sa, 0, sizeof(*ret_sa));
    if (addr.ip.version == 4) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret_sa;

        in->sin_family = AF_INET;
        in->sin_port = htons(addr.port);
        memcpy(&in->sin_addr, addr.ip.bytes, 4);
        return sizeof(*in);
    }
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret_sa;

    in6->sin6_family = AF_INET6;
    in6->sin6_port = htons(addr.port);
    memcpy(&in6->sin6_addr, addr.ip.bytes, 16);
    return sizeof(*in6);
}

int addr_from_sockaddr(const struct sockaddr *sa, struct addr *ret_addr)
{
    if (sa->sa_family == AF_INET) {
        struct sockaddr_in in;

        memcpy(&in, sa, sizeof(in));
        *ret_addr = (struct addr){ip_v4(ntohl(in.sin_addr.s_addr)), ntohs(in.sin_port)};
        return 0;
    }
    if (sa->sa_family == AF_INET6) {
        struct sockaddr_in6 in6;

        memcpy(&in6, sa, sizeof(in6));
        *ret_addr = (struct addr){ip_v6(in6.sin6_addr.s6_addr), ntohs(in6.sin6_port)};
        return 0;
    }
    return -EAFNOSUPPORT;
}
