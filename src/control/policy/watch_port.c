/* InboundServerPolicies: GetPort and WatchPort. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/inbound.h"
#include "api/workload.h"
#include "control/policy/internal.h"
#include "control/ports.h"

struct port_view {
    struct view view;
    enum kube_kind kind;            /* of the workload */
    struct slice namespace_, name;  /* in the key */
    uint16_t port;
    uint64_t warned;                /* digest of the names of the Servers that were warned about */
};

static struct policy *policy_of(const struct view *view)
{
    return CONTAINER_OF(view->views, struct policy, views);
}

static struct port_view *of(struct view *view)
{
    return CONTAINER_OF(view, struct port_view, view);
}

static const struct kube_object *workload_of(const struct port_view *view)
{
    return store_get(policy_of(&view->view)->controller->store, view->kind, view->namespace_, view->name);
}

/* Two Servers for one port: said once, until other ones do it. */
static void warn_of_conflict(struct port_view *view, const struct kube_server *server, const struct kube_server *ignored)
{
    struct controller *controller = policy_of(&view->view)->controller;
    uint64_t digest = ignored ? siphash13(ignored->meta.name.ptr, ignored->meta.name.len, 1, 2) ^
                                    siphash13(server->meta.name.ptr, server->meta.name.len, 3, 4)
                              : 0;

    if (ignored && digest != view->warned)
        log_line(controller->log, LOG_WARN, "policy", "port %u of %.*s/%.*s: Server %.*s is ignored, the older Server %.*s selects it",
                 (unsigned)view->port, SLICE_ARGS(view->namespace_), SLICE_ARGS(view->name), SLICE_ARGS(ignored->meta.name),
                 SLICE_ARGS(server->meta.name));
    view->warned = digest;
}

static void follow(struct port_view *view, const struct kube_object *workload)
{
    const struct kube_server *ignored, *server = ports_server(policy_of(&view->view)->controller, workload, view->port, &ignored);
    struct slice ns = view->namespace_;

    view_forget(&view->view);
    view_follow(&view->view, "%.*s %.*s/%.*s", SLICE_ARGS(kube_kind_name(view->kind)), SLICE_ARGS(ns), SLICE_ARGS(view->name));
    view_follow(&view->view, "Namespace %.*s", SLICE_ARGS(ns));
    view_follow(&view->view, "Workloads %.*s", SLICE_ARGS(ns));
    warn_of_conflict(view, server, ignored);
    if (!server)
        return;
    view_follow(&view->view, "Servers %.*s", SLICE_ARGS(ns));
    view_follow(&view->view, "Server %.*s/%.*s", SLICE_ARGS(ns), SLICE_ARGS(server->meta.name));
}

static bool is_selected(const struct view *base, const void *server)
{
    const struct port_view *view = of((struct view *)(uintptr_t)base);
    const struct kube_object *workload = workload_of(view);

    return workload && ports_server_selects(server, workload);
}

void policy_server_changed(struct policy *policy, const struct kube_server *server)
{
    views_touch_some(&policy->views, is_selected, server, "Workloads %.*s", SLICE_ARGS(server->meta.namespace_));
}

static int make(const struct controller *controller, const struct kube_object *workload, uint16_t port, struct buffer *ret_bytes)
{
    struct inbound_policy *policy;
    int r = inbound_build(controller, workload, port, &policy);

    if (r < 0)
        return r;
    r = inbound_policy_encode(policy, NULL, ret_bytes);
    inbound_policy_unref(policy);
    return r;
}

static void remake(struct view *base)
{
    struct port_view *view = of(base);
    const struct kube_object *workload = workload_of(view);
    struct buffer bytes;

    if (!workload) {
        view_end(base, GRPC_NOT_FOUND, SLICE_LIT("unknown server"));
        return;
    }
    follow(view, workload);
    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (make(policy_of(base)->controller, workload, view->port, &bytes) == 0)
        view_say(base, buffer_slice(&bytes));
    else
        view_break(base);
    buffer_release(&bytes);
}

static void free_view(struct view *base)
{
    view_release(base);
    free(of(base));
}

static const struct view_kind port_kind = {sizeof(struct port_view), remake, free_view};

/* The length in front keeps names apart, whatever is in them. */
static int find_view(struct policy *policy, const struct kube_object *workload, uint16_t port, struct port_view **ret_view)
{
    char key[512];
    int prefix = snprintf(key, sizeof(key), "port %d %u %zu ", workload->kind, (unsigned)port, workload->namespace_.len), len;
    struct port_view *view;
    struct view *found;
    int r;

    len = snprintf(key, sizeof(key), "port %d %u %zu %.*s%.*s", workload->kind, (unsigned)port, workload->namespace_.len,
                   SLICE_ARGS(workload->namespace_), SLICE_ARGS(workload->name));
    r = views_get(&policy->views, &port_kind, key, len, sizeof(key), &found);
    if (r < 0)
        return r;
    *ret_view = view = of(found);
    if (r == 0)
        return 0;
    view->kind = workload->kind;
    view->port = port;
    view->namespace_ = slice_take(slice_skip(view->view.key, (size_t)prefix), workload->namespace_.len);
    view->name = slice_skip(view->view.key, (size_t)prefix + workload->namespace_.len);
    follow(view, workload);
    return 0;
}

/* What is asked for, or the call is finished and NULL. */
static const struct kube_object *find_workload(struct policy *policy, struct grpc_server_call *call, struct slice message,
                                               uint16_t *ret_port)
{
    const struct kube_object *object = NULL;
    struct port_spec spec;
    struct workload workload;
    struct errmsg msg = {""};
    struct arena arena;
    int r;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    r = port_spec_decode(message, &arena, &msg, &spec);
    if (r == 0)
        r = workload_parse(spec.workload, &arena, &msg, &workload);
    if (r < 0) {
        grpc_finish(call, r == -ENOMEM ? GRPC_RESOURCE_EXHAUSTED : GRPC_INVALID_ARGUMENT, slice_str(msg.text));
    } else {
        object = store_get(policy->controller->store, workload.external ? KUBE_EXTERNAL_WORKLOAD : KUBE_POD, workload.ns, workload.name);
        *ret_port = spec.port;
        if (!object)
            grpc_finish(call, GRPC_NOT_FOUND, SLICE_LIT("unknown server"));
    }
    arena_release(&arena);
    return object;
}

void policy_get_port(struct grpc_server_call *call, void *owner, struct slice message)
{
    struct policy *policy = owner;
    struct buffer bytes;
    uint16_t port;
    const struct kube_object *workload = find_workload(policy, call, message, &port);

    if (!workload)
        return;
    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (make(policy->controller, workload, port, &bytes) == 0 && grpc_reply(call, buffer_slice(&bytes)) == 0)
        grpc_finish(call, GRPC_OK, SLICE_NULL);
    else
        grpc_finish(call, GRPC_INTERNAL, SLICE_LIT("the policy cannot be made"));
    buffer_release(&bytes);
}

void policy_watch_port(struct grpc_server_call *call, void *owner, struct slice message)
{
    struct policy *policy = owner;
    struct port_view *view;
    struct buffer bytes;
    uint16_t port;
    const struct kube_object *workload = find_workload(policy, call, message, &port);
    int r;

    if (!workload)
        return;
    r = find_view(policy, workload, port, &view);
    if (r < 0) {
        views_refuse(call, r);
        return;
    }
    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (make(policy->controller, workload, port, &bytes) < 0) {
        grpc_finish(call, GRPC_INTERNAL, SLICE_LIT("the policy cannot be made"));
        view_leave_unused(&view->view);
    } else {
        view_begin(&view->view, call, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
}
