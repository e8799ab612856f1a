#include "control/views.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

enum { TOPIC_MAX = 1024 }; /* bytes; what is longer is cut for followers and touches alike */

/*
 * What one message to one call is reckoned to cost the machine: ours, the kernel's, the reader's part. Views rest for as long
 * as they have just made others work, so that a storm of changes is told in fewer, larger steps, and what is told does not
 * grow old in queues. A change that comes alone waits for nothing.
 */
enum { MESSAGE_NS = 40 * 1000, REST_MAX_NS = 500 * 1000 * 1000 };

struct topic {
    struct map_entry entry;
    struct list followers; /* struct interest */
    char text[];
};

struct interest {
    struct list in_view, in_topic;
    struct topic *topic;
    struct view *view;
};

struct view_call {
    struct list link;
    struct view *view;
    struct grpc_server_call *call;
    uint64_t owner;
};

enum family { REMAKES, MESSAGES, OVERFLOWS, FAMILIES };
static const struct metric_family families[FAMILIES] = {
    [REMAKES] = {"control_views_remade_total", "Answers made anew since something that they depend on has changed.",
                 METRIC_COUNTER, METRIC_PLAIN, NULL},
    [MESSAGES] = {"control_updates_sent_total", "Messages to calls about changes, first answers left aside.", METRIC_COUNTER,
                  METRIC_PLAIN, NULL},
    [OVERFLOWS] = {"control_queue_overflow_total", "Calls ended as their queue was full, to begin anew.", METRIC_COUNTER,
                   METRIC_PLAIN, NULL},
};

/* --- the set --- */

static void remake_dirty(struct task *task);

static void rested(struct timer *timer)
{
    struct views *views = CONTAINER_OF(timer, struct views, rest);

    task_wake(views->loop, &views->remake);
}

int views_init(struct views *views, struct loop *loop, size_t queue_bytes)
{
    struct rng *rng = &loop->rng;

    *views = (struct views){.loop = loop, .queue_bytes = queue_bytes};
    map_init(&views->by_key, rng_next(rng), rng_next(rng));
    map_init(&views->topics, rng_next(rng), rng_next(rng));
    list_init(&views->dirty);
    task_init(&views->remake, remake_dirty);
    return timer_init(loop, &views->rest, rested);
}

int views_register(struct metrics *metrics)
{
    return metrics_add_table(metrics, families, FAMILIES);
}

void views_count(struct views *views, struct metric_shard *shard, int first, const char *component)
{
    struct buffer labels;

    buffer_init(&labels, 256);
    label_add(&labels, "component", slice_str(component));
    views->remakes = metric_get(shard, first + REMAKES, buffer_slice(&labels));
    views->messages = metric_get(shard, first + MESSAGES, buffer_slice(&labels));
    views->overflows = metric_get(shard, first + OVERFLOWS, buffer_slice(&labels));
    buffer_release(&labels);
}

static void count(struct metric *metric)
{
    if (metric)
        metric_add(metric, 1);
}

void views_release(struct views *views)
{
    metric_unref(views->remakes);
    metric_unref(views->messages);
    metric_unref(views->overflows);
    task_cancel(&views->remake);
    timer_release(views->loop, &views->rest);
    map_release(&views->by_key);
    map_release(&views->topics);
}

static int add(struct views *views, struct view *view, const struct view_kind *kind, struct slice key)
{
    char *copy = malloc(key.len + 1);
    int r;

    if (!copy)
        return -ENOMEM;
    memcpy(copy, key.ptr, key.len);
    view->key = slice_of(copy, key.len);
    r = map_add(&views->by_key, &view->entry, view->key);
    if (r < 0) {
        free(copy);
        return r;
    }
    view->views = views;
    view->kind = kind;
    list_init(&view->dirty_link);
    list_init(&view->calls);
    list_init(&view->interests);
    return 0;
}

/* Makes it anew; false: no call has stayed, and it is gone. */
static bool renew(struct view *view)
{
    view->busy = true;
    if (!view->broken) {
        count(view->views->remakes);
        view->kind->remake(view);
    }
    if (view->broken)
        view_end(view, GRPC_OK, SLICE_NULL);
    view->busy = false;
    if (!list_empty(&view->calls))
        return true;
    view_leave_unused(view);
    return false;
}

/*
 * Its calls are told what has changed, so that they and one that joins know the same: what comes and goes before the view
 * is made anew would never be taken back from one that has seen it. False: it is gone.
 */
static bool is_told(struct view *view)
{
    if (list_empty(&view->dirty_link))
        return true;
    list_remove(&view->dirty_link);
    return renew(view);
}

int views_get(struct views *views, const struct view_kind *kind, const char *key, int len, size_t size, struct view **ret_view)
{
    struct map_entry *entry;
    struct view *view;
    int r;

    if (len < 0 || (size_t)len >= size)
        return -EINVAL;
    entry = map_find(&views->by_key, slice_of(key, (size_t)len));
    view = entry ? CONTAINER_OF(entry, struct view, entry) : NULL;
    if (view && is_told(view)) {
        *ret_view = view;
        return 0;
    }
    view = calloc(1, kind->size);
    if (!view)
        return -ENOMEM;
    r = add(views, view, kind, slice_of(key, (size_t)len));
    if (r < 0) {
        free(view);
        return r;
    }
    *ret_view = view;
    return 1;
}

void views_refuse(struct grpc_server_call *call, int error)
{
    if (error == -EINVAL)
        grpc_finish(call, GRPC_INVALID_ARGUMENT, SLICE_LIT("names too long"));
    else
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
}

void view_release(struct view *view)
{
    view_forget(view);
    map_remove(&view->views->by_key, &view->entry);
    list_remove(&view->dirty_link);
    free((char *)(uintptr_t)view->key.ptr);
}

/* --- topics --- */

static struct slice format_topic(char text[TOPIC_MAX], const char *format, va_list args)
{
    int len = vsnprintf(text, TOPIC_MAX, format, args);

    return slice_of(text, len < 0 ? 0 : len < TOPIC_MAX ? (size_t)len : TOPIC_MAX - 1);
}

static struct topic *find_topic(struct views *views, struct slice text)
{
    struct map_entry *entry = map_find(&views->topics, text);

    return entry ? CONTAINER_OF(entry, struct topic, entry) : NULL;
}

static struct topic *add_topic(struct views *views, struct slice text)
{
    struct topic *topic = malloc(sizeof(*topic) + text.len);

    if (!topic)
        return NULL;
    list_init(&topic->followers);
    memcpy(topic->text, text.ptr, text.len);
    if (map_add(&views->topics, &topic->entry, slice_of(topic->text, text.len)) < 0) {
        free(topic);
        return NULL;
    }
    return topic;
}

static void drop_topic_unfollowed(struct views *views, struct topic *topic)
{
    if (!list_empty(&topic->followers))
        return;
    map_remove(&views->topics, &topic->entry);
    free(topic);
}

void view_forget(struct view *view)
{
    struct list *link;

    while ((link = list_pop(&view->interests))) {
        struct interest *interest = CONTAINER_OF(link, struct interest, in_view);

        list_remove(&interest->in_topic);
        drop_topic_unfollowed(view->views, interest->topic);
        free(interest);
    }
}

static int follow(struct view *view, struct slice text)
{
    struct interest *interest = malloc(sizeof(*interest));
    struct topic *topic = find_topic(view->views, text);

    if (interest && !topic)
        topic = add_topic(view->views, text);
    if (!interest || !topic) {
        free(interest);
        return -ENOMEM;
    }
    *interest = (struct interest){.topic = topic, .view = view};
    list_push(&topic->followers, &interest->in_topic);
    list_push(&view->interests, &interest->in_view);
    return 0;
}

void view_follow(struct view *view, const char *format, ...)
{
    char text[TOPIC_MAX];
    va_list args;
    int r;

    va_start(args, format);
    r = follow(view, format_topic(text, format, args));
    va_end(args);
    if (r < 0)
        view_break(view);
}

static void touch(struct view *view)
{
    struct views *views = view->views;

    if (list_empty(&view->dirty_link))
        list_push(&views->dirty, &view->dirty_link);
    if (views->loop->now_ns >= views->rest_until_ns)
        task_wake(views->loop, &views->remake);
    else if (!timer_is_set(&views->rest))
        timer_set(views->loop, &views->rest, views->rest_until_ns);
}

void view_break(struct view *view)
{
    view->broken = true;
    touch(view);
}

static void touch_topic(struct views *views, struct slice text, bool (*applies)(const struct view *view, const void *context),
                        const void *context)
{
    struct topic *topic = find_topic(views, text);

    if (!topic)
        return;
    LIST_FOR_EACH (link, &topic->followers) {
        struct view *view = CONTAINER_OF(link, struct interest, in_topic)->view;

        if (!applies || applies(view, context))
            touch(view);
    }
}

void views_touch(struct views *views, const char *format, ...)
{
    char text[TOPIC_MAX];
    va_list args;

    va_start(args, format);
    touch_topic(views, format_topic(text, format, args), NULL, NULL);
    va_end(args);
}

void views_touch_some(struct views *views, bool (*applies)(const struct view *view, const void *context), const void *context,
                      const char *format, ...)
{
    char text[TOPIC_MAX];
    va_list args;

    va_start(args, format);
    touch_topic(views, format_topic(text, format, args), applies, context);
    va_end(args);
}

static void begin_rest(struct views *views)
{
    int64_t rest = (int64_t)views->told * MESSAGE_NS;

    views->rest_until_ns = views->loop->now_ns + (rest < REST_MAX_NS ? rest : REST_MAX_NS);
    views->told = 0;
}

static void remake_dirty(struct task *task)
{
    struct views *views = CONTAINER_OF(task, struct views, remake);
    struct list *link;

    while ((link = list_pop(&views->dirty)))
        renew(CONTAINER_OF(link, struct view, dirty_link));
    begin_rest(views);
}

/* --- calls --- */

static void leave(struct view_call *call)
{
    struct view *view = call->view;

    list_remove(&call->link);
    free(call);
    view_leave_unused(view);
}

static void on_gone(struct grpc_server_call *grpc)
{
    leave(grpc_server_call_owner(grpc));
}

static const struct grpc_server_call_events call_events = {.on_gone = on_gone};

int view_join(struct view *view, struct grpc_server_call *grpc, size_t first)
{
    return view_join_of(view, grpc, first, 0);
}

int view_join_of(struct view *view, struct grpc_server_call *grpc, size_t first, uint64_t owner)
{
    struct view_call *call = malloc(sizeof(*call));

    if (!call) {
        grpc_finish(grpc, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
        view_leave_unused(view);
        return -ENOMEM;
    }
    *call = (struct view_call){.view = view, .call = grpc, .owner = owner};
    list_push(&view->calls, &call->link);
    grpc_server_call_bind(grpc, &call_events, call, view->views->queue_bytes + first);
    return 0;
}

void view_begin(struct view *view, struct grpc_server_call *call, struct slice answer)
{
    if (list_empty(&view->calls))
        view_said(view, answer);
    if (view_join(view, call, answer.len) == 0 && grpc_reply(call, answer) < 0)
        view_end_call(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
}

void view_leave_unused(struct view *view)
{
    if (list_empty(&view->calls) && !view->busy)
        view->kind->free(view);
}

void view_end_call(struct grpc_server_call *call, int status, struct slice text)
{
    struct view_call *joined = grpc_server_call_owner(call);

    grpc_finish(call, status, text);
    leave(joined);
}

static void send_to(struct view_call *call, struct grpc_message *message)
{
    struct views *views = call->view->views;

    if (message && grpc_reply_message(call->call, message) == 0) {
        count(views->messages);
        views->told++;
        return;
    }
    count(views->overflows);
    grpc_finish(call->call, GRPC_OK, SLICE_NULL);
    leave(call);
}

void view_send(struct view *view, struct slice bytes)
{
    struct grpc_message *message = grpc_message_new(bytes);
    bool was_busy = view->busy;

    view->busy = true;
    LIST_FOR_EACH (link, &view->calls)
        send_to(CONTAINER_OF(link, struct view_call, link), message);
    view->busy = was_busy;
    grpc_message_unref(message);
    view_leave_unused(view);
}

void view_said(struct view *view, struct slice message)
{
    view->said = siphash13(message.ptr, message.len, 1, 2);
}

void view_say(struct view *view, struct slice message)
{
    uint64_t before = view->said;

    view_said(view, message);
    if (view->said != before)
        view_send(view, message);
}

void view_end(struct view *view, int status, struct slice text)
{
    bool was_busy = view->busy;

    view->busy = true;
    while (!list_empty(&view->calls)) {
        struct view_call *call = CONTAINER_OF(view->calls.next, struct view_call, link);

        grpc_finish(call->call, status, text);
        leave(call);
    }
    view->busy = was_busy;
    view_leave_unused(view);
}

void view_end_of(struct view *view, uint64_t owner, int status)
{
    bool was_busy = view->busy;

    view->busy = true;
    LIST_FOR_EACH (link, &view->calls) {
        struct view_call *call = CONTAINER_OF(link, struct view_call, link);

        if (call->owner != owner)
            continue;
        grpc_finish(call->call, status, SLICE_NULL);
        leave(call);
    }
    view->busy = was_busy;
    view_leave_unused(view);
}

void views_end(struct views *views)
{
    MAP_FOR_EACH (link, &views->by_key)
        view_end(CONTAINER_OF(MAP_ENTRY(link), struct view, entry), GRPC_OK, SLICE_NULL);
}
