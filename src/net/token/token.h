/*
 * Workload tokens: what a proxy shows to the identity service to prove which
 * workload it is. The form is JWT in JWS compact serialisation (RFC 7515, 7519),
 * always ES256; docs/tokens.md is the format for people.
 *
 *     header   {"alg":"ES256","kid":"...","typ":"JWT"}
 *     claims   {"aud":["identity.l5d.io"],"exp":...,"iat":...,"iss":"...","sub":"system:serviceaccount:NS:SA"}
 *
 * Whoever validates does so through struct token_validator, so that the signed
 * tokens of this file and Kubernetes' TokenReview are interchangeable.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"
#include "net/x509/x509.h"

#define TOKEN_AUDIENCE "identity.l5d.io"

/* --- making --- */

struct token_claims {
    struct slice issuer;          /* free text, "" leaves it out */
    struct slice key_id;          /* "" takes the key's thumbprint (RFC 7638) */
    struct slice namespace;       /* a DNS label (RFC 1123), */
    struct slice service_account; /* and another: identities have no place for a dot */
    struct slice audience;        /* "" is TOKEN_AUDIENCE */
    int64_t issued_wall_ns, expires_wall_ns;
};

/* Appends the token. 0, -EINVAL with a reason, -ENOMEM. */
int token_sign(struct x509_key *key, const struct token_claims *claims, struct errmsg *msg, struct buffer *ret_token);

/* --- validating --- */

enum token_verdict {
    TOKEN_VALID,
    TOKEN_NOT_AUTHENTICATED, /* well formed, but not signed by us, expired, or for another audience */
    TOKEN_MALFORMED,
    TOKEN_UNAVAILABLE, /* could not be decided now */
};

/* Whom the token proves; copies, so that they outlive the token. */
struct token_subject {
    char namespace[64];
    char service_account[64];
};

struct token_validator;

/* Told exactly once, perhaps before validate() returns. `why` is "" when valid, else a sentence without secrets. */
typedef void token_done(void *owner, enum token_verdict verdict, const struct token_subject *subject, const char *why);

struct token_validator_ops {
    /*
     * Starts to decide; the token's bytes need not outlive the call. A handle for cancel(), or NULL when done() was
     * told already.
     */
    void *(*validate)(struct token_validator *validator, struct slice token, int64_t wall_ns, token_done *done,
                      void *owner);
    /* done() will not be told any more. */
    void (*cancel)(struct token_validator *validator, void *handle);
    void (*free)(struct token_validator *validator);
};

struct token_validator {
    const struct token_validator_ops *ops;
};

/*
 * Accepts tokens signed by any of the public keys in `pem` (PUBLIC KEY, CERTIFICATE or EC private key blocks, ECDSA
 * P-256 all; at most LIMIT_TOKEN_KEYS). Times may be off by `skew_ns`. -EINVAL or -ENOTSUP with the block that is
 * wrong.
 */
int token_keys_new(struct slice pem, int64_t skew_ns, struct errmsg *msg, struct token_validator **ret_validator);
/* The decision itself, at once: for tests, the fuzzer and `linkerd token`. */
enum token_verdict token_check(const struct token_validator *keys, struct slice token, struct slice audience,
                               int64_t wall_ns, struct errmsg *msg, struct token_subject *ret_subject);
