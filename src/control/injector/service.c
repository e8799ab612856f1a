#include "control/injector/service.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "control/config_map.h"
#include "control/injector/events.h"
#include "control/injector/meter.h"
#include "control/injector/namespaces.h"
#include "control/injector/review.h"
#include "control/watched_files.h"
#include "control/writer_meter.h"
#include "kube/file.h"
#include "net/x509/x509.h"
#include "template/from_yaml.h"

struct injector_service {
    struct controller *controller;
    struct injector_settings settings;
    struct webhook_hook hook;
    struct namespaces *namespaces;
    struct injector_events *events; /* NULL without an API server */
    struct event_meter event_meter;
    struct template_set *templates;
    struct watched_files files;
    struct config_map *anchors_map; /* NULL: anchors are those of the file */
    struct buffer anchors;          /* of the ConfigMap, PEM; empty: not known */
    struct injector *injector; /* NULL: no usable values yet */
    int first_family;
};

/* --- values and anchors --- */

static int check_anchors(struct slice pem, struct errmsg *msg)
{
    struct x509_bundle bundle;
    int r = x509_bundle_read(pem, msg, &bundle);

    if (r == 0)
        x509_bundle_release(&bundle);
    return r;
}

static int read_anchors(const struct injector_service *service, struct errmsg *msg, struct buffer *ret_pem)
{
    const char *path = service->settings.trust_anchors;
    int r;

    if (service->anchors.len) {
        buffer_init(ret_pem, LIMIT_PEM + 1);
        r = buffer_add(ret_pem, buffer_slice(&service->anchors));
        return r == 0 ? buffer_add_byte(ret_pem, '\0') : r;
    }
    r = file_load(slice_str(path), LIMIT_PEM, ret_pem, msg);
    if (r < 0)
        return r;
    r = check_anchors(buffer_slice(ret_pem), msg);
    return r < 0 ? errmsg_prefix(msg, r, "%s", path) : buffer_add_byte(ret_pem, '\0');
}

static int make_injector(const struct injector_service *service, json_t *values, struct errmsg *msg, struct injector **ret_injector)
{
    struct injector_setup setup = {.templates = service->templates, .values = values, .created_by = "linkerd/proxy-injector " CLINKERD_VERSION};
    char *namespace_ = slice_dup(service->controller->options.namespace_);
    struct buffer anchors = {0};
    int r = namespace_ ? 0 : -ENOMEM;

    if (r == 0 && service->settings.trust_anchors)
        r = read_anchors(service, msg, &anchors);
    setup.namespace_ = namespace_;
    setup.trust_anchors = anchors.len ? anchors.data : NULL;
    if (r == 0)
        r = injector_new(&setup, msg, ret_injector);
    buffer_release(&anchors);
    free(namespace_);
    return r;
}

static int load(struct watched_files *files, struct errmsg *msg)
{
    struct injector_service *service = CONTAINER_OF(files, struct injector_service, files);
    struct injector *injector;
    struct buffer text;
    json_t *values = NULL;
    int r = file_load(slice_str(service->settings.values), LIMIT_YAML_FILE, &text, msg);

    if (r == 0)
        r = from_yaml(buffer_slice(&text), service->settings.values, true, msg, &values);
    buffer_release(&text);
    if (r == 0)
        r = make_injector(service, values, msg, &injector);
    json_decref(values);
    if (r < 0)
        return r;
    injector_free(service->injector);
    service->injector = injector;
    return 0;
}

static void on_result(struct watched_files *files, int result, const char *why)
{
    struct injector_service *service = CONTAINER_OF(files, struct injector_service, files);
    struct log *log = service->controller->log;

    if (result == 0)
        log_line(log, LOG_INFO, "proxy-injector", "pods are injected by %s", service->settings.values);
    else if (service->injector)
        log_line(log, LOG_WARN, "proxy-injector", "the last good values and trust anchors stay in force: %s", why);
    else
        log_line(log, LOG_ERROR, "proxy-injector", "there are no usable values: %s", why);
}

static void reload(struct injector_service *service)
{
    struct errmsg msg = {""};
    int r = load(&service->files, &msg);

    on_result(&service->files, r, msg.text[0] ? msg.text : "no memory");
}

/* Of the ConfigMap, which may be told again as it is. */
static void on_anchors(void *owner, struct slice pem)
{
    struct injector_service *service = owner;
    struct errmsg msg = {""};

    if (slice_eq(pem, buffer_slice(&service->anchors)))
        return;
    if (check_anchors(pem, &msg) < 0) {
        log_line(service->controller->log, LOG_WARN, "proxy-injector", "the last good trust anchors stay in force: the ConfigMap %s: %s",
                 service->settings.anchors_map, msg.text[0] ? msg.text : "no memory");
        return;
    }
    buffer_clear(&service->anchors);
    (void)buffer_add(&service->anchors, pem); /* without memory: those of the file */
    reload(service);
}

static int follow_anchors(struct injector_service *service, struct api_client *client)
{
    const struct config_map_setup setup = {.controller = service->controller, .client = client, .component = "proxy-injector",
                                           .name = service->settings.anchors_map, .key = "ca-bundle.crt", .on_text = on_anchors,
                                           .owner = service};

    return config_map_new(&setup, &service->anchors_map);
}

/* --- reviews --- */

static void log_outcome(const struct injector_service *service, const struct review *review, const struct review_outcome *outcome)
{
    const json_t *meta = member_object(review->object, "metadata");
    const char *name = member_text(meta, "name");

    if (outcome->message.text[0])
        log_line(service->controller->log, outcome->verdict == INJECT_REFUSED ? LOG_WARN : LOG_DEBUG, "proxy-injector", "pod %.63s/%.253s: %s",
                 review->namespace_, *name ? name : member_text(meta, "generateName"), outcome->message.text);
}

static void answer(struct injector_service *service, struct webhook_call *call, json_t *namespace_annotations)
{
    struct review_outcome outcome;
    struct buffer body;

    buffer_init(&body, (size_t)3 * LIMIT_ADMISSION);
    if (!service->injector) {
        webhook_fail(call, "the injector has no usable values of the installation");
        return;
    }
    if (review_answer(&call->review, service->injector, namespace_annotations, &body, &outcome) < 0) {
        buffer_release(&body);
        webhook_fail(call, "no memory for the answer");
        return;
    }
    if (strcmp(call->review.kind, "Pod") == 0 && review_needs_namespace(&call->review)) {
        meter_count(service->controller->shard, service->first_family, &call->review, namespace_annotations, &outcome);
        log_outcome(service, &call->review, &outcome);
        injector_events_tell(service->events, &call->review, &outcome);
    }
    webhook_reply(call, &body);
}

/* A namespace that has to be read first. */
struct waiting {
    struct injector_service *service;
    struct webhook_call *call;
    struct namespace_read *read;
};

static void on_namespace(void *owner, json_t *annotations, const char *why)
{
    struct waiting *waiting = owner;
    struct injector_service *service = waiting->service;
    struct webhook_call *call = waiting->call;

    free(waiting);
    if (annotations) {
        answer(service, call, annotations);
        return;
    }
    log_limited(service->controller->log, LOG_WARN, "proxy-injector", "the namespace %.63s cannot be read: %s", call->review.namespace_, why);
    webhook_fail(call, why);
}

static void on_gone(struct webhook_call *call)
{
    struct waiting *waiting = call->user;

    namespaces_cancel(waiting->read);
    free(waiting);
}

static void ask_for_namespace(struct injector_service *service, struct webhook_call *call)
{
    struct waiting *waiting = calloc(1, sizeof(*waiting));
    json_t *annotations = NULL;
    int r;

    if (!waiting) {
        webhook_fail(call, "no memory");
        return;
    }
    *waiting = (struct waiting){.service = service, .call = call};
    r = namespaces_get(service->namespaces, call->review.namespace_, on_namespace, waiting, &annotations, &waiting->read);
    if (r == 0) {
        call->user = waiting;
        call->on_gone = on_gone;
        return;
    }
    free(waiting);
    if (r < 0)
        webhook_fail(call, r == -EINVAL ? "the review's namespace is no name of one" : "no memory, or too many requests to the API server");
    else
        answer(service, call, annotations);
    json_decref(annotations);
}

static void on_ask(void *owner, struct webhook_call *call)
{
    struct injector_service *service = owner;

    if (review_needs_namespace(&call->review))
        ask_for_namespace(service, call);
    else
        answer(service, call, NULL);
}

/* --- the component --- */

int injector_service_register(struct metrics *metrics)
{
    return meter_register(metrics);
}

int injector_service_new(struct controller *controller, struct api_client *client, const struct injector_settings *settings, int first_family,
                         struct errmsg *msg, struct injector_service **ret_service)
{
    struct injector_service *service = calloc(1, sizeof(*service));
    int r;

    if (!service)
        return errmsg_set(msg, -ENOMEM, "no memory");
    service->controller = controller;
    service->settings = *settings;
    service->first_family = first_family;
    buffer_init(&service->anchors, LIMIT_PEM);
    service->hook = (struct webhook_hook){SLICE_LIT("/"), on_ask, service};
    service->files = (struct watched_files){
        .controller = controller, .paths = {settings->values, settings->trust_anchors}, .load = load, .on_result = on_result};
    r = inject_templates(chart_files, chart_files_count, msg, &service->templates);
    if (r == 0)
        r = namespaces_new(controller, client, &service->namespaces);
    if (r == 0 && client)
        r = injector_events_new(controller, client, &service->events);
    if (r == 0)
        r = watched_files_start(&service->files);
    if (r == 0 && client && settings->anchors_map)
        r = follow_anchors(service, client);
    if (r < 0) {
        injector_service_free(service);
        return r;
    }
    *ret_service = service;
    return 0;
}

void injector_service_free(struct injector_service *service)
{
    if (!service)
        return;
    config_map_free(service->anchors_map);
    watched_files_stop(&service->files);
    buffer_release(&service->anchors);
    injector_events_free(service->events);
    event_meter_release(&service->event_meter);
    namespaces_free(service->namespaces);
    injector_free(service->injector);
    template_set_free(service->templates);
    free(service);
}

void injector_service_measure(struct injector_service *service)
{
    if (service->events)
        event_meter_count(&service->event_meter, service->controller, "proxy-injector", injector_events_counts(service->events));
}

const struct webhook_hook *injector_service_hook(const struct injector_service *service)
{
    return &service->hook;
}

bool injector_service_is_ready(const struct injector_service *service)
{
    return service->injector && (!service->anchors_map || config_map_is_settled(service->anchors_map));
}
