/*
 * Issuing certificates: the leaves of the identity service, and the anchors and
 * issuers that `linkerd certs` makes. All signatures are ECDSA P-256 SHA-256.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "net/x509/x509.h"
#include "net/x509/x509_csr.h"

struct x509_issuer; /* immutable; may be shared by threads */

/*
 * An issuer from its key and its certificate chain (its own first, the anchor not needed). Checks at `wall_ns`: the key
 * is ECDSA P-256 (-ENOTSUP) and belongs to the certificate, the certificate is a CA's, may sign, and reaches one of the
 * anchors (-EKEYREJECTED). Takes references, keeps a copy of the anchors.
 */
int x509_issuer_new(struct x509_key *key, const struct x509_bundle *chain, const struct x509_bundle *anchors,
                    int64_t wall_ns, struct errmsg *msg, struct x509_issuer **ret_issuer);
void x509_issuer_free(struct x509_issuer *issuer);
/* Whether it still reaches an anchor at this time. 0 or -EKEYREJECTED. */
int x509_issuer_check(const struct x509_issuer *issuer, int64_t wall_ns, struct errmsg *msg);
/* Its certificate and what lies between it and the anchors: what goes with every leaf. */
const struct x509_bundle *x509_issuer_chain(const struct x509_issuer *issuer);
/* The earliest end of the chain; no leaf lives longer. */
int64_t x509_issuer_not_after(const struct x509_issuer *issuer);

struct x509_validity {
    int64_t lifetime_ns;
    int64_t skew_ns; /* allowed to either side */
};

/*
 * A leaf for server and client authentication with the key of the request and this name only, valid from wall - skew to
 * wall + lifetime + skew, at most as long as the issuer's chain. Serial numbers are 127 random bits. The caller has
 * checked the request.
 */
int x509_issue(const struct x509_issuer *issuer, const struct x509_csr *csr, struct san name, int64_t wall_ns,
               const struct x509_validity *validity, struct errmsg *msg, struct x509_cert **ret_cert);

/* A self-signed trust anchor (path length unlimited). */
int x509_make_anchor(struct x509_key *key, struct slice common_name, int64_t wall_ns,
                     const struct x509_validity *validity, struct errmsg *msg, struct x509_cert **ret_cert);
/* An issuer certificate for `key`, signed by the anchor (or by any CA), path length 0. */
int x509_make_issuer(struct x509_key *signer_key, const struct x509_cert *signer, struct x509_key *key,
                     struct slice common_name, int64_t wall_ns, const struct x509_validity *validity,
                     struct errmsg *msg, struct x509_cert **ret_cert);
