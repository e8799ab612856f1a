#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/http/http1_internal.h"

enum { MORE_FIELDS = 12 }; /* that the owner may append to a request before it passes it on */

static struct http1_conn *conn_of(struct http_server *server)
{
    return CONTAINER_OF(server, struct http1_conn, server);
}

/* --- answers of our own --- */

/* A final head without a body, with which the connection ends. */
static void answer_and_close(struct http1_conn *conn, int status)
{
    struct http_head head = {.version = HTTP_1_1, .status = (uint16_t)status};
    struct http1_framing framing = {.body = HTTP1_BODY_LENGTH, .close = true};

    (void)http1_write_response(&conn->out, &head, &framing); /* without memory the connection just ends */
    conn->tx = HTTP1_TX_DONE;
}

static void refuse(struct http1_conn *conn, int status, const char *detail)
{
    if (conn->server.events->on_refused)
        conn->server.events->on_refused(&conn->server, status, detail);
    answer_and_close(conn, status);
    http1_end(conn, (struct http_reset){HTTP_ERROR_NONE, 0, detail});
}

void http1_server_bad_body(struct http1_conn *conn, int status, const char *detail)
{
    bool can_answer = conn->tx == HTTP1_TX_HEAD;

    if (conn->server.events->on_refused)
        conn->server.events->on_refused(&conn->server, status, detail);
    if (can_answer)
        answer_and_close(conn, status);
    http1_tell_reset(conn, (struct http_reset){HTTP_ERROR_PROTOCOL, 0, detail});
    http1_end(conn, (struct http_reset){can_answer ? HTTP_ERROR_NONE : HTTP_ERROR_PROTOCOL, 0, detail});
}

/* --- requests --- */

static void begin(struct http1_conn *conn, struct slice bytes, struct http_head *head,
                  const struct http1_framing *framing)
{
    bool end;

    http1_begin_exchange(conn);
    conn->tx = HTTP1_TX_HEAD;
    conn->expects = framing->expect_continue;
    conn->old_client = head->version == HTTP_1_0;
    conn->keep_old = conn->old_client && framing->keep_alive;
    conn->close_after = conn->drain || conn->announce || !framing->keep_alive;
    conn->head_begun = false;
    conn->server.streams = 1;
    conn->server.requests++;
    if (slice_eq(head->method, SLICE_LIT("HEAD")))
        conn->asked |= HTTP1_ASKED_HEAD;
    conn->arena = conn->server.events->on_stream(&conn->server, &conn->stream);
    if (!conn->arena || http1_keep_head(conn->arena, bytes, head, MORE_FIELDS) < 0) {
        conn->rx = HTTP1_RX_DONE;
        answer_and_close(conn, 503);
        if (!conn->arena) {
            conn->active = false;
            conn->server.streams = 0;
        }
        http1_tell_reset(conn, (struct http_reset){HTTP_ERROR_MEMORY, 0, "no memory for a head"});
        http1_end(conn, (struct http_reset){HTTP_ERROR_NONE, 0, "shed"});
        return;
    }
    end = http1_begin_body(conn, framing);
    if (conn->rx == HTTP1_RX_WAIT) {
        conn->asked |= HTTP1_ASKED_CONNECT;
    } else if (framing->upgrade && end) {
        conn->asked |= HTTP1_ASKED_UPGRADE; /* of one with a body we decline it */
        conn->rx = HTTP1_RX_WAIT;
        end = false;
    }
    http1_strip_hop(head, conn->asked & HTTP1_ASKED_UPGRADE);
    http1_input_drop(conn, bytes.len);
    conn->stream.events->on_head(&conn->stream, head, end);
}

/* An incomplete head: its time runs from its first byte. */
static void wait_for_head(struct http1_conn *conn, size_t have)
{
    if (conn->eof) {
        http1_end(conn, have ? http1_reason_of_eof(conn) : (struct http_reset){HTTP_ERROR_NONE, 0, NULL});
        return;
    }
    if (have && !conn->head_begun) {
        conn->head_begun = true;
        conn->since_ns = conn->loop->now_ns;
    }
    if (have && conn->head_timeout_ns && conn->loop->now_ns >= conn->since_ns + conn->head_timeout_ns)
        refuse(conn, 408, "the head took too long");
    else if (!have && (conn->drain || (conn->idle_timeout_ns &&
                                       conn->loop->now_ns >= conn->since_ns + conn->idle_timeout_ns)))
        http1_end(conn, (struct http_reset){HTTP_ERROR_NONE, 0, NULL});
}

static bool receive_head(struct http1_conn *conn)
{
    struct http_field fields[LIMIT_HTTP_FIELDS];
    struct http_head head = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
    struct http1_framing framing;
    struct slice in = http1_input(conn);
    ssize_t n = in.len ? http1_parse_request(in, &conn->scan, &head, &framing) : 0;

    if (n == 0) {
        wait_for_head(conn, in.len);
        return false;
    }
    if (n < 0)
        refuse(conn, (int)-n, conn->scan.refusal);
    else if (framing.no_host && head.version == HTTP_1_1 && !http_find(&head, HTTP_TOKEN_HOST))
        refuse(conn, 400, "no Host");
    else
        begin(conn, slice_take(in, (size_t)n), &head, &framing);
    return true;
}

/* The exchange is over: the next request, or the end. */
static bool next_request(struct http1_conn *conn)
{
    if (!http1_exchange_is_over(conn))
        return false;
    if (conn->close_after || conn->drain || conn->shut_after) {
        http1_end(conn, (struct http_reset){HTTP_ERROR_NONE, 0, NULL});
        return false;
    }
    conn->rx = HTTP1_RX_HEAD;
    conn->since_ns = conn->loop->now_ns;
    if (!timer_is_set(&conn->upkeep))
        http1_set_upkeep(conn);
    return true;
}

static bool process(struct http1_conn *conn)
{
    if (conn->abort) {
        http1_end(conn, (struct http_reset){HTTP_ERROR_RESET, 0, "reset by the owner"});
        return false;
    }
    if (http1_is_discarding(conn) && (conn->close_after || http1_time_is_up(conn))) {
        http1_end(conn, (struct http_reset){HTTP_ERROR_NONE, 0, NULL}); /* lingering reads some of the rest */
        return false;
    }
    switch (conn->rx) {
    case HTTP1_RX_HEAD: return receive_head(conn);
    case HTTP1_RX_DONE: return next_request(conn);
    default: return http1_receive_body(conn);
    }
}

/* --- responses --- */

static bool is_interim(unsigned status)
{
    return status < 200 && status != 101;
}

static bool says_close(const struct http_head *head)
{
    const struct http_field *field = http_find(head, HTTP_TOKEN_CONNECTION);

    return field && slice_eq_nocase(slice_trim(field->value), SLICE_LIT("close"));
}

static int send_interim(struct http1_conn *conn, const struct http_head *head)
{
    struct http1_framing framing = {.body = HTTP1_BODY_NONE, .interim = true, .keep_alive = true};

    if (conn->old_client)
        return 0; /* HTTP/1.0 knows none */
    if (head->status == 100)
        conn->expects = false;
    return http1_write_response(&conn->out, head, &framing);
}

static bool becomes_tunnel(const struct http1_conn *conn, unsigned status)
{
    if (status == 101)
        return conn->asked & HTTP1_ASKED_UPGRADE;
    return (conn->asked & HTTP1_ASKED_CONNECT) && status < 300;
}

/* How the body of this response is framed: from what the request allows and the head says. */
static int frame(struct http1_conn *conn, const struct http_head *head, bool end, struct http1_framing *framing)
{
    const struct http_field *length = http_find(head, HTTP_TOKEN_CONTENT_LENGTH);

    if (becomes_tunnel(conn, head->status)) {
        framing->body = HTTP1_BODY_TUNNEL;
        framing->upgrade = head->status == 101;
        return 0;
    }
    if (head->status == 101)
        return -EINVAL;
    if ((conn->asked & HTTP1_ASKED_HEAD) || head->status == 204 || head->status == 304) {
        framing->body = HTTP1_BODY_NONE;
    } else if (end) {
        framing->body = HTTP1_BODY_LENGTH;
    } else if (length && slice_u64(length->value, INT64_MAX, &framing->length) == 0) {
        framing->body = HTTP1_BODY_LENGTH;
    } else if (conn->old_client) {
        framing->body = HTTP1_BODY_UNTIL_CLOSE;
        conn->close_after = true;
    } else {
        framing->body = HTTP1_BODY_CHUNKED;
    }
    return 0;
}

static void begin_sending(struct http1_conn *conn, const struct http1_framing *framing, bool end)
{
    static const uint8_t tx_of[] = {
        [HTTP1_BODY_NONE] = HTTP1_TX_NONE,
        [HTTP1_BODY_LENGTH] = HTTP1_TX_LENGTH,
        [HTTP1_BODY_CHUNKED] = HTTP1_TX_CHUNKED,
        [HTTP1_BODY_UNTIL_CLOSE] = HTTP1_TX_CLOSE,
        [HTTP1_BODY_TUNNEL] = HTTP1_TX_TUNNEL,
    };

    conn->tx_left = framing->length;
    conn->tx = end ? HTTP1_TX_DONE : tx_of[framing->body];
    if (conn->rx == HTTP1_RX_WAIT)
        conn->rx = framing->body == HTTP1_BODY_TUNNEL ? HTTP1_RX_TUNNEL : HTTP1_RX_END;
    if (framing->body == HTTP1_BODY_TUNNEL)
        conn->close_after = true;
    task_wake(conn->loop, &conn->run);
}

int http1_server_send_head(struct http1_conn *conn, const struct http_head *given, bool end)
{
    struct http_head head = *given;
    struct http1_framing framing = {0};
    int r;

    if (is_interim(head.status))
        return send_interim(conn, given);
    r = frame(conn, given, end, &framing);
    if (r < 0)
        return r;
    /* A client that still waits for 100 may or may not send its body: nobody can tell where the next request begins. */
    if (says_close(given) || conn->drain || conn->announce || (conn->expects && conn->rx != HTTP1_RX_DONE))
        conn->close_after = true;
    framing.close = conn->close_after && framing.body != HTTP1_BODY_TUNNEL;
    framing.keep_alive = !conn->close_after && conn->keep_old;
    /* Ours (RFC 9110 section 2.5), but an old client that wants to be kept looks for its own, with Connection: keep-alive. */
    head.version = framing.keep_alive ? HTTP_1_0 : HTTP_1_1;
    r = http1_write_response(&conn->out, &head, &framing);
    if (r < 0)
        return r;
    begin_sending(conn, &framing, end && framing.body != HTTP1_BODY_TUNNEL);
    return 0;
}

/* --- the connection --- */

int http1_server_new(struct io_stack *stack, const struct http_server_limits *limits,
                     const struct http_server_events *events, void *owner, struct http_server **ret_server)
{
    struct http1_conn *conn = calloc(1, sizeof(*conn));
    int r;

    if (!conn)
        return -ENOMEM;
    conn->server = (struct http_server){.events = events, .owner = owner};
    conn->head_timeout_ns = limits->head_timeout_ns;
    conn->idle_timeout_ns = limits->idle_timeout_ns;
    conn->stall_timeout_ns = limits->stall_timeout_ns;
    conn->tx = HTTP1_TX_DONE;
    r = http1_conn_init(conn, stack, true, process);
    if (r < 0) {
        free(conn);
        return r;
    }
    *ret_server = &conn->server;
    return 0;
}

void http1_server_ready(struct http_server *server)
{
    struct http1_conn *conn = conn_of(server);

    task_wake(conn->loop, &conn->run);
}

void http1_server_drain(struct http_server *server)
{
    struct http1_conn *conn = conn_of(server);

    conn->drain = true;
    task_wake(conn->loop, &conn->run);
}

void http1_server_announce_end(struct http_server *server)
{
    conn_of(server)->announce = true;
}

void http1_server_free(struct http_server *server)
{
    struct http1_conn *conn;

    if (!server)
        return;
    conn = conn_of(server);
    http1_conn_release(conn);
    free(conn);
}
