#include "control/destination/slice_writer.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "codec/yaml/yaml.h"
#include "kube/workload_slices.h"

enum { ARENA_MAX = 256 * 1024 * 1024, BODY_MAX = LIMIT_API_ANSWER };

/* Of a Service whose slices are being written, one after the other. */
struct writing {
    struct arena arena; /* of the plan */
    struct slice_plan plan;
    size_t at;
    bool read; /* the present one was read because the server has another version */
};

/* --- what is to be looked at --- */

static void touch_service(struct writer *writer, struct slice namespace_, struct slice name)
{
    writer_touch(writer, KUBE_SERVICE, namespace_, name);
}

static void touch_selecting(struct writer *writer, const struct kube_object *workload)
{
    struct kube_set set = store_in(writer_controller(writer)->store, KUBE_SERVICE, workload->namespace_);

    for (size_t i = 0; i < set.count; i++)
        if (kube_map_selects(&kube_service(set.items[i])->selector, &workload->labels))
            touch_service(writer, workload->namespace_, set.items[i]->name);
}

static void touch_slice(struct writer *writer, const struct kube_object *slice)
{
    if (kube_slice_is_of_workloads(kube_endpoint_slice(slice)))
        touch_service(writer, slice->namespace_, kube_slice_service(kube_endpoint_slice(slice)));
}

/* Most Services have nothing to do with any of this. */
static bool may_concern(const struct store *store, const struct kube_object *service)
{
    return store_in(store, KUBE_EXTERNAL_WORKLOAD, service->namespace_).count ||
           store_by_name(store, STORE_SLICES_OF_WORKLOADS, service->namespace_, service->name).count;
}

static void touch(struct writer *writer, const struct kube_object *changed)
{
    switch (changed->kind) {
    case KUBE_SERVICE:
        if (may_concern(writer_controller(writer)->store, changed))
            touch_service(writer, changed->namespace_, changed->name);
        break;
    case KUBE_EXTERNAL_WORKLOAD: touch_selecting(writer, changed); break;
    default: touch_slice(writer, changed); break;
    }
}

static void touch_all(struct writer *writer)
{
    const struct store *store = writer_controller(writer)->store;
    struct kube_set services = store_all(store, KUBE_SERVICE), slices = store_all(store, KUBE_ENDPOINT_SLICE);

    for (size_t i = 0; i < services.count; i++)
        if (may_concern(store, services.items[i]))
            touch_service(writer, services.items[i]->namespace_, services.items[i]->name);
    for (size_t i = 0; i < slices.count; i++)
        touch_slice(writer, slices.items[i]);
}

/* --- requests --- */

static void forget(struct writer_item *item)
{
    struct writing *writing = item->state;

    if (!writing)
        return;
    arena_release(&writing->arena);
    free(writing);
    item->state = NULL;
}

static void write_preconditions(const struct slice_write *write, struct slice version, struct buffer *out)
{
    buffer_add_lit(out, "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"preconditions\":{\"uid\":");
    buffer_add_json(out, write->uid);
    buffer_add_lit(out, ",\"resourceVersion\":");
    buffer_add_json(out, version);
    buffer_add_lit(out, "}}");
}

static void write_body(const struct slice_write *write, struct slice version, struct buffer *out)
{
    if (write->action == SLICE_CREATE)
        buffer_add(out, write->body);
    else if (write->action == SLICE_CHANGE)
        slice_write_patch(write, version, out);
    else
        write_preconditions(write, version, out);
}

static const struct {
    enum writer_verb verb;
    const char *method;
    struct slice content_type;
} actions[] = {
    [SLICE_CREATE] = {WRITER_CREATE, "POST", {API_JSON, sizeof(API_JSON) - 1}},
    [SLICE_CHANGE] = {WRITER_PATCH, "PATCH", {API_MERGE_PATCH, sizeof(API_MERGE_PATCH) - 1}},
    [SLICE_DELETE] = {WRITER_DELETE, "DELETE", {API_JSON, sizeof(API_JSON) - 1}},
};

/* The present write, on top of this version; or with a version of no bytes reads what the server has. */
static int ask(struct writer *writer, struct writer_item *item, struct slice version)
{
    const struct writing *writing = item->state;
    const struct slice_write *write = &writing->plan.writes[writing->at];
    bool read = !version.len && write->action != SLICE_CREATE;
    struct api_request request = {.method = read ? "GET" : actions[write->action].method};
    struct buffer path, body;
    int r;

    buffer_init(&path, 2048);
    buffer_init(&body, BODY_MAX);
    buffer_printf(&path, "/apis/discovery.k8s.io/v1/namespaces/%.*s/endpointslices", SLICE_ARGS(item->namespace_));
    if (write->action != SLICE_CREATE)
        buffer_printf(&path, "/%.*s", SLICE_ARGS(write->name));
    if (!read) {
        write_body(write, version, &body);
        request.content_type = actions[write->action].content_type;
        request.body = buffer_slice(&body);
    }
    request.path = buffer_slice(&path);
    r = buffer_error(&path) ? buffer_error(&path) : buffer_error(&body);
    if (r == 0)
        r = writer_ask(writer, item, read ? WRITER_READ : actions[write->action].verb, read ? 0 : writing->plan.digest, &request);
    buffer_release(&path);
    buffer_release(&body);
    return r;
}

static int write_present(struct writer *writer, struct writer_item *item)
{
    const struct writing *writing = item->state;

    return ask(writer, item, writing->plan.writes[writing->at].version);
}

static int write_next(struct writer *writer, struct writer_item *item)
{
    struct writing *writing = item->state;

    writing->read = false;
    return ++writing->at < writing->plan.count ? write_present(writer, item) : 0;
}

static int look(struct writer *writer, struct writer_item *item)
{
    struct writing *writing = calloc(1, sizeof(*writing));
    int r;

    if (!writing)
        return -ENOMEM;
    item->state = writing;
    arena_init(&writing->arena, ARENA_MAX);
    r = workload_slices_decide(writer_controller(writer)->store, item->namespace_, item->name, &writing->arena, &writing->plan);
    return r < 0 || !writing->plan.count ? r : write_present(writer, item);
}

static struct slice text_of(const struct yaml_node *node)
{
    return node && node->kind == YAML_STRING ? node->text : SLICE_LIT("");
}

/* It was read: written on top of that, if it is the same one and ours. */
static int write_on(struct writer *writer, struct writer_item *item, const struct yaml_node *document)
{
    const struct yaml_node *metadata = yaml_get_lit(document, "metadata");
    const struct writing *writing = item->state;
    const struct slice_write *write = &writing->plan.writes[writing->at];
    struct slice version = text_of(yaml_get_lit(metadata, "resourceVersion"));
    struct slice manager = text_of(yaml_get_lit(yaml_get_lit(metadata, "labels"), "endpointslice.kubernetes.io/managed-by"));

    if (!version.len || !slice_eq(manager, KUBE_SLICE_MANAGER) || !slice_eq(text_of(yaml_get_lit(metadata, "uid")), write->uid))
        return write_next(writer, item);
    return ask(writer, item, version);
}

static int on_read(struct writer *writer, struct writer_item *item, struct slice answer)
{
    struct yaml_node *root = NULL;
    struct yaml_problem problem;
    struct arena arena;
    int r;

    arena_init(&arena, (size_t)4 * LIMIT_API_ANSWER);
    r = yaml_parse(&arena, answer, 1, JSON, &root, &problem);
    r = r < 0 ? -EAGAIN : write_on(writer, item, root);
    arena_release(&arena);
    return r;
}

/* One that is refused keeps none of the others from being written; nor does one that is gone, or was made by somebody else. */
static int next(struct writer *writer, struct writer_item *item, const struct api_answer *answer, enum writer_verb verb)
{
    struct writing *writing = item->state;

    if (verb == WRITER_READ && !answer->error)
        return on_read(writer, item, answer->body);
    if (answer->status == 409 && verb != WRITER_CREATE && !writing->read) {
        writing->read = true;
        return ask(writer, item, SLICE_NULL);
    }
    return write_next(writer, item);
}

const struct writer_job SLICE_JOB = {
    .component = "destination",
    .what = "EndpointSlices of external workloads",
    .label = "endpointslices",
    .lease = "linkerd-destination-endpoint-write",
    .kinds = STORE_KIND(KUBE_SERVICE) | STORE_KIND(KUBE_EXTERNAL_WORKLOAD) | STORE_KIND(KUBE_ENDPOINT_SLICE),
    .touch = touch,
    .touch_all = touch_all,
    .look = look,
    .next = next,
    .forget = forget,
};
