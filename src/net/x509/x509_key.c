#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/x509.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/x509/x509_internal.h"

const char *x509_openssl_reason(const char *otherwise)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;

    ERR_clear_error();
    return reason ? reason : otherwise;
}

bool x509_is_p256(const EVP_PKEY *pkey)
{
    char group[32];
    size_t len;

    return EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1 &&
           strcmp(group, "prime256v1") == 0;
}

char *x509_key_kind(const EVP_PKEY *pkey, char *out, size_t size)
{
    char group[32];
    size_t len;

    if (x509_is_p256(pkey))
        snprintf(out, size, "ECDSA P-256");
    else if (EVP_PKEY_is_a(pkey, "EC") && EVP_PKEY_get_group_name(pkey, group, sizeof(group), &len) == 1)
        snprintf(out, size, "ECDSA %s",
                 strcmp(group, "secp384r1") == 0   ? "P-384"
                 : strcmp(group, "secp521r1") == 0 ? "P-521"
                                                   : group);
    else if (EVP_PKEY_is_a(pkey, "ED25519"))
        snprintf(out, size, "Ed25519");
    else
        snprintf(out, size, "%s %d", EVP_PKEY_get0_type_name(pkey) ? EVP_PKEY_get0_type_name(pkey) : "unknown",
                 EVP_PKEY_get_bits(pkey));
    return out;
}

/* Takes over `pkey`. */
static int wrap(EVP_PKEY *pkey, struct x509_key **ret_key)
{
    struct x509_key *key = malloc(sizeof(*key));

    if (!key) {
        EVP_PKEY_free(pkey);
        return -ENOMEM;
    }
    refcount_init(&key->refs);
    key->pkey = pkey;
    *ret_key = key;
    return 0;
}

int x509_key_new(struct x509_key **ret_key)
{
    EVP_PKEY *pkey = EVP_EC_gen("P-256");

    if (!pkey) {
        ERR_clear_error();
        return -ENOMEM;
    }
    return wrap(pkey, ret_key);
}

/* PKCS#8 or SEC1, found out by their content; no other form, and nothing behind it. */
static EVP_PKEY *read_der(const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    PKCS8_PRIV_KEY_INFO *info = d2i_PKCS8_PRIV_KEY_INFO(NULL, &at, (long)len);
    EVP_PKEY *pkey = NULL;

    if (info && at == der + len)
        pkey = EVP_PKCS82PKEY(info);
    PKCS8_PRIV_KEY_INFO_free(info);
    if (pkey)
        return pkey;
    at = der;
    pkey = d2i_PrivateKey(EVP_PKEY_EC, NULL, &at, (long)len);
    if (pkey && at != der + len) {
        EVP_PKEY_free(pkey);
        pkey = NULL;
    }
    return pkey;
}

/* A point off the curve or a private part that does not fit the public one. */
static bool is_sound(EVP_PKEY *pkey)
{
    EVP_PKEY_CTX *check = EVP_PKEY_CTX_new_from_pkey(NULL, pkey, NULL);
    bool sound = check && EVP_PKEY_check(check) == 1;

    EVP_PKEY_CTX_free(check);
    return sound;
}

static int read_key_der(struct slice der, struct errmsg *msg, struct x509_key **ret_key)
{
    EVP_PKEY *pkey = read_der((const unsigned char *)der.ptr, der.len);
    char kind[64];
    int r;

    if (!pkey)
        return errmsg_set(msg, -EINVAL, "not a private key in PKCS#8 or SEC1 form (%s)",
                          x509_openssl_reason("it does not parse"));
    if (!x509_is_p256(pkey))
        r = errmsg_set(msg, -ENOTSUP, "the key must be ECDSA P-256, this one is %s",
                       x509_key_kind(pkey, kind, sizeof(kind)));
    else if (!is_sound(pkey))
        r = errmsg_set(msg, -EINVAL, "the private key does not belong to its public key");
    else
        r = 0;
    ERR_clear_error();
    if (r < 0) {
        EVP_PKEY_free(pkey);
        return r;
    }
    return wrap(pkey, ret_key);
}

/* The block with the key; "EC PARAMETERS" stands in front of it in files that openssl made. */
static int read_key_pem(struct slice pem, struct errmsg *msg, struct x509_key **ret_key)
{
    struct pem_block block;
    unsigned line = 0;
    int r;

    while ((r = pem_next(&pem, &line, msg, &block)) == 1) {
        unsigned char *der;
        size_t len;

        if (slice_eq(block.label, SLICE_LIT("ENCRYPTED PRIVATE KEY")))
            return errmsg_set(msg, -ENOTSUP,
                              "the private key in line %u is encrypted; keys are read without a password", block.line);
        if (!slice_ends(block.label, SLICE_LIT("PRIVATE KEY")))
            continue;
        r = pem_decode(&block, &der, &len);
        if (r < 0)
            return errmsg_set(msg, r, "the private key in line %u is not valid base64", block.line);
        r = read_key_der(slice_of(der, len), msg, ret_key);
        OPENSSL_cleanse(der, len);
        free(der);
        return r;
    }
    return r < 0 ? r : errmsg_set(msg, -EINVAL, "there is no PRIVATE KEY block");
}

int x509_key_read(struct slice bytes, struct errmsg *msg, struct x509_key **ret_key)
{
    if (bytes.len == 0)
        return errmsg_set(msg, -EINVAL, "the private key is empty");
    if (bytes.len > LIMIT_PEM)
        return errmsg_set(msg, -EINVAL, "the private key has %zu bytes, at most %d are read", bytes.len, LIMIT_PEM);
    if (slice_find_slice(bytes, SLICE_LIT("-----BEGIN ")) < bytes.len)
        return read_key_pem(bytes, msg, ret_key);
    return read_key_der(bytes, msg, ret_key);
}

static int to_pkcs8(const struct x509_key *key, unsigned char **ret_der, size_t *ret_len)
{
    PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(key->pkey);
    unsigned char *der = NULL;
    int len = info ? i2d_PKCS8_PRIV_KEY_INFO(info, &der) : -1;

    PKCS8_PRIV_KEY_INFO_free(info);
    if (len <= 0) {
        ERR_clear_error();
        return -ENOMEM;
    }
    *ret_der = der;
    *ret_len = (size_t)len;
    return 0;
}

int x509_key_write(const struct x509_key *key, struct buffer *ret_der)
{
    unsigned char *der;
    size_t len;
    int r = to_pkcs8(key, &der, &len);

    if (r < 0)
        return r;
    r = buffer_add(ret_der, slice_of(der, len));
    OPENSSL_clear_free(der, len);
    return r;
}

int x509_key_write_pem(const struct x509_key *key, struct buffer *ret_pem)
{
    unsigned char *der;
    size_t len;
    int r = to_pkcs8(key, &der, &len);

    if (r < 0)
        return r;
    r = pem_encode(SLICE_LIT("PRIVATE KEY"), slice_of(der, len), ret_pem);
    OPENSSL_clear_free(der, len);
    return r;
}

struct x509_key *x509_key_ref(struct x509_key *key)
{
    refcount_get(&key->refs);
    return key;
}

void x509_key_unref(struct x509_key *key)
{
    if (!key || !refcount_put(&key->refs))
        return;
    EVP_PKEY_free(key->pkey);
    free(key);
}
