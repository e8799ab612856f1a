/* From the push of the filter to the moment where records flow. */
#include <errno.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/ip.h"
#include "base/limits.h"
#include "net/tls/tls_internal.h"
#include "net/tls/tls_web.h"

struct tls *tls_of(const struct io_stack *stack)
{
    for (struct io *io = stack->top; io; io = io->below)
        if (io->ops->free == tls_free)
            return CONTAINER_OF(io, struct tls, io);
    return NULL;
}

static void drop_secrets(struct tls *tls)
{
    OPENSSL_cleanse(tls->handshake->secrets, sizeof(tls->handshake->secrets));
    free(tls->handshake);
    tls->handshake = NULL;
}

/* Ends the handshake, and gives OpenSSL's object back unless TLS 1.2 goes on with it. */
static void end_handshake(struct tls *tls, bool keep_ssl)
{
    if (!keep_ssl) {
        SSL_free(tls->ssl);
        tls->ssl = NULL;
    }
    if (tls->handshake) {
        drop_secrets(tls);
        tls_context_handshake_ended(tls->context);
    }
    if (!keep_ssl) {
        tls_context_unref(tls->context);
        tls->context = NULL;
    }
}

void tls_free(struct io *io)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);

    end_handshake(tls, false);
    chain_clear(&tls->in);
    chain_clear(&tls->out);
    chain_clear(&tls->plain);
    tls_keys_release(&tls->rx);
    tls_keys_release(&tls->tx);
    free(tls->failure_text);
    free(tls->names);
    if (tls->shown)
        x509_bundle_release(tls->shown);
    free(tls->shown);
    free(tls);
}

/* --- pushing --- */

static bool new_ssl(struct tls *tls)
{
    BIO *bio = BIO_new(tls->context->bio_method);

    tls->ssl = SSL_new(tls->context->ssl_ctx);
    if (!tls->ssl || !bio) {
        BIO_free(bio);
        return false;
    }
    BIO_set_data(bio, tls);
    SSL_set_bio(tls->ssl, bio, bio);
    return SSL_set_app_data(tls->ssl, tls) == 1;
}

static int push(struct io_stack *stack, struct tls_context *context, struct san expected, const struct slice *alpn,
                size_t alpn_count, struct tls **ret_tls)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    if (!tls)
        return -ENOMEM;
    tls->io.ops = &tls_handshake_ops;
    tls->context = tls_context_ref(context);
    chain_init(&tls->in, &stack->loop->pages);
    chain_init(&tls->out, &stack->loop->pages);
    chain_init(&tls->plain, &stack->loop->pages);
    tls->handshake = calloc(1, sizeof(*tls->handshake) + expected.name.len);
    if (tls->handshake)
        tls_context_handshake_began(context);
    if (!tls->handshake || !new_ssl(tls)) {
        ERR_clear_error();
        tls_free(&tls->io);
        return -ENOMEM;
    }
    if (expected.name.len)
        memcpy(tls->handshake->names, expected.name.ptr, expected.name.len);
    tls->handshake->expected = (struct san){expected.kind, slice_of(tls->handshake->names, expected.name.len)};
    tls->handshake->alpn = alpn;
    tls->handshake->alpn_count = alpn_count;
    *ret_tls = tls;
    return 0;
}

int tls_push_server(struct io_stack *stack, struct tls_context *context, const struct slice *alpn, size_t alpn_count)
{
    struct tls *tls;
    int r;

    if (context->kind != TLS_CONTEXT_MESH)
        return -EINVAL;
    if (!tls_credentials_leaf(context->credentials))
        return -ENOKEY;
    r = push(stack, context, (struct san){SAN_NONE, SLICE_NULL}, alpn, alpn_count, &tls);
    if (r < 0)
        return r;
    tls->server = true;
    SSL_set_accept_state(tls->ssl);
    io_push(stack, &tls->io);
    return 0;
}

/* One byte of length before each name. */
static int offer_alpn(SSL *ssl, const struct slice *alpn, size_t count)
{
    unsigned char list[256];
    size_t len = 0;

    for (size_t i = 0; i < count; i++) {
        if (alpn[i].len == 0 || alpn[i].len > 255 || len + 1 + alpn[i].len > sizeof(list))
            return -EINVAL;
        list[len++] = (unsigned char)alpn[i].len;
        memcpy(list + len, alpn[i].ptr, alpn[i].len);
        len += alpn[i].len;
    }
    return len == 0 || SSL_set_alpn_protos(ssl, list, (unsigned)len) == 0 ? 0 : -ENOMEM; /* 0 is success here */
}

static int offer_name(SSL *ssl, struct slice name)
{
    char text[254];

    if (name.len == 0)
        return 0;
    if (name.len >= sizeof(text) || !san_is_dns(name))
        return -EINVAL;
    memcpy(text, name.ptr, name.len);
    text[name.len] = '\0';
    return SSL_set_tlsext_host_name(ssl, text) == 1 ? 0 : -ENOMEM;
}

int tls_push_client(struct io_stack *stack, struct tls_context *context, const struct tls_client *client)
{
    struct tls *tls;
    int r;

    if (context->kind != TLS_CONTEXT_MESH || (client->expected.kind != SAN_DNS && client->expected.kind != SAN_URI))
        return -EINVAL;
    r = push(stack, context, client->expected, client->alpn, client->alpn_count, &tls);
    if (r < 0)
        return r;
    SSL_set_connect_state(tls->ssl);
    r = offer_alpn(tls->ssl, client->alpn, client->alpn_count);
    if (r == 0)
        r = offer_name(tls->ssl, client->server_name);
    if (r < 0) {
        ERR_clear_error();
        tls_free(&tls->io);
        return r;
    }
    io_push(stack, &tls->io);
    return 0;
}

int tls_push_web(struct io_stack *stack, struct tls_context *context, struct slice host, const struct slice *alpn,
                 size_t alpn_count)
{
    struct san expected = {SAN_OTHER, slice_ends(host, SLICE_LIT(".")) ? slice_take(host, host.len - 1) : host};
    struct ip ip;
    struct tls *tls;
    int r;

    if (context->kind == TLS_CONTEXT_MESH || !expected.name.len)
        return -EINVAL;
    r = push(stack, context, expected, alpn, alpn_count, &tls);
    if (r < 0)
        return r;
    SSL_set_connect_state(tls->ssl);
    r = offer_alpn(tls->ssl, alpn, alpn_count);
    if (r == 0 && ip_parse(expected.name, &ip) < 0)
        r = offer_name(tls->ssl, expected.name);
    if (r < 0) {
        ERR_clear_error();
        tls_free(&tls->io);
        return r;
    }
    io_push(stack, &tls->io);
    return 0;
}

int tls_push_web_server(struct io_stack *stack, struct tls_context *context, const struct slice *alpn, size_t alpn_count)
{
    struct tls *tls;
    int r;

    if (context->kind == TLS_CONTEXT_MESH)
        return -EINVAL;
    if (!SSL_CTX_get0_certificate(context->ssl_ctx))
        return -ENOKEY;
    r = push(stack, context, (struct san){SAN_NONE, SLICE_NULL}, alpn, alpn_count, &tls);
    if (r < 0)
        return r;
    tls->server = true;
    SSL_set_accept_state(tls->ssl);
    SSL_set_verify(tls->ssl, SSL_VERIFY_NONE, NULL);
    io_push(stack, &tls->io);
    return 0;
}

int tls_push_inspector(struct io_stack *stack, struct tls_context *context, struct slice server_name)
{
    struct tls *tls;
    int r = context->kind == TLS_CONTEXT_MESH ? 0 : -EINVAL;

    if (r == 0)
        r = push(stack, context, (struct san){SAN_NONE, SLICE_NULL}, NULL, 0, &tls);
    if (r < 0)
        return r;
    SSL_set_connect_state(tls->ssl);
    tls->shown = calloc(1, sizeof(*tls->shown));
    r = tls->shown ? offer_name(tls->ssl, server_name) : -ENOMEM;
    if (r < 0) {
        ERR_clear_error();
        tls_free(&tls->io);
        return r;
    }
    io_push(stack, &tls->io);
    return 0;
}

const struct x509_bundle *tls_shown(const struct io_stack *stack)
{
    const struct tls *tls = tls_of(stack);

    return tls && tls->shown && tls->shown->count ? tls->shown : NULL;
}

/* --- why it failed --- */

static int failed(struct tls *tls, enum tls_failure failure, int error, const char *text)
{
    if (tls->failure == TLS_OK)
        tls->failure = failure;
    if (!tls->failure_text)
        tls->failure_text = slice_dup(slice_str(text));
    return tls_fail(tls, error);
}

/* An alert of the peer's is an error of OpenSSL's with this base. */
static bool is_alert(unsigned long code, int *ret_alert)
{
    int reason = ERR_GET_REASON(code);

    if (ERR_GET_LIB(code) != ERR_LIB_SSL || reason <= SSL_AD_REASON_OFFSET || reason > SSL_AD_REASON_OFFSET + 255)
        return false;
    *ret_alert = reason - SSL_AD_REASON_OFFSET;
    return true;
}

static int explain(struct tls *tls, int ssl_error)
{
    unsigned long code = ERR_peek_error();
    const char *reason = code ? ERR_reason_error_string(code) : NULL;
    char text[256];
    int alert;

    if (tls->failure != TLS_OK)
        return tls_fail(tls, -EKEYREJECTED); /* the verification or the choice of a protocol has said why */
    if (tls->error == -ENOMEM || ERR_GET_REASON(code) == ERR_R_MALLOC_FAILURE)
        return failed(tls, TLS_NO_MEMORY, -ENOMEM, "no memory for the handshake");
    if (tls->error == -EBADMSG)
        return failed(tls, TLS_PROTOCOL_ERROR, -EBADMSG, "the handshake is too long");
    if (tls->error)
        return failed(tls, TLS_PEER_CLOSED, tls->error, "the connection broke during the handshake");
    if (is_alert(code, &alert)) {
        snprintf(text, sizeof(text), "the peer sent alert %d (%s)", alert, SSL_alert_desc_string_long(alert));
        return failed(tls, alert == SSL_AD_NO_APPLICATION_PROTOCOL ? TLS_NO_COMMON_PROTOCOL : TLS_PEER_REFUSED, -EPROTO,
                      text);
    }
    if (tls->below_ended && (ssl_error == SSL_ERROR_SYSCALL || ssl_error == SSL_ERROR_ZERO_RETURN ||
                             ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING))
        return failed(tls, TLS_PEER_CLOSED, -ECONNABORTED, "the peer closed the connection during the handshake");
    snprintf(text, sizeof(text), "the peer does not speak this TLS (%s)", reason ? reason : "unexpected end");
    return failed(tls, TLS_PROTOCOL_ERROR, -EBADMSG, text);
}

enum tls_failure tls_failure(const struct io_stack *stack)
{
    const struct tls *tls = tls_of(stack);

    return tls ? (enum tls_failure)tls->failure : TLS_OK;
}

const char *tls_failure_name(enum tls_failure failure)
{
    static const char *const names[] = {
        [TLS_OK] = "ok",
        [TLS_IDENTITY_MISMATCH] = "identity-mismatch",
        [TLS_UNKNOWN_ISSUER] = "unknown-issuer",
        [TLS_EXPIRED] = "certificate-expired",
        [TLS_BAD_CERTIFICATE] = "bad-certificate",
        [TLS_NO_COMMON_PROTOCOL] = "no-common-protocol",
        [TLS_PEER_REFUSED] = "peer-refused",
        [TLS_PEER_CLOSED] = "peer-closed",
        [TLS_PROTOCOL_ERROR] = "protocol-error",
        [TLS_NO_MEMORY] = "no-memory",
    };

    return (unsigned)failure < sizeof(names) / sizeof(names[0]) ? names[failure] : "unknown";
}

void tls_failure_text(const struct io_stack *stack, struct errmsg *msg)
{
    const struct tls *tls = tls_of(stack);

    errmsg_set(msg, 0, "%s", tls && tls->failure_text ? tls->failure_text : tls_failure_name(tls_failure(stack)));
}

/* --- the end of it --- */

/* The name that was proven, with the protocol behind it, in one piece of memory. */
static int learn_peer(struct tls *tls)
{
    const unsigned char *alpn;
    unsigned alpn_len;
    size_t id_len = tls->peer.id.name.len;
    char *names;

    SSL_get0_alpn_selected(tls->ssl, &alpn, &alpn_len);
    tls->peer.version = SSL_get_version(tls->ssl);
    tls->peer.cipher = SSL_CIPHER_standard_name(SSL_get_current_cipher(tls->ssl));
    if (alpn_len == 0)
        return 0;
    names = realloc(tls->names, id_len + alpn_len);
    if (!names)
        return -ENOMEM;
    memcpy(names + id_len, alpn, alpn_len);
    tls->names = names;
    tls->peer.id.name.ptr = names;
    tls->peer.alpn = slice_of(names + id_len, alpn_len);
    return 0;
}

/*
 * Goes on without OpenSSL's connection object. Right after the handshake both directions are at record 0 of the
 * application secrets: a client has not read and a server has not written a record under them (no tickets are sent).
 */
static int take_over(struct tls *tls)
{
    const struct tls_handshake *handshake = tls->handshake;
    const struct tls_suite *suite = tls_suite_find(SSL_CIPHER_get_protocol_id(SSL_get_current_cipher(tls->ssl)));
    int tx = tls->server ? 1 : 0, r;

    if (SSL_version(tls->ssl) != TLS1_3_VERSION || !suite || handshake->secret_len[0] != suite->secret_len ||
        handshake->secret_len[1] != suite->secret_len || SSL_has_pending(tls->ssl)) {
        tls->io.ops = &tls_ssl_ops;
        return 0;
    }
    r = tls_keys_init(&tls->tx, suite, tls_context_cipher(tls->context, suite), handshake->secrets[tx], true);
    if (r == 0)
        r = tls_keys_init(&tls->rx, suite, tls_context_cipher(tls->context, suite), handshake->secrets[!tx], false);
    if (r < 0)
        return r;
    tls->io.ops = &tls_record_ops;
    return 0;
}

/* All that is queued goes to the kernel first: a peer that waits for our last flight would wait for ever. */
static int finish(struct tls *tls)
{
    int r = tls_flush_out(tls);

    if (r == -EAGAIN)
        return r;
    if (r < 0)
        return failed(tls, TLS_PEER_CLOSED, r, "the connection broke during the handshake");
    r = learn_peer(tls);
    if (r == 0)
        r = take_over(tls);
    if (r < 0)
        return failed(tls, TLS_NO_MEMORY, r, "no memory for the connection's keys");
    end_handshake(tls, tls->io.ops == &tls_ssl_ops);
    return 0;
}

int tls_handshake(struct io_stack *stack)
{
    struct tls *tls = tls_of(stack);
    int r, ssl_error;

    if (!tls)
        return -EINVAL;
    if (tls->error || !tls->handshake)
        return tls->error;
    if (!tls->handshake->done) {
        ERR_clear_error();
        r = SSL_do_handshake(tls->ssl);
        if (r != 1) {
            ssl_error = SSL_get_error(tls->ssl, r);
            if (ssl_error == SSL_ERROR_WANT_READ) {
                r = tls_flush_out(tls);
                return r == 0 || r == -EAGAIN
                           ? -EAGAIN
                           : failed(tls, TLS_PEER_CLOSED, r, "the connection broke in the handshake");
            }
            r = explain(tls, ssl_error);
            (void)tls_flush_out(tls); /* the alert, as far as the socket takes it */
            ERR_clear_error();
            return r;
        }
        tls->handshake->done = true;
    }
    return finish(tls);
}

bool tls_peer(const struct io_stack *stack, struct tls_peer *ret_peer)
{
    const struct tls *tls = tls_of(stack);

    if (!tls || tls->io.ops == &tls_handshake_ops)
        return false;
    *ret_peer = tls->peer;
    return true;
}

/* --- the filter before it is done: nothing passes --- */

static ssize_t early_read(struct io *io, void *to, size_t len)
{
    const struct tls *tls = CONTAINER_OF(io, struct tls, io);

    return tls->error ? tls->error : -EAGAIN;
}

static ssize_t early_writev(struct io *io, const struct iovec *iov, int count)
{
    return early_read(io, NULL, 0);
}

static int early_flush(struct io *io)
{
    return (int)early_read(io, NULL, 0);
}

static bool early_pending(const struct io *io)
{
    return io_pass_pending(io);
}

const struct io_ops tls_handshake_ops = {
    .name = "tls handshake",
    .read = early_read,
    .writev = early_writev,
    .flush = early_flush,
    .shutdown = early_flush,
    .pending = early_pending,
    .free = tls_free,
};
