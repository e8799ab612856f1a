/*
 * Inside of http1.h: what its files share. A refusal is a negative status with
 * the reason left in the scan.
 */
#pragma once

#include "codec/http1/http1.h"

static inline int http1_refuse(struct http1_scan *scan, int status, const char *why)
{
    scan->refusal = why;
    return -status;
}

/* The target into scheme, authority and path, by its form (RFC 9112 section 3.2). 0 or a refusal. */
int http1_read_target(struct http1_scan *scan, struct slice target, struct http_head *head);

/* What the fields say, checked. 0 or a refusal. */
int http1_frame_request(struct http1_scan *scan, struct http_head *head, struct http1_framing *ret_framing);
int http1_frame_response(struct http1_scan *scan, struct http_head *head, unsigned asked,
                         struct http1_framing *ret_framing);
/* A field that must not come in a trailer section. */
bool http1_trailer_forbidden(const struct http_field *field);
