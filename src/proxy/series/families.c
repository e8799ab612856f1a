#include "proxy/series/families.h"

#include "proxy/proxy.h"
#include "proxy/series.h"

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
#define QUEUE_FAMILIES(prefix, kind, what)                                                                                \
    [prefix##_QUEUE_REQUESTS] = COUNTER("outbound_" kind "_balancer_queue_requests_total", what " a balancer was asked for."), \
    [prefix##_QUEUE_LATENCY] = SECONDS("outbound_" kind "_balancer_queue_latency_seconds",                               \
        "How long they waited for an endpoint.", METRIC_BUCKETS_QUEUE)
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
    QUEUE_FAMILIES(HTTP, "http", "Requests that"),
    QUEUE_FAMILIES(TCP, "tcp", "Opaque connections that"),
    QUEUE_FAMILIES(TLS, "tls", "TLS connections that"),
    [ERRORS] = COUNTER("proxy_errors_total", "Every error that the proxy made itself, by reason."),
};
/* clang-format on */

int series_register(struct proxy *proxy)
{
    int first = metrics_add_table(&proxy->metrics, families, FAMILIES);

    proxy->data_families = first;
    return first < 0 ? first : 0;
}
