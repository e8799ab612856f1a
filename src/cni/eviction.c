#include "cni/eviction.h"

#include "base/duration.h"

static const int64_t TIMEOUT_NS = 5 * NS_PER_S;

static void write_preconditions(struct buffer *body, const struct kube_object *pod)
{
    buffer_add_lit(body, "\"preconditions\":{\"uid\":");
    buffer_add_json(body, pod->uid);
    buffer_add_lit(body, ",\"resourceVersion\":");
    buffer_add_json(body, pod->resource_version);
    buffer_add_byte(body, '}');
}

static void write_eviction(struct buffer *body, const struct kube_object *pod)
{
    buffer_add_lit(body, "{\"apiVersion\":\"policy/v1\",\"kind\":\"Eviction\",\"metadata\":{\"name\":");
    buffer_add_json(body, pod->name);
    buffer_add_lit(body, ",\"namespace\":");
    buffer_add_json(body, pod->namespace_);
    buffer_add_lit(body, "},\"deleteOptions\":{");
    write_preconditions(body, pod);
    buffer_add_lit(body, "}}");
}

static void write_deletion(struct buffer *body, const struct kube_object *pod)
{
    buffer_add_lit(body, "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",");
    write_preconditions(body, pod);
    buffer_add_byte(body, '}');
}

int eviction_start(struct api_client *client, const struct kube_object *pod, bool deletes, const struct api_call_events *events, void *owner,
                   struct api_call **ret_call)
{
    struct api_request request = {.method = deletes ? "DELETE" : "POST", .content_type = SLICE_LIT(API_JSON), .timeout_ns = TIMEOUT_NS};
    struct buffer path, body;
    int r;

    buffer_init(&path, 1024);
    buffer_init(&body, 4096);
    buffer_printf(&path, "/api/v1/namespaces/%.*s/pods/%.*s%s", SLICE_ARGS(pod->namespace_), SLICE_ARGS(pod->name), deletes ? "" : "/eviction");
    if (deletes)
        write_deletion(&body, pod);
    else
        write_eviction(&body, pod);
    request.path = buffer_slice(&path);
    request.body = buffer_slice(&body);
    r = buffer_error(&path) ? buffer_error(&path) : buffer_error(&body);
    if (r == 0)
        r = api_call_start(client, &request, events, owner, ret_call);
    buffer_release(&path);
    buffer_release(&body);
    return r;
}
