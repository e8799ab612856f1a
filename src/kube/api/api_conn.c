/* One connection: name, address, TLS, and the HTTP that the server speaks. */
#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "kube/access/exec_plugin.h"
#include "kube/api/api_internal.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"

static const int64_t CONNECT_TIMEOUT_NS = 10 * NS_PER_S;
static const int64_t PING_INTERVAL_NS = 10 * NS_PER_S;
static const int64_t PING_TIMEOUT_NS = 5 * NS_PER_S;
static const struct socket_options socket_options = {.keepalive_ns = 30 * NS_PER_S, .user_timeout_ns = 30 * NS_PER_S};
static const struct slice alpn[] = {{"h2", 2}, {"http/1.1", 8}};

/* --- its end --- */

static void stop_making(struct api_conn *conn)
{
    resolver_cancel(&conn->query);
    timer_cancel(&conn->deadline);
    task_cancel(&conn->work);
}

static void drop(struct api_conn *conn)
{
    stop_making(conn);
    if (conn->http && conn->http->http2)
        http2_client_free(conn->http);
    else if (conn->http)
        http1_client_free(conn->http);
    conn->http = NULL;
    io_close(&conn->io, true);
    tunnel_free(conn->tunnel);
    conn->tunnel = NULL;
    tls_context_unref(conn->tls);
    tls_context_unref(conn->proxy_tls);
    conn->tls = conn->proxy_tls = NULL;
}

void api_conn_free(struct api_conn *conn)
{
    task_cancel(&conn->over);
    drop(conn);
    timer_release(conn->client->loop, &conn->deadline);
    list_remove(&conn->link);
    conn->client->conn_count--;
    free(conn);
}

static void free_at_end_of_turn(struct task *task)
{
    api_conn_free(CONTAINER_OF(task, struct api_conn, over));
}

static void end(struct api_conn *conn)
{
    conn->state = API_CONN_OVER;
    stop_making(conn);
    dispose_wake(conn->client->loop, &conn->over);
}

static void fail(struct api_conn *conn, const struct errmsg *msg)
{
    end(conn);
    api_client_conn_failed(conn, msg);
}

/* --- HTTP --- */

static void on_state(struct http_client *http)
{
    struct api_conn *conn = http->owner;
    struct errmsg msg;

    if (http->state != HTTP_CLIENT_CLOSED) {
        task_wake(conn->client->loop, &conn->client->pump);
        return;
    }
    errmsg_set(&msg, 0, "the connection ended: %s", http->why.detail ? http->why.detail : "the server closed it");
    if (conn->state == API_CONN_OPEN)
        fail(conn, &msg);
}

static const struct http_client_events http_events = {.on_state = on_state};

static void http1_ready(struct io_stack *stack)
{
    http1_client_ready(((struct api_conn *)stack->owner)->http);
}

static void http2_ready(struct io_stack *stack)
{
    http2_client_ready(((struct api_conn *)stack->owner)->http);
}

static void begin_http(struct api_conn *conn, bool http2)
{
    static const struct http_client_limits limits = {
        .stream_window = LIMIT_H2_CONNECTION_WINDOW,
        .connection_window = LIMIT_H2_CONNECTION_WINDOW,
        .ping_interval_ns = PING_INTERVAL_NS,
        .ping_timeout_ns = PING_TIMEOUT_NS,
        .ping_while_idle = true,
    };
    int r = http2 ? http2_client_new(&conn->io, &limits, &http_events, conn, &conn->http)
                  : http1_client_new(&conn->io, &limits, &http_events, conn, &conn->http);

    if (r < 0) {
        fail(conn, &(struct errmsg){"no memory"});
        return;
    }
    timer_cancel(&conn->deadline);
    conn->state = API_CONN_OPEN;
    conn->client->http1 = !http2;
    conn->io.on_ready = http2 ? http2_ready : http1_ready;
    conn->io.on_ready(&conn->io);
    api_client_conn_open(conn);
}

bool api_conn_has_room(const struct api_conn *conn)
{
    return conn->state == API_CONN_OPEN && conn->http->state == HTTP_CLIENT_READY;
}

int api_conn_open_stream(struct api_conn *conn, struct arena *arena, const struct http_stream_events *events, void *owner,
                         struct http_stream **ret_stream)
{
    return conn->http->http2 ? http2_client_open(conn->http, arena, events, owner, ret_stream)
                             : http1_client_open(conn->http, arena, events, owner, ret_stream);
}

void api_conn_drain(struct api_conn *conn)
{
    if (conn->state < API_CONN_OPEN) {
        end(conn);
        return;
    }
    if (conn->state != API_CONN_OPEN)
        return;
    if (conn->http->http2)
        http2_client_drain(conn->http);
    else
        http1_client_drain(conn->http);
}

/* --- TCP and TLS --- */

static void dial_next(struct api_conn *conn, struct errmsg *msg);
static void begin_tls(struct api_conn *conn);

static const char *advice(enum tls_failure failure)
{
    switch (failure) {
    case TLS_UNKNOWN_ISSUER: return "; give the certificate authority that signed it";
    case TLS_IDENTITY_MISMATCH: return "; use one of those names in the URL, or set tls-server-name";
    case TLS_PEER_REFUSED: return "; it may not like the client certificate";
    default: return "";
    }
}

static void shake_hands(struct api_conn *conn)
{
    int r = tls_handshake(&conn->io);
    struct errmsg msg, why;
    struct tls_peer peer;

    if (r == -EAGAIN)
        return;
    if (r == 0) {
        begin_http(conn, tls_peer(&conn->io, &peer) && slice_eq(peer.alpn, alpn[0]));
        return;
    }
    tls_failure_text(&conn->io, &why);
    errmsg_set(&msg, r, "TLS: %s%s", why.text, advice(tls_failure(&conn->io)));
    dial_next(conn, &msg);
}

static void begin_tls(struct api_conn *conn)
{
    const struct kube_access *access = conn->client->access;
    struct errmsg msg = {"no memory for TLS"};

    if (!conn->tls) {
        begin_http(conn, false);
        return;
    }
    if (tls_push_web(&conn->io, conn->tls, access->tls_server_name.len ? access->tls_server_name : access->host, alpn, 2) < 0) {
        fail(conn, &msg);
        return;
    }
    conn->state = API_CONN_HANDSHAKE;
    shake_hands(conn);
}

/* --- through a proxy --- */

static bool has_proxy(const struct api_conn *conn)
{
    return conn->client->access->proxy.kind != TUNNEL_NONE;
}

static void name_proxy(const struct api_conn *conn, struct errmsg *msg)
{
    const struct tunnel_proxy *proxy = &conn->client->access->proxy;

    errmsg_prefix(msg, 0, "the proxy %.*s:%u", SLICE_ARGS(proxy->host), (unsigned)proxy->port);
}

/* Another address of the proxy, if it has one; `msg` is without its name. */
static void proxy_failed(struct api_conn *conn, struct errmsg *msg)
{
    name_proxy(conn, msg);
    dial_next(conn, msg);
}

static void go_through(struct api_conn *conn)
{
    struct errmsg msg = {""};
    int r = tunnel_run(conn->tunnel, &conn->io, &msg);

    if (r == 0)
        begin_tls(conn);
    else if (r != -EAGAIN)
        proxy_failed(conn, &msg);
}

static void begin_tunnel(struct api_conn *conn)
{
    const struct kube_access *access = conn->client->access;
    int r;

    tunnel_free(conn->tunnel);
    conn->tunnel = NULL;
    r = tunnel_new(&access->proxy, access->host, access->port, &conn->tunnel);
    if (r < 0) {
        fail(conn, &(struct errmsg){"the request to the proxy cannot be made: a name is too long for it, or memory is missing"});
        return;
    }
    conn->state = API_CONN_TUNNEL;
    go_through(conn);
}

static void shake_hands_with_proxy(struct api_conn *conn)
{
    int r = tls_handshake(&conn->io);
    struct errmsg msg, why;

    if (r == -EAGAIN)
        return;
    if (r == 0) {
        begin_tunnel(conn);
        return;
    }
    tls_failure_text(&conn->io, &why);
    errmsg_set(&msg, r, "TLS: %s%s", why.text, advice(tls_failure(&conn->io)));
    proxy_failed(conn, &msg);
}

static void begin_proxy(struct api_conn *conn)
{
    if (!conn->proxy_tls) {
        begin_tunnel(conn);
        return;
    }
    if (tls_push_web(&conn->io, conn->proxy_tls, conn->client->access->proxy.host, &alpn[1], 1) < 0) {
        fail(conn, &(struct errmsg){"no memory for TLS"});
        return;
    }
    conn->state = API_CONN_PROXY_HANDSHAKE;
    shake_hands_with_proxy(conn);
}

/* --- the connection --- */

static void connected(struct api_conn *conn)
{
    if (has_proxy(conn))
        begin_proxy(conn);
    else
        begin_tls(conn);
}

static void work(struct task *task)
{
    struct api_conn *conn = CONTAINER_OF(task, struct api_conn, work);
    struct sys *sys = conn->client->loop->sys;
    char text[ADDR_TEXT_MAX];
    struct errmsg msg;
    int r;

    switch (conn->state) {
    case API_CONN_PROXY_HANDSHAKE:
        shake_hands_with_proxy(conn);
        return;
    case API_CONN_TUNNEL:
        go_through(conn);
        return;
    case API_CONN_HANDSHAKE:
        shake_hands(conn);
        return;
    default:
        break;
    }
    if (conn->state != API_CONN_CONNECTING || !conn->io.writable)
        return;
    r = sys->ops->connect_result(sys, conn->io.fd.watch.fd);
    if (r == 0) {
        connected(conn);
    } else if (r != -EINPROGRESS) {
        errmsg_set(&msg, r, "cannot connect to %s: %s", addr_format(conn->answer.addrs[conn->tried - 1], text), strerror(-r));
        dial_next(conn, &msg);
    }
}

static void ready(struct io_stack *stack)
{
    struct api_conn *conn = stack->owner;

    task_wake(conn->client->loop, &conn->work);
}

static int dial(struct api_conn *conn, struct addr addr)
{
    struct loop *loop = conn->client->loop;
    int fd = loop->sys->ops->connect(loop->sys, addr), r;

    if (fd < 0)
        return fd;
    (void)loop->sys->ops->set_options(loop->sys, fd, &socket_options);
    r = io_open(&conn->io, loop, fd, ready);
    if (r < 0) {
        loop->sys->ops->close(loop->sys, fd, true);
        return r;
    }
    conn->io.owner = conn;
    conn->state = API_CONN_CONNECTING;
    return 0;
}

/* The next address that answers the name; without one, `msg` is why. */
static void dial_next(struct api_conn *conn, struct errmsg *msg)
{
    char text[ADDR_TEXT_MAX];

    io_close(&conn->io, true);
    while (conn->tried < conn->answer.count) {
        struct addr addr = conn->answer.addrs[conn->tried++];
        int r = dial(conn, addr);

        if (r == 0)
            return;
        errmsg_set(msg, r, "cannot connect to %s: %s", addr_format(addr, text), strerror(-r));
    }
    fail(conn, msg);
}

/* What is dialled. */
static struct slice next_host(const struct kube_access *access, uint16_t *ret_port)
{
    const bool proxy = access->proxy.kind != TUNNEL_NONE;

    *ret_port = proxy ? access->proxy.port : access->port;
    return proxy ? access->proxy.host : access->host;
}

static void resolved(struct resolver_query *query, const struct resolver_answer *answer)
{
    struct api_conn *conn = CONTAINER_OF(query, struct api_conn, query);
    struct errmsg msg;

    conn->answer = *answer;
    errmsg_set(&msg, 0, "cannot resolve %.*s: %s", SLICE_ARGS(query->host), strerror(answer->error ? -answer->error : ENOENT));
    if (answer->error)
        fail(conn, &msg);
    else
        dial_next(conn, &msg);
}

/* An address is dialled from the loop as a name is: whoever asks for a connection hears of it later. */
static int resolve(struct api_conn *conn, struct errmsg *msg)
{
    struct api_client *client = conn->client;
    int r = client->resolver ? 0 : resolver_dns_new(client->loop, 0, 0, &client->resolver);
    uint16_t port;
    struct slice host = next_host(client->access, &port);

    if (r == 0)
        r = resolver_start(client->resolver, &conn->query, host, port, resolved);
    return r < 0 ? errmsg_set(msg, r, "cannot resolve %.*s: %s", SLICE_ARGS(host), strerror(-r)) : 0;
}

static void too_late(struct timer *timer)
{
    static const char *const waited_for[] = {"the name to be resolved", "the connection", "the TLS handshake", "the way through it", "the TLS handshake"};
    struct api_conn *conn = CONTAINER_OF(timer, struct api_conn, deadline);
    struct errmsg msg;

    if (conn->state >= API_CONN_OPEN)
        return;
    errmsg_set(&msg, -ETIMEDOUT, "waited 10 s for %s", waited_for[conn->state]);
    if (conn->state == API_CONN_PROXY_HANDSHAKE || conn->state == API_CONN_TUNNEL)
        name_proxy(conn, &msg);
    fail(conn, &msg);
}

int api_conn_new(struct api_client *client, struct api_call *only, struct errmsg *msg)
{
    struct api_conn *conn = calloc(1, sizeof(*conn));
    int r;

    if (!conn)
        return errmsg_set(msg, -ENOMEM, "no memory");
    conn->client = client;
    conn->only = only;
    conn->own = only != NULL;
    conn->io.fd.watch.fd = -1;
    task_init(&conn->work, work);
    task_init(&conn->over, free_at_end_of_turn);
    list_push(&client->conns, &conn->link);
    client->conn_count++;
    r = timer_init(client->loop, &conn->deadline, too_late);
    conn->certificate = exec_plugin_certificates(client->access);
    if (r == 0)
        r = kube_access_tls(client->access, client->loop->sys, &conn->tls, msg);
    if (r == 0)
        r = kube_access_proxy_tls(client->access, client->loop->sys, &conn->proxy_tls, msg);
    if (r == 0)
        r = resolve(conn, msg);
    if (r < 0) {
        api_conn_free(conn);
        return r;
    }
    timer_set(client->loop, &conn->deadline, client->loop->now_ns + CONNECT_TIMEOUT_NS);
    if (only)
        only->conn = conn;
    return 0;
}
