#include "cli/streams.h"

#include <errno.h>
#include <jansson.h>
#include <stdio.h>
#include <string.h>

#include "event/loop.h"
#include "kube/api/api_client.h"

enum { PAGES_MAX = 16384 };

struct streams {
    struct loop loop;
    struct api_client *client;
    size_t running;
    bool is_enough;
};

static void on_data(struct api_call *call, struct slice bytes)
{
    struct stream *stream = api_call_owner(call);

    if (!stream->all->is_enough && !stream->on_bytes(stream, bytes))
        stream->all->is_enough = true;
}

/* Kubernetes' Status object has the reason in its message. */
static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct stream *stream = api_call_owner(call);
    json_t *status = answer->error ? json_loadb(answer->body.ptr, answer->body.len, 0, NULL) : NULL;
    const char *said = json_string_value(json_object_get(status, "message"));

    stream->call = NULL;
    stream->all->running--;
    if (!stream->all->is_enough)
        stream->on_end(stream, !answer->error ? NULL : said ? said : answer->why ? answer->why : strerror(-answer->error));
    json_decref(status);
}

static int start(struct streams *all, struct stream *stream, int64_t timeout_ns)
{
    static const struct api_call_events events = {on_data, on_end, NULL};
    const struct api_request request = {.path = slice_str(stream->path), .accept = SLICE_LIT("*/*"), .timeout_ns = timeout_ns};
    int r;

    stream->all = all;
    r = api_call_start(all->client, &request, &events, stream, &stream->call);
    if (r == 0)
        all->running++;
    return r;
}

static void release(struct streams *all, struct stream *const streams[], size_t count)
{
    for (size_t i = 0; i < count; i++)
        api_call_cancel(streams[i]->call);
    api_client_free(all->client);
    while (loop_turn(&all->loop, 0))
        ; /* what is to be freed at the end of a turn */
    loop_release(&all->loop);
}

int streams_read(const struct kube_access *access, int64_t timeout_ns, struct stream *const streams[], size_t count, struct errmsg *msg)
{
    struct streams all = {.running = 0};
    int r = loop_init(&all.loop, sys_linux(), PAGES_MAX);

    if (r < 0)
        return errmsg_set(msg, r, "cannot wait for events: %s", strerror(-r));
    for (size_t i = 0; i < count; i++)
        streams[i]->call = NULL;
    r = api_client_new(&all.loop, access, &all.client);
    for (size_t i = 0; i < count && r == 0; i++)
        r = start(&all, streams[i], timeout_ns);
    while (r == 0 && all.running && !all.is_enough)
        loop_turn(&all.loop, -1);
    release(&all, streams, count);
    return r < 0 ? errmsg_set(msg, r, "cannot ask for %zu answers at once: %s", count, strerror(-r)) : 0;
}
