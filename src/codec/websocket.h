/*
 * WebSocket frames (RFC 6455) as a client reads and writes them: an engine that
 * owns no socket and takes no memory. Data is passed on as it comes, however
 * long its message is; control frames are collected, 125 bytes at most.
 *
 *     struct websocket_reader reader = {0};
 *     while (in.len) {
 *         n = websocket_feed(&reader, in, &event);      took n bytes; event.kind may be WEBSOCKET_MORE
 *         in = slice_skip(in, n);
 *     }
 *
 * Refused (-EPROTO, reader.refusal says why): masked frames, which no server sends; reserved bits and opcodes; control frames that
 * are long or in pieces; lengths not in their shortest form; a message inside a message. No extension is spoken.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

enum websocket_opcode {
    WEBSOCKET_CONTINUATION = 0,
    WEBSOCKET_TEXT = 1,
    WEBSOCKET_BINARY = 2,
    WEBSOCKET_CLOSE = 8,
    WEBSOCKET_PING = 9,
    WEBSOCKET_PONG = 10,
};

enum { WEBSOCKET_CONTROL_MAX = 125, WEBSOCKET_HEADER_MAX = 14 };

struct websocket_reader {
    uint8_t state;  /* enum in websocket.c */
    uint8_t opcode; /* of the frame */
    bool final;
    bool in_message, begun; /* a message goes on; some of it was told */
    uint8_t held;           /* bytes in `bytes`: of the header, or of a control frame */
    uint64_t left;          /* bytes of the frame to come */
    char bytes[WEBSOCKET_CONTROL_MAX];
    const char *refusal;
};

enum websocket_kind {
    WEBSOCKET_MORE,   /* nothing to tell yet */
    WEBSOCKET_DATA,   /* bytes of a message, a slice of what was fed; perhaps none when it begins or ends */
    WEBSOCKET_CONTROL /* a whole ping, pong or close: opcode and bytes, which live in the reader */
};

struct websocket_event {
    enum websocket_kind kind;
    uint8_t opcode;
    bool begins, ends; /* DATA: the first, the last bytes of their message */
    struct slice bytes;
};

/* How many bytes of `in` it took, at least one of a slice that is not empty; or -EPROTO. */
ssize_t websocket_feed(struct websocket_reader *reader, struct slice in, struct websocket_event *ret_event);

/* The header of a whole masked message or control frame; how many bytes. The payload follows, masked. */
size_t websocket_header(uint8_t opcode, uint64_t len, const uint8_t mask[4], char out[WEBSOCKET_HEADER_MAX]);
/* In place; `offset` of these bytes in the payload. */
void websocket_mask(const uint8_t mask[4], uint64_t offset, char *bytes, size_t len);
