#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/x509/x509_internal.h"

int x509_bundle_add(struct x509_bundle *bundle, struct x509_cert *cert)
{
    struct x509_cert **certs;

    if (bundle->count >= LIMIT_CERTIFICATES)
        return -ENOBUFS;
    certs = realloc(bundle->certs, (bundle->count + 1) * sizeof(struct x509_cert *));
    if (!certs)
        return -ENOMEM;
    bundle->certs = certs;
    bundle->certs[bundle->count++] = x509_cert_ref(cert);
    return 0;
}

void x509_bundle_release(struct x509_bundle *bundle)
{
    for (size_t i = 0; i < bundle->count; i++)
        x509_cert_unref(bundle->certs[i]);
    free(bundle->certs);
    *bundle = (struct x509_bundle){0};
}

int x509_bundle_copy(const struct x509_bundle *bundle, struct x509_bundle *ret_bundle)
{
    struct x509_bundle copy = {0};

    for (size_t i = 0; i < bundle->count; i++) {
        int r = x509_bundle_add(&copy, bundle->certs[i]);

        if (r < 0) {
            x509_bundle_release(&copy);
            return r;
        }
    }
    *ret_bundle = copy;
    return 0;
}

bool x509_bundle_has(const struct x509_bundle *bundle, const struct x509_cert *cert)
{
    for (size_t i = 0; i < bundle->count; i++)
        if (slice_eq(x509_cert_der(bundle->certs[i]), x509_cert_der(cert)))
            return true;
    return false;
}

bool x509_bundle_eq(const struct x509_bundle *a, const struct x509_bundle *b)
{
    if (a->count != b->count)
        return false;
    for (size_t i = 0; i < a->count; i++)
        if (!slice_eq(x509_cert_der(a->certs[i]), x509_cert_der(b->certs[i])))
            return false;
    return true;
}

static int add_block(struct x509_bundle *bundle, const struct pem_block *block, struct errmsg *msg)
{
    struct x509_cert *cert;
    unsigned char *der;
    size_t len;
    int r;

    if (!slice_eq(block->label, SLICE_LIT("CERTIFICATE")) && !slice_eq(block->label, SLICE_LIT("X509 CERTIFICATE")))
        return errmsg_set(msg, -EINVAL, "it is a %.*s, not a CERTIFICATE", (int)slice_take(block->label, 64).len,
                          block->label.ptr);
    r = pem_decode(block, &der, &len);
    if (r < 0)
        return errmsg_set(msg, r, "it is not valid base64");
    r = x509_cert_read(slice_of(der, len), msg, &cert);
    free(der);
    if (r < 0)
        return r;
    r = x509_bundle_add(bundle, cert);
    x509_cert_unref(cert);
    return r == -ENOBUFS ? errmsg_set(msg, r, "more than %d certificates", LIMIT_CERTIFICATES) : r;
}

int x509_bundle_read(struct slice pem, struct errmsg *msg, struct x509_bundle *ret_bundle)
{
    struct x509_bundle bundle = {0};
    struct pem_block block;
    unsigned line = 0;
    int r;

    if (pem.len > LIMIT_PEM)
        return errmsg_set(msg, -EINVAL, "%zu bytes of PEM, at most %d are read", pem.len, LIMIT_PEM);
    while ((r = pem_next(&pem, &line, msg, &block)) == 1) {
        r = add_block(&bundle, &block, msg);
        if (r < 0) {
            r = errmsg_prefix(msg, r, "PEM block %zu (line %u)", bundle.count + 1, block.line);
            break;
        }
    }
    if (r == 0 && bundle.count == 0)
        r = errmsg_set(msg, -EINVAL, "there is no CERTIFICATE block");
    if (r < 0) {
        x509_bundle_release(&bundle);
        return r;
    }
    *ret_bundle = bundle;
    return 0;
}
