#include <errno.h>
#include <openssl/err.h>
#include <openssl/x509_vfy.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/x509/x509_internal.h"

X509_STORE *x509_store_new(const struct x509_bundle *anchors)
{
    X509_STORE *store = X509_STORE_new();

    if (!store)
        return NULL;
    for (size_t i = 0; i < anchors->count; i++)
        if (X509_STORE_add_cert(store, anchors->certs[i]->x509) != 1) {
            X509_STORE_free(store);
            ERR_clear_error();
            return NULL;
        }
    return store;
}

int x509_run_verify(X509_STORE_CTX *store_ctx, int64_t wall_ns)
{
    X509_VERIFY_PARAM *param = X509_STORE_CTX_get0_param(store_ctx);
    int error = X509_V_ERR_UNSPECIFIED;

    /* Whatever is in the bundle is an anchor, self-signed or not: an operator may trust an intermediate alone. */
    if (X509_VERIFY_PARAM_set_flags(param, X509_V_FLAG_PARTIAL_CHAIN | X509_V_FLAG_TRUSTED_FIRST) != 1)
        return error;
    X509_VERIFY_PARAM_set_time(param, (time_t)(wall_ns / NS_PER_S));
    X509_VERIFY_PARAM_set_depth(param, LIMIT_CHAIN_DEPTH);
    if (X509_verify_cert(store_ctx) == 1)
        error = X509_V_OK;
    else if (X509_STORE_CTX_get_error(store_ctx) != X509_V_OK)
        error = X509_STORE_CTX_get_error(store_ctx);
    ERR_clear_error();
    return error;
}

enum x509_failure x509_failure_of(int verify_error)
{
    switch (verify_error) {
    case X509_V_OK:
        return X509_VALID;
    case X509_V_ERR_CERT_HAS_EXPIRED:
    case X509_V_ERR_CERT_NOT_YET_VALID:
        return X509_EXPIRED;
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT:
    case X509_V_ERR_UNABLE_TO_GET_ISSUER_CERT_LOCALLY:
    case X509_V_ERR_UNABLE_TO_VERIFY_LEAF_SIGNATURE:
    case X509_V_ERR_DEPTH_ZERO_SELF_SIGNED_CERT:
    case X509_V_ERR_SELF_SIGNED_CERT_IN_CHAIN:
    case X509_V_ERR_CERT_UNTRUSTED:
        return X509_UNKNOWN_ISSUER;
    default:
        return X509_BAD_CERTIFICATE;
    }
}

static STACK_OF(X509) * helpers_of(const struct x509_bundle *chain)
{
    STACK_OF(X509) *helpers = sk_X509_new_null();

    for (size_t i = 1; helpers && i < chain->count; i++)
        if (!sk_X509_push(helpers, chain->certs[i]->x509)) {
            sk_X509_free(helpers);
            return NULL;
        }
    return helpers;
}

static int set_purpose(X509_STORE_CTX *store_ctx, enum x509_purpose purpose)
{
    switch (purpose) {
    case X509_FOR_SERVER:
        return X509_STORE_CTX_set_default(store_ctx, "ssl_server");
    case X509_FOR_CLIENT:
        return X509_STORE_CTX_set_default(store_ctx, "ssl_client");
    case X509_FOR_ISSUER:
        return 1; /* the caller looks at the certificate itself */
    }
    return 0;
}

/* Whose certificate it was, for the message. */
static int explain(X509_STORE_CTX *store_ctx, int error, struct errmsg *msg)
{
    X509 *at = X509_STORE_CTX_get_current_cert(store_ctx);
    struct buffer subject;

    buffer_init(&subject, 256);
    if (at)
        for (int i = 0; i < X509_NAME_entry_count(X509_get_subject_name(at)); i++) {
            X509_NAME_ENTRY *entry = X509_NAME_get_entry(X509_get_subject_name(at), i);
            const ASN1_STRING *value = X509_NAME_ENTRY_get_data(entry);

            if (OBJ_obj2nid(X509_NAME_ENTRY_get_object(entry)) == NID_commonName)
                buffer_add_json(&subject, slice_of(ASN1_STRING_get0_data(value), (size_t)ASN1_STRING_length(value)));
        }
    errmsg_set(msg, -EKEYREJECTED, "%s (certificate %d of the chain%s%.*s)", X509_verify_cert_error_string(error),
               X509_STORE_CTX_get_error_depth(store_ctx) + 1, subject.len ? ", " : "",
               SLICE_ARGS(buffer_slice(&subject)));
    buffer_release(&subject);
    return -EKEYREJECTED;
}

int x509_verify(const struct x509_bundle *chain, const struct x509_bundle *anchors, enum x509_purpose purpose,
                int64_t wall_ns, struct errmsg *msg, enum x509_failure *ret_why)
{
    X509_STORE *store;
    X509_STORE_CTX *store_ctx;
    STACK_OF(X509) * helpers;
    int r = -ENOMEM, error;

    *ret_why = X509_BAD_CERTIFICATE;
    if (chain->count == 0)
        return errmsg_set(msg, -EKEYREJECTED, "there is no certificate");
    store = x509_store_new(anchors);
    store_ctx = X509_STORE_CTX_new();
    helpers = helpers_of(chain);
    if (store && store_ctx && helpers && X509_STORE_CTX_init(store_ctx, store, chain->certs[0]->x509, helpers) == 1 &&
        set_purpose(store_ctx, purpose) == 1) {
        X509_VERIFY_PARAM_set_auth_level(X509_STORE_CTX_get0_param(store_ctx), 2);
        error = x509_run_verify(store_ctx, wall_ns);
        *ret_why = x509_failure_of(error);
        r = error == X509_V_OK ? 0 : explain(store_ctx, error, msg);
    }
    sk_X509_free(helpers);
    X509_STORE_CTX_free(store_ctx);
    X509_STORE_free(store);
    ERR_clear_error();
    return r;
}
