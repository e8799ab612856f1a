#include "netfilter/ports.h"

#include <errno.h>

int port_range_parse(struct slice text, struct port_range *ret_range)
{
    struct slice all = slice_trim(text);
    size_t dash = slice_find(all, '-');
    uint64_t first, last;

    if (slice_u64(slice_take(all, dash), UINT16_MAX, &first) < 0)
        return -EINVAL;
    last = first;
    if (dash < all.len && slice_u64(slice_skip(all, dash + 1), UINT16_MAX, &last) < 0)
        return -EINVAL;
    if (last < first)
        return -EINVAL;
    *ret_range = (struct port_range){(uint16_t)first, (uint16_t)last};
    return 0;
}

bool port_range_has(struct port_range range, uint16_t port)
{
    return range.first <= port && port <= range.last;
}
