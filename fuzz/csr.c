/*
 * Certificate signing requests: as they came, and, since nobody guesses a signature, signed again by a key of ours so
 * that their names are looked at as well. A request that passes the check has the one name that was asked for.
 */
#include <assert.h>

#include "net/x509/x509_csr.h"
#include "net/x509/x509_csr_internal.h"
#include "net/x509/x509_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define NAME "web.shop.serviceaccount.identity.linkerd.cluster.local"

static void check(struct slice der)
{
    struct x509_csr *csr;
    struct errmsg msg;

    if (x509_csr_read(der, &msg, &csr) < 0)
        return;
    if (x509_csr_check(csr, SLICE_LIT(NAME), &msg) == 0) {
        assert(sk_GENERAL_NAME_num(csr->names) == 1);
        assert(san_eq(x509_san_of(sk_GENERAL_NAME_value(csr->names, 0)), (struct san){SAN_DNS, SLICE_LIT(NAME)}));
    }
    x509_csr_free(csr);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const unsigned char *at = data;
    X509_REQ *req = d2i_X509_REQ(NULL, &at, (long)size);
    struct x509_key *key;
    unsigned char *der = NULL;
    int len;

    check(slice_of(data, size));
    if (req && x509_key_new(&key) == 0) {
        if (X509_REQ_set_pubkey(req, key->pkey) == 1 && X509_REQ_sign(req, key->pkey, EVP_sha256()) > 0 &&
            (len = i2d_X509_REQ(req, &der)) > 0)
            check(slice_of(der, (size_t)len));
        OPENSSL_free(der);
        x509_key_unref(key);
    }
    X509_REQ_free(req);
    (void)x509_openssl_reason("");
    return 0;
}
