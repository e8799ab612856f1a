#include "proxy/series/parts.h"

#include <stdio.h>
#include <stdlib.h>

#include "proxy/conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/request.h"
#include "proxy/worker.h"

void http_series_free(struct http_series *http)
{
    struct metric *const metrics[] = {http->requests,         http->allowed,          http->route_requests, http->route_seconds,
                                      http->response_seconds, http->backend_requests, http->frames[0],      http->frames[1],
                                      http->profile_requests, http->profile_actual,   http->queued,         http->queue_latency};

    for (int i = 0; i < OUTCOMES_CACHED; i++)
        outcome_forget(&http->outcomes[i]);
    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
        metric_unref(metrics[i]);
    map_remove(http->map, &http->entry);
    free((char *)(uintptr_t)http->labels.ptr);
    free(http);
}

static void in_labels(struct request *request, struct buffer *labels)
{
    struct conn *conn = request->conn;

    label_add(labels, "direction", SLICE_LIT("inbound"));
    if (conn->worker->proxy->config.authority_labels)
        label_add(labels, "authority", request->head->authority);
    label_target(labels, conn->dst);
    label_client_tls(labels, conn);
    label_server(labels, request->in_policy, conn->dst.port);
    label_in_route(labels, request->in_route);
    label_authz(labels, request->permit);
}

static void out_labels(struct request *request, struct buffer *labels)
{
    const struct endpoint_info *endpoint = request->endpoint->info;

    label_add(labels, "direction", SLICE_LIT("outbound"));
    label_authority(labels, backend_destination(request->backend));
    label_target(labels, endpoint->addr);
    label_server_tls(labels, endpoint);
    label_dst(labels, endpoint);
}

static void in_route_labels(struct request *request, struct buffer *labels)
{
    static const char *const names[] = {"parent_group", "parent_kind", "parent_name"};

    label_metadata(labels, names, &request->in_policy->metadata);
    label_add_u64(labels, "parent_port", request->dst_port);
    label_in_route(labels, request->in_route);
}

static const struct metadata *out_route_metadata(const struct request *request)
{
    static const struct metadata profile = {.kind = METADATA_DEFAULT, .name = {"profile", 7}};

    return request->route ? &request->route->metadata : &profile;
}

void series_out_route_labels(struct request *request, struct buffer *labels)
{
    label_parent(labels, &request->view->discovery->policy->metadata);
    label_out_route(labels, out_route_metadata(request));
    label_add(labels, "hostname",
              request->worker->proxy->config.hostname_labels ? request->head->authority : SLICE_LIT(""));
}

/* direction, dst and what the profile says of its route; without a matching one the first two. */
static void profile_labels(struct request *request, struct buffer *labels)
{
    const struct profile *profile = request->view->discovery->profile;
    const struct profile_route *route = request->profile_route;
    char dst[300];

    snprintf(dst, sizeof(dst), "%.*s:%u", SLICE_ARGS(profile->fully_qualified_name), (unsigned)request->dst_port);
    label_add(labels, "direction", SLICE_LIT("outbound"));
    label_add(labels, "dst", slice_str(dst));
    for (size_t i = 0; route && i < route->labels.count; i++)
        label_add_prefixed(labels, "rt_", route->labels.items[i].name, route->labels.items[i].value);
}

enum family series_grpc_offset(const struct request *request)
{
    bool grpc = request->conn->direction == DIRECTION_INBOUND ? request->in_policy->protocol == INBOUND_GRPC
                                                              : request->view->discovery->policy->protocol == OUTBOUND_GRPC;

    return grpc ? GRPC : (enum family)0;
}

static void fill_queue(struct series *series, struct request *request, struct http_series *http)
{
    struct buffer labels;

    if (!request->backend->endpoints)
        return;
    buffer_init(&labels, LABELS_MAX);
    series_balancer_labels(&labels, &request->view->discovery->policy->metadata, &request->backend->backend->metadata,
                           SLICE_NULL);
    http->queued = series_get(series, HTTP_QUEUE_REQUESTS, &labels);
    http->queue_latency = series_get(series, HTTP_QUEUE_LATENCY, &labels);
    buffer_release(&labels);
}

/* The metrics that do not depend on the outcome. */
static void fill_http(struct series *series, struct request *request, struct http_series *http)
{
    bool inbound = request->conn->direction == DIRECTION_INBOUND;

    http->requests = series_get_text(series, REQUESTS, http->labels);
    http->route_seconds = series_get_text(series, (inbound ? IN_ROUTE_SECONDS : OUT_ROUTE_SECONDS) + http->grpc, http->route_labels);
    http->frames[0] =
        series_get_text(series, (inbound ? IN_ROUTE_REQUEST_FRAMES : OUT_ROUTE_REQUEST_FRAMES) + http->grpc, http->route_labels);
    if (inbound) {
        struct buffer labels;

        http->route_requests = series_get_text(series, IN_ROUTE_REQUESTS + http->grpc, http->route_labels);
        http->response_seconds = series_get_text(series, IN_ROUTE_RESPONSE_SECONDS + http->grpc, http->route_labels);
        http->frames[1] = series_get_text(series, IN_ROUTE_RESPONSE_FRAMES + http->grpc, http->route_labels);
        buffer_init(&labels, LABELS_MAX);
        label_target(&labels, request->conn->dst);
        label_server(&labels, request->in_policy, request->conn->dst.port);
        label_in_route(&labels, request->in_route);
        label_authz(&labels, request->permit);
        label_client_tls(&labels, request->conn);
        http->allowed = series_get(series, IN_HTTP_ALLOW, &labels);
        buffer_release(&labels);
    } else if (http->backend_labels.len) {
        fill_queue(series, request, http);
        http->backend_requests = series_get_text(series, OUT_BACKEND_REQUESTS + http->grpc, http->backend_labels);
        http->response_seconds = series_get_text(series, OUT_BACKEND_SECONDS + http->grpc, http->backend_labels);
        http->frames[1] = series_get_text(series, OUT_BACKEND_FRAMES + http->grpc, http->backend_labels);
    }
    if (http->profile_labels.len) {
        http->profile_requests = series_get_text(series, PROFILE_REQUESTS, http->profile_labels);
        http->profile_actual = series_get_text(series, PROFILE_ACTUAL_REQUESTS, http->profile_labels);
    }
}

/* The label texts in one buffer, whose whole is the key. */
struct http_series *http_series_get(struct series *series, struct request *request)
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
    (inbound ? in_route_labels : series_out_route_labels)(request, &part);
    buffer_add(&text, buffer_slice(&part));
    second = text.len;
    if (!inbound && request->backend->backend) {
        buffer_clear(&part);
        label_parent(&part, &request->view->discovery->policy->metadata);
        label_out_route(&part, out_route_metadata(request));
        label_backend(&part, &request->backend->backend->metadata);
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
            http->grpc = series_grpc_offset(request);
            fill_http(series, request, http);
        }
    }
    if (http)
        http->refs++;
    buffer_release(&text);
    buffer_release(&part);
    return http;
}
