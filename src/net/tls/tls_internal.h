/* What tls*.c share: the filter and its handshake. Nobody else includes this. */
#pragma once

#include <openssl/ssl.h>

#include "net/tls/tls.h"
#include "net/tls/tls_record.h"

/* --- tls_context.c --- */

/* Which peers a context is for: those of the mesh, or ordinary servers (net/tls/tls_web.h). */
enum tls_context_kind { TLS_CONTEXT_MESH, TLS_CONTEXT_WEB, TLS_CONTEXT_WEB_INSECURE };

struct tls_context {
    unsigned refs;
    enum tls_context_kind kind;
    struct sys *sys;
    struct tls_credentials *credentials; /* NULL unless of the mesh */
    SSL_CTX *ssl_ctx;
    BIO_METHOD *bio_method;
    EVP_CIPHER *ciphers[TLS_SUITES];
    unsigned handshakes, most_handshakes; /* under way, and how many there were at once since there was none */
};

/* A context that believes nobody yet: who calls this says whom (SSL_CTX_set_cert_verify_callback). 0 or -ENOMEM. */
int tls_context_prepare(struct sys *sys, struct tls_context **ret_context);
const EVP_CIPHER *tls_context_cipher(const struct tls_context *context, const struct tls_suite *suite);
void tls_context_handshake_began(struct tls_context *context);
/* After a burst of them, gives the memory that it took back to the system. */
void tls_context_handshake_ended(struct tls_context *context);

/* --- the filter --- */

/* What only the handshake needs; freed with it. */
struct tls_handshake {
    struct san expected; /* a client's; the name is in `names` */
    const struct slice *alpn;
    size_t alpn_count;
    size_t bytes_read;
    uint8_t secrets[2][TLS_SECRET_MAX]; /* of the client's and of the server's records */
    size_t secret_len[2];               /* 0: not told */
    bool done;                          /* but the last flight is not with the kernel yet */
    char names[];
};

struct tls {
    struct io io;
    struct tls_context *context;     /* NULL once the records are ours */
    struct chain in;                 /* ciphertext from below */
    struct chain out;                /* ciphertext for below */
    struct chain plain;              /* a record that the reader had no room for */
    SSL *ssl;                        /* NULL once the records are ours */
    struct tls_handshake *handshake; /* NULL once it is done */
    struct tls_keys rx, tx;
    int error; /* what every later call returns; 0 while whole */
    bool server;
    bool read_ended;      /* close_notify has come */
    bool end_told;        /* the reader knows of it, or of the error: until then a read is pending */
    bool write_ended;     /* close_notify has been queued */
    bool below_ended;     /* FIN has come */
    bool starved;         /* TLS 1.2: what is here is not a whole record */
    uint8_t failure;      /* enum tls_failure */
    uint8_t ahead;        /* the next read from below asks for LIMIT_BUFFER_PAGE << ahead bytes */
    uint8_t idle_records; /* since the last application data */
    uint8_t head_len;     /* bytes seen of the header of a handshake message that is under way (tls_post.c) */
    uint8_t message_head[4];
    uint32_t message_left; /* of its body */
    char *failure_text;    /* NULL, or why in words */
    char *names;           /* owns peer.id and peer.alpn; NULL when both are empty */
    struct tls_peer peer;
    struct x509_bundle *shown; /* an inspector's: what the server showed; NULL for all others */
};

/* The tls filter of the stack, or NULL. */
struct tls *tls_of(const struct io_stack *stack);
void tls_free(struct io *io);

extern const struct io_ops tls_handshake_ops; /* until it is done */
extern const struct io_ops tls_record_ops;    /* TLS 1.3 */
extern const struct io_ops tls_ssl_ops;       /* TLS 1.2: OpenSSL keeps the records */

/* --- tls_wire.c: ciphertext from and to below --- */

/*
 * Reads from below at most about `want` bytes. How many came, 0 at the end, -EAGAIN, -ENOMEM or what broke the
 * connection.
 */
ssize_t tls_fill(struct tls *tls, size_t want);
/* Writes `out` down. 0 when it is empty, -EAGAIN, or an error. */
int tls_flush_out(struct tls *tls);
/* The method of a BIO that reads from `in`, filling it, and writes to `out`. */
BIO_METHOD *tls_bio_method(void);
/* Remembers the first error; returns it. */
int tls_fail(struct tls *tls, int error);

/* --- tls_post.c: what is not application data, after the handshake --- */

/* Appends one record to `out`. len is at most LIMIT_BUFFER_PAGE - TLS_OVERHEAD. 0, -ENOMEM or -EIO. */
int tls_seal_record(struct tls *tls, uint8_t type, const struct iovec *from, int count, size_t len);
int tls_send_alert(struct tls *tls, uint8_t description);
/* Tells the peer why, as far as the kernel takes it at once, and fails with `error`. */
int tls_abort(struct tls *tls, uint8_t description, int error);
/* New keys for what we send, told to the peer under the old ones. */
int tls_rekey(struct tls *tls);
/* An alert, a handshake message or an unknown record. 0: go on reading; 1: the peer ended in order; or the error. */
int tls_take_control(struct tls *tls, uint8_t type, const uint8_t *bytes, size_t len);

/* RFC 8446 section 6. */
enum {
    ALERT_CLOSE_NOTIFY = 0,
    ALERT_UNEXPECTED_MESSAGE = 10,
    ALERT_BAD_RECORD_MAC = 20,
    ALERT_RECORD_OVERFLOW = 22,
    ALERT_ILLEGAL_PARAMETER = 47,
    ALERT_DECODE_ERROR = 50,
    ALERT_INTERNAL_ERROR = 80,
    ALERT_USER_CANCELED = 90,
};
