#include "control/writer.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/heap.h"
#include "base/limits.h"
#include "base/map.h"
#include "control/writer_meter.h"
#include "kube/lease.h"
#include "mesh/backoff.h"

static const int64_t LOOK_AT_ALL_NS = 300 * NS_PER_S;
static const int64_t REST_NS = 50 * NS_PER_MS;
enum { LOOKS = 256, IDENTITY_MAX = 256, KEY_MAX = 3 + 64 + 254 }; /* LOOKS: at objects, in one turn */

/* What becomes of an object next. */
enum pending_state {
    PENDING_WAITS, /* in writer->waiting */
    PENDING_ASKS,  /* a request is under way */
    PENDING_RESTS  /* in writer->resting, until `entry.key` of it */
};

/* An object that is to be looked at. */
struct pending {
    struct writer_item item; /* texts in `key` */
    struct map_entry entry;  /* by `key` */
    struct list link;        /* of writer->waiting */
    struct heap_entry rest;
    struct writer *writer;
    enum pending_state state;
    struct api_call *call;
    enum writer_verb verb;
    bool again;      /* it was touched meanwhile, or had changed */
    uint64_t digest; /* of what was written last; 0: nothing */
    unsigned times;  /* that was tried in a row, without anything new to write */
    char key[];      /* kind, a byte, namespace, a byte, name */
};

struct writer {
    struct controller *controller;
    struct api_client *client;
    const struct writer_job *job;
    struct lease *lease;
    struct subscriber subscriber;
    bool subscribed, held;
    struct map pending;
    struct list waiting; /* oldest first */
    struct heap resting; /* by when it ends */
    unsigned asking_count;
    bool overflow;       /* more was touched than fits: all are looked at */
    size_t begin_at, at; /* of all: those before have been; and the place of the present one */
    bool all;            /* touch_all() runs */
    struct task work;
    struct timer timer, look_at_all;
    int64_t next_ns;     /* of the rate: the burst is whole again */
    int64_t pause_ns;    /* nothing before: the server is away */
    unsigned failures;
    struct writer_meter meter;
    char identity[IDENTITY_MAX];
};

static struct loop *loop_of(const struct writer *writer)
{
    return api_client_loop(writer->client);
}

static int64_t now_of(const struct writer *writer)
{
    return loop_of(writer)->now_ns;
}

static void wake(struct writer *writer)
{
    task_wake(loop_of(writer), &writer->work);
}

/* --- what waits --- */

static void forget(struct writer *writer, struct pending *pending)
{
    if (pending->call)
        writer->asking_count--;
    api_call_cancel(pending->call);
    if (writer->job->forget)
        writer->job->forget(&pending->item);
    list_remove(&pending->link);
    heap_remove(&writer->resting, &pending->rest);
    map_remove(&writer->pending, &pending->entry);
    free(pending);
}

static void forget_all(struct writer *writer)
{
    MAP_FOR_EACH(link, &writer->pending)
        forget(writer, CONTAINER_OF(MAP_ENTRY(link), struct pending, entry));
    writer->overflow = false;
    writer->begin_at = 0;
}

static void wait_in_line(struct pending *pending)
{
    pending->state = PENDING_WAITS;
    list_remove(&pending->link);
    list_push(&pending->writer->waiting, &pending->link);
}

static struct pending *make_pending(struct writer *writer, enum kube_kind kind, struct slice namespace_, struct slice key)
{
    struct pending *pending = calloc(1, sizeof(*pending) + key.len);

    if (!pending)
        return NULL;
    memcpy(pending->key, key.ptr, key.len);
    pending->writer = writer;
    pending->item = (struct writer_item){.kind = kind, .namespace_ = slice_of(pending->key + 2, namespace_.len),
                                         .name = slice_of(pending->key + 3 + namespace_.len, key.len - 3 - namespace_.len)};
    list_init(&pending->link);
    if (map_add(&writer->pending, &pending->entry, slice_of(pending->key, key.len)) < 0) {
        free(pending);
        return NULL;
    }
    wait_in_line(pending);
    return pending;
}

/* Of all, those before have been looked at already; false: this is not yet its turn. */
static bool is_its_turn(struct writer *writer)
{
    return !writer->all || (writer->at++ >= writer->begin_at && !writer->overflow);
}

static void overflow(struct writer *writer)
{
    if (!writer->overflow)
        writer->begin_at = writer->all ? writer->at - 1 : 0;
    else if (!writer->all)
        writer->begin_at = 0;
    writer->overflow = true;
}

void writer_touch(struct writer *writer, enum kube_kind kind, struct slice namespace_, struct slice name)
{
    char text[KEY_MAX];
    int len = snprintf(text, sizeof(text), "%c%c%.*s%c%.*s", (char)kind, '\0', SLICE_ARGS(namespace_), '\0', SLICE_ARGS(name));
    struct slice key = slice_of(text, (size_t)len);
    struct map_entry *found;

    if (len < 0 || (size_t)len >= sizeof(text) || !is_its_turn(writer))
        return;
    found = map_find(&writer->pending, key);
    if (found)
        CONTAINER_OF(found, struct pending, entry)->again = true;
    else if (writer->pending.count >= LIMIT_WRITER_QUEUE || !make_pending(writer, kind, namespace_, key))
        overflow(writer);
}

static void touch_all(struct writer *writer)
{
    writer->all = true;
    writer->at = 0;
    writer->job->touch_all(writer);
    writer->all = false;
    if (!writer->overflow)
        writer->begin_at = 0;
    wake(writer);
}

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct writer *writer = CONTAINER_OF(subscriber, struct writer, subscriber);

    if (!writer->held)
        return;
    if (old)
        writer->job->touch(writer, old);
    if (new)
        writer->job->touch(writer, new);
    wake(writer);
}

/* --- what becomes of an answer --- */

static void pause_writer(struct writer *writer)
{
    writer->pause_ns = now_of(writer) + backoff_delay(&BACKOFF_INBOUND, ++writer->failures, &loop_of(writer)->rng);
}

/* So that what was written is seen before it is looked at again, and so that two who write against each other do not do so for ever. */
static void rest(struct pending *pending)
{
    struct writer *writer = pending->writer;
    int64_t for_ns = pending->times < 2 ? REST_NS : backoff_delay(&BACKOFF_INBOUND, pending->times - 1, &loop_of(writer)->rng);

    if (heap_add(&writer->resting, &pending->rest, (uint64_t)(now_of(writer) + for_ns)) < 0)
        wait_in_line(pending);
    else
        pending->state = PENDING_RESTS;
    wake(writer);
}

/* No request of the object follows at once. It is looked at again, if only to see that nothing is left to do. `tried`: it took effect, or was in vain. */
static void settle(struct pending *pending, bool tried)
{
    pending->times += tried;
    if (pending->writer->job->forget)
        pending->writer->job->forget(&pending->item);
    pending->item.state = NULL;
    rest(pending);
}

static void give_up(struct pending *pending)
{
    if (pending->again)
        settle(pending, true);
    else
        forget(pending->writer, pending);
}

static bool is_passing(const struct api_answer *answer)
{
    return answer->status == 0 || answer->status == 401 || answer->status == 429 || answer->status >= 500;
}

static bool is_refusal(const struct api_answer *answer)
{
    return answer->error && answer->status != 404 && answer->status != 409;
}

static void complain(const struct pending *pending, const struct api_answer *answer)
{
    const struct writer *writer = pending->writer;

    log_limited(writer->controller->log, LOG_WARN, writer->job->component, "%s of %.*s %.*s/%.*s cannot be written: %s", writer->job->what,
                SLICE_ARGS(kube_kind_name(pending->item.kind)), SLICE_ARGS(pending->item.namespace_), SLICE_ARGS(pending->item.name), answer->why);
}

static void note_written(struct pending *pending)
{
    const struct writer *writer = pending->writer;

    log_line(writer->controller->log, LOG_DEBUG, writer->job->component, "%s of %.*s %.*s/%.*s written (%s)", writer->job->what,
             SLICE_ARGS(kube_kind_name(pending->item.kind)), SLICE_ARGS(pending->item.namespace_), SLICE_ARGS(pending->item.name),
             writer_verb_name(pending->verb));
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct pending *pending = api_call_owner(call);
    struct writer *writer = pending->writer;
    int r;

    pending->call = NULL;
    writer->asking_count--;
    writer_meter_count(&writer->meter, pending->verb, answer);
    if (is_refusal(answer))
        complain(pending, answer);
    if (answer->error && is_passing(answer)) {
        pause_writer(writer);
        settle(pending, false);
        return;
    }
    writer->failures = 0;
    pending->again |= answer->error && answer->status == 409;
    if (!answer->error && pending->verb != WRITER_READ)
        note_written(pending);
    r = lease_is_held(writer->lease) ? writer->job->next(writer, &pending->item, answer, pending->verb) : -EAGAIN;
    if (r == -ENOMEM)
        pause_writer(writer);
    if (r == 0 && (answer->error || pending->verb == WRITER_READ))
        give_up(pending);
    else if (r <= 0)
        settle(pending, r != -ENOMEM);
    wake(writer);
}

static const struct api_call_events call_events = {.on_end = on_end};

struct controller *writer_controller(const struct writer *writer)
{
    return writer->controller;
}

int writer_ask(struct writer *writer, struct writer_item *item, enum writer_verb verb, uint64_t digest, struct api_request *request)
{
    struct pending *pending = CONTAINER_OF(item, struct pending, item);
    int r;

    request->timeout_ns = LEASE_WRITE_TIMEOUT_NS;
    r = api_call_start(writer->client, request, &call_events, pending, &pending->call);
    if (r < 0)
        return r;
    writer->asking_count++;
    pending->verb = verb;
    if (digest && digest != pending->digest) {
        pending->digest = digest;
        pending->times = 0;
    }
    return 1;
}

/* --- one after the other --- */

static bool may_ask(const struct writer *writer)
{
    int64_t now_ns = now_of(writer);

    return writer->asking_count < LIMIT_WRITER_CALLS && now_ns >= writer->pause_ns && writer->next_ns <= now_ns + NS_PER_S;
}

static void look_at(struct writer *writer, struct pending *pending)
{
    int64_t now_ns = now_of(writer);
    int r;

    list_remove(&pending->link);
    pending->again = false;
    pending->state = PENDING_ASKS;
    r = writer->job->look(writer, &pending->item);
    if (r == 0) {
        forget(writer, pending);
    } else if (r < 0) {
        pause_writer(writer);
        settle(pending, false);
    } else {
        writer->next_ns = (writer->next_ns > now_ns ? writer->next_ns : now_ns) + NS_PER_S / LIMIT_WRITER_RATE;
    }
}

static void end_rests(struct writer *writer)
{
    struct heap_entry *first;

    while ((first = heap_first(&writer->resting)) && (int64_t)first->key <= now_of(writer)) {
        struct pending *pending = CONTAINER_OF(first, struct pending, rest);

        heap_remove(&writer->resting, first);
        wait_in_line(pending);
    }
}

/* When there may be something to do that no answer wakes us for. */
static void set_timer(struct writer *writer)
{
    const struct heap_entry *first = heap_first(&writer->resting);
    int64_t at_ns = first ? (int64_t)first->key : INT64_MAX;
    int64_t rate_ns = writer->next_ns - NS_PER_S > writer->pause_ns ? writer->next_ns - NS_PER_S : writer->pause_ns;

    if (!list_empty(&writer->waiting) && writer->asking_count < LIMIT_WRITER_CALLS && rate_ns < at_ns)
        at_ns = rate_ns;
    if (at_ns == INT64_MAX)
        timer_cancel(&writer->timer);
    else
        timer_set(loop_of(writer), &writer->timer, at_ns > now_of(writer) ? at_ns : now_of(writer));
}

static void work(struct task *task)
{
    struct writer *writer = CONTAINER_OF(task, struct writer, work);

    if (!writer->held)
        return;
    end_rests(writer);
    for (unsigned looks = 0; looks < LOOKS && !list_empty(&writer->waiting) && may_ask(writer); looks++)
        look_at(writer, CONTAINER_OF(writer->waiting.next, struct pending, link));
    if (list_empty(&writer->waiting) && writer->overflow) {
        writer->overflow = false;
        touch_all(writer);
    }
    set_timer(writer);
    writer_meter_queue(&writer->meter, writer->pending.count);
}

static void on_time(struct timer *timer)
{
    wake(CONTAINER_OF(timer, struct writer, timer));
}

static void on_look_at_all(struct timer *timer)
{
    struct writer *writer = CONTAINER_OF(timer, struct writer, look_at_all);

    if (writer->held)
        touch_all(writer);
    timer_set(loop_of(writer), timer, now_of(writer) + LOOK_AT_ALL_NS);
}

/* --- the lease --- */

static void on_lease(void *owner, bool held)
{
    struct writer *writer = owner;

    writer->held = held;
    writer_meter_leader(&writer->meter, held);
    log_line(writer->controller->log, LOG_INFO, writer->job->component, held ? "this replica (%s) writes %s" : "this replica (%s) no longer writes %s",
             writer->identity, writer->job->what);
    if (held) {
        touch_all(writer);
    } else {
        forget_all(writer);
        writer_meter_queue(&writer->meter, 0);
    }
}

static void on_trouble(void *owner, const char *why)
{
    struct writer *writer = owner;

    log_line(writer->controller->log, LOG_WARN, writer->job->component, "the lease %s: %s", writer->job->lease, why);
}

/* From now on it is known what there is. */
static void on_synced(struct subscriber *subscriber)
{
    struct writer *writer = CONTAINER_OF(subscriber, struct writer, subscriber);
    const struct lease_options options = {
        .namespace_ = writer->controller->options.namespace_,
        .name = slice_str(writer->job->lease),
        .identity = slice_str(writer->identity),
        .on_change = on_lease,
        .on_trouble = on_trouble,
        .owner = writer,
    };

    if (lease_new(writer->client, &options, &writer->lease) < 0)
        log_line(writer->controller->log, LOG_ERROR, writer->job->component, "no memory for a lease: this replica does not write %s", writer->job->what);
}

/* --- life --- */

/* The pod's name; outside of pods one that no other replica has. */
static void name_replica(struct writer *writer, uint64_t number)
{
    const char *host = getenv("HOSTNAME");

    if (getenv("KUBERNETES_SERVICE_HOST") && host && host[0] && strlen(host) < IDENTITY_MAX)
        snprintf(writer->identity, sizeof(writer->identity), "%s", host);
    else
        snprintf(writer->identity, sizeof(writer->identity), "controller-%016llx", (unsigned long long)number);
}

static int start(struct writer *writer)
{
    int r = timer_init(loop_of(writer), &writer->timer, on_time);

    if (r == 0)
        r = timer_init(loop_of(writer), &writer->look_at_all, on_look_at_all);
    if (r == 0)
        r = store_subscribe(writer->controller->store, &writer->subscriber);
    writer->subscribed = r == 0;
    if (r == 0)
        timer_set(loop_of(writer), &writer->look_at_all, now_of(writer) + LOOK_AT_ALL_NS);
    return r;
}

int writer_new(struct controller *controller, struct api_client *client, const struct writer_job *job, struct writer **ret_writer)
{
    struct writer *writer = calloc(1, sizeof(*writer));
    uint64_t secret[3];
    int r;

    if (!writer)
        return -ENOMEM;
    writer->controller = controller;
    writer->client = client;
    writer->job = job;
    controller->sys->ops->random(controller->sys, secret, sizeof(secret));
    map_init(&writer->pending, secret[0], secret[1]);
    list_init(&writer->waiting);
    heap_init(&writer->resting);
    task_init(&writer->work, work);
    name_replica(writer, secret[2]);
    writer_meter_init(&writer->meter, controller, job->label);
    writer->subscriber = (struct subscriber){.kinds = job->kinds, .on_change = on_change, .on_synced = on_synced};
    r = start(writer);
    if (r < 0)
        writer_free(writer);
    else
        *ret_writer = writer;
    return r;
}

void writer_end(struct writer *writer)
{
    if (writer && writer->lease)
        lease_give_up(writer->lease);
}

void writer_free(struct writer *writer)
{
    if (!writer)
        return;
    lease_free(writer->lease);
    forget_all(writer);
    map_release(&writer->pending);
    heap_release(&writer->resting);
    if (writer->subscribed)
        store_unsubscribe(writer->controller->store, &writer->subscriber);
    task_cancel(&writer->work);
    timer_release(loop_of(writer), &writer->timer);
    timer_release(loop_of(writer), &writer->look_at_all);
    writer_meter_release(&writer->meter);
    free(writer);
}
