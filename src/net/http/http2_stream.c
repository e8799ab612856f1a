#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/http/http2_internal.h"

enum { SPARE_STREAMS = 64 };

static struct http2_stream *stream_of(struct http_stream *stream)
{
    return CONTAINER_OF(stream, struct http2_stream, stream);
}

struct http2_stream *http2_stream_new(struct http2_conn *conn)
{
    struct http2_stream *s = conn->spare;

    if (s) {
        conn->spare = s->next_spare;
        conn->spare_count--;
    } else {
        s = malloc(sizeof(*s));
        if (!s)
            return NULL;
    }
    *s = (struct http2_stream){.stream.ops = &http2_stream_ops, .conn = conn};
    buffer_init(&s->held, 2 * (size_t)conn->config.stream_window); /* taken bytes in front included */
    list_init(&s->keeping);
    list_push(&conn->streams, &s->link);
    return s;
}

static void stream_free(struct http2_stream *s)
{
    buffer_release(&s->held);
    free(s);
}

void http2_stream_trim(struct http2_conn *conn)
{
    while (conn->spare) {
        struct http2_stream *s = conn->spare;

        conn->spare = s->next_spare;
        free(s);
    }
    conn->spare_count = 0;
}

void http2_recycle(struct task *task)
{
    struct http2_conn *conn = CONTAINER_OF(task, struct http2_conn, recycle);
    struct list *link;

    while ((link = list_pop(&conn->dead))) {
        struct http2_stream *s = CONTAINER_OF(link, struct http2_stream, link);

        if (conn->spare_count >= SPARE_STREAMS) {
            stream_free(s);
            continue;
        }
        buffer_release(&s->held);
        s->next_spare = conn->spare;
        conn->spare = s;
        conn->spare_count++;
    }
}

static void free_list(struct list *head)
{
    struct list *link;

    while ((link = list_pop(head)))
        stream_free(CONTAINER_OF(link, struct http2_stream, link));
}

void http2_streams_free(struct http2_conn *conn)
{
    free_list(&conn->streams);
    free_list(&conn->dead);
    http2_stream_trim(conn);
}

/* Between the moment something is held and the moment all of it was taken. */
static bool is_holding(const struct http2_stream *s)
{
    return s->held.len > 0;
}

static void drop_held(struct http2_stream *s)
{
    http2_kept_forget(s, s->held.len - s->held_at);
    buffer_release(&s->held);
    s->held_at = 0;
}

/* --- what arrives: from the engine to the owner --- */

static void tell_reset(struct http2_stream *s, struct http_reset reset)
{
    if (s->over)
        return;
    s->over = true;
    drop_held(s);
    s->stream.events->on_reset(&s->stream, reset);
}

void http2_stream_shed(struct http2_stream *s)
{
    h2_reset(s->h2, H2_ENHANCE_YOUR_CALM);
    http2_wake_flush(s->conn);
    tell_reset(s, (struct http_reset){HTTP_ERROR_LIMIT, H2_ENHANCE_YOUR_CALM, "too much is kept for slow readers"});
}

void http2_streams_reset(struct http2_conn *conn, bool unsent_only)
{
    struct list *link = conn->streams.next;

    while (link != &conn->streams) {
        struct http2_stream *s = CONTAINER_OF(link, struct http2_stream, link);

        link = link->next;
        if (s->over || (unsent_only && s->h2))
            continue;
        tell_reset(s, conn->why);
        link = conn->streams.next; /* the owner may have released others */
    }
}

static struct arena *head_arena(struct h2_stream *h2)
{
    struct http2_stream *s = h2->user;

    return s ? s->arena : http2_server_begin(h2->conn->owner, h2);
}

static void on_head(struct h2_stream *h2, struct http_head *head, bool end)
{
    struct http2_stream *s = h2->user;

    if (s->over)
        return;
    if (s->conn->is_server)
        s->bodyless = slice_eq(head->method, SLICE_LIT("HEAD"));
    if (head->status && head->status < 200)
        s->stream.events->on_interim(&s->stream, head);
    else
        s->stream.events->on_head(&s->stream, head, end);
}

/* Offers bytes to the owner, and credits the peer with what was taken. */
static size_t offer(struct http2_stream *s, struct slice bytes, bool end)
{
    size_t taken;

    s->offer_again = false;
    s->offering = true;
    taken = s->stream.events->on_data(&s->stream, bytes, end);
    s->offering = false;
    if (taken && !s->released) {
        h2_consume(s->h2, taken);
        http2_wake_flush(s->conn);
    }
    return taken;
}

/* Memory for what the owner is slow to take cannot be had: the stream ends, the connection goes on. */
static void give_up(struct http2_stream *s)
{
    h2_reset(s->h2, H2_INTERNAL_ERROR);
    http2_wake_flush(s->conn);
    tell_reset(s, (struct http_reset){HTTP_ERROR_MEMORY, H2_INTERNAL_ERROR, "no memory for a body"});
}

static bool hold(struct http2_stream *s, struct slice bytes, bool end)
{
    if (s->held_at > s->held.len / 2) {
        buffer_drop(&s->held, s->held_at);
        s->held_at = 0;
    }
    if (buffer_add(&s->held, bytes) < 0) {
        give_up(s);
        return false;
    }
    http2_kept_add(s, bytes.len);
    s->held_end |= end;
    return true;
}

/* Offers what is held until the owner takes no more, and then what waits behind it. */
static void offer_held(struct http2_stream *s)
{
    size_t taken;

    if (s->offering) {
        s->offer_again = true; /* the owner resumes inside its own on_data */
        return;
    }
    do {
        struct slice rest = slice_skip(buffer_slice(&s->held), s->held_at);

        taken = offer(s, rest, s->held_end);
        if (s->over)
            return;
        s->held_at += taken;
        http2_kept_taken(s, taken);
    } while (s->offer_again && taken && s->held_at < s->held.len);
    if (s->held_at < s->held.len)
        return;
    drop_held(s);
    if (s->held_trailers)
        s->stream.events->on_trailers(&s->stream, s->trailers, s->trailer_count);
    if (s->held_reset)
        tell_reset(s, s->reset);
}

static void on_data(struct h2_stream *h2, struct slice bytes, bool end)
{
    struct http2_stream *s = h2->user;
    size_t taken;

    if (s->over)
        return;
    if (is_holding(s)) {
        hold(s, bytes, end);
        return;
    }
    taken = offer(s, bytes, end);
    if (s->over || taken == bytes.len)
        return;
    if (hold(s, slice_skip(bytes, taken), end) && s->offer_again)
        offer_held(s);
}

static void on_trailers(struct h2_stream *h2, const struct http_field *fields, unsigned count)
{
    struct http2_stream *s = h2->user;
    struct http_field *kept;

    if (s->over)
        return;
    if (!is_holding(s)) {
        s->stream.events->on_trailers(&s->stream, fields, count);
        return;
    }
    kept = arena_alloc(s->arena, count * sizeof(*kept));
    if (!kept) {
        give_up(s);
        return;
    }
    if (count)
        memcpy(kept, fields, count * sizeof(*kept));
    s->trailers = kept;
    s->trailer_count = count;
    s->held_trailers = true;
}

static struct http_reset reset_of(const struct http2_conn *conn, struct h2_reset_info why)
{
    switch (why.by) {
    case H2_BY_PEER:
        return (struct http_reset){why.code == H2_REFUSED_STREAM ? HTTP_ERROR_REFUSED : HTTP_ERROR_RESET, why.code,
                                   why.detail};
    case H2_BY_US:
        if (why.code == H2_INTERNAL_ERROR)
            return (struct http_reset){HTTP_ERROR_MEMORY, why.code, why.detail};
        if (why.code == H2_ENHANCE_YOUR_CALM || why.code == H2_CANCEL)
            return (struct http_reset){HTTP_ERROR_LIMIT, why.code, why.detail};
        return (struct http_reset){HTTP_ERROR_PROTOCOL, why.code, why.detail};
    default:
        return conn->why;
    }
}

static void on_reset(struct h2_stream *h2, struct h2_reset_info why)
{
    struct http2_stream *s = h2->user;
    struct http_reset reset = reset_of(s->conn, why);
    bool whole = s->held_end || s->held_trailers;

    if (s->over)
        return;
    /* A message that came whole is not lost by what comes after it (RFC 9113 section 8.1). */
    if (is_holding(s) && whole && (why.by == H2_BY_CONNECTION || why.code == H2_NO_ERROR)) {
        s->reset = reset;
        s->held_reset = true;
        return;
    }
    tell_reset(s, reset);
}

static void on_writable(struct h2_stream *h2)
{
    struct http2_stream *s = h2->user;

    s->blocked_ns = 0;
    if (!s->over)
        s->stream.events->on_writable(&s->stream);
}

static void on_settings(struct h2_conn *h2)
{
    struct http2_conn *conn = h2->owner;

    task_wake(conn->loop, &conn->run); /* the client's state may be another */
}

static void on_goaway(struct h2_conn *h2, uint32_t last_id, uint32_t code)
{
    struct http2_conn *conn = h2->owner;

    if (conn->is_server)
        return; /* a client's GOAWAY forbids pushes only */
    conn->drain = HTTP2_DRAIN_LAST;
    conn->why = (struct http_reset){code ? HTTP_ERROR_GOAWAY : HTTP_ERROR_NONE, code, "GOAWAY"};
    task_wake(conn->loop, &conn->run);
}

static void on_ping_ack(struct h2_conn *h2, uint64_t payload)
{
    struct http2_conn *conn = h2->owner;

    conn->ping_out = false;
    if (conn->drain == HTTP2_DRAIN_NOTICE)
        http2_drain(conn);
}

static void on_refused(struct h2_conn *h2, unsigned status, uint32_t code, const char *detail)
{
    struct http2_conn *conn = h2->owner;

    if (conn->is_server && conn->server.events->on_refused)
        conn->server.events->on_refused(&conn->server, (int)status, detail);
}

const struct h2_events http2_stream_events = {
    .head_arena = head_arena,
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_reset = on_reset,
    .on_writable = on_writable,
    .on_settings = on_settings,
    .on_goaway = on_goaway,
    .on_ping_ack = on_ping_ack,
    .on_refused = on_refused,
};

/* --- what is sent: from the owner to the engine --- */

/* A failure that the owner is told by the return value is not told again by on_reset. */
static int sent(struct http2_stream *s, int r)
{
    if (r < 0)
        s->over = true;
    http2_wake_flush(s->conn);
    return r;
}

static int send_head(struct http_stream *stream, const struct http_head *head, bool end)
{
    struct http2_stream *s = stream_of(stream);

    if (s->over)
        return -EPIPE;
    if (s->conn->is_server) {
        s->bodyless |= head->status == 204 || head->status == 304;
        return sent(s, h2_respond(s->h2, head, end));
    }
    return sent(s, h2_request(&s->conn->h2, head, end, s, &s->h2));
}

static void note_blocked(struct http2_stream *s)
{
    struct http2_conn *conn = s->conn;

    if (s->blocked_ns || !conn->stall_timeout_ns)
        return;
    s->blocked_ns = conn->loop->now_ns;
    if (conn->stall_ns)
        return;
    conn->stall_ns = s->blocked_ns + conn->stall_timeout_ns;
    http2_set_upkeep(conn);
}

int64_t http2_end_stalled(struct http2_conn *conn)
{
    struct list *link = conn->streams.next;
    int64_t next = 0;

    while (link != &conn->streams) {
        struct http2_stream *s = CONTAINER_OF(link, struct http2_stream, link);
        int64_t at = s->blocked_ns + conn->stall_timeout_ns;

        link = link->next;
        if (s->over || !s->blocked_ns)
            continue;
        if (at > conn->loop->now_ns) {
            next = next && next < at ? next : at;
            continue;
        }
        h2_reset(s->h2, H2_CANCEL);
        http2_wake_flush(conn);
        tell_reset(s, (struct http_reset){HTTP_ERROR_LIMIT, ETIMEDOUT, "the peer opens no window"});
        link = conn->streams.next; /* the owner may have released others */
        next = 0;
    }
    return next;
}

static ssize_t send_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct http2_stream *s = stream_of(stream);
    ssize_t n;

    if (s->over || !s->h2)
        return -EPIPE;
    n = h2_data(s->h2, s->bodyless ? SLICE_NULL : bytes, end);
    if (n == -ENOMEM && !s->conn->h2.failed) {
        s->starved = true; /* no page now: on_writable comes when it is time to try again */
        http2_starve(s->conn);
        return 0;
    }
    if (n >= 0 && (size_t)n < bytes.len && !s->bodyless)
        note_blocked(s);
    if (n != 0 || end)
        sent(s, n < 0 ? (int)n : 0);
    return s->bodyless && n >= 0 ? (ssize_t)bytes.len : n;
}

void http2_feed_starved(struct http2_conn *conn)
{
    struct list *link = conn->streams.next;

    while (link != &conn->streams) {
        struct http2_stream *s = CONTAINER_OF(link, struct http2_stream, link);

        link = link->next;
        if (!s->starved)
            continue;
        s->starved = false;
        if (!s->over)
            s->stream.events->on_writable(&s->stream);
        link = conn->streams.next; /* the owner may have released others */
    }
}

static int send_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct http2_stream *s = stream_of(stream);

    if (s->over || !s->h2)
        return -EPIPE;
    return sent(s, h2_trailers(s->h2, fields, count));
}

static void resume(struct http_stream *stream)
{
    struct http2_stream *s = stream_of(stream);

    if (!s->over && (s->offering || is_holding(s)))
        offer_held(s);
}

/* The owner's wish. A connection on which too much was taken back ends before the peer ends it under everybody. */
static void take_back(struct http2_stream *s, uint32_t code)
{
    struct http2_conn *conn = s->conn;

    h2_reset(s->h2, code);
    if (!conn->is_server && h2_is_spent(&conn->h2))
        http2_drain(conn);
}

static void reset(struct http_stream *stream, uint32_t h2_code)
{
    struct http2_stream *s = stream_of(stream);

    if (s->over)
        return;
    s->over = true;
    drop_held(s);
    if (s->h2) {
        take_back(s, h2_code);
        http2_wake_flush(s->conn);
    }
}

static void release(struct http_stream *stream)
{
    struct http2_stream *s = stream_of(stream);
    struct http2_conn *conn = s->conn;

    s->released = s->over = true;
    drop_held(s);
    if (s->h2) {
        if (!conn->is_server)
            take_back(s, H2_CANCEL); /* an answer is not wanted any more; nothing if it has come */
        h2_stream_release(s->h2);
        s->h2 = NULL;
        http2_wake_flush(conn);
    }
    list_remove(&s->link);
    list_push(&conn->dead, &s->link);
    dispose_wake(conn->loop, &conn->recycle);
    if (conn->is_server ? --conn->server.streams == 0 : --conn->client.streams == 0)
        http2_became_idle(conn);
    if (conn->state != HTTP2_OPEN || (!conn->is_server && conn->client.state != HTTP_CLIENT_READY))
        task_wake(conn->loop, &conn->run);
}

const struct http_stream_ops http2_stream_ops = {
    .send_head = send_head,
    .send_data = send_data,
    .send_trailers = send_trailers,
    .resume = resume,
    .reset = reset,
    .release = release,
};
