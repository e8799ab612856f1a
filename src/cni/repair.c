#include "cni/repair.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "cni/eviction.h"
#include "kube/api/api_reflector.h"
#include "kube/event_sink.h"
#include "kube/store.h"
#include "mesh/backoff.h"

#define REASON SLICE_LIT("LinkerdCNINotConfigured")

enum { SELECTOR_MAX = 512 };

static const int64_t CHANGED_NS = 1 * NS_PER_S;  /* it was not as we knew it: the change is on its way */
static const int64_t LEAVING_NS = 60 * NS_PER_S; /* evicted, and still there as if it were not */
static const int64_t BUDGET_NS = 10 * NS_PER_S;  /* its disruption budget is used up */

static const struct metric_buckets latency_buckets = {
    11, {5 * NS_PER_MS, 10 * NS_PER_MS, 25 * NS_PER_MS, 50 * NS_PER_MS, 100 * NS_PER_MS, 250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,
         2500 * NS_PER_MS, 5 * NS_PER_S, 10 * NS_PER_S}};

#define PREFIX "linkerd_cni_repair_controller_"
const struct metric_family repair_families[REPAIR_FAMILIES] = {
    [REPAIR_OVERFLOW] = {PREFIX "queue_overflow_total", "Pods without rules that were too many to remember.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [REPAIR_DELETED] = {PREFIX "pods_deleted_total", "Pods without rules that were evicted.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [REPAIR_LATENCY] = {PREFIX "pods_delete_latency_seconds", "How long the API server took to evict a pod.", METRIC_HISTOGRAM, METRIC_SECONDS, &latency_buckets},
    [REPAIR_ERRORS] = {PREFIX "pods_delete_errors_total", "Evictions that the API server refused.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [REPAIR_TIMEOUTS] = {PREFIX "pods_delete_timeout_total", "Evictions that no answer came to.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [REPAIR_EVENT_ERRORS] = {PREFIX "events_publish_errors_total", "Events that could not be written.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [REPAIR_WAITING] = {PREFIX "pods_without_rules", "Pods of this node that are known to lack rules.", METRIC_GAUGE, METRIC_PLAIN, NULL},
};

/* A pod without rules. */
struct sick {
    struct list link; /* of repair->sick */
    const struct kube_object *pod;
    bool told;        /* that nobody makes it anew */
    bool over;        /* while it is being evicted: it is gone, or well */
    unsigned failures;
    int64_t not_before_ns;
};

struct repair {
    struct repair_options options;
    struct store *store, *own; /* the node's pods of the mesh; the pod that we are part of (NULL: not known) */
    struct api_reflector *reflector, *own_reflector;
    struct subscriber subscriber, own_subscriber;
    struct event_sink *events;
    struct list sick; /* found first, first */
    size_t count;
    struct sick *asking;
    struct api_call *call;
    int64_t began_ns;
    int64_t whole_ns; /* when the burst is whole again */
    struct task work;
    struct timer timer;
    bool waits;   /* for the plugin, and that was said */
    bool deletes; /* the last eviction was forbidden: deletion may not be */
    struct metric *metrics[REPAIR_FAMILIES];
};

static struct loop *loop_of(const struct repair *repair)
{
    return api_client_loop(repair->options.client);
}

/* --- which pods --- */

static bool lacks_rules(const struct kube_object *pod)
{
    return kube_pod(pod)->status.lacks_rules && pod->deleted_ns == KUBE_NO_TIME && !kube_pod_has_ended(kube_pod(pod));
}

static bool is_made_anew(const struct kube_object *pod)
{
    if (mutation("repair-loses-pods"))
        return true;
    for (size_t i = 0; i < pod->owner_count; i++)
        if (pod->owners[i].controller)
            return true;
    return false;
}

static struct sick *find_sick(struct repair *repair, const struct kube_object *pod)
{
    LIST_FOR_EACH (link, &repair->sick) {
        struct sick *sick = CONTAINER_OF(link, struct sick, link);

        if (slice_eq(sick->pod->namespace_, pod->namespace_) && slice_eq(sick->pod->name, pod->name))
            return sick;
    }
    return NULL;
}

static void free_sick(struct sick *sick)
{
    kube_object_unref(sick->pod);
    free(sick);
}

static void forget(struct repair *repair, struct sick *sick)
{
    list_remove(&sick->link);
    repair->count--;
    if (sick == repair->asking)
        sick->over = true; /* until the answer is there */
    else
        free_sick(sick);
}

static void remember(struct repair *repair, const struct kube_object *pod)
{
    struct sick *sick = repair->count < LIMIT_CNI_REPAIRS ? calloc(1, sizeof(*sick)) : NULL;

    if (!sick) {
        metric_add(repair->metrics[REPAIR_OVERFLOW], 1); /* it is told of again when its validator has tried again */
        return;
    }
    sick->pod = kube_object_ref(pod);
    list_push(&repair->sick, &sick->link);
    repair->count++;
}

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct repair *repair = CONTAINER_OF(subscriber, struct repair, subscriber);
    struct sick *sick = find_sick(repair, new ? new : old);

    if (sick && (!new || !lacks_rules(new) || !slice_eq(sick->pod->uid, new->uid))) {
        forget(repair, sick);
        sick = NULL;
    }
    if (sick) {
        kube_object_unref(sick->pod);
        sick->pod = kube_object_ref(new);
    } else if (new && lacks_rules(new)) {
        remember(repair, new);
    }
    task_wake(loop_of(repair), &repair->work);
}

static void on_own_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct repair *repair = CONTAINER_OF(subscriber, struct repair, own_subscriber);

    task_wake(loop_of(repair), &repair->work);
}

/* --- telling --- */

static void post(struct repair *repair, const struct kube_object *pod, enum event_type type, const char *text)
{
    const struct event_object object = {SLICE_LIT("v1"), SLICE_LIT("Pod"), pod->namespace_, pod->name, pod->uid};

    event_sink_post(repair->events, &object, type, REASON, slice_str(text));
}

static void tell_orphans(struct repair *repair)
{
    LIST_FOR_EACH (link, &repair->sick) {
        struct sick *sick = CONTAINER_OF(link, struct sick, link);

        if (sick->told || is_made_anew(sick->pod))
            continue;
        sick->told = true;
        journal_line(repair->options.log, JOURNAL_WARN, "the pod %.*s/%.*s has no redirect rules, and no controller that would make it anew: delete it and create it again",
                     SLICE_ARGS(sick->pod->namespace_), SLICE_ARGS(sick->pod->name));
        post(repair, sick->pod, EVENT_WARNING,
             "linkerd-cni was not in the node's network when this pod was made: it has no redirect rules and cannot start. "
             "No controller would make it anew, so it is not evicted: delete it and create it again");
    }
}

static void on_trouble(void *owner, const char *why)
{
    struct repair *repair = owner;

    journal_line(repair->options.log, JOURNAL_WARN, "Events cannot be written: %s", why);
}

/* --- evicting --- */

static void evicted(struct repair *repair, struct sick *sick)
{
    metric_add(repair->metrics[REPAIR_DELETED], 1);
    metric_observe(repair->metrics[REPAIR_LATENCY], loop_of(repair)->now_ns - repair->began_ns);
    journal_line(repair->options.log, JOURNAL_INFO, "the pod %.*s/%.*s had no redirect rules: evicted", SLICE_ARGS(sick->pod->namespace_), SLICE_ARGS(sick->pod->name));
    post(repair, sick->pod, EVENT_NORMAL,
         "linkerd-cni was not in the node's network when this pod was made: it has no redirect rules and cannot start. "
         "It is evicted, so that its controller makes another");
    sick->not_before_ns = loop_of(repair)->now_ns + LEAVING_NS;
}

static void refused(struct repair *repair, struct sick *sick, const struct api_answer *answer)
{
    struct loop *loop = loop_of(repair);
    int64_t delay = backoff_delay(&BACKOFF_INBOUND, ++sick->failures, &loop->rng);

    metric_add(repair->metrics[answer->status ? REPAIR_ERRORS : REPAIR_TIMEOUTS], 1);
    if (answer->status == 429 && delay < BUDGET_NS)
        delay = BUDGET_NS;
    sick->not_before_ns = loop->now_ns + (delay > answer->retry_after_ns ? delay : answer->retry_after_ns);
    journal_line(repair->options.log, JOURNAL_WARN, "the pod %.*s/%.*s has no redirect rules and cannot be evicted; it is tried again: %s",
                 SLICE_ARGS(sick->pod->namespace_), SLICE_ARGS(sick->pod->name), answer->why);
}

/* Once each way; then it is a refusal, and the next time it is asked for an eviction again. */
static bool may_try_deletion(struct repair *repair, const struct api_answer *answer)
{
    repair->deletes = answer->status == 403 && !repair->deletes;
    return repair->deletes;
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct repair *repair = api_call_owner(call);
    struct sick *sick = repair->asking;

    repair->asking = NULL;
    repair->call = NULL;
    if (!answer->error)
        evicted(repair, sick);
    else if (answer->status == 404 || answer->status == 409) /* gone, or changed: the watch says so */
        sick->not_before_ns = loop_of(repair)->now_ns + CHANGED_NS;
    else if (!may_try_deletion(repair, answer))
        refused(repair, sick, answer);
    if (sick->over)
        free_sick(sick);
    task_wake(loop_of(repair), &repair->work);
}

static const struct api_call_events events = {.on_end = on_end};

static void evict(struct repair *repair, struct sick *sick)
{
    struct loop *loop = loop_of(repair);

    if (eviction_start(repair->options.client, sick->pod, repair->deletes, &events, repair, &repair->call) < 0) {
        sick->not_before_ns = loop->now_ns + CHANGED_NS;
        timer_set(loop, &repair->timer, sick->not_before_ns);
        return;
    }
    repair->asking = sick;
    repair->began_ns = loop->now_ns;
    repair->whole_ns = (repair->whole_ns > loop->now_ns ? repair->whole_ns : loop->now_ns) + REPAIR_INTERVAL_NS;
}

/* --- when --- */

static bool is_plugin_ready(const struct repair *repair)
{
    const struct kube_object *pod;

    if (!repair->own || mutation("repair-without-plugin"))
        return true;
    pod = store_get(repair->own, KUBE_POD, repair->options.namespace_, slice_str(repair->options.pod));
    return pod && kube_pod_is_ready(kube_pod(pod));
}

static void tell_waiting(struct repair *repair, bool waits)
{
    if (waits && !repair->waits)
        journal_line(repair->options.log, JOURNAL_WARN, "pods without redirect rules wait until linkerd-cni is ready on this node (pod %.*s/%s)",
                     SLICE_ARGS(repair->options.namespace_), repair->options.pod);
    repair->waits = waits;
}

/* The first that may be evicted now; else NULL, and when there may be one (INT64_MAX: when something changes). */
static struct sick *find_due(struct repair *repair, int64_t now_ns, int64_t *ret_at_ns)
{
    int64_t burst_ns = repair->whole_ns - (REPAIR_BURST - 1) * REPAIR_INTERVAL_NS;

    *ret_at_ns = INT64_MAX;
    LIST_FOR_EACH (link, &repair->sick) {
        struct sick *sick = CONTAINER_OF(link, struct sick, link);
        int64_t at = sick->not_before_ns > burst_ns ? sick->not_before_ns : burst_ns;

        if (!is_made_anew(sick->pod))
            continue;
        if (at <= now_ns)
            return sick;
        if (at < *ret_at_ns)
            *ret_at_ns = at;
    }
    return NULL;
}

static void work(struct repair *repair)
{
    struct loop *loop = loop_of(repair);
    struct sick *sick;
    int64_t at;

    tell_orphans(repair);
    if (repair->call)
        return;
    sick = find_due(repair, loop->now_ns, &at);
    if (sick && !is_plugin_ready(repair)) {
        tell_waiting(repair, true);
        return;
    }
    tell_waiting(repair, false);
    if (sick)
        evict(repair, sick);
    else if (at != INT64_MAX)
        timer_set(loop, &repair->timer, at);
}

static void on_work(struct task *task)
{
    work(CONTAINER_OF(task, struct repair, work));
}

static void on_timer(struct timer *timer)
{
    work(CONTAINER_OF(timer, struct repair, timer));
}

/* --- the whole --- */

static void on_synced(void *owner)
{
}

static int follow(struct repair *repair, struct store *store, struct api_selection selection, struct api_reflector **ret_reflector)
{
    const struct api_reflector_options options = {
        .client = repair->options.client, .store = store, .reporter = repair->options.reporter, .kind = KUBE_POD, .version = SLICE_LIT("v1"),
        .resource = SLICE_LIT("pods"), .selection = selection, .on_synced = on_synced, .owner = repair};

    return api_reflector_new(&options, ret_reflector);
}

static int follow_pods(struct repair *repair)
{
    char fields[SELECTOR_MAX];
    int len = snprintf(fields, sizeof(fields), "spec.nodeName=%s,status.phase!=Succeeded,status.phase!=Failed", repair->options.node);
    int r = len < 0 || len >= SELECTOR_MAX ? -EINVAL : store_subscribe(repair->store, &repair->subscriber);

    return r < 0 ? r : follow(repair, repair->store, (struct api_selection){.fields = slice_str(fields), .labels = SLICE_LIT("linkerd.io/control-plane-ns")},
                              &repair->reflector);
}

static int follow_own(struct repair *repair, uint64_t secret)
{
    char fields[SELECTOR_MAX];
    int len = snprintf(fields, sizeof(fields), "metadata.name=%s", repair->options.pod);
    int r = len < 0 || len >= SELECTOR_MAX ? -EINVAL : store_new(secret, ~secret, &repair->own);

    if (r == 0)
        r = store_subscribe(repair->own, &repair->own_subscriber);
    return r < 0 ? r : follow(repair, repair->own, (struct api_selection){.namespace_ = repair->options.namespace_, .fields = slice_str(fields)},
                              &repair->own_reflector);
}

static int begin(struct repair *repair)
{
    const struct event_sink_options sink = {.component = "linkerd-cni-repair-controller", .instance = repair->options.pod, .on_trouble = on_trouble, .owner = repair};
    struct loop *loop = loop_of(repair);
    int r = timer_init(loop, &repair->timer, on_timer);

    if (r == 0)
        r = event_sink_new(repair->options.client, &sink, &repair->events);
    if (r == 0)
        r = store_new(rng_next(&loop->rng), rng_next(&loop->rng), &repair->store);
    if (r == 0)
        r = follow_pods(repair);
    if (r == 0 && repair->options.pod)
        r = follow_own(repair, rng_next(&loop->rng));
    return r;
}

int repair_new(const struct repair_options *options, struct repair **ret_repair)
{
    struct repair *repair = calloc(1, sizeof(*repair));
    int r;

    if (!repair)
        return -ENOMEM;
    repair->options = *options;
    list_init(&repair->sick);
    task_init(&repair->work, on_work);
    repair->subscriber = (struct subscriber){.kinds = STORE_KIND(KUBE_POD), .on_change = on_change};
    repair->own_subscriber = (struct subscriber){.kinds = STORE_KIND(KUBE_POD), .on_change = on_own_change};
    for (int i = 0; i < REPAIR_FAMILIES; i++)
        repair->metrics[i] = metric_get(options->shard, options->families + i, SLICE_LIT(""));
    r = begin(repair);
    if (r < 0) {
        repair_free(repair);
        return r;
    }
    *ret_repair = repair;
    return 0;
}

static void leave(struct store *store, struct subscriber *subscriber)
{
    if (subscriber->link.next)
        store_unsubscribe(store, subscriber);
    store_free(store);
}

void repair_free(struct repair *repair)
{
    if (!repair)
        return;
    api_call_cancel(repair->call);
    api_reflector_free(repair->reflector);
    api_reflector_free(repair->own_reflector);
    leave(repair->store, &repair->subscriber);
    leave(repair->own, &repair->own_subscriber);
    if (repair->asking && repair->asking->over)
        free_sick(repair->asking);
    LIST_FOR_EACH (link, &repair->sick)
        free_sick(CONTAINER_OF(link, struct sick, link));
    event_sink_free(repair->events);
    timer_release(loop_of(repair), &repair->timer);
    task_cancel(&repair->work);
    for (int i = 0; i < REPAIR_FAMILIES; i++)
        metric_unref(repair->metrics[i]);
    free(repair);
}

bool repair_is_ready(const struct repair *repair)
{
    return api_reflector_is_synced(repair->reflector) && (!repair->own || api_reflector_is_synced(repair->own_reflector));
}

void repair_measure(struct repair *repair)
{
    metric_set(repair->metrics[REPAIR_EVENT_ERRORS], (int64_t)event_sink_counts(repair->events).dropped);
    metric_set(repair->metrics[REPAIR_WAITING], (int64_t)repair->count);
}
