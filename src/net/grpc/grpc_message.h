/*
 * The length-prefixed messages of gRPC (PROTOCOL-HTTP2, "Length-Prefixed-Message")
 * and the texts of its fields: shared by grpc_client.c and grpc_server.c, not
 * for others. Bytes in, messages out; no stream, no clock.
 *
 *     prefix: 1 byte compressed flag, 4 bytes length (big endian), then the message
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"

enum { GRPC_PREFIX = 5 };

struct grpc_reader {
    struct buffer message;       /* what came of a message that is not whole yet; empty between messages */
    uint8_t prefix[GRPC_PREFIX];
    unsigned prefix_len;
};

void grpc_reader_init(struct grpc_reader *reader);
void grpc_reader_release(struct grpc_reader *reader);
/* True between messages. */
bool grpc_reader_is_idle(const struct grpc_reader *reader);
/*
 * Takes bytes off the front of *bytes. 1: *ret_message is whole, valid until the next call and as long as the
 * bytes; 0: all bytes were taken, more are needed; -EMSGSIZE above LIMIT_GRPC_MESSAGE; -EOPNOTSUPP when
 * compressed; -EPROTO for a bad flag; -ENOMEM.
 */
int grpc_read(struct grpc_reader *reader, struct slice *bytes, struct slice *ret_message);
/* Gives back the memory of a message that came in pieces, once it was used. Does nothing inside one. */
void grpc_reader_trim(struct grpc_reader *reader);
void grpc_write_prefix(uint8_t prefix[GRPC_PREFIX], size_t message_len);

/* grpc-message: percent-encoded UTF-8 (spaces and printable ASCII but % stand as they are). .ptr NULL without memory. */
struct slice grpc_text_encode(struct arena *arena, struct slice text);
/* Bad escapes stay as they are. .ptr NULL without memory. */
struct slice grpc_text_decode(struct arena *arena, struct slice text);

enum { GRPC_TIMEOUT_TEXT = 16 };
/* grpc-timeout of a span > 0, rounded up to what its eight digits can say. */
struct slice grpc_timeout_format(int64_t ns, char out[GRPC_TIMEOUT_TEXT]);
/* 0 or -EINVAL; spans too long for nanoseconds become INT64_MAX. */
int grpc_timeout_parse(struct slice text, int64_t *ret_ns);

/* What a call ends with when all there is is an HTTP status, or an RST_STREAM code. */
int grpc_status_of_http(unsigned http_status);
int grpc_status_of_reset(uint32_t h2_code);
