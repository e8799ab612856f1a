#include "control/injector/namespaces.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "inject/workload.h"

static const int64_t TIMEOUT_NS = 5 * NS_PER_S; /* half of what an API server waits for us */
#define METADATA "application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1"
#define OURS "linkerd.io/"

struct namespaces {
    struct controller *controller;
    struct api_client *client;
    struct subscriber subscriber; /* so that a source brings namespaces */
};

struct namespace_read {
    struct api_call *call;
    namespace_done *done;
    void *owner;
};

/* --- from the store --- */

static int copy(const struct kube_map *annotations, json_t *object)
{
    for (size_t i = 0; i < annotations->count; i++) {
        struct slice key = annotations->items[i].key, value = annotations->items[i].value;

        if (slice_find_slice(key, SLICE_LIT(OURS)) == key.len)
            continue;
        if (json_object_setn_new_nocheck(object, key.ptr, key.len, json_stringn_nocheck(value.ptr ? value.ptr : "", value.len)) < 0)
            return -ENOMEM;
    }
    return 1;
}

static int from_store(const struct kube_object *known, json_t **ret_annotations)
{
    json_t *object = json_object();
    int r = object ? 1 : -ENOMEM;

    if (r > 0 && known)
        r = copy(&known->annotations, object);
    if (r < 0)
        json_decref(object);
    else
        *ret_annotations = object;
    return r;
}

/* --- from the API server --- */

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct namespace_read *read = api_call_owner(call);
    json_t *root = answer->error ? NULL : json_loadb(answer->body.ptr ? answer->body.ptr : "", answer->body.len, 0, NULL);
    json_t *annotations = member_object(member_object(root, "metadata"), "annotations"), *none = json_object();

    if (answer->error || !member_object(root, "metadata") || !none)
        read->done(read->owner, NULL, answer->error ? answer->why : "the API server's answer is no namespace, or there is no memory");
    else
        read->done(read->owner, annotations ? annotations : none, NULL);
    json_decref(none);
    json_decref(root);
    free(read);
}

static const struct api_call_events events = {.on_end = on_end};

static int ask(struct namespaces *namespaces, const char *name, struct namespace_read *read)
{
    struct api_request request = {.accept = SLICE_LIT(METADATA), .timeout_ns = TIMEOUT_NS};
    struct buffer path;
    int r;

    buffer_init(&path, 512);
    (void)buffer_printf(&path, "/api/v1/namespaces/%s", name);
    request.path = buffer_slice(&path);
    r = buffer_error(&path);
    if (r == 0)
        r = api_call_start(namespaces->client, &request, &events, read, &read->call);
    buffer_release(&path);
    return r;
}

/* A DNS label: nothing that changes the meaning of a path. */
static bool is_name(const char *name)
{
    size_t len = strlen(name);

    return len > 0 && len < 64 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len;
}

int namespaces_get(struct namespaces *namespaces, const char *name, namespace_done *done, void *owner, json_t **ret_annotations,
                   struct namespace_read **ret_read)
{
    const struct kube_object *known = store_get(namespaces->controller->store, KUBE_NAMESPACE, SLICE_LIT(""), slice_str(name));
    struct namespace_read *read;
    int r;

    if (known || !namespaces->client)
        return from_store(known, ret_annotations);
    if (!is_name(name))
        return -EINVAL;
    read = calloc(1, sizeof(*read));
    if (!read)
        return -ENOMEM;
    read->done = done;
    read->owner = owner;
    r = ask(namespaces, name, read);
    if (r < 0)
        free(read);
    else
        *ret_read = read;
    return r;
}

void namespaces_cancel(struct namespace_read *read)
{
    if (!read)
        return;
    api_call_cancel(read->call);
    free(read);
}

/* --- following --- */

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
}

int namespaces_new(struct controller *controller, struct api_client *client, struct namespaces **ret_namespaces)
{
    struct namespaces *namespaces = calloc(1, sizeof(*namespaces));
    int r;

    if (!namespaces)
        return -ENOMEM;
    namespaces->controller = controller;
    namespaces->client = client;
    namespaces->subscriber = (struct subscriber){.kinds = STORE_KIND(KUBE_NAMESPACE), .on_change = on_change};
    r = store_subscribe(controller->store, &namespaces->subscriber);
    if (r < 0) {
        free(namespaces);
        return r;
    }
    *ret_namespaces = namespaces;
    return 0;
}

void namespaces_free(struct namespaces *namespaces)
{
    if (!namespaces)
        return;
    store_unsubscribe(namespaces->controller->store, &namespaces->subscriber);
    free(namespaces);
}
