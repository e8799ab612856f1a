#include "net/tls/tls_web.h"

#include <errno.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdlib.h>

#include "base/ip.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "net/tls/tls_internal.h"
#include "net/tls/tls_verify.h"
#include "net/x509/x509_internal.h"

/* --- whom it believes --- */

/*
 * Where systems keep the authorities of the public web; a static program cannot know by its library where it runs. SSL_CERT_FILE and SSL_CERT_DIR, which
 * OpenSSL's own default heeds, count first.
 */
static int set_system_anchors(SSL_CTX *ssl_ctx, struct errmsg *msg)
{
    static const char *const files[] = {
        "/etc/ssl/certs/ca-certificates.crt", /* Debian, Alpine, and our images */
        "/etc/pki/tls/certs/ca-bundle.crt",   /* Fedora and its kin */
        "/etc/ssl/ca-bundle.pem",             /* SUSE */
        "/etc/ssl/cert.pem",
    };

    if (SSL_CTX_set_default_verify_paths(ssl_ctx) != 1)
        return errmsg_set(msg, -EINVAL, "the system's certificate authorities cannot be read");
    if (getenv("SSL_CERT_FILE"))
        return 0;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
        if (SSL_CTX_load_verify_file(ssl_ctx, files[i]) == 1)
            break;
    ERR_clear_error();
    return 0; /* where there are none, nobody is believed */
}

static int set_anchors(SSL_CTX *ssl_ctx, const struct tls_web *options, struct errmsg *msg)
{
    struct x509_bundle anchors;
    X509_STORE *store;
    int r;

    if (options->insecure)
        return 0;
    if (!options->anchors.len)
        return set_system_anchors(ssl_ctx, msg);
    r = x509_bundle_read(options->anchors, msg, &anchors);
    if (r < 0)
        return errmsg_prefix(msg, r, "the certificate authority");
    store = x509_store_new(&anchors);
    x509_bundle_release(&anchors);
    if (!store)
        return -ENOMEM;
    SSL_CTX_set_cert_store(ssl_ctx, store);
    return 0;
}

/* --- what it proves --- */

/* Says that there is no password, where OpenSSL would ask at the terminal. */
static int no_password(char *to, int size, int writing, void *what)
{
    return 0;
}

static int set_key(SSL_CTX *ssl_ctx, struct slice pem, struct errmsg *msg)
{
    BIO *bio = BIO_new_mem_buf(pem.ptr, (int)pem.len);
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, no_password, NULL) : NULL;
    int r = 0;

    BIO_free(bio);
    if (!key)
        return errmsg_set(msg, -EINVAL, "the key cannot be read: expected a PEM block PRIVATE KEY without password");
    if (SSL_CTX_use_PrivateKey(ssl_ctx, key) != 1)
        r = errmsg_set(msg, -EKEYREJECTED, "the certificate does not belong to the key, or the key is too weak");
    EVP_PKEY_free(key);
    return r;
}

static int set_own(SSL_CTX *ssl_ctx, const struct tls_web *options, struct errmsg *msg)
{
    struct x509_bundle chain;
    bool taken;
    int r;

    if (!options->certificate.len && !options->key.len)
        return 0;
    if (!options->certificate.len || !options->key.len)
        return errmsg_set(msg, -EINVAL, "a certificate needs its key, and a key its certificate; there is only one of them");
    if (options->key.len > LIMIT_PEM)
        return errmsg_set(msg, -EINVAL, "the key has more than %d bytes", LIMIT_PEM);
    r = x509_bundle_read(options->certificate, msg, &chain);
    if (r < 0)
        return errmsg_prefix(msg, r, "the certificate");
    taken = SSL_CTX_use_certificate(ssl_ctx, chain.certs[0]->x509) == 1;
    for (size_t i = 1; taken && i < chain.count; i++)
        taken = SSL_CTX_add1_chain_cert(ssl_ctx, chain.certs[i]->x509) == 1;
    x509_bundle_release(&chain);
    if (!taken)
        return errmsg_set(msg, -EINVAL, "the certificate cannot be used: %s", x509_openssl_reason("it is too weak"));
    return set_key(ssl_ctx, options->key, msg);
}

/* --- the server's proof --- */

static void add_name(const GENERAL_NAME *name, struct buffer *text)
{
    char ip[IP_TEXT_MAX];
    struct ip address = {0};
    int type;
    const ASN1_STRING *value = GENERAL_NAME_get0_value(name, &type);
    size_t len = type == GEN_DNS || type == GEN_IPADD ? (size_t)ASN1_STRING_length(value) : 0;

    if (type == GEN_DNS) {
        buffer_printf(text, "%s%.*s", text->len ? ", " : "", (int)len, (const char *)ASN1_STRING_get0_data(value));
    } else if (type == GEN_IPADD && (len == 4 || len == 16)) {
        address.version = len == 4 ? 4 : 6;
        memcpy(address.bytes, ASN1_STRING_get0_data(value), len);
        buffer_printf(text, "%s%s", text->len ? ", " : "", ip_format(address, ip));
    }
}

static void explain_names(struct tls *tls, const X509 *leaf, struct slice host)
{
    GENERAL_NAMES *names = X509_get_ext_d2i(leaf, NID_subject_alt_name, NULL, NULL);
    struct errmsg msg;
    struct buffer text;

    buffer_init(&text, 300);
    for (int i = 0; i < sk_GENERAL_NAME_num(names) && !buffer_error(&text); i++)
        add_name(sk_GENERAL_NAME_value(names, i), &text);
    errmsg_set(&msg, 0, "the server's certificate is not for %.*s, but for %s%.*s", SLICE_ARGS(host), text.len ? "" : "nobody",
               SLICE_ARGS(buffer_slice(&text)));
    tls->failure = TLS_IDENTITY_MISMATCH;
    tls->failure_text = slice_dup(slice_str(msg.text));
    buffer_release(&text);
    GENERAL_NAMES_free(names);
}

static int check_host(struct tls *tls, X509 *leaf)
{
    struct san expected = tls->handshake->expected;
    struct ip ip;
    int matches;

    if (ip_parse(expected.name, &ip) == 0)
        matches = X509_check_ip(leaf, ip.bytes, ip.version == 4 ? 4 : 16, 0);
    else
        matches = X509_check_host(leaf, expected.name.ptr, expected.name.len,
                                  X509_CHECK_FLAG_NEVER_CHECK_SUBJECT | X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL);
    if (matches == 1 || mutation("any-host-is-the-right-one"))
        return X509_V_OK;
    explain_names(tls, leaf, expected.name);
    return X509_V_ERR_HOSTNAME_MISMATCH;
}

static int verify_server(X509_STORE_CTX *store_ctx, void *what)
{
    struct tls_context *context = what;
    const SSL *ssl = X509_STORE_CTX_get_ex_data(store_ctx, SSL_get_ex_data_X509_STORE_CTX_idx());
    struct tls *tls = SSL_get_app_data(ssl);
    int error = X509_V_OK;

    if (context->kind != TLS_CONTEXT_WEB_INSECURE) {
        error = x509_run_verify(store_ctx, context->sys->ops->wall(context->sys));
        if (error == X509_V_OK)
            error = check_host(tls, X509_STORE_CTX_get0_cert(store_ctx));
        if (error != X509_V_OK && tls->failure == TLS_OK)
            tls_verify_explain(tls, store_ctx, error);
    }
    ERR_clear_error();
    X509_STORE_CTX_set_error(store_ctx, error);
    return error == X509_V_OK;
}

/* --- the context --- */

int tls_web_context_new(struct sys *sys, const struct tls_web *options, struct errmsg *msg,
                        struct tls_context **ret_context)
{
    struct tls_context *context;
    int r = tls_context_prepare(sys, &context);

    if (r < 0)
        return r;
    context->kind = options->insecure ? TLS_CONTEXT_WEB_INSECURE : TLS_CONTEXT_WEB;
    SSL_CTX_set_cert_verify_callback(context->ssl_ctx, verify_server, context);
    r = set_anchors(context->ssl_ctx, options, msg);
    if (r == 0)
        r = set_own(context->ssl_ctx, options, msg);
    ERR_clear_error();
    if (r < 0) {
        tls_context_unref(context);
        return r;
    }
    *ret_context = context;
    return 0;
}
