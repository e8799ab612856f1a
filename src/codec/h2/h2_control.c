#include <errno.h>

#include "codec/h2/h2_parts.h"

enum { SETTINGS_ENTRY = 6, SETTINGS_MAX = 64 /* entries in one frame */ };

static size_t add_setting(uint8_t *to, enum h2_setting id, uint32_t value)
{
    h2_set_u16(to, id);
    h2_set_u32(to + 2, value);
    return SETTINGS_ENTRY;
}

int h2_put_settings(struct h2_conn *conn)
{
    const struct h2_config *config = conn->config;
    uint32_t window = h2_or(config->stream_window, LIMIT_H2_STREAM_WINDOW);
    uint32_t max_frame = h2_or(config->max_frame, LIMIT_H2_FRAME);
    uint8_t payload[SETTINGS_ENTRY * 4];
    size_t len = 0;

    if (conn->role == H2_CLIENT)
        len += add_setting(payload + len, H2_SETTING_ENABLE_PUSH, 0);
    else
        len +=
            add_setting(payload + len, H2_SETTING_MAX_CONCURRENT_STREAMS, h2_or(config->max_streams, LIMIT_H2_STREAMS));
    if (window != H2_WINDOW_DEFAULT)
        len += add_setting(payload + len, H2_SETTING_INITIAL_WINDOW_SIZE, window);
    if (max_frame != 16384)
        len += add_setting(payload + len, H2_SETTING_MAX_FRAME_SIZE, max_frame);
    len += add_setting(payload + len, H2_SETTING_MAX_HEADER_LIST_SIZE, h2_or(config->max_header_list, LIMIT_HTTP_HEAD));
    return h2_put(conn, H2_FRAME_SETTINGS, 0, 0, slice_of(payload, len));
}

/* What a SETTINGS frame leaves to be done once, after its last entry. */
struct settings_news {
    uint32_t stream_window, header_table, header_table_low;
};

static int read_setting(struct h2_conn *conn, uint32_t id, uint32_t value, struct settings_news *news)
{
    switch (id) {
    case H2_SETTING_HEADER_TABLE_SIZE:
        news->header_table = value;
        if (news->header_table_low > value)
            news->header_table_low = value;
        break;
    case H2_SETTING_ENABLE_PUSH:
        if (value > 1 || (value == 1 && conn->role == H2_CLIENT))
            return h2_fail(conn, H2_PROTOCOL_ERROR, "bad SETTINGS_ENABLE_PUSH");
        break;
    case H2_SETTING_MAX_CONCURRENT_STREAMS:
        conn->peer.max_streams = value;
        break;
    case H2_SETTING_INITIAL_WINDOW_SIZE:
        if (value > H2_WINDOW_MAX)
            return h2_fail(conn, H2_FLOW_CONTROL_ERROR, "bad SETTINGS_INITIAL_WINDOW_SIZE");
        news->stream_window = value;
        break;
    case H2_SETTING_MAX_FRAME_SIZE:
        if (value < 16384 || value > 0xffffff)
            return h2_fail(conn, H2_PROTOCOL_ERROR, "bad SETTINGS_MAX_FRAME_SIZE");
        conn->peer.max_frame = value;
        break;
    case H2_SETTING_MAX_HEADER_LIST_SIZE:
        conn->peer.max_header_list = value;
        break;
    case H2_SETTING_ENABLE_CONNECT_PROTOCOL:
        if (value > 1)
            return h2_fail(conn, H2_PROTOCOL_ERROR, "bad SETTINGS_ENABLE_CONNECT_PROTOCOL");
        break;
    default:
        break;
    }
    return 0;
}

static void set_table(struct h2_conn *conn, uint32_t size)
{
    conn->peer.header_table = size;
    hpack_encoder_resize(&conn->encoder, size < LIMIT_H2_HEADER_TABLE ? size : LIMIT_H2_HEADER_TABLE);
}

static int apply_news(struct h2_conn *conn, const struct settings_news *news)
{
    /* The lowest size first: the peer's decoder emptied its table down to it (RFC 7541 section 4.2). */
    set_table(conn, news->header_table_low);
    set_table(conn, news->header_table);
    return h2_flow_peer_initial(conn, news->stream_window);
}

static int read_ack(struct h2_conn *conn, struct slice payload)
{
    if (payload.len)
        return h2_fail(conn, H2_FRAME_SIZE_ERROR, "SETTINGS acknowledgement with a payload");
    if (conn->settings_acked)
        return h2_guard_frame(conn);
    conn->settings_acked = true;
    h2_flow_local_initial(conn, h2_or(conn->config->stream_window, LIMIT_H2_STREAM_WINDOW));
    return 0;
}

int h2_read_settings(struct h2_conn *conn, struct slice payload)
{
    struct settings_news news = {conn->peer.stream_window, conn->peer.header_table, conn->peer.header_table};
    int r;

    if (conn->frame.flags & H2_FLAG_ACK)
        return read_ack(conn, payload);
    if (payload.len % SETTINGS_ENTRY)
        return h2_fail(conn, H2_FRAME_SIZE_ERROR, "SETTINGS of a length that is no multiple of 6");
    if (payload.len > SETTINGS_ENTRY * SETTINGS_MAX)
        return h2_fail(conn, H2_ENHANCE_YOUR_CALM, "too many SETTINGS");
    r = h2_guard_frame(conn);
    if (r < 0)
        return r;
    if (!conn->settings_seen)
        conn->peer.max_streams = UINT32_MAX; /* unless the frame says otherwise */
    conn->settings_seen = true;
    for (size_t at = 0; at < payload.len; at += SETTINGS_ENTRY) {
        r = read_setting(conn, h2_get_u16(payload.ptr + at), h2_get_u32(payload.ptr + at + 2), &news);
        if (r < 0)
            return r;
    }
    /* The acknowledgement first: what is sent because of the new values comes after it. */
    r = h2_put_reply(conn, H2_FRAME_SETTINGS, H2_FLAG_ACK, 0, SLICE_NULL);
    if (r == 0)
        r = apply_news(conn, &news);
    if (r == 0 && conn->events->on_settings)
        conn->events->on_settings(conn);
    return conn->failed;
}

int h2_read_ping(struct h2_conn *conn, struct slice payload)
{
    int r = h2_guard_frame(conn);

    if (r < 0)
        return r;
    if (!(conn->frame.flags & H2_FLAG_ACK))
        return h2_put_reply(conn, H2_FRAME_PING, H2_FLAG_ACK, 0, payload);
    if (conn->events->on_ping_ack)
        conn->events->on_ping_ack(conn, (uint64_t)h2_get_u32(payload.ptr) << 32 | h2_get_u32(payload.ptr + 4));
    return conn->failed;
}

/* Streams above the last id were not processed by the peer and may be tried again elsewhere. */
static void lose_unprocessed(struct h2_conn *conn, uint32_t last_id)
{
    struct h2_reset_info why = {H2_BY_PEER, H2_REFUSED_STREAM, "not processed before GOAWAY"};

    LIST_FOR_EACH (link, &conn->streams) { /* nothing leaves this list inside an event */
        struct h2_stream *stream = CONTAINER_OF(link, struct h2_stream, all);

        if (stream->open && stream->id > last_id)
            h2_stream_lost(stream, why);
    }
}

int h2_read_goaway(struct h2_conn *conn, struct slice payload)
{
    uint32_t last_id = h2_get_u32(payload.ptr) & H2_ID_MAX, code = h2_get_u32(payload.ptr + 4);
    int r = h2_guard_frame(conn);

    if (r < 0)
        return r;
    conn->goaway_seen = true;
    if (conn->role == H2_CLIENT)
        lose_unprocessed(conn, last_id);
    if (conn->events->on_goaway)
        conn->events->on_goaway(conn, last_id, code);
    return conn->failed;
}

int h2_read_rst(struct h2_conn *conn, struct slice payload)
{
    uint32_t id = conn->frame.stream_id;
    struct h2_stream *stream = h2_stream_find(conn, id);
    bool for_nothing;

    if (!stream) {
        if (h2_is_idle(conn, id))
            return h2_fail(conn, H2_PROTOCOL_ERROR, "RST_STREAM on an idle stream");
        return h2_guard_frame(conn);
    }
    /*
     * A server that refuses a request costs us nothing; a client that takes back a request has made us work for nothing.
     * One that ends an answer which had begun has cost what any request does: a proxy does so for each of its
     * clients that goes away during a download, hundreds at once.
     */
    for_nothing = conn->role == H2_SERVER && stream->send == H2_HALF_HEAD;
    h2_stream_lost(stream, (struct h2_reset_info){H2_BY_PEER, h2_get_u32(payload.ptr), NULL});
    return for_nothing && !conn->failed ? h2_guard_reset(conn) : conn->failed;
}

/* Priorities are not used (RFC 9113 section 5.3.2), only checked. */
int h2_read_priority(struct h2_conn *conn, struct slice payload)
{
    uint32_t id = conn->frame.stream_id;
    struct h2_stream *stream;

    if ((h2_get_u32(payload.ptr) & H2_ID_MAX) != id)
        return h2_guard_frame(conn);
    stream = h2_stream_find(conn, id);
    if (stream)
        return h2_stream_fail(stream, H2_PROTOCOL_ERROR, "a stream depends on itself");
    return h2_fail(conn, H2_PROTOCOL_ERROR, "a stream depends on itself");
}
