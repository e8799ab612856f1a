#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/h2/h2_parts.h"

char *h2_room(struct h2_conn *conn, size_t least, size_t *ret_len)
{
    char *room = chain_room(conn->out, least, ret_len);

    if (!room)
        h2_fail_memory(conn);
    return room;
}

void h2_grew(struct h2_conn *conn, size_t written)
{
    chain_grew(conn->out, written);
    conn->out_total += written;
}

int h2_put(struct h2_conn *conn, enum h2_frame_type type, uint8_t flags, uint32_t id, struct slice payload)
{
    size_t room;
    char *to = h2_room(conn, H2_FRAME_HEADER + payload.len, &room);

    assert(payload.len <= 64);
    if (!to)
        return conn->failed;
    h2_frame_set(to, (struct h2_frame){(uint32_t)payload.len, id, (uint8_t)type, flags});
    if (payload.len)
        memcpy(to + H2_FRAME_HEADER, payload.ptr, payload.len);
    h2_grew(conn, H2_FRAME_HEADER + payload.len);
    return 0;
}

int h2_put_reply(struct h2_conn *conn, enum h2_frame_type type, uint8_t flags, uint32_t id, struct slice payload)
{
    int r = h2_guard_reply(conn, H2_FRAME_HEADER + payload.len);

    return r < 0 ? r : h2_put(conn, type, flags, id, payload);
}

int h2_put_rst(struct h2_conn *conn, uint32_t id, uint32_t code)
{
    uint8_t payload[4];

    h2_set_u32(payload, code);
    return h2_put_reply(conn, H2_FRAME_RST_STREAM, 0, id, slice_of(payload, sizeof(payload)));
}

int h2_put_window(struct h2_conn *conn, uint32_t id, uint32_t more)
{
    uint8_t payload[4];

    assert(more > 0 && more <= H2_WINDOW_MAX);
    h2_set_u32(payload, more);
    return h2_put(conn, H2_FRAME_WINDOW_UPDATE, 0, id, slice_of(payload, sizeof(payload)));
}

/* The usual way: the block fits a page with its frame's header in front, and is compressed where it will stand. */
static int put_block_in_place(struct h2_conn *conn, uint32_t id, uint8_t flags,
                              const struct hpack_field *fields, size_t count, size_t bound)
{
    size_t room;
    char *to = h2_room(conn, H2_FRAME_HEADER + bound, &room);
    size_t len;

    if (!to)
        return conn->failed;
    len = hpack_encode(&conn->encoder, fields, count, to + H2_FRAME_HEADER);
    h2_frame_set(to, (struct h2_frame){(uint32_t)len, id, H2_FRAME_HEADERS, flags | H2_FLAG_END_HEADERS});
    h2_grew(conn, H2_FRAME_HEADER + len);
    return 0;
}

/* Cuts a block into frames as large as the peer takes. */
static int put_block_frames(struct h2_conn *conn, uint32_t id, uint8_t flags, struct slice block)
{
    uint8_t type = H2_FRAME_HEADERS;

    do {
        struct slice part = slice_take(block, conn->peer.max_frame);
        char header[H2_FRAME_HEADER];

        block = slice_skip(block, part.len);
        if (!block.len)
            flags |= H2_FLAG_END_HEADERS;
        h2_frame_set(header, (struct h2_frame){(uint32_t)part.len, id, type, flags});
        if (chain_add(conn->out, slice_of(header, sizeof(header))) < 0 || chain_add(conn->out, part) < 0)
            return h2_fail_memory(conn);
        conn->out_total += sizeof(header) + part.len;
        type = H2_FRAME_CONTINUATION;
        flags = 0;
    } while (block.len);
    return 0;
}

/* A block that may not fit a page is compressed beside it. */
static int put_block_large(struct h2_conn *conn, uint32_t id, uint8_t flags,
                           const struct hpack_field *fields, size_t count, size_t bound)
{
    char *block = malloc(bound);
    int r;

    if (!block)
        return -ENOMEM; /* nothing has happened yet */
    r = put_block_frames(conn, id, flags, slice_of(block, hpack_encode(&conn->encoder, fields, count, block)));
    free(block);
    return r;
}

static size_t list_size(const struct hpack_field *fields, size_t count)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++)
        size += fields[i].name.len + fields[i].value.len + 32;
    return size;
}

int h2_put_headers(struct h2_conn *conn, uint32_t id, bool end, const struct hpack_field *fields, size_t count)
{
    uint8_t flags = end ? H2_FLAG_END_STREAM : 0;
    size_t bound;

    if (conn->failed)
        return conn->failed;
    if (list_size(fields, count) > conn->peer.max_header_list)
        return -EMSGSIZE;
    bound = hpack_bound(fields, count);
    if (H2_FRAME_HEADER + bound <= LIMIT_BUFFER_PAGE)
        return put_block_in_place(conn, id, flags, fields, count, bound);
    return put_block_large(conn, id, flags, fields, count, bound);
}
