/*
 * A port on which an API server asks webhooks: HTTPS (net/http/http_listener.h), POST of an AdmissionReview to a path, answered at once or
 * later. What is no review is refused here (400, 404, 405, 413, 415); an answer that cannot be made is 500, upon which the API server does
 * what its configuration says (failurePolicy).
 *
 * To add a webhook: fill in a struct webhook_hook with its path and `ask`, give it to webhook_new() with those of its component. `ask` gets
 * the review, which lives until the answer, and calls webhook_reply() (with what review_write() made) or webhook_fail(), inside the call or
 * later. If it answers later it sets call->on_gone first, which is called instead of an answer being wanted when the client leaves; what it
 * waits for must have a deadline of its own.
 *
 *     static void ask(void *owner, struct webhook_call *call)
 *     {
 *         struct review_verdict verdict = {.denial = ...};
 *         webhook_reply_verdict(call, &verdict);
 *     }
 */
#pragma once

#include "control/controller.h"
#include "control/webhook/certificate.h"
#include "control/webhook/review.h"

struct webhook;

struct webhook_call {
    struct review review;
    /* Of whoever answers later. */
    void *user;
    void (*on_gone)(struct webhook_call *call); /* the call is gone when it returns */
    struct http_exchange *exchange;             /* of webhook.c */
};

struct webhook_hook {
    struct slice path; /* "/"; static memory */
    void (*ask)(void *owner, struct webhook_call *call);
    void *owner;
};

/* Each ends the call. The body is taken over. */
void webhook_reply(struct webhook_call *call, struct buffer *body);
void webhook_reply_verdict(struct webhook_call *call, const struct review_verdict *verdict);
void webhook_fail(struct webhook_call *call, const char *why);

struct webhook_setup {
    const char *name;                     /* for the log: "proxy-injector" */
    struct addr addr;
    const struct webhook_hook *hooks;     /* outlive the webhook */
    size_t hook_count;
    struct webhook_certificate *certificate; /* outlives it too */
};

/* 0 or a negative errno (the address is taken). */
int webhook_new(struct controller *controller, const struct webhook_setup *setup, struct webhook **ret_webhook);
/* No new connections; what is asked is answered. */
void webhook_drain(struct webhook *webhook);
unsigned webhook_connections(const struct webhook *webhook);
/* Not from inside `ask`. NULL is allowed. */
void webhook_free(struct webhook *webhook);
