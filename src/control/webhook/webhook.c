#include "control/webhook/webhook.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/http/http_listener.h"

struct webhook {
    struct controller *controller;
    struct webhook_setup setup;
    struct http_listener *listener;
};

/* --- answering --- */

static void end(struct webhook_call *call)
{
    review_release(&call->review);
    free(call);
}

void webhook_reply(struct webhook_call *call, struct buffer *body)
{
    struct http_answer answer = {.status = 200, .content_type = SLICE_LIT("application/json"), .body = *body};

    http_exchange_answer(call->exchange, &answer);
    end(call);
}

void webhook_fail(struct webhook_call *call, const char *why)
{
    http_exchange_refuse(call->exchange, 500, why);
    end(call);
}

void webhook_reply_verdict(struct webhook_call *call, const struct review_verdict *verdict)
{
    struct buffer body;

    buffer_init(&body, (size_t)3 * LIMIT_ADMISSION);
    if (review_write(&call->review, verdict, &body) == 0) {
        webhook_reply(call, &body);
        return;
    }
    buffer_release(&body);
    webhook_fail(call, "no memory for the answer");
}

/* --- asking --- */

static void on_gone(struct http_exchange *exchange)
{
    struct webhook_call *call = exchange->user;

    if (call->on_gone)
        call->on_gone(call);
    end(call);
}

static void hand_on(const struct webhook_hook *hook, struct http_exchange *exchange)
{
    struct webhook_call *call = calloc(1, sizeof(*call));
    struct errmsg msg = {""};
    int r = call ? review_read(buffer_slice(&exchange->body), &msg, &call->review) : -ENOMEM;

    if (r == 0) {
        call->exchange = exchange;
        exchange->user = call;
        exchange->on_gone = on_gone;
        hook->ask(hook->owner, call);
        return;
    }
    free(call);
    http_exchange_refuse(exchange, r == -ENOMEM ? 503 : 400, r == -ENOMEM ? "no memory" : msg.text);
}

static const struct webhook_hook *find_hook(const struct webhook *webhook, struct slice path)
{
    for (size_t i = 0; i < webhook->setup.hook_count; i++)
        if (slice_eq(webhook->setup.hooks[i].path, path))
            return &webhook->setup.hooks[i];
    return NULL;
}

static bool is_json(const struct http_head *head)
{
    const struct http_field *type = http_find(head, HTTP_TOKEN_CONTENT_TYPE);
    struct slice media = type ? slice_trim(slice_take(type->value, slice_find(type->value, ';'))) : SLICE_NULL;

    return slice_eq_nocase(media, SLICE_LIT("application/json"));
}

static void refuse_method(struct http_exchange *exchange)
{
    static const struct http_field allow = {.name = {"allow", 5}, .value = {"POST", 4}};
    struct http_answer answer = {.status = 405, .content_type = SLICE_LIT("text/plain; charset=utf-8"), .fields = &allow, .field_count = 1};

    buffer_init(&answer.body, LIMIT_ADMIN_BODY);
    (void)buffer_add_lit(&answer.body, "reviews are asked for by POST\n");
    http_exchange_answer(exchange, &answer);
}

static void on_request(void *owner, struct http_exchange *exchange)
{
    struct webhook *webhook = owner;
    struct slice path = slice_take(exchange->head.path, slice_find(exchange->head.path, '?'));
    const struct webhook_hook *hook = find_hook(webhook, path);

    if (!hook)
        http_exchange_refuse(exchange, 404, "there is no webhook at this path");
    else if (!slice_eq(exchange->head.method, SLICE_LIT("POST")))
        refuse_method(exchange);
    else if (!is_json(&exchange->head))
        http_exchange_refuse(exchange, 415, "expected an AdmissionReview as application/json");
    else
        hand_on(hook, exchange);
}

/* --- the port --- */

static struct tls_context *context(void *owner)
{
    struct webhook *webhook = owner;

    return webhook_certificate_context(webhook->setup.certificate);
}

/* An API server that does not believe the certificate is seen here first. */
static void on_failure(void *owner, struct addr peer, const char *why)
{
    struct webhook *webhook = owner;
    char text[ADDR_TEXT_MAX];

    log_limited(webhook->controller->log, LOG_WARN, webhook->setup.name, "no TLS with %s: %s", addr_format(peer, text), why);
}

int webhook_new(struct controller *controller, const struct webhook_setup *setup, struct webhook **ret_webhook)
{
    struct webhook *webhook = calloc(1, sizeof(*webhook));
    const struct http_listener_options options = {
        .max_connections = LIMIT_WEBHOOK_CONNECTIONS,
        .max_requests = LIMIT_WEBHOOK_REQUESTS,
        .max_body = LIMIT_ADMISSION,
        .max_held = LIMIT_WEBHOOK_BYTES,
        .handshake_timeout_ns = 10 * NS_PER_S,
        .head_timeout_ns = 10 * NS_PER_S,
        .body_timeout_ns = 10 * NS_PER_S,
        .stall_timeout_ns = 10 * NS_PER_S,
        .idle_timeout_ns = 300 * NS_PER_S,
        .use = DESCRIPTOR_ACCEPT,
        .security = HTTP_LISTENER_TLS,
        .on_request = on_request,
        .context = context,
        .on_failure = on_failure,
        .owner = webhook,
    };
    int r;

    if (!webhook)
        return -ENOMEM;
    webhook->controller = controller;
    webhook->setup = *setup;
    r = http_listener_new(&controller->loop, setup->addr, &options, &webhook->listener);
    if (r < 0) {
        free(webhook);
        return r;
    }
    *ret_webhook = webhook;
    return 0;
}

void webhook_drain(struct webhook *webhook)
{
    http_listener_drain(webhook->listener);
}

unsigned webhook_connections(const struct webhook *webhook)
{
    return http_listener_connections(webhook->listener);
}

void webhook_free(struct webhook *webhook)
{
    if (!webhook)
        return;
    http_listener_free(webhook->listener);
    free(webhook);
}
