/* OpenSSL's questions during a handshake, answered for the connection that asks. Set up by tls_context.c. */
#pragma once

#include <openssl/ssl.h>

/* Is this chain the peer's? SSL_CTX_set_cert_verify_callback; `context` is the struct tls_context. */
int tls_verify_peer(X509_STORE_CTX *store_ctx, void *context);
struct tls;
/* Notes why the chain was refused, for tls_failure(). */
void tls_verify_explain(struct tls *tls, X509_STORE_CTX *store_ctx, int error);
/* Which protocol? SSL_CTX_set_alpn_select_cb. */
int tls_select_alpn(SSL *ssl, const unsigned char **ret_name, unsigned char *ret_len, const unsigned char *offered,
                    unsigned int offered_len, void *unused);
/* The traffic secrets, as lines of the key log format. SSL_CTX_set_keylog_callback. */
void tls_take_secret(const SSL *ssl, const char *line);
