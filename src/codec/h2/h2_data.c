/* DATA to the peer, as far as windows and `out` allow. RFC 9113 section 6.1, 5.2. */
#include <errno.h>
#include <string.h>

#include "codec/h2/h2_parts.h"

enum { WORTHWHILE = 1024 /* rather a new page than a frame shorter than this at the end of one */ };

/* One frame, as long as fits the page; how much of `bytes` went in. END_STREAM only with the last of them. */
static ssize_t put_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    struct h2_conn *conn = stream->conn;
    size_t least = bytes.len < WORTHWHILE ? bytes.len : WORTHWHILE, room, len = bytes.len;
    char *to = chain_room(conn->out, H2_FRAME_HEADER + least, &room);

    if (!to)
        return -ENOMEM; /* no page: the connection is whole, the owner may try later */
    if (len > conn->peer.max_frame)
        len = conn->peer.max_frame;
    if (len > room - H2_FRAME_HEADER)
        len = room - H2_FRAME_HEADER;
    h2_frame_set(to, (struct h2_frame){(uint32_t)len, stream->id, H2_FRAME_DATA,
                                       end && len == bytes.len ? H2_FLAG_END_STREAM : 0});
    if (len)
        memcpy(to + H2_FRAME_HEADER, bytes.ptr, len);
    h2_grew(conn, H2_FRAME_HEADER + len);
    stream->send_window -= (int32_t)len;
    conn->send_window -= (int32_t)len;
    h2_guard_credit(conn, 4);
    return (ssize_t)len;
}

/* Notes why no more can be sent now, and waits for that. */
static void block(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;

    list_remove(&stream->waiting);
    if (stream->send_window <= 0) {
        stream->blocked = H2_BLOCKED_STREAM;
        return;
    }
    stream->blocked = conn->send_window <= 0 ? H2_BLOCKED_CONNECTION : H2_BLOCKED_OUT;
    list_push(&conn->waiting, &stream->waiting);
}

ssize_t h2_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    size_t sendable = h2_sendable(stream), taken = 0;
    bool all = bytes.len <= sendable;
    struct slice now = slice_take(bytes, sendable);

    if (!stream->open || stream->send != H2_HALF_BODY || stream->conn->failed)
        return -EPIPE;
    while (taken < now.len || (taken == 0 && bytes.len == 0 && end)) {
        ssize_t n = put_data(stream, slice_skip(now, taken), all && end);

        if (n < 0 && !taken)
            return n;
        if (n < 0)
            break;
        taken += (size_t)n;
        if (bytes.len == 0)
            break;
    }
    if (taken < bytes.len)
        block(stream);
    else if (end)
        h2_stream_end_send(stream);
    return (ssize_t)taken;
}
