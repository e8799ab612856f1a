/*
 * Detection: total, bounded, the same answer in pieces; and what the HTTP/1
 * parser would take for a request is never carried as opaque bytes.
 */
#include <assert.h>

#include "base/limits.h"
#include "codec/detect.h"
#include "codec/http1/http1.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct http_field fields[LIMIT_HTTP_FIELDS];
    struct http_head head = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
    struct slice bytes = slice_of(data, size);
    struct http1_framing framing;
    struct http1_scan scan = {0};
    size_t seen = 0, seen_pieces = 0, len = 0, step = 1 + size / 200;
    enum detected whole = detect_http(bytes, &seen), pieces = DETECT_MORE;

    assert(whole != DETECT_MORE || size < LIMIT_HTTP_START_LINE);
    while (pieces == DETECT_MORE && len < size) {
        len = len + step < size ? len + step : size;
        pieces = detect_http(slice_take(bytes, len), &seen_pieces);
    }
    assert(pieces == whole);
    if (http1_parse_request(bytes, &scan, &head, &framing) > 0)
        assert(whole == DETECT_HTTP1);
    return 0;
}
