/* Destination.GetProfile: profiles as calls follow them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/destination.h"
#include "api/workload.h"
#include "control/destination/internal.h"
#include "control/destination/profile.h"

struct profile_view {
    struct view view;
    struct profile_question question; /* text in the key */
};

static struct profile_view *of(struct view *view)
{
    return CONTAINER_OF(view, struct profile_view, view);
}

/* The encoded answer, or a negative errno and the status that says so. */
static int make(const struct profile_question *question, struct buffer *ret_bytes, int *ret_status)
{
    struct profile *profile;
    int r = profile_build(question, ret_status, &profile);

    if (r < 0)
        return r;
    r = profile_encode(profile, NULL, ret_bytes);
    if (r < 0)
        *ret_status = GRPC_INTERNAL;
    profile_unref(profile);
    return r;
}

/* --- views --- */

static void follow_service(struct view *view, const struct kube_object *service)
{
    view_follow(view, "Service %.*s/%.*s", SLICE_ARGS(service->namespace_), SLICE_ARGS(service->name));
    view_follow(view, "Namespace %.*s", SLICE_ARGS(service->namespace_));
}

/* What the address belongs to now decides what else matters. */
static void follow_addr(struct view *view, const struct profile_question *question)
{
    struct store *store = question->controller->store;
    struct kube_set services = store_by_ip(store, STORE_SERVICES_BY_IP, question->target.addr.ip);
    const struct kube_object *backing;
    char ip[IP_TEXT_MAX];

    view_follow(view, "IP %s", ip_format(question->target.addr.ip, ip));
    for (size_t i = 0; i < services.count; i++)
        follow_service(view, services.items[i]);
    if (services.count)
        return;
    (void)profile_backing(store, question->target.addr, &backing);
    view_follow(view, "Nodes");
    if (backing)
        view_follow(view, "Namespace %.*s", SLICE_ARGS(backing->namespace_));
}

static void follow_name(struct view *view, const struct cluster_host *target)
{
    view_follow(view, "Service %.*s/%.*s", SLICE_ARGS(target->namespace_), SLICE_ARGS(target->service));
    view_follow(view, "Namespace %.*s", SLICE_ARGS(target->namespace_));
    if (!target->instance.len)
        return;
    view_follow(view, "Endpoints %.*s/%.*s", SLICE_ARGS(target->namespace_), SLICE_ARGS(target->service));
    view_follow(view, "Nodes");
}

static void follow(struct profile_view *view)
{
    view_forget(&view->view);
    if (view->question.target.is_addr)
        follow_addr(&view->view, &view->question);
    else
        follow_name(&view->view, &view->question.target);
}

/* What is gone keeps what was said of it last: a call in progress is no worse off than before. */
static void remake(struct view *base)
{
    struct profile_view *view = of(base);
    struct buffer bytes;
    int status;

    follow(view);
    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (make(&view->question, &bytes, &status) == 0)
        view_say(base, buffer_slice(&bytes));
    else if (status == GRPC_INTERNAL || status == GRPC_RESOURCE_EXHAUSTED)
        view_break(base);
    buffer_release(&bytes);
}

static void free_view(struct view *base)
{
    view_release(base);
    free(of(base));
}

static const struct view_kind profile_kind = {sizeof(struct profile_view), remake, free_view};

/* The length in front keeps texts apart, whatever is in them. */
static int find_view(struct destination *destination, const struct profile_question *question, struct slice path, struct profile_view **ret_view)
{
    char text[1024];
    int prefix = snprintf(text, sizeof(text), "profile %zu ", path.len);
    int len = snprintf(text, sizeof(text), "profile %zu %.*s%.*s", path.len, SLICE_ARGS(path), SLICE_ARGS(question->client_ns));
    struct profile_view *view;
    struct view *found;
    struct slice rest;
    int r = views_get(&destination->views, &profile_kind, text, len, sizeof(text), &found);

    if (r < 0)
        return r;
    *ret_view = view = of(found);
    if (r == 0)
        return 0;
    rest = slice_skip(view->view.key, (size_t)prefix);
    view->question = *question;
    /* Parsed again from the key, whose memory the slices may keep. */
    (void)cluster_host_parse(slice_take(rest, path.len), question->controller->options.cluster_domain, NULL, &view->question.target);
    view->question.client_ns = slice_skip(rest, path.len);
    follow(view);
    return 0;
}

/* --- calls --- */

static void refuse(struct grpc_server_call *call, int status, struct slice path)
{
    struct errmsg msg;

    errmsg_set(&msg, 0,
               status == GRPC_FAILED_PRECONDITION ? "more than one object has the address of %.*s"
               : status == GRPC_NOT_FOUND         ? "%.*s not found"
               : status == GRPC_INVALID_ARGUMENT  ? "%.*s is a Service of type ExternalName"
                                                  : "the profile of %.*s cannot be made",
               SLICE_ARGS(path));
    grpc_finish(call, status, slice_str(msg.text));
}

static void answer(struct destination *destination, struct grpc_server_call *call, const struct profile_question *question, struct slice path)
{
    struct profile_view *view;
    struct buffer bytes;
    int status, r;

    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (make(question, &bytes, &status) < 0) {
        refuse(call, status, path);
    } else if ((r = find_view(destination, question, path, &view)) < 0) {
        views_refuse(call, r);
    } else {
        view_begin(&view->view, call, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
}

void destination_get_profile(struct grpc_server_call *call, void *owner, struct slice message)
{
    struct destination *destination = owner;
    struct profile_question question = {.controller = destination->controller};
    struct get_destination request;
    struct context_token token = {0};
    struct errmsg msg = {""};
    struct arena arena;
    int r;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    r = get_destination_decode(message, &arena, &msg, &request);
    if (r == 0)
        r = cluster_host_parse(request.path, destination->controller->options.cluster_domain, &msg, &question.target);
    if (r < 0) {
        grpc_finish(call, GRPC_INVALID_ARGUMENT, slice_str(msg.text));
    } else {
        (void)context_token_parse(request.context_token, &arena, NULL, &token); /* what cannot be read tells nothing */
        question.client_ns = token.ns;
        answer(destination, call, &question, request.path);
    }
    arena_release(&arena);
}
