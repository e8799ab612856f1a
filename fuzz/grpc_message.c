/*
 * gRPC's framing and the texts of its fields (net/grpc/grpc_message.h). The first byte says in how big pieces the rest comes:
 * the messages are the same as from one piece, and together with their prefixes they are the bytes that came.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "net/grpc/grpc_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads all in pieces; the messages with their prefixes are compared with the input. Returns the first error, or 0. */
static int read_all(struct slice input, size_t piece, unsigned *ret_count, size_t *ret_taken)
{
    struct grpc_reader reader;
    struct slice message;
    size_t taken = 0, at = 0;
    unsigned count = 0;
    int r = 0;

    grpc_reader_init(&reader);
    while (r == 0 && at < input.len) {
        struct slice bytes = slice_take(slice_skip(input, at), piece);

        at += bytes.len;
        while ((r = grpc_read(&reader, &bytes, &message)) == 1) {
            uint8_t prefix[GRPC_PREFIX];

            grpc_write_prefix(prefix, message.len);
            assert(memcmp(input.ptr + taken, prefix, GRPC_PREFIX) == 0);
            assert(slice_eq(slice_take(slice_skip(input, taken + GRPC_PREFIX), message.len), message));
            taken += GRPC_PREFIX + message.len;
            count++;
        }
        assert(r < 0 || bytes.len == 0);
        assert(reader.message.len <= LIMIT_GRPC_MESSAGE);
    }
    assert(r < 0 || grpc_reader_is_idle(&reader) == (taken == input.len));
    grpc_reader_trim(&reader);
    grpc_reader_release(&reader);
    *ret_count = count;
    *ret_taken = taken;
    return r;
}

static void check_text(struct slice text)
{
    struct arena arena;
    struct slice encoded, decoded;
    int64_t ns;

    arena_init(&arena, 1 << 20);
    encoded = grpc_text_encode(&arena, text);
    if (encoded.ptr) {
        decoded = grpc_text_decode(&arena, encoded);
        assert(!decoded.ptr || slice_eq(decoded, text));
    }
    grpc_text_decode(&arena, text);
    if (grpc_timeout_parse(text, &ns) == 0)
        assert(ns >= 0);
    arena_release(&arena);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct slice input;
    unsigned whole, pieces;
    size_t taken, taken_pieces;

    if (size < 2)
        return 0;
    input = slice_skip(slice_of(data, size), 1);
    int r = read_all(input, input.len, &whole, &taken);
    assert(read_all(input, 1 + data[0] % 64, &pieces, &taken_pieces) == r);
    assert(whole == pieces && taken == taken_pieces);
    if (input.len < 4096)
        check_text(input);
    return 0;
}
