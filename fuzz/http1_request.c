/*
 * Requests: the parser is total, agrees with itself however the bytes come in
 * pieces, and what it accepts is written back as bytes that mean the same.
 */
#include <assert.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/http1/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_field fields[LIMIT_HTTP_FIELDS], fields_again[LIMIT_HTTP_FIELDS];

static ssize_t parse(struct slice bytes, struct http1_scan *scan, struct http_head *head, struct http1_framing *framing,
                     struct http_field *room)
{
    *head = (struct http_head){.fields = room, .room = LIMIT_HTTP_FIELDS};
    return http1_parse_request(bytes, scan, head, framing);
}

/* `step` bytes more each time, the last piece whatever remains. */
static void check_pieces(struct slice bytes, size_t step, ssize_t whole)
{
    struct http1_scan scan = {0};
    struct http1_framing framing;
    struct http_head head;
    ssize_t n = 0;
    size_t len = 0;

    while (n == 0 && len < bytes.len) {
        len = len + step < bytes.len ? len + step : bytes.len;
        n = parse(slice_take(bytes, len), &scan, &head, &framing, fields_again);
    }
    assert(whole > 0 ? n == whole : n <= 0);
    assert(n >= 0 || scan.refusal);
}

static void check_same(const struct http_head *a, const struct http_head *b)
{
    assert(slice_eq(a->method, b->method) && slice_eq(a->path, b->path) && slice_eq(a->scheme, b->scheme));
    assert(slice_eq(a->authority, b->authority) && a->version == b->version && a->absolute_form == b->absolute_form);
}

static void check_rewrite(struct http_head *head, const struct http1_framing *framing)
{
    static char bytes[8 * LIMIT_BUFFER_PAGE];
    struct http1_framing again;
    struct http1_scan scan = {0};
    struct http_head back;
    struct page_pool pool;
    struct chain chain;
    size_t len;

    page_pool_init(&pool, 0, 16);
    chain_init(&chain, &pool);
    http1_strip_hop(head, framing->upgrade);
    assert(http1_write_request(&chain, head, framing) == 0);
    len = chain_copy(&chain, bytes, sizeof(bytes));
    assert(len == chain.len);
    chain_clear(&chain);
    page_pool_release(&pool);
    assert(parse(slice_of(bytes, len), &scan, &back, &again, fields_again) == (ssize_t)len);
    check_same(head, &back);
    /* No body may come back as a length of 0. */
    assert(again.body == framing->body || (framing->body == HTTP1_BODY_NONE && again.length == 0));
    assert(again.length == framing->length && again.keep_alive == framing->keep_alive);
    assert(again.upgrade == framing->upgrade && again.te_trailers == framing->te_trailers);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice bytes = slice_of(data, size);
    struct http1_framing framing;
    struct http1_scan scan = {0};
    struct http_head head;
    ssize_t whole = parse(bytes, &scan, &head, &framing, fields);

    assert(whole <= (ssize_t)size);
    check_pieces(bytes, 1 + size / 64, whole);
    check_pieces(bytes, 1 + size / 3, whole);
    /* A head close to the limits may grow beyond them by what we write. */
    if (whole > 0 && whole < LIMIT_HTTP_START_LINE / 2 && head.count + 8 < LIMIT_HTTP_FIELDS)
        check_rewrite(&head, &framing);
    return 0;
}
