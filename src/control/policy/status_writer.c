#include "control/policy/status_writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/map.h"
#include "control/policy/status.h"
#include "kube/lease.h"
#include "mesh/backoff.h"

static const int64_t LOOK_AT_ALL_NS = 300 * NS_PER_S;
enum { LOOKS = 256, IDENTITY_MAX = 256 }; /* at objects, in one turn */

/* An object whose status may have to change. */
struct pending {
    struct map_entry entry; /* by `key` */
    struct list link;       /* of writer->waiting, or of writer->asking */
    struct status_writer *writer;
    enum kube_kind kind;
    struct slice namespace_, name; /* in `key` */
    struct api_call *call;
    bool again;             /* it was touched meanwhile */
    char key[];             /* kind, a byte, namespace, a byte, name */
};

struct status_writer {
    struct controller *controller;
    struct api_client *client;
    struct lease *lease;
    struct subscriber subscriber;
    bool subscribed, held;
    struct map pending;
    struct list waiting; /* oldest first */
    struct list asking;
    unsigned asking_count;
    bool overflow;       /* more was touched than fits */
    struct task work;
    struct timer timer, all;
    int64_t next_ns;     /* of the rate: the burst is whole again */
    int64_t pause_ns;    /* nothing before: the server is away */
    unsigned failures;
    char identity[IDENTITY_MAX];
};

/* --- what waits --- */

static void forget(struct status_writer *writer, struct pending *pending)
{
    if (pending->call)
        writer->asking_count--;
    api_call_cancel(pending->call);
    list_remove(&pending->link);
    map_remove(&writer->pending, &pending->entry);
    free(pending);
}

static void forget_all(struct status_writer *writer)
{
    MAP_FOR_EACH(link, &writer->pending)
        forget(writer, CONTAINER_OF(MAP_ENTRY(link), struct pending, entry));
    writer->overflow = false;
}

static struct pending *make_pending(struct status_writer *writer, const struct kube_object *object)
{
    size_t len = 3 + object->namespace_.len + object->name.len;
    struct pending *pending = calloc(1, sizeof(*pending) + len);

    if (!pending)
        return NULL;
    pending->writer = writer;
    pending->kind = object->kind;
    pending->key[0] = (char)object->kind;
    memcpy(pending->key + 2, object->namespace_.ptr, object->namespace_.len);
    memcpy(pending->key + 3 + object->namespace_.len, object->name.ptr, object->name.len);
    pending->namespace_ = slice_of(pending->key + 2, object->namespace_.len);
    pending->name = slice_of(pending->key + 3 + object->namespace_.len, object->name.len);
    if (map_add(&writer->pending, &pending->entry, slice_of(pending->key, len)) < 0) {
        free(pending);
        return NULL;
    }
    list_push(&writer->waiting, &pending->link);
    return pending;
}

static void touch(void *owner, const struct kube_object *object)
{
    struct status_writer *writer = owner;
    char key[1024];
    int len = snprintf(key, sizeof(key), "%c%c%.*s%c%.*s", (char)object->kind, '\0', SLICE_ARGS(object->namespace_), '\0', SLICE_ARGS(object->name));
    struct map_entry *found = len > 0 && (size_t)len < sizeof(key) ? map_find(&writer->pending, slice_of(key, (size_t)len)) : NULL;

    if (found)
        CONTAINER_OF(found, struct pending, entry)->again = true;
    else if (writer->pending.count >= LIMIT_STATUS_QUEUE || !make_pending(writer, object))
        writer->overflow = true;
}

static void touch_everything(struct status_writer *writer)
{
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++) {
        struct kube_set set = {0};

        if (status_is_ours((enum kube_kind)kind))
            set = store_all(writer->controller->store, (enum kube_kind)kind);
        for (size_t i = 0; i < set.count && !writer->overflow; i++)
            touch(writer, set.items[i]);
    }
    task_wake(&writer->controller->loop, &writer->work);
}

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct status_writer *writer = CONTAINER_OF(subscriber, struct status_writer, subscriber);

    if (!writer->held)
        return;
    if (old)
        status_touch(writer->controller->store, old, touch, writer);
    if (new)
        status_touch(writer->controller->store, new, touch, writer);
    task_wake(&writer->controller->loop, &writer->work);
}

/* --- requests --- */

static const char *resource_of(enum kube_kind kind)
{
    switch (kind) {
    case KUBE_GRPC_ROUTE: return "grpcroutes";
    case KUBE_TLS_ROUTE: return "tlsroutes";
    case KUBE_TCP_ROUTE: return "tcproutes";
    case KUBE_EGRESS_NETWORK: return "egressnetworks";
    case KUBE_RATE_LIMIT_POLICY: return "httplocalratelimitpolicies";
    default: return "httproutes";
    }
}

static const struct kube_object *object_of(const struct pending *pending)
{
    return store_get(pending->writer->controller->store, pending->kind, pending->namespace_, pending->name);
}

static int start_call(struct pending *pending, const struct kube_object *object, struct slice patch, const struct api_call_events *events)
{
    struct slice group = kube_kind_group(pending->kind);
    struct api_request request = {.timeout_ns = LEASE_WRITE_TIMEOUT_NS};
    struct buffer path;
    int r;

    buffer_init(&path, 2048);
    buffer_printf(&path, "/apis/%.*s/%.*s/namespaces/%.*s/%s/%.*s%s", SLICE_ARGS(group), SLICE_ARGS(object->version), SLICE_ARGS(pending->namespace_),
                  resource_of(pending->kind), SLICE_ARGS(pending->name), patch.len ? "/status" : "");
    request.path = buffer_slice(&path);
    if (patch.len) {
        request.method = "PATCH";
        request.content_type = SLICE_LIT(API_MERGE_PATCH);
        request.body = patch;
    }
    r = buffer_error(&path) ? buffer_error(&path) : api_call_start(pending->writer->client, &request, events, pending, &pending->call);
    buffer_release(&path);
    return r;
}

static void pause_writer(struct status_writer *writer)
{
    struct loop *loop = &writer->controller->loop;

    writer->pause_ns = loop->now_ns + backoff_delay(&BACKOFF_INBOUND, ++writer->failures, &loop->rng);
}

/* A call has ended and none follows at once. `again`: it is to be looked at anew. */
static void settle(struct pending *pending, bool again)
{
    struct status_writer *writer = pending->writer;

    pending->call = NULL;
    writer->asking_count--;
    if (again || pending->again) {
        list_remove(&pending->link);
        list_push(&writer->waiting, &pending->link);
    } else {
        forget(writer, pending);
    }
    task_wake(&writer->controller->loop, &writer->work);
}

static void failed(struct pending *pending, const struct api_answer *answer)
{
    struct status_writer *writer = pending->writer;
    bool passing = answer->status == 0 || answer->status == 401 || answer->status == 429 || answer->status >= 500;

    if (answer->status == 409) { /* it has changed since it was read */
        settle(pending, true);
        return;
    }
    if (answer->status != 404)
        log_limited(writer->controller->log, LOG_WARN, "policy", "the status of %.*s %.*s/%.*s cannot be written: %s", SLICE_ARGS(kube_kind_name(pending->kind)),
                    SLICE_ARGS(pending->namespace_), SLICE_ARGS(pending->name), answer->why);
    if (passing)
        pause_writer(writer);
    settle(pending, passing);
}

static void on_written(struct api_call *call, const struct api_answer *answer)
{
    struct pending *pending = api_call_owner(call);

    if (answer->error) {
        failed(pending, answer);
        return;
    }
    pending->writer->failures = 0;
    log_line(pending->writer->controller->log, LOG_DEBUG, "policy", "status of %.*s %.*s/%.*s written", SLICE_ARGS(kube_kind_name(pending->kind)),
             SLICE_ARGS(pending->namespace_), SLICE_ARGS(pending->name));
    settle(pending, false);
}

static const struct api_call_events write_events = {.on_end = on_written};

static int64_t generation_of(const struct yaml_node *document)
{
    const struct yaml_node *generation = yaml_get_lit(yaml_get_lit(document, "metadata"), "generation");

    return generation && generation->kind == YAML_INTEGER ? generation->integer : 0;
}

/* 1: a patch is under way; 0: it is as it should be; -EAGAIN: the store has another generation of it than the server. */
static int patch(struct pending *pending, const struct yaml_node *document, struct arena *arena)
{
    struct controller *controller = pending->writer->controller;
    const struct kube_object *object = object_of(pending);
    struct status_entry *entries;
    struct buffer body;
    size_t count;
    int r;

    if (!object)
        return 0;
    if (kube_written(object)->generation != generation_of(document))
        return -EAGAIN;
    r = status_decide(controller, object, arena, &entries, &count);
    if (r < 0 || status_digest_document(document, pending->kind) == status_digest(entries, count, kube_written(object)->generation))
        return r;
    buffer_init(&body, LIMIT_API_ANSWER);
    r = status_write_patch(document, pending->kind, entries, count, controller->sys->ops->wall(controller->sys), &body);
    if (r == 0)
        r = start_call(pending, object, buffer_slice(&body), &write_events);
    buffer_release(&body);
    return r < 0 ? r : 1;
}

static void on_read(struct api_call *call, const struct api_answer *answer)
{
    struct pending *pending = api_call_owner(call);
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    struct arena arena;
    int r = 0;

    if (answer->error) {
        failed(pending, answer);
        return;
    }
    if (!lease_is_held(pending->writer->lease)) {
        settle(pending, true);
        return;
    }
    arena_init(&arena, (size_t)4 * LIMIT_API_ANSWER);
    if (yaml_parse(&arena, answer->body, 1, JSON, &root, &problem) == 0)
        r = patch(pending, root, &arena);
    arena_release(&arena);
    if (r < 0 && r != -EAGAIN)
        pause_writer(pending->writer);
    if (r <= 0)
        settle(pending, r < 0);
}

static const struct api_call_events read_events = {.on_end = on_read};

/* --- one after the other --- */

/* Whether the status differs from what the store knows of it. */
static bool differs(const struct status_writer *writer, const struct kube_object *object)
{
    struct status_entry *entries;
    struct arena arena;
    size_t count;
    bool found;

    arena_init(&arena, 1 << 20);
    found = status_decide(writer->controller, object, &arena, &entries, &count) < 0 ||
            status_digest(entries, count, kube_written(object)->generation) != kube_written(object)->digest;
    arena_release(&arena);
    return found;
}

static bool may_ask(const struct status_writer *writer)
{
    int64_t now_ns = writer->controller->loop.now_ns;

    return writer->asking_count < LIMIT_STATUS_CALLS && now_ns >= writer->pause_ns && writer->next_ns <= now_ns + NS_PER_S;
}

/* The first that waits. False: it still does. */
static bool look_at(struct status_writer *writer, struct pending *pending)
{
    const struct kube_object *object = object_of(pending);
    int64_t now_ns = writer->controller->loop.now_ns;

    if (!object || !differs(writer, object)) {
        forget(writer, pending);
        return true;
    }
    if (!may_ask(writer))
        return false;
    pending->again = false;
    if (start_call(pending, object, SLICE_NULL, &read_events) < 0) {
        pause_writer(writer);
        return false;
    }
    list_remove(&pending->link);
    list_push(&writer->asking, &pending->link);
    writer->asking_count++;
    writer->next_ns = (writer->next_ns > now_ns ? writer->next_ns : now_ns) + NS_PER_S / LIMIT_STATUS_RATE;
    return true;
}

static void work(struct task *task)
{
    struct status_writer *writer = CONTAINER_OF(task, struct status_writer, work);
    struct loop *loop = &writer->controller->loop;
    unsigned looks = 0;

    if (!writer->held)
        return;
    while (looks < LOOKS && !list_empty(&writer->waiting) && look_at(writer, CONTAINER_OF(writer->waiting.next, struct pending, link)))
        looks++;
    if (list_empty(&writer->waiting) && writer->overflow) {
        writer->overflow = false;
        touch_everything(writer);
    } else if (!list_empty(&writer->waiting) && writer->asking_count < LIMIT_STATUS_CALLS) {
        int64_t at_ns = writer->next_ns - NS_PER_S > writer->pause_ns ? writer->next_ns - NS_PER_S : writer->pause_ns;

        timer_set(loop, &writer->timer, at_ns > loop->now_ns ? at_ns : loop->now_ns);
    }
}

static void on_time(struct timer *timer)
{
    struct status_writer *writer = CONTAINER_OF(timer, struct status_writer, timer);

    task_wake(&writer->controller->loop, &writer->work);
}

static void on_all(struct timer *timer)
{
    struct status_writer *writer = CONTAINER_OF(timer, struct status_writer, all);

    if (writer->held)
        touch_everything(writer);
    timer_set(&writer->controller->loop, timer, writer->controller->loop.now_ns + LOOK_AT_ALL_NS);
}

/* --- the lease --- */

static void on_lease(void *owner, bool held)
{
    struct status_writer *writer = owner;

    writer->held = held;
    log_line(writer->controller->log, LOG_INFO, "policy", held ? "this replica (%s) writes the status of routes" : "this replica (%s) no longer writes the status of routes",
             writer->identity);
    if (held)
        touch_everything(writer);
    else
        forget_all(writer);
}

static void on_trouble(void *owner, const char *why)
{
    struct status_writer *writer = owner;

    log_line(writer->controller->log, LOG_WARN, "policy", "the lease policy-controller-write: %s", why);
}

/* From now on it is known what there is. */
static void on_synced(struct subscriber *subscriber)
{
    struct status_writer *writer = CONTAINER_OF(subscriber, struct status_writer, subscriber);
    const struct lease_options options = {
        .namespace_ = writer->controller->options.namespace_,
        .name = SLICE_LIT("policy-controller-write"),
        .identity = slice_str(writer->identity),
        .on_change = on_lease,
        .on_trouble = on_trouble,
        .owner = writer,
    };

    if (lease_new(writer->client, &options, &writer->lease) < 0)
        log_line(writer->controller->log, LOG_ERROR, "policy", "no memory for a lease: this replica writes no status of routes");
}

/* --- life --- */

static uint32_t kinds(void)
{
    uint32_t kinds = STORE_KIND(KUBE_SERVICE) | STORE_KIND(KUBE_SERVER);

    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        if (status_is_ours((enum kube_kind)kind))
            kinds |= STORE_KIND(kind);
    return kinds;
}

/* The pod's name; outside of pods one that no other replica has. */
static void name_replica(struct status_writer *writer, uint64_t number)
{
    const char *host = getenv("HOSTNAME");

    if (getenv("KUBERNETES_SERVICE_HOST") && host && host[0] && strlen(host) < IDENTITY_MAX)
        snprintf(writer->identity, sizeof(writer->identity), "%s", host);
    else
        snprintf(writer->identity, sizeof(writer->identity), "controller-%016llx", (unsigned long long)number);
}

int status_writer_new(struct controller *controller, struct api_client *client, struct status_writer **ret_writer)
{
    struct status_writer *writer = calloc(1, sizeof(*writer));
    uint64_t secret[3];
    int r;

    if (!writer)
        return -ENOMEM;
    writer->controller = controller;
    writer->client = client;
    controller->sys->ops->random(controller->sys, secret, sizeof(secret));
    map_init(&writer->pending, secret[0], secret[1]);
    list_init(&writer->waiting);
    list_init(&writer->asking);
    task_init(&writer->work, work);
    name_replica(writer, secret[2]);
    writer->subscriber = (struct subscriber){.kinds = kinds(), .on_change = on_change, .on_synced = on_synced};
    r = timer_init(&controller->loop, &writer->timer, on_time);
    if (r == 0)
        r = timer_init(&controller->loop, &writer->all, on_all);
    if (r == 0)
        r = store_subscribe(controller->store, &writer->subscriber);
    writer->subscribed = r == 0;
    if (r < 0) {
        status_writer_free(writer);
        return r;
    }
    timer_set(&controller->loop, &writer->all, controller->loop.now_ns + LOOK_AT_ALL_NS);
    *ret_writer = writer;
    return 0;
}

void status_writer_end(struct status_writer *writer)
{
    if (writer && writer->lease)
        lease_give_up(writer->lease);
}

void status_writer_free(struct status_writer *writer)
{
    if (!writer)
        return;
    lease_free(writer->lease);
    forget_all(writer);
    map_release(&writer->pending);
    if (writer->subscribed)
        store_unsubscribe(writer->controller->store, &writer->subscriber);
    task_cancel(&writer->work);
    timer_release(&writer->controller->loop, &writer->timer);
    timer_release(&writer->controller->loop, &writer->all);
    free(writer);
}
