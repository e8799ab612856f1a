#include "net/x509/x509_csr.h"

#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "net/x509/x509_csr_internal.h"
#include "net/x509/x509_internal.h"

enum { COMMON_NAME_MAX = 64 /* ub-common-name, RFC 5280 appendix A */ };

GENERAL_NAMES *x509_names_of(struct san name)
{
    GENERAL_NAMES *names = GENERAL_NAMES_new();
    GENERAL_NAME *one = GENERAL_NAME_new();
    ASN1_IA5STRING *text = ASN1_IA5STRING_new();

    if (!names || !one || !text || ASN1_STRING_set(text, name.name.ptr, (int)name.name.len) != 1 ||
        !sk_GENERAL_NAME_push(names, one)) {
        ASN1_IA5STRING_free(text);
        GENERAL_NAME_free(one);
        GENERAL_NAMES_free(names);
        return NULL;
    }
    GENERAL_NAME_set0_value(one, name.kind == SAN_DNS ? GEN_DNS : GEN_URI, text);
    return names;
}

int x509_set_common_name(X509_NAME *subject, struct slice name)
{
    if (name.len == 0 || name.len > COMMON_NAME_MAX)
        return 0;
    return X509_NAME_add_entry_by_NID(subject, NID_commonName, MBSTRING_UTF8, (const unsigned char *)name.ptr,
                                      (int)name.len, -1, 0) == 1
               ? 1
               : -ENOMEM;
}

/* The extension request with the name as its only entry. */
static int add_names(X509_REQ *req, struct san name)
{
    GENERAL_NAMES *names = x509_names_of(name);
    STACK_OF(X509_EXTENSION) *extensions = NULL;
    int r = -ENOMEM;

    if (names && X509V3_add1_i2d(&extensions, NID_subject_alt_name, names, 0, 0) == 1 &&
        X509_REQ_add_extensions(req, extensions) == 1)
        r = 0;
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    GENERAL_NAMES_free(names);
    return r;
}

int x509_csr_new(const struct x509_key *key, struct san name, struct buffer *ret_der)
{
    X509_REQ *req;
    unsigned char *der = NULL;
    int len = -1, r;

    if (name.kind != SAN_DNS && name.kind != SAN_URI)
        return -EINVAL;
    req = X509_REQ_new();
    if (req && X509_REQ_set_version(req, X509_REQ_VERSION_1) == 1 && X509_REQ_set_pubkey(req, key->pkey) == 1 &&
        (name.kind != SAN_DNS || x509_set_common_name(X509_REQ_get_subject_name(req), name.name) >= 0) &&
        add_names(req, name) == 0 && X509_REQ_sign(req, key->pkey, EVP_sha256()) > 0)
        len = i2d_X509_REQ(req, &der);
    r = len > 0 ? buffer_add(ret_der, slice_of(der, (size_t)len)) : -ENOMEM;
    OPENSSL_free(der);
    X509_REQ_free(req);
    ERR_clear_error();
    return r;
}

/* The names that it asks for; false when that part is broken or there is more than one such part. */
static bool read_csr_names(X509_REQ *req, GENERAL_NAMES **ret_names)
{
    int at = X509_REQ_get_attr_by_NID(req, NID_ext_req, -1), critical;
    STACK_OF(X509_EXTENSION) * extensions;

    *ret_names = NULL;
    if (X509_REQ_get_attr_by_NID(req, NID_ms_ext_req, -1) >= 0)
        return false;
    if (at < 0)
        return true;
    if (X509_REQ_get_attr_by_NID(req, NID_ext_req, at) >= 0)
        return false;
    extensions = X509_REQ_get_extensions(req);
    if (!extensions)
        return false;
    *ret_names = X509V3_get_d2i(extensions, NID_subject_alt_name, &critical, NULL);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    return *ret_names || critical == -1;
}

static int check_read(struct x509_csr *csr, struct errmsg *msg)
{
    EVP_PKEY *pkey = X509_REQ_get0_pubkey(csr->req);
    char kind[64];

    if (!pkey)
        return errmsg_set(msg, -EINVAL, "the request has no public key that can be read (%s)",
                          x509_openssl_reason("unknown"));
    if (!x509_is_p256(pkey))
        return errmsg_set(msg, -ENOTSUP, "the request's key must be ECDSA P-256, this one is %s",
                          x509_key_kind(pkey, kind, sizeof(kind)));
    if (X509_REQ_verify(csr->req, pkey) != 1)
        return errmsg_set(msg, -EINVAL, "the request's signature is not by its own key");
    if (!read_csr_names(csr->req, &csr->names))
        return errmsg_set(msg, -EINVAL, "the request's alternative names do not parse");
    return 0;
}

int x509_csr_read(struct slice der, struct errmsg *msg, struct x509_csr **ret_csr)
{
    const unsigned char *at = (const unsigned char *)der.ptr;
    struct x509_csr *csr;
    int r;

    if (der.len == 0 || der.len > LIMIT_CSR)
        return errmsg_set(msg, -EINVAL, "a certificate signing request of %zu bytes; it must have between 1 and %d",
                          der.len, LIMIT_CSR);
    csr = calloc(1, sizeof(*csr));
    if (!csr)
        return -ENOMEM;
    csr->req = d2i_X509_REQ(NULL, &at, (long)der.len);
    if (!csr->req)
        r = errmsg_set(msg, -EINVAL, "not a certificate signing request (%s)",
                       x509_openssl_reason("it does not parse"));
    else if (at != (const unsigned char *)der.ptr + der.len)
        r = errmsg_set(msg, -EINVAL, "there are bytes behind the certificate signing request");
    else
        r = check_read(csr, msg);
    ERR_clear_error();
    if (r < 0) {
        x509_csr_free(csr);
        return r;
    }
    *ret_csr = csr;
    return 0;
}

void x509_csr_free(struct x509_csr *csr)
{
    if (!csr)
        return;
    GENERAL_NAMES_free(csr->names);
    X509_REQ_free(csr->req);
    free(csr);
}

/* Every common name of the subject must be the identity; most requests have one, none is fine. */
static int check_common_name(const struct x509_csr *csr, struct slice identity, struct errmsg *msg)
{
    const X509_NAME *subject = X509_REQ_get_subject_name(csr->req);

    for (int i = -1; (i = X509_NAME_get_index_by_NID(subject, NID_commonName, i)) >= 0;) {
        const ASN1_STRING *value = X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, i));
        struct slice name = slice_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value));

        if (name.len && !slice_eq(name, identity))
            return errmsg_set(msg, -EPERM, "the request's common name is not the requested identity");
    }
    return 0;
}

int x509_csr_check(const struct x509_csr *csr, struct slice identity, struct errmsg *msg)
{
    int count = csr->names ? sk_GENERAL_NAME_num(csr->names) : 0, dns = 0;

    for (int i = 0; i < count; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(csr->names, i);
        struct san san = x509_san_of(name);

        if (name->type != GEN_DNS)
            return errmsg_set(msg, -EPERM, "the request has a name that is not a DNS name, which cannot be validated");
        if (++dns > 1 && !mutation("request-for-two-names"))
            return errmsg_set(msg, -EPERM, "the request must have exactly one DNS name, it has more");
        if (san.kind != SAN_DNS)
            return errmsg_set(msg, -EPERM, "the request's DNS name is malformed");
        if (!slice_eq(san.name, identity))
            return errmsg_set(msg, -EPERM, "the request's name %.*s is not the requested identity %.*s",
                              SLICE_ARGS(san.name), SLICE_ARGS(slice_take(identity, 256)));
    }
    if (dns == 0)
        return errmsg_set(msg, -EPERM, "the request must have exactly one DNS name, it has none");
    return check_common_name(csr, identity, msg);
}

bool x509_csr_is_for(const struct x509_csr *csr, const struct x509_key *key, struct san name)
{
    bool same = EVP_PKEY_eq(X509_REQ_get0_pubkey(csr->req), key->pkey) == 1;

    ERR_clear_error();
    return same && csr->names && sk_GENERAL_NAME_num(csr->names) == 1 &&
           san_eq(x509_san_of(sk_GENERAL_NAME_value(csr->names, 0)), name);
}
