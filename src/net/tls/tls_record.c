#include "net/tls/tls_record.h"

#include <assert.h>
#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/params.h>
#include <string.h>

static const struct tls_suite suites[TLS_SUITES] = {
    {0x1301, 16, 32, "AES-128-GCM", "SHA256"},
    {0x1302, 32, 48, "AES-256-GCM", "SHA384"},
    {0x1303, 32, 32, "ChaCha20-Poly1305", "SHA256"},
};

const struct tls_suite *tls_suite_find(uint16_t id)
{
    for (unsigned i = 0; i < TLS_SUITES; i++)
        if (suites[i].id == id)
            return &suites[i];
    return NULL;
}

const struct tls_suite *tls_suite_at(unsigned index)
{
    return &suites[index];
}

/*
 * HKDF-Expand-Label (RFC 8446 section 7.1) with an empty context, for results no longer than the hash: then HKDF-Expand
 * is a single HMAC over the label and a counter of 1.
 */
static int expand(const struct tls_suite *suite, const uint8_t *secret, const char *label, uint8_t *to, size_t len)
{
    const EVP_MD *hash = suite->secret_len == 48 ? EVP_sha384() : EVP_sha256();
    uint8_t info[32], out[EVP_MAX_MD_SIZE];
    size_t label_len = strlen(label), n = 0;

    assert(label_len <= 16 && len <= suite->secret_len);
    info[n++] = 0;
    info[n++] = (uint8_t)len;
    info[n++] = (uint8_t)(6 + label_len);
    memcpy(info + n, "tls13 ", 6);
    memcpy(info + n + 6, label, label_len);
    n += 6 + label_len;
    info[n++] = 0; /* no context */
    info[n++] = 1;
    if (!HMAC(hash, secret, suite->secret_len, info, n, out, NULL))
        return -ENOMEM;
    memcpy(to, out, len);
    OPENSSL_cleanse(out, sizeof(out));
    return 0;
}

/* The key and the static nonce of the secret, counting from 0. `cipher` is NULL when it stays the same. */
static int set_key(struct tls_keys *keys, const EVP_CIPHER *cipher)
{
    uint8_t key[32];
    int r = expand(keys->suite, keys->secret, "key", key, keys->suite->key_len);

    if (r == 0)
        r = expand(keys->suite, keys->secret, "iv", keys->iv, sizeof(keys->iv));
    if (r == 0 && EVP_CipherInit_ex2(keys->cipher, cipher, key, NULL, keys->sealing, NULL) != 1)
        r = -ENOMEM;
    OPENSSL_cleanse(key, sizeof(key));
    keys->sequence = 0;
    return r;
}

int tls_keys_init(struct tls_keys *keys, const struct tls_suite *suite, const EVP_CIPHER *cipher, const uint8_t *secret,
                  bool sealing)
{
    int r;

    *keys = (struct tls_keys){.suite = suite, .cipher = EVP_CIPHER_CTX_new(), .sealing = sealing};
    if (!keys->cipher)
        return -ENOMEM;
    memcpy(keys->secret, secret, suite->secret_len);
    r = set_key(keys, cipher);
    if (r < 0)
        tls_keys_release(keys);
    return r;
}

void tls_keys_release(struct tls_keys *keys)
{
    EVP_CIPHER_CTX_free(keys->cipher);
    OPENSSL_cleanse(keys, sizeof(*keys));
}

int tls_keys_update(struct tls_keys *keys)
{
    uint8_t next[TLS_SECRET_MAX];
    int r = expand(keys->suite, keys->secret, "traffic upd", next, keys->suite->secret_len);

    if (r == 0) {
        memcpy(keys->secret, next, keys->suite->secret_len);
        r = set_key(keys, NULL);
    }
    OPENSSL_cleanse(next, sizeof(next));
    return r;
}

/* Section 5.3: the static nonce with the sequence number mixed in. Then the header is authenticated. */
static bool begin(struct tls_keys *keys, const uint8_t header[TLS_HEADER])
{
    uint8_t nonce[12];
    int len;

    memcpy(nonce, keys->iv, sizeof(nonce));
    for (int i = 0; i < 8; i++)
        nonce[11 - i] ^= (uint8_t)(keys->sequence >> (8 * i));
    keys->sequence++;
    return EVP_CipherInit_ex2(keys->cipher, NULL, NULL, nonce, keys->sealing, NULL) == 1 &&
           EVP_CipherUpdate(keys->cipher, NULL, &len, header, TLS_HEADER) == 1;
}

static bool transform(struct tls_keys *keys, uint8_t *to, const void *from, size_t len)
{
    int done;

    return len == 0 || (EVP_CipherUpdate(keys->cipher, to, &done, from, (int)len) == 1 && (size_t)done == len);
}

static bool end_sealing(struct tls_keys *keys, uint8_t tag[TLS_TAG])
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, TLS_TAG),
                           OSSL_PARAM_construct_end()};
    uint8_t none[16];
    int len;

    return EVP_CipherFinal_ex(keys->cipher, none, &len) == 1 && EVP_CIPHER_CTX_get_params(keys->cipher, params) == 1;
}

int tls_seal(struct tls_keys *keys, uint8_t type, const struct iovec *from, int count, size_t len, uint8_t *to)
{
    size_t body = len + 1 + TLS_TAG, left = len;
    uint8_t *at = to + TLS_HEADER;
    const uint8_t header[TLS_HEADER] = {TLS_DATA, 3, 3, (uint8_t)(body >> 8), (uint8_t)body};
    bool good;

    assert(len <= TLS_CONTENT_MAX);
    memcpy(to, header, TLS_HEADER);
    good = begin(keys, header);
    for (int i = 0; i < count && left && good; i++) {
        size_t part = from[i].iov_len < left ? from[i].iov_len : left;

        good = transform(keys, at, from[i].iov_base, part);
        at += part;
        left -= part;
    }
    assert(left == 0 || !good);
    if (good && transform(keys, at, &type, 1) && end_sealing(keys, at + 1))
        return 0;
    ERR_clear_error();
    return -EIO;
}

/* Walks the pieces of a record. */
struct cursor {
    const struct iovec *piece;
    size_t used; /* of it */
};

/* The next run of at most `most` bytes. */
static const void *next_run(struct cursor *cursor, size_t most, size_t *ret_len)
{
    const uint8_t *at;

    while (cursor->used == cursor->piece->iov_len) {
        cursor->piece++;
        cursor->used = 0;
    }
    at = (const uint8_t *)cursor->piece->iov_base + cursor->used;
    *ret_len = cursor->piece->iov_len - cursor->used;
    if (*ret_len > most)
        *ret_len = most;
    cursor->used += *ret_len;
    return at;
}

static bool open_run(struct tls_keys *keys, struct cursor *cursor, uint8_t *to, size_t len)
{
    while (len) {
        size_t part;
        const void *from = next_run(cursor, len, &part);

        if (!transform(keys, to, from, part))
            return false;
        to += part;
        len -= part;
    }
    return true;
}

static bool end_opening(struct tls_keys *keys, struct cursor *cursor)
{
    uint8_t tag[TLS_TAG], none[16];
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_CIPHER_PARAM_AEAD_TAG, tag, TLS_TAG),
                           OSSL_PARAM_construct_end()};
    int len;

    for (size_t have = 0, part; have < TLS_TAG; have += part) {
        const void *from = next_run(cursor, TLS_TAG - have, &part);

        memcpy(tag + have, from, part);
    }
    return EVP_CIPHER_CTX_set_params(keys->cipher, params) == 1 && EVP_CipherFinal_ex(keys->cipher, none, &len) == 1;
}

ssize_t tls_open(struct tls_keys *keys, const struct tls_sealed *record, uint8_t *to, uint8_t *ret_type)
{
    struct cursor cursor = {record->pieces, 0};
    size_t len = record->len - TLS_TAG - 1;
    uint8_t last;

    assert(record->len > TLS_TAG && record->len <= TLS_BODY_MAX);
    if (!begin(keys, record->header) || !open_run(keys, &cursor, to, len) || !open_run(keys, &cursor, &last, 1) ||
        !end_opening(keys, &cursor)) {
        ERR_clear_error();
        return -EBADMSG;
    }
    /* The type is the last byte that is not padding. */
    while (last == 0 && len)
        last = to[--len];
    if (last == 0)
        return -EPROTO;
    *ret_type = last;
    return (ssize_t)len;
}
