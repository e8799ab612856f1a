/* What x509*.c and tls*.c share: OpenSSL's objects inside ours. Nobody else includes this. */
#pragma once

#include <openssl/evp.h>
#include <openssl/x509.h>
#include <openssl/x509v3.h>

#include "base/refcount.h"
#include "net/x509/x509.h"

struct x509_key {
    struct refcount refs;
    EVP_PKEY *pkey; /* ECDSA P-256 with its private part */
};

/* Names are read once, when the certificate is. */
struct x509_cert {
    struct refcount refs;
    X509 *x509;
    unsigned char *der;
    size_t der_len;
    int64_t not_before, not_after;
    GENERAL_NAMES *names; /* NULL: none */
};

/* Takes over `x509`. 0 or -ENOMEM, -EINVAL. */
int x509_cert_wrap(X509 *x509, struct errmsg *msg, struct x509_cert **ret_cert);
/* The name as an identity sees it. */
struct san x509_san_of(const GENERAL_NAME *name);
/*
 * The first DNS name or URI, straight from a parsed certificate, SAN_NONE without one; `*ret_names` owns the bytes
 * (GENERAL_NAMES_free). False when its names cannot be read.
 */
bool x509_first_id(const X509 *x509, GENERAL_NAMES **ret_names, struct san *ret_id);
/* True if any name is `id`. */
bool x509_has_id(const X509 *x509, struct san id);

/* True for an EC key on P-256. */
bool x509_is_p256(const EVP_PKEY *pkey);
/* "ECDSA P-256" ... into a text of the caller's. */
char *x509_key_kind(const EVP_PKEY *pkey, char *out, size_t size);
/* Empties OpenSSL's error queue of this thread and returns the reason of its newest error, or `otherwise`. */
const char *x509_openssl_reason(const char *otherwise);

/* Runs the check with the parameters that all of the mesh uses. `store` holds anchors; 0 or X509_V_ERR_*. */
int x509_run_verify(X509_STORE_CTX *store_ctx, int64_t wall_ns);
enum x509_failure x509_failure_of(int verify_error);
/* A store of these anchors, or NULL. */
X509_STORE *x509_store_new(const struct x509_bundle *anchors);

/* PEM: the next block, from *rest. False at the end. */
struct pem_block {
    struct slice label; /* CERTIFICATE */
    struct slice text;  /* base64 between the lines */
    unsigned line;      /* of BEGIN, from 1 */
};

/* 1: a block; 0: none follows; -EINVAL with a reason: it is not closed, or closed by another label. */
int pem_next(struct slice *rest, unsigned *line, struct errmsg *msg, struct pem_block *ret_block);
/* The bytes of the block on the heap (free()), at most LIMIT_PEM. -EINVAL or -ENOMEM. */
int pem_decode(const struct pem_block *block, unsigned char **ret_bytes, size_t *ret_len);
int pem_encode(struct slice label, struct slice bytes, struct buffer *ret_pem);
