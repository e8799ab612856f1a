#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/mutation.h"
#include "codec/h2/h2_parts.h"

enum {
    TABLE_FIRST = 16,  /* buckets */
    RECYCLED_MAX = 16, /* streams kept for the next */
    RESET_RING = 64,
    ENDED_RING = sizeof(((struct h2_conn *)0)->ended_ids) / sizeof(uint32_t)
};

/* Multiplying by a secret odd number spreads ids that the peer chose; the upper bits are the spread ones. */
static uint32_t bucket_of(const struct h2_conn *conn, uint32_t id, uint32_t size)
{
    uint32_t hash = (id >> 1) * (conn->config->hash_salt | 1);

    return (hash ^ hash >> 16) & (size - 1);
}

struct h2_stream *h2_stream_find(const struct h2_conn *conn, uint32_t id)
{
    struct h2_stream *stream = conn->table ? conn->table[bucket_of(conn, id, conn->table_size)] : NULL;

    while (stream && stream->id != id)
        stream = stream->next;
    return stream;
}

static void table_put(const struct h2_conn *conn, struct h2_stream **table, uint32_t size, struct h2_stream *stream)
{
    struct h2_stream **bucket = &table[bucket_of(conn, stream->id, size)];

    stream->next = *bucket;
    *bucket = stream;
}

static void table_remove(struct h2_conn *conn, struct h2_stream *stream)
{
    struct h2_stream **at = &conn->table[bucket_of(conn, stream->id, conn->table_size)];

    while (*at != stream)
        at = &(*at)->next;
    *at = stream->next;
    stream->next = NULL;
}

/* At least a bucket for every open stream and one more. */
static bool table_reserve(struct h2_conn *conn)
{
    uint32_t size = conn->table_size ? conn->table_size * 2 : TABLE_FIRST;
    struct h2_stream **table;

    if (conn->open_streams < conn->table_size)
        return true;
    table = calloc(size, sizeof(struct h2_stream *));
    if (!table)
        return false;
    for (uint32_t i = 0; i < conn->table_size; i++)
        while (conn->table[i]) {
            struct h2_stream *stream = conn->table[i];

            conn->table[i] = stream->next;
            table_put(conn, table, size, stream);
        }
    free(conn->table);
    conn->table = table;
    conn->table_size = size;
    return true;
}

static struct h2_stream *take_memory(struct h2_conn *conn)
{
    struct h2_stream *stream = conn->recycled;

    if (!stream)
        return malloc(sizeof(*stream));
    conn->recycled = stream->next;
    conn->recycled_count--;
    return stream;
}

static void give_memory(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;

    list_remove(&stream->all);
    if (conn->recycled_count >= RECYCLED_MAX) {
        free(stream);
        return;
    }
    stream->next = conn->recycled;
    conn->recycled = stream;
    conn->recycled_count++;
}

static bool is_peers(const struct h2_conn *conn, uint32_t id)
{
    return (id & 1) == (conn->role == H2_SERVER);
}

struct h2_stream *h2_stream_open(struct h2_conn *conn, uint32_t id)
{
    struct h2_stream *stream = table_reserve(conn) ? take_memory(conn) : NULL;

    if (!stream)
        return NULL;
    *stream = (struct h2_stream){
        .conn = conn,
        .id = id,
        .open = true,
        .send_window = (int32_t)conn->peer.stream_window,
        .recv_window = (int32_t)conn->recv_initial,
        .content_left = -1,
    };
    list_push(&conn->streams, &stream->all);
    list_init(&stream->waiting);
    table_put(conn, conn->table, conn->table_size, stream);
    conn->open_streams++;
    if (is_peers(conn, id))
        conn->peer_streams++;
    return stream;
}

/* Nobody may look at it any more: freed now, or when the event that runs has returned. */
static void bury(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;

    if (!conn->in_event) {
        give_memory(stream);
        return;
    }
    stream->next = conn->dead;
    conn->dead = stream;
}

void h2_enter(struct h2_conn *conn)
{
    assert(!conn->in_event);
    conn->in_event = true;
}

void h2_leave(struct h2_conn *conn)
{
    conn->in_event = false;
    while (conn->dead) {
        struct h2_stream *stream = conn->dead;

        conn->dead = stream->next;
        give_memory(stream);
    }
}

void h2_stream_close(struct h2_stream *stream)
{
    struct h2_conn *conn = stream->conn;

    assert(stream->open);
    table_remove(conn, stream);
    conn->open_streams--;
    if (is_peers(conn, stream->id))
        conn->peer_streams--;
    stream->open = false;
    stream->recv = stream->send = H2_HALF_ENDED;
    stream->blocked = H2_BLOCKED_NOT;
    list_remove(&stream->waiting);
    if (conn->data_stream == stream)
        conn->data_stream = NULL;
    if (!stream->announced)
        bury(stream);
}

static void remember_ended(struct h2_conn *conn, uint32_t id)
{
    conn->ended_ids[conn->ended_at++ % ENDED_RING] = id;
}

static void end_half(struct h2_stream *stream, uint8_t *half)
{
    assert(stream->open && *half != H2_HALF_ENDED);
    *half = H2_HALF_ENDED;
    if (stream->recv != H2_HALF_ENDED || stream->send != H2_HALF_ENDED)
        return;
    remember_ended(stream->conn, stream->id);
    h2_guard_completed(stream->conn);
    h2_stream_close(stream);
}

void h2_stream_end_recv(struct h2_stream *stream)
{
    end_half(stream, &stream->recv);
}

void h2_stream_end_send(struct h2_stream *stream)
{
    end_half(stream, &stream->send);
}

/* Frames may be on their way to a stream that we reset: they are no error (RFC 9113 section 5.1, closed). */
static void remember_reset(struct h2_conn *conn, uint32_t id)
{
    uint32_t *place;

    if (!conn->reset_ids)
        conn->reset_ids = calloc(RESET_RING, sizeof(uint32_t));
    if (!conn->reset_ids) {
        if (conn->reset_forgotten < id)
            conn->reset_forgotten = id;
        return;
    }
    place = &conn->reset_ids[conn->reset_at++ % RESET_RING];
    if (conn->reset_forgotten < *place)
        conn->reset_forgotten = *place;
    *place = id;
}

void h2_forget_resets(struct h2_conn *conn)
{
    for (unsigned i = 0; conn->reset_ids && i < RESET_RING; i++)
        if (conn->reset_forgotten < conn->reset_ids[i])
            conn->reset_forgotten = conn->reset_ids[i];
    free(conn->reset_ids);
    conn->reset_ids = NULL;
}

bool h2_was_reset(const struct h2_conn *conn, uint32_t id)
{
    if (id <= conn->reset_forgotten)
        return true;
    for (unsigned i = 0; conn->reset_ids && i < RESET_RING; i++)
        if (conn->reset_ids[i] == id)
            return true;
    return false;
}

bool h2_was_ended(const struct h2_conn *conn, uint32_t id)
{
    for (unsigned i = 0; i < ENDED_RING; i++)
        if (conn->ended_ids[i] == id)
            return true;
    return false;
}

bool h2_is_idle(const struct h2_conn *conn, uint32_t id)
{
    return is_peers(conn, id) ? id > conn->last_peer_id : id >= conn->next_id;
}

void h2_stream_lost(struct h2_stream *stream, struct h2_reset_info why)
{
    struct h2_conn *conn = stream->conn;
    bool tell = stream->announced && !stream->released;

    if (why.by == H2_BY_PEER)
        remember_ended(conn, stream->id);
    h2_stream_close(stream);
    if (tell)
        conn->events->on_reset(stream, why);
}

int h2_stream_abandon(struct h2_stream *stream, enum h2_error code, const char *detail)
{
    struct h2_conn *conn = stream->conn;
    int r = h2_put_rst(conn, stream->id, code);

    remember_reset(conn, stream->id);
    h2_stream_lost(stream, (struct h2_reset_info){H2_BY_US, code, detail});
    return r;
}

int h2_stream_fail(struct h2_stream *stream, enum h2_error code, const char *detail)
{
    struct h2_conn *conn = stream->conn;
    int r = h2_stream_abandon(stream, code, detail);

    if (conn->events->on_refused)
        conn->events->on_refused(conn, 0, code, detail);
    return r < 0 ? r : h2_guard_reset(conn);
}

int h2_refuse(struct h2_conn *conn, uint32_t id, enum h2_error code)
{
    int r;

    remember_reset(conn, id);
    r = h2_put_rst(conn, id, code);
    return r < 0 || mutation("refusals-without-limit") ? r : h2_guard_frame(conn);
}

void h2_reset(struct h2_stream *stream, uint32_t code)
{
    struct h2_conn *conn = stream->conn;
    uint8_t payload[4];

    if (!stream->open)
        return;
    if (!conn->failed) {
        bool unanswered = conn->role == H2_CLIENT && stream->recv == H2_HALF_HEAD;

        h2_set_u32(payload, code);
        if (!unanswered || h2_guard_may_take_back(conn))
            h2_put(conn, H2_FRAME_RST_STREAM, 0, stream->id, slice_of(payload, sizeof(payload)));
        remember_reset(conn, stream->id);
    }
    h2_stream_close(stream);
}

void h2_stream_release(struct h2_stream *stream)
{
    assert(stream->announced && !stream->released);
    if (stream->open)
        h2_reset(stream, stream->send == H2_HALF_ENDED ? H2_NO_ERROR : H2_CANCEL);
    if (stream->held) {
        h2_flow_credit(stream->conn, NULL, stream->held - stream->kept);
        stream->held = stream->kept = 0;
    }
    stream->released = true;
    bury(stream);
}
