/* PEM (RFC 7468), strict about what is inside a block and tolerant about what is around it. */
#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/x509/x509_internal.h"

/* Takes a line off the front, without its end. */
static bool next_line(struct slice *rest, struct slice *ret_line)
{
    size_t end;

    if (rest->len == 0)
        return false;
    end = slice_find(*rest, '\n');
    *ret_line = slice_take(*rest, end);
    *rest = slice_skip(*rest, end + 1);
    if (ret_line->len && ret_line->ptr[ret_line->len - 1] == '\r')
        ret_line->len--;
    *ret_line = slice_trim(*ret_line);
    return true;
}

/* "-----BEGIN LABEL-----" gives LABEL. */
static bool boundary(struct slice line, struct slice word, struct slice *ret_label)
{
    struct slice dashes = SLICE_LIT("-----");

    if (!slice_starts(line, word) || !slice_ends(line, dashes) || line.len < word.len + dashes.len)
        return false;
    *ret_label = slice_of(line.ptr + word.len, line.len - word.len - dashes.len);
    return true;
}

int pem_next(struct slice *rest, unsigned *line, struct errmsg *msg, struct pem_block *ret_block)
{
    struct slice text, label;
    struct pem_block block = {0};

    while (next_line(rest, &text)) {
        ++*line;
        if (!boundary(text, SLICE_LIT("-----BEGIN "), &label))
            continue;
        block = (struct pem_block){.label = label, .line = *line};
        block.text.ptr = rest->ptr;
        while (next_line(rest, &text)) {
            ++*line;
            if (boundary(text, SLICE_LIT("-----END "), &label)) {
                if (!slice_eq(label, block.label))
                    break;
                block.text.len = (size_t)(text.ptr - block.text.ptr);
                *ret_block = block;
                return 1;
            }
            if (boundary(text, SLICE_LIT("-----BEGIN "), &label))
                break;
        }
        return errmsg_set(msg, -EINVAL, "the PEM block that begins in line %u has no END line of its own", block.line);
    }
    return 0;
}

/* The block's characters without white space; -EINVAL if any is not of base64. */
static int gather(struct slice text, unsigned char *to, size_t *ret_len)
{
    size_t n = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if (c == '\n' || c == '\r' || c == ' ' || c == '\t')
            continue;
        if (!((c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '+' || c == '/' ||
              c == '='))
            return -EINVAL;
        if (n > 0 && to[n - 1] == '=' && c != '=')
            return -EINVAL; /* EVP_DecodeBlock() would take padding in the middle for zero bits */
        to[n++] = c;
    }
    *ret_len = n;
    return n > 0 && n % 4 == 0 ? 0 : -EINVAL;
}

int pem_decode(const struct pem_block *block, unsigned char **ret_bytes, size_t *ret_len)
{
    unsigned char *packed, *bytes;
    size_t len = 0, padding = 0;
    int n = -1, r;

    if (block->text.len == 0 || block->text.len > LIMIT_PEM)
        return -EINVAL;
    packed = malloc(block->text.len);
    bytes = malloc(block->text.len);
    r = packed && bytes ? gather(block->text, packed, &len) : -ENOMEM;
    if (r == 0) {
        while (padding < 2 && packed[len - 1 - padding] == '=') /* len is at least 4 */
            padding++;
        n = packed[len - 1 - padding] == '=' ? -1 : EVP_DecodeBlock(bytes, packed, (int)len);
        if (n < 0)
            r = -EINVAL;
    }
    if (packed)
        OPENSSL_cleanse(packed, len);
    free(packed);
    if (r < 0) {
        free(bytes);
        return r;
    }
    *ret_bytes = bytes;
    *ret_len = (size_t)n - padding;
    return 0;
}

int pem_encode(struct slice label, struct slice bytes, struct buffer *ret_pem)
{
    enum { BYTES_PER_LINE = 48 };

    buffer_printf(ret_pem, "-----BEGIN %.*s-----\n", SLICE_ARGS(label));
    while (bytes.len) {
        struct slice part = slice_take(bytes, BYTES_PER_LINE);
        unsigned char line[BYTES_PER_LINE / 3 * 4 + 1];
        int n = EVP_EncodeBlock(line, (const unsigned char *)part.ptr, (int)part.len);

        buffer_add(ret_pem, slice_of(line, (size_t)n));
        buffer_add_byte(ret_pem, '\n');
        OPENSSL_cleanse(line, sizeof(line));
        bytes = slice_skip(bytes, part.len);
    }
    buffer_printf(ret_pem, "-----END %.*s-----\n", SLICE_ARGS(label));
    return buffer_error(ret_pem);
}
