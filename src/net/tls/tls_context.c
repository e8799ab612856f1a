/* Credentials, and what one worker makes of them. */
#include <assert.h>
#include <errno.h>
#include <malloc.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/refcount.h"
#include "net/tls/tls_internal.h"
#include "net/tls/tls_verify.h"
#include "net/x509/x509_internal.h"

enum { TRIM_AFTER = 64 /* handshakes at once */ };

struct tls_credentials {
    struct refcount refs;
    struct x509_key *key; /* NULL: proves nothing */
    struct x509_bundle chain, anchors;
    struct san own;
    char own_name[];
};

/* As a peer would look at it: what would be refused out there is refused here, where somebody reads the reason. */
static int check_own(struct x509_key *key, const struct x509_bundle *chain, struct san own,
                     const struct x509_bundle *anchors, int64_t wall_ns, struct errmsg *msg)
{
    enum x509_failure why;
    int r;

    if (!key && chain->count == 0)
        return 0;
    if (anchors->count == 0)
        return errmsg_set(msg, -EINVAL, "there is no trust anchor");
    if (!key || chain->count == 0)
        return errmsg_set(msg, -EINVAL, "a key and a certificate are needed, there is only one of them");
    if (!x509_cert_has_key(chain->certs[0], key))
        return errmsg_set(msg, -EKEYREJECTED, "the certificate does not belong to the key");
    if (!x509_cert_has_id(chain->certs[0], own))
        return errmsg_set(msg, -EKEYREJECTED, "the certificate does not carry the name %.*s", SLICE_ARGS(own.name));
    r = x509_verify(chain, anchors, X509_FOR_SERVER, wall_ns, msg, &why);
    if (r == 0)
        r = x509_verify(chain, anchors, X509_FOR_CLIENT, wall_ns, msg, &why);
    return r;
}

int tls_credentials_new(struct x509_key *key, const struct x509_bundle *chain, struct san own,
                        const struct x509_bundle *anchors, int64_t wall_ns, struct errmsg *msg,
                        struct tls_credentials **ret_credentials)
{
    static const struct x509_bundle nothing = {0};
    struct tls_credentials *credentials;
    int r;

    if (!chain)
        chain = &nothing;
    r = check_own(key, chain, own, anchors, wall_ns, msg);
    if (r < 0)
        return r;
    credentials = calloc(1, sizeof(*credentials) + own.name.len);
    if (!credentials)
        return -ENOMEM;
    refcount_init(&credentials->refs);
    credentials->key = key ? x509_key_ref(key) : NULL;
    if (own.name.len)
        memcpy(credentials->own_name, own.name.ptr, own.name.len);
    credentials->own = (struct san){own.kind, slice_of(credentials->own_name, own.name.len)};
    r = x509_bundle_copy(chain, &credentials->chain);
    if (r == 0)
        r = x509_bundle_copy(anchors, &credentials->anchors);
    if (r < 0) {
        tls_credentials_unref(credentials);
        return r;
    }
    *ret_credentials = credentials;
    return 0;
}

void *tls_credentials_ref(void *what)
{
    struct tls_credentials *credentials = what;

    refcount_get(&credentials->refs);
    return credentials;
}

void tls_credentials_unref(void *what)
{
    struct tls_credentials *credentials = what;

    if (!credentials || !refcount_put(&credentials->refs))
        return;
    x509_key_unref(credentials->key);
    x509_bundle_release(&credentials->chain);
    x509_bundle_release(&credentials->anchors);
    free(credentials);
}

const struct x509_cert *tls_credentials_leaf(const struct tls_credentials *credentials)
{
    return credentials->chain.count ? credentials->chain.certs[0] : NULL;
}

const struct x509_bundle *tls_credentials_chain(const struct tls_credentials *credentials)
{
    return &credentials->chain;
}

const struct x509_bundle *tls_credentials_anchors(const struct tls_credentials *credentials)
{
    return &credentials->anchors;
}

struct san tls_credentials_own(const struct tls_credentials *credentials)
{
    return credentials->own;
}

/* --- the context --- */

/* Whether the processor has instructions for AES; without them ChaCha20 is the faster suite. */
static bool has_fast_aes(void)
{
#if defined(__x86_64__)
    return __builtin_cpu_supports("aes") && __builtin_cpu_supports("pclmul");
#else
    return true; /* every 64-bit ARM server has them */
#endif
}

static bool set_algorithms(SSL_CTX *ssl_ctx)
{
    const char *suites = has_fast_aes() ? "TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384:TLS_CHACHA20_POLY1305_SHA256"
                                        : "TLS_CHACHA20_POLY1305_SHA256:TLS_AES_128_GCM_SHA256:TLS_AES_256_GCM_SHA384";

    return SSL_CTX_set_ciphersuites(ssl_ctx, suites) == 1 &&
           SSL_CTX_set_cipher_list(ssl_ctx, "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-ECDSA-AES256-GCM-SHA384:"
                                            "ECDHE-ECDSA-CHACHA20-POLY1305") == 1 &&
           SSL_CTX_set1_sigalgs_list(ssl_ctx, "ECDSA+SHA256:ECDSA+SHA384:ECDSA+SHA512:ed25519:"
                                              "RSA+SHA256:RSA+SHA384:RSA+SHA512") == 1;
}

/* Until it is said who decides. */
static int believe_nobody(X509_STORE_CTX *store_ctx, void *what)
{
    X509_STORE_CTX_set_error(store_ctx, X509_V_ERR_APPLICATION_VERIFICATION);
    return 0;
}

static bool set_behaviour(SSL_CTX *ssl_ctx)
{
    /* Resumption would outlive a change of trust and costs memory: no tickets, no cache. */
    SSL_CTX_set_options(ssl_ctx, SSL_OP_NO_TICKET | SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION |
                                     SSL_OP_CIPHER_SERVER_PREFERENCE);
    SSL_CTX_set_session_cache_mode(ssl_ctx, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(ssl_ctx,
                     SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_max_cert_list(ssl_ctx, LIMIT_TLS_HANDSHAKE / 2);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_verify_callback(ssl_ctx, believe_nobody, NULL);
    SSL_CTX_set_alpn_select_cb(ssl_ctx, tls_select_alpn, NULL);
    SSL_CTX_set_keylog_callback(ssl_ctx, tls_take_secret);
    return SSL_CTX_set_min_proto_version(ssl_ctx, TLS1_2_VERSION) == 1 &&
           SSL_CTX_set_max_proto_version(ssl_ctx, TLS1_3_VERSION) == 1 && SSL_CTX_set_num_tickets(ssl_ctx, 0) == 1;
}

static bool set_own(SSL_CTX *ssl_ctx, const struct tls_credentials *credentials)
{
    if (!credentials->key)
        return true;
    if (SSL_CTX_use_certificate(ssl_ctx, credentials->chain.certs[0]->x509) != 1 ||
        SSL_CTX_use_PrivateKey(ssl_ctx, credentials->key->pkey) != 1)
        return false;
    for (size_t i = 1; i < credentials->chain.count; i++)
        if (SSL_CTX_add1_chain_cert(ssl_ctx, credentials->chain.certs[i]->x509) != 1)
            return false;
    return true;
}

static bool set_anchors(SSL_CTX *ssl_ctx, const struct tls_credentials *credentials)
{
    X509_STORE *store = x509_store_new(&credentials->anchors);

    if (!store)
        return false;
    SSL_CTX_set_cert_store(ssl_ctx, store);
    return true;
}

static bool fetch_ciphers(struct tls_context *context)
{
    for (unsigned i = 0; i < TLS_SUITES; i++) {
        context->ciphers[i] = EVP_CIPHER_fetch(NULL, tls_suite_at(i)->cipher_name, NULL);
        if (!context->ciphers[i])
            return false;
    }
    return true;
}

int tls_context_prepare(struct sys *sys, struct tls_context **ret_context)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    if (!context)
        return -ENOMEM;
    context->refs = 1;
    context->sys = sys;
    context->bio_method = tls_bio_method();
    context->ssl_ctx = SSL_CTX_new(TLS_method());
    if (!context->bio_method || !context->ssl_ctx || !set_behaviour(context->ssl_ctx) || !fetch_ciphers(context)) {
        ERR_clear_error();
        tls_context_unref(context);
        return -ENOMEM;
    }
    *ret_context = context;
    return 0;
}

int tls_context_new(struct sys *sys, struct tls_credentials *credentials, struct tls_context **ret_context)
{
    struct tls_context *context;
    int r = tls_context_prepare(sys, &context);

    if (r < 0)
        return r;
    context->credentials = tls_credentials_ref(credentials);
    SSL_CTX_set_cert_verify_callback(context->ssl_ctx, tls_verify_peer, context);
    if (!set_algorithms(context->ssl_ctx) || !set_own(context->ssl_ctx, credentials) ||
        !set_anchors(context->ssl_ctx, credentials)) {
        ERR_clear_error();
        tls_context_unref(context);
        return -ENOMEM;
    }
    *ret_context = context;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (!context || --context->refs > 0)
        return;
    for (unsigned i = 0; i < TLS_SUITES; i++)
        EVP_CIPHER_free(context->ciphers[i]);
    SSL_CTX_free(context->ssl_ctx);
    BIO_meth_free(context->bio_method);
    tls_credentials_unref(context->credentials);
    free(context);
}

const struct tls_credentials *tls_context_credentials(const struct tls_context *context)
{
    return context->credentials;
}

void tls_context_handshake_began(struct tls_context *context)
{
    if (++context->handshakes > context->most_handshakes)
        context->most_handshakes = context->handshakes;
}

/*
 * A handshake takes some 40 KiB for a moment, and what stays of it 3 KiB: many at once leave the heap with holes that
 * malloc() would keep. At a millisecond a handshake, the burst has cost more than giving its holes back does.
 */
void tls_context_handshake_ended(struct tls_context *context)
{
    if (--context->handshakes > 0)
        return;
    if (context->most_handshakes >= TRIM_AFTER)
        malloc_trim(0);
    context->most_handshakes = 0;
}

const EVP_CIPHER *tls_context_cipher(const struct tls_context *context, const struct tls_suite *suite)
{
    for (unsigned i = 0; i < TLS_SUITES; i++)
        if (tls_suite_at(i) == suite)
            return context->ciphers[i];
    return NULL;
}
