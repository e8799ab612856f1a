#include "net/http/http_listener.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "event/acceptor.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"

struct http_listener {
    struct loop *loop;
    struct acceptor acceptor;
    struct http_listener_options options;
    struct http_exchange_host exchanges;
    struct list conns;
    unsigned count;
};

struct listener_conn {
    struct list link;
    struct http_listener *listener;
    struct io_stack io;
    struct addr peer;
    struct http_server *http; /* NULL: the handshake is not done, or it is not known whether there is one */
    bool is_looked_at;        /* whether it is TLS is known */
    struct task shake, disposal;
    struct timer deadline;    /* of the handshake */
};

enum { TLS_HANDSHAKE_RECORD = 0x16 }; /* the first byte of a connection with TLS; no method of HTTP begins with it */

static const struct slice protocols[] = {{"h2", 2}, {"http/1.1", 8}};

/* --- the end --- */

static void free_conn(struct listener_conn *conn)
{
    if (conn->http && conn->http->http2)
        http2_server_free(conn->http);
    else
        http1_server_free(conn->http);
    io_close(&conn->io, false);
    task_cancel(&conn->shake);
    task_cancel(&conn->disposal);
    timer_release(conn->listener->loop, &conn->deadline);
    list_remove(&conn->link);
    conn->listener->count--;
    free(conn);
}

static void dispose(struct task *task)
{
    free_conn(CONTAINER_OF(task, struct listener_conn, disposal));
}

static void drain_conn(struct listener_conn *conn)
{
    if (!conn->http)
        dispose_wake(conn->listener->loop, &conn->disposal);
    else if (conn->http->http2)
        http2_server_drain(conn->http);
    else
        http1_server_drain(conn->http);
}

/* --- HTTP --- */

static struct arena *on_stream(struct http_server *server, struct http_stream *stream)
{
    struct listener_conn *conn = server->owner;

    return http_exchange_begin(&conn->listener->exchanges, server, stream, conn->peer);
}

static void on_refused(struct http_server *server, int status, const char *detail)
{
}

static void on_closed(struct http_server *server, struct http_reset reset)
{
    struct listener_conn *conn = server->owner;

    dispose_wake(conn->listener->loop, &conn->disposal);
}

static const struct http_server_events events = {.on_stream = on_stream, .on_refused = on_refused, .on_closed = on_closed};

static int serve(struct listener_conn *conn, bool http2)
{
    const struct http_listener_options *options = &conn->listener->options;
    struct http_server_limits limits = {
        .head_timeout_ns = options->head_timeout_ns,
        .idle_timeout_ns = options->idle_timeout_ns,
        .stall_timeout_ns = options->stall_timeout_ns,
        .max_streams = options->max_requests,
        .stream_window = LIMIT_H2_STREAM_WINDOW,
        .connection_window = LIMIT_H2_CONNECTION_WINDOW,
    };

    return http2 ? http2_server_new(&conn->io, &limits, &events, conn, &conn->http)
                 : http1_server_new(&conn->io, &limits, &events, conn, &conn->http);
}

/* --- TLS --- */

static void fail(struct listener_conn *conn, const char *why)
{
    if (conn->listener->options.on_failure)
        conn->listener->options.on_failure(conn->listener->options.owner, conn->peer, why);
    dispose_wake(conn->listener->loop, &conn->disposal);
}

static void shake_hands(struct listener_conn *conn)
{
    int r = tls_handshake(&conn->io);
    struct tls_peer peer;
    struct errmsg why;

    if (r == -EAGAIN)
        return;
    timer_cancel(&conn->deadline);
    if (r < 0) {
        tls_failure_text(&conn->io, &why);
        fail(conn, why.text);
    } else if (!tls_peer(&conn->io, &peer) || serve(conn, slice_eq(peer.alpn, protocols[0])) < 0) {
        fail(conn, "no memory");
    }
}

static void on_deadline(struct timer *timer)
{
    struct listener_conn *conn = CONTAINER_OF(timer, struct listener_conn, deadline);

    task_cancel(&conn->shake);
    fail(conn, "the handshake took too long");
}

static int push_tls(struct listener_conn *conn)
{
    const struct http_listener_options *options = &conn->listener->options;
    struct tls_context *context = options->context(options->owner);

    if (!context)
        return -ENOKEY;
    return options->security == HTTP_LISTENER_TLS ? tls_push_web_server(&conn->io, context, protocols, 2)
                                                  : tls_push_server(&conn->io, context, protocols, 2);
}

/* The first byte says which it is, and is given back. 0, -EAGAIN, or why the connection ends. */
static int look(struct listener_conn *conn)
{
    struct chain seen;
    char byte;
    ssize_t n = io_read(&conn->io, &byte, 1);
    int r;

    if (n <= 0)
        return n < 0 ? (int)n : -ECONNRESET;
    conn->is_looked_at = true;
    chain_init(&seen, &conn->listener->loop->pages);
    r = chain_add(&seen, slice_of(&byte, 1));
    if (r == 0)
        r = io_push_prefix(&conn->io, &seen);
    chain_clear(&seen);
    if (r < 0 || byte == TLS_HANDSHAKE_RECORD)
        return r < 0 ? r : push_tls(conn);
    timer_cancel(&conn->deadline);
    return serve(conn, false);
}

static void begin(struct task *task)
{
    struct listener_conn *conn = CONTAINER_OF(task, struct listener_conn, shake);
    int r = conn->is_looked_at ? 0 : look(conn);

    if (r < 0 && r != -EAGAIN)
        dispose_wake(conn->listener->loop, &conn->disposal);
    else if (r == 0 && !conn->http)
        shake_hands(conn);
}

static int begin_tls(struct listener_conn *conn)
{
    const struct http_listener_options *options = &conn->listener->options;
    int r = options->security == HTTP_LISTENER_TLS ? push_tls(conn) : 0;

    if (r < 0)
        return r;
    conn->is_looked_at = options->security == HTTP_LISTENER_TLS;
    timer_set(conn->listener->loop, &conn->deadline, conn->listener->loop->now_ns + options->handshake_timeout_ns);
    task_wake(conn->listener->loop, &conn->shake);
    return 0;
}

/* --- connections --- */

static void ready(struct io_stack *stack)
{
    struct listener_conn *conn = stack->owner;

    if (task_is_woken(&conn->disposal))
        return;
    if (!conn->http)
        task_wake(conn->listener->loop, &conn->shake);
    else if (conn->http->http2)
        http2_server_ready(conn->http);
    else
        http1_server_ready(conn->http);
}

/* The one whose place a newcomer takes: who has not even shaken hands yet, oldest first; else who asks nothing. */
static struct listener_conn *least_needed(const struct http_listener *listener)
{
    struct listener_conn *idle = NULL;

    LIST_FOR_EACH (link, &listener->conns) {
        struct listener_conn *conn = CONTAINER_OF(link, struct listener_conn, link);

        if (task_is_woken(&conn->disposal))
            continue;
        if (!conn->http)
            return conn;
        if (!idle && conn->http->streams == 0)
            idle = conn;
    }
    return idle;
}

/* So that connections that are only held open do not keep others out. */
static bool make_room(struct http_listener *listener)
{
    struct listener_conn *conn;

    if (listener->count < listener->options.max_connections)
        return true;
    conn = least_needed(listener);
    if (conn)
        dispose_wake(listener->loop, &conn->disposal);
    return conn;
}

static struct listener_conn *new_conn(struct http_listener *listener, int fd, struct addr peer)
{
    struct listener_conn *conn = make_room(listener) ? calloc(1, sizeof(*conn)) : NULL;

    if (!conn)
        return NULL;
    *conn = (struct listener_conn){.listener = listener, .peer = peer};
    task_init(&conn->shake, begin);
    task_init(&conn->disposal, dispose);
    if (timer_init(listener->loop, &conn->deadline, on_deadline) < 0) {
        free(conn);
        return NULL;
    }
    if (io_open(&conn->io, listener->loop, fd, ready) < 0) {
        timer_release(listener->loop, &conn->deadline);
        free(conn);
        return NULL;
    }
    conn->io.owner = conn;
    list_push(&listener->conns, &conn->link);
    listener->count++;
    return conn;
}

static void accept_one(struct acceptor *acceptor, int fd, struct addr peer)
{
    struct http_listener *listener = CONTAINER_OF(acceptor, struct http_listener, acceptor);
    struct listener_conn *conn = new_conn(listener, fd, peer);

    if (!conn)
        listener->loop->sys->ops->close(listener->loop->sys, fd, true);
    else if ((listener->options.security == HTTP_LISTENER_PLAIN ? serve(conn, false) : begin_tls(conn)) < 0)
        free_conn(conn);
}

/* --- the listener --- */

int http_listener_on(struct loop *loop, int fd, const struct http_listener_options *options, struct http_listener **ret_listener)
{
    struct http_listener *listener = calloc(1, sizeof(*listener));
    int r;

    if (!listener)
        return -ENOMEM;
    listener->loop = loop;
    listener->options = *options;
    listener->exchanges = (struct http_exchange_host){
        .loop = loop,
        .max = options->max_requests,
        .max_held = options->max_held,
        .max_body = options->max_body,
        .body_timeout_ns = options->body_timeout_ns,
        .on_request = options->on_request,
        .owner = options->owner,
    };
    list_init(&listener->exchanges.exchanges);
    list_init(&listener->conns);
    r = acceptor_start(&listener->acceptor, loop, fd, options->use, accept_one);
    if (r < 0) {
        free(listener);
        return r;
    }
    *ret_listener = listener;
    return 0;
}

int http_listener_new(struct loop *loop, struct addr addr, const struct http_listener_options *options, struct http_listener **ret_listener)
{
    int fd = loop->sys->ops->listen(loop->sys, addr, 0), r;

    if (fd < 0)
        return fd;
    r = http_listener_on(loop, fd, options, ret_listener);
    if (r < 0)
        loop->sys->ops->close(loop->sys, fd, false);
    return r;
}

void http_listener_drain(struct http_listener *listener)
{
    acceptor_close(&listener->acceptor);
    LIST_FOR_EACH (link, &listener->conns)
        drain_conn(CONTAINER_OF(link, struct listener_conn, link));
}

unsigned http_listener_connections(const struct http_listener *listener)
{
    return listener->count;
}

void http_listener_free(struct http_listener *listener)
{
    if (!listener)
        return;
    LIST_FOR_EACH (link, &listener->conns)
        free_conn(CONTAINER_OF(link, struct listener_conn, link));
    http_exchange_free_all(&listener->exchanges);
    acceptor_close(&listener->acceptor);
    free(listener);
}
