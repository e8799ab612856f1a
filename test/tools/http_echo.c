/*
 * A small server for tests with foreign clients: HTTP/1 and HTTP/2 with prior
 * knowledge on one port, told apart by the preface, over the project's own
 * connections. One thread.
 *
 *     http-echo ADDRESS:PORT        prints "listening ADDRESS:PORT" when ready; ends by SIGTERM
 *
 *     any method /echo              sends the request's body and trailers back
 *     GET /bytes/N, /length/N       N bytes, without and with Content-Length
 *     GET /trailers/N               N bytes and trailers
 *     GET /status/N                 that status, no body
 *     GET /early                    103, then 200
 *     anything else                 200 and "hello\n"
 */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "event/signals.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"

enum { PREFACE = 24, MAX_PAGES = 65536 };

struct app {
    struct loop loop;
    struct watch listener;
    struct signals signals;
    struct list conns;
};

struct conn {
    struct app *app;
    struct list link;
    struct io_stack stack;
    struct http_server *http;
    struct task detect, dispose;
    struct chain seen;
    struct exchange *spare; /* recycled, so that the numbers of a load test are the connection's */
};

struct exchange {
    struct conn *conn;
    struct http_stream *stream;
    struct arena arena;
    struct exchange *next_spare;
    uint64_t left;      /* bytes still to send */
    bool echo, trailers, hello, ended;
};

static const char filler[16384];

static void free_exchange(struct exchange *x)
{
    struct conn *conn = x->conn;

    x->stream->ops->release(x->stream);
    arena_reset(&x->arena);
    x->next_spare = conn->spare;
    conn->spare = x;
}

static void send_rest(struct exchange *x)
{
    static const struct http_field trailers[] = {
        {{"x-sum", 5}, {"42", 2}, HTTP_TOKEN_OTHER, 0},
        {{"x-more", 6}, {"yes", 3}, HTTP_TOKEN_OTHER, 0},
    };

    while (x->left) {
        size_t part = x->left < sizeof(filler) ? (size_t)x->left : sizeof(filler);
        bool last = part == x->left && !x->trailers;
        const char *from = x->hello ? &"hello\n"[6 - x->left] : filler;
        ssize_t n = x->stream->ops->send_data(x->stream, slice_of(from, part), last);

        if (n < 0) {
            x->stream->ops->reset(x->stream, 2);
            free_exchange(x);
            return;
        }
        x->left -= (uint64_t)n;
        if ((size_t)n < part)
            return;
    }
    if (x->trailers)
        x->stream->ops->send_trailers(x->stream, trailers, 2);
    if (x->ended)
        free_exchange(x);
    else
        x->left = 0; /* released when the request has ended */
}

static int send_head(struct exchange *x, unsigned status, uint64_t length, bool with_length, bool end)
{
    char text[24];
    struct http_field fields[2];
    struct http_head head = {.version = HTTP_2, .status = (uint16_t)status, .fields = fields, .room = 2};

    if (with_length) {
        int n = snprintf(text, sizeof(text), "%llu", (unsigned long long)length);

        http_append(&head, HTTP_TOKEN_CONTENT_LENGTH, SLICE_LIT("content-length"), slice_of(text, (size_t)n));
    }
    return x->stream->ops->send_head(x->stream, &head, end);
}

static void hello(struct exchange *x)
{
    x->left = 6;
    x->hello = true;
    if (send_head(x, 200, 6, true, false) == 0)
        send_rest(x);
    else
        free_exchange(x);
}

static void respond(struct exchange *x, const struct http_head *head)
{
    struct slice rest = slice_skip(head->path, 1), what = SLICE_NULL, number = SLICE_NULL;
    uint64_t n = 0;

    (void)slice_split(&rest, '/', &what);
    (void)slice_split(&rest, '/', &number);
    if (number.len && slice_u64(number, INT64_MAX, &n) < 0)
        n = 0;
    if (slice_eq(what, SLICE_LIT("echo"))) {
        x->echo = !x->ended;
        send_head(x, 200, 0, false, x->ended);
        if (x->ended)
            free_exchange(x);
    } else if (slice_eq(what, SLICE_LIT("bytes")) || slice_eq(what, SLICE_LIT("length")) ||
               slice_eq(what, SLICE_LIT("trailers"))) {
        x->left = n;
        x->trailers = slice_eq(what, SLICE_LIT("trailers"));
        send_head(x, 200, n, slice_eq(what, SLICE_LIT("length")), n == 0 && !x->trailers);
        send_rest(x);
    } else if (slice_eq(what, SLICE_LIT("status")) && n >= 200 && n < 600) {
        send_head(x, (unsigned)n, 0, false, true);
        if (x->ended)
            free_exchange(x);
    } else {
        if (slice_eq(what, SLICE_LIT("early")))
            send_head(x, 103, 0, false, false);
        hello(x);
    }
}

static void on_head(struct http_stream *stream, struct http_head *head, bool end)
{
    struct exchange *x = stream->owner;

    x->ended = end;
    respond(x, head);
}

static size_t on_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct exchange *x = stream->owner;
    ssize_t n = (ssize_t)bytes.len;

    if (x->echo)
        n = stream->ops->send_data(stream, bytes, end);
    if (n < 0) {
        stream->ops->reset(stream, 2);
        free_exchange(x);
        return bytes.len;
    }
    if (!end || (size_t)n < bytes.len)
        return (size_t)n;
    x->ended = true;
    if (x->echo || (!x->left && !x->trailers))
        free_exchange(x);
    return bytes.len;
}

static void on_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct exchange *x = stream->owner;

    x->ended = true;
    if (x->echo)
        stream->ops->send_trailers(stream, fields, count);
    if (x->echo || (!x->left && !x->trailers))
        free_exchange(x);
}

static void on_writable(struct http_stream *stream)
{
    struct exchange *x = stream->owner;

    if (x->echo)
        stream->ops->resume(stream);
    else
        send_rest(x);
}

static void on_reset(struct http_stream *stream, struct http_reset reset)
{
    free_exchange(stream->owner);
}

static const struct http_stream_events stream_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_reset = on_reset,
};

static struct arena *on_stream(struct http_server *server, struct http_stream *stream)
{
    struct conn *conn = server->owner;
    struct exchange *x = conn->spare;

    if (x) {
        conn->spare = x->next_spare;
        x->left = 0;
        x->echo = x->trailers = x->hello = x->ended = false;
    } else {
        x = calloc(1, sizeof(*x));
        if (!x)
            return NULL;
        arena_init(&x->arena, LIMIT_REQUEST_ARENA);
    }
    x->conn = conn;
    x->stream = stream;
    stream->events = &stream_events;
    stream->owner = x;
    return &x->arena;
}

static void on_closed(struct http_server *server, struct http_reset reset)
{
    struct conn *conn = server->owner;

    dispose_wake(&conn->app->loop, &conn->dispose);
}

static const struct http_server_events server_events = {.on_stream = on_stream, .on_closed = on_closed};

static void free_conn(struct conn *conn, bool abort)
{
    if (conn->http && conn->http->http2)
        http2_server_free(conn->http);
    else if (conn->http)
        http1_server_free(conn->http);
    io_close(&conn->stack, abort);
    chain_clear(&conn->seen);
    task_cancel(&conn->detect);
    task_cancel(&conn->dispose);
    list_remove(&conn->link);
    while (conn->spare) {
        struct exchange *x = conn->spare;

        conn->spare = x->next_spare;
        arena_release(&x->arena);
        free(x);
    }
    free(conn);
}

static void dispose(struct task *task)
{
    free_conn(CONTAINER_OF(task, struct conn, dispose), false);
}

static void on_ready(struct io_stack *stack)
{
    struct conn *conn = CONTAINER_OF(stack, struct conn, stack);

    if (!conn->http)
        task_wake(&conn->app->loop, &conn->detect);
    else if (conn->http->http2)
        http2_server_ready(conn->http);
    else
        http1_server_ready(conn->http);
}

/* True when it is known; *ret_http2 says what. */
static bool detected(const struct conn *conn, bool *ret_http2)
{
    static const char preface[] = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    char start[PREFACE];
    size_t n = chain_copy(&conn->seen, start, PREFACE);

    *ret_http2 = memcmp(start, preface, n) == 0;
    return n == PREFACE || (n && !*ret_http2);
}

static void detect(struct task *task)
{
    static const struct http_server_limits limits = {
        .head_timeout_ns = 5 * NS_PER_S, .idle_timeout_ns = 60 * NS_PER_S, .max_streams = 256,
        .stream_window = 65535, .connection_window = 1 << 20};
    struct conn *conn = CONTAINER_OF(task, struct conn, detect);
    size_t room;
    char *to = chain_room(&conn->seen, 1, &room);
    ssize_t n = to ? io_read(&conn->stack, to, room) : -ENOMEM;
    bool http2;
    int r;

    if (to)
        chain_grew(&conn->seen, n > 0 ? (size_t)n : 0);
    if (n <= 0 && n != -EAGAIN) {
        dispose_wake(&conn->app->loop, &conn->dispose);
        return;
    }
    if (!detected(conn, &http2)) {
        if (io_pending(&conn->stack))
            task_wake(&conn->app->loop, &conn->detect);
        return;
    }
    r = io_push_prefix(&conn->stack, &conn->seen);
    if (r == 0)
        r = (http2 ? http2_server_new : http1_server_new)(&conn->stack, &limits, &server_events, conn, &conn->http);
    if (r < 0)
        dispose_wake(&conn->app->loop, &conn->dispose);
}

static void on_accept(struct watch *watch, unsigned what)
{
    struct app *app = CONTAINER_OF(watch, struct app, listener);
    const struct sys_ops *ops = app->loop.sys->ops;
    struct addr peer;
    int fd;

    while ((fd = ops->accept(app->loop.sys, watch->fd, &peer)) >= 0) {
        struct conn *conn = calloc(1, sizeof(*conn));

        if (!conn || io_open(&conn->stack, &app->loop, fd, on_ready) < 0) {
            free(conn);
            ops->close(app->loop.sys, fd, true);
            continue;
        }
        conn->app = app;
        chain_init(&conn->seen, &app->loop.pages);
        task_init(&conn->detect, detect);
        task_init(&conn->dispose, dispose);
        list_push(&app->conns, &conn->link);
    }
}

static void on_signal(struct signals *signals, int number)
{
    loop_stop(signals->loop);
}

static int serve(struct app *app, struct addr addr)
{
    static const int numbers[] = {SIGTERM, SIGINT, 0};
    struct sys *sys = app->loop.sys;
    char text[ADDR_TEXT_MAX];
    int fd = sys->ops->listen(sys, addr, 0), r = fd;

    if (r >= 0)
        r = watch_start(&app->loop, &app->listener, fd, 0, on_accept);
    if (r >= 0)
        r = signals_start(&app->signals, &app->loop, numbers, on_signal);
    if (r >= 0)
        r = sys->ops->local_addr(sys, fd, &addr);
    if (r < 0)
        return r;
    printf("listening %s\n", addr_format(addr, text));
    fflush(stdout);
    loop_run(&app->loop);
    signals_stop(&app->signals);
    watch_close(&app->loop, &app->listener, false);
    LIST_FOR_EACH (link, &app->conns)
        free_conn(CONTAINER_OF(link, struct conn, link), true);
    return 0;
}

int main(int argc, char **argv)
{
    struct app app = {.listener.fd = -1};
    struct addr addr;
    int r;

    if (argc != 2 || addr_parse(slice_str(argv[1]), &addr) < 0) {
        fprintf(stderr, "usage: http-echo ADDRESS:PORT\n");
        return 2;
    }
    r = loop_init(&app.loop, sys_linux(), MAX_PAGES);
    if (r < 0) {
        fprintf(stderr, "http-echo: %s\n", strerror(-r));
        return 1;
    }
    list_init(&app.conns);
    r = serve(&app, addr);
    loop_release(&app.loop);
    if (r < 0)
        fprintf(stderr, "http-echo: %s\n", strerror(-r));
    return r < 0;
}
