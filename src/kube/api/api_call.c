/* One request and its answer. */
#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "kube/access/exec_plugin.h"
#include "kube/api/api_internal.h"
#include "kube/api/api_stream.h"

enum { H2_CANCEL = 8, FIELDS = 8 + 2 + LIMIT_API_GROUPS + LIMIT_API_EXTRAS, ATTEMPTS_MAX = 16, ERROR_BODY = 64 * 1024, RETRY_AFTER_MAX_S = 3600 };

static const int64_t TIMEOUT_NS = 30 * NS_PER_S;
static const int64_t PAUSE_NS = 1 * NS_PER_S; /* where the server says that it is busy, but not for how long */

/* --- its life --- */

static void free_call(struct api_call *call)
{
    timer_release(call->client->loop, &call->timer);
    list_remove(&call->waiting);
    list_remove(&call->link);
    call->client->call_count--;
    buffer_release(&call->answer);
    arena_release(&call->arena);
    free(call);
}

/* Lets stream and connection go. A stream whose directions have not both ended is reset, so that the server stops. */
static void leave_stream(struct api_call *call, bool answer_ended)
{
    struct api_conn *conn = call->conn;

    if (call->stream) {
        if (!answer_ended || call->sent < call->body.len) {
            call->stream->ops->reset(call->stream, H2_CANCEL);
            conn->proven = true; /* if it ends with that (HTTP/1.1), that was us */
        }
        call->stream->ops->release(call->stream);
    }
    call->stream = NULL;
    call->conn = NULL;
    if (conn && conn->own) {
        conn->only = NULL;
        api_conn_drain(conn);
    }
}

static void tell(struct api_call *call, const struct api_answer *answer)
{
    call->over = true;
    call->events->on_end(call, answer);
}

/* Every function that the stream, a timer or the client calls is framed by these two. */
static void enter(struct api_call *call)
{
    call->in_event = true;
}

static void leave(struct api_call *call, bool answer_ended)
{
    call->in_event = false;
    if (!call->over)
        return;
    leave_stream(call, answer_ended);
    free_call(call);
}

static void wait_again(struct api_call *call)
{
    call->state = API_CALL_WAITING;
    list_push(&call->client->waiting, &call->waiting);
    task_wake(call->client->loop, &call->client->pump);
}

/* --- what went wrong, in words --- */

struct status {
    struct api_handler handler;
    char *message;
    size_t size;
};

static void take_status(struct api_handler *handler, enum api_event event, const struct yaml_node *object)
{
    struct status *status = CONTAINER_OF(handler, struct status, handler);
    const struct yaml_node *message = yaml_get_lit(object, "message");

    if (event == API_STATUS && message && message->kind == YAML_STRING)
        snprintf(status->message, status->size, "%.*s", SLICE_ARGS(slice_take(message->text, status->size - 1)));
}

/* What the server's Status says, or the first line of whatever else it sent. */
static void read_message(struct slice body, char *message, size_t size)
{
    struct status status = {.handler.event = take_status, .message = message, .size = size};
    struct api_stream *stream;

    message[0] = '\0';
    if (api_stream_new(&status.handler, API_LIST, &stream) < 0)
        return;
    (void)api_stream_feed(stream, body, NULL);
    api_stream_free(stream);
    if (message[0])
        return;
    body = slice_take(body, slice_find(body, '\n'));
    if (slice_is_utf8(body))
        snprintf(message, size, "%.*s", SLICE_ARGS(slice_take(body, size - 1)));
}

static const char *advice(int status)
{
    switch (status) {
    case 401: return "; check the credentials";
    case 403: return "; the role of this user or service account must allow it";
    default: return "";
    }
}

static int error_of(int status)
{
    switch (status) {
    case 401: return -EACCES;
    case 403: return -EPERM;
    case 404: return -ENOENT;
    case 409: return -EEXIST;
    case 410: return -ESTALE;
    case 400:
    case 422: return -EINVAL;
    case 429:
    case 503: return -EBUSY;
    default: return -EPROTO;
    }
}

static void tell_failure(struct api_call *call, int error, const char *what)
{
    struct errmsg msg;
    struct slice server = api_client_server(call->client);

    errmsg_set(&msg, error, "%s %.*s%.*s: %s", call->method, SLICE_ARGS(server), SLICE_ARGS(slice_take(call->path, 200)), what);
    tell(call, &(struct api_answer){.status = call->status, .error = error, .body = buffer_slice(&call->answer),
                                    .etag = call->etag, .location = call->location, .retry_after_ns = call->retry_after_ns, .why = msg.text});
}

static void tell_bad_status(struct api_call *call)
{
    char message[300];
    struct errmsg what;

    read_message(buffer_slice(&call->answer), message, sizeof(message));
    errmsg_set(&what, 0, "status %d%s%s%s", call->status, message[0] ? ": " : "", message, advice(call->status));
    tell_failure(call, error_of(call->status), what.text);
}

void api_call_fail(struct api_call *call, int error, const char *what)
{
    enter(call);
    tell_failure(call, error, what);
    leave(call, false);
}

/* --- the answer --- */

static bool is_success(const struct api_call *call)
{
    return (call->status >= 200 && call->status < 300) || call->status == 304;
}

static void pause_until(struct api_call *call, int64_t at_ns)
{
    call->state = API_CALL_PAUSED;
    timer_set(call->client->loop, &call->timer, at_ns);
}

/* Forgets what came, to ask again. */
static void begin_anew(struct api_call *call, bool answer_ended)
{
    leave_stream(call, answer_ended);
    buffer_clear(&call->answer);
    call->sent = 0;
    call->status = 0;
    call->retry_after_ns = 0;
    call->etag = call->location = SLICE_NULL;
}

/* Whether the server wants to be asked again later, and that is within the deadline. */
static bool may_pause(const struct api_call *call, int64_t *ret_until_ns)
{
    int64_t wait = call->retry_after_ns ? call->retry_after_ns : PAUSE_NS;

    *ret_until_ns = call->client->loop->now_ns + wait;
    return (call->status == 429 || (call->status == 503 && call->retry_after_ns)) && *ret_until_ns < call->deadline_ns &&
           call->attempts < ATTEMPTS_MAX;
}

/* The answer is whole. */
static void finish(struct api_call *call)
{
    int64_t until_ns;

    if (is_success(call) && buffer_error(&call->answer)) {
        tell_failure(call, buffer_error(&call->answer), "the answer is too large");
    } else if (is_success(call)) {
        tell(call, &(struct api_answer){.status = call->status, .body = buffer_slice(&call->answer), .etag = call->etag});
    } else if (call->status == 401 && !call->asked_anew && !mutation("refused-credentials-are-not-read-anew")) {
        call->asked_anew = true;
        exec_plugin_refused(call->client->access, call->credential);
        begin_anew(call, true);
        wait_again(call);
    } else if (may_pause(call, &until_ns)) {
        begin_anew(call, true);
        pause_until(call, until_ns);
    } else {
        tell_bad_status(call);
    }
}

static void on_interim(struct http_stream *stream, struct http_head *head)
{
}

static void read_retry_after(struct api_call *call, const struct http_head *head)
{
    const struct http_field *field = http_find(head, HTTP_TOKEN_RETRY_AFTER);
    uint64_t seconds;

    if (field && slice_u64(field->value, RETRY_AFTER_MAX_S, &seconds) == 0)
        call->retry_after_ns = (int64_t)seconds * NS_PER_S;
}

static void on_head(struct http_stream *stream, struct http_head *head, bool end)
{
    struct api_call *call = stream->owner;
    const struct http_field *etag = http_find_name(head, SLICE_LIT("etag")), *location = http_find_name(head, SLICE_LIT("location"));

    enter(call);
    call->status = head->status;
    call->conn->proven = true;
    call->client->failures = 0;
    read_retry_after(call, head);
    call->etag = etag ? etag->value : SLICE_NULL; /* in the call's arena */
    call->location = location ? location->value : SLICE_NULL;
    buffer_release(&call->answer);
    buffer_init(&call->answer, is_success(call) ? LIMIT_API_ANSWER : ERROR_BODY);
    if (is_success(call) && call->events->on_data) {
        call->deadline_ns = INT64_MAX;
        timer_cancel(&call->timer);
        if (call->events->on_begin)
            call->events->on_begin(call);
    }
    if (end && !call->over)
        finish(call);
    leave(call, end);
}

static size_t on_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct api_call *call = stream->owner;
    size_t len = bytes.len;

    enter(call);
    if (len && is_success(call) && call->events->on_data)
        call->events->on_data(call, bytes);
    else if (!buffer_error(&call->answer))
        buffer_add(&call->answer, bytes);
    if (!call->over && end)
        finish(call);
    leave(call, end);
    return len;
}

static void on_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct api_call *call = stream->owner;

    enter(call);
    finish(call);
    leave(call, true);
}

static int send_body(struct api_call *call)
{
    ssize_t n = call->stream->ops->send_data(call->stream, slice_skip(call->body, call->sent), true);

    if (n > 0)
        call->sent += (size_t)n;
    return n < 0 ? (int)n : 0;
}

static void on_writable(struct http_stream *stream)
{
    struct api_call *call = stream->owner;

    if (call->sent == call->body.len)
        return;
    enter(call);
    if (send_body(call) < 0)
        tell_failure(call, -EPIPE, "the connection broke");
    leave(call, false);
}

static void on_reset(struct http_stream *stream, struct http_reset reset)
{
    struct api_call *call = stream->owner;

    enter(call);
    stream->ops->release(stream);
    call->stream = NULL;
    if (reset.error == HTTP_ERROR_REFUSED && !call->status && call->attempts < ATTEMPTS_MAX) {
        begin_anew(call, true);
        wait_again(call);
    } else {
        tell_failure(call, reset.error == HTTP_ERROR_MEMORY ? -ENOMEM : -ECONNRESET,
                     reset.detail ? reset.detail : "the connection to the API server was lost");
    }
    leave(call, true);
}

static const struct http_stream_events stream_events = {on_interim, on_head, on_data, on_trailers, on_writable, on_reset};

/* --- the request --- */

static void add(struct http_head *head, enum http_token token, const char *name, struct slice value)
{
    if (value.len)
        http_append(head, token, slice_str(name), value);
}

static int send_head(struct api_call *call, struct slice authorization)
{
    const struct kube_access *access = call->client->access;
    struct http_field fields[FIELDS];
    struct http_head head = {
        .version = HTTP_2,
        .method = slice_str(call->method),
        .scheme = access->tls ? SLICE_LIT("https") : SLICE_LIT("http"),
        .authority = access->authority,
        .path = call->path,
        .fields = fields,
        .room = FIELDS,
    };
    char length[32];

    if (access->prefix.len)
        head.path = arena_printf(&call->arena, "%.*s%.*s", SLICE_ARGS(access->prefix), SLICE_ARGS(call->path));
    if (!head.path.ptr)
        return -ENOMEM;
    snprintf(length, sizeof(length), "%zu", call->body.len);
    add(&head, HTTP_TOKEN_OTHER, "accept", call->accept);
    add(&head, HTTP_TOKEN_USER_AGENT, "user-agent", SLICE_LIT("clinkerd"));
    add(&head, HTTP_TOKEN_OTHER, "authorization", authorization);
    if (authorization.len)
        fields[head.count - 1].never_index = 1;
    add(&head, HTTP_TOKEN_OTHER, "impersonate-user", access->as);
    for (size_t i = 0; i < access->as_group_count; i++)
        add(&head, HTTP_TOKEN_OTHER, "impersonate-group", access->as_groups[i]);
    add(&head, HTTP_TOKEN_OTHER, "impersonate-uid", access->as_uid);
    for (size_t i = 0; i < access->as_extra_count; i++)
        http_append(&head, HTTP_TOKEN_OTHER, access->as_extras[i].name, access->as_extras[i].value);
    add(&head, HTTP_TOKEN_OTHER, "if-none-match", call->if_none_match);
    if (call->body.len) {
        add(&head, HTTP_TOKEN_CONTENT_TYPE, "content-type", call->content_type);
        add(&head, HTTP_TOKEN_CONTENT_LENGTH, "content-length", slice_str(length));
    }
    return call->stream->ops->send_head(call->stream, &head, !call->body.len);
}

static int begin(struct api_call *call, struct api_conn *conn, struct errmsg *msg)
{
    struct buffer authorization;
    int r;

    call->credential = exec_plugin_generation(call->client->access);
    buffer_init(&authorization, LIMIT_TOKEN + 64);
    r = kube_access_authorization(call->client->access, &authorization, msg);
    if (r == 0)
        r = api_conn_open_stream(conn, &call->arena, &stream_events, call, &call->stream);
    if (r == 0)
        r = send_head(call, buffer_slice(&authorization));
    if (r == 0 && call->body.len)
        r = send_body(call);
    if (authorization.data)
        explicit_bzero(authorization.data, authorization.size);
    buffer_release(&authorization);
    return r;
}

void api_call_run(struct api_call *call, struct api_conn *conn)
{
    struct errmsg msg = {"the connection broke"};
    int r;

    enter(call);
    list_remove(&call->waiting);
    call->state = API_CALL_RUNNING;
    call->conn = conn;
    call->attempts++;
    r = begin(call, conn, &msg);
    if (r == -EAGAIN || r == -EPIPE) { /* the connection is not what it was a moment ago */
        leave_stream(call, false);
        if (call->attempts < ATTEMPTS_MAX)
            wait_again(call);
        else
            tell_failure(call, r, msg.text);
    } else if (r < 0) {
        tell_failure(call, r, msg.text);
    }
    leave(call, false);
}

static void on_timer(struct timer *timer)
{
    struct api_call *call = CONTAINER_OF(timer, struct api_call, timer);

    if (call->state == API_CALL_PAUSED && call->client->loop->now_ns < call->deadline_ns) {
        timer_set(call->client->loop, &call->timer, call->deadline_ns);
        wait_again(call);
        return;
    }
    if (call->state == API_CALL_WAITING && call->client->fetching) { /* the plug-in's own deadline counts; then ours is moved */
        timer_set(call->client->loop, &call->timer, INT64_MAX - 1);
        return;
    }
    api_call_fail(call, -ETIMEDOUT, call->status ? "the answer did not end in time" : call->state == API_CALL_RUNNING ? "no answer in time" : "no connection in time");
}

static bool copy(struct arena *arena, struct slice from, struct slice *ret_copy)
{
    *ret_copy = arena_dup(arena, from);
    return ret_copy->ptr != NULL;
}

static int fill(struct api_call *call, const struct api_request *request)
{
    struct arena *arena = &call->arena;
    struct loop *loop = call->client->loop;

    call->method = request->method ? request->method : "GET";
    call->alone = request->alone;
    call->deadline_ns = loop->now_ns + (request->timeout_ns ? request->timeout_ns : TIMEOUT_NS);
    if (!copy(arena, request->path, &call->path) || !copy(arena, request->accept.len ? request->accept : SLICE_LIT(API_JSON), &call->accept) ||
        !copy(arena, request->content_type, &call->content_type) || !copy(arena, request->body, &call->body) ||
        !copy(arena, request->if_none_match, &call->if_none_match))
        return -ENOMEM;
    return timer_init(loop, &call->timer, on_timer);
}

int api_call_start(struct api_client *client, const struct api_request *request, const struct api_call_events *events,
                   void *owner, struct api_call **ret_call)
{
    struct api_call *call;
    int r;

    if (client->call_count >= LIMIT_API_CALLS)
        return -ENOBUFS;
    call = calloc(1, sizeof(*call));
    if (!call)
        return -ENOMEM;
    call->client = client;
    call->events = events;
    call->owner = owner;
    list_init(&call->waiting);
    arena_init(&call->arena, LIMIT_REQUEST_ARENA + LIMIT_API_ANSWER);
    buffer_init(&call->answer, ERROR_BODY);
    r = fill(call, request);
    if (r < 0) {
        arena_release(&call->arena);
        free(call);
        return r;
    }
    client->call_count++;
    list_push(&client->calls, &call->link);
    timer_set(client->loop, &call->timer, call->deadline_ns);
    wait_again(call);
    *ret_call = call;
    return 0;
}

void *api_call_owner(const struct api_call *call)
{
    return call->owner;
}

void api_call_cancel(struct api_call *call)
{
    if (!call)
        return;
    call->over = true;
    if (call->in_event)
        return; /* freed when the event returns */
    leave_stream(call, false);
    free_call(call);
}
