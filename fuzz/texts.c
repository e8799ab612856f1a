/* Short texts that people, resources and peers write: what is read and written again is the same; nothing is read too far. */
#include <assert.h>
#include <stddef.h>

#include "base/duration.h"
#include "base/ip.h"
#include "codec/authority.h"
#include "net/grpc/grpc_message.h"
#include "net/x509/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void addresses(struct slice text)
{
    char written[ADDR_TEXT_MAX];
    struct addr addr, again_addr;
    struct ip ip, again;
    struct cidr cidr;

    if (ip_parse(text, &ip) == 0)
        assert(ip_parse(slice_str(ip_format(ip, written)), &again) == 0 && ip_eq(ip, again));
    if (addr_parse(text, &addr) == 0)
        assert(addr_parse(slice_str(addr_format(addr, written)), &again_addr) == 0 && addr_eq(addr, again_addr));
    if (cidr_parse(text, &cidr) == 0)
        assert(cidr.prefix <= (cidr.ip.version == 4 ? 32 : 128) && cidr_contains(cidr, cidr.ip));
}

static void durations(struct slice text)
{
    char written[DURATION_TEXT_MAX];
    int64_t ns, again;

    if (duration_parse(text, &ns) == 0)
        assert(ns >= 0);
    if (duration_parse_go(text, &ns) == 0) {
        duration_format(ns, written);
        if (ns >= 0 && ns < 86400 * NS_PER_S) /* what is shown is cut to two parts, never more than it was; days are ours alone */
            assert(duration_parse_go(slice_str(written), &again) == 0 && again <= ns);
    }
    if (grpc_timeout_parse(text, &ns) == 0)
        assert(ns >= 0);
}

static void authorities(struct slice text)
{
    struct authority authority;

    if (authority_parse(text, &authority) < 0)
        return;
    assert(authority.host.len > 0 && authority.host.ptr >= text.ptr);
    assert(authority.host.ptr + authority.host.len <= text.ptr + text.len);
    assert(authority.has_port || authority.port == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct san san = san_parse(text);

    assert(san.kind == SAN_NONE || san_eq(san, (struct san){san.kind, text}));
    addresses(text);
    durations(text);
    authorities(text);
    return 0;
}
