#include "proxy/series.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "mesh/classify.h"
#include "proxy/conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/request.h"
#include "proxy/worker.h"

enum family {
    TCP_OPEN_TOTAL,
    TCP_OPEN,
    TCP_READ,
    TCP_WRITE,
    TCP_CLOSE,
    REQUESTS,
    RESPONSES,
    LATENCY,
    IN_HTTP_ALLOW,
    IN_HTTP_DENY,
    IN_HTTP_NO_ROUTE,
    IN_TCP_ALLOW,
    IN_TCP_DENY,
    IN_TCP_TERMINATE,
    IN_HTTP_ERRORS,
    IN_TCP_ERRORS,
    OUT_HTTP_ERRORS,
    OUT_TCP_ERRORS,
    IN_DETECT_SECONDS,
    IN_DETECT,
    OUT_DETECT_SECONDS,
    OUT_DETECT,
    IN_HEADER,
    OUT_PROTOCOL,

    /* of HTTP routes; those of gRPC routes stand GRPC further on, in the same order */
    IN_ROUTE_REQUESTS,
    IN_ROUTE_SECONDS,
    IN_ROUTE_RESPONSE_SECONDS,
    IN_ROUTE_REQUEST_FRAMES,
    IN_ROUTE_RESPONSE_FRAMES,
    IN_ROUTE_STATUSES,
    OUT_ROUTE_SECONDS,
    OUT_ROUTE_REQUEST_FRAMES,
    OUT_ROUTE_STATUSES,
    OUT_BACKEND_REQUESTS,
    OUT_BACKEND_STATUSES,
    OUT_BACKEND_SECONDS,
    OUT_BACKEND_FRAMES,
    GRPC_FIRST,
    GRPC = GRPC_FIRST - IN_ROUTE_REQUESTS,
    GRPC_END = GRPC_FIRST + GRPC - 1,

    OUT_TCP_ROUTE_OPEN,
    OUT_TCP_ROUTE_CLOSE,
    OUT_TLS_ROUTE_OPEN,
    OUT_TLS_ROUTE_CLOSE,
    PROFILE_REQUESTS,
    PROFILE_RESPONSES,
    PROFILE_LATENCY,
    PROFILE_ACTUAL_REQUESTS,
    PROFILE_ACTUAL_RESPONSES,
    ERRORS,
    FAMILIES
};

#define COUNTER(name, help) {name, help, METRIC_COUNTER, METRIC_PLAIN, NULL}
#define SECONDS(name, help, buckets) {name, help, METRIC_HISTOGRAM, METRIC_SECONDS, &(buckets)}
#define BYTES(name, help) {name, help, METRIC_HISTOGRAM, METRIC_PLAIN, &METRIC_BUCKETS_FRAME_BYTES}
#define ROUTE_FAMILIES(offset, kind)                                                                                      \
    [IN_ROUTE_REQUESTS + (offset)] = COUNTER("inbound_" kind "_requests_total", "Requests by inbound route."),           \
    [IN_ROUTE_SECONDS + (offset)] = SECONDS("inbound_" kind "_request_duration_seconds",                                 \
        "Time from a request's head to the end of its response.", METRIC_BUCKETS_EXCHANGE_FINE),                         \
    [IN_ROUTE_RESPONSE_SECONDS + (offset)] = SECONDS("inbound_" kind "_response_duration_seconds",                       \
        "Time from a request's end to the end of its response.", METRIC_BUCKETS_EXCHANGE),                               \
    [IN_ROUTE_REQUEST_FRAMES + (offset)] = BYTES("inbound_" kind "_request_frame_size_bytes",                            \
        "Pieces in which bodies of requests were passed on."),                                                           \
    [IN_ROUTE_RESPONSE_FRAMES + (offset)] = BYTES("inbound_" kind "_response_frame_size_bytes",                          \
        "Pieces in which bodies of responses were passed on."),                                                          \
    [IN_ROUTE_STATUSES + (offset)] = COUNTER("inbound_" kind "_statuses_total", "Statuses of responses by inbound route."), \
    [OUT_ROUTE_SECONDS + (offset)] = SECONDS("outbound_" kind "_route_request_duration_seconds",                         \
        "Time from a request's head to the end of its response.", METRIC_BUCKETS_EXCHANGE),                              \
    [OUT_ROUTE_REQUEST_FRAMES + (offset)] = BYTES("outbound_" kind "_route_request_frame_size_bytes",                    \
        "Pieces in which bodies of requests were passed on."),                                                           \
    [OUT_ROUTE_STATUSES + (offset)] = COUNTER("outbound_" kind "_route_request_statuses_total",                          \
        "Outcomes of requests by outbound route."),                                                                      \
    [OUT_BACKEND_REQUESTS + (offset)] = COUNTER("outbound_" kind "_route_backend_requests_total",                        \
        "Requests sent to a backend of a route."),                                                                       \
    [OUT_BACKEND_STATUSES + (offset)] = COUNTER("outbound_" kind "_route_backend_response_statuses_total",               \
        "Outcomes of requests by backend."),                                                                             \
    [OUT_BACKEND_SECONDS + (offset)] = SECONDS("outbound_" kind "_route_backend_response_duration_seconds",              \
        "Time from a request's end to the end of its response.", METRIC_BUCKETS_EXCHANGE_FINE),                          \
    [OUT_BACKEND_FRAMES + (offset)] = BYTES("outbound_" kind "_route_backend_response_frame_size_bytes",                 \
        "Pieces in which bodies of responses were passed on.")
/* clang-format off */
static const struct metric_family families[FAMILIES] = {
    [TCP_OPEN_TOTAL] = COUNTER("tcp_open_total", "Connections opened."),
    [TCP_OPEN] = {"tcp_open_connections", "Connections that are open.", METRIC_GAUGE, METRIC_PLAIN, NULL},
    [TCP_READ] = COUNTER("tcp_read_bytes_total", "Bytes read from peers."),
    [TCP_WRITE] = COUNTER("tcp_write_bytes_total", "Bytes written to peers."),
    [TCP_CLOSE] = COUNTER("tcp_close_total", "Connections closed."),
    [REQUESTS] = COUNTER("request_total", "HTTP requests."),
    [RESPONSES] = COUNTER("response_total", "HTTP responses."),
    [LATENCY] = {"response_latency_ms", "Time from a request's head to the end of its response.", METRIC_HISTOGRAM,
                 METRIC_MILLIS, &METRIC_BUCKETS_LATENCY_MS},
    [IN_HTTP_ALLOW] = COUNTER("inbound_http_authz_allow_total", "Requests that a policy allowed."),
    [IN_HTTP_DENY] = COUNTER("inbound_http_authz_deny_total", "Requests that no policy allowed."),
    [IN_HTTP_NO_ROUTE] = COUNTER("inbound_http_route_not_found_total", "Requests that no route of the port matched."),
    [IN_TCP_ALLOW] = COUNTER("inbound_tcp_authz_allow_total", "Connections that a policy allowed."),
    [IN_TCP_DENY] = COUNTER("inbound_tcp_authz_deny_total", "Connections that no policy allowed."),
    [IN_TCP_TERMINATE] = COUNTER("inbound_tcp_authz_terminate_total", "Connections ended by a change of policy."),
    [IN_HTTP_ERRORS] = COUNTER("inbound_http_errors_total", "Inbound HTTP errors of the proxy's own."),
    [IN_TCP_ERRORS] = COUNTER("inbound_tcp_errors_total", "Inbound TCP errors of the proxy's own."),
    [OUT_HTTP_ERRORS] = COUNTER("outbound_http_errors_total", "Outbound HTTP errors of the proxy's own."),
    [OUT_TCP_ERRORS] = COUNTER("outbound_tcp_errors_total", "Outbound TCP errors of the proxy's own."),
    [IN_DETECT_SECONDS] = SECONDS("inbound_tcp_detect_http_duration_seconds", "How long detection took.", METRIC_BUCKETS_DETECT),
    [IN_DETECT] = COUNTER("inbound_tcp_detect_http_results_total", "What detection found."),
    [OUT_DETECT_SECONDS] = SECONDS("outbound_tcp_detect_http_duration_seconds", "How long detection took.", METRIC_BUCKETS_DETECT),
    [OUT_DETECT] = COUNTER("outbound_tcp_detect_http_results_total", "What detection found."),
    [IN_HEADER] = COUNTER("inbound_tcp_transport_header_connections_total", "Connections with a transport header."),
    [OUT_PROTOCOL] = COUNTER("outbound_tcp_protocol_connections_total", "Connections by the protocol of their policy."),
    ROUTE_FAMILIES(0, "http"),
    ROUTE_FAMILIES(GRPC, "grpc"),
    [OUT_TCP_ROUTE_OPEN] = COUNTER("outbound_tcp_route_open_total", "Opaque connections by outbound route."),
    [OUT_TCP_ROUTE_CLOSE] = COUNTER("outbound_tcp_route_close_total", "Opaque connections that ended, by outbound route."),
    [OUT_TLS_ROUTE_OPEN] = COUNTER("outbound_tls_route_open_total", "TLS connections by outbound route."),
    [OUT_TLS_ROUTE_CLOSE] = COUNTER("outbound_tls_route_close_total", "TLS connections that ended, by outbound route."),
    [PROFILE_REQUESTS] = COUNTER("route_request_total", "Requests by profile route."),
    [PROFILE_RESPONSES] = COUNTER("route_response_total", "Responses by profile route."),
    [PROFILE_LATENCY] = {"route_response_latency_ms", "Time from a request's head to the end of its response.",
                         METRIC_HISTOGRAM, METRIC_MILLIS, &METRIC_BUCKETS_LATENCY_MS},
    [PROFILE_ACTUAL_REQUESTS] = COUNTER("route_actual_request_total", "Requests by profile route, each try."),
    [PROFILE_ACTUAL_RESPONSES] = COUNTER("route_actual_response_total", "Responses by profile route, each try."),
    [ERRORS] = COUNTER("proxy_errors_total", "Every error that the proxy made itself, by reason."),
};
/* clang-format on */

enum { LABELS_MAX = 4096, OUTCOMES_CACHED = 4 };

struct transport_series {
    struct map_entry entry;
    struct map *map;
    unsigned refs;
    struct metric *open_total, *open, *read, *write;
    struct slice labels; /* own memory */
};

/* What one outcome of one label set counts. */
struct outcome {
    uint16_t status;
    int16_t grpc_status;
    bool failure;
    enum reason reason;
    struct metric *responses, *latency; /* responses NULL: unused */
    struct metric *route, *backend;     /* statuses by route, and by its backend (outbound) */
    struct metric *profile, *profile_actual, *profile_latency;
};

/* Everything that requests of one kind count: same connection labels, route, permit or endpoint. */
struct http_series {
    struct map_entry entry;
    struct map *map;
    unsigned refs;
    enum family grpc; /* what to add to a route's family: GRPC, or 0 */
    struct slice labels, route_labels, backend_labels, profile_labels; /* own memory; the whole of it is the key */
    struct metric *requests, *allowed, *route_requests, *route_seconds, *response_seconds, *backend_requests;
    struct metric *profile_requests, *profile_actual;
    struct metric *frames[2]; /* of requests, of responses */
    struct outcome outcomes[OUTCOMES_CACHED];
    unsigned next_outcome;
};

int series_register(struct proxy *proxy)
{
    int first = metrics_add_table(&proxy->metrics, families, FAMILIES);

    proxy->data_families = first;
    return first < 0 ? first : 0;
}

static struct metric *get(struct series *series, enum family family, const struct buffer *labels)
{
    return metric_get(series->worker->shard, series->worker->proxy->data_families + (int)family, buffer_slice(labels));
}

static void bump(struct series *series, enum family family, const struct buffer *labels)
{
    struct metric *metric = get(series, family, labels);

    metric_add(metric, 1);
    metric_unref(metric);
}

static void observe(struct series *series, enum family family, const struct buffer *labels, int64_t value)
{
    struct metric *metric = get(series, family, labels);

    metric_observe(metric, value);
    metric_unref(metric);
}

/* --- parts of label sets --- */

static void add_target(struct buffer *labels, struct addr target)
{
    char text[ADDR_TEXT_MAX];

    label_add(labels, "target_addr", slice_str(addr_format(target, text)));
    label_add(labels, "target_ip", slice_str(ip_format(target.ip, text)));
    label_add_u64(labels, "target_port", target.port);
}

static void add_client_tls(struct buffer *labels, const struct conn *conn)
{
    static const char *const why[] = {"", "disabled", "loopback", "port_skipped", "no_tls_from_remote"};

    switch (conn->tls) {
    case TLS_STATUS_ESTABLISHED:
        label_add(labels, "tls", SLICE_LIT("true"));
        label_add(labels, "client_id", conn->client_id.name);
        break;
    case TLS_STATUS_PASSTHROUGH:
        label_add(labels, "tls", SLICE_LIT("opaque"));
        label_add(labels, "sni", conn->sni);
        break;
    case TLS_STATUS_UNKNOWN:
    case TLS_STATUS_NO_TLS:
        if (conn->no_tls == NO_TLS_LOOPBACK) {
            label_add(labels, "tls", SLICE_LIT("loopback"));
        } else {
            label_add(labels, "tls", SLICE_LIT("no_identity"));
            label_add(labels, "no_tls_reason", slice_str(why[conn->no_tls]));
        }
        break;
    }
}

static struct slice or_default(struct slice text, struct slice fallback)
{
    return text.len ? text : fallback;
}

/* group, kind and name of where something was configured, under a prefix. */
static void add_metadata(struct buffer *labels, const char *const names[3], const struct metadata *metadata)
{
    bool resource = metadata->kind == METADATA_RESOURCE;

    label_add(labels, names[0], resource ? or_default(metadata->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, names[1], resource ? metadata->resource_kind : SLICE_LIT("default"));
    label_add(labels, names[2], metadata->name);
}

static void add_server(struct buffer *labels, const struct inbound_policy *policy, uint16_t port)
{
    static const char *const names[] = {"srv_group", "srv_kind", "srv_name"};

    add_metadata(labels, names, &policy->metadata);
    label_add_u64(labels, "srv_port", port);
}

static void add_authz(struct buffer *labels, const struct authorization *permit)
{
    static const char *const names[] = {"authz_group", "authz_kind", "authz_name"};

    if (permit)
        add_metadata(labels, names, &permit->metadata);
}

static void add_in_route(struct buffer *labels, const struct inbound_route *route)
{
    static const char *const names[] = {"route_group", "route_kind", "route_name"};
    static const struct metadata none = {.kind = METADATA_DEFAULT, .name = {"default", 7}};

    add_metadata(labels, names, route ? &route->metadata : &none);
}

static void add_server_tls(struct buffer *labels, const struct endpoint_info *endpoint)
{
    if (endpoint->identity_kind != IDENTITY_NONE) {
        label_add(labels, "tls", SLICE_LIT("true"));
        label_add(labels, "server_id", endpoint->identity);
    } else if (ip_is_loopback(endpoint->addr.ip)) {
        label_add(labels, "tls", SLICE_LIT("loopback"));
    } else {
        label_add(labels, "tls", SLICE_LIT("no_identity"));
        label_add(labels, "no_tls_reason", SLICE_LIT("not_provided_by_service_discovery"));
    }
}

static void add_dst(struct buffer *labels, const struct endpoint_info *endpoint)
{
    for (size_t i = 0; endpoint->set_labels && i < endpoint->set_labels->count; i++)
        if (!labels_find(&endpoint->labels, endpoint->set_labels->items[i].name).ptr)
            label_add_prefixed(labels, "dst_", endpoint->set_labels->items[i].name, endpoint->set_labels->items[i].value);
    for (size_t i = 0; i < endpoint->labels.count; i++)
        label_add_prefixed(labels, "dst_", endpoint->labels.items[i].name, endpoint->labels.items[i].value);
}

static void add_parent(struct buffer *labels, const struct metadata *parent)
{
    bool resource = parent->kind == METADATA_RESOURCE;

    label_add(labels, "parent_group", resource ? or_default(parent->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, "parent_kind", resource ? parent->resource_kind : SLICE_LIT("default"));
    label_add(labels, "parent_namespace", parent->namespace);
    label_add(labels, "parent_name", parent->name);
    label_add_u64(labels, "parent_port", parent->port);
    label_add(labels, "parent_section_name", parent->section);
}

static void add_out_route(struct buffer *labels, const struct metadata *route)
{
    bool resource = route->kind == METADATA_RESOURCE;

    label_add(labels, "route_group", resource ? or_default(route->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, "route_kind", resource ? route->resource_kind : SLICE_LIT("default"));
    label_add(labels, "route_namespace", route->namespace);
    label_add(labels, "route_name", route->name);
}

static void add_backend(struct buffer *labels, const struct metadata *backend)
{
    bool resource = backend->kind == METADATA_RESOURCE;

    label_add(labels, "backend_group", resource ? or_default(backend->group, SLICE_LIT("core")) : SLICE_LIT(""));
    label_add(labels, "backend_kind", resource ? backend->resource_kind : SLICE_LIT("default"));
    label_add(labels, "backend_namespace", backend->namespace);
    label_add(labels, "backend_name", backend->name);
    label_add_u64(labels, "backend_port", backend->port);
    label_add(labels, "backend_section_name", backend->section);
}

/* --- transports --- */

void series_init(struct series *series, struct worker *worker)
{
    series->worker = worker;
    map_init(&series->transports, rng_next(&worker->loop->rng), rng_next(&worker->loop->rng));
    map_init(&series->https, rng_next(&worker->loop->rng), rng_next(&worker->loop->rng));
}

static void free_transport(struct transport_series *transport)
{
    metric_unref(transport->open_total);
    metric_unref(transport->open);
    metric_unref(transport->read);
    metric_unref(transport->write);
    map_remove(transport->map, &transport->entry);
    free((char *)(uintptr_t)transport->labels.ptr);
    free(transport);
}

static void forget_outcome(struct outcome *outcome)
{
    struct metric *const metrics[] = {outcome->responses, outcome->latency,        outcome->route,          outcome->backend,
                                      outcome->profile,   outcome->profile_actual, outcome->profile_latency};

    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
        metric_unref(metrics[i]);
}

static void free_http(struct http_series *http)
{
    struct metric *const metrics[] = {http->requests,         http->allowed,          http->route_requests, http->route_seconds,
                                      http->response_seconds, http->backend_requests, http->frames[0],      http->frames[1],
                                      http->profile_requests, http->profile_actual};

    for (int i = 0; i < OUTCOMES_CACHED; i++)
        forget_outcome(&http->outcomes[i]);
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
        metric_unref(metrics[i]);
    map_remove(http->map, &http->entry);
    free((char *)(uintptr_t)http->labels.ptr);
    free(http);
}

void series_release(struct series *series)
{
    MAP_FOR_EACH (link, &series->transports)
        free_transport(CONTAINER_OF(MAP_ENTRY(link), struct transport_series, entry));
    MAP_FOR_EACH (http_link, &series->https)
        free_http(CONTAINER_OF(MAP_ENTRY(http_link), struct http_series, entry));
    map_release(&series->transports);
    map_release(&series->https);
}

/* Found by its labels or made; NULL without memory, which counts nothing. */
static struct transport_series *transport_get(struct series *series, const struct buffer *labels)
{
    struct map_entry *entry = map_find(&series->transports, buffer_slice(labels));
    struct transport_series *transport;

    if (entry) {
        transport = CONTAINER_OF(entry, struct transport_series, entry);
        transport->refs++;
        return transport;
    }
    transport = calloc(1, sizeof(*transport));
    if (!transport)
        return NULL;
    transport->labels = slice_of(slice_dup(buffer_slice(labels)), labels->len);
    if (!transport->labels.ptr || map_add(&series->transports, &transport->entry, transport->labels) < 0) {
        free((char *)(uintptr_t)transport->labels.ptr);
        free(transport);
        return NULL;
    }
    transport->map = &series->transports;
    transport->refs = 1;
    transport->open_total = get(series, TCP_OPEN_TOTAL, labels);
    transport->open = get(series, TCP_OPEN, labels);
    transport->read = get(series, TCP_READ, labels);
    transport->write = get(series, TCP_WRITE, labels);
    return transport;
}

void series_tcp_put(struct series *series, struct transport_series *transport)
{
    if (transport && --transport->refs == 0)
        free_transport(transport);
}

static void conn_labels(const struct conn *conn, struct buffer *labels)
{
    label_add(labels, "direction", slice_str(direction_name(conn->direction)));
    label_add(labels, "peer", SLICE_LIT("src"));
    add_target(labels, conn->dst);
    add_client_tls(labels, conn);
    if (conn->direction == DIRECTION_INBOUND && conn->policy)
        add_server(labels, conn->policy, conn->dst.port);
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
    bump(series, ERRORS, &labels);
    if (error) {
        bool inbound = conn->direction == DIRECTION_INBOUND;

        buffer_clear(&labels);
        if (inbound)
            label_add(&labels, "error", slice_str(error));
        add_target(&labels, conn->dst);
        if (!inbound)
            label_add(&labels, "error", slice_str(error));
        bump(series, inbound ? IN_TCP_ERRORS : OUT_TCP_ERRORS, &labels);
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
    add_parent(&labels, &policy->metadata);
    add_out_route(&labels, &conn->route->metadata);
    if (closed)
        label_add(&labels, "error",
                  conn->reason == REASON_NONE || conn->reason == REASON_CLIENT_GONE
                      ? SLICE_LIT("")
                      : slice_str(reason_info(conn->reason)->tcp_route_label));
    bump(&conn->worker->series, closed ? (tls ? OUT_TLS_ROUTE_CLOSE : OUT_TCP_ROUTE_CLOSE)
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
    add_parent(&labels, &found->policy->metadata);
    label_add(&labels, "protocol",
              slice_str(found->profile && found->profile->opaque_protocol ? "opaq" : names[found->policy->protocol]));
    bump(&conn->worker->series, OUT_PROTOCOL, &labels);
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
        add_server(&labels, conn->policy, conn->dst.port);
    else
        add_parent(&labels, &conn->view->discovery->policy->metadata);
    observe(series, inbound ? IN_DETECT_SECONDS : OUT_DETECT_SECONDS, &labels, took_ns);
    label_add(&labels, "result", slice_str(result));
    bump(series, inbound ? IN_DETECT : OUT_DETECT, &labels);
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
    bump(series, ERRORS, &labels);
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
    bump(&conn->worker->series, IN_HEADER, &labels);
    buffer_release(&labels);
}

struct transport_series *series_tcp_app(struct series *series, struct addr addr)
{
    struct transport_series *transport;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "direction", SLICE_LIT("inbound"));
    label_add(&labels, "peer", SLICE_LIT("dst"));
    add_target(&labels, addr);
    label_add(&labels, "tls", SLICE_LIT("loopback"));
    transport = transport_get(series, &labels);
    buffer_release(&labels);
    return transport;
}

struct transport_series *series_tcp_endpoint(struct series *series, const struct endpoint_info *endpoint)
{
    struct transport_series *transport;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "direction", SLICE_LIT("outbound"));
    label_add(&labels, "peer", SLICE_LIT("dst"));
    add_target(&labels, endpoint->addr);
    add_server_tls(&labels, endpoint);
    add_dst(&labels, endpoint);
    transport = transport_get(series, &labels);
    buffer_release(&labels);
    return transport;
}

void series_tcp_counts(struct transport_series *transport, struct dial_options *options)
{
    if (!transport)
        return;
    options->count_read = &transport->read->value;
    options->count_written = &transport->write->value;
}

void series_tcp_opened(struct transport_series *transport)
{
    if (!transport)
        return;
    metric_add(transport->open_total, 1);
    metric_add(transport->open, 1);
}

void series_tcp_closed(struct series *series, struct transport_series *transport, int error)
{
    struct buffer labels;

    if (!transport)
        return;
    metric_add(transport->open, -1);
    buffer_init(&labels, LABELS_MAX);
    buffer_add(&labels, transport->labels);
    label_add(&labels, "errno", error ? slice_str(strerrorname_np(-error)) : SLICE_LIT(""));
    bump(series, TCP_CLOSE, &labels);
    buffer_release(&labels);
}

/* --- decisions --- */

void series_tcp_authz(struct conn *conn, enum authz_event event)
{
    static const enum family by_event[] = {IN_TCP_ALLOW, IN_TCP_DENY, IN_TCP_TERMINATE, IN_TCP_DENY};
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    add_target(&labels, conn->dst);
    add_server(&labels, conn->policy, conn->dst.port);
    if (event == AUTHZ_ALLOWED)
        add_authz(&labels, conn->permit);
    add_client_tls(&labels, conn);
    bump(&conn->worker->series, by_event[event], &labels);
    buffer_release(&labels);
}

/* An allowed request is counted with the rest of what it counts, in series_http_begin(). */
void series_http_denied(struct request *request, bool route_found)
{
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    add_target(&labels, request->conn->dst);
    add_server(&labels, request->in_policy, request->conn->dst.port);
    if (route_found)
        add_in_route(&labels, request->in_route);
    add_client_tls(&labels, request->conn);
    bump(&request->worker->series, route_found ? IN_HTTP_DENY : IN_HTTP_NO_ROUTE, &labels);
    buffer_release(&labels);
}

/* --- requests --- */

static void in_labels(struct request *request, struct buffer *labels)
{
    struct conn *conn = request->conn;

    label_add(labels, "direction", SLICE_LIT("inbound"));
    if (conn->worker->proxy->config.authority_labels)
        label_add(labels, "authority", request->head->authority);
    add_target(labels, conn->dst);
    add_client_tls(labels, conn);
    add_server(labels, request->in_policy, conn->dst.port);
    add_in_route(labels, request->in_route);
    add_authz(labels, request->permit);
}

static void out_labels(struct request *request, struct buffer *labels)
{
    const struct endpoint_info *endpoint = request->endpoint->info;

    label_add(labels, "direction", SLICE_LIT("outbound"));
    label_add(labels, "authority", request->head->authority);
    add_target(labels, endpoint->addr);
    add_server_tls(labels, endpoint);
    add_dst(labels, endpoint);
}

static void in_route_labels(struct request *request, struct buffer *labels)
{
    static const char *const names[] = {"parent_group", "parent_kind", "parent_name"};

    add_metadata(labels, names, &request->in_policy->metadata);
    label_add_u64(labels, "parent_port", request->conn->dst.port);
    add_in_route(labels, request->in_route);
}

static const struct metadata *out_route_metadata(const struct request *request)
{
    static const struct metadata profile = {.kind = METADATA_DEFAULT, .name = {"profile", 7}};

    return request->route ? &request->route->metadata : &profile;
}

static void out_route_labels(struct request *request, struct buffer *labels)
{
    add_parent(labels, &request->view->discovery->policy->metadata);
    add_out_route(labels, out_route_metadata(request));
    label_add(labels, "hostname",
              request->worker->proxy->config.hostname_labels ? request->head->authority : SLICE_LIT(""));
}

/* direction, dst and what the profile says of its route; without a matching one the first two. */
static void profile_labels(struct request *request, struct buffer *labels)
{
    const struct profile *profile = request->view->discovery->profile;
    const struct profile_route *route = request->profile_route;
    char dst[300];

    snprintf(dst, sizeof(dst), "%.*s:%u", SLICE_ARGS(profile->fully_qualified_name), (unsigned)request->conn->dst.port);
    label_add(labels, "direction", SLICE_LIT("outbound"));
    label_add(labels, "dst", slice_str(dst));
    for (size_t i = 0; route && i < route->labels.count; i++)
        label_add_prefixed(labels, "rt_", route->labels.items[i].name, route->labels.items[i].value);
}

static enum family grpc_offset(const struct request *request)
{
    bool grpc = request->conn->direction == DIRECTION_INBOUND ? request->in_policy->protocol == INBOUND_GRPC
                                                              : request->view->discovery->policy->protocol == OUTBOUND_GRPC;

    return grpc ? GRPC : (enum family)0;
}

static struct metric *get_text(struct series *series, enum family family, struct slice labels)
{
    return metric_get(series->worker->shard, series->worker->proxy->data_families + (int)family, labels);
}

/* The metrics that do not depend on the outcome. */
static void fill_http(struct series *series, struct request *request, struct http_series *http)
{
    bool inbound = request->conn->direction == DIRECTION_INBOUND;

    http->requests = get_text(series, REQUESTS, http->labels);
    http->route_seconds = get_text(series, (inbound ? IN_ROUTE_SECONDS : OUT_ROUTE_SECONDS) + http->grpc, http->route_labels);
    http->frames[0] =
        get_text(series, (inbound ? IN_ROUTE_REQUEST_FRAMES : OUT_ROUTE_REQUEST_FRAMES) + http->grpc, http->route_labels);
    if (inbound) {
        struct buffer labels;

        http->route_requests = get_text(series, IN_ROUTE_REQUESTS + http->grpc, http->route_labels);
        http->response_seconds = get_text(series, IN_ROUTE_RESPONSE_SECONDS + http->grpc, http->route_labels);
        http->frames[1] = get_text(series, IN_ROUTE_RESPONSE_FRAMES + http->grpc, http->route_labels);
        buffer_init(&labels, LABELS_MAX);
        add_target(&labels, request->conn->dst);
        add_server(&labels, request->in_policy, request->conn->dst.port);
        add_in_route(&labels, request->in_route);
        add_authz(&labels, request->permit);
        add_client_tls(&labels, request->conn);
        http->allowed = get(series, IN_HTTP_ALLOW, &labels);
        buffer_release(&labels);
    } else if (http->backend_labels.len) {
        http->backend_requests = get_text(series, OUT_BACKEND_REQUESTS + http->grpc, http->backend_labels);
        http->response_seconds = get_text(series, OUT_BACKEND_SECONDS + http->grpc, http->backend_labels);
        http->frames[1] = get_text(series, OUT_BACKEND_FRAMES + http->grpc, http->backend_labels);
    }
    if (http->profile_labels.len) {
        http->profile_requests = get_text(series, PROFILE_REQUESTS, http->profile_labels);
        http->profile_actual = get_text(series, PROFILE_ACTUAL_REQUESTS, http->profile_labels);
    }
}

/* The label texts in one buffer, whose whole is the key. */
static struct http_series *http_get(struct series *series, struct request *request)
{
    bool inbound = request->conn->direction == DIRECTION_INBOUND;
    struct http_series *http = NULL;
    struct map_entry *entry;
    struct buffer text, part;
    size_t first, second, third;

    buffer_init(&text, (size_t)LABELS_MAX * 4);
    buffer_init(&part, LABELS_MAX);
    (inbound ? in_labels : out_labels)(request, &text);
    first = text.len;
    (inbound ? in_route_labels : out_route_labels)(request, &part);
    buffer_add(&text, buffer_slice(&part));
    second = text.len;
    if (!inbound && request->backend->backend) {
        buffer_clear(&part);
        add_parent(&part, &request->view->discovery->policy->metadata);
        add_out_route(&part, out_route_metadata(request));
        add_backend(&part, &request->backend->backend->metadata);
        buffer_add(&text, buffer_slice(&part));
    }
    third = text.len;
    if (!inbound && request->view->by_profile)
        profile_labels(request, &text);
    entry = map_find(&series->https, buffer_slice(&text));
    if (entry) {
        http = CONTAINER_OF(entry, struct http_series, entry);
    } else if (!buffer_error(&text) && (http = calloc(1, sizeof(*http)))) {
        const char *own = slice_dup(buffer_slice(&text));

        if (!own || map_add(&series->https, &http->entry, slice_of(own, text.len)) < 0) {
            free((char *)(uintptr_t)own);
            free(http);
            http = NULL;
        } else {
            http->map = &series->https;
            http->labels = slice_of(own, first);
            http->route_labels = slice_of(own + first, second - first);
            http->backend_labels = slice_of(own + second, third - second);
            http->profile_labels = slice_of(own + third, text.len - third);
            http->grpc = grpc_offset(request);
            fill_http(series, request, http);
        }
    }
    if (http)
        http->refs++;
    buffer_release(&text);
    buffer_release(&part);
    return http;
}

/* --- what a connection or a pool counted last: the next request is usually of the same kind --- */

void series_recent_drop(struct series_recent *recent)
{
    if (recent->series && --recent->series->refs == 0)
        free_http(recent->series);
    if (recent->drop)
        recent->drop(recent->owner);
    *recent = (struct series_recent){0};
}

static uint64_t authority_hash(const struct request *request)
{
    struct map *map = &request->worker->series.https;

    return siphash13(request->head->authority.ptr, request->head->authority.len, map->secret[0], map->secret[1]);
}

static void drop_policy(void *owner)
{
    inbound_policy_unref(owner);
}

static void drop_view(void *owner)
{
    outbound_view_unref(owner);
}

/* The parts that the label sets are made of, as pointers that live as long as `owner`. */
static struct series_recent describe(struct request *request)
{
    struct series_recent now = {0};

    if (request->conn->direction == DIRECTION_INBOUND) {
        now.owner = request->in_policy;
        now.parts[0] = request->in_route;
        now.parts[1] = request->permit;
        if (request->worker->proxy->config.authority_labels)
            now.authority = authority_hash(request);
    } else {
        now.owner = request->view;
        now.parts[0] = request->view->by_profile ? (const void *)request->profile_route : request->route;
        now.parts[1] = request->backend;
        now.authority = authority_hash(request);
    }
    return now;
}

static bool same_kind(const struct series_recent *a, const struct series_recent *b)
{
    return a->owner == b->owner && a->parts[0] == b->parts[0] && a->parts[1] == b->parts[1] && a->authority == b->authority;
}

void series_http_begin(struct request *request)
{
    bool inbound = request->conn->direction == DIRECTION_INBOUND;
    struct series_recent *recent = inbound ? &request->conn->recent : &request->pool->recent;
    struct series_recent now = describe(request);
    struct http_series *http;

    if (!recent->series || !same_kind(recent, &now)) {
        series_recent_drop(recent);
        http = http_get(&request->worker->series, request);
        if (!http)
            return;
        now.series = http;
        if (inbound)
            inbound_policy_ref(now.owner);
        else
            outbound_view_ref(now.owner);
        now.drop = inbound ? drop_policy : drop_view;
        *recent = now;
    }
    request->series = recent->series;
    request->series->refs++;
    metric_add(request->series->requests, 1);
    if (request->series->allowed)
        metric_add(request->series->allowed, 1);
    if (request->series->route_requests)
        metric_add(request->series->route_requests, 1);
    if (request->series->backend_requests)
        metric_add(request->series->backend_requests, 1);
    if (request->series->profile_requests && request->tries == 0)
        metric_add(request->series->profile_requests, 1);
    if (request->series->profile_actual)
        metric_add(request->series->profile_actual, 1);
}

void series_http_piece(struct request *request, bool response, size_t bytes)
{
    if (request->series && request->series->frames[response])
        metric_observe(request->series->frames[response], (int64_t)bytes);
}

/* A response that did not come to its end is one, except where the client did not wait for it. */
static bool is_failure(const struct request *request)
{
    const struct http_head head = {.status = request->status};
    struct classification class = classify_start(&head, request->is_grpc, request->profile_route);

    if (request->reason != REASON_NONE && request->reason != REASON_CLIENT_GONE && (!request->response_end || !request->status))
        return true;
    if (class.is_final)
        return class.is_failure;
    if (request->grpc_status >= 0)
        return (GRPC_FAILURES >> request->grpc_status & 1) != 0;
    return class.is_failure;
}

static void outcome_labels(const struct request *request, bool inbound, bool grpc, struct buffer *labels)
{
    const char *error = reason_info(request->reason)->route_label;

    if (inbound) {
        label_add_u64(labels, "status", request->grpc_status >= 0 ? (uint64_t)request->grpc_status : request->status);
        return;
    }
    if (grpc)
        label_add(labels, "grpc_status", request->grpc_status >= 0 ? slice_str(grpc_status_name(request->grpc_status))
                                                                   : SLICE_LIT(""));
    else
        label_add_u64(labels, "http_status", request->status);
    label_add(labels, "error", slice_str(error ? error : ""));
}

/* What the older families say of a response, behind its status. */
static void response_labels(const struct request *request, bool failure, struct buffer *labels)
{
    label_add(labels, "classification", failure ? SLICE_LIT("failure") : SLICE_LIT("success"));
    if (request->grpc_status >= 0)
        label_add_u64(labels, "grpc_status", (uint64_t)request->grpc_status);
    if (request->reason != REASON_NONE)
        label_add(labels, "error", slice_str(reason_name(request->reason)));
}

static void make_outcome(struct series *series, struct request *request, bool failure, struct outcome *outcome)
{
    struct http_series *http = request->series;
    bool inbound = request->conn->direction == DIRECTION_INBOUND;
    struct buffer labels;

    *outcome = (struct outcome){.status = request->status, .grpc_status = (int16_t)request->grpc_status, .failure = failure,
                                .reason = request->reason};
    buffer_init(&labels, LABELS_MAX);
    buffer_add(&labels, http->labels);
    label_add_u64(&labels, "status_code", request->status);
    outcome->latency = get(series, LATENCY, &labels);
    response_labels(request, failure, &labels);
    outcome->responses = get(series, RESPONSES, &labels);
    buffer_clear(&labels);
    buffer_add(&labels, http->route_labels);
    outcome_labels(request, inbound, http->grpc != 0, &labels);
    outcome->route = get(series, (inbound ? IN_ROUTE_STATUSES : OUT_ROUTE_STATUSES) + http->grpc, &labels);
    if (http->backend_labels.len) {
        buffer_clear(&labels);
        buffer_add(&labels, http->backend_labels);
        outcome_labels(request, inbound, http->grpc != 0, &labels);
        outcome->backend = get(series, OUT_BACKEND_STATUSES + http->grpc, &labels);
    }
    if (http->profile_labels.len) {
        buffer_clear(&labels);
        buffer_add(&labels, http->profile_labels);
        label_add_u64(&labels, "status_code", request->status);
        outcome->profile_latency = get(series, PROFILE_LATENCY, &labels);
        response_labels(request, failure, &labels);
        outcome->profile = get(series, PROFILE_RESPONSES, &labels);
        outcome->profile_actual = get(series, PROFILE_ACTUAL_RESPONSES, &labels);
    }
    buffer_release(&labels);
}

static struct outcome *outcome_of(struct series *series, struct request *request, bool failure)
{
    struct http_series *http = request->series;
    struct outcome *outcome;

    for (int i = 0; i < OUTCOMES_CACHED; i++) {
        outcome = &http->outcomes[i];
        if (outcome->responses && outcome->status == request->status && outcome->grpc_status == request->grpc_status &&
            outcome->failure == failure && outcome->reason == request->reason)
            return outcome;
    }
    outcome = &http->outcomes[http->next_outcome++ % OUTCOMES_CACHED];
    forget_outcome(outcome);
    make_outcome(series, request, failure, outcome);
    return outcome;
}

static void count_errors(struct request *request)
{
    struct series *series = &request->worker->series;
    enum direction direction = request->conn->direction;
    const char *error = reason_info(request->reason)->error_label[direction];
    struct buffer labels;

    if (request->reason == REASON_NONE || request->reason == REASON_CLIENT_GONE)
        return;
    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "direction", slice_str(direction_name(direction)));
    label_add(&labels, "reason", slice_str(reason_name(request->reason)));
    bump(series, ERRORS, &labels);
    if (error) {
        buffer_clear(&labels);
        label_add(&labels, "error", slice_str(error));
        if (direction == DIRECTION_INBOUND) {
            add_target(&labels, request->conn->dst);
            if (request->in_policy)
                add_server(&labels, request->in_policy, request->conn->dst.port);
        }
        bump(series, direction == DIRECTION_INBOUND ? IN_HTTP_ERRORS : OUT_HTTP_ERRORS, &labels);
    }
    buffer_release(&labels);
}

void series_http_left(struct request *request)
{
    if (request->series && --request->series->refs == 0)
        free_http(request->series);
    request->series = NULL;
}

/* Requests that ended before an endpoint was found count by their route alone. */
static void count_unsent(struct request *request, int64_t took_ns)
{
    struct series *series = &request->worker->series;
    struct buffer labels;

    if (request->conn->direction != DIRECTION_OUTBOUND || !request->view || !request->view->discovery->policy)
        return;
    buffer_init(&labels, LABELS_MAX);
    out_route_labels(request, &labels);
    observe(series, OUT_ROUTE_SECONDS + grpc_offset(request), &labels, took_ns);
    outcome_labels(request, false, grpc_offset(request) != 0, &labels);
    bump(series, OUT_ROUTE_STATUSES + grpc_offset(request), &labels);
    buffer_release(&labels);
}

void series_http_end(struct request *request)
{
    struct http_series *http = request->series;
    int64_t now = request->worker->loop->now_ns, took_ns = now - request->since_ns;
    struct outcome *outcome;

    count_errors(request);
    if (!http) {
        count_unsent(request, took_ns);
        return;
    }
    outcome = outcome_of(&request->worker->series, request, is_failure(request));
    metric_add(outcome->responses, 1);
    metric_observe(outcome->latency, took_ns);
    metric_add(outcome->route, 1);
    metric_observe(http->route_seconds, took_ns);
    if (outcome->backend)
        metric_add(outcome->backend, 1);
    if (http->response_seconds && request->sent_ns)
        metric_observe(http->response_seconds, now - (request->request_end_ns ? request->request_end_ns : request->sent_ns));
    if (outcome->profile) {
        metric_add(outcome->profile, 1);
        metric_add(outcome->profile_actual, 1);
        metric_observe(outcome->profile_latency, took_ns);
    }
    request->series = NULL;
    if (--http->refs == 0)
        free_http(http);
}
