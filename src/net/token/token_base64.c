#include <errno.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/sha.h>

#include "net/token/token_internal.h"

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

int token_base64_add(struct buffer *to, struct slice bytes)
{
    unsigned held = 0, bits = 0;

    for (size_t i = 0; i < bytes.len; i++) {
        held = held << 8 | (unsigned char)bytes.ptr[i];
        for (bits += 8; bits >= 6; bits -= 6)
            buffer_add_byte(to, alphabet[held >> (bits - 6) & 63]);
    }
    if (bits)
        buffer_add_byte(to, alphabet[held << (6 - bits) & 63]);
    return buffer_error(to);
}

static int digit(char c)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    return c == '-' ? 62 : c == '_' ? 63 : -1;
}

ssize_t token_base64_read(struct slice text, void *to, size_t max)
{
    unsigned char *at = to;
    unsigned held = 0, bits = 0;
    size_t n = 0;

    if (text.len % 4 == 1)
        return -EINVAL;
    for (size_t i = 0; i < text.len; i++) {
        int value = digit(text.ptr[i]);

        if (value < 0)
            return -EINVAL;
        held = (held << 6 | (unsigned)value) & 0xffff;
        bits += 6;
        if (bits < 8)
            continue;
        bits -= 8;
        if (n == max)
            return -EINVAL;
        at[n++] = (unsigned char)(held >> bits);
    }
    return held & ((1u << bits) - 1) ? -EINVAL : (ssize_t)n;
}

int token_thumbprint(const EVP_PKEY *pkey, char ret_text[TOKEN_THUMBPRINT + 1])
{
    unsigned char point[65], digest[SHA256_DIGEST_LENGTH];
    size_t len;
    struct buffer text;
    int r;

    if (EVP_PKEY_get_octet_string_param(pkey, OSSL_PKEY_PARAM_PUB_KEY, point, sizeof(point), &len) != 1 || len != 65 ||
        point[0] != 4) {
        ERR_clear_error();
        return -ENOMEM;
    }
    buffer_init(&text, 256);
    buffer_add_lit(&text, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"");
    token_base64_add(&text, slice_of(point + 1, 32));
    buffer_add_lit(&text, "\",\"y\":\"");
    token_base64_add(&text, slice_of(point + 33, 32));
    r = buffer_add_lit(&text, "\"}");
    if (r == 0) {
        SHA256((const unsigned char *)text.data, text.len, digest);
        buffer_clear(&text);
        r = token_base64_add(&text, slice_of(digest, sizeof(digest)));
    }
    if (r == 0) {
        memcpy(ret_text, text.data, TOKEN_THUMBPRINT);
        ret_text[TOKEN_THUMBPRINT] = '\0';
    }
    buffer_release(&text);
    return r;
}
