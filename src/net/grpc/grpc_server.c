#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/grpc/grpc.h"
#include "net/grpc/grpc_message.h"
#include "net/grpc/grpc_queue.h"

enum { H2_NO_ERROR = 0 };

struct grpc_server_call {
    struct loop *loop;
    struct http_stream *stream; /* NULL: released */
    const struct grpc_service *const *services;
    unsigned service_count;
    const struct grpc_service *service; /* NULL until the head came, or when nothing matches it */
    const struct grpc_method *method;
    const struct grpc_server_call_events *events; /* NULL: not bound */
    void *owner;
    struct arena arena;    /* the request's head, and its text; empty from start() on */
    struct http_head head;
    struct timer deadline;
    struct grpc_reader reader;
    struct grpc_queue queue; /* replies that the stream did not take yet */
    size_t queue_max;
    int64_t started_ns;
    int status;        /* of grpc_finish() */
    struct slice text;
    bool request_seen; /* the message was whole */
    bool head_sent;
    bool started;      /* the method's start ran: there may be an owner to tell that the peer left */
    bool finished;     /* by grpc_finish(), or the call failed: no owner any more */
    bool closed;       /* nothing more to send: freed as soon as no function of ours is on the stack */
    bool in_event;
};

static void free_call(struct grpc_server_call *call)
{
    timer_release(call->loop, &call->deadline);
    grpc_reader_release(&call->reader);
    grpc_queue_clear(&call->queue);
    arena_release(&call->arena);
    free(call);
}

static void release_stream(struct grpc_server_call *call)
{
    if (call->stream)
        call->stream->ops->release(call->stream);
    call->stream = NULL;
}

static void enter(struct grpc_server_call *call)
{
    call->in_event = true;
}

static void leave(struct grpc_server_call *call)
{
    call->in_event = false;
    if (!call->closed)
        return;
    release_stream(call);
    free_call(call);
}

static void tell_handled(struct grpc_server_call *call, int status)
{
    if (call->method && call->service->on_handled)
        call->service->on_handled(call->service->observer, call->method, status, call->loop->now_ns - call->started_ns);
}

/* The peer left or the stream broke: the owner learns it once. */
static void gone(struct grpc_server_call *call, int status)
{
    bool tell = call->started && !call->finished;

    call->closed = true;
    if (call->finished)
        return;
    call->finished = true;
    tell_handled(call, status);
    if (tell && call->events && call->events->on_gone)
        call->events->on_gone(call);
}

/* --- sending --- */

static int send_response_head(struct grpc_server_call *call)
{
    struct http_field fields[1];
    struct http_head head = {.version = HTTP_2, .status = 200, .fields = fields, .room = 1};

    http_append(&head, HTTP_TOKEN_CONTENT_TYPE, SLICE_LIT("content-type"), SLICE_LIT("application/grpc"));
    call->head_sent = true;
    return call->stream->ops->send_head(call->stream, &head, false);
}

/* The status as trailers, or in the one head of an answer without messages. */
static int send_status(struct grpc_server_call *call)
{
    char number[12];
    struct http_field fields[3];
    struct http_head head = {.version = HTTP_2, .status = 200, .fields = fields, .room = 3};
    struct slice text = grpc_text_encode(&call->arena, call->text);
    size_t len = (size_t)snprintf(number, sizeof(number), "%d", call->status);

    if (!call->head_sent)
        http_append(&head, HTTP_TOKEN_CONTENT_TYPE, SLICE_LIT("content-type"), SLICE_LIT("application/grpc"));
    http_append(&head, HTTP_TOKEN_GRPC_STATUS, SLICE_LIT("grpc-status"), slice_of(number, len));
    if (text.len)
        http_append(&head, HTTP_TOKEN_GRPC_MESSAGE, SLICE_LIT("grpc-message"), text);
    if (call->head_sent)
        return call->stream->ops->send_trailers(call->stream, head.fields, head.count);
    return call->stream->ops->send_head(call->stream, &head, true);
}

/* Moves the queue towards the stream. 0, or a negative errno when the stream is broken. */
static int send_queue(struct grpc_server_call *call)
{
    while (!grpc_queue_empty(&call->queue)) {
        struct slice front = grpc_queue_front(&call->queue);
        ssize_t n = call->stream->ops->send_data(call->stream, front, false);

        if (n < 0)
            return (int)n;
        grpc_queue_drop(&call->queue, (size_t)n);
        if ((size_t)n < front.len)
            break;
    }
    return 0;
}

/* Queues the message, and sends at once what the stream takes. */
static int send_message(struct grpc_server_call *call, struct grpc_message *message)
{
    bool waits = !grpc_queue_empty(&call->queue);
    int r = grpc_queue_add(&call->queue, message);

    if (r < 0 || waits)
        return r;
    r = send_queue(call);
    if (r < 0) /* nobody waits for the rest: the call can be finished */
        grpc_queue_clear(&call->queue);
    return r;
}

int grpc_reply_message(struct grpc_server_call *call, struct grpc_message *message)
{
    int r = 0;

    if (call->finished)
        return -EPIPE;
    if (!grpc_queue_empty(&call->queue) && call->queue.bytes + message->len > call->queue_max)
        return -ENOBUFS;
    if (!call->head_sent)
        r = send_response_head(call);
    if (r == 0)
        r = send_message(call, message);
    if (r == 0 && call->service->on_message)
        call->service->on_message(call->service->observer, call->method, true);
    return r;
}

int grpc_reply(struct grpc_server_call *call, struct slice bytes)
{
    struct grpc_message *message;
    int r;

    if (call->finished)
        return -EPIPE;
    if (bytes.len > LIMIT_GRPC_MESSAGE)
        return -EMSGSIZE;
    message = grpc_message_new(bytes);
    r = message ? grpc_reply_message(call, message) : -ENOMEM;
    grpc_message_unref(message);
    return r;
}

/* Ends the stream once the queue is empty; what cannot be sent any more is nobody's concern. */
static void try_to_close(struct grpc_server_call *call)
{
    if (call->closed || !grpc_queue_empty(&call->queue))
        return;
    call->closed = true;
    if (send_status(call) < 0)
        call->stream->ops->reset(call->stream, H2_NO_ERROR);
}

/* A broken stream shows itself to grpc_finish() and on_writable, where the call ends. */
static void finish(struct grpc_server_call *call, int status, struct slice text)
{
    call->finished = true;
    call->status = status;
    call->text = text;
    timer_cancel(&call->deadline);
    tell_handled(call, status);
    try_to_close(call);
}

void grpc_finish(struct grpc_server_call *call, int status, struct slice text)
{
    if (call->finished)
        return;
    text = arena_dup(&call->arena, text);
    call->events = NULL;
    if (call->in_event) {
        finish(call, status, text);
        return;
    }
    enter(call);
    finish(call, status, text);
    leave(call);
}

/* --- receiving --- */

/* The call ends by our own judgement; an owner that was told of it is told that it is over. */
static void fail(struct grpc_server_call *call, int status, struct slice text)
{
    const struct grpc_server_call_events *events = call->events;
    bool tell = call->started && !call->finished;

    if (call->finished)
        return;
    call->finished = true;
    if (tell && events && events->on_gone)
        events->on_gone(call);
    call->events = NULL;
    grpc_queue_clear(&call->queue);
    finish(call, status, text);
}

static void find_method(struct grpc_server_call *call, struct slice path)
{
    for (unsigned i = 0; i < call->service_count; i++) {
        const struct grpc_service *service = call->services[i];

        for (unsigned m = 0; m < service->count; m++) {
            if (!slice_eq(service->methods[m].path, path))
                continue;
            call->service = service;
            call->method = &service->methods[m];
            return;
        }
    }
}

/* An answer for those that do not speak gRPC at all. */
static void answer_http(struct grpc_server_call *call, unsigned status)
{
    struct http_head head = {.version = HTTP_2, .status = (uint16_t)status};

    call->finished = true;
    call->closed = true;
    if (call->stream->ops->send_head(call->stream, &head, true) < 0)
        call->stream->ops->reset(call->stream, H2_NO_ERROR);
}

static void set_deadline(struct grpc_server_call *call)
{
    const struct http_field *timeout = http_find(&call->head, HTTP_TOKEN_GRPC_TIMEOUT);
    int64_t ns;

    if (!timeout)
        return;
    if (grpc_timeout_parse(timeout->value, &ns) < 0)
        fail(call, GRPC_INTERNAL, SLICE_LIT("malformed grpc-timeout"));
    else if (ns < INT64_MAX - call->loop->now_ns)
        timer_set(call->loop, &call->deadline, call->loop->now_ns + ns);
}

static void server_head(struct http_stream *stream, struct http_head *head, bool last)
{
    struct grpc_server_call *call = stream->owner;

    enter(call);
    call->head = *head;
    call->started_ns = call->loop->now_ns;
    if (!slice_eq(head->method, SLICE_LIT("POST"))) {
        answer_http(call, 405);
    } else if (!http_is_grpc(head)) {
        answer_http(call, 415);
    } else {
        find_method(call, head->path);
        if (call->method && call->service->on_started)
            call->service->on_started(call->service->observer, call->method);
        if (!call->method)
            fail(call, GRPC_UNIMPLEMENTED, SLICE_LIT("unknown method"));
        else if (last)
            fail(call, GRPC_INTERNAL, SLICE_LIT("the request has no message"));
        else
            set_deadline(call);
    }
    leave(call);
}

static void fail_by_bad_message(struct grpc_server_call *call, int r)
{
    switch (r) {
    case -EOPNOTSUPP:
        fail(call, GRPC_UNIMPLEMENTED, SLICE_LIT("compressed messages are not supported"));
        break;
    case -EMSGSIZE:
        fail(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("the message is larger than allowed"));
        break;
    case -ENOMEM:
        fail(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("out of memory"));
        break;
    default:
        fail(call, GRPC_INTERNAL, SLICE_LIT("the message's prefix is broken"));
        break;
    }
}

static void begin_call(struct grpc_server_call *call, struct slice message)
{
    call->request_seen = true;
    call->started = true;
    if (call->service->on_message)
        call->service->on_message(call->service->observer, call->method, false);
    call->method->start(call, call->service->owner, message);
    if (call->finished) /* what is to be said at the end may still be in the arena */
        return;
    call->head = (struct http_head){0};
    arena_release(&call->arena);
}

static size_t server_data(struct http_stream *stream, struct slice bytes, bool last)
{
    struct grpc_server_call *call = stream->owner;
    struct slice message;
    size_t len = bytes.len;
    int r = 0;

    enter(call);
    while (!call->finished && (r = grpc_read(&call->reader, &bytes, &message)) > 0) {
        if (call->request_seen)
            fail(call, GRPC_INTERNAL, SLICE_LIT("the request has more than one message"));
        else
            begin_call(call, message);
    }
    if (r < 0)
        fail_by_bad_message(call, r);
    else if (last && !call->request_seen)
        fail(call, GRPC_INTERNAL, SLICE_LIT("the request has no message"));
    grpc_reader_trim(&call->reader);
    leave(call);
    return len;
}

/* Trailers of a request mean nothing to gRPC, but they end it. */
static void server_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    server_data(stream, SLICE_NULL, true);
}

static void server_writable(struct http_stream *stream)
{
    struct grpc_server_call *call = stream->owner;
    bool waiting = !grpc_queue_empty(&call->queue);

    enter(call);
    if (waiting && send_queue(call) < 0)
        gone(call, GRPC_CANCELLED);
    else if (call->finished)
        try_to_close(call);
    else if (waiting && grpc_queue_empty(&call->queue) && call->events && call->events->on_drained)
        call->events->on_drained(call);
    leave(call);
}

static void server_reset(struct http_stream *stream, struct http_reset reset)
{
    struct grpc_server_call *call = stream->owner;

    enter(call);
    gone(call, GRPC_CANCELLED);
    leave(call);
}

static const struct http_stream_events server_events = {
    .on_head = server_head,
    .on_data = server_data,
    .on_trailers = server_trailers,
    .on_writable = server_writable,
    .on_reset = server_reset,
};

static void deadline_passed(struct timer *timer)
{
    struct grpc_server_call *call = CONTAINER_OF(timer, struct grpc_server_call, deadline);

    enter(call);
    fail(call, GRPC_DEADLINE_EXCEEDED, SLICE_LIT("the deadline has passed"));
    leave(call);
}

struct arena *grpc_serve(struct http_server *server, struct http_stream *stream, struct loop *loop,
                         const struct grpc_service *const *services, unsigned count)
{
    struct grpc_server_call *call = calloc(1, sizeof(*call));

    if (!call)
        return NULL;
    if (timer_init(loop, &call->deadline, deadline_passed) < 0) {
        free(call);
        return NULL;
    }
    call->loop = loop;
    call->stream = stream;
    call->services = services;
    call->service_count = count;
    call->queue_max = LIMIT_GRPC_MESSAGE;
    arena_init(&call->arena, LIMIT_REQUEST_ARENA);
    grpc_reader_init(&call->reader);
    stream->events = &server_events;
    stream->owner = call;
    return &call->arena;
}

void grpc_server_call_bind(struct grpc_server_call *call, const struct grpc_server_call_events *events, void *owner,
                           size_t queue_max)
{
    call->events = events;
    call->owner = owner;
    call->queue_max = queue_max;
}

void *grpc_server_call_owner(const struct grpc_server_call *call)
{
    return call->owner;
}

const struct http_head *grpc_server_call_head(const struct grpc_server_call *call)
{
    return &call->head;
}
