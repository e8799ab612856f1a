#include <errno.h>
#include <string.h>

#include "base/mutation.h"
#include "codec/h2/h2_parts.h"

/* Reads a block only to keep the HPACK state: nothing of it is kept. */
static int skip_block(struct h2_conn *conn, struct slice block)
{
    struct h2_head_result result;

    return h2_head_read(conn, block, H2_HEAD_SKIP, NULL, &result);
}

int h2_read_late(struct h2_conn *conn, uint32_t id)
{
    bool headers = conn->frame.type != H2_FRAME_DATA;

    if (h2_is_idle(conn, id))
        return h2_fail(conn, H2_PROTOCOL_ERROR, headers ? "HEADERS on an idle stream" : "DATA on an idle stream");
    if (h2_was_reset(conn, id) || id > conn->goaway_id)
        return h2_guard_frame(conn);
    /* An id below the highest that was never used itself is closed as well, but the RFC (5.1.1) has another code for
     * it. */
    if (headers && !h2_was_ended(conn, id))
        return h2_fail(conn, H2_PROTOCOL_ERROR, "HEADERS on a stream below the newest");
    return h2_fail(conn, H2_STREAM_CLOSED, headers ? "HEADERS on a closed stream" : "DATA on a closed stream");
}

/* The stream's own answer, then the stream is over. */
static int refuse_large(struct h2_stream *stream, unsigned status, bool end)
{
    static const char detail[] = "the head is larger than our limit";
    struct h2_conn *conn = stream->conn;
    int r;

    if (conn->role == H2_CLIENT || stream->send != H2_HALF_HEAD)
        return h2_stream_fail(stream, H2_ENHANCE_YOUR_CALM, detail);
    r = h2_put_refusal(conn, stream->id, status);
    if (r == 0)
        r = h2_guard_frame(conn);
    if (r < 0)
        return r;
    if (end)
        h2_stream_lost(stream, (struct h2_reset_info){H2_BY_US, H2_NO_ERROR, detail});
    else
        r = h2_stream_abandon(stream, H2_NO_ERROR, detail);
    if (conn->events->on_refused)
        conn->events->on_refused(conn, status, H2_NO_ERROR, detail);
    return r < 0 ? r : conn->failed;
}

/* Ends the stream unless its head is good. True when it is; then, and only then, *ret_r is not set. */
static bool head_is_good(struct h2_stream *stream, const struct h2_head_result *result, bool end, int *ret_r)
{
    if (result->head)
        return true;
    if (result->malformed)
        *ret_r = h2_stream_fail(stream, H2_PROTOCOL_ERROR, result->malformed);
    else if (result->too_large)
        *ret_r = refuse_large(stream, result->too_large, end);
    else
        *ret_r = h2_stream_abandon(stream, stream->recv == H2_HALF_HEAD ? H2_REFUSED_STREAM : H2_INTERNAL_ERROR,
                                   "no memory for the head");
    return false;
}

/* The head is complete and good: the body begins, or there is none. */
static int head_done(struct h2_stream *stream, struct http_head *head, bool end)
{
    struct h2_conn *conn = stream->conn;

    stream->recv = H2_HALF_BODY;
    if (end && stream->content_left > 0)
        return h2_stream_fail(stream, H2_PROTOCOL_ERROR, "less data than content-length");
    if (end)
        h2_stream_end_recv(stream);
    conn->events->on_head(stream, head, end);
    return conn->failed;
}

/* --- server: a request --- */

/* A stream for the request that begins, known to the owner; NULL: it was refused, and *ret_r says how that went. */
static struct h2_stream *announce(struct h2_conn *conn, uint32_t id, struct arena **ret_arena, int *ret_r)
{
    struct h2_stream *stream = NULL;

    if (conn->peer_streams < h2_or(conn->config->max_streams, LIMIT_H2_STREAMS))
        stream = h2_stream_open(conn, id);
    if (stream) {
        *ret_arena = conn->events->head_arena(stream);
        if (*ret_arena) {
            stream->announced = true;
            return stream;
        }
        h2_stream_close(stream);
    }
    *ret_r = h2_refuse(conn, id, H2_REFUSED_STREAM);
    return NULL;
}

static int read_request(struct h2_conn *conn, uint32_t id, bool end, const char *fault, struct slice block)
{
    struct h2_head_result result;
    struct h2_stream *stream;
    struct arena *arena;
    int r = 0;

    conn->last_peer_id = id;
    if (id > conn->goaway_id) {
        r = h2_guard_frame(conn);
        return r < 0 ? r : skip_block(conn, block);
    }
    stream = announce(conn, id, &arena, &r);
    if (!stream)
        return r < 0 ? r : skip_block(conn, block);
    h2_guard_credit(conn, 4);
    r = h2_head_read(conn, block, H2_HEAD_REQUEST, arena, &result);
    if (r < 0)
        return r;
    if (fault)
        return h2_stream_fail(stream, H2_PROTOCOL_ERROR, fault);
    if (!head_is_good(stream, &result, end, &r))
        return r;
    stream->tunnel = slice_eq(result.head->method, SLICE_LIT("CONNECT"));
    stream->content_left = stream->tunnel ? -1 : result.content_length;
    return head_done(stream, result.head, end);
}

/* --- client: a response --- */

static int interim_done(struct h2_stream *stream, struct http_head *head, bool end)
{
    struct h2_conn *conn = stream->conn;

    if (end)
        return h2_stream_fail(stream, H2_PROTOCOL_ERROR, "an interim response that ends the stream");
    if (++stream->interims > LIMIT_HTTP_INTERIM)
        return h2_stream_fail(stream, H2_ENHANCE_YOUR_CALM, "too many interim responses");
    conn->events->on_head(stream, head, false);
    return conn->failed;
}

static int response_done(struct h2_stream *stream, const struct h2_head_result *result, bool end)
{
    unsigned status = result->head->status;

    if (status < 200)
        return interim_done(stream, result->head, end);
    if (status == 204 || status == 304)
        stream->head_only = true;
    if (!stream->head_only && !(stream->tunnel && status < 300))
        stream->content_left = result->content_length;
    return head_done(stream, result->head, end);
}

/* --- either: trailers --- */

static int trailers_done(struct h2_stream *stream, const struct http_head *head)
{
    struct h2_conn *conn = stream->conn;

    if (stream->content_left > 0)
        return h2_stream_fail(stream, H2_PROTOCOL_ERROR, "less data than content-length");
    h2_stream_end_recv(stream);
    conn->events->on_trailers(stream, head->fields, head->count);
    return conn->failed;
}

/* A further block on a stream that is open. */
static int read_more(struct h2_stream *stream, bool end, const char *fault, struct slice block)
{
    struct h2_conn *conn = stream->conn;
    enum h2_head_kind kind = stream->recv == H2_HALF_HEAD ? H2_HEAD_RESPONSE : H2_HEAD_TRAILERS;
    struct h2_head_result result;
    struct arena *arena = NULL;
    enum h2_error code = H2_PROTOCOL_ERROR;
    int r;

    if (stream->recv == H2_HALF_ENDED) {
        fault = "HEADERS after the end";
        code = H2_STREAM_CLOSED;
    } else if (kind == H2_HEAD_TRAILERS && !end) {
        fault = "trailers that do not end the stream";
    }
    if (!fault)
        arena = conn->events->head_arena(stream);
    r = h2_head_read(conn, block, arena && stream->open ? kind : H2_HEAD_SKIP, arena, &result);
    if (r < 0 || !stream->open)
        return r;
    if (fault)
        return h2_stream_fail(stream, code, fault);
    if (!head_is_good(stream, &result, end, &r))
        return r;
    return kind == H2_HEAD_RESPONSE ? response_done(stream, &result, end) : trailers_done(stream, result.head);
}

/* --- blocks --- */

static int read_block(struct h2_conn *conn, uint32_t id, bool end, const char *fault, struct slice block)
{
    struct h2_stream *stream = h2_stream_find(conn, id);
    int r;

    if (stream)
        return read_more(stream, end, fault, block);
    if (conn->role == H2_SERVER && id & 1 && id > conn->last_peer_id)
        return read_request(conn, id, end, fault, block);
    r = h2_read_late(conn, id);
    return r < 0 ? r : skip_block(conn, block);
}

/* Takes padding and priority off. RFC 9113 section 6.2. */
static int unwrap(struct h2_conn *conn, struct slice *payload, bool *ret_self)
{
    uint8_t flags = conn->frame.flags;
    size_t pad = 0;

    if (flags & H2_FLAG_PADDED) {
        if (payload->len < 1)
            return h2_fail(conn, H2_FRAME_SIZE_ERROR, "padded HEADERS without their length of padding");
        pad = (uint8_t)payload->ptr[0];
        *payload = slice_skip(*payload, 1);
    }
    *ret_self = false;
    if (flags & H2_FLAG_PRIORITY) {
        if (payload->len < 5)
            return h2_fail(conn, H2_FRAME_SIZE_ERROR, "HEADERS too short for their priority");
        *ret_self = (h2_get_u32(payload->ptr) & H2_ID_MAX) == conn->frame.stream_id;
        *payload = slice_skip(*payload, 5);
    }
    if (pad > payload->len)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "more padding than frame");
    payload->len -= pad;
    return 0;
}

/* Keeps a part of a block until CONTINUATION completes it. */
static int keep_part(struct h2_conn *conn, struct slice part)
{
    switch (buffer_add(&conn->block, part)) {
    case 0:
        return 0;
    case -ENOBUFS:
        return h2_fail(conn, H2_ENHANCE_YOUR_CALM, "a header block beyond our limit");
    default:
        return h2_fail_memory(conn);
    }
}

static const char self_fault[] = "a stream depends on itself";

int h2_read_headers(struct h2_conn *conn, struct slice payload)
{
    uint8_t flags = conn->frame.flags;
    bool self = false;
    int r = unwrap(conn, &payload, &self);

    if (r < 0)
        return r;
    if (flags & H2_FLAG_END_HEADERS)
        return read_block(conn, conn->frame.stream_id, flags & H2_FLAG_END_STREAM, self ? self_fault : NULL, payload);
    conn->block_stream = conn->frame.stream_id;
    conn->block_flags = flags & H2_FLAG_END_STREAM;
    conn->block_self = self;
    conn->continuations = 0;
    return keep_part(conn, payload);
}

int h2_read_continuation(struct h2_conn *conn, struct slice payload)
{
    uint32_t id = conn->block_stream;
    int r;

    if (++conn->continuations > LIMIT_H2_CONTINUATIONS && !mutation("continuations-without-limit"))
        return h2_fail(conn, H2_ENHANCE_YOUR_CALM, "too many CONTINUATION frames");
    r = keep_part(conn, payload);
    if (r < 0 || !(conn->frame.flags & H2_FLAG_END_HEADERS))
        return r;
    conn->block_stream = 0;
    r = read_block(conn, id, conn->block_flags, conn->block_self ? self_fault : NULL, buffer_slice(&conn->block));
    buffer_release(&conn->block);
    return r;
}
