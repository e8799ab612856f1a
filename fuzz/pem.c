/* PEM: trust bundles, private keys, token keys. A bundle that was read is the same when it is written and read again.
 */
#include <assert.h>

#include "base/limits.h"
#include "net/token/token.h"
#include "net/x509/x509.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void use_certificates(const struct x509_bundle *bundle)
{
    struct buffer pem, text;
    struct x509_bundle again;

    buffer_init(&pem, 4 * LIMIT_PEM);
    buffer_init(&text, LIMIT_PEM);
    for (size_t i = 0; i < bundle->count; i++) {
        const struct x509_cert *cert = bundle->certs[i];
        struct san san;

        for (size_t n = 0; x509_cert_san(cert, n, &san); n++)
            assert(san.kind == SAN_OTHER || x509_cert_has_id(cert, san));
        (void)x509_cert_first_id(cert);
        (void)x509_cert_days_left(cert, 0);
        (void)x509_cert_is_ca(cert);
        x509_cert_subject(cert, &text);
        x509_cert_issuer(cert, &text);
        x509_cert_serial(cert, &text);
        x509_cert_algorithm(cert, &text);
        x509_cert_write_pem(cert, &pem);
    }
    if (!buffer_error(&pem) && pem.len <= LIMIT_PEM) {
        assert(x509_bundle_read(buffer_slice(&pem), NULL, &again) == 0);
        assert(x509_bundle_eq(bundle, &again));
        x509_bundle_release(&again);
    }
    buffer_release(&pem);
    buffer_release(&text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice text = slice_of(data, size);
    struct token_validator *keys;
    struct x509_bundle bundle;
    struct x509_cert *cert;
    struct x509_key *key;
    struct errmsg msg;

    if (x509_bundle_read(text, &msg, &bundle) == 0) {
        use_certificates(&bundle);
        x509_bundle_release(&bundle);
    }
    if (x509_cert_read(text, &msg, &cert) == 0)
        x509_cert_unref(cert);
    if (x509_key_read(text, &msg, &key) == 0)
        x509_key_unref(key);
    if (token_keys_new(text, 0, &msg, &keys) == 0)
        keys->ops->free(keys);
    return 0;
}
