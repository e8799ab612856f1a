#include "control/injector/events.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/map.h"
#include "inject/inject.h"
#include "inject/skip.h"
#include "inject/workload.h"
#include "kube/event_sink.h"

static const int64_t UID_TIMEOUT_NS = 5 * NS_PER_S;
enum { WAITING = 4, UID_MAX = 64, NAME_MAX_LEN = 253 };
#define METADATA "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"

struct told {
    const char *reason; /* static */
    enum event_type type;
    struct errmsg text;
};

/* A Deployment whose pods were injected lately. */
struct owner {
    struct map_entry entry; /* by `key` */
    struct list link;       /* of events->owners, the one that was asked for longest ago first */
    struct injector_events *events;
    struct api_call *call;  /* for the uid */
    char uid[UID_MAX];      /* "": not known */
    struct told waiting[WAITING];
    unsigned waiting_count;
    struct slice namespace_, name; /* in `key` */
    char key[];                    /* NAMESPACE/NAME */
};

struct injector_events {
    struct controller *controller;
    struct api_client *client;
    struct event_sink *sink;
    struct map by_name;
    struct list owners;
};

/* --- Deployments --- */

static void post(const struct owner *owner, const struct told *told)
{
    const struct event_object object = {
        .api_version = SLICE_LIT("apps/v1"),
        .kind = SLICE_LIT("Deployment"),
        .namespace_ = owner->namespace_,
        .name = owner->name,
        .uid = slice_str(owner->uid),
    };

    event_sink_post(owner->events->sink, &object, told->type, slice_str(told->reason), slice_str(told->text.text));
}

static void forget(struct owner *owner)
{
    api_call_cancel(owner->call);
    list_remove(&owner->link);
    map_remove(&owner->events->by_name, &owner->entry);
    free(owner);
}

/* Without a uid the events are still there for who lists them. */
static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct owner *owner = api_call_owner(call);
    json_t *root = answer->error ? NULL : json_loadb(answer->body.ptr ? answer->body.ptr : "", answer->body.len, 0, NULL);

    owner->call = NULL;
    snprintf(owner->uid, sizeof(owner->uid), "%s", member_text(member_object(root, "metadata"), "uid"));
    json_decref(root);
    for (unsigned i = 0; i < owner->waiting_count; i++)
        post(owner, &owner->waiting[i]);
    owner->waiting_count = 0;
    if (!owner->uid[0])
        forget(owner); /* the next pod asks again */
}

static const struct api_call_events call_events = {.on_end = on_end};

static int ask_for_uid(struct owner *owner)
{
    struct api_request request = {.accept = SLICE_LIT(METADATA), .timeout_ns = UID_TIMEOUT_NS};
    struct buffer path;
    int r;

    buffer_init(&path, 1024);
    buffer_printf(&path, "/apis/apps/v1/namespaces/%.*s/deployments/%.*s", SLICE_ARGS(owner->namespace_), SLICE_ARGS(owner->name));
    request.path = buffer_slice(&path);
    r = buffer_error(&path);
    if (r == 0)
        r = api_call_start(owner->events->client, &request, &call_events, owner, &owner->call);
    buffer_release(&path);
    return r;
}

/* A name that may stand in a path: what Kubernetes allows. */
static bool is_name(struct slice name)
{
    for (size_t i = 0; i < name.len; i++)
        if (!strchr("abcdefghijklmnopqrstuvwxyz0123456789-.", name.ptr[i]) || !name.ptr[i])
            return false;
    return name.len > 0 && name.len <= NAME_MAX_LEN;
}

static struct owner *make_owner(struct injector_events *events, struct slice key, size_t namespace_len)
{
    struct owner *owner = calloc(1, sizeof(*owner) + key.len);

    if (!owner)
        return NULL;
    owner->events = events;
    memcpy(owner->key, key.ptr, key.len);
    owner->namespace_ = slice_of(owner->key, namespace_len);
    owner->name = slice_skip(slice_of(owner->key, key.len), namespace_len + 1);
    if (map_add(&events->by_name, &owner->entry, slice_of(owner->key, key.len)) < 0) {
        free(owner);
        return NULL;
    }
    list_push(&events->owners, &owner->link);
    if (ask_for_uid(owner) < 0) {
        forget(owner);
        return NULL;
    }
    return owner;
}

/* NULL: no such name can be, or no memory. */
static struct owner *owner_of(struct injector_events *events, struct slice namespace_, struct slice name)
{
    char key[64 + 1 + NAME_MAX_LEN + 1];
    struct map_entry *found;
    struct owner *owner;
    int len;

    if (!is_name(namespace_) || namespace_.len >= 64 || !is_name(name))
        return NULL;
    len = snprintf(key, sizeof(key), "%.*s/%.*s", SLICE_ARGS(namespace_), SLICE_ARGS(name));
    found = map_find(&events->by_name, slice_of(key, (size_t)len));
    if (found) {
        owner = CONTAINER_OF(found, struct owner, entry);
        list_remove(&owner->link);
        list_push(&events->owners, &owner->link);
        return owner;
    }
    if (events->by_name.count >= LIMIT_INJECTOR_OWNERS)
        forget(CONTAINER_OF(events->owners.next, struct owner, link));
    return make_owner(events, slice_of(key, (size_t)len), namespace_.len);
}

static void tell_deployment(struct injector_events *events, struct slice namespace_, struct slice name, const struct told *told)
{
    struct owner *owner = owner_of(events, namespace_, name);

    if (!owner)
        return;
    if (!owner->call)
        post(owner, told);
    else if (owner->waiting_count < WAITING)
        owner->waiting[owner->waiting_count++] = *told;
}

/* --- any owner --- */

/* Owners of other kinds: the pod has their uid. */
static void tell_other(struct injector_events *events, const struct review *review, const struct told *told)
{
    const json_t *reference = pod_controller(review->object);
    const struct event_object object = {
        .api_version = slice_str(member_text(reference, "apiVersion")),
        .kind = slice_str(member_text(reference, "kind")),
        .namespace_ = slice_str(review->namespace_),
        .name = slice_str(member_text(reference, "name")),
        .uid = slice_str(member_text(reference, "uid")),
    };

    event_sink_post(events->sink, &object, told->type, slice_str(told->reason), slice_str(told->text.text));
}

static void tell(struct injector_events *events, const struct review *review, const struct told *told)
{
    struct pod_owner owner = pod_owner(review->object);

    if (strcmp(owner.kind, "Deployment") == 0)
        tell_deployment(events, slice_str(review->namespace_), owner.name, told);
    else if (owner.name.len)
        tell_other(events, review, told);
}

/* NULL: nobody needs to know; nor that a pod has its proxy when it is reviewed again in the same request. */
static const char *reason_of(const struct review_outcome *outcome)
{
    static const unsigned quiet = 1U << SKIP_NOT_ENABLED | 1U << SKIP_DISABLED | 1U << SKIP_SIDECAR;

    switch (outcome->verdict) {
    case INJECT_YES:
        return "Injected";
    case INJECT_REFUSED:
        return "InjectionRefused";
    default:
        return outcome->skips && !(outcome->skips & quiet) ? "InjectionSkipped" : NULL;
    }
}

void injector_events_tell(struct injector_events *events, const struct review *review, const struct review_outcome *outcome)
{
    struct told told = {.reason = reason_of(outcome), .type = outcome->verdict == INJECT_REFUSED ? EVENT_WARNING : EVENT_NORMAL};

    if (!events || review->dry_run)
        return;
    told.text = outcome->message;
    if (told.reason)
        tell(events, review, &told);
    if (outcome->warnings == 0)
        return;
    told = (struct told){.reason = "AnnotationIgnored", .type = EVENT_WARNING, .text = outcome->warning};
    tell(events, review, &told);
}

/* --- life --- */

static void on_trouble(void *owner, const char *why)
{
    struct injector_events *events = owner;

    log_line(events->controller->log, LOG_WARN, "proxy-injector", "Events cannot be written: %s", why);
}

int injector_events_new(struct controller *controller, struct api_client *client, struct injector_events **ret_events)
{
    struct injector_events *events = calloc(1, sizeof(*events));
    struct event_sink_options options = {.component = "linkerd-proxy-injector", .instance = getenv("HOSTNAME"), .on_trouble = on_trouble, .owner = events};
    uint64_t secret[2];
    int r;

    if (!events)
        return -ENOMEM;
    events->controller = controller;
    events->client = client;
    controller->sys->ops->random(controller->sys, secret, sizeof(secret));
    map_init(&events->by_name, secret[0], secret[1]);
    list_init(&events->owners);
    r = event_sink_new(client, &options, &events->sink);
    if (r < 0) {
        injector_events_free(events);
        return r;
    }
    *ret_events = events;
    return 0;
}

struct event_sink_counts injector_events_counts(const struct injector_events *events)
{
    return event_sink_counts(events->sink);
}

void injector_events_free(struct injector_events *events)
{
    if (!events)
        return;
    while (!list_empty(&events->owners))
        forget(CONTAINER_OF(events->owners.next, struct owner, link));
    map_release(&events->by_name);
    event_sink_free(events->sink);
    free(events);
}
