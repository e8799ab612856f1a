/*
 * Mesh TLS as a filter of an io stack (net/io.h).
 *
 *     control thread   c = tls_credentials_new(...)      parsed and checked once
 *                      cell_publish(cell, c)             event/cell.h; c is immutable and shared
 *     worker           ctx = tls_context_new(sys, c)     one for each worker and generation
 *     connection       tls_push_client(stack, ctx, ...)  or tls_push_server(); the filter holds a reference to ctx
 *                      r = tls_handshake(stack)          at once and at every on_ready, until it is not -EAGAIN
 *                      tls_peer(stack)                   who it is, ALPN, version; until io_close()
 *                      io_read(), io_writev() ...        as with any filter
 *
 * Both sides: TLS 1.3, or 1.2 with a peer that cannot do better (ECDHE-ECDSA
 * with AEAD, no renegotiation). No session is ever resumed: each handshake
 * proves the peer under the anchors of now. Certificates are checked at the wall
 * clock of the worker's struct sys.
 *
 * A client requires that the server's chain reaches an anchor and that any of
 * its DNS or URI names equals the expected identity byte for byte. A server
 * asks for a certificate and does without; but one that is shown must be valid,
 * or the handshake fails. The client's identity is its first name that is a DNS
 * name or a URI; a certificate without one gives none.
 *
 * After a TLS 1.3 handshake the OpenSSL connection object (23 KiB) is freed and
 * records are protected by tls_record.h with the traffic secrets; an idle
 * connection is then about 3 KiB. See docs/tls.md.
 *
 * Errors of the io functions once the handshake is done (all are final, the
 * same error comes again):
 *
 *     read 0           the peer ended in order, by close_notify; writing may go on
 *     -ECONNABORTED    the peer's TCP ended without close_notify: the end may be an attacker's. HTTP/2 may take it
 *                      as an end (it has its own framing); opaque bytes must be treated as broken off
 *     -EBADMSG         what arrived was not what the peer protected, or broke the protocol; an alert was sent
 *     -EPROTO          the peer sent a fatal alert
 *     -EPIPE           written after io_shutdown()
 *     others           from below
 */
#pragma once

#include "base/errmsg.h"
#include "net/io.h"
#include "net/x509/x509.h"

/* --- credentials: what a proxy proves itself with, and whom it believes --- */

struct tls_credentials;

/*
 * From the key and the chain (leaf first), checked as a peer would: the chain reaches an anchor at `wall_ns`, belongs
 * to the key and carries `own`. With `key` NULL and an empty chain: believes, but proves nothing (before the first
 * certificate); fit for clients only. Then there may be no anchors as well: that believes nobody, for an inspector.
 * -EKEYREJECTED or -EINVAL with a reason, or -ENOMEM. Takes references.
 */
int tls_credentials_new(struct x509_key *key, const struct x509_bundle *chain, struct san own,
                        const struct x509_bundle *anchors, int64_t wall_ns, struct errmsg *msg,
                        struct tls_credentials **ret_credentials);
/* Any thread; shaped for cell_init(). */
void *tls_credentials_ref(void *credentials);
void tls_credentials_unref(void *credentials);
/* The leaf (NULL when there is none), and the anchors; both live as long as the credentials. */
const struct x509_cert *tls_credentials_leaf(const struct tls_credentials *credentials);
const struct x509_bundle *tls_credentials_chain(const struct tls_credentials *credentials);
const struct x509_bundle *tls_credentials_anchors(const struct tls_credentials *credentials);
struct san tls_credentials_own(const struct tls_credentials *credentials);

/* --- contexts: one worker's view of one generation --- */

struct tls_context;

/* 0 or -ENOMEM. Of one thread. Takes a reference to the credentials. */
int tls_context_new(struct sys *sys, struct tls_credentials *credentials, struct tls_context **ret_context);
struct tls_context *tls_context_ref(struct tls_context *context);
void tls_context_unref(struct tls_context *context);
const struct tls_credentials *tls_context_credentials(const struct tls_context *context);

/* --- the filter --- */

struct tls_client {
    struct slice server_name; /* SNI; "" sends none */
    struct san expected;      /* whom the server must prove to be */
    const struct slice *alpn; /* offered, best first; must live until the handshake ended */
    size_t alpn_count;
};

/*
 * Pushes the filter; nothing is sent before tls_handshake(). The server chooses the first of its own protocols that the
 * client offers; a client that offers only others is refused, one that offers none is not. With alpn_count 0 offers are
 * ignored. -ENOKEY: the context has no certificate; -ENOMEM, -EINVAL.
 */
int tls_push_server(struct io_stack *stack, struct tls_context *context, const struct slice *alpn, size_t alpn_count);
int tls_push_client(struct io_stack *stack, struct tls_context *context, const struct tls_client *client);
/*
 * Goes on with the handshake. 0: done; the peer's first bytes may be here already, so read. -EAGAIN: at the next
 * readiness. Else it failed: tls_failure() says why, and the alert has been given to the socket as far as it took it.
 * The caller bounds it in time.
 */
int tls_handshake(struct io_stack *stack);

enum tls_failure {
    TLS_OK,                /* or not ended yet */
    TLS_IDENTITY_MISMATCH, /* the server is somebody else */
    TLS_UNKNOWN_ISSUER,
    TLS_EXPIRED, /* a certificate of the peer's chain; or not valid yet */
    TLS_BAD_CERTIFICATE,
    TLS_NO_COMMON_PROTOCOL, /* ALPN */
    TLS_PEER_REFUSED,       /* a fatal alert of the peer's: it may not like our certificate */
    TLS_PEER_CLOSED,        /* the connection ended or broke during the handshake */
    TLS_PROTOCOL_ERROR,     /* what the peer says is not TLS, or not one that we speak */
    TLS_NO_MEMORY,
};

enum tls_failure tls_failure(const struct io_stack *stack);
/* "identity-mismatch", ...: for metrics and headers. */
const char *tls_failure_name(enum tls_failure failure);
/* The sentence, with the names and numbers that decided. */
void tls_failure_text(const struct io_stack *stack, struct errmsg *msg);

/*
 * For people who want to see a certificate, not talk to its owner (`linkerd identity`): the handshake always fails,
 * with TLS_BAD_CERTIFICATE, as soon as the server has shown its chain; nothing was believed and nothing can be sent.
 */
int tls_push_inspector(struct io_stack *stack, struct tls_context *context, struct slice server_name);
/* What the server showed, leaf first, until io_close(); NULL if it came not that far. */
const struct x509_bundle *tls_shown(const struct io_stack *stack);

struct tls_peer {
    struct san id;       /* proven by its certificate; SAN_NONE: nobody in particular */
    struct slice alpn;   /* "" for none */
    const char *version; /* "TLSv1.3" */
    const char *cipher;  /* "TLS_AES_128_GCM_SHA256" */
};

/*
 * After tls_handshake() returned 0. False when the stack has no tls filter, or none that is done. Slices live until
 * io_close().
 */
bool tls_peer(const struct io_stack *stack, struct tls_peer *ret_peer);
