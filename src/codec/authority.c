#include "codec/authority.h"

#include <errno.h>

#include "base/ip.h"

/* unreserved and sub-delims of RFC 3986, without the comma. */
static const bool name_bytes[256] = {
    ['-'] = true, ['.'] = true,  ['_'] = true,         ['~'] = true,         ['!'] = true,         ['$'] = true,
    ['&'] = true, ['\''] = true, ['('] = true,         [')'] = true,         ['*'] = true,         ['+'] = true,
    [';'] = true, ['='] = true,  ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

static int take_bracketed(struct slice *text, struct slice *ret_host)
{
    size_t at = slice_find(*text, ']');
    struct slice host;
    struct ip ip;

    if (at == text->len)
        return -EINVAL;
    host = slice_of(text->ptr + 1, at - 1);
    if (slice_find(host, ':') == host.len || ip_parse(host, &ip) < 0)
        return -EINVAL;
    *ret_host = host;
    *text = slice_skip(*text, at + 1);
    return 0;
}

int authority_parse(struct slice text, struct authority *ret_authority)
{
    struct authority found = {0};
    uint64_t port = 0;

    if (text.len && text.ptr[0] == '[') {
        if (take_bracketed(&text, &found.host) < 0)
            return -EINVAL;
        found.is_ip6 = true;
    } else {
        size_t n = 0;

        while (n < text.len && name_bytes[(unsigned char)text.ptr[n]])
            n++;
        found.host = slice_take(text, n);
        text = slice_skip(text, n);
    }
    if (found.host.len == 0)
        return -EINVAL;
    if (text.len && text.ptr[0] != ':')
        return -EINVAL;
    if (text.len > 1) {
        if (text.len > 6 || slice_u64(slice_skip(text, 1), UINT16_MAX, &port) < 0)
            return -EINVAL;
        found.has_port = true;
    }
    found.port = (uint16_t)port;
    *ret_authority = found;
    return 0;
}
