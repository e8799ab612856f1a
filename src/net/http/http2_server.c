#include <errno.h>
#include <stdlib.h>

#include "net/http/http2_internal.h"

static struct http2_conn *conn_of(struct http_server *server)
{
    return CONTAINER_OF(server, struct http2_conn, server);
}

struct arena *http2_server_begin(struct http2_conn *conn, struct h2_stream *h2)
{
    struct http2_stream *s = http2_stream_new(conn);

    if (!s)
        return NULL;
    s->h2 = h2;
    s->arena = conn->server.events->on_stream(&conn->server, &s->stream);
    if (!s->arena) {
        list_remove(&s->link);
        list_push(&conn->dead, &s->link);
        dispose_wake(conn->loop, &conn->recycle);
        return NULL;
    }
    h2->user = s;
    conn->server.streams++;
    conn->server.requests++;
    return s->arena;
}

int http2_server_new(struct io_stack *stack, const struct http_server_limits *limits,
                     const struct http_server_events *events, void *owner, struct http_server **ret_server)
{
    struct http2_conn *conn = calloc(1, sizeof(*conn));
    int r;

    if (!conn)
        return -ENOMEM;
    conn->server = (struct http_server){.events = events, .owner = owner, .http2 = true};
    conn->config = (struct h2_config){
        .max_streams = limits->max_streams,
        .stream_window = limits->stream_window,
        .connection_window = limits->connection_window,
        .max_frame = limits->max_frame,
        .max_header_list = limits->max_header_list,
        .max_resets = limits->max_reset_streams,
    };
    conn->head_timeout_ns = limits->head_timeout_ns;
    conn->idle_timeout_ns = limits->idle_timeout_ns;
    conn->stall_timeout_ns = limits->stall_timeout_ns;
    conn->kept = limits->kept;
    conn->ping_interval_ns = limits->ping_interval_ns;
    conn->ping_timeout_ns = limits->ping_timeout_ns;
    conn->ping_while_idle = true;
    r = http2_conn_init(conn, stack, true);
    if (r < 0) {
        free(conn);
        return r;
    }
    *ret_server = &conn->server;
    return 0;
}

void http2_server_ready(struct http_server *server)
{
    struct http2_conn *conn = conn_of(server);

    task_wake(conn->loop, &conn->run);
}

void http2_server_drain(struct http_server *server)
{
    struct http2_conn *conn = conn_of(server);

    if (conn->drain == HTTP2_DRAIN_NO)
        http2_drain(conn);
}

void http2_server_free(struct http_server *server)
{
    struct http2_conn *conn;

    if (!server)
        return;
    conn = conn_of(server);
    http2_conn_release(conn);
    free(conn);
}
