#include "kube/api/api_reflector.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "kube/api/api_known.h"
#include "kube/api/api_stream.h"
#include "kube/decode/decode.h"
#include "kube/decode/parts.h"
#include "mesh/backoff.h"

enum { PAGE = 500, BASE_MAX = 4096, VERSION_MAX = 128, CONTINUE_MAX = 64 * 1024, WATCH_MIN_S = 300, WATCH_SPREAD_S = 300 };

static const int64_t STALL_NS = 60 * NS_PER_S;   /* a state that is being sent and brings not a byte for so long */
static const int64_t OVERDUE_NS = 60 * NS_PER_S; /* a watch beyond the time that it was asked for */
static const int64_t PROVEN_NS = 1 * NS_PER_S;   /* a watch that lasted so long was no failure */

/* What is being done, and which event leaves it. */
enum phase {
    PAUSED,     /* the timer */
    LISTING,    /* a page of the list: its end */
    WATCH_LIST, /* the present state, as a watch: the bookmark that ends it */
    WATCHING    /* the watch's end */
};

struct api_reflector {
    struct api_reflector_options options;
    struct reporter filter; /* of the decoder: passes errors on */
    struct decode_sink sink;
    struct api_handler handler;
    const char *base; /* "/apis/policy.linkerd.io/v1beta3/servers?", the selection behind it */
    enum phase phase;
    bool no_watch_list; /* the server has refused it */
    bool synced;
    char version[VERSION_MAX]; /* resourceVersion to go on from; empty: from the beginning */
    struct buffer more;        /* the list's continue; empty: its first page */
    uint32_t round;            /* of the list, or of the present state: what has it in the store was seen */
    struct known broken;       /* what could not be decoded */
    struct parts parts;
    struct api_call *call;
    struct api_stream *stream;
    struct timer timer;
    int64_t began_ns;
    unsigned failures; /* in a row */
    int last_error;    /* that was reported; 0: all is well */
    /* What the stream that runs has told: */
    int error;         /* of the store, or no memory */
    int status;        /* code of a Status, 0: none */
    char message[256];
    bool ended_state;  /* the bookmark */
    struct slice item_namespace, item_name; /* of what is being decoded */
    const struct yaml_node *item;
};

static void begin(struct api_reflector *reflector);

/* --- what a person should know --- */

static void tell(struct api_reflector *reflector, enum report_severity severity, const char *reason)
{
    struct report report = {.severity = severity, .object = kube_kind_name(reflector->options.kind), .reason = slice_str(reason)};

    if (reflector->options.reporter)
        reflector->options.reporter->report(reflector->options.reporter, &report);
}

static void tell_trouble(struct api_reflector *reflector, int error, const char *why)
{
    struct errmsg msg;

    if (reflector->last_error == error)
        return;
    reflector->last_error = error;
    errmsg_set(&msg, 0, "%s; %s", why, reflector->synced ? "what is known stays in force" : "it is asked again");
    tell(reflector, REPORT_WARNING, msg.text);
}

static void tell_well(struct api_reflector *reflector)
{
    if (reflector->last_error)
        tell(reflector, REPORT_INFO, "up to date again");
    reflector->last_error = 0;
}

static void filter_report(struct reporter *reporter, const struct report *report)
{
    struct api_reflector *reflector = CONTAINER_OF(reporter, struct api_reflector, filter);

    if (report->severity == REPORT_ERROR && reflector->options.reporter)
        reflector->options.reporter->report(reflector->options.reporter, report);
}

/* --- objects --- */

static void note_error(struct api_reflector *reflector, int r)
{
    if (r < 0 && !reflector->error)
        reflector->error = r;
}

static void decoded(struct decode_sink *sink, const struct decoded *decoded)
{
    struct api_reflector *reflector = CONTAINER_OF(sink, struct api_reflector, sink);
    struct known_item *bad;
    uint64_t digest[2];

    if (decoded->what == DECODED_OBJECT) {
        known_remove(&reflector->broken, reflector->item_namespace, reflector->item_name);
        if (decoded->object->kind == reflector->options.kind)
            note_error(reflector, store_put(reflector->options.store, decoded->object));
        kube_object_unref(decoded->object);
        return;
    }
    if (decoded->what != DECODED_BROKEN)
        return;
    yaml_digest_object(reflector->item, digest);
    bad = known_add(&reflector->broken, reflector->item_namespace, reflector->item_name);
    if (bad)
        *bad = (struct known_item){digest[0], reflector->round};
}

static struct slice text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_STRING ? node->text : SLICE_LIT("");
}

/* Whether it is known to be broken just as it is now: then that was said. */
static bool is_known_broken(const struct api_reflector *reflector, const struct yaml_node *object)
{
    struct known_item *bad = known_find(&reflector->broken, reflector->item_namespace, reflector->item_name);
    uint64_t digest[2];

    if (!bad)
        return false;
    bad->round = reflector->round;
    yaml_digest_object(object, digest);
    return bad->digest == digest[0];
}

static void identify(struct api_reflector *reflector, const struct yaml_node *object)
{
    const struct yaml_node *metadata = yaml_get_lit(object, "metadata");

    reflector->item = object;
    reflector->item_name = text_of(yaml_get_lit(metadata, "name"));
    reflector->item_namespace = text_of(yaml_get_lit(metadata, "namespace"));
}

static void take(struct api_reflector *reflector, const struct yaml_node *object)
{
    const struct decode_options options = {
        .reporter = &reflector->filter, .parts = &reflector->parts, .read_only = reflector->options.read_only};

    identify(reflector, object);
    if (!is_known_broken(reflector, object))
        note_error(reflector, decode_item(object, reflector->options.kind, reflector->options.version, &options, &reflector->sink));
    store_mark(reflector->options.store, reflector->options.kind, reflector->item_namespace, reflector->item_name, reflector->round);
}

static void take_away(struct api_reflector *reflector, const struct yaml_node *object)
{
    identify(reflector, object);
    known_remove(&reflector->broken, reflector->item_namespace, reflector->item_name);
    note_error(reflector, store_remove(reflector->options.store, reflector->options.kind, reflector->item_namespace, reflector->item_name));
}

/* Removes what is of another round. */
static int remove_others(struct store *store, enum kube_kind kind, uint32_t round)
{
    struct kube_set set = store_all(store, kind);
    const struct kube_object **gone = set.count ? calloc(set.count, sizeof(*gone)) : NULL;
    size_t count = 0;
    int r = 0;

    if (set.count && !gone)
        return -ENOMEM;
    for (size_t i = 0; i < set.count; i++)
        if (!set.items[i]->derived && set.items[i]->round != round)
            gone[count++] = kube_object_ref(set.items[i]);
    for (size_t i = 0; i < count; i++) {
        if (r == 0)
            r = store_remove(store, kind, gone[i]->namespace_, gone[i]->name);
        kube_object_unref(gone[i]);
    }
    free(gone);
    return r;
}

int api_reflector_clear(struct store *store, enum kube_kind kind)
{
    return remove_others(store, kind, store_new_round(store));
}

/* The whole state has come: what it did not bring is gone. */
static void end_state(struct api_reflector *reflector)
{
    int r = remove_others(reflector->options.store, reflector->options.kind, reflector->round);

    known_keep(&reflector->broken, reflector->round);
    buffer_clear(&reflector->more);
    if (r < 0) {
        note_error(reflector, r);
        return;
    }
    reflector->failures = 0;
    tell_well(reflector);
    if (reflector->synced)
        return;
    reflector->synced = true;
    reflector->options.on_synced(reflector->options.owner);
}

/* --- events of the stream --- */

static void keep_version(struct api_reflector *reflector, struct slice version)
{
    if (!version.len || version.len >= VERSION_MAX)
        return;
    memcpy(reflector->version, version.ptr, version.len);
    reflector->version[version.len] = '\0';
}

static void take_status(struct api_reflector *reflector, const struct yaml_node *object)
{
    const struct yaml_node *code = yaml_get_lit(object, "code");
    struct slice reason = text_of(yaml_get_lit(object, "reason")), message = text_of(yaml_get_lit(object, "message"));
    bool expired = slice_eq(reason, SLICE_LIT("Expired")) || slice_eq(reason, SLICE_LIT("Gone"));

    reflector->status = expired ? 410 : code && code->kind == YAML_INTEGER && code->integer > 0 && code->integer < 1000 ? (int)code->integer : 500;
    snprintf(reflector->message, sizeof(reflector->message), "%.*s", SLICE_ARGS(slice_take(message, sizeof(reflector->message) - 1)));
}

static bool ends_state(const struct yaml_node *object)
{
    const struct yaml_node *annotations = yaml_get_lit(yaml_get_lit(object, "metadata"), "annotations");

    return slice_eq(text_of(yaml_get_lit(annotations, "k8s.io/initial-events-end")), SLICE_LIT("true"));
}

static void on_event(struct api_handler *handler, enum api_event event, const struct yaml_node *object)
{
    struct api_reflector *reflector = CONTAINER_OF(handler, struct api_reflector, handler);
    struct slice version = text_of(yaml_get_lit(yaml_get_lit(object, "metadata"), "resourceVersion"));

    if (reflector->error || reflector->status)
        return; /* over: what comes behind is asked for again */
    switch (event) {
    case API_ITEM:
    case API_ADDED:
    case API_MODIFIED: take(reflector, object); break;
    case API_DELETED: take_away(reflector, object); break;
    case API_STATUS: take_status(reflector, object); return;
    case API_BOOKMARK: reflector->ended_state |= ends_state(object); break;
    }
    if (reflector->phase == WATCH_LIST && reflector->ended_state) {
        reflector->phase = WATCHING;
        end_state(reflector);
    }
    if (reflector->phase == WATCHING && !reflector->error)
        keep_version(reflector, version);
}

/* --- when to go on --- */

static void forget_stream(struct api_reflector *reflector)
{
    api_call_cancel(reflector->call);
    reflector->call = NULL;
    api_stream_free(reflector->stream);
    reflector->stream = NULL;
}

static void go_on_after(struct api_reflector *reflector, int64_t delay_ns)
{
    struct loop *loop = api_client_loop(reflector->options.client);

    reflector->phase = PAUSED;
    timer_set(loop, &reflector->timer, loop->now_ns + delay_ns);
}

/* From the beginning; what was seen of it so far does not count. */
static void start_over(struct api_reflector *reflector)
{
    reflector->version[0] = '\0';
    buffer_clear(&reflector->more);
}

static void fail(struct api_reflector *reflector, int error, const char *why, int64_t retry_after_ns)
{
    int64_t delay = backoff_delay(&BACKOFF_INBOUND, ++reflector->failures, &api_client_loop(reflector->options.client)->rng);

    if (mutation("half-a-state-removes") && reflector->phase == WATCH_LIST)
        (void)remove_others(reflector->options.store, reflector->options.kind, reflector->round);
    forget_stream(reflector);
    tell_trouble(reflector, error, why);
    go_on_after(reflector, delay > retry_after_ns ? delay : retry_after_ns);
}

/* Too old: at once, unless that happens again and again. */
static void expire(struct api_reflector *reflector)
{
    struct loop *loop = api_client_loop(reflector->options.client);

    forget_stream(reflector);
    tell(reflector, REPORT_INFO, "the server does not have what came since; all is asked for anew");
    start_over(reflector);
    go_on_after(reflector, reflector->failures++ ? backoff_delay(&BACKOFF_INBOUND, reflector->failures, &loop->rng) : 0);
}

/* The server is well, but not with this request, and for no reason that time or rights would change. */
static bool is_refusal(int status)
{
    return status >= 400 && status < 500 && status != 401 && status != 403 && status != 410 && status != 429;
}

static void fail_by_status(struct api_reflector *reflector, int status, int error, const char *why, int64_t retry_after_ns)
{
    if (status == 410 && !mutation("too-old-is-asked-again")) {
        expire(reflector);
    } else if (reflector->phase == WATCH_LIST && (status == 422 || status == 400)) {
        reflector->no_watch_list = true;
        forget_stream(reflector);
        go_on_after(reflector, 0);
    } else {
        if (is_refusal(status) || reflector->phase != WATCHING)
            start_over(reflector);
        fail(reflector, error, why, retry_after_ns);
    }
}

/* What the stream has told that ends it. */
static bool look_at_stream(struct api_reflector *reflector)
{
    char why[320];

    if (reflector->status) {
        snprintf(why, sizeof(why), "the API server ended the watch: status %d: %s", reflector->status, reflector->message);
        fail_by_status(reflector, reflector->status, -reflector->status, why, 0);
    } else if (reflector->error) {
        start_over(reflector); /* something is missing from the store */
        fail(reflector, reflector->error, reflector->error == -ENOSPC ? "there are too many objects" : "no memory", 0);
    } else {
        return false;
    }
    return true;
}

static void arm(struct api_reflector *reflector)
{
    struct loop *loop = api_client_loop(reflector->options.client);
    int64_t watch_ns = (WATCH_MIN_S + WATCH_SPREAD_S) * NS_PER_S + OVERDUE_NS;

    timer_set(loop, &reflector->timer, reflector->phase == WATCHING ? reflector->began_ns + watch_ns : loop->now_ns + STALL_NS);
}

static void on_data(struct api_call *call, struct slice bytes)
{
    struct api_reflector *reflector = api_call_owner(call);
    struct errmsg msg;
    int r = api_stream_feed(reflector->stream, bytes, &msg);

    if (look_at_stream(reflector))
        return;
    if (r < 0) {
        start_over(reflector);
        fail(reflector, r, msg.text, 0);
        return;
    }
    arm(reflector);
}

/* A page of the list is whole. */
static void end_page(struct api_reflector *reflector)
{
    struct api_list_end end = api_stream_list_end(reflector->stream);

    buffer_clear(&reflector->more);
    if (end.continue_.len) {
        if (buffer_add(&reflector->more, end.continue_) < 0) {
            start_over(reflector);
            fail(reflector, -ENOBUFS, "the list's continue token is too long", 0);
            return;
        }
    } else {
        keep_version(reflector, end.resource_version);
        end_state(reflector);
        if (look_at_stream(reflector))
            return;
    }
    forget_stream(reflector);
    begin(reflector);
}

static void end_watch(struct api_reflector *reflector)
{
    struct loop *loop = api_client_loop(reflector->options.client);

    if (reflector->phase == WATCHING && loop->now_ns - reflector->began_ns >= PROVEN_NS) {
        reflector->failures = 0;
        forget_stream(reflector);
        begin(reflector);
    } else {
        fail(reflector, -ENODATA, "the API server ended the watch at once", 0);
    }
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct api_reflector *reflector = api_call_owner(call);

    reflector->call = NULL;
    if (answer->error && answer->status >= 200 && answer->status < 300)
        fail(reflector, answer->error, answer->why, 0); /* broken off: a watch goes on where it was */
    else if (answer->error)
        fail_by_status(reflector, answer->status, answer->error, answer->why, answer->retry_after_ns);
    else if (reflector->phase == LISTING && api_stream_end(reflector->stream) == 0)
        end_page(reflector);
    else if (reflector->phase == LISTING)
        fail(reflector, -ENODATA, "the API server's list ended early", 0);
    else
        end_watch(reflector);
}

/* A watch that goes on where it was has all that there is, even if nothing comes for long. */
static void on_begin(struct api_call *call)
{
    struct api_reflector *reflector = api_call_owner(call);

    if (reflector->phase == WATCHING)
        tell_well(reflector);
}

static const struct api_call_events events = {on_data, on_end, on_begin};

/* --- requests --- */

/* RFC 3986: all but unreserved characters are escaped. */
static void add_escaped(struct buffer *to, struct slice text)
{
    for (size_t i = 0; i < text.len; i++) {
        unsigned char c = (unsigned char)text.ptr[i];

        if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || (c && strchr("-._~", c)))
            buffer_add_byte(to, (char)c);
        else
            buffer_printf(to, "%%%02X", c);
    }
}

static void write_path(struct api_reflector *reflector, struct buffer *path)
{
    unsigned seconds = WATCH_MIN_S + (unsigned)rng_below(&api_client_loop(reflector->options.client)->rng, WATCH_SPREAD_S);

    buffer_add(path, slice_str(reflector->base));
    if (reflector->phase == LISTING) {
        buffer_printf(path, "limit=%d", PAGE);
        if (reflector->more.len) {
            buffer_add_lit(path, "&continue=");
            add_escaped(path, buffer_slice(&reflector->more));
        }
        return;
    }
    buffer_printf(path, "watch=true&allowWatchBookmarks=true&timeoutSeconds=%u", seconds);
    if (reflector->phase == WATCH_LIST) {
        buffer_add_lit(path, "&sendInitialEvents=true&resourceVersionMatch=NotOlderThan");
    } else {
        buffer_add_lit(path, "&resourceVersion=");
        add_escaped(path, slice_str(reflector->version));
    }
}

static int ask(struct api_reflector *reflector)
{
    struct api_request request = {.alone = reflector->phase == LISTING};
    struct buffer path;
    int r = api_stream_new(&reflector->handler, reflector->phase == LISTING ? API_LIST : API_WATCH, &reflector->stream);

    if (r < 0)
        return r;
    buffer_init(&path, 4 * CONTINUE_MAX);
    write_path(reflector, &path);
    request.path = buffer_slice(&path);
    r = buffer_error(&path);
    if (r == 0)
        r = api_call_start(reflector->options.client, &request, &events, reflector, &reflector->call);
    buffer_release(&path);
    return r;
}

static void begin(struct api_reflector *reflector)
{
    int r;

    reflector->phase = reflector->version[0] ? WATCHING : reflector->no_watch_list ? LISTING : WATCH_LIST;
    reflector->began_ns = api_client_loop(reflector->options.client)->now_ns;
    reflector->error = reflector->status = 0;
    reflector->ended_state = false;
    if (reflector->phase != WATCHING && !reflector->more.len)
        reflector->round = store_new_round(reflector->options.store);
    r = ask(reflector);
    if (r < 0)
        fail(reflector, r, r == -ENOMEM ? "no memory" : "too many requests to the API server", 0);
    else
        arm(reflector);
}

static void on_timer(struct timer *timer)
{
    struct api_reflector *reflector = CONTAINER_OF(timer, struct api_reflector, timer);

    if (reflector->phase == PAUSED) {
        begin(reflector);
    } else if (reflector->phase == WATCHING) { /* the server should have ended it */
        forget_stream(reflector);
        begin(reflector);
    } else {
        start_over(reflector);
        fail(reflector, -ETIMEDOUT, "the API server stopped in the middle of its state", 0);
    }
}

/* --- the reflector --- */

static void add_selector(struct buffer *to, const char *name, struct slice selector)
{
    if (!selector.len)
        return;
    buffer_printf(to, "%s=", name);
    add_escaped(to, selector);
    buffer_add_byte(to, '&');
}

/* What is the same in every request; the rest of the query follows. NULL without memory. */
static char *base_of(const struct api_reflector_options *options)
{
    struct slice group = kube_kind_group(options->kind);
    const struct api_selection *selection = &options->selection;
    struct buffer path;
    char *base;

    buffer_init(&path, BASE_MAX);
    buffer_printf(&path, group.len ? "/apis/%.*s/%.*s" : "/api%.*s/%.*s", SLICE_ARGS(group), SLICE_ARGS(options->version));
    if (selection->namespace_.len)
        buffer_printf(&path, "/namespaces/%.*s", SLICE_ARGS(selection->namespace_));
    buffer_printf(&path, "/%.*s?", SLICE_ARGS(options->resource));
    add_selector(&path, "fieldSelector", selection->fields);
    add_selector(&path, "labelSelector", selection->labels);
    base = buffer_error(&path) ? NULL : slice_dup(buffer_slice(&path));
    buffer_release(&path);
    return base;
}

int api_reflector_new(const struct api_reflector_options *options, struct api_reflector **ret_reflector)
{
    struct api_reflector *reflector = calloc(1, sizeof(*reflector));
    char *version = slice_dup(options->version), *base = base_of(options);
    struct loop *loop = api_client_loop(options->client);

    if (!reflector || !version || !base || timer_init(loop, &reflector->timer, on_timer) < 0) {
        free(version);
        free(base);
        free(reflector);
        return -ENOMEM;
    }
    reflector->options = *options;
    reflector->options.version = slice_str(version);
    reflector->options.resource = SLICE_NULL;
    reflector->options.selection = (struct api_selection){0};
    reflector->base = base;
    reflector->filter.report = filter_report;
    reflector->sink.decoded = decoded;
    reflector->handler.event = on_event;
    buffer_init(&reflector->more, CONTINUE_MAX);
    known_init(&reflector->broken);
    parts_init(&reflector->parts, rng_next(&loop->rng), rng_next(&loop->rng));
    go_on_after(reflector, 0);
    *ret_reflector = reflector;
    return 0;
}

void api_reflector_free(struct api_reflector *reflector)
{
    if (!reflector)
        return;
    forget_stream(reflector);
    timer_release(api_client_loop(reflector->options.client), &reflector->timer);
    known_release(&reflector->broken);
    parts_release(&reflector->parts);
    buffer_release(&reflector->more);
    free((char *)reflector->options.version.ptr);
    free((char *)reflector->base);
    free(reflector);
}

bool api_reflector_is_synced(const struct api_reflector *reflector)
{
    return reflector->synced;
}

struct slice api_reflector_version(const struct api_reflector *reflector)
{
    return reflector->options.version;
}
