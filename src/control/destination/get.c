/* Destination.Get: the endpoints of one port of a Service, as one client sees them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/destination.h"
#include "api/workload.h"
#include "base/mutation.h"
#include "control/destination/endpoints.h"
#include "control/destination/internal.h"

enum { PART = 1000 }; /* endpoints in one message */

/* What was last said of one address. */
struct member {
    struct map_entry entry;
    char text[ADDR_TEXT_MAX];
    struct addr addr;
    uint64_t digest;  /* of its description */
    uint64_t round;   /* the remake that saw it last */
};

struct endpoints_view {
    struct view view;
    struct cluster_host target;   /* text in the key */
    struct client_view client; /* node in the key; the zone is looked up each time */
    struct map members; /* by address */
    bool exists;        /* as last told */
    uint64_t round;
};

static struct endpoints_view *of(struct view *view)
{
    return CONTAINER_OF(view, struct endpoints_view, view);
}

static int build(struct endpoints_view *view, const struct kube_service *service, struct endpoint_update **ret_update)
{
    struct controller *controller = destination_of(&view->view)->controller;

    view->client.zone = describe_zone_of_node(controller, view->client.node);
    return endpoints_build(controller, service, &view->target, &view->client, ret_update);
}

/* --- what was said --- */

static int digest_of(const struct endpoint_info *info, uint64_t *ret_digest)
{
    struct endpoint_update one = {.kind = ENDPOINTS_ADD, .added = (struct endpoint_info *)(uintptr_t)info, .added_count = 1};
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    r = endpoint_update_encode(&one, NULL, &bytes);
    if (r == 0)
        *ret_digest = siphash13(bytes.data, bytes.len, 1, 2);
    buffer_release(&bytes);
    return r;
}

static struct member *find_member(struct endpoints_view *view, struct addr addr)
{
    char text[ADDR_TEXT_MAX];
    struct map_entry *entry = map_find(&view->members, slice_str(addr_format(addr, text)));

    return entry ? CONTAINER_OF(entry, struct member, entry) : NULL;
}

static struct member *add_member(struct endpoints_view *view, struct addr addr)
{
    struct member *member = calloc(1, sizeof(*member));

    if (!member)
        return NULL;
    member->addr = addr;
    if (map_add(&view->members, &member->entry, slice_str(addr_format(addr, member->text))) < 0) {
        free(member);
        return NULL;
    }
    return member;
}

static void drop_member(struct endpoints_view *view, struct member *member)
{
    map_remove(&view->members, &member->entry);
    free(member);
}

/* Notes that the address is there: 1 when it is new or described anew, 0 when nothing is new, or -ENOMEM. */
static int note(struct endpoints_view *view, const struct endpoint_info *info)
{
    struct member *member = find_member(view, info->addr);
    uint64_t digest = 0;
    int r;

    if (member && member->round == view->round)
        return 0; /* in two slices: the first counts */
    r = digest_of(info, &digest);
    if (r < 0)
        return r;
    if (member && member->digest == digest && !mutation("unchanged-endpoints-sent-again")) {
        member->round = view->round;
        return 0;
    }
    if (!member)
        member = add_member(view, info->addr);
    if (!member)
        return -ENOMEM;
    member->digest = digest;
    member->round = view->round;
    return 1;
}

/* Brings those that are new to the front of the update. */
static int note_all(struct endpoints_view *view, struct endpoint_update *now, size_t *ret_changed)
{
    size_t changed = 0;

    view->round++;
    for (size_t i = 0; i < now->added_count; i++) {
        struct endpoint_info info = now->added[i];
        int r = note(view, &info);

        if (r < 0)
            return r;
        if (!r)
            continue;
        now->added[i] = now->added[changed];
        now->added[changed++] = info;
    }
    *ret_changed = changed;
    return 0;
}

/* --- messages --- */

/* Calls `send` for each message that it takes to say the update: sets are sent in parts. 0, or a negative errno. */
static int encode_parts(const struct endpoint_update *update, int (*send)(void *to, struct slice message), void *to)
{
    size_t count = update->kind == ENDPOINTS_ADD ? update->added_count : update->kind == ENDPOINTS_REMOVE ? update->removed_count : 1;
    struct endpoint_update part = *update;
    struct buffer bytes;
    int r = 0;

    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    for (size_t at = 0; r == 0 && at < count; at += PART) {
        size_t left = count - at < PART ? count - at : PART;

        part.added = update->added ? update->added + at : NULL;
        part.added_count = left;
        part.removed = update->removed ? update->removed + at : NULL;
        part.removed_count = left;
        buffer_clear(&bytes);
        r = endpoint_update_encode(&part, NULL, &bytes);
        if (r == 0)
            r = send(to, buffer_slice(&bytes));
    }
    buffer_release(&bytes);
    return r;
}

static int send_to_all(void *view, struct slice message)
{
    view_send(view, message);
    return 0;
}

static void tell_all(struct view *view, const struct endpoint_update *update)
{
    if (encode_parts(update, send_to_all, view) < 0)
        view_break(view);
}

/* --- views --- */

static const struct kube_service *service_of(const struct endpoints_view *view)
{
    const struct kube_object *object =
        store_get(destination_of(&view->view)->controller->store, KUBE_SERVICE, view->target.namespace_, view->target.service);

    return object && kube_service(object)->type != KUBE_EXTERNAL_NAME ? kube_service(object) : NULL;
}

static void tell_none(struct endpoints_view *view, bool exists)
{
    struct endpoint_update none = {.kind = ENDPOINTS_NONE, .exists = exists};

    MAP_FOR_EACH (link, &view->members)
        drop_member(view, CONTAINER_OF(MAP_ENTRY(link), struct member, entry));
    view->exists = exists;
    tell_all(&view->view, &none);
}

static int tell_removed(struct endpoints_view *view)
{
    struct endpoint_update removed = {.kind = ENDPOINTS_REMOVE};

    removed.removed = view->members.count ? calloc(view->members.count, sizeof(struct addr)) : NULL;
    if (!removed.removed)
        return view->members.count ? -ENOMEM : 0;
    MAP_FOR_EACH (link, &view->members) {
        struct member *member = CONTAINER_OF(MAP_ENTRY(link), struct member, entry);

        if (member->round == view->round)
            continue;
        removed.removed[removed.removed_count++] = member->addr;
        drop_member(view, member);
    }
    tell_all(&view->view, &removed);
    free(removed.removed);
    return 0;
}

/* Sends what came or changed, then what went, and nothing when nothing did. */
static int tell_difference(struct endpoints_view *view, struct endpoint_update *now)
{
    struct endpoint_update changed = {.kind = ENDPOINTS_ADD, .set_labels = now->set_labels, .added = now->added};
    int r = note_all(view, now, &changed.added_count);

    if (r < 0)
        return r;
    tell_all(&view->view, &changed);
    return tell_removed(view);
}

static void remake(struct view *base)
{
    struct endpoints_view *view = of(base);
    const struct kube_service *service = service_of(view);
    struct endpoint_update *now;

    if (!service) {
        if (view->exists)
            tell_none(view, false);
        return;
    }
    if (build(view, service, &now) < 0) {
        view_break(base);
        return;
    }
    if (!view->exists && !now->added_count)
        tell_none(view, true);
    else if (tell_difference(view, now) < 0)
        view_break(base);
    view->exists = true;
    endpoint_update_unref(now);
}

static void free_view(struct view *base)
{
    struct endpoints_view *view = of(base);

    MAP_FOR_EACH (link, &view->members)
        free(CONTAINER_OF(MAP_ENTRY(link), struct member, entry));
    map_release(&view->members);
    view_release(base);
    free(view);
}

static const struct view_kind endpoints_kind = {sizeof(struct endpoints_view), remake, free_view};

static void follow(struct endpoints_view *view)
{
    const struct cluster_host *target = &view->target;

    view_follow(&view->view, "Service %.*s/%.*s", SLICE_ARGS(target->namespace_), SLICE_ARGS(target->service));
    view_follow(&view->view, "Endpoints %.*s/%.*s", SLICE_ARGS(target->namespace_), SLICE_ARGS(target->service));
    view_follow(&view->view, "Namespace %.*s", SLICE_ARGS(target->namespace_));
    view_follow(&view->view, "Nodes");
}

/* Views differ by what is asked for and by where the client is. Labels of names have no dots, so the key tells them apart. */
static int find_view(struct destination *destination, const struct cluster_host *target, struct slice node, struct endpoints_view **ret_view)
{
    char text[1024];
    int prefix = snprintf(text, sizeof(text), "endpoints %u ", (unsigned)target->port);
    int len = snprintf(text, sizeof(text), "endpoints %u %.*s.%.*s.%.*s.%.*s", (unsigned)target->port, SLICE_ARGS(target->namespace_),
                       SLICE_ARGS(target->service), SLICE_ARGS(target->instance), SLICE_ARGS(node));
    struct endpoints_view *view;
    struct view *found;
    struct slice rest;
    int r = views_get(&destination->views, &endpoints_kind, text, len, sizeof(text), &found);

    if (r < 0)
        return r;
    *ret_view = view = of(found);
    if (r == 0)
        return 0;
    map_init(&view->members, 0, 0);
    view->target.port = target->port;
    rest = slice_skip(view->view.key, (size_t)prefix);
    view->target.namespace_ = slice_take(rest, target->namespace_.len);
    rest = slice_skip(rest, target->namespace_.len + 1);
    view->target.service = slice_take(rest, target->service.len);
    rest = slice_skip(rest, target->service.len + 1);
    view->target.instance = slice_take(rest, target->instance.len);
    view->client.node = slice_skip(rest, target->instance.len + 1);
    follow(view);
    return 0;
}

/* --- calls --- */

static int send_to_one(void *call, struct slice message)
{
    return grpc_reply(call, message);
}

static int count_bytes(void *sum, struct slice message)
{
    *(size_t *)sum += message.len;
    return 0;
}

/* The first answer: all that there is, or that there is nothing. */
static void answer(struct endpoints_view *view, const struct kube_service *service, struct grpc_server_call *call)
{
    struct endpoint_update *now, none = {.kind = ENDPOINTS_NONE, .exists = true};
    const struct endpoint_update *first;
    size_t bytes = 0, changed;
    int r = build(view, service, &now);

    if (r == 0 && list_empty(&view->view.calls)) { /* a new view has said nothing: this is what it says */
        view->exists = true;
        r = note_all(view, now, &changed);
        if (r < 0)
            endpoint_update_unref(now);
    }
    if (r < 0) {
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
        view_leave_unused(&view->view);
        return;
    }
    first = now->added_count ? now : &none;
    if (encode_parts(first, count_bytes, &bytes) < 0) {
        grpc_finish(call, GRPC_INTERNAL, SLICE_LIT("the endpoints cannot be encoded"));
        view_leave_unused(&view->view);
    } else if (view_join(&view->view, call, bytes) == 0) {
        (void)encode_parts(first, send_to_one, call);
    }
    endpoint_update_unref(now);
}

static void answer_service(struct destination *destination, struct grpc_server_call *call, const struct cluster_host *target,
                           struct slice node)
{
    const struct kube_object *object = store_get(destination->controller->store, KUBE_SERVICE, target->namespace_, target->service);
    struct endpoints_view *view;
    struct errmsg msg;
    int r;

    if (!object) {
        errmsg_set(&msg, 0, "Service %.*s.%.*s not found", SLICE_ARGS(target->service), SLICE_ARGS(target->namespace_));
        grpc_finish(call, GRPC_NOT_FOUND, slice_str(msg.text));
        return;
    }
    if (kube_service(object)->type == KUBE_EXTERNAL_NAME) {
        grpc_finish(call, GRPC_INVALID_ARGUMENT, SLICE_LIT("the Service is of type ExternalName"));
        return;
    }
    r = find_view(destination, target, node, &view);
    if (r < 0)
        views_refuse(call, r);
    else
        answer(view, kube_service(object), call);
}

void destination_get(struct grpc_server_call *call, void *owner, struct slice message)
{
    struct destination *destination = owner;
    struct get_destination request;
    struct context_token token = {0};
    struct cluster_host target;
    struct errmsg msg = {""};
    struct arena arena;
    int r;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    r = get_destination_decode(message, &arena, &msg, &request);
    if (r == 0)
        r = cluster_host_parse(request.path, destination->controller->options.cluster_domain, &msg, &target);
    if (r == 0 && target.is_addr)
        r = errmsg_set(&msg, -EINVAL, "IP queries not supported by Get API: host=%.*s", SLICE_ARGS(request.path));
    if (r < 0) {
        grpc_finish(call, GRPC_INVALID_ARGUMENT, slice_str(msg.text));
    } else {
        (void)context_token_parse(request.context_token, &arena, NULL, &token); /* what cannot be read tells nothing */
        answer_service(destination, call, &target, token.node_name);
    }
    arena_release(&arena);
}
