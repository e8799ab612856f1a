/*
 * Workload tokens. The first byte chooses: 0, the rest is a token as it came; else it is the JSON of header and claims
 * with a NUL between, signed here, so that what lies behind the signature is reached too. Nothing without a known
 * signature is ever valid.
 */
#include <assert.h>
#include <openssl/ec.h>
#include <openssl/evp.h>

#include "base/limits.h"
#include "net/token/token.h"
#include "net/token/token_internal.h"
#include "net/x509/x509_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define WALL (INT64_C(1700000000) * 1000000000)

/* Of no use anywhere else. */
static const char key_pem[] = "-----BEGIN PRIVATE KEY-----\n"
                              "MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgEttHHyo1UdI51ofZ\n"
                              "DDd+nx87K/hzYKQo/y597lLXxGmhRANCAATkVDobUXr+23VCvXEa1QgkcyIkh5xE\n"
                              "xfYcoAK6wXjjQAZPAgDox6zfvUWnBDkMEIAqCh1gTk7WMMYleNDlBRii\n"
                              "-----END PRIVATE KEY-----\n";

static void add_signature(const struct x509_key *key, struct buffer *token)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char der[80], raw[TOKEN_SIGNATURE];
    const unsigned char *at = der;
    size_t len = sizeof(der);
    ECDSA_SIG *sig;

    EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key->pkey);
    EVP_DigestSign(md, der, &len, (const unsigned char *)token->data, token->len);
    sig = d2i_ECDSA_SIG(NULL, &at, (long)len);
    BN_bn2binpad(ECDSA_SIG_get0_r(sig), raw, 32);
    BN_bn2binpad(ECDSA_SIG_get0_s(sig), raw + 32, 32);
    buffer_add_byte(token, '.');
    token_base64_add(token, slice_of(raw, sizeof(raw)));
    ECDSA_SIG_free(sig);
    EVP_MD_CTX_free(md);
}

static enum token_verdict check(const struct token_validator *keys, struct slice token)
{
    struct token_subject subject;
    struct errmsg msg;
    enum token_verdict verdict = token_check(keys, token, SLICE_LIT(TOKEN_AUDIENCE), WALL, &msg, &subject);

    if (verdict == TOKEN_VALID) {
        assert(token_is_label(slice_str(subject.namespace)));
        assert(token_is_label(slice_str(subject.service_account)));
    }
    return verdict;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input = slice_of(data, size), header;
    struct token_validator *keys;
    struct x509_key *key;
    struct buffer token;
    char bytes[LIMIT_TOKEN];

    if (size == 0 || token_keys_new(slice_str(key_pem), 0, NULL, &keys) < 0)
        return 0;
    input = slice_skip(input, 1);
    (void)token_base64_read(input, bytes, sizeof(bytes));
    if (data[0] == 0) {
        assert(check(keys, input) != TOKEN_VALID); /* nobody guesses a signature */
    } else if (x509_key_read(slice_str(key_pem), NULL, &key) == 0) {
        header = slice_take(input, slice_find(input, '\0'));
        buffer_init(&token, 4 * LIMIT_TOKEN);
        token_base64_add(&token, header);
        buffer_add_byte(&token, '.');
        token_base64_add(&token, slice_skip(input, header.len + 1));
        if (!buffer_error(&token)) {
            add_signature(key, &token);
            (void)check(keys, buffer_slice(&token));
        }
        buffer_release(&token);
        x509_key_unref(key);
    }
    keys->ops->free(keys);
    return 0;
}
