#include <errno.h>

#include "base/limits.h"
#include "net/http/http1_internal.h"

static struct http1_conn *conn_of(struct http_stream *stream)
{
    return CONTAINER_OF(stream, struct http1_conn, stream);
}

void http1_begin_exchange(struct http1_conn *conn)
{
    conn->active = true;
    conn->over = conn->held = conn->blocked = conn->abort = false;
    conn->shut_after = false;
    conn->asked = 0;
    conn->interims = 0;
    conn->discarded = 0;
    conn->ready = 0;
    conn->answered = false;
}

static bool is_exchanged(const struct http1_conn *conn)
{
    return conn->rx == HTTP1_RX_DONE && conn->tx == HTTP1_TX_DONE;
}

bool http1_exchange_is_over(const struct http1_conn *conn)
{
    return is_exchanged(conn) && !conn->active;
}

bool http1_is_discarding(const struct http1_conn *conn)
{
    return !conn->active && conn->tx == HTTP1_TX_DONE && conn->rx != HTTP1_RX_HEAD && conn->rx != HTTP1_RX_DONE;
}

void http1_tell_reset(struct http1_conn *conn, struct http_reset reset)
{
    if (!conn->active || conn->over)
        return;
    conn->over = true;
    conn->stream.events->on_reset(&conn->stream, reset);
}

/* --- what arrives --- */

bool http1_begin_body(struct http1_conn *conn, const struct http1_framing *framing)
{
    switch (framing->body) {
    case HTTP1_BODY_LENGTH:
        conn->rx = framing->length ? HTTP1_RX_LENGTH : HTTP1_RX_DONE;
        conn->rx_left = framing->length;
        break;
    case HTTP1_BODY_CHUNKED:
        conn->rx = HTTP1_RX_CHUNKED;
        conn->chunked = (struct http1_chunked){0};
        break;
    case HTTP1_BODY_UNTIL_CLOSE:
        conn->rx = HTTP1_RX_CLOSE;
        break;
    case HTTP1_BODY_TUNNEL:
        conn->rx = conn->is_server ? HTTP1_RX_WAIT : HTTP1_RX_TUNNEL;
        break;
    default:
        conn->rx = HTTP1_RX_DONE;
        break;
    }
    return conn->rx == HTTP1_RX_DONE;
}

/* A body that nobody wants is read away up to a limit, beyond which the connection ends instead. */
static bool discard(struct http1_conn *conn, size_t n, bool last)
{
    conn->discarded += (uint32_t)n;
    http1_input_drop(conn, n);
    if (last)
        conn->rx = HTTP1_RX_DONE;
    if (conn->discarded <= LIMIT_PIPELINE_BYTES)
        return true;
    conn->close_after = true;
    conn->rx = HTTP1_RX_DONE;
    return true;
}

/* Offers the first `n` bytes of the input. Returns how many were taken and dropped. */
static size_t offer(struct http1_conn *conn, size_t n, bool last)
{
    size_t taken;

    conn->expects = false;
    conn->offering = true;
    conn->resumed = false;
    taken = conn->stream.events->on_data(&conn->stream, slice_take(http1_input(conn), n), last);
    conn->offering = false;
    conn->held = taken < n && !conn->resumed;
    http1_input_drop(conn, taken);
    return taken;
}

/* The same, or away with them when the owner has gone. True when all of them passed. */
static bool pass(struct http1_conn *conn, size_t n, bool last, size_t *ret_taken)
{
    uint8_t before = conn->rx;

    *ret_taken = n;
    if (!conn->active || conn->over)
        return discard(conn, n, last);
    if (last)
        conn->rx = HTTP1_RX_DONE; /* an owner that releases the stream with its last bytes leaves a whole exchange behind */
    *ret_taken = offer(conn, n, last);
    if (*ret_taken == n)
        return true;
    conn->rx = before;
    if (!conn->active && !conn->is_server)
        conn->abort = true; /* released inside without taking all: release() saw a whole exchange */
    return false;
}

/* True with *ret_len set when there are bytes; false when the end came too early (told) or bytes are missing. */
static bool input_or_eof(struct http1_conn *conn, size_t *ret_len)
{
    *ret_len = http1_input(conn).len;
    if (*ret_len)
        return true;
    if (conn->eof)
        http1_end(conn, http1_reason_of_eof(conn));
    return false;
}

static bool receive_length(struct http1_conn *conn)
{
    size_t have, taken;
    bool more;

    if (!input_or_eof(conn, &have))
        return false;
    if (have > conn->rx_left)
        have = (size_t)conn->rx_left;
    more = pass(conn, have, have == conn->rx_left, &taken);
    conn->rx_left -= taken;
    return more;
}

static void bad_body(struct http1_conn *conn, int status, const char *detail)
{
    if (conn->is_server)
        http1_server_bad_body(conn, status, detail);
    else
        http1_end(conn, (struct http_reset){HTTP_ERROR_PROTOCOL, 0, detail});
}

/* Decodes up to the next run of data, which stays at the front of the input as `ready` bytes. */
static bool decode_chunk(struct http1_conn *conn)
{
    struct slice in, data;
    size_t have;
    ssize_t n;

    if (!input_or_eof(conn, &have))
        return false;
    in = http1_input(conn);
    n = http1_chunked_feed(&conn->chunked, in, &data);
    if (n < 0) {
        bad_body(conn, (int)-n, conn->chunked.refusal);
        return false;
    }
    http1_input_drop(conn, (size_t)n - data.len);
    conn->ready = (uint32_t)data.len;
    if (conn->chunked.state == HTTP1_CHUNKED_TRAILERS) {
        conn->rx = HTTP1_RX_TRAILERS;
        conn->scan = (struct http1_scan){0};
    }
    return true;
}

static bool receive_chunked(struct http1_conn *conn)
{
    size_t taken;
    bool more;

    if (!conn->ready)
        return decode_chunk(conn);
    more = pass(conn, conn->ready, false, &taken);
    conn->ready -= (uint32_t)taken;
    return more;
}

/* The end of an arriving direction by itself. */
static bool receive_end(struct http1_conn *conn)
{
    conn->rx = HTTP1_RX_DONE;
    if (conn->active && !conn->over)
        conn->stream.events->on_data(&conn->stream, SLICE_NULL, true);
    return true;
}

static bool receive_trailers(struct http1_conn *conn)
{
    struct http_field fields[LIMIT_HTTP_FIELDS];
    struct http_head trailers = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
    struct slice in = http1_input(conn);
    ssize_t n = in.len ? http1_parse_trailers(in, &conn->scan, &trailers) : 0;

    if (n == 0) {
        if (conn->eof)
            http1_end(conn, http1_reason_of_eof(conn));
        return false;
    }
    if (n < 0) {
        bad_body(conn, (int)-n, conn->scan.refusal);
        return false;
    }
    conn->rx = HTTP1_RX_DONE;
    if (trailers.count == 0 || !conn->active || conn->over) {
        http1_input_drop(conn, (size_t)n);
        return receive_end(conn);
    }
    if (http1_keep_head(conn->arena, slice_take(in, (size_t)n), &trailers, 0) < 0) {
        http1_end(conn, (struct http_reset){HTTP_ERROR_MEMORY, 0, "no memory for trailers"});
        return false;
    }
    http1_input_drop(conn, (size_t)n);
    conn->stream.events->on_trailers(&conn->stream, trailers.fields, trailers.count);
    return true;
}

/* Until the end of the connection: the end comes with the last bytes when it was seen with them. */
static bool receive_raw(struct http1_conn *conn)
{
    size_t have = http1_input(conn).len, taken;

    if (have)
        return pass(conn, have, false, &taken);
    if (!conn->eof)
        return false;
    if (conn->stack->error) {
        http1_end(conn, http1_reason_of_eof(conn));
        return false;
    }
    return receive_end(conn);
}

bool http1_receive_body(struct http1_conn *conn)
{
    if (conn->held && conn->active && !conn->over)
        return false;
    switch (conn->rx) {
    case HTTP1_RX_LENGTH: return receive_length(conn);
    case HTTP1_RX_CHUNKED: return receive_chunked(conn);
    case HTTP1_RX_TRAILERS: return receive_trailers(conn);
    case HTTP1_RX_CLOSE:
    case HTTP1_RX_TUNNEL: return receive_raw(conn);
    case HTTP1_RX_END: return receive_end(conn);
    default: return false;
    }
}

/* --- what is sent --- */

static int send_head(struct http_stream *stream, const struct http_head *head, bool end)
{
    struct http1_conn *conn = conn_of(stream);
    int r;

    if (conn->over || conn->tx != HTTP1_TX_HEAD)
        return -EPIPE;
    r = conn->is_server ? http1_server_send_head(conn, head, end) : http1_client_send_head(conn, head, end);
    if (r < 0)
        return r;
    http1_wake_flush(conn);
    return 0;
}

/* The owner broke its promise (too many bytes, or too few before the end), or memory is out: nothing can mend it. */
static int broken(struct http1_conn *conn, int r)
{
    conn->over = true;
    conn->abort = true;
    task_wake(conn->loop, &conn->run);
    return r;
}

static void end_sending(struct http1_conn *conn)
{
    conn->tx = HTTP1_TX_DONE;
    task_wake(conn->loop, &conn->run); /* the exchange may be over */
}

static size_t room_for(const struct http1_conn *conn, size_t len)
{
    size_t quota = chain_quota(&conn->out, LIMIT_CONN_OUT), room = conn->out.len < quota ? quota - conn->out.len : 0;

    return len < room ? len : room;
}

/* Into `out`, framed as the direction is. 0, or -ENOMEM with nothing written. */
static int add_body(struct http1_conn *conn, struct slice bytes)
{
    if (bytes.len == 0)
        return 0;
    if (conn->tx == HTTP1_TX_CHUNKED)
        return http1_write_chunk(&conn->out, bytes);
    return chain_add(&conn->out, bytes);
}

static int add_end(struct http1_conn *conn)
{
    switch (conn->tx) {
    case HTTP1_TX_LENGTH:
        if (conn->tx_left)
            return -EPROTO;
        break;
    case HTTP1_TX_CHUNKED:
        if (http1_write_last_chunk(&conn->out, NULL, 0) < 0)
            return -ENOMEM;
        break;
    case HTTP1_TX_CLOSE:
    case HTTP1_TX_TUNNEL:
        conn->shut_after = true;
        break;
    default:
        break;
    }
    end_sending(conn);
    return 0;
}

/* Waits for room, or for pages when there are none while nothing is queued. */
static void block(struct http1_conn *conn, bool starved)
{
    conn->starved |= starved;
    http1_block(conn);
}

static ssize_t send_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct http1_conn *conn = conn_of(stream);
    struct slice part = bytes;
    int r;

    if (conn->over || conn->tx == HTTP1_TX_HEAD || conn->tx == HTTP1_TX_DONE || conn->write_broken)
        return -EPIPE;
    if (conn->tx == HTTP1_TX_WAIT) {
        block(conn, false); /* nothing goes out before the response has made a tunnel of it */
        return 0;
    }
    if (conn->tx != HTTP1_TX_NONE) {
        part.len = room_for(conn, bytes.len);
        if (conn->tx == HTTP1_TX_LENGTH && bytes.len > conn->tx_left)
            return broken(conn, -EPROTO);
        if (add_body(conn, part) < 0) {
            part.len = 0;
            block(conn, chain_empty(&conn->out));
        }
        if (conn->tx == HTTP1_TX_LENGTH)
            conn->tx_left -= part.len;
    }
    if (part.len < bytes.len) {
        block(conn, false);
    } else if (end) {
        r = add_end(conn);
        if (r < 0)
            return broken(conn, r);
    }
    if (part.len || end)
        http1_wake_flush(conn);
    return (ssize_t)part.len;
}

static int send_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct http1_conn *conn = conn_of(stream);
    ssize_t r;

    if (conn->over || conn->tx == HTTP1_TX_HEAD || conn->tx == HTTP1_TX_DONE || conn->write_broken)
        return -EPIPE;
    if (conn->tx != HTTP1_TX_CHUNKED) {
        r = send_data(stream, SLICE_NULL, true); /* there is no place for them */
        return r < 0 ? (int)r : 0;
    }
    r = http1_write_last_chunk(&conn->out, fields, count);
    if (r < 0)
        return broken(conn, (int)r);
    end_sending(conn);
    http1_wake_flush(conn);
    return 0;
}

static void resume(struct http_stream *stream)
{
    struct http1_conn *conn = conn_of(stream);

    if (!conn->held && !conn->offering)
        return;
    conn->held = false;
    conn->resumed = true;
    task_wake(conn->loop, &conn->run);
}

static void reset(struct http_stream *stream, uint32_t h2_code)
{
    struct http1_conn *conn = conn_of(stream);

    conn->over = true;
    conn->abort = true;
    task_wake(conn->loop, &conn->run);
}

/* What was sent whole goes out, and what arrives goes on arriving; anything else ends the connection. */
static void release(struct http_stream *stream)
{
    struct http1_conn *conn = conn_of(stream);

    conn->active = false;
    conn->over = true;
    if (conn->is_server ? conn->tx != HTTP1_TX_DONE : conn->tx != HTTP1_TX_HEAD && !is_exchanged(conn))
        conn->abort = true;
    if (conn->is_server)
        conn->server.streams = 0;
    else
        conn->client.streams = 0;
    conn->since_ns = conn->loop->now_ns;
    task_wake(conn->loop, &conn->run);
}

const struct http_stream_ops http1_stream_ops = {
    .send_head = send_head,
    .send_data = send_data,
    .send_trailers = send_trailers,
    .resume = resume,
    .reset = reset,
    .release = release,
};
