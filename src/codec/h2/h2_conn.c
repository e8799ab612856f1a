#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/h2/h2_parts.h"

static const char *const error_names[] = {
    [H2_NO_ERROR] = "NO_ERROR",
    [H2_PROTOCOL_ERROR] = "PROTOCOL_ERROR",
    [H2_INTERNAL_ERROR] = "INTERNAL_ERROR",
    [H2_FLOW_CONTROL_ERROR] = "FLOW_CONTROL_ERROR",
    [H2_SETTINGS_TIMEOUT] = "SETTINGS_TIMEOUT",
    [H2_STREAM_CLOSED] = "STREAM_CLOSED",
    [H2_FRAME_SIZE_ERROR] = "FRAME_SIZE_ERROR",
    [H2_REFUSED_STREAM] = "REFUSED_STREAM",
    [H2_CANCEL] = "CANCEL",
    [H2_COMPRESSION_ERROR] = "COMPRESSION_ERROR",
    [H2_CONNECT_ERROR] = "CONNECT_ERROR",
    [H2_ENHANCE_YOUR_CALM] = "ENHANCE_YOUR_CALM",
    [H2_INADEQUATE_SECURITY] = "INADEQUATE_SECURITY",
    [H2_HTTP_1_1_REQUIRED] = "HTTP_1_1_REQUIRED",
};

const char *h2_error_name(uint32_t code)
{
    return code < sizeof(error_names) / sizeof(error_names[0]) ? error_names[code] : "UNKNOWN_ERROR";
}

uint32_t h2_or(uint32_t configured, uint32_t otherwise)
{
    return configured ? configured : otherwise;
}

/* What RFC 9113 section 6.5.2 says of a peer that has not sent SETTINGS; 100 streams are a guess until it has. */
static const struct h2_peer_settings peer_before_settings = {
    .header_table = 4096,
    .max_streams = 100,
    .stream_window = H2_WINDOW_DEFAULT,
    .max_frame = 16384,
    .max_header_list = UINT32_MAX,
};

static int put_first_frames(struct h2_conn *conn)
{
    uint32_t window = h2_or(conn->config->connection_window, LIMIT_H2_CONNECTION_WINDOW);
    struct slice preface = SLICE_LIT(H2_PREFACE);
    int r;

    if (conn->role == H2_CLIENT) {
        if (chain_add(conn->out, preface) < 0)
            return -ENOMEM;
        conn->out_total += preface.len;
    }
    r = h2_put_settings(conn);
    if (r < 0 || window <= H2_WINDOW_DEFAULT)
        return r;
    conn->recv_window = (int32_t)window;
    return h2_put_window(conn, 0, window - H2_WINDOW_DEFAULT);
}

int h2_init(struct h2_conn *conn, enum h2_role role, const struct h2_config *config, const struct h2_events *events,
            void *owner, struct chain *out)
{
    uint32_t stream_window = h2_or(config->stream_window, LIMIT_H2_STREAM_WINDOW);

    *conn = (struct h2_conn){
        .owner = owner,
        .config = config,
        .events = events,
        .out = out,
        .role = (uint8_t)role,
        .peer = peer_before_settings,
        .reading = role == H2_SERVER ? H2_READ_PREFACE : H2_READ_HEADER,
        .next_id = 1,
        .goaway_id = H2_ID_MAX,
        .send_window = H2_WINDOW_DEFAULT,
        .recv_window = H2_WINDOW_DEFAULT,
        .recv_initial = stream_window > H2_WINDOW_DEFAULT ? stream_window : H2_WINDOW_DEFAULT,
        .out_total = out->len,
    };
    hpack_encoder_init(&conn->encoder);
    hpack_decoder_init(&conn->decoder, HPACK_TABLE_DEFAULT); /* we announce nothing else */
    list_init(&conn->streams);
    list_init(&conn->waiting);
    buffer_init(&conn->partial, h2_or(config->max_frame, LIMIT_H2_FRAME));
    buffer_init(&conn->block, h2_or(config->max_header_list, LIMIT_HTTP_HEAD));
    return put_first_frames(conn);
}

static void free_streams(struct h2_conn *conn)
{
    while (!list_empty(&conn->streams))
        free(CONTAINER_OF(list_pop(&conn->streams), struct h2_stream, all));
    conn->dead = NULL; /* they were in the list as well */
}

static void free_recycled(struct h2_conn *conn)
{
    while (conn->recycled) {
        struct h2_stream *stream = conn->recycled;

        conn->recycled = stream->next;
        free(stream);
    }
    conn->recycled_count = 0;
}

static void free_table(struct h2_conn *conn)
{
    free(conn->table);
    conn->table = NULL;
    conn->table_size = 0;
}

void h2_release(struct h2_conn *conn)
{
    free_streams(conn);
    free_recycled(conn);
    free_table(conn);
    free(conn->reset_ids);
    conn->reset_ids = NULL;
    buffer_release(&conn->partial);
    buffer_release(&conn->block);
    hpack_encoder_release(&conn->encoder);
    hpack_decoder_release(&conn->decoder);
}

void h2_trim(struct h2_conn *conn)
{
    free_recycled(conn);
    if (conn->open_streams)
        return;
    free_table(conn);
    h2_forget_resets(conn);
    hpack_encoder_forget(&conn->encoder);
}

void h2_close(struct h2_conn *conn)
{
    struct h2_reset_info why = {H2_BY_CONNECTION, conn->error, conn->detail};

    if (!conn->failed)
        conn->failed = -EPIPE;
    h2_enter(conn);
    LIST_FOR_EACH (link, &conn->streams) { /* nothing leaves this list inside an event */
        struct h2_stream *stream = CONTAINER_OF(link, struct h2_stream, all);

        if (stream->open)
            h2_stream_lost(stream, why);
    }
    h2_leave(conn);
}

static int put_goaway(struct h2_conn *conn, uint32_t last_id, enum h2_error code)
{
    uint8_t payload[8];

    h2_set_u32(payload, last_id);
    h2_set_u32(payload + 4, code);
    return h2_put(conn, H2_FRAME_GOAWAY, 0, 0, slice_of(payload, sizeof(payload)));
}

int h2_fail(struct h2_conn *conn, enum h2_error code, const char *detail)
{
    if (conn->failed)
        return conn->failed;
    conn->detail = detail;
    conn->error = (uint8_t)code;
    put_goaway(conn, conn->last_peer_id < conn->goaway_id ? conn->last_peer_id : conn->goaway_id, code);
    conn->goaway_sent = true;
    conn->failed = -EPROTO;
    return conn->failed;
}

int h2_fail_memory(struct h2_conn *conn)
{
    if (conn->failed)
        return conn->failed;
    conn->failed = -ENOMEM;
    conn->error = H2_INTERNAL_ERROR;
    conn->detail = "no memory";
    return conn->failed;
}

int h2_goaway_notice(struct h2_conn *conn)
{
    if (conn->failed || conn->goaway_sent)
        return conn->failed;
    return put_goaway(conn, H2_ID_MAX, H2_NO_ERROR);
}

int h2_goaway(struct h2_conn *conn, enum h2_error code)
{
    if (conn->failed || conn->goaway_sent)
        return conn->failed;
    conn->goaway_sent = true;
    conn->goaway_id = conn->last_peer_id;
    return put_goaway(conn, conn->last_peer_id, code);
}

int h2_ping(struct h2_conn *conn, uint64_t payload)
{
    uint8_t bytes[8];

    if (conn->failed)
        return conn->failed;
    h2_set_u32(bytes, (uint32_t)(payload >> 32));
    h2_set_u32(bytes + 4, (uint32_t)payload);
    return h2_put(conn, H2_FRAME_PING, 0, 0, slice_of(bytes, sizeof(bytes)));
}
