#include "proxy/watch/streams.h"

#include <errno.h>

#include "event/log.h"
#include "mesh/inbound_policy.h"
#include "proxy/watch/watch_internal.h"

#define SHARED(type)                                                                                        \
    static void *share_##type(void *snapshot) { return type##_ref(snapshot); }                              \
    static void drop_##type(void *snapshot) { type##_unref(snapshot); }

SHARED(inbound_policy)
SHARED(discovery)
SHARED(endpoint_set)

void streams_register(struct directory *directory)
{
    directory->ref[WATCHED_PORT] = share_inbound_policy;
    directory->unref[WATCHED_PORT] = drop_inbound_policy;
    directory->ref[WATCHED_TARGET] = share_discovery;
    directory->unref[WATCHED_TARGET] = drop_discovery;
    directory->ref[WATCHED_ENDPOINTS] = share_endpoint_set;
    directory->unref[WATCHED_ENDPOINTS] = drop_endpoint_set;
}

static int begin(struct streams *streams, struct watched *watched)
{
    switch (watched->kind) {
    case WATCHED_PORT:
        return watch_port_start(streams, watched);
    case WATCHED_TARGET:
        return watch_target_start(streams, watched);
    case WATCHED_ENDPOINTS:
        return watch_endpoints_start(streams, watched);
    case WATCHED_KINDS:
        break;
    }
    return -EINVAL;
}

static void end(struct watched *watched)
{
    struct watch_base *base = watched->stream;

    if (base) {
        list_remove(&base->link);
        base->free(base);
    }
    watched->stream = NULL;
}

static void changed(struct task *task)
{
    struct streams *streams = CONTAINER_OF(task, struct streams, changed);
    struct watched *watched;
    bool wanted;

    while ((watched = directory_next_change(&streams->proxy->directory, &wanted))) {
        if (!wanted) {
            end(watched);
            watched_free(watched);
            continue;
        }
        if (!watched->stream && begin(streams, watched) < 0)
            log_limited(streams->proxy->log, LOG_ERROR, "discovery", "no memory to watch %.*s", SLICE_ARGS(watched->key));
    }
}

int streams_init(struct streams *streams, struct proxy *proxy, struct loop *loop, struct control_client *destination,
                 struct control_client *policy)
{
    *streams = (struct streams){.proxy = proxy, .loop = loop, .destination = destination, .policy = policy};
    list_init(&streams->watches);
    task_init(&streams->changed, changed);
    return 0;
}

/* The ports that the environment names are watched from the start, so that their first connection need not wait. */
static void watch_known_ports(struct streams *streams)
{
    const struct port_ranges *ports = &streams->proxy->config.inbound_ports;

    for (size_t i = 0; i < ports->count; i++)
        for (unsigned port = ports->items[i].first; port <= ports->items[i].last; port++) {
            char key[8];
            struct watched *watched;
            int len = snprintf(key, sizeof(key), "%u", port);

            if (directory_lease(&streams->proxy->directory, WATCHED_PORT, slice_of(key, (size_t)len), &watched) < 0)
                return;
            list_push(&streams->eager, &watched->eager); /* this lease is returned at the end */
        }
}

void streams_start(struct streams *streams)
{
    if (streams->started)
        return;
    streams->started = true;
    list_init(&streams->eager);
    directory_attach(&streams->proxy->directory, streams->loop, &streams->changed);
    watch_known_ports(streams);
}

struct slice streams_unknown_port(const struct streams *streams)
{
    if (streams->started)
        LIST_FOR_EACH (link, &streams->eager) {
            struct watched *watched = CONTAINER_OF(link, struct watched, eager);

            if (atomic_load_explicit(&watched->cell.generation, memory_order_acquire) == 0)
                return watched->key;
        }
    return slice_of(NULL, 0);
}

void streams_release(struct streams *streams)
{
    struct list *link;

    if (!streams->loop)
        return;
    if (streams->started) {
        while ((link = list_pop(&streams->eager)))
            directory_return(CONTAINER_OF(link, struct watched, eager));
        directory_detach(&streams->proxy->directory);
        changed(&streams->changed); /* nobody holds a lease any more */
    }
    task_cancel(&streams->changed);
}
