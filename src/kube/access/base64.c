#include "kube/access/base64.h"

#include <errno.h>

static const char alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

int base64_add(struct buffer *to, struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i += 3) {
        struct slice part = slice_take(slice_skip(bytes, i), 3);
        unsigned held = 0;

        for (size_t j = 0; j < 3; j++)
            held = held << 8 | (j < part.len ? (unsigned char)part.ptr[j] : 0);
        for (size_t j = 0; j < 4; j++)
            buffer_add_byte(to, j > part.len ? '=' : alphabet[held >> (18 - 6 * j) & 63]);
    }
    return buffer_error(to);
}

static int digit(char c)
{
    const char *at = c ? strchr(alphabet, c) : NULL;

    return at ? (int)(at - alphabet) : -1;
}

int base64_read(struct arena *arena, struct slice text, struct slice *ret_bytes)
{
    char *bytes = arena_alloc(arena, text.len / 4 * 3 + 4);
    size_t len = 0, digits = 0, padding = 0;
    unsigned held = 0;

    if (!bytes)
        return -ENOMEM;
    for (size_t i = 0; i < text.len; i++) {
        char c = text.ptr[i];

        if (c == '\n' || c == '\r')
            continue;
        if (c == '=') {
            padding++;
            continue;
        }
        if (padding || digit(c) < 0)
            return -EINVAL;
        held = held << 6 | (unsigned)digit(c);
        if (digits++ % 4)
            bytes[len++] = (char)(held >> (6 - 2 * ((digits - 1) % 4)));
    }
    if (digits % 4 == 1 || padding != (4 - digits % 4) % 4 || (padding && held & (padding == 1 ? 3u : 15u)))
        return -EINVAL;
    bytes[len] = '\0';
    *ret_bytes = slice_of(bytes, len);
    return 0;
}
