#include "net/token/token.h"

#include <errno.h>
#include <openssl/ec.h>
#include <openssl/err.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/token/token_internal.h"
#include "net/x509/x509_internal.h"

bool token_is_label(struct slice name)
{
    if (name.len == 0 || name.len > 63 || name.ptr[0] == '-' || name.ptr[name.len - 1] == '-')
        return false;
    for (size_t i = 0; i < name.len; i++)
        if (!((name.ptr[i] >= 'a' && name.ptr[i] <= 'z') || (name.ptr[i] >= '0' && name.ptr[i] <= '9') ||
              name.ptr[i] == '-'))
            return false;
    return true;
}

/* DER's SEQUENCE of two numbers as two numbers of 32 bytes. */
static int flatten(const unsigned char *der, size_t len, unsigned char ret_raw[TOKEN_SIGNATURE])
{
    ECDSA_SIG *parts = d2i_ECDSA_SIG(NULL, &der, (long)len);
    int r = parts && BN_bn2binpad(ECDSA_SIG_get0_r(parts), ret_raw, 32) == 32 &&
                    BN_bn2binpad(ECDSA_SIG_get0_s(parts), ret_raw + 32, 32) == 32
                ? 0
                : -ENOMEM;

    ECDSA_SIG_free(parts);
    return r;
}

static int sign(EVP_PKEY *pkey, struct slice bytes, unsigned char ret_raw[TOKEN_SIGNATURE])
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned char der[80];
    size_t len = sizeof(der);
    int r = -ENOMEM;

    if (md && EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, pkey) == 1 &&
        EVP_DigestSign(md, der, &len, (const unsigned char *)bytes.ptr, bytes.len) == 1)
        r = flatten(der, len, ret_raw);
    EVP_MD_CTX_free(md);
    ERR_clear_error();
    return r;
}

/* Members in alphabetical order, no white space: the same claims always give the same bytes to sign. */
static void write_header(struct buffer *json, struct slice key_id)
{
    buffer_add_lit(json, "{\"alg\":\"ES256\",\"kid\":");
    buffer_add_json(json, key_id);
    buffer_add_lit(json, ",\"typ\":\"JWT\"}");
}

static void write_claims(struct buffer *json, const struct token_claims *claims)
{
    buffer_add_lit(json, "{\"aud\":[");
    buffer_add_json(json, claims->audience.len ? claims->audience : SLICE_LIT(TOKEN_AUDIENCE));
    buffer_printf(json, "],\"exp\":%lld,\"iat\":%lld", (long long)(claims->expires_wall_ns / NS_PER_S),
                  (long long)(claims->issued_wall_ns / NS_PER_S));
    if (claims->issuer.len) {
        buffer_add_lit(json, ",\"iss\":");
        buffer_add_json(json, claims->issuer);
    }
    buffer_printf(json, ",\"sub\":\"" TOKEN_SUBJECT_PREFIX "%.*s:%.*s\"}", SLICE_ARGS(claims->namespace),
                  SLICE_ARGS(claims->service_account));
}

static int check_claims(const struct token_claims *claims, struct errmsg *msg)
{
    if (!token_is_label(claims->namespace))
        return errmsg_set(msg, -EINVAL, "the namespace must be a DNS label: a-z, 0-9 and '-', at most 63");
    if (!token_is_label(claims->service_account))
        return errmsg_set(msg, -EINVAL, "the service account must be a DNS label: a-z, 0-9 and '-', at most 63");
    if (claims->issued_wall_ns < 0 || claims->expires_wall_ns <= claims->issued_wall_ns)
        return errmsg_set(msg, -EINVAL, "the token would expire before it is issued");
    if (!slice_is_utf8(claims->issuer) || !slice_is_utf8(claims->key_id) || !slice_is_utf8(claims->audience))
        return errmsg_set(msg, -EINVAL, "issuer, key id and audience must be UTF-8");
    return 0;
}

int token_sign(struct x509_key *key, const struct token_claims *claims, struct errmsg *msg, struct buffer *ret_token)
{
    char thumbprint[TOKEN_THUMBPRINT + 1] = "";
    unsigned char signature[TOKEN_SIGNATURE];
    struct buffer json, token;
    int r = check_claims(claims, msg);

    if (r < 0)
        return r;
    if (claims->key_id.len == 0) {
        r = token_thumbprint(key->pkey, thumbprint);
        if (r < 0)
            return r;
    }
    buffer_init(&json, LIMIT_TOKEN);
    buffer_init(&token, LIMIT_TOKEN);
    write_header(&json, claims->key_id.len ? claims->key_id : slice_str(thumbprint));
    token_base64_add(&token, buffer_slice(&json));
    buffer_clear(&json);
    write_claims(&json, claims);
    buffer_add_byte(&token, '.');
    r = buffer_error(&json) ? buffer_error(&json) : token_base64_add(&token, buffer_slice(&json));
    if (r == 0)
        r = sign(key->pkey, buffer_slice(&token), signature);
    if (r == 0) {
        buffer_add_byte(&token, '.');
        r = token_base64_add(&token, slice_of(signature, sizeof(signature)));
    }
    if (r == -ENOBUFS)
        r = errmsg_set(msg, -EINVAL, "the token would have more than %d bytes", LIMIT_TOKEN);
    if (r == 0)
        r = buffer_add(ret_token, buffer_slice(&token));
    buffer_release(&json);
    buffer_release(&token);
    return r;
}
