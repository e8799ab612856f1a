/*
 * The authority of a request: host[:port] as Host, :authority and targets carry
 * it (RFC 3986 section 3.2), without userinfo. The host is a name, an IPv4
 * address, or an IPv6 address in brackets. Stricter than the grammar where
 * nobody means it: no comma (two Hosts folded into one), no percent-encoding of
 * bytes, no zone. Underscores are fine.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

struct authority {
    struct slice host; /* of the text; an IPv6 address without its brackets */
    uint16_t port;     /* 0 when there is none */
    bool has_port;     /* "name:" has none */
    bool is_ip6;
};

/* 0, or -EINVAL. The empty text is refused. */
int authority_parse(struct slice text, struct authority *ret_authority);
