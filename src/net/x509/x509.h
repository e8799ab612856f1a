/*
 * Keys, certificates and trust bundles (RFC 5280), as the mesh uses them:
 * ECDSA P-256 keys of our own, foreign chains of any sound kind, names as slices
 * with a length. Making certificates is x509_csr.h and x509_issuer.h.
 *
 * Keys and certificates are immutable, reference counted and may be shared by
 * threads. Functions that read what a person or a peer wrote take a struct errmsg
 * (NULL allowed) and say which object is wrong. Times are wall clock,
 * nanoseconds since 1970, always given by the caller. Nothing here reads files.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"

/* --- names --- */

/* The values of the first three are those of enum endpoint_identity (mesh/endpoint.h). */
enum san_kind {
    SAN_NONE,
    SAN_DNS,
    SAN_URI,
    SAN_OTHER, /* e-mail, IP address, ... and every name that is malformed: never an identity */
};

/* A subject alternative name, or the identity taken from one. */
struct san {
    enum san_kind kind;
    struct slice name; /* never holds a NUL or a byte outside printable ASCII unless kind is SAN_OTHER */
};

/* Same kind, same bytes, same length. Two names of kind SAN_NONE or SAN_OTHER are never equal. */
bool san_eq(struct san a, struct san b);
/*
 * What a name that a person or the control plane gives stands for: SAN_URI with a scheme, SAN_DNS, or SAN_NONE if
 * neither.
 */
struct san san_parse(struct slice name);
/*
 * A name fit to be an identity: labels of letters, digits, '-' and '_' (a '-' neither first nor last in a label), 253
 * bytes at most, no trailing dot, no wildcard, not an IP address.
 */
bool san_is_dns(struct slice name);
/* scheme ":" and printable ASCII without spaces, quotes and brackets; at most LIMIT_IDENTITY. */
bool san_is_uri(struct slice name);

/* --- keys --- */

struct x509_key;

/* A new ECDSA P-256 key. 0 or -ENOMEM. */
int x509_key_new(struct x509_key **ret_key);
/*
 * A private key, PEM or DER, PKCS#8 or SEC1 ("EC PRIVATE KEY"), not encrypted. -EINVAL when it is none; -ENOTSUP when
 * it is not ECDSA P-256.
 */
int x509_key_read(struct slice bytes, struct errmsg *msg, struct x509_key **ret_key);
/* PKCS#8, as key.p8 holds it. 0 or -ENOMEM, -ENOBUFS. */
int x509_key_write(const struct x509_key *key, struct buffer *ret_der);
int x509_key_write_pem(const struct x509_key *key, struct buffer *ret_pem);
struct x509_key *x509_key_ref(struct x509_key *key);
void x509_key_unref(struct x509_key *key);

/* --- certificates --- */

struct x509_cert;

/* One certificate in DER with nothing behind it. -EINVAL with a reason. */
int x509_cert_read(struct slice der, struct errmsg *msg, struct x509_cert **ret_cert);
struct x509_cert *x509_cert_ref(struct x509_cert *cert);
void x509_cert_unref(struct x509_cert *cert);
/* All slices below live as long as the certificate. */
struct slice x509_cert_der(const struct x509_cert *cert);
int x509_cert_write_pem(const struct x509_cert *cert, struct buffer *ret_pem);
int64_t x509_cert_not_before(const struct x509_cert *cert); /* wall clock */
int64_t x509_cert_not_after(const struct x509_cert *cert);
/* Whole days until not_after; negative when it has passed. */
int64_t x509_cert_days_left(const struct x509_cert *cert, int64_t wall_ns);
bool x509_cert_is_ca(const struct x509_cert *cert);
/* True if the public key is that of `key`. */
bool x509_cert_has_key(const struct x509_cert *cert, const struct x509_key *key);
/* Names in the order of the certificate; false beyond the last. */
bool x509_cert_san(const struct x509_cert *cert, size_t index, struct san *ret_san);
/* The first that is a DNS name or a URI (the identity of a client), else kind SAN_NONE. */
struct san x509_cert_first_id(const struct x509_cert *cert);
/* True if any of its names is this. */
bool x509_cert_has_id(const struct x509_cert *cert, struct san id);
/* One-line texts for people; the common name is shown with control bytes escaped. */
int x509_cert_subject(const struct x509_cert *cert, struct buffer *ret_text);
int x509_cert_issuer(const struct x509_cert *cert, struct buffer *ret_text);
int x509_cert_serial(const struct x509_cert *cert, struct buffer *ret_hex);
/* "ECDSA P-256", "RSA 2048", ... */
int x509_cert_algorithm(const struct x509_cert *cert, struct buffer *ret_text);
void x509_cert_sha256(const struct x509_cert *cert, uint8_t ret_digest[32]);

/* --- bundles: trust anchors, or a chain with its leaf first --- */

struct x509_bundle {
    struct x509_cert **certs;
    size_t count; /* at most LIMIT_CERTIFICATES */
};

/*
 * The CERTIFICATE blocks of a PEM text, in order. Text between blocks and white space are tolerated; a block of another
 * type (a key pasted into the bundle), a broken one, or none at all is -EINVAL, and the message names the block by
 * number and line.
 */
int x509_bundle_read(struct slice pem, struct errmsg *msg, struct x509_bundle *ret_bundle);
int x509_bundle_copy(const struct x509_bundle *bundle, struct x509_bundle *ret_bundle);
/* Takes a reference. 0, -ENOMEM, or -ENOBUFS beyond LIMIT_CERTIFICATES. A bundle that is all zero is empty. */
int x509_bundle_add(struct x509_bundle *bundle, struct x509_cert *cert);
bool x509_bundle_eq(const struct x509_bundle *a, const struct x509_bundle *b);
/* A certificate of the same bytes. */
bool x509_bundle_has(const struct x509_bundle *bundle, const struct x509_cert *cert);
void x509_bundle_release(struct x509_bundle *bundle);

enum x509_purpose { X509_FOR_SERVER, X509_FOR_CLIENT, X509_FOR_ISSUER };

/* Why a chain is refused. */
enum x509_failure {
    X509_VALID,
    X509_EXPIRED, /* or not valid yet */
    X509_UNKNOWN_ISSUER,
    X509_BAD_CERTIFICATE, /* signature, key, purpose, constraints or length of the chain */
};

/*
 * Checks the chain (leaf first; the rest are helpers in any order) up to any of the anchors, which need not be
 * self-signed, at this time. 0, or -EKEYREJECTED with why.
 */
int x509_verify(const struct x509_bundle *chain, const struct x509_bundle *anchors, enum x509_purpose purpose,
                int64_t wall_ns, struct errmsg *msg, enum x509_failure *ret_why);
