#include <assert.h>
#include <errno.h>
#include <stdio.h>

#include "codec/client_hello.h"
#include "codec/transport_header.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"
#include "proxy/detect.h"
#include "proxy/inbound/inbound.h"
#include "proxy/opaque.h"
#include "proxy/series.h"
#include "proxy/serve.h"
#include "proxy/server_first.h"

static enum step_result take_original_dst(struct walker *walker, enum why why);
static enum step_result find_port_policy(struct walker *walker, enum why why);
static enum step_result detect_tls(struct walker *walker, enum why why);
static enum step_result end_tls(struct walker *walker, enum why why);
static enum step_result read_transport_header(struct walker *walker, enum why why);
static enum step_result detect_session(struct walker *walker, enum why why);
static enum step_result authorize_tcp(struct walker *walker, enum why why);
static enum step_result end_direct_tls(struct walker *walker, enum why why);

/* From whoever was redirected to us. */
const struct step inbound_path[] = {
    {"original-dst", take_original_dst}, /* learns dst; our own port: SWITCH to direct_path */
    {"policy", find_port_policy},        /* learns policy; opaque: SWITCH to opaque_path */
    {"detect-tls", detect_tls},          /* ours: SWITCH to mesh_path; another's: SWITCH to opaque_path */
    {"detect-http", detect_session},     /* HTTP: SWITCH to http_path */
    {"authorize", authorize_tcp},        /* learns permit, or refuses */
    {"connect", connect_app},            /* to the application */
    {"forward", forward_both_ways},      /* until both directions have ended */
    {NULL, NULL},
};

/* The client speaks mesh TLS to this port. */
static const struct step mesh_path[] = {
    {"tls", end_tls},             /* learns client_id */
    {"detect-http", detect_session},
    {"authorize", authorize_tcp},
    {"connect", connect_app},
    {"forward", forward_both_ways},
    {NULL, NULL},
};

/* The client has not spoken yet; perhaps the server does. */
static const struct step server_first_path[] = {
    {"server-first", server_first},
    {"authorize", authorize_tcp},
    {"forward", forward_both_ways},
    {NULL, NULL},
};

static const struct step opaque_path[] = {
    {"authorize", authorize_tcp},
    {"connect", connect_app},
    {"forward", forward_both_ways},
    {NULL, NULL},
};

/* From a proxy that dialled our own port: mesh TLS with a transport header, or nothing. */
static const struct step direct_path[] = {
    {"tls", end_direct_tls},                     /* learns client_id, which is required here */
    {"transport-header", read_transport_header}, /* learns the true dst, and the session */
    {"policy", find_port_policy},                /* of that port */
    {"authorize", authorize_tcp},                /* not opaque: SWITCH to http_path */
    {"connect", connect_app},
    {"forward", forward_both_ways},
    {NULL, NULL},
};

static const struct step http_path[] = {
    {"http", serve_http}, /* until the connection has ended; requests walk inbound_request_path */
    {NULL, NULL},
};

static struct direction_config *config_of(struct conn *conn)
{
    return &conn->worker->proxy->config.inbound;
}

static enum step_result switch_to(struct conn *conn, const struct step *path)
{
    timer_cancel(&conn->deadline);
    conn->walker.path = path;
    return STEP_SWITCH;
}

static enum step_result take_original_dst(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct worker *worker = conn->worker;
    struct sys *sys = worker->proxy->sys;
    const struct config *config = &worker->proxy->config;
    int r = sys->ops->original_dst(sys, conn->io.fd.watch.fd, &conn->dst);

    if (r == -ENOENT)
        r = sys->ops->local_addr(sys, conn->io.fd.watch.fd, &conn->dst);
    if (r < 0)
        return conn_fail(conn, REASON_NO_ORIGINAL_DST, r);
    if (config->inbound_ips.count && !networks_have(&config->inbound_ips, conn->dst.ip))
        return conn_fail(conn, REASON_WRONG_ADDRESS, 0);
    if (conn->dst.port == config->inbound.listen[0].port)
        return switch_to(conn, direct_path);
    return STEP_NEXT;
}

/* Bounded: without an answer the port refuses, it never falls back to allowing. */
static enum step_result find_port_policy(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);

    if (why == WHY_START) {
        char key[8];
        int len = snprintf(key, sizeof(key), "%u", (unsigned)conn->dst.port);
        int r = lookup_get(&conn->worker->ports, slice_of(key, (size_t)len), &conn->lookup);

        if (r < 0)
            return conn_fail(conn, r == -ENOSPC ? REASON_TOO_MANY_DESTINATIONS : REASON_OUT_OF_MEMORY, r);
        if (!conn->lookup->snapshot) {
            lookup_wait(conn->lookup, &conn->waiter, &conn->task);
            conn_deadline(conn, conn->worker->loop->now_ns + POLICY_WAIT_NS);
            return STEP_WAIT;
        }
    }
    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (!conn->lookup->snapshot) {
        if (why == WHY_TIMER)
            return conn_fail(conn, REASON_POLICY_UNKNOWN, -ETIMEDOUT);
        return STEP_WAIT;
    }
    lookup_unwait(&conn->waiter);
    timer_cancel(&conn->deadline);
    conn->policy = inbound_policy_ref(conn->lookup->snapshot);
    if (conn->walker.path == inbound_path && conn->policy->protocol == INBOUND_OPAQUE) {
        conn->tls = TLS_STATUS_NO_TLS;
        conn->no_tls = NO_TLS_PORT_SKIPPED;
        conn->session = SESSION_OPAQUE;
        return switch_to(conn, opaque_path);
    }
    return STEP_NEXT;
}

static int64_t detect_timeout(struct conn *conn)
{
    if (conn->policy && conn->policy->protocol == INBOUND_DETECT && conn->policy->detect_timeout_ns)
        return conn->policy->detect_timeout_ns;
    return config_of(conn)->detect_timeout_ns;
}

/* After a client hello: is it for us? */
static enum step_result told_tls(struct conn *conn, const struct client_hello *hello)
{
    struct slice own = conn->worker->proxy->config.server_name, sni = client_hello_server_name(hello);

    server_first_settle(conn);
    if (conn->worker->tls && slice_eq_nocase(sni, own))
        return switch_to(conn, mesh_path);
    conn->tls = TLS_STATUS_PASSTHROUGH;
    keep_server_name(conn, sni);
    conn->session = SESSION_OPAQUE;
    if (unpeek(conn) < 0)
        return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
    return switch_to(conn, opaque_path);
}

static enum step_result plaintext(struct conn *conn)
{
    timer_cancel(&conn->deadline);
    conn->tls = TLS_STATUS_NO_TLS;
    conn->no_tls = ip_is_loopback(conn->peer.ip) ? NO_TLS_LOOPBACK : NO_TLS_FROM_REMOTE;
    if (conn->policy->protocol == INBOUND_TLS) { /* not TLS, though it should be: refused for want of a permit */
        conn->session = SESSION_OPAQUE;
        if (unpeek(conn) < 0)
            return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
        return switch_to(conn, opaque_path);
    }
    return STEP_NEXT;
}

/* The grace is over: the server's side is opened if nobody has spoken, or detection goes on alone. */
static enum step_result look_at_server(struct conn *conn)
{
    if (chain_empty(&conn->peeked) && server_first_begin(conn, server_first_path))
        return STEP_SWITCH;
    conn->speculated = true;
    conn_deadline(conn, conn->detect_until_ns);
    return STEP_WAIT;
}

static enum step_result detect_tls(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct client_hello hello;
    int r;

    assert(conn->policy);
    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START) {
        conn->detect_until_ns = conn->since_ns + detect_timeout(conn);
        conn_deadline(conn, server_first_look_at(conn, conn->detect_until_ns));
    }
    r = peek_more(conn, LIMIT_CLIENT_HELLO);
    if (r < 0 && (r != -ENODATA || chain_empty(&conn->peeked)) && r != -ENOBUFS)
        return conn_fail(conn, REASON_CLIENT_GONE, r == -ENODATA ? 0 : r);
    if (!chain_empty(&conn->peeked))
        switch (client_hello_parse(peeked(conn), &hello)) {
        case CLIENT_HELLO_FOUND:
            return told_tls(conn, &hello);
        case CLIENT_HELLO_NOT_TLS:
        case CLIENT_HELLO_MALFORMED:
            return plaintext(conn);
        case CLIENT_HELLO_MORE:
            if (r == -ENODATA || r == -ENOBUFS)
                return plaintext(conn);
            break;
        }
    if (r == 0 && why == WHY_TIMER && conn->worker->loop->now_ns < conn->detect_until_ns)
        return look_at_server(conn);
    if (why == WHY_TIMER)
        return plaintext(conn); /* the next step gives up on HTTP too: opaque, if that is allowed */
    return STEP_WAIT;
}

/* Pushes the filter at the start, then goes on with the handshake. 1: done, 0: wait, or the failure was noted. */
static int handshake(struct conn *conn, enum why why, const struct slice *alpn, size_t alpn_count)
{
    struct tls_peer peer;
    int r;

    if (why == WHY_START) {
        conn_deadline(conn, conn->worker->loop->now_ns + detect_timeout(conn));
        if (!conn->worker->tls)
            return conn_fail(conn, REASON_IDENTITY_UNAVAILABLE, -ENOKEY), -1;
        if (unpeek(conn) < 0 || tls_push_server(&conn->io, conn->worker->tls, alpn, alpn_count) < 0)
            return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM), -1;
    }
    r = tls_handshake(&conn->io);
    if (r == -EAGAIN) {
        if (why == WHY_TIMER)
            return conn_fail(conn, REASON_TLS_DETECT_TIMEOUT, -ETIMEDOUT), -1;
        return 0;
    }
    if (r < 0)
        return conn_fail(conn, reason_of_tls(tls_failure(&conn->io)), r), -1;
    timer_cancel(&conn->deadline);
    tls_peer(&conn->io, &peer);
    conn->tls = TLS_STATUS_ESTABLISHED;
    conn->client_id = peer.id;
    return 1;
}

static enum step_result end_tls(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    r = handshake(conn, why, NULL, 0);
    if (r <= 0)
        return r < 0 ? STEP_FAIL : STEP_WAIT;
    if (conn->policy->protocol == INBOUND_TLS) {
        conn->session = SESSION_OPAQUE;
        return switch_to(conn, opaque_path);
    }
    return STEP_NEXT;
}

static enum step_result end_direct_tls(struct walker *walker, enum why why)
{
    static const struct slice alpn[] = {{"transport.l5d.io/v1", 19}};
    struct conn *conn = conn_of(walker);
    struct tls_peer peer;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    r = handshake(conn, why, alpn, 1);
    if (r <= 0)
        return r < 0 ? STEP_FAIL : STEP_WAIT;
    tls_peer(&conn->io, &peer);
    if (peer.id.kind == SAN_NONE)
        return conn_fail(conn, REASON_CLIENT_IDENTITY_REQUIRED, 0);
    if (!slice_eq(peer.alpn, alpn[0]))
        return conn_fail(conn, REASON_TRANSPORT_HEADER_INVALID, 0);
    return STEP_NEXT;
}

static enum step_result read_transport_header(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    struct transport_header header;
    ssize_t used;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START)
        conn_deadline(conn, conn->worker->loop->now_ns + detect_timeout(conn));
    r = peek_more(conn, LIMIT_TRANSPORT_HEADER);
    if (r < 0)
        return conn_fail(conn, r == -ENOBUFS ? REASON_TRANSPORT_HEADER_INVALID : REASON_CLIENT_GONE, r);
    used = chain_empty(&conn->peeked) ? 0 : transport_header_decode(peeked(conn), &header);
    if (used < 0)
        return conn_fail(conn, REASON_TRANSPORT_HEADER_INVALID, (int)used);
    if (used == 0)
        return why == WHY_TIMER ? conn_fail(conn, REASON_TRANSPORT_HEADER_INVALID, -ETIMEDOUT) : STEP_WAIT;
    timer_cancel(&conn->deadline);
    if (header.name.len) /* only a gateway serves names, and this is none */
        return conn_fail(conn, REASON_ROUTE_NOT_FOUND, 0);
    conn->dst.port = header.port;
    conn->session = header.session == TRANSPORT_HTTP1   ? SESSION_HTTP1
                    : header.session == TRANSPORT_HTTP2 ? SESSION_HTTP2
                                                                : SESSION_OPAQUE;
    series_transport_header(conn);
    chain_drop(&conn->peeked, (size_t)used);
    if (unpeek(conn) < 0)
        return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
    if (conn->dst.port == config_of(conn)->listen[0].port)
        return conn_fail(conn, REASON_LOOP, 0);
    return STEP_NEXT;
}

static enum step_result session_told(struct conn *conn);

/* What detection ended with: bytes that say it, or the end of its time. */
static enum step_result detected(struct conn *conn, bool in_time)
{
    series_detected(conn, !in_time                            ? "read_timeout"
                          : conn->session == SESSION_HTTP1    ? "http/1"
                          : conn->session == SESSION_HTTP2    ? "http/2"
                                                              : "not_http", conn->worker->loop->now_ns - conn->since_ns);
    return session_told(conn);
}

static enum step_result session_told(struct conn *conn)
{
    timer_cancel(&conn->deadline);
    server_first_settle(conn);
    if (unpeek(conn) < 0)
        return conn_fail(conn, REASON_OUT_OF_MEMORY, -ENOMEM);
    series_conn_opened(conn);
    if (conn->session == SESSION_OPAQUE)
        return STEP_NEXT;
    return switch_to(conn, http_path);
}

static enum step_result detect_session(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (conn->policy->protocol == INBOUND_HTTP2 || conn->policy->protocol == INBOUND_GRPC)
        conn->session = SESSION_HTTP2;
    else if (conn->policy->protocol == INBOUND_HTTP1 && conn->tls == TLS_STATUS_NO_TLS)
        conn->session = SESSION_HTTP1;
    if (conn->session != SESSION_UNKNOWN)
        return session_told(conn);
    if (why == WHY_START) {
        if (conn->detect_until_ns <= conn->worker->loop->now_ns)
            conn->detect_until_ns = conn->worker->loop->now_ns + detect_timeout(conn);
        conn_deadline(conn, server_first_look_at(conn, conn->detect_until_ns));
    }
    if (!chain_empty(&conn->peeked) && tell_session(conn, &conn->session))
        return detected(conn, true);
    r = peek_more(conn, LIMIT_HTTP_START_LINE);
    if (r < 0 && chain_empty(&conn->peeked))
        return conn_fail(conn, REASON_CLIENT_GONE, r == -ENODATA ? 0 : r);
    if (r != 0 && tell_session(conn, &conn->session))
        return detected(conn, true);
    if (r == 0 && why == WHY_TIMER && conn->worker->loop->now_ns < conn->detect_until_ns)
        return look_at_server(conn);
    if (r < 0 || why == WHY_TIMER) {
        conn->session = conn->policy->protocol == INBOUND_HTTP1 && why == WHY_TIMER ? SESSION_HTTP1 : SESSION_OPAQUE;
        return detected(conn, why != WHY_TIMER);
    }
    return STEP_WAIT;
}

static enum step_result authorize_tcp(struct walker *walker, enum why why)
{
    struct conn *conn = conn_of(walker);

    assert(conn->policy && conn->tls != TLS_STATUS_UNKNOWN);
    series_conn_opened(conn);
    if (conn->session != SESSION_OPAQUE)
        return switch_to(conn, http_path);
    series_conn_opened(conn);
    if (!inbound_authorize_tcp(conn))
        return conn_fail(conn, REASON_NOT_AUTHORIZED, 0);
    return STEP_NEXT;
}
