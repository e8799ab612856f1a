#include "control/policy/status_writer.h"

#include <errno.h>

#include "base/limits.h"
#include "control/policy/status.h"

/* --- what is to be looked at --- */

static void touch_one(void *owner, const struct kube_object *object)
{
    writer_touch(owner, object->kind, object->namespace_, object->name);
}

static void touch(struct writer *writer, const struct kube_object *changed)
{
    status_touch(writer_controller(writer)->store, changed, touch_one, writer);
}

static void touch_all(struct writer *writer)
{
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++) {
        struct kube_set set = {0};

        if (status_is_ours((enum kube_kind)kind))
            set = store_all(writer_controller(writer)->store, (enum kube_kind)kind);
        for (size_t i = 0; i < set.count; i++)
            touch_one(writer, set.items[i]);
    }
}

static const struct kube_object *object_of(struct writer *writer, const struct writer_item *item)
{
    return store_get(writer_controller(writer)->store, item->kind, item->namespace_, item->name);
}

/* Whether the status differs from what the store knows of it. */
static bool differs(struct controller *controller, const struct kube_object *object)
{
    struct status_entry *entries;
    struct arena arena;
    size_t count;
    bool found;

    arena_init(&arena, 1 << 20);
    found = status_decide(controller, object, &arena, &entries, &count) < 0 ||
            status_digest(entries, count, kube_written(object)->generation) != kube_written(object)->digest;
    arena_release(&arena);
    return found;
}

/* --- requests --- */

static const char *resource_of(enum kube_kind kind)
{
    switch (kind) {
    case KUBE_GRPC_ROUTE: return "grpcroutes";
    case KUBE_TLS_ROUTE: return "tlsroutes";
    case KUBE_TCP_ROUTE: return "tcproutes";
    case KUBE_EGRESS_NETWORK: return "egressnetworks";
    case KUBE_RATE_LIMIT_POLICY: return "httplocalratelimitpolicies";
    default: return "httproutes";
    }
}

/* Reads it, or with a patch changes its status. */
static int ask(struct writer *writer, struct writer_item *item, const struct kube_object *object, struct slice patch, uint64_t digest)
{
    struct slice group = kube_kind_group(item->kind);
    struct api_request request = {0};
    struct buffer path;
    int r;

    buffer_init(&path, 2048);
    buffer_printf(&path, "/apis/%.*s/%.*s/namespaces/%.*s/%s/%.*s%s", SLICE_ARGS(group), SLICE_ARGS(object->version), SLICE_ARGS(item->namespace_),
                  resource_of(item->kind), SLICE_ARGS(item->name), patch.len ? "/status" : "");
    request.path = buffer_slice(&path);
    if (patch.len) {
        request.method = "PATCH";
        request.content_type = SLICE_LIT(API_MERGE_PATCH);
        request.body = patch;
    }
    r = buffer_error(&path) ? buffer_error(&path) : writer_ask(writer, item, patch.len ? WRITER_PATCH : WRITER_READ, digest, &request);
    buffer_release(&path);
    return r;
}

static int look(struct writer *writer, struct writer_item *item)
{
    const struct kube_object *object = object_of(writer, item);

    if (!object || !differs(writer_controller(writer), object))
        return 0;
    return ask(writer, item, object, SLICE_NULL, 0);
}

static int64_t generation_of(const struct yaml_node *document)
{
    const struct yaml_node *generation = yaml_get_lit(yaml_get_lit(document, "metadata"), "generation");

    return generation && generation->kind == YAML_INTEGER ? generation->integer : 0;
}

/* As look(). -EAGAIN: the store has another generation of it than the server. */
static int patch(struct writer *writer, struct writer_item *item, const struct yaml_node *document, struct arena *arena)
{
    struct controller *controller = writer_controller(writer);
    const struct kube_object *object = object_of(writer, item);
    struct status_entry *entries;
    struct buffer body;
    uint64_t digest;
    size_t count;
    int r;

    if (!object)
        return 0;
    if (kube_written(object)->generation != generation_of(document))
        return -EAGAIN;
    r = status_decide(controller, object, arena, &entries, &count);
    if (r < 0)
        return r;
    digest = status_digest(entries, count, kube_written(object)->generation);
    if (status_digest_document(document, item->kind) == digest)
        return 0;
    buffer_init(&body, LIMIT_API_ANSWER);
    r = status_write_patch(document, item->kind, entries, count, controller->sys->ops->wall(controller->sys), &body);
    if (r == 0)
        r = ask(writer, item, object, buffer_slice(&body), digest ? digest : 1);
    buffer_release(&body);
    return r;
}

static int next(struct writer *writer, struct writer_item *item, const struct api_answer *answer, enum writer_verb verb)
{
    struct yaml_problem problem;
    struct yaml_node *root = NULL;
    struct arena arena;
    int r = 0;

    if (answer->error || verb != WRITER_READ)
        return 0;
    arena_init(&arena, (size_t)4 * LIMIT_API_ANSWER);
    if (yaml_parse(&arena, answer->body, 1, JSON, &root, &problem) == 0)
        r = patch(writer, item, root, &arena);
    arena_release(&arena);
    return r;
}

const struct writer_job STATUS_JOB = {
    .component = "policy",
    .what = "the status of routes",
    .label = "status",
    .lease = "policy-controller-write",
    .kinds = STORE_KIND(KUBE_SERVICE) | STORE_KIND(KUBE_SERVER) | STORE_KIND(KUBE_HTTP_ROUTE) | STORE_KIND(KUBE_POLICY_HTTP_ROUTE) |
             STORE_KIND(KUBE_GRPC_ROUTE) | STORE_KIND(KUBE_TLS_ROUTE) | STORE_KIND(KUBE_TCP_ROUTE) | STORE_KIND(KUBE_RATE_LIMIT_POLICY) |
             STORE_KIND(KUBE_EGRESS_NETWORK),
    .touch = touch,
    .touch_all = touch_all,
    .look = look,
    .next = next,
};
