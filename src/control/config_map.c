#include "control/config_map.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/duration.h"
#include "kube/api/api_stream.h"
#include "mesh/backoff.h"

enum { PATH = 512, WATCH_MIN_S = 300, WATCH_SPREAD_S = 300 };

static const int64_t OVERDUE_NS = 60 * NS_PER_S; /* beyond the time that the watch was asked for */
static const int64_t PROVEN_NS = 1 * NS_PER_S;   /* a watch that lasted so long was no failure */

struct config_map {
    struct config_map_setup setup;
    struct api_handler handler;
    struct api_call *call;     /* NULL: the timer says when to ask again */
    struct api_stream *stream;
    struct timer timer;
    int64_t began_ns;
    unsigned failures;         /* in a row */
    bool settled;
    bool troubled;             /* and it was said, once */
    bool refused;              /* the stream has told a Status, with this sentence: */
    char why[256];
};

static struct loop *loop_of(const struct config_map *map)
{
    return api_client_loop(map->setup.client);
}

static void forget_stream(struct config_map *map)
{
    api_call_cancel(map->call);
    map->call = NULL;
    api_stream_free(map->stream);
    map->stream = NULL;
}

static void fail(struct config_map *map, const char *why, int64_t retry_after_ns)
{
    struct loop *loop = loop_of(map);
    int64_t delay = backoff_delay(&BACKOFF_INBOUND, ++map->failures, &loop->rng);

    if (!map->troubled)
        log_line(map->setup.controller->log, LOG_WARN, map->setup.component, "the ConfigMap %s cannot be watched: %s; what is known of it stays in force",
                 map->setup.name, why);
    map->troubled = true;
    map->settled = true;
    forget_stream(map);
    timer_set(loop, &map->timer, loop->now_ns + (delay > retry_after_ns ? delay : retry_after_ns));
}

/* --- what the watch tells --- */

static void take(struct config_map *map, const struct yaml_node *object)
{
    const struct yaml_node *text = yaml_get(yaml_get_lit(object, "data"), slice_str(map->setup.key));

    if (map->troubled)
        log_line(map->setup.controller->log, LOG_INFO, map->setup.component, "the ConfigMap %s is watched again", map->setup.name);
    map->troubled = false;
    map->failures = 0;
    map->settled = true;
    if (text && text->kind == YAML_STRING)
        map->setup.on_text(map->setup.owner, text->text);
}

static void take_status(struct config_map *map, const struct yaml_node *object)
{
    const struct yaml_node *message = yaml_get_lit(object, "message");
    struct slice text = message && message->kind == YAML_STRING ? message->text : SLICE_LIT("the API server ended the watch");

    map->refused = true;
    snprintf(map->why, sizeof(map->why), "%.*s", SLICE_ARGS(slice_take(text, sizeof(map->why) - 1)));
}

static void on_event(struct api_handler *handler, enum api_event event, const struct yaml_node *object)
{
    struct config_map *map = CONTAINER_OF(handler, struct config_map, handler);

    if (event == API_ADDED || event == API_MODIFIED)
        take(map, object);
    else if (event == API_STATUS)
        take_status(map, object);
}

/* --- asking --- */

static void begin(struct config_map *map);

static void on_data(struct api_call *call, struct slice bytes)
{
    struct config_map *map = api_call_owner(call);
    struct errmsg msg = {""};
    int r = api_stream_feed(map->stream, bytes, &msg);

    if (map->refused)
        fail(map, map->why, 0);
    else if (r < 0)
        fail(map, msg.text[0] ? msg.text : "no memory", 0);
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct config_map *map = api_call_owner(call);
    bool lasted = loop_of(map)->now_ns - map->began_ns >= PROVEN_NS;

    map->call = NULL;
    if (answer->error && !(lasted && answer->status == 200)) {
        fail(map, answer->why, answer->retry_after_ns);
    } else if (!lasted) {
        fail(map, "the API server ended the watch at once", 0);
    } else {
        forget_stream(map);
        begin(map);
    }
}

/* Without a version to begin at, the state comes first, as the server has it now. */
static int ask(struct config_map *map)
{
    static const struct api_call_events events = {.on_data = on_data, .on_end = on_end};
    unsigned seconds = WATCH_MIN_S + (unsigned)rng_below(&loop_of(map)->rng, WATCH_SPREAD_S);
    char path[PATH];
    int n = snprintf(path, sizeof(path), "/api/v1/namespaces/%.*s/configmaps?fieldSelector=metadata.name%%3D%s&watch=true&timeoutSeconds=%u",
                     SLICE_ARGS(map->setup.controller->options.namespace_), map->setup.name, seconds);
    int r = api_stream_new(&map->handler, API_WATCH, &map->stream);

    if (r == 0)
        r = api_call_start(map->setup.client, &(struct api_request){.path = slice_of(path, (size_t)n)}, &events, map, &map->call);
    return r;
}

static void begin(struct config_map *map)
{
    struct loop *loop = loop_of(map);

    map->refused = false;
    map->began_ns = loop->now_ns;
    timer_set(loop, &map->timer, loop->now_ns + (WATCH_MIN_S + WATCH_SPREAD_S) * NS_PER_S + OVERDUE_NS);
    if (ask(map) < 0)
        fail(map, "no memory, or too many requests", 0);
}

/* It is time to ask again, or the server should have ended the watch. */
static void on_timer(struct timer *timer)
{
    struct config_map *map = CONTAINER_OF(timer, struct config_map, timer);

    forget_stream(map);
    begin(map);
}

int config_map_new(const struct config_map_setup *setup, struct config_map **ret_map)
{
    struct config_map *map = calloc(1, sizeof(*map));
    struct loop *loop = api_client_loop(setup->client);

    if (!map)
        return -ENOMEM;
    map->setup = *setup;
    map->handler.event = on_event;
    if (timer_init(loop, &map->timer, on_timer) < 0) {
        free(map);
        return -ENOMEM;
    }
    timer_set(loop, &map->timer, loop->now_ns);
    *ret_map = map;
    return 0;
}

void config_map_free(struct config_map *map)
{
    if (!map)
        return;
    forget_stream(map);
    timer_release(loop_of(map), &map->timer);
    free(map);
}

bool config_map_is_settled(const struct config_map *map)
{
    return map->settled;
}
