#include "proxy/series/parts.h"

#include "proxy/conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/worker.h"

static void conn_labels(const struct conn *conn, struct buffer *labels)
{
    label_add(labels, "direction", slice_str(direction_name(conn->direction)));
    label_add(labels, "peer", SLICE_LIT("src"));
    label_target(labels, conn->dst);
    label_client_tls(labels, conn);
    if (conn->direction == DIRECTION_INBOUND && conn->policy)
        label_server(labels, conn->policy, conn->dst.port);
}

void series_conn_opened(struct conn *conn)
{
    struct series *series = &conn->worker->series;
    struct buffer labels;

    if (conn->series)
        return;
    buffer_init(&labels, LABELS_MAX);
    conn_labels(conn, &labels);
    conn->series = transport_get(series, &labels);
    buffer_release(&labels);
    if (!conn->series)
        return;
    series_tcp_opened(conn->series);
    metric_add(conn->series->read, atomic_load_explicit(&conn->early[0], memory_order_relaxed));
    metric_add(conn->series->write, atomic_load_explicit(&conn->early[1], memory_order_relaxed));
    conn->io.count_read = &conn->series->read->value;
    conn->io.count_written = &conn->series->write->value;
}

static const char *error_label(const struct conn *conn)
{
    return reason_info(conn->reason)->error_label[conn->direction];
}

static void count_conn_error(struct conn *conn)
{
    struct series *series = &conn->worker->series;
    const char *error = error_label(conn);
    struct buffer labels;

    if (conn->reason == REASON_NONE || conn->reason == REASON_CLIENT_GONE)
        return;
    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "direction", slice_str(direction_name(conn->direction)));
    label_add(&labels, "reason", slice_str(reason_name(conn->reason)));
    series_bump(series, ERRORS, &labels);
    if (error) {
        bool inbound = conn->direction == DIRECTION_INBOUND;

        buffer_clear(&labels);
        if (inbound)
            label_add(&labels, "error", slice_str(error));
        label_target(&labels, conn->dst);
        if (!inbound)
            label_add(&labels, "error", slice_str(error));
        series_bump(series, inbound ? IN_TCP_ERRORS : OUT_TCP_ERRORS, &labels);
    }
    buffer_release(&labels);
}

/* --- routes of opaque connections, and protocols --- */

static void count_tcp_route(struct conn *conn, bool closed)
{
    const struct outbound_policy *policy = conn->view->discovery->policy;
    bool tls = policy->protocol == OUTBOUND_TLS;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_parent(&labels, &policy->metadata);
    label_out_route(&labels, &conn->route->metadata);
    label_add(&labels, "target_ip", SLICE_LIT(""));
    label_add_u64(&labels, "target_port", conn->dst.port);
    if (closed)
        label_add(&labels, "error",
                  conn->reason == REASON_NONE || conn->reason == REASON_CLIENT_GONE
                      ? SLICE_LIT("")
                      : slice_str(reason_info(conn->reason)->tcp_route_label));
    series_bump(&conn->worker->series, closed ? (tls ? OUT_TLS_ROUTE_CLOSE : OUT_TCP_ROUTE_CLOSE)
                                       : (tls ? OUT_TLS_ROUTE_OPEN : OUT_TCP_ROUTE_OPEN), &labels);
    buffer_release(&labels);
}

void series_route_taken(struct conn *conn, const struct outbound_route *route)
{
    conn->route = route;
    count_tcp_route(conn, false);
}

void series_protocol(struct conn *conn)
{
    static const char *const names[] = {
        [OUTBOUND_DETECT] = "detect", [OUTBOUND_OPAQUE] = "opaq", [OUTBOUND_HTTP1] = "http/1",
        [OUTBOUND_HTTP2] = "http/2",  [OUTBOUND_GRPC] = "http/2", [OUTBOUND_TLS] = "tls"};
    const struct discovery *found = conn->view->discovery;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_parent(&labels, &found->policy->metadata);
    label_add(&labels, "protocol",
              slice_str(found->profile && found->profile->opaque_protocol ? "opaq" : names[found->policy->protocol]));
    series_bump(&conn->worker->series, OUT_PROTOCOL, &labels);
    buffer_release(&labels);
}

void series_conn_closed(struct conn *conn)
{
    count_conn_error(conn);
    if (conn->route)
        count_tcp_route(conn, true);
    conn->route = NULL;
    if (!conn->series)
        return;
    series_tcp_closed(&conn->worker->series, conn->series, conn->io.error);
    conn->io.count_read = conn->io.count_written = NULL;
    series_tcp_put(&conn->worker->series, conn->series);
    conn->series = NULL;
}

void series_detected(struct conn *conn, const char *result, int64_t took_ns)
{
    struct series *series = &conn->worker->series;
    bool inbound = conn->direction == DIRECTION_INBOUND;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    if (inbound)
        label_server(&labels, conn->policy, conn->dst.port);
    else
        label_parent(&labels, &conn->view->discovery->policy->metadata);
    series_observe(series, inbound ? IN_DETECT_SECONDS : OUT_DETECT_SECONDS, &labels, took_ns);
    label_add(&labels, "result", slice_str(result));
    series_bump(series, inbound ? IN_DETECT : OUT_DETECT, &labels);
    buffer_release(&labels);
}

void series_http_refused(struct conn *conn, int status)
{
    struct series *series = &conn->worker->series;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "direction", slice_str(direction_name(conn->direction)));
    label_add(&labels, "reason", slice_str(reason_name(status == 414   ? REASON_URI_TOO_LONG
                                                       : status == 431 ? REASON_HEADERS_TOO_LARGE
                                                       : status == 505 ? REASON_VERSION_UNSUPPORTED
                                                       : status == 408 ? REASON_HEAD_TIMEOUT
                                                                       : REASON_BAD_REQUEST)));
    series_bump(series, ERRORS, &labels);
    buffer_release(&labels);
}

void series_transport_header(struct conn *conn)
{
    static const char *const sessions[] = {"", "http/1", "http/2", ""};
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "session_protocol", slice_str(sessions[conn->session]));
    label_add_u64(&labels, "target_port", conn->dst.port);
    label_add(&labels, "target_name", SLICE_LIT(""));
    label_add(&labels, "client_id", conn->client_id.name);
    series_bump(&conn->worker->series, IN_HEADER, &labels);
    buffer_release(&labels);
}

void series_conn_queued(struct conn *conn, int64_t waited_ns)
{
    const struct outbound_policy *policy = conn->view->discovery->policy;
    struct slice destination = backend_destination(conn->backend);
    bool tls = policy->protocol == OUTBOUND_TLS;
    struct buffer labels;

    if (!conn->backend->backend || !destination.len)
        return;
    buffer_init(&labels, LABELS_MAX);
    series_balancer_labels(&labels, &policy->metadata, &conn->backend->backend->metadata, destination);
    series_bump(&conn->worker->series, tls ? TLS_QUEUE_REQUESTS : TCP_QUEUE_REQUESTS, &labels);
    series_observe(&conn->worker->series, tls ? TLS_QUEUE_LATENCY : TCP_QUEUE_LATENCY, &labels, waited_ns);
    buffer_release(&labels);
}
