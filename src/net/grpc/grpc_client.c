#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "net/grpc/grpc.h"
#include "net/grpc/grpc_message.h"
#include "net/http/http2_conn.h"

enum { H2_CANCEL = 8, HEAD_FIELDS = 5 };

struct grpc_call {
    struct loop *loop;
    struct http_stream *stream; /* NULL: released */
    const struct grpc_call_events *events;
    void *owner;
    struct arena arena; /* heads */
    struct timer deadline;
    struct grpc_reader reader;
    struct buffer out; /* what the stream did not take of the request yet */
    size_t out_sent;
    bool head_seen;
    bool in_event;  /* a function of ours is on the stack: `ended` calls are freed when it returns */
    bool ended;     /* told on_end, or cancelled */
};

static void free_call(struct grpc_call *call)
{
    timer_release(call->loop, &call->deadline);
    grpc_reader_release(&call->reader);
    buffer_release(&call->out);
    arena_release(&call->arena);
    free(call);
}

static bool request_is_sent(const struct grpc_call *call)
{
    return call->out_sent == call->out.len;
}

/* Lets the stream go. One whose directions have not both ended is reset, so that the server stops. */
static void leave_stream(struct grpc_call *call, bool response_ended)
{
    if (!call->stream)
        return;
    if (!response_ended || !request_is_sent(call))
        call->stream->ops->reset(call->stream, H2_CANCEL);
    call->stream->ops->release(call->stream);
    call->stream = NULL;
}

static void end(struct grpc_call *call, int status, struct slice text)
{
    if (call->ended)
        return;
    call->ended = true;
    call->events->on_end(call, status, text);
}

/* Every function that the stream or the timer calls is framed by these two. */
static void enter(struct grpc_call *call)
{
    call->in_event = true;
}

static void leave(struct grpc_call *call, bool response_ended)
{
    call->in_event = false;
    if (!call->ended)
        return;
    leave_stream(call, response_ended);
    free_call(call);
}

static const struct http_field *field_of(const struct http_field *fields, unsigned count, enum http_token token)
{
    for (unsigned i = 0; i < count; i++)
        if (fields[i].token == token)
            return &fields[i];
    return NULL;
}

/* The end that the server told: grpc-status and grpc-message, in trailers or in a head that ends the stream. */
static void end_by_fields(struct grpc_call *call, const struct http_field *fields, unsigned count, int status_without)
{
    const struct http_field *status = field_of(fields, count, HTTP_TOKEN_GRPC_STATUS);
    const struct http_field *message = field_of(fields, count, HTTP_TOKEN_GRPC_MESSAGE);
    uint64_t code;

    if (!status) {
        end(call, status_without, SLICE_LIT("the server ended the stream without grpc-status"));
        return;
    }
    if (slice_u64(status->value, INT32_MAX, &code) < 0)
        code = GRPC_UNKNOWN;
    if (code == GRPC_OK && !grpc_reader_is_idle(&call->reader)) {
        end(call, GRPC_INTERNAL, SLICE_LIT("the stream ended inside a message"));
        return;
    }
    end(call, (int)code, message ? grpc_text_decode(&call->arena, message->value) : SLICE_NULL);
}

static void client_head(struct http_stream *stream, struct http_head *head, bool last)
{
    struct grpc_call *call = stream->owner;

    enter(call);
    call->head_seen = true;
    if (last || field_of(head->fields, head->count, HTTP_TOKEN_GRPC_STATUS))
        end_by_fields(call, head->fields, head->count,
                      head->status == 200 ? GRPC_INTERNAL : grpc_status_of_http(head->status));
    else if (head->status != 200)
        end(call, grpc_status_of_http(head->status), arena_printf(&call->arena, "HTTP status %u", head->status));
    else if (!http_is_grpc(head))
        end(call, GRPC_UNKNOWN, SLICE_LIT("the answer is not gRPC"));
    leave(call, last);
}

static void end_by_bad_message(struct grpc_call *call, int r)
{
    switch (r) {
    case -EMSGSIZE:
        end(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("the message is larger than allowed"));
        break;
    case -ENOMEM:
        end(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("out of memory"));
        break;
    default:
        end(call, GRPC_INTERNAL, SLICE_LIT("the message is compressed, or its prefix is broken"));
        break;
    }
}

static size_t client_data(struct http_stream *stream, struct slice bytes, bool last)
{
    struct grpc_call *call = stream->owner;
    struct slice message;
    size_t len = bytes.len;
    int r;

    enter(call);
    while ((r = grpc_read(&call->reader, &bytes, &message)) > 0) {
        call->events->on_message(call, message);
        if (call->ended)
            break;
    }
    if (r < 0)
        end_by_bad_message(call, r);
    else if (last)
        end(call, GRPC_INTERNAL, SLICE_LIT("the server ended the stream without grpc-status"));
    grpc_reader_trim(&call->reader);
    leave(call, last);
    return len;
}

static void client_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct grpc_call *call = stream->owner;

    enter(call);
    end_by_fields(call, fields, count, GRPC_INTERNAL);
    leave(call, true);
}

/* 0 when all is sent or waits for on_writable. */
static int send_request(struct grpc_call *call)
{
    struct slice rest = slice_skip(buffer_slice(&call->out), call->out_sent);
    ssize_t n = call->stream->ops->send_data(call->stream, rest, true);

    if (n < 0)
        return (int)n;
    call->out_sent += (size_t)n;
    if (request_is_sent(call)) {
        buffer_release(&call->out);
        call->out_sent = 0;
    }
    return 0;
}

static void client_writable(struct http_stream *stream)
{
    struct grpc_call *call = stream->owner;

    if (request_is_sent(call))
        return;
    enter(call);
    if (send_request(call) < 0)
        end(call, GRPC_UNAVAILABLE, SLICE_LIT("the stream broke"));
    leave(call, false);
}

static void client_reset(struct http_stream *stream, struct http_reset reset)
{
    struct grpc_call *call = stream->owner;
    struct slice text = slice_str(reset.detail);

    enter(call);
    switch (reset.error) {
    case HTTP_ERROR_RESET:
        end(call, grpc_status_of_reset(reset.code), text.len ? text : SLICE_LIT("the server reset the stream"));
        break;
    case HTTP_ERROR_REFUSED:
        end(call, GRPC_UNAVAILABLE, text.len ? text : SLICE_LIT("the server refused the stream"));
        break;
    case HTTP_ERROR_PROTOCOL:
        end(call, GRPC_INTERNAL, text.len ? text : SLICE_LIT("the server broke the protocol"));
        break;
    case HTTP_ERROR_LIMIT:
    case HTTP_ERROR_MEMORY:
        end(call, GRPC_RESOURCE_EXHAUSTED, text.len ? text : SLICE_LIT("a limit was reached"));
        break;
    default:
        end(call, GRPC_UNAVAILABLE, text.len ? text : SLICE_LIT("the connection was lost"));
        break;
    }
    call->stream->ops->release(call->stream);
    call->stream = NULL;
    leave(call, true);
}

static const struct http_stream_events client_events = {
    .on_head = client_head,
    .on_data = client_data,
    .on_trailers = client_trailers,
    .on_writable = client_writable,
    .on_reset = client_reset,
};

static void deadline_passed(struct timer *timer)
{
    struct grpc_call *call = CONTAINER_OF(timer, struct grpc_call, deadline);

    enter(call);
    end(call, GRPC_DEADLINE_EXCEEDED, SLICE_LIT("the deadline has passed"));
    leave(call, false);
}

static int send_head(struct grpc_call *call, struct slice authority, struct slice path, int64_t timeout_ns)
{
    char timeout[GRPC_TIMEOUT_TEXT];
    struct http_field fields[HEAD_FIELDS];
    struct http_head head = {.version = HTTP_2, .method = SLICE_LIT("POST"), .scheme = SLICE_LIT("http"),
                             .authority = authority, .path = path, .fields = fields, .room = HEAD_FIELDS};

    http_append(&head, HTTP_TOKEN_TE, SLICE_LIT("te"), SLICE_LIT("trailers"));
    http_append(&head, HTTP_TOKEN_CONTENT_TYPE, SLICE_LIT("content-type"), SLICE_LIT("application/grpc"));
    http_append(&head, HTTP_TOKEN_USER_AGENT, SLICE_LIT("user-agent"), SLICE_LIT("grpc-clinkerd"));
    if (timeout_ns > 0)
        http_append(&head, HTTP_TOKEN_GRPC_TIMEOUT, SLICE_LIT("grpc-timeout"),
                    grpc_timeout_format(timeout_ns, timeout));
    return call->stream->ops->send_head(call->stream, &head, false);
}

static struct grpc_call *new_call(struct loop *loop, struct slice message)
{
    struct grpc_call *call = calloc(1, sizeof(*call));
    uint8_t prefix[GRPC_PREFIX];

    if (!call)
        return NULL;
    call->loop = loop;
    arena_init(&call->arena, LIMIT_REQUEST_ARENA);
    grpc_reader_init(&call->reader);
    buffer_init(&call->out, GRPC_PREFIX + LIMIT_GRPC_MESSAGE);
    grpc_write_prefix(prefix, message.len);
    buffer_add(&call->out, slice_of(prefix, sizeof(prefix)));
    buffer_add(&call->out, message);
    if (buffer_error(&call->out) == 0 && timer_init(loop, &call->deadline, deadline_passed) == 0)
        return call;
    buffer_release(&call->out);
    free(call);
    return NULL;
}

int grpc_call_start(struct http_client *client, struct loop *loop, struct slice authority, struct slice path,
                    struct slice message, int64_t deadline_ns, const struct grpc_call_events *events, void *owner,
                    struct grpc_call **ret_call)
{
    struct grpc_call *call;
    int r;

    if (message.len > LIMIT_GRPC_MESSAGE)
        return -EMSGSIZE;
    if (deadline_ns && deadline_ns <= loop->now_ns)
        return -ETIMEDOUT;
    call = new_call(loop, message);
    if (!call)
        return -ENOMEM;
    call->events = events;
    call->owner = owner;
    r = http2_client_open(client, &call->arena, &client_events, call, &call->stream);
    if (r == 0)
        r = send_head(call, authority, path, deadline_ns ? deadline_ns - loop->now_ns : 0);
    if (r == 0)
        r = send_request(call);
    if (r < 0) {
        leave_stream(call, false);
        free_call(call);
        return r;
    }
    if (deadline_ns)
        timer_set(loop, &call->deadline, deadline_ns);
    *ret_call = call;
    return 0;
}

void *grpc_call_owner(const struct grpc_call *call)
{
    return call->owner;
}

void grpc_call_cancel(struct grpc_call *call)
{
    call->ended = true;
    if (call->in_event)
        return; /* freed when the event returns */
    leave_stream(call, false);
    free_call(call);
}
