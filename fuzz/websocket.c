/* WebSocket frames: whole and byte by byte give the same events and the same verdict, and every byte is accounted for. */
#include <assert.h>
#include <stdlib.h>

#include "codec/websocket.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct told {
    char *data; /* of messages, with a byte where each begins and ends */
    size_t len;
    unsigned controls;
    size_t control_bytes;
    bool refused;
};

static struct told read_all(struct slice in, size_t step)
{
    struct websocket_reader reader = {0};
    struct told told = {.data = malloc(3 * in.len + 1)};

    assert(told.data);
    while (in.len && !told.refused) {
        struct websocket_event event;
        ssize_t n = websocket_feed(&reader, slice_take(in, step), &event);

        assert(n != 0 && n <= (ssize_t)in.len);
        told.refused = n < 0;
        in = slice_skip(in, n < 0 ? in.len : (size_t)n);
        if (event.kind == WEBSOCKET_CONTROL) {
            assert(event.bytes.len <= WEBSOCKET_CONTROL_MAX);
            told.controls++;
            told.control_bytes += event.bytes.len;
        } else if (event.kind == WEBSOCKET_DATA) {
            if (event.begins)
                told.data[told.len++] = '[';
            if (event.bytes.len)
                memcpy(told.data + told.len, event.bytes.ptr, event.bytes.len);
            told.len += event.bytes.len;
            if (event.ends)
                told.data[told.len++] = ']';
        }
    }
    assert(!told.refused || reader.refusal);
    return told;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice in = slice_of(data, size);
    struct told whole = read_all(in, size ? size : 1), bytewise = read_all(in, 1);

    assert(whole.refused == bytewise.refused && whole.controls == bytewise.controls && whole.control_bytes == bytewise.control_bytes);
    assert(whole.len == bytewise.len && (whole.len == 0 || memcmp(whole.data, bytewise.data, whole.len) == 0));
    free(whole.data);
    free(bytewise.data);
    return 0;
}
