#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "net/http/http2_internal.h"

enum { READS_PER_TURN = 4 };

static const int64_t TRIM_AFTER_NS = 2 * NS_PER_S;      /* idle for so long: give back what is kept for speed */
/*
 * For the ping's answer before the last GOAWAY, which takes back what the peer has sent meanwhile and cannot send again when it is
 * a body. Long, because the ping stands behind all that is under way on a slow link; peers that never answer are not many.
 */
static const int64_t DRAIN_WAIT_NS = 10 * NS_PER_S;
static const int64_t LINGER_NS = 1 * NS_PER_S;          /* for the peer's end, so that it can read our last words */
static const int64_t STARVED_RETRY_NS = 10 * NS_PER_MS; /* no page to read into */

static unsigned streams_open(const struct http2_conn *conn)
{
    return conn->is_server ? conn->server.streams : conn->client.streams;
}

void http2_wake_flush(struct http2_conn *conn)
{
    if (!chain_empty(&conn->out))
        flush_wake(conn->loop, &conn->flush);
    if (conn->h2.failed && conn->state == HTTP2_OPEN)
        task_wake(conn->loop, &conn->run);
}

/* --- time --- */

static int64_t earlier(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

static int64_t ping_deadline(const struct http2_conn *conn)
{
    if (!conn->ping_interval_ns)
        return INT64_MAX;
    return conn->ping_out ? conn->ping_ns + conn->ping_timeout_ns : conn->read_ns + conn->ping_interval_ns;
}

static int64_t head_deadline(const struct http2_conn *conn)
{
    if (!conn->head_timeout_ns)
        return INT64_MAX;
    if (!conn->h2.settings_seen)
        return conn->started_ns + conn->head_timeout_ns;
    return conn->block_ns ? conn->block_ns + conn->head_timeout_ns : INT64_MAX;
}

static int64_t idle_deadline(const struct http2_conn *conn)
{
    int64_t at = INT64_MAX;

    if (streams_open(conn))
        return INT64_MAX;
    if (!conn->trimmed)
        at = conn->idle_ns + TRIM_AFTER_NS;
    if (conn->idle_timeout_ns && conn->drain == HTTP2_DRAIN_NO)
        at = earlier(at, conn->idle_ns + conn->idle_timeout_ns);
    return at;
}

static int64_t next_deadline(const struct http2_conn *conn)
{
    int64_t at = INT64_MAX;

    if (conn->state == HTTP2_LINGERING)
        return conn->linger_ns;
    if (conn->state != HTTP2_OPEN)
        return INT64_MAX;
    at = earlier(ping_deadline(conn), earlier(head_deadline(conn), idle_deadline(conn)));
    if (conn->drain == HTTP2_DRAIN_NOTICE)
        at = earlier(at, conn->drain_ns + DRAIN_WAIT_NS);
    if (conn->starved)
        at = earlier(at, conn->starved_ns);
    if (conn->stall_ns)
        at = earlier(at, conn->stall_ns);
    return at;
}

/* Deadlines that moved later are left to the timer, which looks again when it fires. */
void http2_set_upkeep(struct http2_conn *conn)
{
    int64_t at = next_deadline(conn);

    if (at < conn->upkeep.deadline_ns)
        timer_set(conn->loop, &conn->upkeep, at);
}

static void upkeep(struct timer *timer)
{
    struct http2_conn *conn = CONTAINER_OF(timer, struct http2_conn, upkeep);

    task_wake(conn->loop, &conn->run);
}

void http2_became_idle(struct http2_conn *conn)
{
    conn->idle_ns = conn->loop->now_ns;
    conn->trimmed = false;
    if (!conn->is_server)
        conn->client.idle_since_ns = conn->idle_ns;
    if (!timer_is_set(&conn->upkeep) || conn->upkeep.deadline_ns > conn->idle_ns + TRIM_AFTER_NS)
        http2_set_upkeep(conn);
    if (conn->drain == HTTP2_DRAIN_LAST)
        task_wake(conn->loop, &conn->run);
}

/* Sends a ping when nothing was read for the interval. False: the peer does not answer. */
static bool keep_alive(struct http2_conn *conn)
{
    int64_t now = conn->loop->now_ns;

    if (now < ping_deadline(conn))
        return true;
    if (conn->ping_out)
        return false;
    if (!streams_open(conn) && !conn->ping_while_idle) {
        conn->read_ns = now; /* looks again in an interval */
        return true;
    }
    conn->ping_out = true;
    conn->ping_ns = now;
    (void)h2_ping(&conn->h2, (uint64_t)now);
    http2_wake_flush(conn);
    return true;
}

void http2_starve(struct http2_conn *conn)
{
    conn->starved = true;
    conn->starved_ns = conn->loop->now_ns + STARVED_RETRY_NS;
    http2_set_upkeep(conn);
}

static void trim(struct http2_conn *conn)
{
    if (streams_open(conn) || conn->trimmed || conn->loop->now_ns < conn->idle_ns + TRIM_AFTER_NS)
        return;
    conn->trimmed = true;
    h2_trim(&conn->h2);
    http2_stream_trim(conn);
}

/* Everything that waits for a time, looked at on each run: a few comparisons. */
static void look_at_the_clock(struct http2_conn *conn)
{
    int64_t now = conn->loop->now_ns;

    if (conn->starved && now >= conn->starved_ns) {
        conn->starved = false;
        http2_feed_starved(conn);
    }
    if (conn->stall_ns && now >= conn->stall_ns)
        conn->stall_ns = http2_end_stalled(conn);
    trim(conn);
    if (!keep_alive(conn)) {
        http2_end(conn, (struct http_reset){HTTP_ERROR_CLOSED, ETIMEDOUT, "no answer to a ping"});
        return;
    }
    if (now >= head_deadline(conn)) {
        (void)h2_goaway(&conn->h2, H2_NO_ERROR);
        http2_end(conn, (struct http_reset){HTTP_ERROR_CLOSED, ETIMEDOUT, "a head took too long"});
        return;
    }
    if (conn->idle_timeout_ns && !streams_open(conn) && conn->drain == HTTP2_DRAIN_NO &&
        now >= conn->idle_ns + conn->idle_timeout_ns)
        http2_drain(conn);
    if (conn->drain == HTTP2_DRAIN_NOTICE && now >= conn->drain_ns + DRAIN_WAIT_NS)
        http2_drain(conn);
}

/* --- bytes --- */

static void note_read(struct http2_conn *conn)
{
    conn->read_ns = conn->loop->now_ns;
    if (!conn->h2.block_stream)
        conn->block_ns = 0;
    else if (!conn->block_ns)
        conn->block_ns = conn->loop->now_ns;
}

/* One read, fed to the engine. False when there is no more for now, or no sense in more. */
static bool read_once(struct http2_conn *conn, struct page *page)
{
    ssize_t n = io_read(conn->stack, page->data, LIMIT_BUFFER_PAGE);

    if (n == -EAGAIN)
        return false;
    if (n <= 0) {
        conn->eof = true;
        return false;
    }
    if (h2_input(&conn->h2, slice_of(page->data, (size_t)n), conn->loop->now_ns) < 0)
        return false;
    note_read(conn);
    return io_pending(conn->stack);
}

static void read_input(struct http2_conn *conn)
{
    struct page *page;
    int reads = 0;

    conn->read_again = false;
    if (!io_pending(conn->stack))
        return;
    page = page_borrow(&conn->loop->pages);
    if (!page) {
        http2_starve(conn);
        return;
    }
    while (read_once(conn, page))
        if (++reads == READS_PER_TURN) {
            conn->read_again = true;
            flush_wake(conn->loop, &conn->flush); /* which wakes us for the next turn */
            break;
        }
    page_return(&conn->loop->pages, page);
    http2_wake_flush(conn);
}

static void discard_input(struct http2_conn *conn)
{
    char junk[4096];

    for (int i = 0; i < 16; i++) {
        ssize_t n = io_read(conn->stack, junk, sizeof(junk));

        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            conn->eof = true;
            return;
        }
    }
    conn->eof = true; /* a peer that goes on sending is not waited for */
}

/* Also what the filters below hold back: they take whole records and pass them on as the kernel lets them. */
static bool all_sent(const struct http2_conn *conn)
{
    return chain_empty(&conn->out) && !conn->unflushed;
}

/* Writes once; room that came of it is told to streams, whose bytes leave in the next turn at the latest. */
static void flush(struct task *task)
{
    struct http2_conn *conn = CONTAINER_OF(task, struct http2_conn, flush);
    size_t before = conn->out.len;
    int r = conn->state == HTTP2_OPEN ? io_write_chain(conn->stack, &conn->out) : 0;

    conn->unflushed = r == -EAGAIN;
    if (conn->read_again || (r < 0 && r != -EAGAIN))
        task_wake(conn->loop, &conn->run);
    if (conn->state != HTTP2_OPEN)
        return;
    if (conn->out.len < before)
        (void)h2_out_drained(&conn->h2);
    if (r == 0 && !chain_empty(&conn->out))
        task_wake(conn->loop, &conn->run); /* on_writable produced more */
    if (conn->h2.failed || (conn->drain != HTTP2_DRAIN_NO && all_sent(conn)))
        task_wake(conn->loop, &conn->run);
}

/* --- the end --- */

void http2_end(struct http2_conn *conn, struct http_reset why)
{
    if (conn->state != HTTP2_OPEN)
        return;
    conn->why = why;
    if (!conn->stack->error)
        (void)io_write_chain(conn->stack, &conn->out);
    conn->state = HTTP2_LINGERING;
    conn->linger_ns = conn->loop->now_ns + LINGER_NS;
    if (!conn->is_server || conn->eof || conn->stack->error || io_shutdown(conn->stack) < 0)
        conn->eof = true; /* a client has heard all that it wants to hear */
    h2_close(&conn->h2);
    http2_streams_reset(conn, true);
    chain_clear(&conn->out);
}

static struct http_reset reason_of_eof(const struct http2_conn *conn)
{
    /* Nobody lost anything; a peer that closes in answer to GOAWAY may do so with a reset. */
    if (streams_open(conn) == 0 && (conn->drain != HTTP2_DRAIN_NO || (conn->is_server && !conn->stack->error)))
        return (struct http_reset){HTTP_ERROR_NONE, 0, NULL};
    if (conn->why.error == HTTP_ERROR_GOAWAY)
        return conn->why;
    if (conn->stack->error)
        return (struct http_reset){HTTP_ERROR_CLOSED, (uint32_t)-conn->stack->error, "the connection broke"};
    return (struct http_reset){HTTP_ERROR_CLOSED, 0, "the peer closed the connection"};
}

static void look_for_the_end(struct http2_conn *conn)
{
    if (conn->h2.failed) {
        if (conn->is_server && conn->server.events->on_refused && conn->h2.failed == -EPROTO)
            conn->server.events->on_refused(&conn->server, 0, conn->h2.detail);
        http2_end(conn, (struct http_reset){conn->h2.failed == -ENOMEM ? HTTP_ERROR_MEMORY : HTTP_ERROR_PROTOCOL,
                                            conn->h2.error, conn->h2.detail});
    } else if (conn->eof || conn->stack->error) {
        http2_end(conn, reason_of_eof(conn));
    } else if (conn->drain == HTTP2_DRAIN_LAST && streams_open(conn) == 0 && all_sent(conn)) {
        http2_end(conn, conn->why);
    }
}

/* The steps of the end, each waiting for what it waits for. */
static void finish(struct http2_conn *conn)
{
    if (conn->state == HTTP2_LINGERING) {
        if (!conn->eof)
            discard_input(conn);
        if (conn->eof || conn->loop->now_ns >= conn->linger_ns)
            conn->state = HTTP2_WAITING;
    }
    if (conn->state != HTTP2_WAITING || streams_open(conn))
        return; /* a release wakes us */
    conn->state = HTTP2_ENDED;
    timer_cancel(&conn->upkeep);
    task_cancel(&conn->flush);
    if (conn->is_server)
        conn->server.events->on_closed(&conn->server, conn->why);
}

static void run(struct task *task)
{
    struct http2_conn *conn = CONTAINER_OF(task, struct http2_conn, run);

    if (conn->state == HTTP2_OPEN)
        read_input(conn);
    if (conn->state == HTTP2_OPEN)
        look_at_the_clock(conn);
    if (conn->state == HTTP2_OPEN)
        look_for_the_end(conn);
    if (conn->state != HTTP2_OPEN && conn->state != HTTP2_ENDED)
        finish(conn);
    if (conn->state == HTTP2_OPEN && !all_sent(conn) && conn->stack->writable)
        flush_wake(conn->loop, &conn->flush);
    http2_set_upkeep(conn);
    if (!conn->is_server)
        http2_client_tell_state(conn);
}

/*
 * Server: first the notice and a ping; when its answer shows that the peer has heard (or after a second), the last
 * id. Client: no new requests; GOAWAY is sent with the end.
 */
void http2_drain(struct http2_conn *conn)
{
    if (conn->state != HTTP2_OPEN || conn->drain == HTTP2_DRAIN_LAST)
        return;
    if (conn->is_server && conn->drain == HTTP2_DRAIN_NO) {
        conn->drain = HTTP2_DRAIN_NOTICE;
        conn->drain_ns = conn->loop->now_ns;
        if (!mutation("goaway-not-sent"))
            (void)h2_goaway_notice(&conn->h2);
        (void)h2_ping(&conn->h2, (uint64_t)conn->drain_ns);
    } else {
        conn->drain = HTTP2_DRAIN_LAST;
        if (!mutation("goaway-not-sent"))
            (void)h2_goaway(&conn->h2, H2_NO_ERROR);
    }
    http2_wake_flush(conn);
    task_wake(conn->loop, &conn->run);
}

/* --- birth --- */

int http2_conn_init(struct http2_conn *conn, struct io_stack *stack, bool is_server)
{
    int r;

    conn->stack = stack;
    conn->loop = stack->loop;
    conn->is_server = is_server;
    conn->started_ns = conn->read_ns = conn->idle_ns = stack->loop->now_ns;
    conn->trimmed = true;
    if (!conn->config.stream_window)
        conn->config.stream_window = LIMIT_H2_STREAM_WINDOW;
    conn->config.hash_salt = (uint32_t)rng_next(&conn->loop->rng);
    list_init(&conn->streams);
    list_init(&conn->dead);
    task_init(&conn->run, run);
    task_init(&conn->flush, flush);
    task_init(&conn->recycle, http2_recycle);
    chain_init(&conn->out, &conn->loop->pages);
    r = timer_init(conn->loop, &conn->upkeep, upkeep);
    if (r < 0)
        return r;
    r = h2_init(&conn->h2, is_server ? H2_SERVER : H2_CLIENT, &conn->config, &http2_stream_events, conn, &conn->out);
    if (r < 0) {
        timer_release(conn->loop, &conn->upkeep);
        chain_clear(&conn->out);
        return r;
    }
    http2_wake_flush(conn);
    http2_set_upkeep(conn);
    task_wake(conn->loop, &conn->run); /* there may be bytes in the stack already */
    return 0;
}

void http2_conn_release(struct http2_conn *conn)
{
    conn->why = (struct http_reset){HTTP_ERROR_CLOSED, 0, "the connection was given up"};
    http2_streams_reset(conn, false);
    task_cancel(&conn->run);
    task_cancel(&conn->flush);
    task_cancel(&conn->recycle);
    timer_release(conn->loop, &conn->upkeep);
    h2_release(&conn->h2);
    http2_streams_free(conn);
    chain_clear(&conn->out);
}
