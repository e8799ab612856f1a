/*
 * The messages of io.linkerd.proxy.identity.Identity, and of the TrustBundle
 * service that is our own (package io.clinkerd.proxy.identity). Codes are those
 * of api/destination.h. Decoded bytes live in the arena given.
 *
 * Nothing here looks into tokens, requests or certificates; they are bytes.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"

struct arena;

struct certify_request {
    struct slice identity; /* the name asked for */
    struct slice token;    /* text of a token; secret, never logged */
    struct slice csr;      /* PKCS#10, DER */
};

struct certify_response {
    struct slice leaf;               /* X.509, DER */
    struct slice *intermediates;     /* DER; the anchor is not among them */
    size_t intermediate_count;
    int64_t valid_until_wall_ns;     /* since 1970 */
};

/* Empty fields are the service's to refuse (InvalidArgument): any request that is well formed succeeds. */
int certify_request_decode(struct slice message, struct arena *arena, struct errmsg *msg,
                           struct certify_request *ret_request);
int certify_request_encode(const struct certify_request *request, struct errmsg *msg, struct buffer *out);

/* -EBADMSG as well without a leaf or without valid_until. */
int certify_response_decode(struct slice message, struct arena *arena, struct errmsg *msg,
                            struct certify_response *ret_response);
int certify_response_encode(const struct certify_response *response, struct errmsg *msg, struct buffer *out);

/* The request of TrustBundle.Watch, and its answers: PEM of all anchors, replacing those before. */
int watch_bundle_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct slice *ret_trust_domain);
int watch_bundle_encode(struct slice trust_domain, struct errmsg *msg, struct buffer *out);
/* -EBADMSG as well for an empty bundle: it would take all trust away. */
int bundle_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct slice *ret_anchors_pem);
int bundle_encode(struct slice anchors_pem, struct errmsg *msg, struct buffer *out);
