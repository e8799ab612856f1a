#include "proxy/request/request.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "mesh/balancer.h"
#include "net/http/http2_conn.h"
#include "proxy/inbound/inbound.h"
#include "proxy/logline.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/answer.h"
#include "proxy/request/reset_reason.h"
#include "proxy/series.h"

enum {
    REQUESTS_KEPT = 64, /* recycled ones of a worker */
    H2_NO_ERROR = 0x0,
    H2_INTERNAL_ERROR = 0x2,
    H2_CANCEL = 0x8,
};

static const struct http_stream_events server_events, client_events;

/* --- begin and end --- */

static void run(struct task *task)
{
    struct request *request = CONTAINER_OF(task, struct request, task);
    unsigned woken = request->woken;

    request->woken = 0;
    if (request->ended)
        return;
    walk(&request->walker, woken & 1u << WHY_TIMER ? WHY_TIMER : WHY_WATCH);
}

void request_wake(struct request *request, enum why why)
{
    request->woken |= 1u << why;
    task_wake(request->worker->loop, &request->task);
}

static void release_parts(struct request *request)
{
    struct worker *worker = request->worker;

    task_cancel(&request->task);
    if (request->has_deadline)
        timer_release(worker->loop, &request->deadline);
    request->has_deadline = false;
    lookup_unwait(&request->waiter);
    if (request->pool)
        pool_cancel(request->pool, &request->pool_waiter);
    pool_put(request->pool);
    outbound_endpoint_done(request);
    outbound_view_unref(request->view);
    lookup_put(request->target);
    inbound_policy_unref(request->in_policy);
}

/* At the end of the turn; its connection may be gone by then. */
static void dispose(struct task *task)
{
    struct request *request = CONTAINER_OF(task, struct request, disposal);
    struct worker *worker = request->worker;

    release_parts(request);
    arena_reset(&request->arena);
    if (worker->request_free_count < REQUESTS_KEPT) {
        list_push_front(&worker->request_free, &request->link);
        worker->request_free_count++;
        return;
    }
    arena_release(&request->arena);
    free(request);
}

static void end(struct request *request)
{
    if (request->ended)
        return;
    request->ended = true;
    list_remove(&request->link);
    request->walker.over = true;
    if (request->client) {
        if (request->request_end && request->response_end)
            request->client->ops->release(request->client);
        else
            request->client->ops->reset(request->client, request->response_end ? H2_NO_ERROR : H2_CANCEL),
                request->client->ops->release(request->client);
        request->client = NULL;
    }
    if (request->server) {
        if (!request->response_end)
            request->server->ops->reset(request->server, request->reason == REASON_NONE ? H2_CANCEL : H2_INTERNAL_ERROR);
        request->server->ops->release(request->server);
        request->server = NULL;
    }
    atomic_fetch_sub_explicit(&request->worker->proxy->in_flight[request->conn->direction], 1, memory_order_relaxed);
    series_http_end(request);
    log_request(request);
    dispose_wake(request->worker->loop, &request->disposal);
}

static void finished(struct walker *walker, bool failed)
{
    end(request_of(walker));
}

void requests_release(struct worker *worker)
{
    struct list *link;

    while ((link = list_pop(&worker->request_free))) {
        struct request *request = CONTAINER_OF(link, struct request, link);

        arena_release(&request->arena);
        free(request);
    }
    worker->request_free_count = 0;
}

static struct request *take_or_make(struct worker *worker)
{
    struct list *link = list_pop(&worker->request_free);
    struct request *request;
    struct arena arena;

    if (link) {
        request = CONTAINER_OF(link, struct request, link);
        worker->request_free_count--;
        arena = request->arena;
    } else {
        request = malloc(sizeof(*request));
        if (!request)
            return NULL;
        arena_init(&arena, LIMIT_REQUEST_ARENA);
    }
    *request = (struct request){.worker = worker, .arena = arena, .grpc_status = -1};
    return request;
}

struct arena *request_begin(struct conn *conn, struct http_stream *stream)
{
    struct worker *worker = conn->worker;
    struct proxy *proxy = worker->proxy;
    const struct direction_config *config =
        conn->direction == DIRECTION_INBOUND ? &proxy->config.inbound : &proxy->config.outbound;
    struct request *request = take_or_make(worker);

    if (!request)
        return NULL;
    request->conn = conn;
    request->since_ns = worker->loop->now_ns;
    list_push(&conn->requests, &request->link);
    list_init(&request->waiter.link);
    task_init(&request->task, run);
    task_init(&request->disposal, dispose);
    pool_waiter_init(&request->pool_waiter);
    request->server = stream;
    stream->events = &server_events;
    stream->owner = request;
    walker_init(&request->walker, conn->direction == DIRECTION_INBOUND ? inbound_request_path : outbound_request_path, finished);
    if (atomic_fetch_add_explicit(&proxy->in_flight[conn->direction], 1, memory_order_relaxed) >= config->max_in_flight)
        request->reason = REASON_IN_FLIGHT_LIMIT; /* answered when the head is there */
    return &request->arena;
}

/* --- what steps use --- */

static void deadline_passed(struct timer *timer)
{
    request_wake(CONTAINER_OF(timer, struct request, deadline), WHY_TIMER);
}

void request_deadline(struct request *request, int64_t at_ns)
{
    if (!request->has_deadline) {
        if (timer_init(request->worker->loop, &request->deadline, deadline_passed) < 0)
            return;
        request->has_deadline = true;
    }
    timer_set(request->worker->loop, &request->deadline, at_ns);
}

void request_add_field(struct request *request, struct http_head *head, enum http_token token, struct slice name,
                       struct slice value)
{
    struct http_field *grown;

    if (head->count < head->room) {
        (void)http_append(head, token, name, value);
        return;
    }
    grown = ARENA_ARRAY(&request->arena, struct http_field, (size_t)head->room + 8);
    if (!grown)
        return;
    memcpy(grown, head->fields, head->count * sizeof(*grown));
    head->fields = grown;
    head->room = (uint16_t)(head->room + 8);
    (void)http_append(head, token, name, value);
}

static bool send_head_back(struct request *request, const struct http_head *head, bool end_too)
{
    request->status = head->status;
    request->response_started = true;
    request->response_end = end_too;
    return request->server && request->server->ops->send_head(request->server, head, end_too) == 0;
}

enum step_result request_answer(struct request *request, unsigned status, const struct http_field *fields,
                                unsigned count)
{
    struct http_field copy[16];
    struct http_head head = {.version = request->version, .status = (uint16_t)status, .fields = copy, .room = 16};

    for (unsigned i = 0; i < count && i < 15; i++)
        copy[head.count++] = fields[i];
    (void)http_append(&head, HTTP_TOKEN_CONTENT_LENGTH, SLICE_LIT("content-length"), SLICE_LIT("0"));
    if (!send_head_back(request, &head, true))
        request->response_end = false;
    return STEP_DONE;
}

enum step_result request_answer_grpc(struct request *request, int grpc_status, struct slice message)
{
    struct http_field copy[8];
    struct http_head head = {.version = request->version, .status = 200, .fields = copy, .room = 8};

    request->grpc_status = grpc_status;
    answer_grpc_fields(&request->arena, &head, grpc_status, message);
    if (!send_head_back(request, &head, true))
        request->response_end = false;
    return STEP_DONE;
}

/* Too late for a status of ours in the head; gRPC's stands at the end. */
static void fail_at_the_end(struct request *request, struct http_head *head)
{
    answer_grpc_trailers(request, head);
    request->response_end = request->server->ops->send_trailers(request->server, head->fields, head->count) == 0;
}

/*
 * HTTP/1 says so in the head. An HTTP/2 client gets GOAWAY, and what else it has under way may end; a proxy of the mesh
 * keeps its connection, which is none of the application's.
 */
void request_close_conn(struct request *request)
{
    struct http_server *http = request->conn->http;

    if (http && http->http2 && request->conn->tls != TLS_STATUS_ESTABLISHED)
        http2_server_drain(http);
}

enum step_result request_fail(struct request *request, enum reason reason, int error)
{
    struct http_field fields[12];
    struct http_head head = {.version = request->version, .fields = fields, .room = 12};

    request->reason = reason;
    request->error = error;
    if (!request->server || request->response_end)
        return STEP_FAIL;
    if (request->response_started) {
        if (request->is_grpc)
            fail_at_the_end(request, &head);
        return STEP_FAIL;
    }
    answer_reason(request, &head);
    if (!send_head_back(request, &head, true))
        request->response_end = false;
    if (reason_answer(reason, request->conn->direction).fatal)
        request_close_conn(request);
    return STEP_FAIL;
}

enum step_result request_break(struct request *request, enum reason reason, int error)
{
    request->reason = reason;
    request->error = error;
    request_close_conn(request);
    return STEP_FAIL;
}

enum step_result request_connect(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);
    bool inbound = request->conn->direction == DIRECTION_INBOUND;
    int r;

    assert(request->pool);
    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_TIMER && request_clock_expired(request) != REASON_NONE)
        return request_fail(request, request_clock_expired(request), -ETIMEDOUT);
    if (why == WHY_TIMER && inbound && request->worker->loop->now_ns >= request->queue_until_ns)
        return request_fail(request, REASON_FAILFAST, -ETIMEDOUT);
    r = pool_open(request->pool, &request->pool_waiter, &request->task, &request->arena, &client_events, request,
                  &request->client);
    if (r == 0) {
        if (request->queue_until_ns)
            request_clock_set(request);
        return STEP_NEXT;
    }
    request->client = NULL;
    if (r == -EAGAIN) {
        if (inbound && !request->queue_until_ns) {
            request->queue_until_ns = request->worker->loop->now_ns + request->worker->proxy->config.inbound.http_failfast_ns;
            request_deadline(request, request->queue_until_ns);
        }
        return STEP_WAIT;
    }
    return inbound ? inbound_connect_failed(request, r) : outbound_connect_failed(request, r);
}

enum step_result request_forward(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_TIMER && request_clock_expired(request) != REASON_NONE)
        return request_fail(request, request_clock_expired(request), -ETIMEDOUT);
    if (why == WHY_TIMER)
        request_clock_set(request); /* something moved meanwhile */
    if (why != WHY_START)
        return request->response_end && request->request_end ? STEP_DONE : STEP_WAIT;
    r = request->client->ops->send_head(request->client, request->head, request->request_end);
    if (r < 0)
        return request_fail(request, REASON_CONNECTION_LOST, r);
    request->head_sent = true;
    request->sent_ns = request->last_frame_ns = request->worker->loop->now_ns;
    if (request->request_end)
        request_clock_sent(request);
    if (request->timeouts.idle_ns)
        request_clock_set(request);
    if (!request->request_end)
        request->server->ops->resume(request->server);
    return request->ended ? STEP_DONE : STEP_WAIT;
}

/* --- what the server stream tells --- */

static void on_request_head(struct http_stream *stream, struct http_head *head, bool end_too)
{
    struct request *request = stream->owner;

    request->own_head = *head;
    request->head = head = &request->own_head;
    request->version = head->version;
    request->request_end = end_too;
    request->is_grpc = head->version == HTTP_2 && http_is_grpc(head);
    request->is_connect = slice_eq(head->method, SLICE_LIT("CONNECT"));
    request->is_upgrade = head->version == HTTP_1_1 && http_find(head, HTTP_TOKEN_UPGRADE) != NULL;
    if (request->reason != REASON_NONE) {
        (void)request_fail(request, request->reason, 0);
        end(request);
        return;
    }
    walk(&request->walker, WHY_START);
}

/* What the request's body still has when the response is over is read away by the connection; a tunnel ends both ways. */
static void after_response(struct request *request)
{
    if (request->response_end && (!request->tunnel || request->request_end))
        end(request);
}

static void count_piece(struct request *request, bool response, size_t bytes)
{
    request->moved[response] += bytes;
    series_http_piece(request, response, bytes);
}

static size_t on_request_data(struct http_stream *stream, struct slice bytes, bool end_too)
{
    struct request *request = stream->owner;
    ssize_t taken;

    if (request->ended)
        return bytes.len;
    if (!request->head_sent || !request->client)
        return 0;
    taken = request->client->ops->send_data(request->client, bytes, end_too);
    if (taken < 0)
        return bytes.len; /* the other side is gone: on_reset, or its answer, is on the way */
    request->body_sent |= taken > 0;
    if (taken > 0)
        count_piece(request, false, (size_t)taken);
    request->last_frame_ns = request->worker->loop->now_ns;
    if (end_too && (size_t)taken == bytes.len) {
        request->request_end = true;
        request_clock_sent(request);
        after_response(request);
    }
    return (size_t)taken;
}

static void on_request_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct request *request = stream->owner;

    if (request->ended || !request->client)
        return;
    request->request_end = true;
    request->last_frame_ns = request->worker->loop->now_ns;
    request_clock_sent(request);
    (void)request->client->ops->send_trailers(request->client, fields, count);
}

static void on_server_writable(struct http_stream *stream)
{
    struct request *request = stream->owner;

    if (!request->ended && request->client)
        request->client->ops->resume(request->client);
}

static void on_server_reset(struct http_stream *stream, struct http_reset reset)
{
    struct request *request = stream->owner;

    if (request->ended)
        return;
    request->reason = reason_of_client_reset(reset);
    request->server->ops->release(request->server);
    request->server = NULL;
    if (request->walker.walking)
        end(request); /* told inside the step that let more arrive, which looks at request->ended */
    else
        walk_cancel(&request->walker);
}

static const struct http_stream_events server_events = {
    .on_head = on_request_head,
    .on_data = on_request_data,
    .on_trailers = on_request_trailers,
    .on_writable = on_server_writable,
    .on_reset = on_server_reset,
};

/* --- what the client stream tells --- */

static void on_interim(struct http_stream *stream, struct http_head *head)
{
    struct request *request = stream->owner;

    if (!request->ended && request->server && !request->response_started)
        (void)request->server->ops->send_head(request->server, head, false);
}

static void on_response_head(struct http_stream *stream, struct http_head *head, bool end_too)
{
    struct request *request = stream->owner;
    const struct http_field *status;

    if (request->ended || !request->server)
        return;
    request->answered_ns = request->last_frame_ns = request->worker->loop->now_ns;
    (request->conn->direction == DIRECTION_INBOUND ? inbound_response_head : outbound_response_head)(request, head);
    status = request->is_grpc ? http_find(head, HTTP_TOKEN_GRPC_STATUS) : NULL;
    if (status)
        request->grpc_status = answer_read_grpc_status(status->value);
    request->tunnel = head->status == 101 || (request->is_connect && head->status / 100 == 2);
    if (request->tunnel)
        request_clock_stop(request);
    if (!send_head_back(request, head, end_too)) {
        end(request);
        return;
    }
    after_response(request);
}

static size_t on_response_data(struct http_stream *stream, struct slice bytes, bool end_too)
{
    struct request *request = stream->owner;
    ssize_t taken;

    if (request->ended || !request->server)
        return bytes.len;
    taken = request->server->ops->send_data(request->server, bytes, end_too);
    if (taken < 0) {
        request->reason = REASON_CLIENT_GONE;
        end(request);
        return bytes.len;
    }
    request->last_frame_ns = request->worker->loop->now_ns;
    if (taken > 0)
        count_piece(request, true, (size_t)taken);
    if (end_too && (size_t)taken == bytes.len) {
        request->response_end = true;
        after_response(request);
    }
    return (size_t)taken;
}

static void on_response_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct request *request = stream->owner;

    if (request->ended || !request->server)
        return;
    for (unsigned i = 0; i < count && request->is_grpc; i++)
        if (fields[i].token == HTTP_TOKEN_GRPC_STATUS)
            request->grpc_status = answer_read_grpc_status(fields[i].value);
    request->response_end = request->server->ops->send_trailers(request->server, fields, count) == 0;
    end(request);
}

static void on_client_writable(struct http_stream *stream)
{
    struct request *request = stream->owner;

    if (!request->ended && request->server)
        request->server->ops->resume(request->server);
}

static void on_client_reset(struct http_stream *stream, struct http_reset reset)
{
    struct request *request = stream->owner;

    if (request->ended)
        return;
    request->client->ops->release(request->client);
    request->client = NULL;
    if (!request->response_started && request->conn->direction == DIRECTION_OUTBOUND && outbound_try_again(request, reset))
        return;
    if (reset.error == HTTP_ERROR_RESET && request->version == HTTP_2 && !request->orig_proto && request->server) {
        /* A reset between HTTP/2 ends passes through as it is. */
        request->reason = REASON_SERVER_RESET;
        request->server->ops->reset(request->server, reset.code);
        request->server->ops->release(request->server);
        request->server = NULL;
    } else {
        (void)request_fail(request, reason_of_server_reset(reset), reset.error == HTTP_ERROR_CLOSED ? -(int)reset.code : 0);
    }
    end(request);
}

static const struct http_stream_events client_events = {
    .on_interim = on_interim,
    .on_head = on_response_head,
    .on_data = on_response_data,
    .on_trailers = on_response_trailers,
    .on_writable = on_client_writable,
    .on_reset = on_client_reset,
};
