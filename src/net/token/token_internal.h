/* What making and checking tokens share. Nobody else includes this. */
#pragma once

#include <openssl/evp.h>

#include "base/buffer.h"
#include "base/slice.h"

enum {
    TOKEN_SIGNATURE = 64,  /* r and s of ES256, 32 bytes each (RFC 7518 section 3.4) */
    TOKEN_THUMBPRINT = 43, /* SHA-256 in base64url */
};

#define TOKEN_SUBJECT_PREFIX "system:serviceaccount:"

/* RFC 1123: what a namespace and a service account are named by. */
bool token_is_label(struct slice name);
/* Without padding (RFC 7515 section 2). Returns the buffer's error. */
int token_base64_add(struct buffer *to, struct slice bytes);
/* The strict inverse: no padding, no other characters, no stray bits. How many bytes, or -EINVAL. At most `max`. */
ssize_t token_base64_read(struct slice text, void *to, size_t max);
/* The RFC 7638 thumbprint of a P-256 key. 0 or -ENOMEM. */
int token_thumbprint(const EVP_PKEY *pkey, char ret_text[TOKEN_THUMBPRINT + 1]);
