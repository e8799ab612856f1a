#include "net/x509/x509_issuer.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/rand.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/x509/x509_csr_internal.h"
#include "net/x509/x509_internal.h"

struct x509_issuer {
    struct x509_key *key;
    struct x509_bundle chain; /* what goes with a leaf: without certificates that are anchors */
    struct x509_bundle anchors;
    int64_t not_after;
};

static bool is_anchor(const struct x509_bundle *anchors, const struct x509_cert *cert)
{
    for (size_t i = 0; i < anchors->count; i++)
        if (slice_eq(x509_cert_der(anchors->certs[i]), x509_cert_der(cert)))
            return true;
    return false;
}

/* Its own certificate always travels with the leaf, even where it is an anchor itself; other anchors do not. */
static int take_chain(struct x509_issuer *issuer, const struct x509_bundle *chain)
{
    issuer->not_after = INT64_MAX;
    for (size_t i = 0; i < chain->count; i++) {
        int r;

        if (x509_cert_not_after(chain->certs[i]) < issuer->not_after)
            issuer->not_after = x509_cert_not_after(chain->certs[i]);
        if (i > 0 && is_anchor(&issuer->anchors, chain->certs[i]))
            continue;
        r = x509_bundle_add(&issuer->chain, chain->certs[i]);
        if (r < 0)
            return r;
    }
    return 0;
}

static int check_may_sign(const struct x509_cert *cert, const struct x509_key *key, struct errmsg *msg)
{
    EVP_PKEY *pkey = X509_get0_pubkey(cert->x509);
    char kind[64];

    if (!pkey || !x509_is_p256(pkey))
        return errmsg_set(msg, -ENOTSUP, "the issuer's certificate must have an ECDSA P-256 key, this one has %s",
                          pkey ? x509_key_kind(pkey, kind, sizeof(kind)) : "none");
    if (!x509_cert_has_key(cert, key))
        return errmsg_set(msg, -EKEYREJECTED, "the issuer's key does not belong to its certificate");
    if (!x509_cert_is_ca(cert))
        return errmsg_set(msg, -EKEYREJECTED, "the issuer's certificate is not that of a CA (basicConstraints)");
    if (!(X509_get_key_usage(cert->x509) & KU_KEY_CERT_SIGN))
        return errmsg_set(msg, -EKEYREJECTED, "the issuer's certificate may not sign certificates (keyUsage)");
    return 0;
}

int x509_issuer_check(const struct x509_issuer *issuer, int64_t wall_ns, struct errmsg *msg)
{
    enum x509_failure why;
    int r = x509_verify(&issuer->chain, &issuer->anchors, X509_FOR_ISSUER, wall_ns, msg, &why);

    return r < 0 ? errmsg_prefix(msg, r, "the issuer's chain does not reach a trust anchor") : 0;
}

int x509_issuer_new(struct x509_key *key, const struct x509_bundle *chain, const struct x509_bundle *anchors,
                    int64_t wall_ns, struct errmsg *msg, struct x509_issuer **ret_issuer)
{
    struct x509_issuer *issuer;
    int r;

    if (chain->count == 0)
        return errmsg_set(msg, -EINVAL, "the issuer has no certificate");
    r = check_may_sign(chain->certs[0], key, msg);
    if (r < 0)
        return r;
    issuer = calloc(1, sizeof(*issuer));
    if (!issuer)
        return -ENOMEM;
    issuer->key = x509_key_ref(key);
    r = x509_bundle_copy(anchors, &issuer->anchors);
    if (r == 0)
        r = take_chain(issuer, chain);
    if (r == 0)
        r = x509_issuer_check(issuer, wall_ns, msg);
    if (r < 0) {
        x509_issuer_free(issuer);
        return r;
    }
    *ret_issuer = issuer;
    return 0;
}

void x509_issuer_free(struct x509_issuer *issuer)
{
    if (!issuer)
        return;
    x509_bundle_release(&issuer->chain);
    x509_bundle_release(&issuer->anchors);
    x509_key_unref(issuer->key);
    free(issuer);
}

const struct x509_bundle *x509_issuer_chain(const struct x509_issuer *issuer)
{
    return &issuer->chain;
}

int64_t x509_issuer_not_after(const struct x509_issuer *issuer)
{
    return issuer->not_after;
}

/* 127 random bits: positive, and never the same twice (RFC 5280 section 4.1.2.2). */
static bool set_serial(X509 *x509)
{
    unsigned char bytes[16];
    BIGNUM *number = NULL;
    bool done = false;

    if (RAND_bytes(bytes, sizeof(bytes)) == 1) {
        bytes[0] &= 0x7f;
        bytes[15] |= 1;
        number = BN_bin2bn(bytes, sizeof(bytes), NULL);
        done = number && BN_to_ASN1_INTEGER(number, X509_get_serialNumber(x509));
    }
    BN_free(number);
    return done;
}

static bool add_extension(X509 *x509, const X509 *signer, int nid, const char *value)
{
    X509V3_CTX context;
    X509_EXTENSION *extension;
    bool done;

    X509V3_set_ctx(&context, (X509 *)signer, x509, NULL, NULL, 0);
    X509V3_set_ctx_nodb(&context);
    extension = X509V3_EXT_conf_nid(NULL, &context, nid, value);
    done = extension && X509_add_ext(x509, extension, -1) == 1;
    X509_EXTENSION_free(extension);
    return done;
}

static bool set_times(X509 *x509, int64_t not_before, int64_t not_after)
{
    return ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)(not_before / NS_PER_S)) &&
           ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)(not_after / NS_PER_S));
}

/* What a certificate is made of, besides its extensions. */
struct draft {
    EVP_PKEY *public_key;
    struct slice common_name;
    const X509 *signer; /* NULL: itself */
    int64_t not_before, not_after;
    int64_t latest; /* not_after is no later; 0: no such bound */
};

static X509 *begin(const struct draft *draft)
{
    X509 *x509 = X509_new();
    X509_NAME *subject = X509_NAME_new();
    bool done = x509 && subject && x509_set_common_name(subject, draft->common_name) >= 0 &&
                X509_set_version(x509, X509_VERSION_3) == 1 && set_serial(x509) &&
                set_times(x509, draft->not_before, draft->not_after) && X509_set_subject_name(x509, subject) == 1 &&
                X509_set_issuer_name(x509, draft->signer ? X509_get_subject_name(draft->signer) : subject) == 1 &&
                X509_set_pubkey(x509, draft->public_key) == 1;

    X509_NAME_free(subject);
    if (!done) {
        X509_free(x509);
        return NULL;
    }
    return x509;
}

/* Signs and wraps; takes over `x509`, which may be NULL from a step that failed. */
static int finish(X509 *x509, EVP_PKEY *signer_key, bool complete, struct errmsg *msg, struct x509_cert **ret_cert)
{
    if (!complete || X509_sign(x509, signer_key, EVP_sha256()) <= 0) {
        X509_free(x509);
        return errmsg_set(msg, -ENOMEM, "the certificate could not be made (%s)", x509_openssl_reason("no memory"));
    }
    return x509_cert_wrap(x509, msg, ret_cert);
}

/* RFC 5280: a certificate without a subject must have critical names. */
static bool add_name(X509 *x509, struct san name)
{
    GENERAL_NAMES *names = x509_names_of(name);
    bool critical = X509_NAME_entry_count(X509_get_subject_name(x509)) == 0;
    bool done = names && X509_add1_ext_i2d(x509, NID_subject_alt_name, names, critical, 0) == 1;

    GENERAL_NAMES_free(names);
    return done;
}

/* The signer by its key identifier; one that has none cannot be named by it (RFC 5280 section 4.2.1.1). */
static bool add_authority(X509 *x509, const X509 *signer)
{
    return !X509_get0_subject_key_id((X509 *)(uintptr_t)signer) ||
           add_extension(x509, signer, NID_authority_key_identifier, "keyid");
}

int x509_issue(const struct x509_issuer *issuer, const struct x509_csr *csr, struct san name, int64_t wall_ns,
               const struct x509_validity *validity, struct errmsg *msg, struct x509_cert **ret_cert)
{
    const X509 *signer = issuer->chain.certs[0]->x509;
    struct draft draft = {
        .public_key = X509_REQ_get0_pubkey(csr->req),
        .common_name = name.kind == SAN_DNS ? name.name : SLICE_NULL,
        .signer = signer,
        .not_before = wall_ns - validity->skew_ns,
        .not_after = wall_ns + validity->lifetime_ns + validity->skew_ns,
    };
    X509 *x509;

    if (name.kind != SAN_DNS && name.kind != SAN_URI)
        return errmsg_set(msg, -EINVAL, "a certificate is issued to a DNS name or a URI only");
    if (draft.not_after > issuer->not_after)
        draft.not_after = issuer->not_after;
    if (draft.not_after <= wall_ns)
        return errmsg_set(msg, -EKEYREJECTED, "the issuer's chain has expired");
    x509 = begin(&draft);
    return finish(x509, issuer->key->pkey,
                  x509 && add_extension(x509, signer, NID_basic_constraints, "critical,CA:FALSE") &&
                      add_extension(x509, signer, NID_key_usage, "critical,digitalSignature") &&
                      add_extension(x509, signer, NID_ext_key_usage, "serverAuth,clientAuth") &&
                      add_extension(x509, signer, NID_subject_key_identifier, "hash") &&
                      add_authority(x509, signer) && add_name(x509, name),
                  msg, ret_cert);
}

static int make_ca(struct draft *draft, EVP_PKEY *signer_key, const char *constraints,
                   const struct x509_validity *validity, int64_t wall_ns, struct errmsg *msg,
                   struct x509_cert **ret_cert)
{
    X509 *x509;
    const X509 *signer;

    if (draft->common_name.len == 0 || draft->common_name.len > 64 || !slice_is_utf8(draft->common_name))
        return errmsg_set(msg, -EINVAL, "the common name of a CA must have between 1 and 64 bytes of UTF-8");
    draft->not_before = wall_ns - validity->skew_ns;
    draft->not_after = wall_ns + validity->lifetime_ns + validity->skew_ns;
    if (draft->latest && draft->not_after > draft->latest)
        draft->not_after = draft->latest;
    x509 = begin(draft);
    signer = draft->signer ? draft->signer : x509;
    return finish(x509, signer_key,
                  x509 && add_extension(x509, signer, NID_basic_constraints, constraints) &&
                      add_extension(x509, signer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
                      add_extension(x509, signer, NID_subject_key_identifier, "hash") &&
                      (!draft->signer || add_authority(x509, signer)),
                  msg, ret_cert);
}

int x509_make_anchor(struct x509_key *key, struct slice common_name, int64_t wall_ns,
                     const struct x509_validity *validity, struct errmsg *msg, struct x509_cert **ret_cert)
{
    struct draft draft = {.public_key = key->pkey, .common_name = common_name};

    return make_ca(&draft, key->pkey, "critical,CA:TRUE", validity, wall_ns, msg, ret_cert);
}

int x509_make_issuer(struct x509_key *signer_key, const struct x509_cert *signer, struct x509_key *key,
                     struct slice common_name, int64_t wall_ns, const struct x509_validity *validity,
                     struct errmsg *msg, struct x509_cert **ret_cert)
{
    struct draft draft = {.public_key = key->pkey,
                          .common_name = common_name,
                          .signer = signer->x509,
                          .latest = x509_cert_not_after(signer)};
    int r = check_may_sign(signer, signer_key, msg);

    if (r < 0)
        return r;
    return make_ca(&draft, signer_key->pkey, "critical,CA:TRUE,pathlen:0", validity, wall_ns, msg, ret_cert);
}
