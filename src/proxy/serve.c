#include "proxy/serve.h"

#include <assert.h>
#include <errno.h>

#include "codec/h2/h2.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"
#include "proxy/logline.h"
#include "proxy/request/request.h"

/* --- events of the HTTP connection --- */

static struct arena *on_stream(struct http_server *server, struct http_stream *stream)
{
    return request_begin(server->owner, stream);
}

static void on_refused(struct http_server *server, int status, const char *detail)
{
    struct conn *conn = server->owner;

    series_http_refused(conn, status);
    log_limited(conn->worker->proxy->log, LOG_INFO, direction_name(conn->direction), "bad input refused with %d: %s", status,
                detail ? detail : "");
}

static void on_closed(struct http_server *server, struct http_reset reset)
{
    struct conn *conn = server->owner;

    conn->closed = true;
    conn->cut_off = reset.error != HTTP_ERROR_NONE; /* the peer must not take a cut body for a whole one */
    if (reset.error == HTTP_ERROR_PROTOCOL && reset.code == H2_ENHANCE_YOUR_CALM)
        conn->reason = REASON_FLOOD;
    conn_wake(conn, WHY_WATCH);
}

static const struct http_server_events events = {
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_closed = on_closed,
};

/* --- the step --- */

static void http1_ready(struct io_stack *stack)
{
    http1_server_ready(((struct conn *)stack->owner)->http);
}

static void http2_ready(struct io_stack *stack)
{
    http2_server_ready(((struct conn *)stack->owner)->http);
}

static int start(struct conn *conn)
{
    const struct http_server_limits *limits = &conn->worker->http_limits[conn->direction];
    int r;

    if (conn->session == SESSION_HTTP2) {
        r = http2_server_new(&conn->io, limits, &events, conn, &conn->http);
        conn->io.on_ready = http2_ready;
    } else {
        r = http1_server_new(&conn->io, limits, &events, conn, &conn->http);
        conn->io.on_ready = http1_ready;
    }
    if (r < 0)
        return r;
    (conn->http->http2 ? http2_server_ready : http1_server_ready)(conn->http); /* what lies there already */
    /* A newcomer over HTTP/2 is not sent away while the application serves: it would come back to be sent away again. */
    if (conn->worker->draining >= (conn->http->http2 && conn->worker->listener_count ? DRAIN_LAST : DRAIN_GENTLY))
        conn_drain(conn);
    return 0;
}

enum step_result serve_http(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);

    if (why == WHY_CANCEL)
        return STEP_FAIL; /* the disposal frees the connection, which ends its streams */
    if (why == WHY_START) {
        assert(conn->session == SESSION_HTTP1 || conn->session == SESSION_HTTP2);
        lookup_unwait(&conn->waiter);
        series_conn_opened(conn);
        if (start(conn) < 0)
            return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
    }
    return conn->closed ? STEP_DONE : STEP_WAIT;
}
