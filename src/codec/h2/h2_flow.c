#include <assert.h>

#include "base/mutation.h"
#include "codec/h2/h2_parts.h"

int h2_flow_charge(struct h2_conn *conn, struct h2_stream *stream, uint32_t length, bool *ret_fits)
{
    if ((int64_t)length > conn->recv_window)
        return h2_fail(conn, H2_FLOW_CONTROL_ERROR, "more data than the connection's window");
    conn->recv_window -= (int32_t)length;
    if (!stream)
        return 0;
    *ret_fits = (int64_t)length <= stream->recv_window;
    if (*ret_fits)
        stream->recv_window -= (int32_t)length;
    return 0;
}

static int credit_conn(struct h2_conn *conn, uint32_t n)
{
    uint32_t window = h2_or(conn->config->connection_window, LIMIT_H2_CONNECTION_WINDOW), more;

    conn->uncredited += n;
    if (conn->uncredited < window / 2 || conn->failed)
        return conn->failed;
    more = conn->uncredited;
    conn->uncredited = 0;
    conn->recv_window += (int32_t)more;
    return h2_put_window(conn, 0, more);
}

static int credit_stream(struct h2_stream *stream, uint32_t n)
{
    struct h2_conn *conn = stream->conn;
    uint32_t more;

    if (stream->recv == H2_HALF_ENDED)
        return 0;
    stream->uncredited += n;
    if (stream->uncredited < (h2_or(conn->config->stream_window, LIMIT_H2_STREAM_WINDOW) + 1) / 2 || conn->failed)
        return conn->failed;
    more = stream->uncredited;
    stream->uncredited = 0;
    stream->recv_window += (int32_t)more;
    return h2_put_window(conn, stream->id, more);
}

int h2_flow_credit(struct h2_conn *conn, struct h2_stream *stream, uint32_t n)
{
    int r = credit_conn(conn, n);

    return r < 0 || !stream ? r : credit_stream(stream, n);
}

void h2_consume(struct h2_stream *stream, size_t n)
{
    uint32_t kept = n < stream->kept ? (uint32_t)n : stream->kept;

    assert(n <= stream->held);
    stream->held -= (uint32_t)n;
    stream->kept -= kept;
    if (credit_conn(stream->conn, (uint32_t)n - kept) == 0)
        credit_stream(stream, (uint32_t)n);
}

void h2_keep(struct h2_stream *stream, size_t n)
{
    assert(n <= stream->held - stream->kept);
    stream->kept += (uint32_t)n;
    credit_conn(stream->conn, (uint32_t)n);
}

size_t h2_sendable(const struct h2_stream *stream)
{
    const struct h2_conn *conn = stream->conn;
    size_t quota = chain_quota(conn->out, LIMIT_CONN_OUT), most = conn->out->len < quota ? quota - conn->out->len : 0;
    int32_t window = stream->send_window < conn->send_window ? stream->send_window : conn->send_window;

    if (mutation("windows-ignored"))
        window = INT32_MAX;
    if (window <= 0 || stream->send != H2_HALF_BODY)
        return 0;
    return (size_t)window < most ? (size_t)window : most;
}

static void wake(struct h2_stream *stream)
{
    list_remove(&stream->waiting);
    stream->blocked = H2_BLOCKED_NOT;
    stream->conn->events->on_writable(stream);
}

/*
 * In the order in which they came to wait, each once: those that wait again go behind those that were not called.
 */
void h2_flow_wake(struct h2_conn *conn)
{
    struct list now;

    list_init(&now);
    list_splice(&now, &conn->waiting);
    while (!list_empty(&now) && conn->send_window > 0 && conn->out->len < chain_quota(conn->out, LIMIT_CONN_OUT) &&
           !conn->failed)
        wake(CONTAINER_OF(now.next, struct h2_stream, waiting));
    /* Who was not called keeps its place in front of those that wait anew. */
    list_splice(&now, &conn->waiting);
    list_splice(&conn->waiting, &now);
}

int h2_out_drained(struct h2_conn *conn)
{
    /* Not for a few bytes: half of the limit free, so that each call takes a good piece. */
    if (conn->failed || list_empty(&conn->waiting) || conn->out->len > LIMIT_CONN_OUT / 2)
        return conn->failed;
    h2_enter(conn);
    h2_flow_wake(conn);
    h2_leave(conn);
    return conn->failed;
}

static int window_of_conn(struct h2_conn *conn, uint32_t more)
{
    if (more == 0)
        return h2_fail(conn, H2_PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
    if ((int64_t)conn->send_window + more > H2_WINDOW_MAX)
        return h2_fail(conn, H2_FLOW_CONTROL_ERROR, "connection window beyond 2^31-1");
    conn->send_window += (int32_t)more;
    h2_flow_wake(conn);
    return conn->failed;
}

static int window_of_stream(struct h2_stream *stream, uint32_t more)
{
    if (more == 0)
        return h2_stream_fail(stream, H2_PROTOCOL_ERROR, "WINDOW_UPDATE of 0");
    if ((int64_t)stream->send_window + more > H2_WINDOW_MAX)
        return h2_stream_fail(stream, H2_FLOW_CONTROL_ERROR, "stream window beyond 2^31-1");
    stream->send_window += (int32_t)more;
    if (stream->blocked == H2_BLOCKED_STREAM && stream->send_window > 0)
        wake(stream);
    return stream->conn->failed;
}

int h2_flow_window_update(struct h2_conn *conn, struct slice payload)
{
    uint32_t more = h2_get_u32(payload.ptr) & H2_WINDOW_MAX;
    struct h2_stream *stream;
    int r = h2_guard_frame(conn);

    if (r < 0)
        return r;
    if (conn->frame.stream_id == 0)
        return window_of_conn(conn, more);
    stream = h2_stream_find(conn, conn->frame.stream_id);
    if (stream)
        return window_of_stream(stream, more);
    if (h2_is_idle(conn, conn->frame.stream_id))
        return h2_fail(conn, H2_PROTOCOL_ERROR, "WINDOW_UPDATE on an idle stream");
    return 0;
}

int h2_flow_peer_initial(struct h2_conn *conn, uint32_t window)
{
    int64_t change = (int64_t)window - conn->peer.stream_window;

    if (change == 0)
        return 0;
    conn->peer.stream_window = window;
    LIST_FOR_EACH (link, &conn->streams) {
        struct h2_stream *stream = CONTAINER_OF(link, struct h2_stream, all);

        if (!stream->open)
            continue;
        if (stream->send_window + change > H2_WINDOW_MAX || stream->send_window + change < -(int64_t)H2_WINDOW_MAX)
            return h2_fail(conn, H2_FLOW_CONTROL_ERROR, "initial window puts a stream beyond 2^31-1");
        stream->send_window += (int32_t)change;
        /* Woken below, in order: what was blocked by its own window joins those blocked by the connection. */
        if (stream->blocked == H2_BLOCKED_STREAM && stream->send_window > 0) {
            stream->blocked = H2_BLOCKED_CONNECTION;
            list_push(&conn->waiting, &stream->waiting);
        }
    }
    if (change > 0)
        h2_flow_wake(conn);
    return conn->failed;
}

void h2_flow_local_initial(struct h2_conn *conn, uint32_t window)
{
    int64_t change = (int64_t)window - conn->recv_initial;

    conn->recv_initial = window;
    LIST_FOR_EACH (link, &conn->streams) {
        struct h2_stream *stream = CONTAINER_OF(link, struct h2_stream, all);

        if (stream->open)
            stream->recv_window += (int32_t)change;
    }
}
