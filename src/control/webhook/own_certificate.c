#include "control/webhook/own_certificate.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "control/webhook/secret.h"
#include "inject/workload.h"
#include "kube/access/base64.h"

static const int64_t LOOK_NS = 10 * NS_PER_S, AGAIN_NS = 1 * NS_PER_S, SETTLE_NS = 5 * NS_PER_S, TIMEOUT_NS = 10 * NS_PER_S;
enum { PATH_MAX_LEN = 512 };

struct own_certificate {
    struct controller *controller;
    struct own_certificate_setup setup;
    char server_name[256];
    struct timer timer;
    struct api_call *call;
    bool troubled;            /* and it was said, once */
    struct buffer served;     /* the certificate that was given last */
    /* of the round that runs */
    struct webhook_pair pair;
    bool exists;              /* the Secret is there */
    struct buffer version;    /* of the Secret */
    bool configured;          /* the configuration is there, with the webhook */
    struct buffer configuration_version, believed; /* what it has, in base64 */
};

static void forget_round(struct own_certificate *own)
{
    webhook_pair_release(&own->pair);
    buffer_release(&own->version);
    buffer_release(&own->configuration_version);
    buffer_release(&own->believed);
}

static void end_round(struct own_certificate *own, int64_t pause_ns)
{
    forget_round(own);
    timer_set(&own->controller->loop, &own->timer, own->controller->loop.now_ns + pause_ns);
}

/* All is as it should be: what goes wrong from here on is told again. */
static void end_well(struct own_certificate *own)
{
    own->troubled = false;
    end_round(own, LOOK_NS);
}

static void give_up(struct own_certificate *own, const char *what, const char *why)
{
    if (!own->troubled)
        log_line(own->controller->log, LOG_WARN, own->setup.name, "%s: %s; it is tried again", what, why);
    own->troubled = true;
    end_round(own, LOOK_NS);
}

/* Another replica was quicker, or somebody changed what we read: from the beginning. */
static bool lost_race(struct own_certificate *own, const struct api_answer *answer)
{
    if (answer->status != 409)
        return false;
    end_round(own, AGAIN_NS);
    return true;
}

/* --- asking --- */

static void ask(struct own_certificate *own, const struct api_request *request, const struct api_call_events *events)
{
    struct api_request whole = *request;

    whole.timeout_ns = TIMEOUT_NS;
    if (api_call_start(own->setup.client, &whole, events, own, &own->call) < 0)
        give_up(own, "the API server cannot be asked", "no memory, or too many requests");
}

static struct slice configuration_path(const struct own_certificate *own, const char *query, char path[PATH_MAX_LEN])
{
    int n = snprintf(path, PATH_MAX_LEN, "/apis/admissionregistration.k8s.io/v1/%swebhookconfigurations/%s%s",
                     own->setup.mutating ? "mutating" : "validating", own->setup.configuration, query);

    return slice_of(path, (size_t)n);
}

static struct slice secret_path(const struct own_certificate *own, const char *name, char path[PATH_MAX_LEN])
{
    int n = snprintf(path, PATH_MAX_LEN, "/api/v1/namespaces/%.*s/secrets%s%s", SLICE_ARGS(own->setup.namespace_), *name ? "/" : "", name);

    return slice_of(path, (size_t)n);
}

/* --- serving --- */

static void serve(struct own_certificate *own)
{
    struct slice certificate = buffer_slice(&own->pair.certificate);
    struct errmsg msg = {""};

    if (slice_eq(certificate, buffer_slice(&own->served)) && own->served.len) {
        end_well(own);
        return;
    }
    if (webhook_certificate_give(own->setup.certificate, certificate, buffer_slice(&own->pair.key), &msg) < 0) {
        give_up(own, "the certificate cannot be used", msg.text[0] ? msg.text : "no memory");
        return;
    }
    buffer_clear(&own->served);
    (void)buffer_add(&own->served, certificate);
    end_well(own);
}

/* --- the configuration --- */

static void on_applied(struct api_call *call, const struct api_answer *answer)
{
    struct own_certificate *own = api_call_owner(call);

    own->call = NULL;
    if (lost_race(own, answer))
        return;
    if (answer->error) {
        give_up(own, "the authority cannot be written into the webhook's configuration", answer->why);
        return;
    }
    log_line(own->controller->log, LOG_INFO, own->setup.name, "%s believes the authority of the certificate", own->setup.configuration);
    if (own->served.len)
        end_round(own, SETTLE_NS); /* the next reading shows it, and until then API servers have heard of it */
    else
        serve(own);
}

static void apply(struct own_certificate *own, struct slice authorities)
{
    static const struct api_call_events events = {.on_end = on_applied};
    struct api_request request = {.method = "PATCH", .content_type = SLICE_LIT(API_APPLY_PATCH)};
    char path[PATH_MAX_LEN], query[128];
    struct buffer body;

    snprintf(query, sizeof(query), "?fieldManager=linkerd-%s&force=true", own->setup.name);
    buffer_init(&body, (size_t)2 * LIMIT_PEM);
    buffer_printf(&body, "{\"apiVersion\":\"admissionregistration.k8s.io/v1\",\"kind\":\"%sWebhookConfiguration\",\"metadata\":{\"name\":\"%s\",\"resourceVersion\":",
                  own->setup.mutating ? "Mutating" : "Validating", own->setup.configuration);
    buffer_add_json(&body, buffer_slice(&own->configuration_version));
    buffer_printf(&body, "},\"webhooks\":[{\"name\":\"%s\",\"clientConfig\":{\"caBundle\":\"%.*s\"}}]}", own->setup.webhook, SLICE_ARGS(authorities));
    request.path = configuration_path(own, query, path);
    request.body = buffer_slice(&body);
    if (buffer_error(&body))
        give_up(own, "the authority cannot be written into the webhook's configuration", "no memory");
    else
        ask(own, &request, &events);
    buffer_release(&body);
}

/* There is a usable pair in the Secret. */
static void configure(struct own_certificate *own)
{
    struct buffer authorities;

    buffer_init(&authorities, (size_t)2 * LIMIT_PEM);
    if (base64_add(&authorities, buffer_slice(&own->pair.authorities)) < 0)
        give_up(own, "the authority cannot be written into the webhook's configuration", "no memory");
    else if (!own->configured || slice_eq(buffer_slice(&authorities), buffer_slice(&own->believed)))
        serve(own);
    else
        apply(own, buffer_slice(&authorities));
    buffer_release(&authorities);
}

/* --- the Secret --- */

static void on_written(struct api_call *call, const struct api_answer *answer)
{
    struct own_certificate *own = api_call_owner(call);

    own->call = NULL;
    if (lost_race(own, answer))
        return;
    if (answer->error) {
        give_up(own, "the certificate cannot be kept in its Secret", answer->why);
        return;
    }
    log_line(own->controller->log, LOG_INFO, own->setup.name, "a new certificate is in the Secret %s", own->setup.secret);
    configure(own);
}

static void write_secret(struct own_certificate *own)
{
    static const struct api_call_events events = {.on_end = on_written};
    struct api_request request = {.method = own->exists ? "PUT" : "POST", .content_type = SLICE_LIT(API_JSON)};
    char path[PATH_MAX_LEN];
    struct buffer body;

    buffer_init(&body, (size_t)4 * LIMIT_PEM);
    request.path = secret_path(own, own->exists ? own->setup.secret : "", path);
    if (secret_write(&own->pair, own->setup.namespace_, own->setup.secret, own->setup.name, buffer_slice(&own->version), &body) < 0) {
        give_up(own, "the certificate cannot be kept in its Secret", "no memory");
    } else {
        request.body = buffer_slice(&body);
        ask(own, &request, &events);
    }
    if (body.data)
        explicit_bzero(body.data, body.size);
    buffer_release(&body);
}

/* What the Secret has, and what the configuration believes: somebody else's, whose pods still serve when we take over from them. */
static int make_with_authorities(struct own_certificate *own, struct errmsg *msg, struct webhook_pair *ret_made)
{
    struct arena arena;
    struct slice before[2] = {buffer_slice(&own->pair.authorities)};
    int r;

    arena_init(&arena, LIMIT_API_ANSWER);
    r = base64_read(&arena, buffer_slice(&own->believed), &before[1]);
    if (r != -ENOMEM)
        r = webhook_pair_make(slice_str(own->server_name), before, r == 0 ? 2 : 1, own->controller->sys->ops->wall(own->controller->sys), msg,
                              ret_made);
    arena_release(&arena);
    return r;
}

static void make_pair(struct own_certificate *own)
{
    struct webhook_pair made;
    struct errmsg msg = {""};
    int r = make_with_authorities(own, &msg, &made);

    if (r < 0) {
        give_up(own, "no certificate can be made", msg.text[0] ? msg.text : "no memory");
        return;
    }
    webhook_pair_release(&own->pair);
    own->pair = made;
    write_secret(own);
}

static void on_secret(struct api_call *call, const struct api_answer *answer)
{
    struct own_certificate *own = api_call_owner(call);
    struct errmsg msg = {""};
    bool old = false;
    int r;

    own->call = NULL;
    own->exists = answer->status != 404;
    if (!own->exists) {
        make_pair(own);
        return;
    }
    if (answer->error || secret_read(answer->body, &own->pair, &own->version) < 0) {
        give_up(own, "the Secret of the certificate cannot be read", answer->error ? answer->why : "the answer is none, or there is no memory");
        return;
    }
    r = webhook_pair_check(&own->pair, slice_str(own->server_name), own->controller->sys->ops->wall(own->controller->sys), &msg, &old);
    if (r < 0)
        log_line(own->controller->log, LOG_WARN, own->setup.name, "the Secret %s is replaced: %s", own->setup.secret, msg.text[0] ? msg.text : "no memory");
    if (r < 0 || old)
        make_pair(own);
    else
        configure(own);
}

/* --- a round --- */

static int take_configuration(struct own_certificate *own, struct slice body)
{
    json_t *root = json_loadb(body.ptr ? body.ptr : "", body.len, 0, NULL), *webhook;
    size_t i;

    json_array_foreach (member_array(root, "webhooks"), i, webhook)
        if (strcmp(member_text(webhook, "name"), own->setup.webhook) == 0) {
            own->configured = true;
            (void)buffer_add(&own->believed, slice_str(member_text(member_object(webhook, "clientConfig"), "caBundle")));
        }
    (void)buffer_add(&own->configuration_version, slice_str(member_text(member_object(root, "metadata"), "resourceVersion")));
    json_decref(root);
    return buffer_error(&own->believed) ? buffer_error(&own->believed) : buffer_error(&own->configuration_version);
}

/* Where it is missing, there is nothing to write to yet; what is served is made all the same. */
static void on_configuration(struct api_call *call, const struct api_answer *answer)
{
    static const struct api_call_events events = {.on_end = on_secret};
    struct own_certificate *own = api_call_owner(call);
    char path[PATH_MAX_LEN];

    own->call = NULL;
    if (answer->error && answer->status != 404) {
        give_up(own, "the webhook's configuration cannot be read", answer->why);
        return;
    }
    if (!answer->error && take_configuration(own, answer->body) < 0) {
        give_up(own, "the webhook's configuration cannot be read", "no memory");
        return;
    }
    ask(own, &(struct api_request){.path = secret_path(own, own->setup.secret, path)}, &events);
}

static void begin_round(struct timer *timer)
{
    static const struct api_call_events events = {.on_end = on_configuration};
    struct own_certificate *own = CONTAINER_OF(timer, struct own_certificate, timer);
    char path[PATH_MAX_LEN];

    webhook_pair_init(&own->pair);
    buffer_init(&own->version, LIMIT_PEM);
    buffer_init(&own->configuration_version, LIMIT_PEM);
    buffer_init(&own->believed, (size_t)2 * LIMIT_PEM);
    own->configured = false;
    ask(own, &(struct api_request){.path = configuration_path(own, "", path)}, &events);
}

int own_certificate_new(struct controller *controller, const struct own_certificate_setup *setup, struct own_certificate **ret_own)
{
    struct own_certificate *own = calloc(1, sizeof(*own));

    if (!own)
        return -ENOMEM;
    own->controller = controller;
    own->setup = *setup;
    buffer_init(&own->served, LIMIT_PEM);
    snprintf(own->server_name, sizeof(own->server_name), "%s.%.*s.svc", setup->service, SLICE_ARGS(setup->namespace_));
    if (timer_init(&controller->loop, &own->timer, begin_round) < 0) {
        free(own);
        return -ENOMEM;
    }
    timer_set(&controller->loop, &own->timer, controller->loop.now_ns);
    *ret_own = own;
    return 0;
}

void own_certificate_free(struct own_certificate *own)
{
    if (!own)
        return;
    api_call_cancel(own->call);
    timer_release(&own->controller->loop, &own->timer);
    forget_round(own);
    buffer_release(&own->served);
    free(own);
}
