#include "cni/taint.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/map.h"
#include "base/mutation.h"
#include "kube/api/api_reflector.h"
#include "kube/lease.h"
#include "kube/store.h"
#include "mesh/backoff.h"

#define LEASE "linkerd-cni-taint-controller"

static const int64_t CHANGED_NS = 1 * NS_PER_S; /* it was not as we knew it: the change is on its way */

#define PREFIX "linkerd_cni_taint_controller_"
const struct metric_family taint_families[TAINT_FAMILIES] = {
    [TAINT_NODES] = {PREFIX "nodes_tainted", "Nodes that have the taint.", METRIC_GAUGE, METRIC_PLAIN, NULL},
    [TAINT_REMOVED] = {PREFIX "taints_removed_total", "Nodes that the taint was taken off by this replica.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [TAINT_ERRORS] = {PREFIX "taint_remove_errors_total", "Nodes that the API server refused to change, or did not answer for.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [TAINT_LEADS] = {PREFIX "leads", "Whether this replica has the lease.", METRIC_GAUGE, METRIC_PLAIN, NULL},
};

/* A node with the taint. */
struct tainted {
    struct map_entry entry; /* of taint->nodes, by name */
    struct list link;       /* of taint->due, or alone */
    int64_t seen_ns, not_before_ns;
    unsigned failures;
    bool over;              /* while it is patched: it is gone, or without the taint */
    char name[];
};

struct taint {
    struct taint_options options;
    struct store *store;
    struct api_reflector *pod_reflector, *node_reflector;
    struct subscriber subscriber;
    struct lease *lease;
    struct map nodes;
    struct list due; /* those whose plugin is in place */
    struct tainted *asking;
    struct api_call *call;
    struct task work;
    struct timer timer;
    bool ending;
    struct metric *metrics[TAINT_FAMILIES];
};

static struct loop *loop_of(const struct taint *taint)
{
    return api_client_loop(taint->options.client);
}

static const struct kube_node *node_of(const struct taint *taint, struct slice name)
{
    const struct kube_object *object = store_get(taint->store, KUBE_NODE, SLICE_NULL, name);

    return object ? kube_node(object) : NULL;
}

static bool has_taint(const struct taint *taint, const struct kube_node *node)
{
    for (size_t i = 0; i < node->spec.taint_count; i++)
        if (slice_eq(node->spec.taints[i].key, slice_str(taint->options.key)))
            return true;
    return false;
}

/* --- when it may go --- */

/* Not later than this; INT64_MAX: when something changes. */
static int64_t due_at(const struct taint *taint, const struct tainted *tainted, const struct kube_node *node)
{
    struct kube_set pods = store_by_name(taint->store, STORE_PODS_ON_NODE, SLICE_NULL, node->meta.name);
    int64_t at = INT64_MAX;

    for (size_t i = 0; i < pods.count; i++) {
        bool younger = pods.items[i]->created_ns >= node->meta.created_ns || mutation("taint-believes-old-pods");

        if (!kube_pod_is_ready(kube_pod(pods.items[i])) && !mutation("taint-needs-no-plugin"))
            continue;
        if (younger)
            return tainted->not_before_ns;
        at = tainted->seen_ns + SETTLE_NS;
    }
    return at == INT64_MAX || at > tainted->not_before_ns ? at : tainted->not_before_ns;
}

static void wake_at(struct taint *taint, int64_t at_ns)
{
    if (!timer_is_set(&taint->timer) || at_ns < taint->timer.deadline_ns)
        timer_set(loop_of(taint), &taint->timer, at_ns);
}

static void look(struct taint *taint, struct tainted *tainted)
{
    struct loop *loop = loop_of(taint);
    int64_t at = due_at(taint, tainted, node_of(taint, slice_str(tainted->name)));

    list_remove(&tainted->link);
    if (at > loop->now_ns) {
        if (at != INT64_MAX)
            wake_at(taint, at);
        return;
    }
    list_push(&taint->due, &tainted->link);
    task_wake(loop, &taint->work);
}

/* --- nodes with the taint --- */

static void forget(struct taint *taint, struct tainted *tainted)
{
    map_remove(&taint->nodes, &tainted->entry);
    list_remove(&tainted->link);
    if (tainted == taint->asking)
        tainted->over = true; /* until the answer is there */
    else
        free(tainted);
}

static struct tainted *remember(struct taint *taint, struct slice name)
{
    struct tainted *tainted = taint->nodes.count < LIMIT_CNI_TAINTED ? calloc(1, sizeof(*tainted) + name.len + 1) : NULL;

    if (!tainted)
        return NULL;
    memcpy(tainted->name, name.ptr, name.len);
    list_init(&tainted->link);
    tainted->seen_ns = tainted->not_before_ns = loop_of(taint)->now_ns;
    if (map_add(&taint->nodes, &tainted->entry, slice_of(tainted->name, name.len)) < 0) {
        free(tainted);
        return NULL;
    }
    return tainted;
}

/* Something about this node, or the plugin's pod on it, has changed. */
static void touch(struct taint *taint, struct slice name)
{
    const struct kube_node *node = name.len ? node_of(taint, name) : NULL;
    struct map_entry *found = name.len ? map_find(&taint->nodes, name) : NULL;
    struct tainted *tainted = found ? CONTAINER_OF(found, struct tainted, entry) : NULL;

    if (!node || !has_taint(taint, node)) {
        if (tainted)
            forget(taint, tainted);
        return;
    }
    if (!tainted)
        tainted = remember(taint, name);
    if (tainted && tainted != taint->asking)
        look(taint, tainted);
}

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct taint *taint = CONTAINER_OF(subscriber, struct taint, subscriber);
    const struct kube_object *object = new ? new : old;

    touch(taint, object->kind == KUBE_NODE ? object->name : kube_pod(object)->spec.node_name);
}

static void on_timer(struct timer *timer)
{
    struct taint *taint = CONTAINER_OF(timer, struct taint, timer);

    MAP_FOR_EACH (link, &taint->nodes)
        touch(taint, MAP_ENTRY(link)->key);
}

/* --- taking it off --- */

static void refused(struct taint *taint, struct tainted *tainted, const struct api_answer *answer)
{
    struct loop *loop = loop_of(taint);
    int64_t delay = backoff_delay(&BACKOFF_INBOUND, ++tainted->failures, &loop->rng);

    metric_add(taint->metrics[TAINT_ERRORS], 1);
    tainted->not_before_ns = loop->now_ns + (delay > answer->retry_after_ns ? delay : answer->retry_after_ns);
    journal_line(taint->options.log, JOURNAL_WARN, "the taint %s cannot be taken off the node %s; it is tried again: %s", taint->options.key, tainted->name, answer->why);
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct taint *taint = api_call_owner(call);
    struct tainted *tainted = taint->asking;

    taint->asking = NULL;
    taint->call = NULL;
    tainted->not_before_ns = loop_of(taint)->now_ns + CHANGED_NS; /* by then the watch has said what the node is like now */
    if (!answer->error) {
        metric_add(taint->metrics[TAINT_REMOVED], 1);
        journal_line(taint->options.log, JOURNAL_INFO, "linkerd-cni is in place on the node %s: the taint %s is taken off", tainted->name, taint->options.key);
    } else if (answer->status != 404 && answer->status != 409 && answer->status != 422) { /* those: it has changed, or is gone */
        refused(taint, tainted, answer);
    }
    if (tainted->over)
        free(tainted);
    else
        look(taint, tainted);
    task_wake(loop_of(taint), &taint->work);
}

static const struct api_call_events events = {.on_end = on_end};

/* From the last to the first, since those behind one that goes move up. */
static void write_patch(const struct taint *taint, const struct kube_node *node, struct buffer *body)
{
    const char *before = "[";

    for (size_t i = node->spec.taint_count; i-- > 0;) {
        if (!slice_eq(node->spec.taints[i].key, slice_str(taint->options.key)))
            continue;
        buffer_printf(body, "%s{\"op\":\"test\",\"path\":\"/spec/taints/%zu/key\",\"value\":", before, i);
        buffer_add_json(body, slice_str(taint->options.key));
        buffer_printf(body, "},{\"op\":\"remove\",\"path\":\"/spec/taints/%zu\"}", i);
        before = ",";
    }
    buffer_add_byte(body, ']');
}

static int ask(struct taint *taint, const struct kube_node *node)
{
    struct api_request request = {.method = "PATCH", .content_type = SLICE_LIT(API_JSON_PATCH), .timeout_ns = LEASE_WRITE_TIMEOUT_NS};
    struct buffer path, body;
    int r;

    buffer_init(&path, 1024);
    buffer_init(&body, 64 * 1024);
    buffer_printf(&path, "/api/v1/nodes/%.*s", SLICE_ARGS(node->meta.name));
    write_patch(taint, node, &body);
    request.path = buffer_slice(&path);
    request.body = buffer_slice(&body);
    r = buffer_error(&path) ? buffer_error(&path) : buffer_error(&body);
    if (r == 0)
        r = api_call_start(taint->options.client, &request, &events, taint, &taint->call);
    buffer_release(&path);
    buffer_release(&body);
    return r;
}

static void on_work(struct task *task)
{
    struct taint *taint = CONTAINER_OF(task, struct taint, work);
    struct tainted *tainted;

    if (taint->call || taint->ending || !lease_is_held(taint->lease) || list_empty(&taint->due))
        return;
    tainted = CONTAINER_OF(list_pop(&taint->due), struct tainted, link);
    if (ask(taint, node_of(taint, slice_str(tainted->name))) == 0) {
        taint->asking = tainted;
        return;
    }
    tainted->not_before_ns = loop_of(taint)->now_ns + CHANGED_NS;
    look(taint, tainted);
    task_wake(loop_of(taint), &taint->work);
}

/* --- the lease --- */

static void on_lease(void *owner, bool held)
{
    struct taint *taint = owner;

    journal_line(taint->options.log, JOURNAL_INFO, held ? "this replica takes taints off" : "another replica may take taints off from here on");
    task_wake(loop_of(taint), &taint->work);
}

static void on_trouble(void *owner, const char *why)
{
    struct taint *taint = owner;

    journal_line(taint->options.log, JOURNAL_WARN, "the lease %.*s/" LEASE " cannot be had: %s", SLICE_ARGS(taint->options.namespace_), why);
}

/* --- the whole --- */

static void on_synced(void *owner)
{
}

static int follow(struct taint *taint, enum kube_kind kind, const char *resource, struct api_selection selection, struct api_reflector **ret_reflector)
{
    const struct api_reflector_options options = {
        .client = taint->options.client, .store = taint->store, .reporter = taint->options.reporter, .kind = kind, .version = SLICE_LIT("v1"),
        .resource = slice_str(resource), .selection = selection, .on_synced = on_synced, .owner = taint};

    return api_reflector_new(&options, ret_reflector);
}

static int begin(struct taint *taint)
{
    const struct taint_options *options = &taint->options;
    const struct lease_options lease = {.namespace_ = options->namespace_, .name = SLICE_LIT(LEASE), .identity = slice_str(options->identity),
                                        .on_change = on_lease, .on_trouble = on_trouble, .owner = taint};
    struct loop *loop = loop_of(taint);
    int r = timer_init(loop, &taint->timer, on_timer);

    if (r == 0)
        r = store_new(rng_next(&loop->rng), rng_next(&loop->rng), &taint->store);
    if (r == 0)
        r = store_subscribe(taint->store, &taint->subscriber);
    if (r == 0)
        r = follow(taint, KUBE_NODE, "nodes", (struct api_selection){0}, &taint->node_reflector);
    if (r == 0)
        r = follow(taint, KUBE_POD, "pods", (struct api_selection){.namespace_ = options->namespace_, .labels = slice_str(options->labels)}, &taint->pod_reflector);
    if (r == 0)
        r = lease_new(options->client, &lease, &taint->lease);
    return r;
}

int taint_new(const struct taint_options *options, struct taint **ret_taint)
{
    struct taint *taint = calloc(1, sizeof(*taint));
    struct loop *loop = api_client_loop(options->client);
    int r;

    if (!taint)
        return -ENOMEM;
    taint->options = *options;
    map_init(&taint->nodes, rng_next(&loop->rng), rng_next(&loop->rng));
    list_init(&taint->due);
    task_init(&taint->work, on_work);
    taint->subscriber = (struct subscriber){.kinds = STORE_KIND(KUBE_NODE) | STORE_KIND(KUBE_POD), .on_change = on_change};
    for (int i = 0; i < TAINT_FAMILIES; i++)
        taint->metrics[i] = metric_get(options->shard, options->families + i, SLICE_LIT(""));
    r = begin(taint);
    if (r < 0) {
        taint_free(taint);
        return r;
    }
    *ret_taint = taint;
    return 0;
}

void taint_free(struct taint *taint)
{
    if (!taint)
        return;
    api_call_cancel(taint->call);
    lease_free(taint->lease);
    api_reflector_free(taint->pod_reflector);
    api_reflector_free(taint->node_reflector);
    if (taint->subscriber.link.next)
        store_unsubscribe(taint->store, &taint->subscriber);
    store_free(taint->store);
    if (taint->asking && taint->asking->over)
        free(taint->asking);
    MAP_FOR_EACH (link, &taint->nodes)
        free(CONTAINER_OF(MAP_ENTRY(link), struct tainted, entry));
    map_release(&taint->nodes);
    timer_release(loop_of(taint), &taint->timer);
    task_cancel(&taint->work);
    for (int i = 0; i < TAINT_FAMILIES; i++)
        metric_unref(taint->metrics[i]);
    free(taint);
}

bool taint_is_ready(const struct taint *taint)
{
    return api_reflector_is_synced(taint->node_reflector) && api_reflector_is_synced(taint->pod_reflector);
}

void taint_measure(struct taint *taint)
{
    metric_set(taint->metrics[TAINT_NODES], (int64_t)taint->nodes.count);
    metric_set(taint->metrics[TAINT_LEADS], lease_is_held(taint->lease));
}

void taint_give_up(struct taint *taint)
{
    taint->ending = true;
    api_call_cancel(taint->call);
    taint->call = NULL;
    lease_give_up(taint->lease);
}
