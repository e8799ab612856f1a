#include <errno.h>
#include <stdlib.h>

#include "net/http/http2_internal.h"

static struct http2_conn *conn_of(struct http_client *client)
{
    return CONTAINER_OF(client, struct http2_conn, client);
}

/* Streams that were opened and have not sent their head are not known to the engine yet, but count. */
static bool has_room(const struct http2_conn *conn)
{
    return conn->client.streams < conn->h2.peer.max_streams;
}

static enum http_client_state state_now(const struct http2_conn *conn)
{
    if (conn->state == HTTP2_ENDED)
        return HTTP_CLIENT_CLOSED;
    if (conn->state != HTTP2_OPEN || conn->h2.failed || conn->drain != HTTP2_DRAIN_NO)
        return HTTP_CLIENT_DRAINING;
    return has_room(conn) ? HTTP_CLIENT_READY : HTTP_CLIENT_BUSY;
}

/* The last thing of a run: the owner may dispose of the connection when told that it is closed. */
void http2_client_tell_state(struct http2_conn *conn)
{
    conn->client.state = state_now(conn);
    conn->client.why = conn->why;
    if (conn->told_state == conn->client.state)
        return;
    conn->told_state = conn->client.state;
    conn->client.events->on_state(&conn->client);
}

int http2_client_new(struct io_stack *stack, const struct http_client_limits *limits,
                     const struct http_client_events *events, void *owner, struct http_client **ret_client)
{
    struct http2_conn *conn = calloc(1, sizeof(*conn));
    int r;

    if (!conn)
        return -ENOMEM;
    conn->client = (struct http_client){.events = events, .owner = owner, .http2 = true,
                                        .state = HTTP_CLIENT_READY, .idle_since_ns = stack->loop->now_ns};
    conn->config.stream_window = limits->stream_window;
    conn->config.connection_window = limits->connection_window;
    conn->kept = limits->kept;
    conn->ping_interval_ns = limits->ping_interval_ns;
    conn->ping_timeout_ns = limits->ping_timeout_ns;
    conn->ping_while_idle = limits->ping_while_idle;
    conn->told_state = HTTP_CLIENT_READY;
    r = http2_conn_init(conn, stack, false);
    if (r < 0) {
        free(conn);
        return r;
    }
    *ret_client = &conn->client;
    return 0;
}

void http2_client_ready(struct http_client *client)
{
    struct http2_conn *conn = conn_of(client);

    task_wake(conn->loop, &conn->run);
}

int http2_client_open(struct http_client *client, struct arena *arena, const struct http_stream_events *events,
                      void *owner, struct http_stream **ret_stream)
{
    struct http2_conn *conn = conn_of(client);
    struct http2_stream *s;

    if (state_now(conn) >= HTTP_CLIENT_DRAINING)
        return -EPIPE;
    if (!has_room(conn))
        return -EAGAIN;
    s = http2_stream_new(conn);
    if (!s)
        return -ENOMEM;
    s->arena = arena;
    s->stream.events = events;
    s->stream.owner = owner;
    client->streams++;
    if (!has_room(conn)) {
        client->state = HTTP_CLIENT_BUSY;
        task_wake(conn->loop, &conn->run); /* tells it */
    }
    *ret_stream = &s->stream;
    return 0;
}

void http2_client_drain(struct http_client *client)
{
    struct http2_conn *conn = conn_of(client);

    http2_drain(conn);
    client->state = state_now(conn);
}

void http2_client_free(struct http_client *client)
{
    struct http2_conn *conn;

    if (!client)
        return;
    conn = conn_of(client);
    http2_conn_release(conn);
    free(conn);
}
