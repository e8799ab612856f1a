#include "cni/lookup.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kube/access/kubeconfig.h"
#include "kube/api/api_client.h"

enum { PAGES_MAX = 1024 };

struct lookup {
    struct loop loop;
    struct kube_access access;
    struct api_client *client;
    int64_t deadline_ns;
};

/* The one call that is under way. */
struct asking {
    struct errmsg *msg;
    json_t *object;
    bool done;
    int error;
};

static int64_t now(struct lookup *lookup)
{
    return lookup->loop.sys->ops->now(lookup->loop.sys);
}

int lookup_open(const char *kubeconfig, int64_t timeout_ns, struct lookup **ret_lookup, struct errmsg *msg)
{
    struct lookup *lookup = calloc(1, sizeof(*lookup));
    int r;

    if (!lookup)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    r = kubeconfig_load(kubeconfig, SLICE_NULL, &lookup->access, msg);
    if (r < 0) {
        free(lookup);
        return r;
    }
    r = loop_init(&lookup->loop, sys_linux(), PAGES_MAX);
    if (r < 0) {
        kube_access_release(&lookup->access);
        free(lookup);
        return errmsg_set(msg, r, "cannot wait for events: %s", strerror(-r));
    }
    r = api_client_new(&lookup->loop, &lookup->access, &lookup->client);
    if (r < 0) {
        lookup_close(lookup);
        return errmsg_set(msg, r, "cannot make a client: %s", strerror(-r));
    }
    lookup->deadline_ns = now(lookup) + timeout_ns;
    *ret_lookup = lookup;
    return 0;
}

void lookup_close(struct lookup *lookup)
{
    if (!lookup)
        return;
    api_client_free(lookup->client);
    while (loop_turn(&lookup->loop, 0))
        ; /* what is to be freed at the end of a turn */
    loop_release(&lookup->loop);
    kube_access_release(&lookup->access);
    free(lookup);
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct asking *asking = api_call_owner(call);
    json_error_t error;

    asking->done = true;
    asking->error = answer->status == 404 ? -ENOENT : answer->error;
    if (answer->error < 0) {
        errmsg_set(asking->msg, answer->error, "%s", answer->why ? answer->why : strerror(-answer->error));
        return;
    }
    asking->object = json_loadb(answer->body.ptr ? answer->body.ptr : "", answer->body.len, 0, &error);
    if (!json_is_object(asking->object)) {
        json_decref(asking->object);
        asking->object = NULL;
        asking->error = errmsg_set(asking->msg, -EPROTO, "the API server's answer is not a JSON object: %s", error.text);
    }
}

int lookup_get(struct lookup *lookup, const char *path, json_t **ret_object, struct errmsg *msg)
{
    static const struct api_call_events events = {.on_end = on_end};
    struct asking asking = {.msg = msg};
    struct api_request request = {.path = slice_str(path), .timeout_ns = lookup->deadline_ns - now(lookup)};
    struct api_call *call;
    int r;

    if (request.timeout_ns <= 0)
        return errmsg_set(msg, -ETIMEDOUT, "no time is left to read %s", path);
    r = api_call_start(lookup->client, &request, &events, &asking, &call);
    if (r < 0)
        return errmsg_set(msg, r, "cannot ask the API server: %s", strerror(-r));
    while (!asking.done)
        loop_turn(&lookup->loop, -1);
    if (asking.error < 0)
        return asking.error;
    *ret_object = asking.object;
    return 0;
}
