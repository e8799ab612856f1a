/*
 * Responses, as answers to any kind of request (the first byte says to which):
 * the parser is total, agrees with itself in pieces, and what it accepts is
 * written back as bytes that mean the same.
 */
#include <assert.h>

#include "base/limits.h"
#include "codec/http1/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct http_field fields[LIMIT_HTTP_FIELDS], fields_again[LIMIT_HTTP_FIELDS];

static ssize_t parse(struct slice bytes, unsigned asked, struct http1_scan *scan, struct http_head *head,
                     struct http1_framing *framing, struct http_field *room)
{
    *head = (struct http_head){.fields = room, .room = LIMIT_HTTP_FIELDS};
    return http1_parse_response(bytes, asked, scan, head, framing);
}

static void check_pieces(struct slice bytes, unsigned asked, size_t step, ssize_t whole)
{
    struct http1_scan scan = {0};
    struct http1_framing framing;
    struct http_head head;
    ssize_t n = 0;
    size_t len = 0;

    while (n == 0 && len < bytes.len) {
        len = len + step < bytes.len ? len + step : bytes.len;
        n = parse(slice_take(bytes, len), asked, &scan, &head, &framing, fields_again);
    }
    assert(whole > 0 ? n == whole : n <= 0);
    assert(n >= 0 || (n == -502 && scan.refusal));
}

static void check_rewrite(struct http_head *head, const struct http1_framing *framing, unsigned asked)
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
    assert(http1_write_response(&chain, head, framing) == 0);
    len = chain_copy(&chain, bytes, sizeof(bytes));
    chain_clear(&chain);
    page_pool_release(&pool);
    assert(parse(slice_of(bytes, len), asked, &scan, &back, &again, fields_again) == (ssize_t)len);
    assert(back.status == head->status && again.body == framing->body && again.length == framing->length);
    assert(again.keep_alive == framing->keep_alive && again.interim == framing->interim);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct http1_framing framing;
    struct http1_scan scan = {0};
    struct http_head head;
    struct slice bytes;
    unsigned asked;
    ssize_t whole;

    if (size == 0)
        return 0;
    asked = data[0] & 7;
    bytes = slice_of(data + 1, size - 1);
    whole = parse(bytes, asked, &scan, &head, &framing, fields);
    assert(whole <= (ssize_t)bytes.len);
    check_pieces(bytes, asked, 1 + size / 64, whole);
    check_pieces(bytes, asked, 1 + size / 3, whole);
    if (whole > 0 && whole < LIMIT_HTTP_START_LINE / 2 && head.count + 8 < LIMIT_HTTP_FIELDS)
        check_rewrite(&head, &framing, asked);
    return 0;
}
