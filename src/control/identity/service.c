#include "control/identity/service.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "api/identity.h"
#include "base/duration.h"
#include "control/grpc_meter.h"
#include "control/identity/events.h"
#include "control/identity/identity.h"
#include "control/identity/token_file.h"
#include "control/views.h"
#include "control/writer_meter.h"

static const int64_t LOOK_NS = 1 * NS_PER_S;

enum family { ISSUER_TTL, BUNDLE_GENERATION, BUNDLE_ANCHORS, BUNDLE_EXPIRES, BUNDLE_UPDATED, RELOAD_FAILURES, FAMILIES };
static const struct metric_family families[FAMILIES] = {
    [ISSUER_TTL] = {"issuer_cert_ttl_seconds", "Time until the issuer's chain ends.", METRIC_GAUGE, METRIC_SECONDS, NULL},
    [BUNDLE_GENERATION] = {"identity_trust_bundle_generation", "How many trust bundles have been in force, this one included.",
                           METRIC_GAUGE, METRIC_PLAIN, NULL},
    [BUNDLE_ANCHORS] = {"identity_trust_bundle_anchors", "Trust anchors in force.", METRIC_GAUGE, METRIC_PLAIN, NULL},
    [BUNDLE_EXPIRES] = {"identity_trust_bundle_expiration_timestamp_seconds",
                        "When the first of the trust anchors in force expires.", METRIC_GAUGE, METRIC_SECONDS, NULL},
    [BUNDLE_UPDATED] = {"identity_trust_bundle_update_timestamp_seconds", "When the trust bundle in force was taken.",
                        METRIC_GAUGE, METRIC_SECONDS, NULL},
    [RELOAD_FAILURES] = {"identity_reload_failures_total",
                         "Changes of the issuer's files, the anchors or the token keys that cannot be used.", METRIC_COUNTER,
                         METRIC_PLAIN, NULL},
};

struct identity_service {
    struct controller *controller;
    struct identity_settings settings;
    struct token_file *tokens;  /* NULL: the settings' validator decides */
    struct x509_bundle anchors; /* given ones */
    struct identity *identity;
    struct identity_events *events; /* NULL: there is no cluster */
    struct event_meter event_meter;
    struct grpc_service certify, bundle;
    struct grpc_meter *certify_meter, *bundle_meter;
    struct views views; /* one, of the bundle */
    struct timer look;
    uint64_t seen;      /* what the issuer's files were like when they were read last */
    bool complained;    /* that there is no issuer */
    bool tokens_bad;    /* as told last */
    uint64_t bundle_said; /* digest of the bundle that the metrics speak of */
    struct metric *metrics[FAMILIES];
};

struct certify_call {
    struct grpc_server_call *grpc;
    struct identity_request *request;
};

static int64_t wall(const struct identity_service *service)
{
    return service->controller->sys->ops->wall(service->controller->sys);
}

/* --- Identity.Certify --- */

static void on_gone(struct grpc_server_call *grpc)
{
    struct certify_call *call = grpc_server_call_owner(grpc);

    identity_cancel(call->request);
    free(call);
}

static const struct grpc_server_call_events call_events = {.on_gone = on_gone};

static void on_done(void *owner, int status, const char *text, struct slice message)
{
    struct certify_call *call = owner;

    if (status == GRPC_OK && grpc_reply(call->grpc, message) < 0)
        status = GRPC_INTERNAL;
    grpc_finish(call->grpc, status, slice_str(text));
    free(call);
}

static void start_certify(struct grpc_server_call *grpc, void *owner, struct slice message)
{
    struct identity_service *service = owner;
    struct certify_call *call = calloc(1, sizeof(*call));
    struct identity_request *request;

    if (!call) {
        grpc_finish(grpc, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
        return;
    }
    call->grpc = grpc;
    grpc_server_call_bind(grpc, &call_events, call, LIMIT_GRPC_MESSAGE);
    request = identity_certify(service->identity, message, wall(service), on_done, call);
    if (request)
        call->request = request; /* else the call is gone already */
}

/* --- TrustBundle.Watch --- */

static int make_bundle(const struct identity_service *service, struct buffer *ret_bytes)
{
    const struct x509_bundle *anchors = identity_anchors(service->identity);
    struct buffer pem;
    int r = anchors ? 0 : -ENOENT;

    buffer_init(&pem, LIMIT_PEM);
    for (size_t i = 0; r == 0 && i < anchors->count; i++)
        r = x509_cert_write_pem(anchors->certs[i], &pem);
    if (r == 0)
        r = bundle_encode(buffer_slice(&pem), NULL, ret_bytes);
    buffer_release(&pem);
    return r;
}

static void remake_bundle(struct view *view)
{
    struct identity_service *service = CONTAINER_OF(view->views, struct identity_service, views);
    struct buffer bytes;

    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (make_bundle(service, &bytes) == 0)
        view_say(view, buffer_slice(&bytes));
    else
        view_break(view);
    buffer_release(&bytes);
}

static void free_bundle(struct view *view)
{
    view_release(view);
    free(view);
}

static const struct view_kind bundle_kind = {sizeof(struct view), remake_bundle, free_bundle};

static void answer_bundle(struct identity_service *service, struct grpc_server_call *call)
{
    static const char key[] = "bundle";
    struct buffer bytes;
    struct view *view;
    int r;

    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    r = make_bundle(service, &bytes);
    if (r == -ENOENT) {
        grpc_finish(call, GRPC_UNAVAILABLE, SLICE_LIT("there is no issuer yet"));
        goto done;
    }
    if (r == 0)
        r = views_get(&service->views, &bundle_kind, key, (int)strlen(key), sizeof(key), &view);
    if (r < 0) {
        views_refuse(call, r);
        goto done;
    }
    if (r == 1)
        view_follow(view, "Bundle");
    view_begin(view, call, buffer_slice(&bytes));
done:
    buffer_release(&bytes);
}

static void start_bundle(struct grpc_server_call *call, void *owner, struct slice message)
{
    struct identity_service *service = owner;
    struct slice domain, own = service->controller->options.trust_domain;
    struct errmsg msg = {""};
    struct arena arena;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    if (watch_bundle_decode(message, &arena, &msg, &domain) < 0) {
        grpc_finish(call, GRPC_INVALID_ARGUMENT, slice_str(msg.text));
    } else if (domain.len && !slice_eq(domain, own)) {
        errmsg_set(&msg, 0, "the trust domain here is %.*s", SLICE_ARGS(own));
        grpc_finish(call, GRPC_NOT_FOUND, slice_str(msg.text));
    } else {
        answer_bundle(service, call);
    }
    arena_release(&arena);
}

static const struct grpc_method certify_methods[] = {
    {{"/io.linkerd.proxy.identity.Identity/Certify", 43}, "unary", start_certify},
};
static const struct grpc_method bundle_methods[] = {
    {{"/io.clinkerd.proxy.identity.TrustBundle/Watch", 45}, "server_stream", start_bundle},
};

/* --- files that change --- */

static void on_event(void *owner, enum identity_event event, const struct token_subject *subject, const char *text)
{
    struct identity_service *service = owner;
    enum log_level level = event == IDENTITY_ISSUED || event == IDENTITY_ISSUER_UPDATED ? LOG_INFO : LOG_WARN;

    log_line(service->controller->log, level, "identity", "%s: %s", identity_event_name(event), text);
    if (service->events)
        identity_events_tell(service->events, event, subject, text);
}

static void on_trouble(void *owner, const char *why)
{
    const struct identity_service *service = owner;

    log_line(service->controller->log, LOG_WARN, "identity", "events cannot be written: %s", why);
}

/* The first of them that ends. */
static void look_at_end(const struct identity_service *service, enum identity_certificate which, const struct x509_bundle *bundle)
{
    const struct x509_cert *first = bundle && bundle->count ? bundle->certs[0] : NULL;

    for (size_t i = 1; first && i < bundle->count; i++)
        if (x509_cert_not_after(bundle->certs[i]) < x509_cert_not_after(first))
            first = bundle->certs[i];
    if (first && identity_is_expiring(x509_cert_not_before(first), x509_cert_not_after(first), wall(service)))
        identity_events_expiring(service->events, which, first, wall(service));
}

/* What can be seen of the issuer's files without reading them. */
static uint64_t look_at_issuer(const struct identity_service *service)
{
    static const char *const names[] = {"tls.crt", "tls.key", "ca.crt", "crt.pem", "key.pem", "ca-bundle.crt"};
    int64_t seen[7][4] = {{0}};
    char path[4096];
    struct stat st;

    for (int i = 0; i < 7; i++) {
        int len = i < 6 ? snprintf(path, sizeof(path), "%s/%s", service->settings.issuer, names[i])
                        : snprintf(path, sizeof(path), "%s", service->settings.trust_anchors ? service->settings.trust_anchors : "");

        if (len < 0 || (size_t)len >= sizeof(path) || stat(path, &st) < 0)
            continue;
        seen[i][0] = st.st_mtim.tv_sec * NS_PER_S + st.st_mtim.tv_nsec;
        seen[i][1] = (int64_t)st.st_ino;
        seen[i][2] = st.st_size;
        seen[i][3] = 1;
    }
    return siphash13(seen, sizeof(seen), 1, 2);
}

/* --trust-anchors. */
static int read_anchors(const char *path, struct errmsg *msg, struct x509_bundle *ret_anchors)
{
    FILE *file = fopen(path, "re");
    struct buffer bytes;
    size_t n;
    char *room;
    int r;

    if (!file)
        return errmsg_set(msg, -errno, "%s: %m", path);
    buffer_init(&bytes, LIMIT_PEM);
    while ((room = buffer_room(&bytes, 4096)) && (n = fread(room, 1, 4096, file)) > 0)
        buffer_grew(&bytes, n);
    r = ferror(file) ? errmsg_set(msg, -EIO, "it cannot be read") : buffer_error(&bytes);
    fclose(file);
    if (r == 0)
        r = x509_bundle_read(buffer_slice(&bytes), msg, ret_anchors);
    buffer_release(&bytes);
    return r < 0 ? errmsg_prefix(msg, r, "%s", path) : 0;
}

/* The anchors of --trust-anchors as they are now, for the next identity_load(); a file that cannot be read changes nothing. */
static int load_anchors(struct identity_service *service, struct errmsg *msg)
{
    struct x509_bundle anchors = {0};
    int r;

    if (!service->settings.trust_anchors)
        return 0;
    r = read_anchors(service->settings.trust_anchors, msg, &anchors);
    if (r == 0)
        r = identity_give_anchors(service->identity, &anchors);
    x509_bundle_release(&anchors);
    return r;
}

/* After a load: what the metrics say of the bundle in force. */
static void measure_bundle(struct identity_service *service)
{
    const struct x509_bundle *anchors = identity_anchors(service->identity);
    int64_t expires = INT64_MAX;
    uint64_t digest = 0;

    for (size_t i = 0; anchors && i < anchors->count; i++) {
        struct slice der = x509_cert_der(anchors->certs[i]);

        digest = siphash13(der.ptr, der.len, digest, 1);
        if (x509_cert_not_after(anchors->certs[i]) < expires)
            expires = x509_cert_not_after(anchors->certs[i]);
    }
    if (!anchors || digest == service->bundle_said)
        return;
    service->bundle_said = digest;
    metric_add(service->metrics[BUNDLE_GENERATION], 1);
    metric_set(service->metrics[BUNDLE_ANCHORS], (int64_t)anchors->count);
    metric_set(service->metrics[BUNDLE_EXPIRES], expires);
    metric_set(service->metrics[BUNDLE_UPDATED], wall(service));
    log_line(service->controller->log, LOG_INFO, "identity", "%zu trust anchors are in force", anchors->count);
}

/* What cannot be used is told by an event where an issuer is in force; here where there is none. */
static void load_issuer(struct identity_service *service)
{
    struct errmsg msg = {""}, anchors_msg = {""};
    uint64_t seen = look_at_issuer(service);
    int r, anchors_r;

    if (seen == service->seen && (service->complained || identity_is_ready(service->identity)))
        return;
    service->seen = seen;
    anchors_r = load_anchors(service, &anchors_msg);
    if (anchors_r < 0)
        log_line(service->controller->log, LOG_WARN, "identity", "the last good trust anchors stay in force: %s",
                 anchors_msg.text[0] ? anchors_msg.text : "no memory");
    r = identity_load(service->identity, service->settings.issuer, wall(service), &msg);
    if (r < 0 && !identity_is_ready(service->identity))
        log_line(service->controller->log, LOG_ERROR, "identity", "there is no usable issuer: %s", msg.text[0] ? msg.text : "no memory");
    service->complained = r < 0;
    if (r < 0 || anchors_r < 0)
        metric_add(service->metrics[RELOAD_FAILURES], 1);
    measure_bundle(service);
    if (r > 0)
        views_touch(&service->views, "Bundle");
}

static void load_tokens(struct identity_service *service)
{
    struct errmsg msg = {""};
    int r = service->tokens ? token_file_reload(service->tokens, &msg) : 0;

    if (r < 0 && !service->tokens_bad)
        metric_add(service->metrics[RELOAD_FAILURES], 1);
    service->tokens_bad = r < 0;
    if (r > 0)
        log_line(service->controller->log, LOG_INFO, "identity", "the keys of workload tokens have changed");
    else if (r < 0)
        log_limited(service->controller->log, LOG_WARN, "identity", "the last good keys of workload tokens stay: %s", msg.text);
}

static void look(struct timer *timer)
{
    struct identity_service *service = CONTAINER_OF(timer, struct identity_service, look);

    load_issuer(service);
    load_tokens(service);
    if (service->events) {
        look_at_end(service, IDENTITY_CERT_ISSUER, identity_issuer_chain(service->identity));
        look_at_end(service, IDENTITY_CERT_ANCHOR, identity_anchors(service->identity));
    }
    timer_set(&service->controller->loop, timer, service->controller->loop.now_ns + LOOK_NS);
}

/* --- the component --- */

int identity_service_register(struct metrics *metrics)
{
    return metrics_add_table(metrics, families, FAMILIES);
}

static int make_identity(struct identity_service *service, struct errmsg *msg)
{
    struct identity_options options = {
        .trust_domain = service->controller->options.trust_domain,
        .control_namespace = service->controller->options.namespace_,
        .validity = {service->settings.lifetime_ns, service->settings.skew_ns},
        .anchors = service->settings.trust_anchors ? &service->anchors : NULL,
        .on_event = on_event,
        .owner = service,
    };
    int r = service->settings.trust_anchors ? read_anchors(service->settings.trust_anchors, msg, &service->anchors) : 0;

    if (r == 0 && service->settings.token_key)
        r = token_file_new(service->settings.token_key, service->settings.skew_ns, msg, &service->tokens);
    if (r < 0)
        return r;
    options.validator = service->tokens ? token_file_validator(service->tokens) : service->settings.validator;
    return identity_new(&options, msg, &service->identity);
}

static int make_services(struct identity_service *service)
{
    int r;

    service->certify = (struct grpc_service){.methods = certify_methods, .count = 1, .owner = service};
    service->bundle = (struct grpc_service){.methods = bundle_methods, .count = 1, .owner = service};
    r = grpc_meter_new(service->controller, &service->certify, &service->certify_meter);
    if (r == 0)
        r = grpc_meter_new(service->controller, &service->bundle, &service->bundle_meter);
    return r;
}

int identity_service_new(struct controller *controller, const struct identity_settings *settings, int first, struct errmsg *msg,
                         struct identity_service **ret_service)
{
    struct identity_service *service = calloc(1, sizeof(*service));
    int r;

    if (!service)
        return errmsg_set(msg, -ENOMEM, "no memory");
    service->controller = controller;
    service->settings = *settings;
    r = views_init(&service->views, &controller->loop, LIMIT_GRPC_MESSAGE);
    views_count(&service->views, controller->shard, controller->view_families, "identity");
    for (int i = 0; i < FAMILIES; i++)
        service->metrics[i] = metric_get(controller->shard, first + i, SLICE_NULL);
    if (r == 0 && settings->client)
        r = identity_events_new(settings->client,
                                &(struct identity_events_options){.control_namespace = controller->options.namespace_,
                                                                  .instance = getenv("HOSTNAME"), .on_trouble = on_trouble, .owner = service},
                                &service->events);
    if (r == 0)
        r = make_identity(service, msg);
    if (r == 0)
        r = make_services(service);
    if (r == 0)
        r = timer_init(&controller->loop, &service->look, look);
    if (r < 0) {
        identity_service_free(service);
        return r;
    }
    load_issuer(service);
    timer_set(&controller->loop, &service->look, controller->loop.now_ns + LOOK_NS);
    *ret_service = service;
    return 0;
}

const struct grpc_service *identity_service_certify(struct identity_service *service) { return &service->certify; }
const struct grpc_service *identity_service_bundle(struct identity_service *service) { return &service->bundle; }

bool identity_service_is_ready(const struct identity_service *service)
{
    return identity_is_ready(service->identity);
}

void identity_service_measure(struct identity_service *service)
{
    int64_t end = identity_issuer_not_after(service->identity);

    metric_set(service->metrics[ISSUER_TTL], end ? end - wall(service) : 0);
    if (service->events)
        event_meter_count(&service->event_meter, service->controller, "identity", identity_events_counts(service->events));
}

void identity_service_end_calls(struct identity_service *service)
{
    views_end(&service->views);
}

void identity_service_free(struct identity_service *service)
{
    if (!service)
        return;
    timer_release(&service->controller->loop, &service->look);
    views_release(&service->views);
    identity_free(service->identity);
    identity_events_free(service->events);
    event_meter_release(&service->event_meter);
    token_file_free(service->tokens);
    x509_bundle_release(&service->anchors);
    grpc_meter_free(service->certify_meter);
    grpc_meter_free(service->bundle_meter);
    for (int i = 0; i < FAMILIES; i++)
        metric_unref(service->metrics[i]);
    free(service);
}
