#include "net/grpc/grpc_listener.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "event/acceptor.h"
#include "net/http/http2_conn.h"

struct grpc_listener {
    struct loop *loop;
    struct acceptor acceptor;
    const struct grpc_service *const *services;
    unsigned service_count;
    struct list conns;
    unsigned count;
};

struct grpc_conn {
    struct list link;
    struct grpc_listener *listener;
    struct io_stack io;
    struct http_server *http;
    struct task disposal;
};

static struct arena *on_stream(struct http_server *server, struct http_stream *stream)
{
    struct grpc_conn *conn = server->owner;
    struct grpc_listener *listener = conn->listener;

    return grpc_serve(server, stream, listener->loop, listener->services, listener->service_count);
}

static void on_refused(struct http_server *server, int status, const char *detail)
{
}

static void on_closed(struct http_server *server, struct http_reset reset)
{
    struct grpc_conn *conn = server->owner;

    dispose_wake(conn->listener->loop, &conn->disposal);
}

static const struct http_server_events events = {.on_stream = on_stream, .on_refused = on_refused, .on_closed = on_closed};

static void free_conn(struct grpc_conn *conn)
{
    if (conn->http)
        http2_server_free(conn->http);
    io_close(&conn->io, false);
    task_cancel(&conn->disposal);
    list_remove(&conn->link);
    conn->listener->count--;
    free(conn);
}

static void dispose(struct task *task)
{
    free_conn(CONTAINER_OF(task, struct grpc_conn, disposal));
}

static void ready(struct io_stack *stack)
{
    http2_server_ready(((struct grpc_conn *)stack->owner)->http);
}

static void accept_one(struct acceptor *acceptor, int fd, struct addr peer)
{
    struct grpc_listener *listener = CONTAINER_OF(acceptor, struct grpc_listener, acceptor);
    static const struct http_server_limits limits = {
        .head_timeout_ns = 10 * NS_PER_S,
        .max_streams = LIMIT_DESTINATIONS * 3, /* a proxy watches each destination with up to three calls */
        .stream_window = LIMIT_H2_STREAM_WINDOW,
        .connection_window = LIMIT_H2_CONNECTION_WINDOW,
        .ping_interval_ns = 10 * NS_PER_S,
        .ping_timeout_ns = 20 * NS_PER_S,
    };
    struct grpc_conn *conn = listener->count < LIMIT_GRPC_CONNECTIONS ? calloc(1, sizeof(*conn)) : NULL;

    if (!conn)
        goto refuse;
    conn->listener = listener;
    task_init(&conn->disposal, dispose);
    if (io_open(&conn->io, listener->loop, fd, ready) < 0)
        goto free_it;
    conn->io.owner = conn;
    list_push(&listener->conns, &conn->link);
    listener->count++;
    if (http2_server_new(&conn->io, &limits, &events, conn, &conn->http) < 0)
        free_conn(conn);
    return;

free_it:
    free(conn);
refuse:
    listener->loop->sys->ops->close(listener->loop->sys, fd, true);
}

int grpc_listener_new(struct loop *loop, struct addr addr, const struct grpc_service *const *services, unsigned count,
                      struct grpc_listener **ret_listener)
{
    struct grpc_listener *listener = calloc(1, sizeof(*listener));
    int fd, r;

    if (!listener)
        return -ENOMEM;
    *listener = (struct grpc_listener){.loop = loop, .services = services, .service_count = count};
    list_init(&listener->conns);
    fd = loop->sys->ops->listen(loop->sys, addr, 0);
    r = fd < 0 ? fd : acceptor_start(&listener->acceptor, loop, fd, DESCRIPTOR_ACCEPT, accept_one);
    if (r < 0) {
        if (fd >= 0)
            loop->sys->ops->close(loop->sys, fd, false);
        free(listener);
        return r;
    }
    *ret_listener = listener;
    return 0;
}

void grpc_listener_drain(struct grpc_listener *listener)
{
    acceptor_close(&listener->acceptor);
    LIST_FOR_EACH (link, &listener->conns)
        http2_server_drain(CONTAINER_OF(link, struct grpc_conn, link)->http);
}

unsigned grpc_listener_connections(const struct grpc_listener *listener)
{
    return listener->count;
}

void grpc_listener_free(struct grpc_listener *listener)
{
    if (!listener)
        return;
    LIST_FOR_EACH (link, &listener->conns)
        free_conn(CONTAINER_OF(link, struct grpc_conn, link));
    acceptor_close(&listener->acceptor);
    free(listener);
}
