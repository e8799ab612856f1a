/*
 * The 9 bytes in front of every HTTP/2 frame and the numbers in it, RFC 9113
 * sections 4.1, 6 and 6.5.2.
 *
 *     +-----------------------------------------------+
 *     |                 Length (24)                   |
 *     +---------------+---------------+---------------+
 *     |   Type (8)    |   Flags (8)   |
 *     +-+-------------+---------------+-------------------------------+
 *     |R|                 Stream Identifier (31)                      |
 *     +=+=============================================================+
 */
#pragma once

#include <stdint.h>

#include "codec/h2/h2.h"

enum { H2_FRAME_HEADER = 9, H2_WINDOW_MAX = 0x7fffffff, H2_ID_MAX = 0x7fffffff, H2_WINDOW_DEFAULT = 65535 };

enum h2_frame_type {
    H2_FRAME_DATA = 0x0,
    H2_FRAME_HEADERS = 0x1,
    H2_FRAME_PRIORITY = 0x2,
    H2_FRAME_RST_STREAM = 0x3,
    H2_FRAME_SETTINGS = 0x4,
    H2_FRAME_PUSH_PROMISE = 0x5,
    H2_FRAME_PING = 0x6,
    H2_FRAME_GOAWAY = 0x7,
    H2_FRAME_WINDOW_UPDATE = 0x8,
    H2_FRAME_CONTINUATION = 0x9
};

enum h2_flag {
    H2_FLAG_ACK = 0x1,
    H2_FLAG_END_STREAM = 0x1,
    H2_FLAG_END_HEADERS = 0x4,
    H2_FLAG_PADDED = 0x8,
    H2_FLAG_PRIORITY = 0x20
};

enum h2_setting {
    H2_SETTING_HEADER_TABLE_SIZE = 0x1,
    H2_SETTING_ENABLE_PUSH = 0x2,
    H2_SETTING_MAX_CONCURRENT_STREAMS = 0x3,
    H2_SETTING_INITIAL_WINDOW_SIZE = 0x4,
    H2_SETTING_MAX_FRAME_SIZE = 0x5,
    H2_SETTING_MAX_HEADER_LIST_SIZE = 0x6,
    H2_SETTING_ENABLE_CONNECT_PROTOCOL = 0x8 /* RFC 8441 */
};

#define H2_PREFACE "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"

static inline uint32_t h2_get_u16(const void *from)
{
    const uint8_t *b = from;

    return (uint32_t)b[0] << 8 | b[1];
}

static inline uint32_t h2_get_u32(const void *from)
{
    const uint8_t *b = from;

    return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 | (uint32_t)b[2] << 8 | b[3];
}

static inline void h2_set_u16(void *to, uint32_t value)
{
    uint8_t *b = to;

    b[0] = (uint8_t)(value >> 8);
    b[1] = (uint8_t)value;
}

static inline void h2_set_u32(void *to, uint32_t value)
{
    h2_set_u16(to, value >> 16);
    h2_set_u16((uint8_t *)to + 2, value);
}

static inline struct h2_frame h2_frame_get(const void *from)
{
    const uint8_t *b = from;

    return (struct h2_frame){.length = (uint32_t)b[0] << 16 | (uint32_t)b[1] << 8 | b[2],
                             .type = b[3],
                             .flags = b[4],
                             .stream_id = h2_get_u32(b + 5) & H2_ID_MAX};
}

/* Writes H2_FRAME_HEADER bytes. */
static inline void h2_frame_set(void *to, struct h2_frame frame)
{
    uint8_t *b = to;

    b[0] = (uint8_t)(frame.length >> 16);
    b[1] = (uint8_t)(frame.length >> 8);
    b[2] = (uint8_t)frame.length;
    b[3] = frame.type;
    b[4] = frame.flags;
    h2_set_u32(b + 5, frame.stream_id);
}
