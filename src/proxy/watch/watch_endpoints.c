#include <errno.h>
#include <stdlib.h>

#include "api/destination.h"
#include "event/log.h"
#include "proxy/watch/watch_internal.h"

/*
 * The endpoints of one service: each update makes the next set, with the same endpoint objects where nothing changed,
 * so that their load and health live on. A new call begins with a full set: what its first message does not name is gone.
 */
struct watch_endpoints {
    struct watch_base base;
    struct buffer request;
    struct control_stream stream;
    struct endpoint_set *set; /* the latest; empty before the first answer */
    bool answered;            /* the running call has */
};

static int apply(struct watch_endpoints *watch, struct endpoint_update *update, bool reset)
{
    struct endpoint_set *next;
    struct endpoint_change change;
    int r = endpoint_set_apply(watch->set, update, reset, ENDPOINT_DEFAULT_RTT_NS, watch->base.streams->loop->now_ns,
                               &next, &change);

    if (r < 0)
        return r;
    if (change.refused)
        log_limited(watch->base.streams->proxy->log, LOG_ERROR, "discovery", "%zu endpoints of %.*s are left out: there are "
                    "more than %d", change.refused, SLICE_ARGS(watch->base.watched->key), LIMIT_ENDPOINTS);
    if (reset) {
        watch->base.watched->resets += change.added || change.replaced || change.removed;
    } else {
        watch->base.watched->adds += change.added + change.replaced;
        watch->base.watched->removals += change.removed;
    }
    endpoint_set_unref(watch->set);
    watch->set = next;
    cell_publish(&watch->base.watched->cell, endpoint_set_ref(next));
    return 0;
}

static int on_update(struct control_stream *stream, struct slice message)
{
    struct watch_endpoints *watch = stream->owner;
    struct endpoint_update *update;
    struct errmsg msg = {""};
    int r = endpoint_update_decode(message, &msg, &update);

    if (r < 0) {
        log_limited(watch->base.streams->proxy->log, LOG_ERROR, "discovery", "the endpoints of %.*s cannot be read: %s",
                    SLICE_ARGS(watch->base.watched->key), msg.text);
        return r;
    }
    r = apply(watch, update, !watch->answered);
    watch->answered = true;
    endpoint_update_unref(update);
    return r;
}

/* A service that is not there, or cannot be: nobody is left to be dialled. */
static void withdraw(struct watch_endpoints *watch)
{
    struct endpoint_update *none = endpoint_update_new();

    if (!none)
        return;
    none->kind = ENDPOINTS_NONE;
    (void)apply(watch, none, true);
    endpoint_update_unref(none);
}

static bool on_end(struct control_stream *stream, int status, struct slice text)
{
    struct watch_endpoints *watch = stream->owner;

    watch->answered = false;
    if (status != GRPC_OK)
        log_limited(watch->base.streams->proxy->log, LOG_WARN, "discovery", "endpoints of %.*s: %s: %.*s",
                    SLICE_ARGS(watch->base.watched->key), grpc_code_name(status), SLICE_ARGS(text));
    if (status == GRPC_NOT_FOUND || status == GRPC_INVALID_ARGUMENT || status == GRPC_FAILED_PRECONDITION)
        withdraw(watch);
    return status != GRPC_INVALID_ARGUMENT && status != GRPC_FAILED_PRECONDITION;
}

static const struct control_stream_events events = {.on_message = on_update, .on_end = on_end};

static void free_watch(struct watch_base *base)
{
    struct watch_endpoints *watch = CONTAINER_OF(base, struct watch_endpoints, base);

    control_stream_stop(&watch->stream);
    endpoint_set_unref(watch->set);
    buffer_release(&watch->request);
    free(watch);
}

int watch_endpoints_start(struct streams *streams, struct watched *watched)
{
    struct watch_endpoints *watch = calloc(1, sizeof(*watch));
    struct get_destination request = {.scheme = SLICE_LIT("k8s"), .path = watched->key,
                                      .context_token = streams->proxy->config.destination_context};
    struct errmsg msg;
    int r;

    if (!watch)
        return -ENOMEM;
    watch->base = (struct watch_base){.streams = streams, .watched = watched, .free = free_watch};
    list_push(&streams->watches, &watch->base.link);
    buffer_init(&watch->request, LIMIT_GRPC_MESSAGE);
    watch->set = endpoint_set_new(true);
    r = watch->set ? 0 : -ENOMEM;
    if (r == 0)
        r = get_destination_encode(&request, &msg, &watch->request);
    if (r == 0)
        r = control_stream_start(&watch->stream, streams->destination,
                                 SLICE_LIT("/io.linkerd.proxy.destination.Destination/Get"), buffer_slice(&watch->request),
                                 &events, watch);
    if (r < 0) {
        list_remove(&watch->base.link);
        free_watch(&watch->base);
        return r;
    }
    watched->stream = &watch->base;
    return 0;
}
