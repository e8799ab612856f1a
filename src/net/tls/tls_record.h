/*
 * Protection of TLS 1.3 records in one direction (RFC 8446 section 5), given the
 * traffic secret that the handshake ended with. No I/O, no state machine: bytes
 * in, bytes out, in place of a connection object five times its size.
 *
 *     record = type 23, 0x0303, length | content, content type, zeros | tag
 *              ------ header, 5 ------   ---------- encrypted --------   16
 *
 * A mistake here breaks every connection, so the engine is checked against the
 * vectors of RFC 8448 and against OpenSSL as the peer, both ways (tests).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

enum {
    TLS_HEADER = 5,
    TLS_TAG = 16,
    TLS_CONTENT_MAX = 16384,                 /* of one record, RFC 8446 section 5.1 */
    TLS_OVERHEAD = TLS_HEADER + 1 + TLS_TAG, /* what a record without padding adds */
    TLS_BODY_MAX = TLS_CONTENT_MAX + 256,    /* section 5.2; behind the header */
    TLS_SECRET_MAX = 48,
    TLS_REKEY_RECORDS = 1 << 23, /* section 5.5 allows AES-GCM 2^24.5 of full size under one key */
};

/* Content types, RFC 8446 section 5.1. */
enum { TLS_ALERT = 21, TLS_HANDSHAKE = 22, TLS_DATA = 23 };

struct evp_cipher_st;
struct evp_cipher_ctx_st;

/* What the three cipher suites differ in; the ciphers are fetched once for each worker. */
struct tls_suite {
    uint16_t id; /* 0x1301 ... */
    uint8_t key_len, secret_len;
    const char *cipher_name;
    const char *hash_name;
};

/* NULL when it is not one of TLS_AES_128_GCM_SHA256, TLS_AES_256_GCM_SHA384, TLS_CHACHA20_POLY1305_SHA256. */
const struct tls_suite *tls_suite_find(uint16_t id);
enum { TLS_SUITES = 3 };
const struct tls_suite *tls_suite_at(unsigned index);

struct tls_keys {
    const struct tls_suite *suite; /* NULL: not initialised */
    struct evp_cipher_ctx_st *cipher;
    uint64_t sequence;
    uint8_t iv[12];
    bool sealing;
    uint8_t secret[TLS_SECRET_MAX]; /* for the next generation of keys */
};

/* `cipher` is the suite's. 0 or -ENOMEM. */
int tls_keys_init(struct tls_keys *keys, const struct tls_suite *suite, const struct evp_cipher_st *cipher,
                  const uint8_t *secret, bool sealing);
/* Wipes. Allowed on keys that are all zero. */
void tls_keys_release(struct tls_keys *keys);
/* The next generation, after a KeyUpdate message (section 7.2). 0 or -ENOMEM; then the keys must not be used. */
int tls_keys_update(struct tls_keys *keys);

/*
 * Writes one record with the first `len` (at most TLS_CONTENT_MAX) bytes of the vectors: len + TLS_OVERHEAD bytes at
 * `to`. 0 or -EIO (the library failed; the keys must not be used any more).
 */
int tls_seal(struct tls_keys *keys, uint8_t type, const struct iovec *from, int count, size_t len, uint8_t *to);

/* Where the body of a received record is: pieces that together hold `len` bytes behind the header. */
struct tls_sealed {
    uint8_t header[TLS_HEADER];
    const struct iovec *pieces;
    size_t len; /* TLS_TAG + 1 to TLS_BODY_MAX */
};

/*
 * Decrypts to `to`, which has room for len - TLS_TAG - 1 bytes. The length of the content and its type, or -EBADMSG
 * (not authentic: what is at `to` is not to be looked at), -EPROTO (authentic but nonsense: only zeros).
 */
ssize_t tls_open(struct tls_keys *keys, const struct tls_sealed *record, uint8_t *to, uint8_t *ret_type);
