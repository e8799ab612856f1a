#include "proxy/series/parts.h"

#include "proxy/conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/request.h"
#include "proxy/worker.h"

/* --- what a connection or a pool counted last: the next request is usually of the same kind --- */

void series_recent_drop(struct series_recent *recent)
{
    if (recent->series && --recent->series->refs == 0)
        http_series_free(recent->series);
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
        if (request->worker->proxy->config.hostname_labels)
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
        http = http_series_get(&request->worker->series, request);
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
    if (request->series->queued) {
        metric_add(request->series->queued, 1);
        metric_observe(request->series->queue_latency, request->queued_ns ? request->worker->loop->now_ns - request->queued_ns : 0);
    }
    if (request->series->backend_requests)
        metric_add(request->series->backend_requests, 1);
    if (request->series->profile_requests && request->tries == 0)
        metric_add(request->series->profile_requests, 1);
    if (request->series->profile_actual)
        metric_add(request->series->profile_actual, 1);
}
