/* OutboundPolicies: Get and Watch. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/outbound.h"
#include "api/workload.h"
#include "control/cluster_host.h"
#include "control/policy/internal.h"

/* What is asked for, and by whom. */
struct target {
    bool by_addr;
    struct addr addr;
    struct slice service_ns, service;
    uint16_t port;
    struct slice client_ns;
};

struct target_view {
    struct view view;
    struct target target; /* text in the key */
};

static struct policy *policy_of(const struct view *view)
{
    return CONTAINER_OF(view->views, struct policy, views);
}

static struct target_view *of(struct view *view)
{
    return CONTAINER_OF(view, struct target_view, view);
}

static int build(const struct controller *controller, const struct target *target, struct outbound_policy **ret_policy)
{
    return target->by_addr ? outbound_build_addr(controller, target->client_ns, target->addr, ret_policy)
                           : outbound_build_name(controller, target->client_ns, target->service_ns, target->service, target->port,
                                                 ret_policy);
}

/* What was asked for, and what was found there. */
static void follow(struct target_view *view, const struct outbound_policy *policy)
{
    const struct metadata *found = &policy->metadata;
    char ip[IP_TEXT_MAX];

    view_forget(&view->view);
    if (view->target.by_addr)
        view_follow(&view->view, "IP %s", ip_format(view->target.addr.ip, ip));
    if (view->target.by_addr && !slice_eq(found->resource_kind, SLICE_LIT("Service")))
        view_follow(&view->view, "Egress");
    if (found->kind != METADATA_RESOURCE)
        return;
    view_follow(&view->view, "%.*s %.*s/%.*s", SLICE_ARGS(found->resource_kind), SLICE_ARGS(found->namespace), SLICE_ARGS(found->name));
    view_follow(&view->view, "Namespace %.*s", SLICE_ARGS(found->namespace));
}

static void remake(struct view *base)
{
    struct target_view *view = of(base);
    struct outbound_policy *policy;
    struct buffer bytes;
    int r = build(policy_of(base)->controller, &view->target, &policy);

    if (r == -ENOENT) {
        view_end(base, GRPC_NOT_FOUND, SLICE_LIT("No such service"));
        return;
    }
    if (r < 0) {
        view_break(base);
        return;
    }
    follow(view, policy);
    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (outbound_policy_encode(policy, NULL, &bytes) == 0)
        view_say(base, buffer_slice(&bytes));
    else
        view_break(base);
    buffer_release(&bytes);
    outbound_policy_unref(policy);
}

static void free_view(struct view *base)
{
    view_release(base);
    free(of(base));
}

static const struct view_kind target_kind = {sizeof(struct target_view), remake, free_view};

/* The lengths in front keep texts apart, whatever is in them. */
static int write_key(const struct target *target, char *key, size_t size, size_t *ret_prefix)
{
    char addr[ADDR_TEXT_MAX] = "";
    int len, prefix;

    if (target->by_addr)
        addr_format(target->addr, addr);
    prefix = snprintf(key, size, "target %s %u %zu %zu ", addr, (unsigned)target->port, target->client_ns.len, target->service_ns.len);
    len = snprintf(key, size, "target %s %u %zu %zu %.*s%.*s%.*s", addr, (unsigned)target->port, target->client_ns.len,
                   target->service_ns.len, SLICE_ARGS(target->client_ns), SLICE_ARGS(target->service_ns), SLICE_ARGS(target->service));
    *ret_prefix = (size_t)prefix;
    return len;
}

static int find_view(struct policy *policy, const struct target *target, struct target_view **ret_view)
{
    char text[1024];
    size_t prefix;
    int len = write_key(target, text, sizeof(text), &prefix);
    struct target_view *view;
    struct view *found;
    struct slice rest;
    int r = views_get(&policy->views, &target_kind, text, len, sizeof(text), &found);

    if (r < 0)
        return r;
    *ret_view = view = of(found);
    if (r == 0)
        return 0;
    rest = slice_skip(view->view.key, prefix);
    view->target = *target;
    view->target.client_ns = slice_take(rest, target->client_ns.len);
    view->target.service_ns = slice_take(slice_skip(rest, target->client_ns.len), target->service_ns.len);
    view->target.service = slice_skip(rest, target->client_ns.len + target->service_ns.len);
    return 0;
}

/* 0, or a negative errno with a sentence and the status that the call is to end with. */
static int read_target(struct policy *policy, struct slice message, struct arena *arena, struct errmsg *msg, int *ret_status,
                       struct target *ret_target)
{
    struct target target = {0};
    struct cluster_host host;
    struct traffic_spec spec;
    struct workload workload;
    int r = traffic_spec_decode(message, arena, msg, &spec);

    *ret_status = GRPC_INVALID_ARGUMENT;
    if (r == 0)
        r = workload_parse(spec.source_workload, arena, msg, &workload);
    if (r < 0)
        return r;
    target.client_ns = workload.ns;
    target.by_addr = spec.by_addr;
    if (spec.by_addr) {
        target.addr = spec.addr;
        target.port = spec.addr.port;
    } else {
        r = cluster_host_parse_service(spec.authority, policy->controller->options.cluster_domain, msg, &host);
        if (r == -ENOENT)
            *ret_status = GRPC_NOT_FOUND;
        if (r < 0)
            return r;
        target.service_ns = host.namespace_;
        target.service = host.service;
        target.port = host.port;
    }
    *ret_target = target;
    return 0;
}

/* The answer as it is now: the policy and its bytes, or the call is finished and NULL. */
static struct outbound_policy *first_answer(struct policy *policy, struct grpc_server_call *call, const struct target *target,
                                            struct buffer *ret_bytes)
{
    struct outbound_policy *answer;
    int r = build(policy->controller, target, &answer);

    if (r == -ENOENT) {
        grpc_finish(call, GRPC_NOT_FOUND, SLICE_LIT("No such service"));
        return NULL;
    }
    if (r == 0 && outbound_policy_encode(answer, NULL, ret_bytes) == 0)
        return answer;
    if (r == 0)
        outbound_policy_unref(answer);
    grpc_finish(call, GRPC_INTERNAL, SLICE_LIT("the policy cannot be made"));
    return NULL;
}

static void start_watch(struct policy *policy, struct grpc_server_call *call, const struct target *target,
                        const struct outbound_policy *answer, struct slice bytes)
{
    struct target_view *view;
    int r = find_view(policy, target, &view);

    if (r < 0) {
        views_refuse(call, r);
        return;
    }
    if (list_empty(&view->view.calls))
        follow(view, answer);
    view_begin(&view->view, call, bytes);
}

static void start(struct policy *policy, struct grpc_server_call *call, struct slice message, bool watch)
{
    struct outbound_policy *answer;
    struct target target;
    struct errmsg msg = {""};
    struct buffer bytes;
    struct arena arena;
    int status;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    if (read_target(policy, message, &arena, &msg, &status, &target) < 0) {
        grpc_finish(call, status, slice_str(msg.text));
    } else if ((answer = first_answer(policy, call, &target, &bytes))) {
        if (watch)
            start_watch(policy, call, &target, answer, buffer_slice(&bytes));
        else if (grpc_reply(call, buffer_slice(&bytes)) == 0)
            grpc_finish(call, GRPC_OK, SLICE_NULL);
        else
            grpc_finish(call, GRPC_INTERNAL, SLICE_LIT("the policy cannot be sent"));
        outbound_policy_unref(answer);
    }
    buffer_release(&bytes);
    arena_release(&arena);
}

void policy_get_target(struct grpc_server_call *call, void *owner, struct slice message)
{
    start(owner, call, message, false);
}

void policy_watch_target(struct grpc_server_call *call, void *owner, struct slice message)
{
    start(owner, call, message, true);
}
