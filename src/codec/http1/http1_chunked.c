#include "base/limits.h"
#include "base/mutation.h"
#include "codec/http1/http1.h"

static ssize_t fail(struct http1_chunked *c, const char *why)
{
    c->state = HTTP1_CHUNKED_FAILED;
    c->refusal = why;
    return -400;
}

static int hex_digit(char byte)
{
    if (byte >= '0' && byte <= '9')
        return byte - '0';
    if ((byte | 0x20) >= 'a' && (byte | 0x20) <= 'f')
        return (byte | 0x20) - 'a' + 10;
    return -1;
}

static int take_digit(struct http1_chunked *c, char byte)
{
    int digit = hex_digit(byte);

    if (digit < 0)
        return (int)fail(c, "bad chunk size");
    if (c->left > INT64_MAX >> 4)
        return (int)fail(c, "chunk size too large");
    c->left = c->left << 4 | (uint64_t)digit;
    c->state = HTTP1_CHUNKED_DIGITS;
    return 0;
}

/* A byte of "size [;extension] CRLF" or of the CRLF behind data. Chunk extensions are for one hop and mean nothing to
 * us. */
static int take_byte(struct http1_chunked *c, char byte)
{
    switch ((enum http1_chunked_state)c->state) {
    case HTTP1_CHUNKED_SIZE:
        return take_digit(c, byte);
    case HTTP1_CHUNKED_DIGITS:
        if (byte != ';' && byte != '\r')
            return take_digit(c, byte);
        c->state = byte == ';' ? HTTP1_CHUNKED_EXTENSION : HTTP1_CHUNKED_SIZE_LF;
        return 0;
    case HTTP1_CHUNKED_EXTENSION:
        if (byte == '\r')
            c->state = HTTP1_CHUNKED_SIZE_LF;
        else if (((unsigned char)byte < 0x20 && byte != '\t') || byte == 0x7f)
            return (int)fail(c, "control byte in a chunk extension");
        return 0;
    case HTTP1_CHUNKED_SIZE_LF:
        if (byte != '\n')
            return (int)fail(c, "bad end of a chunk size line");
        c->state = c->left ? HTTP1_CHUNKED_DATA : HTTP1_CHUNKED_TRAILERS;
        return 0;
    case HTTP1_CHUNKED_DATA_CR:
        if (byte != '\r')
            return (int)fail(c, "chunk data longer than its size");
        c->state = HTTP1_CHUNKED_DATA_LF;
        return 0;
    case HTTP1_CHUNKED_DATA_LF:
        if (byte != '\n')
            return (int)fail(c, "bad end of chunk data");
        c->state = HTTP1_CHUNKED_SIZE;
        c->line = 0;
        return 0;
    case HTTP1_CHUNKED_DATA:
    case HTTP1_CHUNKED_TRAILERS:
    case HTTP1_CHUNKED_FAILED:
        break;
    }
    return (int)fail(c, "chunked body used after its end");
}

ssize_t http1_chunked_feed(struct http1_chunked *c, struct slice in, struct slice *ret_data)
{
    size_t at = 0;

    *ret_data = SLICE_NULL;
    if (c->state == HTTP1_CHUNKED_FAILED)
        return -400;
    while (at < in.len && c->state != HTTP1_CHUNKED_DATA && c->state != HTTP1_CHUNKED_TRAILERS) {
        if (c->state <= HTTP1_CHUNKED_EXTENSION && ++c->line > LIMIT_HTTP_CHUNK_LINE && !mutation("chunk-line-without-limit"))
            return fail(c, "chunk size line too long");
        if (take_byte(c, in.ptr[at++]) < 0)
            return -400;
    }
    if (c->state == HTTP1_CHUNKED_DATA && at < in.len) {
        size_t have = in.len - at, n = c->left < have ? (size_t)c->left : have;

        *ret_data = slice_of(in.ptr + at, n);
        c->left -= n;
        if (c->left == 0)
            c->state = HTTP1_CHUNKED_DATA_CR;
        at += n;
    }
    return (ssize_t)at;
}
