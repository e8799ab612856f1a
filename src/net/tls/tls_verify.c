#include "net/tls/tls_verify.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/mutation.h"
#include "net/tls/tls_internal.h"
#include "net/x509/x509_internal.h"

static char *describe(const char *format, ...) __attribute__((format(printf, 1, 2)));
static char *describe(const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    return slice_dup(slice_str(text)); /* without memory there is no text */
}

/* Keeps the name: the certificate goes with the handshake. */
static int keep_id(struct tls *tls, struct san id)
{
    if (id.kind == SAN_NONE)
        return X509_V_OK;
    tls->names = malloc(id.name.len);
    if (!tls->names)
        return X509_V_ERR_OUT_OF_MEM;
    memcpy(tls->names, id.name.ptr, id.name.len);
    tls->peer.id = (struct san){id.kind, slice_of(tls->names, id.name.len)};
    return X509_V_OK;
}

static int identify_client(struct tls *tls, const X509 *leaf)
{
    GENERAL_NAMES *names;
    struct san id;
    int error = x509_first_id(leaf, &names, &id) ? keep_id(tls, id) : X509_V_ERR_UNSPECIFIED;

    GENERAL_NAMES_free(names);
    return error;
}

static int identify_server(struct tls *tls, const X509 *leaf)
{
    struct san expected = tls->handshake->expected, shown;
    GENERAL_NAMES *names;

    if (x509_has_id(leaf, expected) || mutation("any-server-is-the-right-one"))
        return keep_id(tls, expected);
    (void)x509_first_id(leaf, &names, &shown);
    tls->failure = TLS_IDENTITY_MISMATCH;
    tls->failure_text = describe("the server is %.*s, expected %.*s", shown.kind == SAN_NONE ? 6 : (int)shown.name.len,
                                 shown.kind == SAN_NONE ? "nobody" : shown.name.ptr, SLICE_ARGS(expected.name));
    GENERAL_NAMES_free(names);
    return X509_V_ERR_HOSTNAME_MISMATCH;
}

static enum tls_failure failure_of(int error)
{
    switch (x509_failure_of(error)) {
    case X509_VALID:
        return TLS_OK;
    case X509_EXPIRED:
        return TLS_EXPIRED;
    case X509_UNKNOWN_ISSUER:
        return TLS_UNKNOWN_ISSUER;
    case X509_BAD_CERTIFICATE:
        break;
    }
    return error == X509_V_ERR_OUT_OF_MEM ? TLS_NO_MEMORY : TLS_BAD_CERTIFICATE;
}

void tls_verify_explain(struct tls *tls, X509_STORE_CTX *store_ctx, int error)
{
    GENERAL_NAMES *names;
    struct san shown;

    (void)x509_first_id(X509_STORE_CTX_get0_cert(store_ctx), &names, &shown);
    tls->failure = failure_of(error);
    tls->failure_text =
        describe("%s (certificate %d of the chain of %.*s)", X509_verify_cert_error_string(error),
                 X509_STORE_CTX_get_error_depth(store_ctx) + 1, shown.kind == SAN_NONE ? 6 : (int)shown.name.len,
                 shown.kind == SAN_NONE ? "nobody" : shown.name.ptr);
    GENERAL_NAMES_free(names);
}

/* The chain as it came, leaf first. It is not looked at here. */
static void take_shown(struct tls *tls, X509_STORE_CTX *store_ctx)
{
    STACK_OF(X509) *chain = X509_STORE_CTX_get0_untrusted(store_ctx);

    for (int i = 0; i < sk_X509_num(chain); i++) {
        X509 *x509 = sk_X509_value(chain, i);
        struct x509_cert *cert;

        X509_up_ref(x509);
        if (x509_cert_wrap(x509, NULL, &cert) < 0)
            continue;
        (void)x509_bundle_add(tls->shown, cert);
        x509_cert_unref(cert);
    }
    tls->failure = TLS_BAD_CERTIFICATE;
    tls->failure_text = describe("the certificate was only looked at");
}

int tls_verify_peer(X509_STORE_CTX *store_ctx, void *what)
{
    struct tls_context *context = what;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    const X509 *leaf = X509_STORE_CTX_get0_cert(store_ctx);
    int error;

    if (tls->shown) {
        take_shown(tls, store_ctx);
        X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_APPLICATION_VERIFICATION);
        return 0;
    }
    error = x509_run_verify(store_ctx, context->sys->ops->wall(context->sys));
    if (error == X509_V_OK)
        error = tls->server ? identify_client(tls, leaf) : identify_server(tls, leaf);
    if (error != X509_V_OK && tls->failure == TLS_OK)
        tls_verify_explain(tls, store_ctx, error);
    ERR_clear_error();
    X509_STORE_CTX_set_error(store_ctx, error);
    return error == X509_V_OK;
}

/* Whether the client's list, one byte of length before each name, has it. */
static const unsigned char *find_offer(struct slice name, const unsigned char *offered, unsigned int len)
{
    for (unsigned int at = 0; at < len; at += 1u + offered[at])
        if (at + 1u + offered[at] <= len && slice_eq(name, slice_of(offered + at + 1, offered[at])))
            return offered + at;
    return NULL;
}

int tls_select_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len, const unsigned char *offered,
                    unsigned int offered_len, void *unused)
{
    struct tls *tls = SSL_get_app_data(ssl);
    const struct tls_handshake *handshake = tls->handshake;

    if (handshake->alpn_count == 0)
        return SSL_TLSEXT_ERR_NOACK;
    for (size_t i = 0; i < handshake->alpn_count; i++) {
        const unsigned char *offer = find_offer(handshake->alpn[i], offered, offered_len);

        if (offer) {
            *ret_name = offer + 1;
            *ret_len = *offer;
            return SSL_TLSEXT_ERR_OK;
        }
    }
    tls->failure = TLS_NO_COMMON_PROTOCOL;
    tls->failure_text = describe("the client offers no application protocol that is spoken here");
    return SSL_TLSEXT_ERR_ALERT_FATAL;
}

static int nibble(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : (c | 0x20) - 'a' + 10;
}

/* LABEL, the client's random in hexadecimal, the secret in hexadecimal, with a space between. */
void tls_take_secret(const SSL *ssl, const char *line)
{
    struct tls *tls = SSL_get_app_data(ssl);
    struct slice text = slice_str(line), label, random;
    int which;

    if (!tls->handshake || !slice_split(&text, ' ', &label) || !slice_split(&text, ' ', &random))
        return;
    if (slice_eq(label, SLICE_LIT("CLIENT_TRAFFIC_SECRET_0")))
        which = 0;
    else if (slice_eq(label, SLICE_LIT("SERVER_TRAFFIC_SECRET_0")))
        which = 1;
    else
        return;
    if (text.len / 2 > TLS_SECRET_MAX)
        return;
    for (size_t i = 0; i < text.len / 2; i++)
        tls->handshake->secrets[which][i] = (uint8_t)(nibble(text.ptr[2 * i]) << 4 | nibble(text.ptr[2 * i + 1]));
    tls->handshake->secret_len[which] = text.len / 2;
}
