#include "net/x509/x509_fixture.h"

#include <openssl/x509v3.h>

#include "base/duration.h"
#include "net/x509/x509_internal.h"

#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static const struct x509_validity year = {365 * 24 * FIXTURE_HOUR, FIXTURE_HOUR};
static const struct x509_validity day = {24 * FIXTURE_HOUR, 20 * NS_PER_S};

void authority_init(struct authority *authority, const char *name)
{
    struct x509_bundle chain = {0};

    *authority = (struct authority){0};
    MUST(x509_key_new(&authority->anchor_key) == 0 && x509_key_new(&authority->issuer_key) == 0);
    MUST(x509_make_anchor(authority->anchor_key, slice_str(name), FIXTURE_WALL, &year, NULL, &authority->anchor) == 0);
    MUST(x509_make_issuer(authority->anchor_key, authority->anchor, authority->issuer_key,
                          SLICE_LIT("identity.linkerd.cluster.local"), FIXTURE_WALL, &year, NULL,
                          &authority->issuer_cert) == 0);
    MUST(x509_bundle_add(&authority->anchors, authority->anchor) == 0);
    MUST(x509_bundle_add(&chain, authority->issuer_cert) == 0);
    MUST(x509_issuer_new(authority->issuer_key, &chain, &authority->anchors, FIXTURE_WALL, NULL, &authority->issuer) ==
         0);
    x509_bundle_release(&chain);
}

void authority_release(struct authority *authority)
{
    x509_issuer_free(authority->issuer);
    x509_bundle_release(&authority->anchors);
    x509_cert_unref(authority->anchor);
    x509_cert_unref(authority->issuer_cert);
    x509_key_unref(authority->anchor_key);
    x509_key_unref(authority->issuer_key);
}

void workload_init(struct workload *workload, const struct authority *authority, struct san name)
{
    struct x509_csr *csr;
    struct x509_cert *leaf;
    struct buffer der;

    *workload = (struct workload){0};
    buffer_init(&der, 1 << 16);
    MUST(x509_key_new(&workload->key) == 0);
    MUST(x509_csr_new(workload->key, name, &der) == 0);
    MUST(x509_csr_read(buffer_slice(&der), NULL, &csr) == 0);
    MUST(x509_issue(authority->issuer, csr, name, FIXTURE_WALL, &day, NULL, &leaf) == 0);
    MUST(x509_bundle_add(&workload->chain, leaf) == 0);
    MUST(x509_bundle_add(&workload->chain, authority->issuer_cert) == 0);
    x509_cert_unref(leaf);
    x509_csr_free(csr);
    buffer_release(&der);
}

void workload_init_odd(struct workload *workload, const struct authority *authority, void *names, int64_t from_ns,
                       int64_t to_ns, const char *purpose)
{
    X509 *x509 = X509_new();
    X509_EXTENSION *usage = X509V3_EXT_conf_nid(NULL, NULL, NID_ext_key_usage, purpose);
    struct x509_cert *leaf;

    *workload = (struct workload){0};
    MUST(x509_key_new(&workload->key) == 0);
    MUST(x509 && usage && X509_set_version(x509, X509_VERSION_3) == 1);
    MUST(ASN1_INTEGER_set(X509_get_serialNumber(x509), 7) == 1);
    MUST(ASN1_TIME_set(X509_getm_notBefore(x509), (time_t)((FIXTURE_WALL + from_ns) / NS_PER_S)));
    MUST(ASN1_TIME_set(X509_getm_notAfter(x509), (time_t)((FIXTURE_WALL + to_ns) / NS_PER_S)));
    MUST(X509_set_issuer_name(x509, X509_get_subject_name(authority->issuer_cert->x509)) == 1);
    MUST(X509_set_pubkey(x509, workload->key->pkey) == 1);
    MUST(X509_add_ext(x509, usage, -1) == 1);
    MUST(!names || X509_add1_ext_i2d(x509, NID_subject_alt_name, names, 0, 0) == 1);
    MUST(X509_sign(x509, authority->issuer_key->pkey, EVP_sha256()) > 0);
    MUST(x509_cert_wrap(x509, NULL, &leaf) == 0);
    MUST(x509_bundle_add(&workload->chain, leaf) == 0);
    MUST(x509_bundle_add(&workload->chain, authority->issuer_cert) == 0);
    x509_cert_unref(leaf);
    X509_EXTENSION_free(usage);
}

void workload_release(struct workload *workload)
{
    x509_bundle_release(&workload->chain);
    x509_key_unref(workload->key);
}
