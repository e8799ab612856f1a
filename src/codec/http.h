/*
 * The head of an HTTP message as the proxy's path sees it, whichever version
 * carried it: what codec/http1/http1.h and codec/h2/h2.h produce and accept, and what
 * mesh/ matches against. Slices point into memory of the message's owner (for a
 * request its arena); the struct owns nothing.
 *
 * Pseudo fields never stand among the fields. For HTTP/1 requests `authority`
 * is the Host field or the authority of an absolute-form target, and Host stays
 * among the fields as well. Field names keep the case they came in (HTTP/2
 * writes them in lower case, RFC 9113 section 8.2.1); each is recognised once,
 * when parsed, and carries its token from then on.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum http_version { HTTP_1_0, HTTP_1_1, HTTP_2 };

/* Names that some part of the project treats specially. HTTP_TOKEN_OTHER: none of them. */
enum http_token {
    HTTP_TOKEN_OTHER,
    HTTP_TOKEN_CONNECTION,
    HTTP_TOKEN_KEEP_ALIVE,
    HTTP_TOKEN_PROXY_CONNECTION,
    HTTP_TOKEN_TE,
    HTTP_TOKEN_TRAILER,
    HTTP_TOKEN_TRANSFER_ENCODING,
    HTTP_TOKEN_UPGRADE,
    HTTP_TOKEN_HTTP2_SETTINGS,
    HTTP_TOKEN_HOST,
    HTTP_TOKEN_CONTENT_LENGTH,
    HTTP_TOKEN_CONTENT_TYPE,
    HTTP_TOKEN_EXPECT,
    HTTP_TOKEN_COOKIE,
    HTTP_TOKEN_DATE,
    HTTP_TOKEN_LOCATION,
    HTTP_TOKEN_RETRY_AFTER,
    HTTP_TOKEN_USER_AGENT,
    HTTP_TOKEN_FORWARDED,
    HTTP_TOKEN_GRPC_STATUS,
    HTTP_TOKEN_GRPC_MESSAGE,
    HTTP_TOKEN_GRPC_TIMEOUT,
    HTTP_TOKEN_GRPC_RETRY_PUSHBACK_MS,
    HTTP_TOKEN_L5D_CLIENT_ID,
    HTTP_TOKEN_L5D_DST_CANONICAL,
    HTTP_TOKEN_L5D_DST_OVERRIDE,
    HTTP_TOKEN_L5D_ORIG_PROTO,
    HTTP_TOKEN_L5D_PROXY_CONNECTION,
    HTTP_TOKEN_L5D_PROXY_ERROR,
    HTTP_TOKEN_L5D_PROXY_OTHER, /* any other l5d-proxy-* */
    HTTP_TOKEN_L5D_REASON,
    HTTP_TOKEN_L5D_REMOTE_IP,
    HTTP_TOKEN_L5D_REQUIRE_ID,
    HTTP_TOKEN_L5D_SERVER_ID,
    HTTP_TOKEN_COUNT
};

/* The token of a field name, any case. Constant time for a given length. */
enum http_token http_token_of(struct slice name);
/* The name in lower case; "" for OTHER and PROXY_OTHER. */
struct slice http_token_name(enum http_token token);
/* A field that belongs to one connection only (RFC 9110 section 7.6.1), whatever Connection lists. */
bool http_token_is_hop(enum http_token token);

struct http_field {
    struct slice name, value;
    uint8_t token;       /* enum http_token */
    uint8_t never_index; /* HPACK: never indexed, RFC 7541 section 7.1.3 */
};

struct http_head {
    uint8_t version;     /* enum http_version, as received */
    bool absolute_form;  /* HTTP/1: the target was http://authority/path */
    uint16_t status;     /* of a response; 0 in a request */
    struct slice method; /* of a request, as are the next three */
    struct slice scheme; /* "http" or "https"; empty for CONNECT */
    struct slice authority;
    struct slice path;   /* with query; "*" for OPTIONS *; empty for CONNECT */
    struct http_field *fields;
    uint16_t count;      /* fields in use */
    uint16_t room;       /* fields there is memory for */
};

/* The first field with this token, or NULL. */
const struct http_field *http_find(const struct http_head *head, enum http_token token);
/* The first field of this name (any case), or NULL. */
const struct http_field *http_find_name(const struct http_head *head, struct slice name);
/* Takes every field with this token out; how many there were. */
unsigned http_remove(struct http_head *head, enum http_token token);
/* Appends; -ENOBUFS when there is no room. The slices must outlive the head. */
int http_append(struct http_head *head, enum http_token token, struct slice name, struct slice value);
bool http_is_grpc(const struct http_head *head); /* content-type application/grpc, alone or with + or ; behind */
