#include "kube/event_sink.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/map.h"
#include "kube/timestamp.h"
#include "mesh/backoff.h"

static const int64_t TIMEOUT_NS = 10 * NS_PER_S;
static const int64_t REQUEST_NS = 200 * NS_PER_MS; /* between requests, when the burst is used up */
static const int64_t COMPLAINT_NS = 300 * NS_PER_S;
enum { REQUEST_BURST = 25, ATTEMPTS = 12, BUDGETS = 256, NAME_MAX_BYTES = 253, NAME_SUFFIX = 17 };

/* One Event of the server, or one that it is still to learn of. */
struct event {
    struct map_entry entry; /* by all that makes two events equal */
    struct list link;       /* of waiting or known; of neither while it is sent */
    struct event_object object;
    enum event_type type;
    struct slice reason, message;
    uint64_t serial;        /* the end of its name */
    unsigned count;         /* how often it happened */
    unsigned sent, posted;  /* of that the server is being told, and has taken */
    int64_t first_wall_ns, last_wall_ns;
    int64_t not_before_ns;
    bool exists;            /* at the server */
    unsigned attempts;
    char text[];
};

/* How many more new events an object may have for one reason: the time at which the burst is whole again. */
struct budget {
    uint64_t key;
    int64_t whole_ns;
};

struct event_sink {
    struct api_client *client;
    struct event_sink_options options;
    struct map events;
    struct list waiting; /* oldest first */
    struct list known;   /* the server has them; least recently used first */
    struct event *sending;
    struct api_call *call;
    struct timer timer;
    int64_t requests_whole_ns; /* as a budget's, of all requests */
    int64_t pause_ns;          /* nothing before: the server is away */
    unsigned failures;
    bool complained;
    int64_t complaint_ns;      /* no other before */
    struct event_sink_counts counts;
    struct budget budgets[BUDGETS];
};

/* --- budgets --- */

static bool may_spend(int64_t whole_ns, int64_t now_ns, int64_t each_ns, int burst)
{
    return whole_ns <= now_ns + (burst - 1) * each_ns;
}

static int64_t spent(int64_t whole_ns, int64_t now_ns, int64_t each_ns)
{
    return (whole_ns > now_ns ? whole_ns : now_ns) + each_ns;
}

/* Two objects that meet in one place share what is left there at worst for as long as both are busy. */
static bool spend_budget(struct event_sink *sink, const struct event *event, int64_t now_ns)
{
    uint64_t key = siphash13(event->object.name.ptr, event->object.name.len, sink->events.secret[0], sink->events.secret[1]);
    struct budget *budget;

    key = siphash13(event->object.namespace_.ptr, event->object.namespace_.len, key, sink->events.secret[1]);
    key = siphash13(event->reason.ptr, event->reason.len, key, sink->events.secret[1]);
    budget = &sink->budgets[key % BUDGETS];
    if (budget->key != key && budget->whole_ns <= now_ns)
        *budget = (struct budget){.key = key};
    if (!may_spend(budget->whole_ns, now_ns, EVENT_REFILL_NS, EVENT_BURST))
        return false;
    budget->whole_ns = spent(budget->whole_ns, now_ns, EVENT_REFILL_NS);
    return true;
}

/* --- events --- */

static void free_event(struct event_sink *sink, struct event *event)
{
    map_remove(&sink->events, &event->entry);
    list_remove(&event->link);
    free(event);
}

static void drop_event(struct event_sink *sink, struct event *event)
{
    sink->counts.dropped += event->count - event->posted;
    free_event(sink, event);
}

/* Longer messages than a server takes lose their end, at a whole character. */
static struct slice cut_message(struct slice message)
{
    size_t len = message.len;

    if (len <= LIMIT_EVENT_MESSAGE)
        return message;
    len = LIMIT_EVENT_MESSAGE;
    while (len > 0 && ((unsigned char)message.ptr[len] & 0xc0) == 0x80)
        len--;
    return slice_take(message, len);
}

/* Appends the text and a NUL, and gives where it will be in `text`. */
static struct slice place(char *text, size_t *at, struct slice part)
{
    struct slice placed = slice_of(text + *at, part.len);

    if (part.len)
        memcpy(text + *at, part.ptr, part.len);
    text[*at + part.len] = '\0';
    *at += part.len + 1;
    return placed;
}

static struct event *make_event(const struct event_object *object, enum event_type type, struct slice reason, struct slice message)
{
    const struct slice parts[] = {object->api_version, object->kind, object->namespace_, object->name, object->uid, reason, message};
    size_t size = 1, at = 0;
    struct event *event;

    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
        size += parts[i].len + 1;
    if (size > (size_t)2 * LIMIT_EVENT_MESSAGE || !object->name.len)
        return NULL;
    event = calloc(1, sizeof(*event) + size);
    if (!event)
        return NULL;
    list_init(&event->link);
    event->type = type;
    event->object.api_version = place(event->text, &at, object->api_version);
    event->object.kind = place(event->text, &at, object->kind);
    event->object.namespace_ = place(event->text, &at, object->namespace_);
    event->object.name = place(event->text, &at, object->name);
    event->object.uid = place(event->text, &at, object->uid);
    event->reason = place(event->text, &at, reason);
    event->message = place(event->text, &at, message);
    event->text[at] = (char)('0' + type);
    event->entry.key = slice_of(event->text, size);
    return event;
}

/* Room for one more: an event that the server has may be forgotten, one that waits may not. */
static bool make_room(struct event_sink *sink)
{
    if (sink->events.count < LIMIT_EVENTS)
        return true;
    if (list_empty(&sink->known))
        return false;
    free_event(sink, CONTAINER_OF(sink->known.next, struct event, link));
    return true;
}

/* --- requests --- */

static struct slice namespace_of(const struct event *event)
{
    return event->object.namespace_.len ? event->object.namespace_ : SLICE_LIT("default");
}

static void add_name(struct buffer *out, const struct event *event)
{
    struct slice name = slice_take(event->object.name, NAME_MAX_BYTES - NAME_SUFFIX);

    while (name.len && (name.ptr[name.len - 1] == '.' || name.ptr[name.len - 1] == '-'))
        name.len--;
    buffer_printf(out, "%.*s.%016llx", SLICE_ARGS(name), (unsigned long long)event->serial);
}

static void add_field(struct buffer *out, const char *name, struct slice value)
{
    if (!value.len)
        return;
    buffer_printf(out, ",\"%s\":", name);
    buffer_add_json(out, value);
}

static void add_involved(struct buffer *out, const struct event_object *object)
{
    buffer_add_lit(out, ",\"involvedObject\":{\"name\":");
    buffer_add_json(out, object->name);
    add_field(out, "apiVersion", object->api_version);
    add_field(out, "kind", object->kind);
    add_field(out, "namespace", object->namespace_);
    add_field(out, "uid", object->uid);
    buffer_add_byte(out, '}');
}

static void write_event(const struct event_sink *sink, const struct event *event, struct buffer *out)
{
    char first[TIMESTAMP_TEXT_MAX], last[TIMESTAMP_TEXT_MAX];

    buffer_add_lit(out, "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"");
    add_name(out, event);
    buffer_add_byte(out, '"');
    add_field(out, "namespace", namespace_of(event));
    buffer_add_byte(out, '}');
    add_involved(out, &event->object);
    add_field(out, "type", event->type == EVENT_WARNING ? SLICE_LIT("Warning") : SLICE_LIT("Normal"));
    add_field(out, "reason", event->reason);
    add_field(out, "message", event->message);
    buffer_printf(out, ",\"count\":%u,\"firstTimestamp\":\"%s\",\"lastTimestamp\":\"%s\",\"source\":{\"component\":\"%s\"}", event->count,
                  timestamp_format(event->first_wall_ns, first), timestamp_format(event->last_wall_ns, last), sink->options.component);
    add_field(out, "reportingComponent", slice_str(sink->options.component));
    add_field(out, "reportingInstance", slice_str(sink->options.instance));
    buffer_add_byte(out, '}');
}

static void write_change(const struct event *event, struct buffer *out)
{
    char last[TIMESTAMP_TEXT_MAX];

    buffer_printf(out, "{\"count\":%u,\"lastTimestamp\":\"%s\"}", event->count, timestamp_format(event->last_wall_ns, last));
}

static void write_path(const struct event *event, struct buffer *out)
{
    buffer_printf(out, "/api/v1/namespaces/%.*s/events", SLICE_ARGS(namespace_of(event)));
    if (!event->exists)
        return;
    buffer_add_byte(out, '/');
    add_name(out, event);
}

static void on_end(struct api_call *call, const struct api_answer *answer);
static const struct api_call_events call_events = {.on_end = on_end};

static int start_request(struct event_sink *sink, struct event *event)
{
    struct buffer path, body;
    int r;

    buffer_init(&path, 1024);
    buffer_init(&body, (size_t)16 * LIMIT_EVENT_MESSAGE);
    write_path(event, &path);
    if (event->exists)
        write_change(event, &body);
    else
        write_event(sink, event, &body);
    r = buffer_error(&path) ? buffer_error(&path) : buffer_error(&body);
    if (r == 0)
        r = api_call_start(sink->client,
                           &(struct api_request){.method = event->exists ? "PATCH" : "POST", .path = buffer_slice(&path),
                                                 .content_type = event->exists ? SLICE_LIT(API_MERGE_PATCH) : SLICE_LIT(API_JSON),
                                                 .body = buffer_slice(&body), .timeout_ns = TIMEOUT_NS},
                           &call_events, sink, &sink->call);
    buffer_release(&path);
    buffer_release(&body);
    return r;
}

/* --- one after the other --- */

/* The oldest that may be sent; NULL: none now, and when the first may. */
static struct event *find_due(const struct event_sink *sink, int64_t now_ns, int64_t *ret_at_ns)
{
    int64_t at_ns = INT64_MAX;

    LIST_FOR_EACH (link, &sink->waiting) {
        struct event *event = CONTAINER_OF(link, struct event, link);

        if (event->not_before_ns <= now_ns)
            return event;
        if (event->not_before_ns < at_ns)
            at_ns = event->not_before_ns;
    }
    *ret_at_ns = at_ns;
    return NULL;
}

static void pause_sink(struct event_sink *sink)
{
    struct loop *loop = api_client_loop(sink->client);

    sink->pause_ns = loop->now_ns + backoff_delay(&BACKOFF_OUTBOUND, ++sink->failures, &loop->rng);
}

static void send_event(struct event_sink *sink, struct event *event, int64_t now_ns)
{
    list_remove(&event->link);
    if (start_request(sink, event) < 0) {
        list_push_front(&sink->waiting, &event->link);
        pause_sink(sink);
        return;
    }
    sink->sending = event;
    event->sent = event->count;
    sink->requests_whole_ns = spent(sink->requests_whole_ns, now_ns, REQUEST_NS);
}

static void pump(struct event_sink *sink)
{
    struct loop *loop = api_client_loop(sink->client);
    int64_t at_ns = loop->now_ns;
    struct event *event = NULL;

    if (sink->sending || list_empty(&sink->waiting))
        return;
    if (sink->pause_ns > at_ns)
        at_ns = sink->pause_ns;
    else if (!may_spend(sink->requests_whole_ns, at_ns, REQUEST_NS, REQUEST_BURST))
        at_ns = sink->requests_whole_ns - (REQUEST_BURST - 1) * REQUEST_NS;
    else
        event = find_due(sink, at_ns, &at_ns);
    if (event)
        send_event(sink, event, loop->now_ns);
    if (!sink->sending)
        timer_set(loop, &sink->timer, event ? sink->pause_ns : at_ns);
}

static void on_time(struct timer *timer)
{
    pump(CONTAINER_OF(timer, struct event_sink, timer));
}

static void complain(struct event_sink *sink, const char *why)
{
    int64_t now_ns = api_client_loop(sink->client)->now_ns;

    if (sink->complained || now_ns < sink->complaint_ns)
        return;
    sink->complained = true;
    sink->complaint_ns = now_ns + COMPLAINT_NS;
    if (sink->options.on_trouble)
        sink->options.on_trouble(sink->options.owner, why);
}

static void taken(struct event_sink *sink, struct event *event)
{
    sink->counts.posted += event->sent - event->posted;
    event->posted = event->sent;
    event->exists = true;
    event->attempts = 0;
    event->not_before_ns = api_client_loop(sink->client)->now_ns + EVENT_SPACING_NS;
    sink->failures = 0;
    sink->complained = false;
    list_push(event->count > event->posted ? &sink->waiting : &sink->known, &event->link);
}

static void ask_again(struct event_sink *sink, struct event *event)
{
    if (++event->attempts >= ATTEMPTS)
        drop_event(sink, event);
    else
        list_push_front(&sink->waiting, &event->link);
}

static bool is_passing(const struct api_answer *answer)
{
    return answer->status == 0 || answer->status == 401 || answer->status == 429 || answer->status >= 500;
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct event_sink *sink = api_call_owner(call);
    struct event *event = sink->sending;

    sink->sending = NULL;
    sink->call = NULL;
    if (!answer->error || (!event->exists && answer->status == 409)) { /* 409: an answer got lost; the name is ours alone */
        taken(sink, event);
    } else if (event->exists && answer->status == 404) { /* servers forget events after an hour */
        event->exists = false;
        event->serial = rng_next(&api_client_loop(sink->client)->rng);
        ask_again(sink, event);
    } else {
        complain(sink, answer->why);
        if (is_passing(answer)) {
            pause_sink(sink);
            ask_again(sink, event);
        } else {
            drop_event(sink, event);
        }
    }
    pump(sink);
}

/* --- the sink --- */

static struct event *add_event(struct event_sink *sink, struct event *event)
{
    struct loop *loop = api_client_loop(sink->client);

    if (!spend_budget(sink, event, loop->now_ns) || !make_room(sink) || map_add(&sink->events, &event->entry, event->entry.key) < 0) {
        free(event);
        sink->counts.dropped++;
        return NULL;
    }
    event->serial = rng_next(&loop->rng);
    event->first_wall_ns = loop->sys->ops->wall(loop->sys);
    list_push(&sink->waiting, &event->link);
    return event;
}

/* The one of the sink that is equal to this, which it takes. */
static struct event *find_or_add(struct event_sink *sink, struct event *made)
{
    struct map_entry *found = map_find(&sink->events, made->entry.key);
    struct event *event;

    if (!found)
        return add_event(sink, made);
    free(made);
    event = CONTAINER_OF(found, struct event, entry);
    if (event != sink->sending && event->count == event->posted) { /* the server has it, but not this time */
        list_remove(&event->link);
        list_push(&sink->waiting, &event->link);
    }
    return event;
}

void event_sink_post(struct event_sink *sink, const struct event_object *object, enum event_type type, struct slice reason, struct slice message)
{
    struct loop *loop = api_client_loop(sink->client);
    struct event *event = make_event(object, type, reason, cut_message(message));

    if (event)
        event = find_or_add(sink, event);
    else
        sink->counts.dropped++;
    if (!event)
        return;
    event->count++;
    event->last_wall_ns = loop->sys->ops->wall(loop->sys);
    if (!sink->sending) /* from the loop: more of the same may follow in this turn */
        timer_set(loop, &sink->timer, loop->now_ns);
}

struct event_sink_counts event_sink_counts(const struct event_sink *sink)
{
    return sink->counts;
}

int event_sink_new(struct api_client *client, const struct event_sink_options *options, struct event_sink **ret_sink)
{
    struct event_sink *sink = calloc(1, sizeof(*sink));
    struct loop *loop = api_client_loop(client);

    if (!sink)
        return -ENOMEM;
    sink->client = client;
    sink->options = *options;
    map_init(&sink->events, rng_next(&loop->rng), rng_next(&loop->rng));
    list_init(&sink->waiting);
    list_init(&sink->known);
    if (timer_init(loop, &sink->timer, on_time) < 0) {
        map_release(&sink->events);
        free(sink);
        return -ENOMEM;
    }
    *ret_sink = sink;
    return 0;
}

void event_sink_free(struct event_sink *sink)
{
    if (!sink)
        return;
    api_call_cancel(sink->call);
    MAP_FOR_EACH(link, &sink->events)
        free(CONTAINER_OF(MAP_ENTRY(link), struct event, entry));
    map_release(&sink->events);
    timer_release(api_client_loop(sink->client), &sink->timer);
    free(sink);
}
