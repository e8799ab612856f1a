#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "net/http/http1_internal.h"

enum { READS_PER_TURN = 4, BIG_HEAD = LIMIT_HTTP_START_LINE + LIMIT_HTTP_HEAD + 4096 };

static const int64_t FLUSH_NS = 30 * NS_PER_S;  /* for a peer that reads nothing of the last response */
static const int64_t LINGER_NS = 1 * NS_PER_S;  /* for its end after ours */
static const int64_t DISCARD_NS = 10 * NS_PER_S; /* for the rest of a body that nobody wants */
static const int64_t STARVED_RETRY_NS = 10 * NS_PER_MS;

/* --- input --- */

struct slice http1_input(const struct http1_conn *conn)
{
    if (conn->big)
        return buffer_slice(conn->big);
    return conn->in ? slice_of(conn->in->data + conn->in->start, conn->in->end - conn->in->start) : SLICE_NULL;
}

static void free_big(struct http1_conn *conn)
{
    if (!conn->big)
        return;
    buffer_release(conn->big);
    free(conn->big);
    conn->big = NULL;
}

static void free_input(struct http1_conn *conn)
{
    page_return(&conn->loop->pages, conn->in);
    conn->in = NULL;
    free_big(conn);
}

void http1_input_drop(struct http1_conn *conn, size_t n)
{
    if (n == 0)
        return;
    if (conn->big) {
        buffer_drop(conn->big, n);
        if (conn->big->len == 0)
            free_big(conn);
        return;
    }
    conn->in->start += (uint32_t)n;
    if (conn->in->start == conn->in->end)
        free_input(conn);
}

/* A head that fills the page goes on in a buffer of its own. */
static bool grow_big(struct http1_conn *conn)
{
    struct buffer *big = malloc(sizeof(*big));

    if (!big)
        return false;
    buffer_init(big, BIG_HEAD);
    if (buffer_add(big, http1_input(conn)) < 0) {
        free(big);
        return false;
    }
    page_return(&conn->loop->pages, conn->in);
    conn->in = NULL;
    conn->big = big;
    return true;
}

static char *big_room(struct http1_conn *conn, size_t len)
{
    char *room = len ? buffer_room(conn->big, len) : NULL;

    conn->starved = len && !room;
    return room;
}

static bool reads_head(const struct http1_conn *conn)
{
    return (conn->rx == HTTP1_RX_HEAD && (conn->active || conn->is_server)) || conn->rx == HTTP1_RX_TRAILERS;
}

/* Where to read to, or NULL when the input is full, or without memory (then `starved`). */
static char *input_room(struct http1_conn *conn, size_t *ret_len)
{
    struct page *page;

    conn->starved = false;
    if (!conn->in && !conn->big) {
        conn->in = page_borrow(&conn->loop->pages);
        conn->starved = !conn->in;
        if (!conn->in)
            return NULL;
    }
    page = conn->in;
    if (page && page->end == LIMIT_BUFFER_PAGE && page->start > 0) {
        memmove(page->data, page->data + page->start, page->end - page->start);
        page->end -= page->start;
        page->start = 0;
    }
    if (page && page->end < LIMIT_BUFFER_PAGE) {
        *ret_len = LIMIT_BUFFER_PAGE - page->end;
        return page->data + page->end;
    }
    if (!reads_head(conn) || (page && !grow_big(conn)))
        return NULL;
    *ret_len = BIG_HEAD - conn->big->len < LIMIT_BUFFER_PAGE ? BIG_HEAD - conn->big->len : LIMIT_BUFFER_PAGE;
    return big_room(conn, *ret_len);
}

static void input_grew(struct http1_conn *conn, size_t n)
{
    if (conn->big)
        buffer_grew(conn->big, n);
    else
        conn->in->end += (uint32_t)n;
}

/* What a failed read borrowed for nothing goes back. */
static void trim_input(struct http1_conn *conn)
{
    if (http1_input(conn).len == 0)
        free_input(conn);
}

/*
 * The input is full, because what a client sends is taken by nobody; one that is gone meanwhile would never be
 * noticed, since the error lies behind bytes that are not read.
 */
static bool gone_unread(struct http1_conn *conn)
{
    if (!conn->is_server || !conn->stack->broken || conn->starved || mutation("vanished-uploads-kept"))
        return false;
    if (!conn->stack->error)
        conn->stack->error = -ECONNRESET;
    conn->eof = true;
    return true;
}

static bool read_once(struct http1_conn *conn)
{
    size_t room;
    char *to;
    ssize_t n;

    if (conn->eof || !io_pending(conn->stack))
        return false;
    to = input_room(conn, &room);
    if (!to)
        return gone_unread(conn);
    n = io_read(conn->stack, to, room);
    input_grew(conn, n > 0 ? (size_t)n : 0);
    if (n > 0)
        return true;
    trim_input(conn);
    if (n == -EAGAIN)
        return false;
    conn->eof = true;
    return true; /* the end is something to process */
}

static void discard_input(struct http1_conn *conn)
{
    char junk[4096];

    for (int i = 0; i < 16 && !conn->eof; i++) {
        ssize_t n = io_read(conn->stack, junk, sizeof(junk));

        if (n == -EAGAIN)
            return;
        if (n <= 0)
            conn->eof = true;
    }
    conn->eof = true; /* a peer that goes on sending is not waited for */
}

/* --- time --- */

static int64_t next_deadline(const struct http1_conn *conn)
{
    switch (conn->state) {
    case HTTP1_FLUSHING: return conn->since_ns + FLUSH_NS;
    case HTTP1_LINGERING: return conn->since_ns + LINGER_NS;
    case HTTP1_OPEN: break;
    default: return INT64_MAX;
    }
    if (conn->starved)
        return conn->loop->now_ns + STARVED_RETRY_NS;
    if (conn->active)
        return conn->blocked && conn->stall_timeout_ns ? conn->blocked_ns + conn->stall_timeout_ns : INT64_MAX;
    if (http1_is_discarding(conn))
        return conn->since_ns + DISCARD_NS;
    if (conn->head_begun)
        return conn->head_timeout_ns && !mutation("heads-without-end") ? conn->since_ns + conn->head_timeout_ns : INT64_MAX;
    return conn->idle_timeout_ns ? conn->since_ns + conn->idle_timeout_ns : INT64_MAX;
}

/* A deadline that moved later is left to the timer, which looks again when it fires. */
void http1_set_upkeep(struct http1_conn *conn)
{
    int64_t at = next_deadline(conn);

    if (at < conn->upkeep.deadline_ns)
        timer_set(conn->loop, &conn->upkeep, at);
}

static void upkeep(struct timer *timer)
{
    struct http1_conn *conn = CONTAINER_OF(timer, struct http1_conn, upkeep);

    task_wake(conn->loop, &conn->run);
}

void http1_block(struct http1_conn *conn)
{
    if (!conn->blocked)
        conn->blocked_ns = conn->loop->now_ns;
    conn->blocked = true;
    if (conn->starved || conn->stall_timeout_ns)
        http1_set_upkeep(conn);
}

/* --- output --- */

void http1_wake_flush(struct http1_conn *conn)
{
    flush_wake(conn->loop, &conn->flush);
}

static void write_failed(struct http1_conn *conn)
{
    conn->write_broken = true;
    chain_clear(&conn->out);
    task_wake(conn->loop, &conn->run);
}

static void half_close(struct http1_conn *conn)
{
    int r = io_shutdown(conn->stack);

    if (r == -EAGAIN)
        return; /* goes on when writable */
    conn->shut = true;
    if (r < 0)
        write_failed(conn);
}

static void tell_writable(struct http1_conn *conn)
{
    if (!conn->blocked || conn->over || conn->out.len > LIMIT_CONN_OUT / 2)
        return;
    conn->blocked = false;
    conn->stream.events->on_writable(&conn->stream);
}

static void flush(struct task *task)
{
    struct http1_conn *conn = CONTAINER_OF(task, struct http1_conn, flush);
    size_t before = conn->out.len;
    int r;

    if (conn->read_again)
        task_wake(conn->loop, &conn->run);
    if (conn->state > HTTP1_FLUSHING || conn->write_broken)
        return;
    r = io_write_chain(conn->stack, &conn->out);
    conn->unflushed = r == -EAGAIN;
    if (r < 0 && r != -EAGAIN) {
        write_failed(conn);
        return;
    }
    if (conn->state == HTTP1_FLUSHING) {
        if (conn->out.len < before)
            conn->since_ns = conn->loop->now_ns;
        if (r == 0)
            task_wake(conn->loop, &conn->run);
        return;
    }
    if (conn->out.len < before)
        conn->blocked_ns = conn->loop->now_ns;
    if (r == 0 && conn->shut_after && !conn->shut)
        half_close(conn);
    tell_writable(conn);
    if (r == 0 && !chain_empty(&conn->out))
        task_wake(conn->loop, &conn->run); /* on_writable gave more: it leaves in the next turn */
}

/* --- the end --- */

struct http_reset http1_reason_of_eof(const struct http1_conn *conn)
{
    if (conn->stack->error)
        return (struct http_reset){HTTP_ERROR_CLOSED, (uint32_t)-conn->stack->error, "the connection broke"};
    return (struct http_reset){HTTP_ERROR_CLOSED, 0, "the peer closed the connection"};
}

void http1_end(struct http1_conn *conn, struct http_reset why)
{
    if (conn->state != HTTP1_OPEN)
        return;
    conn->why = why;
    conn->since_ns = conn->loop->now_ns;
    conn->state = why.error == HTTP_ERROR_NONE && !conn->write_broken ? HTTP1_FLUSHING : HTTP1_OVER;
    free_input(conn);
    if (conn->state == HTTP1_OVER)
        chain_clear(&conn->out);
    http1_tell_reset(conn, why);
    task_wake(conn->loop, &conn->run);
}

bool http1_time_is_up(const struct http1_conn *conn)
{
    return conn->loop->now_ns >= next_deadline(conn);
}

/* The steps of the end, each waiting for what it waits for. */
static void finish(struct http1_conn *conn)
{
    if (conn->state == HTTP1_FLUSHING) {
        int r = conn->write_broken ? -EPIPE : io_write_chain(conn->stack, &conn->out);

        if (r == 0)
            r = conn->shut ? 0 : io_shutdown(conn->stack);
        if (r == -EAGAIN && !http1_time_is_up(conn))
            return;
        conn->state = r == 0 && conn->is_server ? HTTP1_LINGERING : HTTP1_OVER; /* a client has heard all */
        conn->since_ns = conn->loop->now_ns;
    }
    if (conn->state == HTTP1_LINGERING) {
        if (!conn->eof)
            discard_input(conn);
        if (conn->eof || http1_time_is_up(conn))
            conn->state = HTTP1_OVER;
    }
    if (conn->state != HTTP1_OVER || conn->active)
        return; /* a release wakes us */
    conn->state = HTTP1_TOLD;
    chain_clear(&conn->out);
    timer_cancel(&conn->upkeep);
    task_cancel(&conn->flush);
    if (conn->is_server)
        conn->server.events->on_closed(&conn->server, conn->why);
}

/* --- the work of a turn --- */

/*
 * A server's connection on which no more can be said, or whose peer does not listen, is over. (A client's may still
 * have an answer to read.) A peer may half-close and wait for its answer; when it is gone altogether, the kernel
 * has an error for us.
 */
static void look_for_the_end(struct http1_conn *conn)
{
    if (!conn->is_server)
        return;
    if (conn->write_broken || (conn->eof && conn->stack->error))
        http1_end(conn, http1_reason_of_eof(conn));
    else if (conn->active && conn->blocked && http1_time_is_up(conn))
        http1_end(conn, (struct http_reset){HTTP_ERROR_LIMIT, ETIMEDOUT, "the peer takes nothing"});
}

/* What came before the loop looks at all: an error behind the end, and the request that an idle drain must not lose. */
static void look_at_the_socket(struct http1_conn *conn)
{
    char byte;

    if (conn->eof && !conn->stack->error && conn->is_server)
        (void)io_read(conn->stack, &byte, sizeof(byte));
    else if (conn->drain)
        (void)read_once(conn);
}

static void work(struct http1_conn *conn)
{
    conn->read_again = false;
    look_at_the_socket(conn);
    for (int reads = 0;; reads++) {
        look_for_the_end(conn);
        while (conn->state == HTTP1_OPEN && conn->process(conn))
            ;
        if (conn->state != HTTP1_OPEN)
            return;
        if (reads == READS_PER_TURN) {
            conn->read_again = true;
            http1_wake_flush(conn); /* which wakes us for the next turn */
            return;
        }
        if (!read_once(conn))
            return;
    }
}

static void run(struct task *task)
{
    struct http1_conn *conn = CONTAINER_OF(task, struct http1_conn, run);

    if (conn->state == HTTP1_OPEN)
        work(conn);
    if (conn->state == HTTP1_OPEN && (((!chain_empty(&conn->out) || conn->unflushed) && conn->stack->writable) ||
                                      (conn->shut_after && !conn->shut) || (conn->blocked && conn->starved)))
        http1_wake_flush(conn);
    if (conn->state != HTTP1_OPEN && conn->state != HTTP1_TOLD)
        finish(conn);
    http1_set_upkeep(conn);
    if (!conn->is_server)
        http1_client_tell_state(conn);
}

/* --- heads in arenas --- */

static void rebase(struct slice *s, struct slice from, const char *to)
{
    if (s->ptr >= from.ptr && s->ptr < from.ptr + from.len)
        s->ptr = to + (s->ptr - from.ptr);
}

int http1_keep_head(struct arena *arena, struct slice bytes, struct http_head *head, unsigned more)
{
    unsigned room = head->count + more;
    char *text = arena_alloc(arena, bytes.len + room * sizeof(struct http_field));
    struct http_field *fields;

    if (!text)
        return -ENOMEM;
    fields = (struct http_field *)(void *)text; /* the arena aligns for any type */
    text += room * sizeof(*fields);
    memcpy(text, bytes.ptr, bytes.len);
    for (unsigned i = 0; i < head->count; i++) {
        fields[i] = head->fields[i];
        rebase(&fields[i].name, bytes, text);
        rebase(&fields[i].value, bytes, text);
    }
    rebase(&head->method, bytes, text);
    rebase(&head->scheme, bytes, text);
    rebase(&head->authority, bytes, text);
    rebase(&head->path, bytes, text);
    head->fields = fields;
    head->room = (uint16_t)room;
    return 0;
}

/* --- birth --- */

int http1_conn_init(struct http1_conn *conn, struct io_stack *stack, bool is_server,
                    bool (*process)(struct http1_conn *conn))
{
    int r;

    conn->stack = stack;
    conn->loop = stack->loop;
    conn->is_server = is_server;
    conn->process = process;
    conn->since_ns = stack->loop->now_ns;
    conn->stream.ops = &http1_stream_ops;
    task_init(&conn->run, run);
    task_init(&conn->flush, flush);
    chain_init(&conn->out, &conn->loop->pages);
    r = timer_init(conn->loop, &conn->upkeep, upkeep);
    if (r < 0)
        return r;
    http1_set_upkeep(conn);
    task_wake(conn->loop, &conn->run); /* there may be bytes in the stack already */
    return 0;
}

void http1_conn_release(struct http1_conn *conn)
{
    http1_tell_reset(conn, (struct http_reset){HTTP_ERROR_CLOSED, 0, "the connection was given up"});
    task_cancel(&conn->run);
    task_cancel(&conn->flush);
    timer_release(conn->loop, &conn->upkeep);
    free_input(conn);
    chain_clear(&conn->out);
}
