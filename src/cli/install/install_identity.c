#include "cli/install/install_identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart/values.h"
#include "net/x509/x509_issuer.h"
#include "template/value.h"

static const char ANCHORS[] = "identityTrustAnchorsPEM", ISSUER_CERT[] = "identity.issuer.tls.crtPEM",
                  ISSUER_KEY[] = "identity.issuer.tls.keyPEM";
static const int64_t YEAR_NS = 365 * 24 * 3600 * NS_PER_S, SKEW_NS = 60 * NS_PER_S;

static struct slice text_at(json_t *values, const char *path)
{
    json_t *value = values_at(values, path);

    return json_is_string(value) ? value_text(value) : SLICE_NULL;
}

static bool is_external(json_t *values)
{
    return slice_eq(text_at(values, "identity.issuer.scheme"), SLICE_LIT("kubernetes.io/tls"));
}

/* --- checking --- */

static int read_issuer(json_t *values, struct errmsg *msg, struct x509_bundle *ret_chain, struct x509_key **ret_key)
{
    int r = x509_bundle_read(text_at(values, ISSUER_CERT), msg, ret_chain);

    if (r < 0)
        return errmsg_prefix(msg, r, "%s", ISSUER_CERT);
    r = x509_key_read(text_at(values, ISSUER_KEY), msg, ret_key);
    return r < 0 ? errmsg_prefix(msg, r, "%s", ISSUER_KEY) : 0;
}

/* As the identity service will: the key fits, the certificate may sign, and an anchor vouches for it. */
static int check_issuer(json_t *values, const struct x509_bundle *anchors, int64_t wall_ns, struct errmsg *msg)
{
    struct x509_bundle chain = {NULL, 0};
    struct x509_issuer *issuer = NULL;
    struct x509_key *key = NULL;
    int r = read_issuer(values, msg, &chain, &key);

    if (r == 0) {
        r = x509_issuer_new(key, &chain, anchors, wall_ns, msg, &issuer);
        if (r < 0)
            errmsg_prefix(msg, r, "identity.issuer.tls");
    }
    x509_issuer_free(issuer);
    x509_key_unref(key);
    x509_bundle_release(&chain);
    return r;
}

static int check(json_t *values, int64_t wall_ns, struct errmsg *msg)
{
    struct x509_bundle anchors = {NULL, 0};
    int r;

    if (text_at(values, ANCHORS).len == 0)
        return errmsg_set(msg, -EINVAL, "%s is missing: an issuer is given, and proxies must trust its anchor (--identity-trust-anchors-file)",
                          ANCHORS);
    if (!is_external(values) && (text_at(values, ISSUER_CERT).len == 0 || text_at(values, ISSUER_KEY).len == 0))
        return errmsg_set(msg, -EINVAL, "the issuer is missing: anchors are given, so give its certificate and key too "
                          "(--identity-issuer-certificate-file, --identity-issuer-key-file), or --identity-external-issuer");
    r = x509_bundle_read(text_at(values, ANCHORS), msg, &anchors);
    if (r < 0)
        errmsg_prefix(msg, r, "%s", ANCHORS);
    else if (!is_external(values))
        r = check_issuer(values, &anchors, wall_ns, msg);
    x509_bundle_release(&anchors);
    return r;
}

/* --- making --- */

static int put_pem(json_t *values, const char *path, int r, struct buffer *pem)
{
    if (r == 0)
        r = values_put(values, path, json_stringn(pem->data, pem->len));
    if (pem->data)
        explicit_bzero(pem->data, pem->len);
    buffer_release(pem);
    return r;
}

static int put_cert(json_t *values, const char *path, const struct x509_cert *cert)
{
    struct buffer pem;

    buffer_init(&pem, LIMIT_PEM);
    return put_pem(values, path, x509_cert_write_pem(cert, &pem), &pem);
}

static int put_key(json_t *values, const char *path, const struct x509_key *key)
{
    struct buffer pem;

    buffer_init(&pem, LIMIT_PEM);
    return put_pem(values, path, x509_key_write_pem(key, &pem), &pem);
}

static int make_issuer(json_t *values, struct x509_key *anchor_key, const struct x509_cert *anchor, const char *name, int64_t wall_ns,
                       struct errmsg *msg)
{
    struct x509_validity validity = {YEAR_NS, SKEW_NS};
    struct x509_key *key = NULL;
    struct x509_cert *cert = NULL;
    int r = x509_key_new(&key);

    if (r == 0)
        r = x509_make_issuer(anchor_key, anchor, key, slice_str(name), wall_ns, &validity, msg, &cert);
    if (r == 0)
        r = put_cert(values, ISSUER_CERT, cert);
    if (r == 0)
        r = put_key(values, ISSUER_KEY, key);
    x509_cert_unref(cert);
    x509_key_unref(key);
    return r;
}

static int trust_domain(json_t *values, struct errmsg *msg, char *out, size_t size)
{
    struct slice domain = text_at(values, "identityTrustDomain");

    if (domain.len == 0)
        domain = text_at(values, "clusterDomain");
    if (domain.len == 0)
        domain = SLICE_LIT("cluster.local");
    if (!san_is_dns(domain) || domain.len + sizeof("identity.linkerd.") > size)
        return errmsg_set(msg, -EINVAL, "identityTrustDomain: \"%.*s\" is no name: expected labels of letters, digits and dashes with dots between",
                          SLICE_ARGS(slice_take(domain, 80)));
    snprintf(out, size, "%.*s", SLICE_ARGS(domain));
    return 0;
}

static int make(json_t *values, int64_t wall_ns, struct errmsg *msg)
{
    struct x509_validity validity = {10 * YEAR_NS, SKEW_NS};
    struct x509_key *key = NULL;
    struct x509_cert *anchor = NULL;
    char domain[256], name[300];
    int r = trust_domain(values, msg, domain, sizeof(domain));

    if (r == 0)
        r = x509_key_new(&key);
    snprintf(name, sizeof(name), "root.linkerd.%s", domain);
    if (r == 0)
        r = x509_make_anchor(key, slice_str(name), wall_ns, &validity, msg, &anchor);
    snprintf(name, sizeof(name), "identity.linkerd.%s", domain);
    if (r == 0)
        r = put_cert(values, ANCHORS, anchor);
    if (r == 0)
        r = make_issuer(values, key, anchor, name, wall_ns, msg);
    x509_cert_unref(anchor);
    x509_key_unref(key);
    return r;
}

int install_identity(json_t *values, int64_t wall_ns, struct errmsg *msg)
{
    bool has_any = text_at(values, ANCHORS).len || text_at(values, ISSUER_CERT).len || text_at(values, ISSUER_KEY).len;

    if (json_is_true(values_at(values, "identity.externalCA")) && is_external(values))
        return 0;
    return has_any || is_external(values) || json_is_true(values_at(values, "identity.externalCA")) ? check(values, wall_ns, msg)
                                                                                                    : make(values, wall_ns, msg);
}
