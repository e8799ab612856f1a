/*
 * Certificate signing requests (PKCS#10, RFC 2986): made by a proxy for its own
 * name, read and checked by the identity service.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "net/x509/x509.h"

/*
 * A request for this name, as csr.der holds it: the only SAN is the name, and the common name if it is DNS and short
 * enough (64).
 */
int x509_csr_new(const struct x509_key *key, struct san name, struct buffer *ret_der);

struct x509_csr; /* a request that parsed and whose own signature is right */

/* DER with nothing behind it, at most LIMIT_CSR bytes. -EINVAL, or -ENOTSUP for a key that is not ECDSA P-256. */
int x509_csr_read(struct slice der, struct errmsg *msg, struct x509_csr **ret_csr);
void x509_csr_free(struct x509_csr *csr);
/*
 * The rules of the identity service: exactly one DNS name, which equals `identity` byte for byte; the common name is
 * empty or equals it; no e-mail, IP, URI or other names. 0 or -EPERM, and the message says which.
 */
int x509_csr_check(const struct x509_csr *csr, struct slice identity, struct errmsg *msg);
/* True if it asks for this very name and key: whether a csr.der found on disk is ours. */
bool x509_csr_is_for(const struct x509_csr *csr, const struct x509_key *key, struct san name);
