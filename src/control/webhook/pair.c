#include "control/webhook/pair.h"

#include <errno.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/x509/x509.h"
#include "net/x509/x509_issuer.h"

static const struct x509_validity VALIDITY = {.lifetime_ns = 365 * 24 * 3600 * NS_PER_S, .skew_ns = 300 * NS_PER_S};

void webhook_pair_init(struct webhook_pair *pair)
{
    buffer_init(&pair->certificate, LIMIT_PEM);
    buffer_init(&pair->key, LIMIT_PEM);
    buffer_init(&pair->authorities, LIMIT_PEM);
}

void webhook_pair_release(struct webhook_pair *pair)
{
    if (pair->key.data)
        explicit_bzero(pair->key.data, pair->key.size);
    buffer_release(&pair->certificate);
    buffer_release(&pair->key);
    buffer_release(&pair->authorities);
}

/* --- making --- */

/* Adds it to the bundle, which is empty. */
static int make_authority(int64_t wall_ns, struct errmsg *msg, struct x509_bundle *bundle, struct x509_issuer **ret_issuer)
{
    struct x509_key *key = NULL;
    struct x509_cert *cert = NULL;
    int r = x509_key_new(&key);

    if (r == 0)
        r = x509_make_anchor(key, SLICE_LIT("webhook.linkerd.io"), wall_ns, &VALIDITY, msg, &cert);
    if (r == 0)
        r = x509_bundle_add(bundle, cert);
    if (r == 0)
        r = x509_issuer_new(key, bundle, bundle, wall_ns, msg, ret_issuer);
    x509_cert_unref(cert);
    x509_key_unref(key);
    return r;
}

static int make_leaf(const struct x509_issuer *issuer, struct san name, int64_t wall_ns, struct errmsg *msg, struct webhook_pair *pair)
{
    struct x509_key *key = NULL;
    struct x509_csr *csr = NULL;
    struct x509_cert *leaf = NULL;
    struct buffer der;
    int r = x509_key_new(&key);

    buffer_init(&der, LIMIT_CSR);
    if (r == 0)
        r = x509_csr_new(key, name, &der);
    if (r == 0)
        r = x509_csr_read(buffer_slice(&der), msg, &csr);
    if (r == 0)
        r = x509_issue(issuer, csr, name, wall_ns, &VALIDITY, msg, &leaf);
    if (r == 0)
        r = x509_cert_write_pem(leaf, &pair->certificate);
    if (r == 0)
        r = x509_key_write_pem(key, &pair->key);
    buffer_release(&der);
    x509_cert_unref(leaf);
    x509_csr_free(csr);
    x509_key_unref(key);
    return r;
}

static int keep_authorities(struct slice before, int64_t wall_ns, struct x509_bundle *authorities)
{
    struct x509_bundle bundle;
    int r = before.len ? x509_bundle_read(before, NULL, &bundle) : -EINVAL;

    if (r < 0)
        return r == -ENOMEM ? r : 0;
    for (size_t i = 0; r == 0 && i < bundle.count && authorities->count < WEBHOOK_PAIR_AUTHORITIES; i++)
        if (x509_cert_not_after(bundle.certs[i]) > wall_ns && !x509_bundle_has(authorities, bundle.certs[i]))
            r = x509_bundle_add(authorities, bundle.certs[i]);
    x509_bundle_release(&bundle);
    return r;
}

static int write_authorities(const struct x509_bundle *authorities, struct webhook_pair *pair)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < authorities->count; i++)
        r = x509_cert_write_pem(authorities->certs[i], &pair->authorities);
    return r;
}

int webhook_pair_make(struct slice name, const struct slice before[], size_t count, int64_t wall_ns, struct errmsg *msg,
                      struct webhook_pair *ret_pair)
{
    struct x509_issuer *issuer = NULL;
    struct x509_bundle authorities = {0};
    struct webhook_pair pair;
    int r = make_authority(wall_ns, msg, &authorities, &issuer);

    webhook_pair_init(&pair);
    if (r == 0)
        r = make_leaf(issuer, (struct san){SAN_DNS, name}, wall_ns, msg, &pair);
    for (size_t i = 0; r == 0 && i < count; i++)
        r = keep_authorities(before[i], wall_ns, &authorities);
    if (r == 0)
        r = write_authorities(&authorities, &pair);
    x509_issuer_free(issuer);
    x509_bundle_release(&authorities);
    if (r < 0)
        webhook_pair_release(&pair);
    else
        *ret_pair = pair;
    return r;
}

/* --- checking --- */

static int check_leaf(const struct x509_bundle *chain, const struct x509_key *key, struct slice name, int64_t wall_ns, struct errmsg *msg,
                      bool *ret_old)
{
    const struct x509_cert *leaf = chain->certs[0];
    int64_t begin = x509_cert_not_before(leaf), end = x509_cert_not_after(leaf);

    if (!x509_cert_has_key(leaf, key))
        return errmsg_set(msg, -EKEYREJECTED, "the certificate does not belong to the key");
    if (!x509_cert_has_id(leaf, (struct san){SAN_DNS, name}))
        return errmsg_set(msg, -EKEYREJECTED, "the certificate is not for %.*s", SLICE_ARGS(name));
    *ret_old = wall_ns > begin + (end - begin) / 3 * 2;
    return 0;
}

int webhook_pair_check(const struct webhook_pair *pair, struct slice name, int64_t wall_ns, struct errmsg *msg, bool *ret_old)
{
    struct x509_bundle chain = {0}, authorities = {0};
    struct x509_key *key = NULL;
    enum x509_failure why;
    int r = x509_bundle_read(buffer_slice(&pair->certificate), msg, &chain);

    if (r == 0)
        r = x509_bundle_read(buffer_slice(&pair->authorities), msg, &authorities);
    if (r == 0)
        r = x509_key_read(buffer_slice(&pair->key), msg, &key);
    if (r == 0)
        r = check_leaf(&chain, key, name, wall_ns, msg, ret_old);
    if (r == 0)
        r = x509_verify(&chain, &authorities, X509_FOR_SERVER, wall_ns, msg, &why);
    x509_key_unref(key);
    x509_bundle_release(&chain);
    x509_bundle_release(&authorities);
    return r;
}
