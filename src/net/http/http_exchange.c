#include "net/http/http_exchange.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"

/* --- the end --- */

static void free_exchange(struct http_exchange *exchange)
{
    task_cancel(&exchange->disposal);
    timer_release(exchange->host->loop, &exchange->deadline);
    list_remove(&exchange->link);
    exchange->host->count--;
    arena_release(&exchange->arena);
    buffer_release(&exchange->body);
    buffer_release(&exchange->out);
    free(exchange);
}

static void dispose(struct task *task)
{
    free_exchange(CONTAINER_OF(task, struct http_exchange, disposal));
}

static void forget_body(struct http_exchange *exchange)
{
    exchange->host->held -= exchange->body.len;
    buffer_release(&exchange->body);
}

/* The stream is let go at once, the memory when no event can be on its way any more. */
static void finish(struct http_exchange *exchange)
{
    exchange->stream->ops->release(exchange->stream);
    exchange->stream = NULL;
    timer_cancel(&exchange->deadline);
    forget_body(exchange);
    buffer_release(&exchange->out);
    dispose_wake(exchange->host->loop, &exchange->disposal);
}

void http_exchange_free_all(struct http_exchange_host *host)
{
    LIST_FOR_EACH (link, &host->exchanges)
        free_exchange(CONTAINER_OF(link, struct http_exchange, link));
}

/* --- answering --- */

static void push(struct http_exchange *exchange)
{
    while (exchange->stream) {
        struct slice rest = slice_skip(buffer_slice(&exchange->out), exchange->sent);
        ssize_t n = exchange->stream->ops->send_data(exchange->stream, rest, true);

        if (n < 0)
            n = (ssize_t)rest.len; /* broken: nobody reads the rest */
        exchange->sent += (size_t)n;
        if (exchange->sent == exchange->out.len)
            finish(exchange);
        else if (n == 0)
            return;
    }
}

static void send_head(struct http_exchange *exchange, const struct http_answer *answer, bool closes)
{
    struct http_field fields[HTTP_ANSWER_FIELDS + 3];
    struct http_head head = {.version = HTTP_1_1, .status = (uint16_t)answer->status, .fields = fields, .room = HTTP_ANSWER_FIELDS + 3};
    char length[24];
    int n = snprintf(length, sizeof(length), "%zu", exchange->out.len);

    (void)http_append(&head, HTTP_TOKEN_CONTENT_TYPE, SLICE_LIT("content-type"), answer->content_type);
    (void)http_append(&head, HTTP_TOKEN_CONTENT_LENGTH, SLICE_LIT("content-length"), slice_of(length, (size_t)n));
    for (unsigned i = 0; i < answer->field_count; i++)
        (void)http_append(&head, (enum http_token)answer->fields[i].token, answer->fields[i].name, answer->fields[i].value);
    if (closes && !exchange->http2)
        (void)http_append(&head, HTTP_TOKEN_CONNECTION, SLICE_LIT("connection"), SLICE_LIT("close"));
    if (slice_eq(exchange->head.method, SLICE_LIT("HEAD")))
        buffer_clear(&exchange->out);
    if (exchange->stream->ops->send_head(exchange->stream, &head, exchange->out.len == 0) < 0 || exchange->out.len == 0)
        finish(exchange);
    else
        push(exchange);
}

void http_exchange_answer(struct http_exchange *exchange, const struct http_answer *answer)
{
    exchange->answered = true;
    timer_cancel(&exchange->deadline);
    exchange->out = answer->body;
    /* With a request that has not come whole, its connection can carry no other. */
    send_head(exchange, answer, !exchange->asked);
}

void http_exchange_refuse(struct http_exchange *exchange, unsigned status, const char *sentence)
{
    struct http_answer answer = {.status = status, .content_type = SLICE_LIT("text/plain; charset=utf-8")};

    buffer_init(&answer.body, LIMIT_ADMIN_BODY);
    (void)buffer_printf(&answer.body, "%s\n", sentence);
    http_exchange_answer(exchange, &answer);
}

/* --- the request --- */

static void ask(struct http_exchange *exchange)
{
    exchange->asked = true;
    timer_cancel(&exchange->deadline);
    exchange->host->on_request(exchange->host->owner, exchange);
}

static void refuse_size(struct http_exchange *exchange)
{
    char sentence[80];

    snprintf(sentence, sizeof(sentence), "the body is larger than %zu bytes", exchange->host->max_body);
    http_exchange_refuse(exchange, 413, sentence);
}

static void send_continue(struct http_exchange *exchange)
{
    static const struct http_head head = {.version = HTTP_1_1, .status = 100};

    if (!exchange->http2 && http_find(&exchange->head, HTTP_TOKEN_EXPECT))
        (void)exchange->stream->ops->send_head(exchange->stream, &head, false);
}

static void on_head(struct http_stream *stream, struct http_head *head, bool end)
{
    struct http_exchange *exchange = stream->owner;
    const struct http_field *length = http_find(head, HTTP_TOKEN_CONTENT_LENGTH);
    uint64_t bytes;

    exchange->head = *head;
    if (end) {
        ask(exchange);
    } else if (length && slice_u64(length->value, exchange->host->max_body, &bytes) < 0) {
        refuse_size(exchange);
    } else {
        if (exchange->host->body_timeout_ns)
            timer_set(exchange->host->loop, &exchange->deadline, exchange->host->loop->now_ns + exchange->host->body_timeout_ns);
        send_continue(exchange);
    }
}

static size_t on_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct http_exchange *exchange = stream->owner;
    struct http_exchange_host *host = exchange->host;

    if (exchange->answered)
        return bytes.len; /* refused; the answer is still on its way */
    if (bytes.len > host->max_held - host->held) {
        http_exchange_refuse(exchange, 503, "too many requests at once");
    } else if (buffer_add(&exchange->body, bytes) < 0) {
        if (buffer_error(&exchange->body) == -ENOBUFS)
            refuse_size(exchange);
        else
            http_exchange_refuse(exchange, 503, "no memory");
    } else {
        host->held += bytes.len;
        if (end)
            ask(exchange);
    }
    return bytes.len;
}

static void on_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct http_exchange *exchange = stream->owner;

    if (!exchange->answered)
        ask(exchange);
}

static void on_writable(struct http_stream *stream)
{
    struct http_exchange *exchange = stream->owner;

    if (exchange->answered)
        push(exchange);
}

static void on_reset(struct http_stream *stream, struct http_reset reset)
{
    struct http_exchange *exchange = stream->owner;

    if (exchange->asked && !exchange->answered && exchange->on_gone)
        exchange->on_gone(exchange);
    finish(exchange);
}

static void on_deadline(struct timer *timer)
{
    http_exchange_refuse(CONTAINER_OF(timer, struct http_exchange, deadline), 408, "the body took too long");
}

static const struct http_stream_events events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_reset = on_reset,
};

struct arena *http_exchange_begin(struct http_exchange_host *host, struct http_server *server, struct http_stream *stream, struct addr peer)
{
    struct http_exchange *exchange = host->count < host->max ? calloc(1, sizeof(*exchange)) : NULL;

    if (!exchange)
        return NULL;
    if (timer_init(host->loop, &exchange->deadline, on_deadline) < 0) {
        free(exchange);
        return NULL;
    }
    exchange->host = host;
    exchange->peer = peer;
    exchange->http2 = server->http2;
    task_init(&exchange->disposal, dispose);
    arena_init(&exchange->arena, LIMIT_REQUEST_ARENA);
    buffer_init(&exchange->body, host->max_body);
    buffer_init(&exchange->out, 0);
    exchange->stream = stream;
    stream->events = &events;
    stream->owner = exchange;
    list_push(&host->exchanges, &exchange->link);
    host->count++;
    return &exchange->arena;
}
