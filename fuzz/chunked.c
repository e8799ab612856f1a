/*
 * Chunked bodies with their trailers: whole and byte by byte give the same data
 * and the same verdict; what was decoded can be written as chunks again.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/http1/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct decoded {
    char *data;
    size_t len;
    size_t used; /* bytes before the trailer section */
    ssize_t r;   /* negative: refused */
    bool done;   /* came to the trailers */
};

static struct decoded decode(struct slice in, size_t step)
{
    struct http1_chunked chunked = {0};
    struct decoded out = {.data = malloc(in.len + 1)};

    assert(out.data);
    while (out.used < in.len && chunked.state != HTTP1_CHUNKED_TRAILERS) {
        struct slice data;

        out.r = http1_chunked_feed(&chunked, slice_take(slice_skip(in, out.used), step), &data);
        assert(out.r != 0);
        if (out.r < 0) {
            assert(chunked.refusal);
            return out;
        }
        if (data.len)
            memcpy(out.data + out.len, data.ptr, data.len);
        out.len += data.len;
        out.used += (size_t)out.r;
        assert(out.used <= in.len && out.len <= out.used);
    }
    out.done = chunked.state == HTTP1_CHUNKED_TRAILERS;
    return out;
}

static void check_trailers(struct slice in)
{
    struct http_field fields[LIMIT_HTTP_FIELDS];
    struct http_head head = {.fields = fields, .room = LIMIT_HTTP_FIELDS}, again = head;
    struct http1_scan scan = {0}, scan_again = {0};
    ssize_t whole = http1_parse_trailers(in, &scan, &head), n = 0;

    assert(whole <= (ssize_t)in.len);
    for (unsigned i = 0; whole > 0 && i < head.count; i++)
        assert(head.fields[i].name.len > 0);
    for (size_t len = 1; n == 0 && len <= in.len; len++)
        n = http1_parse_trailers(slice_take(in, len), &scan_again, &again);
    assert(whole > 0 ? n == whole : n <= 0);
}

static void check_rewrite(const struct decoded *whole)
{
    static char bytes[4 * LIMIT_BUFFER_PAGE];
    struct page_pool pool;
    struct chain chain;
    struct decoded again;
    size_t len;

    page_pool_init(&pool, 0, 16);
    chain_init(&chain, &pool);
    assert(http1_write_chunk(&chain, slice_of(whole->data, whole->len)) == 0);
    assert(http1_write_last_chunk(&chain, NULL, 0) == 0);
    len = chain_copy(&chain, bytes, sizeof(bytes));
    chain_clear(&chain);
    page_pool_release(&pool);
    again = decode(slice_of(bytes, len), len);
    assert(again.done && again.used == len - 2 && again.len == whole->len);
    assert(memcmp(again.data, whole->data, again.len) == 0);
    free(again.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct decoded whole = decode(in, size ? size : 1), bytewise = decode(in, 1);

    assert((whole.r < 0) == (bytewise.r < 0) && whole.done == bytewise.done);
    if (whole.r >= 0) {
        assert(whole.len == bytewise.len && whole.used == bytewise.used);
        assert(memcmp(whole.data, bytewise.data, whole.len) == 0);
    }
    if (whole.done && size < 2000)
        check_trailers(slice_skip(in, whole.used));
    if (whole.done && whole.len < 2 * LIMIT_BUFFER_PAGE)
        check_rewrite(&whole);
    free(whole.data);
    free(bytewise.data);
    return 0;
}
