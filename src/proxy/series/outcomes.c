#include "proxy/series/parts.h"

#include "mesh/classify.h"
#include "proxy/conn.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/request.h"
#include "proxy/worker.h"

void outcome_forget(struct outcome *outcome)
{
    struct metric *const metrics[] = {outcome->responses, outcome->latency,        outcome->route,          outcome->backend,
                                      outcome->profile,   outcome->profile_actual, outcome->profile_latency};

    for (size_t i = 0; i < sizeof(metrics) / sizeof(metrics[0]); i++)
        metric_unref(metrics[i]);
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
        label_add_u64(labels, "status", grpc && request->grpc_status >= 0 ? (uint64_t)request->grpc_status : request->status);
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
    outcome->latency = series_get(series, LATENCY, &labels);
    response_labels(request, failure, &labels);
    outcome->responses = series_get(series, RESPONSES, &labels);
    buffer_clear(&labels);
    buffer_add(&labels, http->route_labels);
    outcome_labels(request, inbound, http->grpc != 0, &labels);
    outcome->route = series_get(series, (inbound ? IN_ROUTE_STATUSES : OUT_ROUTE_STATUSES) + http->grpc, &labels);
    if (http->backend_labels.len) {
        buffer_clear(&labels);
        buffer_add(&labels, http->backend_labels);
        outcome_labels(request, inbound, http->grpc != 0, &labels);
        outcome->backend = series_get(series, OUT_BACKEND_STATUSES + http->grpc, &labels);
    }
    if (http->profile_labels.len) {
        buffer_clear(&labels);
        buffer_add(&labels, http->profile_labels);
        label_add_u64(&labels, "status_code", request->status);
        outcome->profile_latency = series_get(series, PROFILE_LATENCY, &labels);
        response_labels(request, failure, &labels);
        outcome->profile = series_get(series, PROFILE_RESPONSES, &labels);
        outcome->profile_actual = series_get(series, PROFILE_ACTUAL_RESPONSES, &labels);
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
    outcome_forget(outcome);
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
    series_bump(series, ERRORS, &labels);
    if (error) {
        buffer_clear(&labels);
        label_add(&labels, "error", slice_str(error));
        if (direction == DIRECTION_INBOUND) {
            label_target(&labels, request->conn->dst);
            if (request->in_policy)
                label_server(&labels, request->in_policy, request->conn->dst.port);
        }
        series_bump(series, direction == DIRECTION_INBOUND ? IN_HTTP_ERRORS : OUT_HTTP_ERRORS, &labels);
    }
    buffer_release(&labels);
}

void series_http_left(struct request *request)
{
    if (request->series && --request->series->refs == 0)
        http_series_free(request->series);
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
    series_out_route_labels(request, &labels);
    series_observe(series, OUT_ROUTE_SECONDS + series_grpc_offset(request), &labels, took_ns);
    outcome_labels(request, false, series_grpc_offset(request) != 0, &labels);
    series_bump(series, OUT_ROUTE_STATUSES + series_grpc_offset(request), &labels);
    if (request->queued_ns && request->backend->backend) {
        buffer_clear(&labels);
        series_balancer_labels(&labels, &request->view->discovery->policy->metadata, &request->backend->backend->metadata,
                               SLICE_NULL);
        series_bump(series, HTTP_QUEUE_REQUESTS, &labels);
        series_observe(series, HTTP_QUEUE_LATENCY, &labels, request->worker->loop->now_ns - request->queued_ns);
    }
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
        http_series_free(http);
}
