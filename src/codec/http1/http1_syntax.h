/*
 * The alphabet of HTTP/1: which byte may stand where, and how far a run of
 * allowed bytes reaches. For the files http1_*.c. RFC 9110 section 5.6, RFC 9112.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/slice.h"

/* Leading bytes of a token: letters, digits and !#$%&'*+-.^_`|~ */
size_t http1_token_span(const char *at, const char *end);
/* Leading bytes of a field value or reason phrase: tab, space, anything visible, bytes from 0x80. */
size_t http1_value_span(const char *at, const char *end);
/* Leading bytes of a request target: anything visible but #, and bytes from 0x80 (sent raw by many clients). */
size_t http1_target_span(const char *at, const char *end);

static inline bool http1_is_token(struct slice s)
{
    return s.len > 0 && http1_token_span(s.ptr, s.ptr + s.len) == s.len;
}

static inline bool http1_is_value(struct slice s)
{
    return s.len == 0 || http1_value_span(s.ptr, s.ptr + s.len) == s.len;
}

/* Takes the next member that is not empty off a comma-separated list, without whitespace around it. */
bool http1_list_next(struct slice *rest, struct slice *ret_member);
/* Whether the list has this member, any case. */
bool http1_list_has(struct slice list, struct slice member);
