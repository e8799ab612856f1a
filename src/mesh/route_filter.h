/*
 * What a route of a policy does to a request besides sending it somewhere:
 * types only. Which kinds may stand where (a response modifier only outbound,
 * the tcp_ ones only in opaque and TLS routes) is checked where they are read.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"

enum filter_kind {
    FILTER_REQUEST_HEADERS,  /* .headers */
    FILTER_RESPONSE_HEADERS, /* .headers */
    FILTER_REDIRECT,         /* .redirect */
    FILTER_HTTP_FAILURE,     /* .failure, code is an HTTP status */
    FILTER_GRPC_FAILURE,     /* .failure, code is a gRPC status */
    FILTER_TCP_FORBIDDEN,    /* opaque and TLS routes: close */
    FILTER_TCP_INVALID,      /* opaque and TLS routes: close; .failure.message says why */
    FILTER_UNKNOWN,          /* inbound: of no kind that we know; 500 to those whom authorization lets in */
};

struct header_pair {
    struct slice name; /* lower case, a valid token */
    struct slice value; /* no CR, LF, NUL */
};

/* Applied in this order. */
struct header_modifier {
    struct header_pair *add;
    size_t add_count;
    struct header_pair *set;
    size_t set_count;
    struct slice *remove;
    size_t remove_count;
};

enum path_rewrite_kind { PATH_KEEP, PATH_REPLACE_FULL, PATH_REPLACE_PREFIX };

struct redirect {
    struct slice scheme; /* "" keeps the request's, as for host */
    struct slice host;
    uint16_t port;       /* 0: none given */
    uint16_t status;     /* 0: none given, which means 301 */
    enum path_rewrite_kind path_kind;
    struct slice path;   /* the replacement */
};

struct injected_failure {
    uint16_t code;
    struct slice message; /* any text: whoever puts it into a field drops what may not stand there */
    uint32_t numerator, denominator; /* of the requests; 0/0: all of them */
};

struct filter {
    enum filter_kind kind;
    union {
        struct header_modifier headers;
        struct redirect redirect;
        struct injected_failure failure;
    };
};

struct filters {
    struct filter *items;
    size_t count;
};
