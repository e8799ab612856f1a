/* Checking signed tokens. Nothing of a token is believed, nor shown in a message, before its signature is right. */
#include <errno.h>
#include <jansson.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "net/token/token.h"
#include "net/token/token_internal.h"
#include "net/x509/x509_internal.h"

struct token_key {
    EVP_PKEY *pkey;
    char thumbprint[TOKEN_THUMBPRINT + 1];
};

struct token_keys {
    struct token_validator validator;
    int64_t skew_ns;
    size_t count;
    struct token_key keys[LIMIT_TOKEN_KEYS];
};

/* --- the keys --- */

static EVP_PKEY *public_key_of(const struct pem_block *block, const unsigned char *der, size_t len)
{
    const unsigned char *at = der;
    EVP_PKEY *pkey = NULL;

    if (slice_eq(block->label, SLICE_LIT("PUBLIC KEY"))) {
        pkey = d2i_PUBKEY(NULL, &at, (long)len);
    } else if (slice_eq(block->label, SLICE_LIT("CERTIFICATE"))) {
        X509 *x509 = d2i_X509(NULL, &at, (long)len);

        pkey = x509 ? X509_get_pubkey(x509) : NULL;
        X509_free(x509);
    } else if (slice_ends(block->label, SLICE_LIT("PRIVATE KEY"))) {
        struct x509_key *key;

        if (x509_key_read(slice_of(der, len), NULL, &key) == 0) {
            EVP_PKEY_up_ref(key->pkey);
            pkey = key->pkey;
            x509_key_unref(key);
        }
    }
    return pkey;
}

static int add_key(struct token_keys *keys, const struct pem_block *block, struct errmsg *msg)
{
    struct token_key *key;
    unsigned char *der;
    size_t len;
    char kind[64];
    EVP_PKEY *pkey;
    int r;

    if (slice_eq(block->label, SLICE_LIT("EC PARAMETERS")))
        return 0;
    if (keys->count >= LIMIT_TOKEN_KEYS)
        return errmsg_set(msg, -EINVAL, "more than %d keys", LIMIT_TOKEN_KEYS);
    r = pem_decode(block, &der, &len);
    if (r < 0)
        return errmsg_set(msg, r, "the block in line %u is not valid base64", block->line);
    pkey = public_key_of(block, der, len);
    OPENSSL_cleanse(der, len);
    free(der);
    ERR_clear_error();
    if (!pkey)
        return errmsg_set(msg, -EINVAL, "the block in line %u holds no key that can be read", block->line);
    if (!x509_is_p256(pkey)) {
        r = errmsg_set(msg, -ENOTSUP, "the key in line %u must be ECDSA P-256, it is %s", block->line,
                       x509_key_kind(pkey, kind, sizeof(kind)));
        EVP_PKEY_free(pkey);
        return r;
    }
    key = &keys->keys[keys->count++];
    key->pkey = pkey;
    return token_thumbprint(pkey, key->thumbprint);
}

static void free_keys(struct token_validator *validator)
{
    struct token_keys *keys = (struct token_keys *)validator;

    for (size_t i = 0; i < keys->count; i++)
        EVP_PKEY_free(keys->keys[i].pkey);
    free(keys);
}

static void *validate_now(struct token_validator *validator, struct slice token, int64_t wall_ns, token_done *done,
                          void *owner)
{
    struct token_subject subject;
    struct errmsg why = {""};
    enum token_verdict verdict = token_check(validator, token, SLICE_LIT(TOKEN_AUDIENCE), wall_ns, &why, &subject);

    done(owner, verdict, verdict == TOKEN_VALID ? &subject : NULL, why.text);
    return NULL;
}

static void cancel_nothing(struct token_validator *validator, void *handle)
{
    /* validate_now() has always told already. */
}

static const struct token_validator_ops keys_ops = {validate_now, cancel_nothing, free_keys};

int token_keys_new(struct slice pem, int64_t skew_ns, struct errmsg *msg, struct token_validator **ret_validator)
{
    struct token_keys *keys;
    struct pem_block block;
    unsigned line = 0;
    int r;

    if (pem.len > LIMIT_PEM)
        return errmsg_set(msg, -EINVAL, "%zu bytes of PEM, at most %d are read", pem.len, LIMIT_PEM);
    keys = calloc(1, sizeof(*keys));
    if (!keys)
        return -ENOMEM;
    keys->validator.ops = &keys_ops;
    keys->skew_ns = skew_ns;
    while ((r = pem_next(&pem, &line, msg, &block)) == 1) {
        r = add_key(keys, &block, msg);
        if (r < 0)
            break;
    }
    if (r == 0 && keys->count == 0)
        r = errmsg_set(msg, -EINVAL, "there is no PUBLIC KEY, CERTIFICATE or PRIVATE KEY block");
    if (r < 0) {
        free_keys(&keys->validator);
        return r;
    }
    *ret_validator = &keys->validator;
    return 0;
}

/* --- the form --- */

struct parts {
    struct slice header, claims, signature;
    struct slice signed_text; /* header and claims with the dot between */
};

static bool take_apart(struct slice token, struct parts *ret_parts)
{
    size_t first = slice_find(token, '.'), second;

    if (first == token.len)
        return false;
    second = first + 1 + slice_find(slice_skip(token, first + 1), '.');
    if (second >= token.len)
        return false;
    *ret_parts = (struct parts){
        .header = slice_take(token, first),
        .claims = slice_of(token.ptr + first + 1, second - first - 1),
        .signature = slice_skip(token, second + 1),
        .signed_text = slice_take(token, second),
    };
    return slice_find(ret_parts->signature, '.') == ret_parts->signature.len;
}

/* One JSON object without duplicate members, or NULL. */
static json_t *read_object(struct slice text)
{
    char json[LIMIT_TOKEN];
    ssize_t len = token_base64_read(text, json, sizeof(json));
    json_t *object;

    if (len < 0)
        return NULL;
    object = json_loadb(json, (size_t)len, JSON_REJECT_DUPLICATES, NULL);
    if (object && !json_is_object(object)) {
        json_decref(object);
        return NULL;
    }
    return object;
}

/* A missing member is .ptr NULL; one of another type is, too, and *wrong is set. */
static struct slice text_member(const json_t *object, const char *name, bool *wrong)
{
    const json_t *value = json_object_get(object, name);

    if (!value)
        return SLICE_NULL;
    if (!json_is_string(value)) {
        *wrong = true;
        return SLICE_NULL;
    }
    return slice_of(json_string_value(value), json_string_length(value));
}

/* Whole seconds that fit nanoseconds; -1 when missing; *wrong is set for anything else. */
static int64_t time_member(const json_t *object, const char *name, bool *wrong)
{
    const json_t *value = json_object_get(object, name);

    if (!value)
        return -1;
    if (!json_is_integer(value) || json_integer_value(value) < 0 || json_integer_value(value) > INT64_MAX / NS_PER_S) {
        *wrong = true;
        return -1;
    }
    return json_integer_value(value) * NS_PER_S;
}

static enum token_verdict malformed(struct errmsg *msg, const char *why)
{
    errmsg_set(msg, -EINVAL, "%s", why);
    return TOKEN_MALFORMED;
}

static enum token_verdict refused(struct errmsg *msg, const char *why)
{
    errmsg_set(msg, -EPERM, "%s", why);
    return TOKEN_NOT_AUTHENTICATED;
}

/* --- the signature --- */

/* Two numbers of 32 bytes as DER's SEQUENCE. */
static int unflatten(const unsigned char raw[TOKEN_SIGNATURE], unsigned char **ret_der)
{
    ECDSA_SIG *parts = ECDSA_SIG_new();
    BIGNUM *r = BN_bin2bn(raw, 32, NULL), *s = BN_bin2bn(raw + 32, 32, NULL);
    int len = -1;

    if (parts && r && s && ECDSA_SIG_set0(parts, r, s) == 1) {
        r = s = NULL;
        *ret_der = NULL;
        len = i2d_ECDSA_SIG(parts, ret_der);
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(parts);
    return len;
}

static bool signed_by(EVP_PKEY *pkey, struct slice text, const unsigned char *der, int len)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    bool good = md && EVP_DigestVerifyInit(md, NULL, EVP_sha256(), NULL, pkey) == 1 &&
                EVP_DigestVerify(md, der, (size_t)len, (const unsigned char *)text.ptr, text.len) == 1;

    EVP_MD_CTX_free(md);
    return good;
}

/* With a key id that is a thumbprint of ours only that key is tried; other ids are free text, then all are. */
static bool signed_by_any(const struct token_keys *keys, const struct parts *parts, struct slice key_id,
                          const unsigned char signature[TOKEN_SIGNATURE])
{
    unsigned char *der;
    int len = unflatten(signature, &der);
    bool good = false, known = false;

    if (len <= 0) {
        ERR_clear_error();
        return false;
    }
    for (size_t i = 0; i < keys->count; i++)
        known |= slice_eq(key_id, slice_str(keys->keys[i].thumbprint));
    for (size_t i = 0; i < keys->count && !good; i++)
        if (!known || slice_eq(key_id, slice_str(keys->keys[i].thumbprint)))
            good = signed_by(keys->keys[i].pkey, parts->signed_text, der, len);
    OPENSSL_free(der);
    ERR_clear_error();
    return good;
}

static enum token_verdict check_signature(const struct token_keys *keys, const struct parts *parts, struct errmsg *msg)
{
    unsigned char signature[TOKEN_SIGNATURE];
    json_t *header = read_object(parts->header);
    enum token_verdict verdict = TOKEN_VALID;
    bool wrong = false;
    struct slice algorithm, key_id;

    if (!header)
        return malformed(msg, "the token's header is not a JSON object in base64url");
    algorithm = text_member(header, "alg", &wrong);
    key_id = text_member(header, "kid", &wrong);
    if (wrong || json_object_get(header, "crit"))
        verdict = malformed(msg, "the token's header has members that are not understood");
    else if (!slice_eq(algorithm, SLICE_LIT("ES256")))
        verdict = malformed(msg, "the token's algorithm must be ES256");
    else if (token_base64_read(parts->signature, signature, sizeof(signature)) != TOKEN_SIGNATURE)
        verdict = malformed(msg, "the token's signature must be 64 bytes in base64url");
    else if (!signed_by_any(keys, parts, key_id, signature) && !mutation("signature-ignored"))
        verdict = refused(msg, "the token is not signed by a known key");
    json_decref(header);
    return verdict;
}

/* --- the claims --- */

static bool has_audience(const json_t *claims, struct slice audience)
{
    const json_t *value = json_object_get(claims, "aud"), *one;
    size_t i;

    if (json_is_string(value))
        return slice_eq(slice_of(json_string_value(value), json_string_length(value)), audience);
    json_array_foreach(
        value, i, one) if (json_is_string(one) &&
                           slice_eq(slice_of(json_string_value(one), json_string_length(one)), audience)) return true;
    return false;
}

static bool read_subject(struct slice text, struct token_subject *ret_subject)
{
    struct slice namespace, account = SLICE_NULL;

    if (!slice_starts(text, SLICE_LIT(TOKEN_SUBJECT_PREFIX)))
        return false;
    text = slice_skip(text, sizeof(TOKEN_SUBJECT_PREFIX) - 1);
    namespace = slice_take(text, slice_find(text, ':'));
    account = slice_skip(text, namespace.len + 1);
    if (!token_is_label(namespace) || !token_is_label(account))
        return false;
    *ret_subject = (struct token_subject){0};
    memcpy(ret_subject->namespace, namespace.ptr, namespace.len);
    memcpy(ret_subject->service_account, account.ptr, account.len);
    return true;
}

static enum token_verdict check_claims(const struct token_keys *keys, const json_t *claims, struct slice audience,
                                       int64_t wall_ns, struct errmsg *msg, struct token_subject *ret_subject)
{
    bool wrong = false;
    int64_t expires = time_member(claims, "exp", &wrong), issued = time_member(claims, "iat", &wrong);
    int64_t not_before = time_member(claims, "nbf", &wrong);
    struct slice subject = text_member(claims, "sub", &wrong);

    if (wrong || expires < 0 || issued < 0)
        return malformed(msg, "the token must have exp and iat as whole seconds, and a subject");
    if (wall_ns - keys->skew_ns >= expires && !mutation("expired-tokens-accepted"))
        return refused(msg, "the token has expired");
    if (wall_ns + keys->skew_ns < issued || wall_ns + keys->skew_ns < not_before)
        return refused(msg, "the token is not valid yet: compare the clocks of both machines");
    if (!has_audience(claims, audience) && !mutation("audience-ignored"))
        return refused(msg, "the token is for another audience");
    if (!read_subject(subject, ret_subject))
        return malformed(msg, "the token's subject must be " TOKEN_SUBJECT_PREFIX "NAMESPACE:ACCOUNT");
    return TOKEN_VALID;
}

enum token_verdict token_check(const struct token_validator *validator, struct slice token, struct slice audience,
                               int64_t wall_ns, struct errmsg *msg, struct token_subject *ret_subject)
{
    const struct token_keys *keys = (const struct token_keys *)validator;
    enum token_verdict verdict;
    struct parts parts;
    json_t *claims;

    if (token.len > LIMIT_TOKEN)
        return malformed(msg, "the token is too long");
    /* Files end in a newline. */
    while (token.len && (token.ptr[token.len - 1] == '\n' || token.ptr[token.len - 1] == '\r'))
        token.len--;
    if (!take_apart(token, &parts))
        return malformed(msg, "the token must have three parts with dots between");
    verdict = check_signature(keys, &parts, msg);
    if (verdict != TOKEN_VALID)
        return verdict;
    claims = read_object(parts.claims);
    if (!claims)
        return malformed(msg, "the token's claims are not a JSON object in base64url");
    verdict = check_claims(keys, claims, audience, wall_ns, msg, ret_subject);
    json_decref(claims);
    return verdict;
}
