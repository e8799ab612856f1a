/*
 * TLS to an ordinary server, as a browser or curl does it: the server proves a
 * host name or an address under authorities that the caller names or that the
 * system trusts. For Kubernetes' API servers and the like; peers of the mesh are
 * net/tls/tls.h, which believes identities alone and never comes here. And the other
 * way round: an ordinary server, which proves itself and asks nobody who he is.
 *
 *     tls_web_context_new(sys, &options, ...)
 *     tls_push_web(stack, context, host, ...), or tls_push_web_server(stack, context, ...)
 *     tls_handshake(stack), tls_failure_text(), tls_peer(), io_read() ...   as in net/tls/tls.h
 *
 * Certificates may be of any sound kind (RSA too), TLS is 1.2 or 1.3, and no session is resumed. A context of this file
 * serves no connection of the mesh, and one of the mesh none of these: -EINVAL.
 */
#pragma once

#include "net/tls/tls.h"

struct tls_web {
    struct slice anchors; /* PEM; empty: those of the system */
    bool insecure;        /* whoever answers is believed; the anchors are not looked at */
    /* PEM, the leaf first, and its key, of any kind and not encrypted; both or neither. */
    struct slice certificate, key;
};

/* 0; -EINVAL or -EKEYREJECTED with a reason, or -ENOMEM. */
int tls_web_context_new(struct sys *sys, const struct tls_web *options, struct errmsg *msg,
                        struct tls_context **ret_context);
/*
 * Pushes the filter; nothing is sent before tls_handshake(). `host` is a DNS name, which may match a wildcard of the
 * certificate (RFC 9525) and is sent as SNI, or an address as text. `alpn` must live until the handshake ended; a
 * server that knows nothing of ALPN is fine. 0, -EINVAL or -ENOMEM.
 */
int tls_push_web(struct io_stack *stack, struct tls_context *context, struct slice host, const struct slice *alpn,
                 size_t alpn_count);
/*
 * As a server, with the certificate and key of the options (-ENOKEY without); clients are not asked for theirs, and are nobody
 * (SAN_NONE). ALPN as tls_push_server(). For webhooks: the caller decides by something else whether a client may ask.
 */
int tls_push_web_server(struct io_stack *stack, struct tls_context *context, const struct slice *alpn, size_t alpn_count);
