#include <assert.h>
#include <string.h>

#include "codec/h2/h2_parts.h"

/* What is known of each type before its payload: where it may stand, how long it is, who reads it when it is complete.
 */
static const struct frame_kind {
    enum { ANY_STREAM, ON_STREAM, ON_CONNECTION } where;
    uint32_t least, most;
    int (*read)(struct h2_conn *conn, struct slice payload);
} kinds[] = {
    [H2_FRAME_DATA] = {ON_STREAM, 0, UINT32_MAX, NULL},
    [H2_FRAME_HEADERS] = {ON_STREAM, 0, UINT32_MAX, h2_read_headers},
    [H2_FRAME_PRIORITY] = {ON_STREAM, 5, 5, h2_read_priority},
    [H2_FRAME_RST_STREAM] = {ON_STREAM, 4, 4, h2_read_rst},
    [H2_FRAME_SETTINGS] = {ON_CONNECTION, 0, UINT32_MAX, h2_read_settings},
    [H2_FRAME_PUSH_PROMISE] = {ON_STREAM, 0, UINT32_MAX, NULL},
    [H2_FRAME_PING] = {ON_CONNECTION, 8, 8, h2_read_ping},
    [H2_FRAME_GOAWAY] = {ON_CONNECTION, 8, UINT32_MAX, h2_read_goaway},
    [H2_FRAME_WINDOW_UPDATE] = {ANY_STREAM, 4, 4, h2_flow_window_update},
    [H2_FRAME_CONTINUATION] = {ON_STREAM, 0, UINT32_MAX, h2_read_continuation},
};

static int step_preface(struct h2_conn *conn, struct slice *bytes)
{
    struct slice rest = slice_skip(SLICE_LIT(H2_PREFACE), conn->have), part = slice_take(*bytes, rest.len);

    if (memcmp(rest.ptr, part.ptr, part.len) != 0)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "bad connection preface");
    *bytes = slice_skip(*bytes, part.len);
    conn->have += (uint8_t)part.len;
    if (part.len == rest.len) {
        conn->have = 0;
        conn->reading = H2_READ_HEADER;
    }
    return 0;
}

/* True when a whole header is in conn->frame. */
static bool gather_header(struct h2_conn *conn, struct slice *bytes)
{
    struct slice part;

    if (conn->have == 0 && bytes->len >= H2_FRAME_HEADER) {
        conn->frame = h2_frame_get(bytes->ptr);
        *bytes = slice_skip(*bytes, H2_FRAME_HEADER);
        return true;
    }
    part = slice_take(*bytes, (size_t)(H2_FRAME_HEADER - conn->have));
    memcpy(conn->header + conn->have, part.ptr, part.len);
    *bytes = slice_skip(*bytes, part.len);
    conn->have += (uint8_t)part.len;
    if (conn->have < H2_FRAME_HEADER)
        return false;
    conn->have = 0;
    conn->frame = h2_frame_get(conn->header);
    return true;
}

static int check_order(struct h2_conn *conn)
{
    const struct h2_frame *frame = &conn->frame;

    if (!conn->settings_seen && (frame->type != H2_FRAME_SETTINGS || frame->flags & H2_FLAG_ACK))
        return h2_fail(conn, H2_PROTOCOL_ERROR, "the first frame is not SETTINGS");
    if (conn->block_stream && (frame->type != H2_FRAME_CONTINUATION || frame->stream_id != conn->block_stream))
        return h2_fail(conn, H2_PROTOCOL_ERROR, "a header block was interrupted");
    if (!conn->block_stream && frame->type == H2_FRAME_CONTINUATION)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "CONTINUATION without HEADERS");
    if (frame->type == H2_FRAME_PUSH_PROMISE)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "PUSH_PROMISE");
    return 0;
}

static int check_kind(struct h2_conn *conn, const struct frame_kind *kind)
{
    const struct h2_frame *frame = &conn->frame;

    if (kind->where == ON_STREAM && frame->stream_id == 0)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "a stream's frame on stream 0");
    if (kind->where == ON_CONNECTION && frame->stream_id != 0)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "a connection's frame on a stream");
    if (frame->length < kind->least || frame->length > kind->most)
        return h2_fail(conn, H2_FRAME_SIZE_ERROR, "a frame of the wrong length");
    return 0;
}

static int skip(struct h2_conn *conn, uint32_t length)
{
    conn->left = length;
    conn->reading = length ? H2_READ_SKIP : H2_READ_HEADER;
    return 0;
}

/* --- DATA: passed on as it comes, RFC 9113 section 6.1 --- */

/* What forbids this DATA frame on its stream, or NULL. */
static const char *data_fault(const struct h2_conn *conn, const struct h2_stream *stream, bool fits,
                              enum h2_error *ret_code)
{
    *ret_code = H2_PROTOCOL_ERROR;
    if (stream->recv == H2_HALF_HEAD)
        return "DATA before the head";
    if (stream->recv == H2_HALF_ENDED) {
        *ret_code = H2_STREAM_CLOSED;
        return "DATA after the end";
    }
    if (!fits) {
        *ret_code = H2_FLOW_CONTROL_ERROR;
        return "more data than the stream's window";
    }
    return NULL;
}

/* What is wrong with the length of the body, or NULL. RFC 9113 section 8.1.1. */
static const char *length_fault(const struct h2_stream *stream, uint32_t length, bool end)
{
    if (stream->head_only && length)
        return "a body where none may be";
    if (stream->content_left >= 0 && length > stream->content_left)
        return "more data than content-length";
    if (end && stream->content_left >= 0 && length < stream->content_left)
        return "less data than content-length";
    return NULL;
}

/* The frame's padding is known: `length` bytes of data, then `pad`. */
static int data_begins(struct h2_conn *conn, uint32_t length)
{
    struct h2_stream *stream = conn->data_stream;
    bool end = conn->frame.flags & H2_FLAG_END_STREAM;
    const char *fault;

    conn->left = length;
    conn->reading = H2_READ_DATA;
    if (!stream)
        return 0;
    fault = length_fault(stream, length, end);
    if (fault)
        return h2_stream_fail(stream, H2_PROTOCOL_ERROR, fault); /* clears data_stream: the rest is nobody's */
    if (stream->content_left >= 0)
        stream->content_left -= length;
    if (length == 0 && !end)
        return h2_guard_frame(conn);
    h2_guard_credit(conn, 2);
    return 0;
}

static int begin_data(struct h2_conn *conn)
{
    const struct h2_frame *frame = &conn->frame;
    struct h2_stream *stream = h2_stream_find(conn, frame->stream_id);
    enum h2_error code;
    const char *fault;
    bool fits = true;
    int r = h2_flow_charge(conn, stream, frame->length, &fits);

    conn->data_stream = stream;
    conn->pad = 0;
    if (r == 0 && !stream)
        r = h2_read_late(conn, frame->stream_id);
    if (r < 0)
        return r;
    fault = stream ? data_fault(conn, stream, fits, &code) : NULL;
    if (fault)
        r = h2_stream_fail(stream, code, fault);
    if (r < 0)
        return r;
    if (!(frame->flags & H2_FLAG_PADDED))
        return data_begins(conn, frame->length);
    if (frame->length == 0)
        return h2_fail(conn, H2_FRAME_SIZE_ERROR, "padded DATA without its length of padding");
    conn->reading = H2_READ_PAD;
    return 0;
}

static int step_pad(struct h2_conn *conn, struct slice *bytes)
{
    uint32_t pad = (uint8_t)bytes->ptr[0], rest = conn->frame.length - 1;
    int r;

    *bytes = slice_skip(*bytes, 1);
    if (pad > rest)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "more padding than frame");
    conn->pad = pad;
    r = h2_flow_credit(conn, conn->data_stream, pad + 1);
    return r < 0 ? r : data_begins(conn, rest - pad);
}

static int step_data(struct h2_conn *conn, struct slice *bytes)
{
    struct slice part = slice_take(*bytes, conn->left);
    struct h2_stream *stream = conn->data_stream;
    bool last = part.len == conn->left, end = last && conn->frame.flags & H2_FLAG_END_STREAM;

    *bytes = slice_skip(*bytes, part.len);
    conn->left -= (uint32_t)part.len;
    if (last)
        skip(conn, conn->pad);
    if (!stream)
        return h2_flow_credit(conn, NULL, (uint32_t)part.len);
    if (!part.len && !end)
        return 0;
    stream->held += (uint32_t)part.len;
    if (end)
        h2_stream_end_recv(stream);
    conn->events->on_data(stream, part, end);
    return conn->failed;
}

/* --- frames --- */

static int read_payload(struct h2_conn *conn, struct slice payload)
{
    conn->reading = H2_READ_HEADER;
    return kinds[conn->frame.type].read(conn, payload);
}

static int step_payload(struct h2_conn *conn, struct slice *bytes)
{
    struct slice part = slice_take(*bytes, conn->left);
    int r;

    *bytes = slice_skip(*bytes, part.len);
    if (!conn->partial.len && part.len == conn->frame.length)
        return read_payload(conn, part);
    if (buffer_add(&conn->partial, part) < 0)
        return h2_fail_memory(conn);
    conn->left -= (uint32_t)part.len;
    if (conn->left)
        return 0;
    r = read_payload(conn, buffer_slice(&conn->partial));
    buffer_release(&conn->partial);
    return r;
}

static int begin_frame(struct h2_conn *conn)
{
    const struct h2_frame *frame = &conn->frame;
    int r = check_order(conn);

    if (r < 0)
        return r;
    if (frame->length > h2_or(conn->config->max_frame, LIMIT_H2_FRAME))
        return h2_fail(conn, H2_FRAME_SIZE_ERROR, "a frame longer than SETTINGS_MAX_FRAME_SIZE");
    if (frame->type >= sizeof(kinds) / sizeof(kinds[0])) {
        r = h2_guard_frame(conn); /* unknown types are ignored, RFC 9113 section 5.5 */
        return r < 0 ? r : skip(conn, frame->length);
    }
    r = check_kind(conn, &kinds[frame->type]);
    if (r < 0)
        return r;
    if (frame->type == H2_FRAME_DATA)
        return begin_data(conn);
    conn->left = frame->length;
    conn->reading = H2_READ_PAYLOAD;
    return 0;
}

static int step_header(struct h2_conn *conn, struct slice *bytes)
{
    return gather_header(conn, bytes) ? begin_frame(conn) : 0;
}

static int step_skip(struct h2_conn *conn, struct slice *bytes)
{
    size_t part = conn->left < bytes->len ? conn->left : bytes->len;

    *bytes = slice_skip(*bytes, part);
    return skip(conn, conn->left - (uint32_t)part);
}

/* Payloads of no bytes are read without waiting for more. */
static bool can_step(const struct h2_conn *conn, struct slice bytes)
{
    return bytes.len || ((conn->reading == H2_READ_PAYLOAD || conn->reading == H2_READ_DATA) && conn->left == 0);
}

static int read_all(struct h2_conn *conn, struct slice bytes)
{
    static int (*const steps[])(struct h2_conn * conn, struct slice * bytes) = {
        [H2_READ_PREFACE] = step_preface, [H2_READ_HEADER] = step_header, [H2_READ_PAYLOAD] = step_payload,
        [H2_READ_PAD] = step_pad,         [H2_READ_DATA] = step_data,     [H2_READ_SKIP] = step_skip,
    };

    while (can_step(conn, bytes)) {
        int r = steps[conn->reading](conn, &bytes);

        if (r < 0)
            return r;
        if (conn->failed)
            return conn->failed;
    }
    return 0;
}

int h2_input(struct h2_conn *conn, struct slice bytes, int64_t now_ns)
{
    if (conn->failed)
        return conn->failed;
    conn->now_ns = now_ns;
    h2_enter(conn);
    read_all(conn, bytes);
    h2_leave(conn);
    return conn->failed;
}
