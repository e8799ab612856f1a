/* Destination.Get: the endpoints of one port of a Service, as one client sees them. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/destination.h"
#include "api/workload.h"
#include "base/mutation.h"
#include "control/destination/answers.h"
#include "control/destination/endpoints.h"
#include "control/destination/internal.h"

enum { PART = 1000 }; /* endpoints in one message */

/* What was last said of one address. */
struct member {
    struct addr addr;
    uint64_t digest; /* of its description */
    uint64_t basis;  /* of all that the description was made from; 0: not known */
};

/* By address. */
struct members {
    struct member *items;
    size_t count;
};

struct endpoints_view {
    struct view view;
    struct cluster_host target; /* text in the key */
    struct client_view client;  /* text in the key; the node only where it matters, see by_node */
    bool by_node;               /* endpoints_by_node() */
    struct answer answer;       /* the first one, while it is kept */
    struct members members;
    bool exists; /* as last told */
};

/* An endpoint as it is now. */
struct candidate {
    struct endpoint_found found;
    size_t order;
    struct member member;
};

static struct endpoints_view *of(struct view *view)
{
    return CONTAINER_OF(view, struct endpoints_view, view);
}

/* --- what was said --- */

static int compare_addr(const struct addr *a, const struct addr *b)
{
    int order = a->ip.version - b->ip.version;

    if (!order)
        order = memcmp(a->ip.bytes, b->ip.bytes, sizeof(a->ip.bytes));
    return order ? order : a->port - b->port;
}

static int by_addr(const void *a, const void *b)
{
    const struct candidate *x = a, *y = b;
    int order = compare_addr(&x->found.addr, &y->found.addr);

    return order ? order : x->order < y->order ? -1 : 1;
}

/* Of everything that describe_endpoint() looks at: the pod, the zone, and by its count all that changes seldom. */
static uint64_t basis_of(const struct endpoints_view *view, const struct endpoint_found *found)
{
    struct {
        uint64_t backing[2], surroundings;
        struct addr addr;
    } basis;

    if (!found->backing || (!found->backing->digest[0] && !found->backing->digest[1]))
        return 0;
    memset(&basis, 0, sizeof(basis));
    memcpy(basis.backing, found->backing->digest, sizeof(basis.backing));
    basis.surroundings = destination_of(&view->view)->surroundings;
    basis.addr.ip = found->addr.ip;
    basis.addr.port = found->addr.port;
    return siphash13(&basis, sizeof(basis), siphash13(found->zone.ptr, found->zone.len, 1, 2), 3) | 1;
}

/* All endpoints as they are now, by address, none twice. In the arena. */
static int find(struct endpoints_view *view, const struct kube_service *service, struct arena *arena, struct candidate **ret_items, size_t *ret_count)
{
    struct endpoint_found *found;
    struct candidate *items;
    size_t count, kept = 0;
    int r = endpoints_find(destination_of(&view->view)->controller, service, &view->target, &view->client, arena, &found, &count);

    if (r < 0)
        return r;
    items = ARENA_ARRAY(arena, struct candidate, count);
    if (!items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        items[i] = (struct candidate){found[i], i, {.addr = found[i].addr, .basis = basis_of(view, &found[i])}};
    if (count)
        qsort(items, count, sizeof(*items), by_addr);
    for (size_t i = 0; i < count; i++)
        if (!kept || compare_addr(&items[kept - 1].found.addr, &items[i].found.addr) != 0)
            items[kept++] = items[i];
    *ret_items = items;
    *ret_count = kept;
    return 0;
}

static int describe(const struct endpoints_view *view, const struct candidate *candidate, struct arena *arena, struct endpoint_info *ret_info)
{
    return describe_endpoint(destination_of(&view->view)->controller, candidate->found.backing, candidate->found.addr, candidate->found.zone,
                             &view->client, arena, ret_info);
}

static int digest_of(const struct endpoint_info *info, struct buffer *bytes, uint64_t *ret_digest)
{
    struct endpoint_update one = {.kind = ENDPOINTS_ADD, .added = (struct endpoint_info *)(uintptr_t)info, .added_count = 1};
    int r;

    buffer_clear(bytes);
    r = endpoint_update_encode(&one, NULL, bytes);
    if (r == 0)
        *ret_digest = siphash13(bytes->data, bytes->len, 1, 2);
    return r;
}

/* What was said last of the addresses from *at on, up to this one; NULL: nothing of this one. */
static const struct member *said_of(const struct members *members, const struct addr *addr, size_t *at)
{
    while (*at < members->count && compare_addr(&members->items[*at].addr, addr) < 0)
        ++*at;
    return *at < members->count && compare_addr(&members->items[*at].addr, addr) == 0 ? &members->items[*at] : NULL;
}

/* What is new or described anew goes into the update, which has room for all. Descriptions of what has not changed are not made. */
static int compare(const struct endpoints_view *view, struct candidate *now, size_t count, struct arena *arena, struct endpoint_update *changed)
{
    struct buffer bytes;
    size_t at = 0;
    int r = 0;

    buffer_init(&bytes, LIMIT_GRPC_MESSAGE);
    for (size_t i = 0; r == 0 && i < count; i++) {
        const struct member *said = said_of(&view->members, &now[i].found.addr, &at);
        struct endpoint_info *info = &changed->added[changed->added_count];
        bool again = mutation("unchanged-endpoints-sent-again");

        if (said && said->basis && said->basis == now[i].member.basis && !again) {
            now[i].member.digest = said->digest;
            continue;
        }
        r = describe(view, &now[i], arena, info);
        if (r == 0)
            r = digest_of(info, &bytes, &now[i].member.digest);
        if (r == 0 && (!said || said->digest != now[i].member.digest || again))
            changed->added_count++;
    }
    buffer_release(&bytes);
    return r;
}

/* Those of which something was said and that are not there any more; `removed` has room for all. */
static void list_gone(const struct members *members, const struct candidate *now, size_t count, struct endpoint_update *removed)
{
    size_t at = 0;

    for (size_t i = 0; i < members->count; i++) {
        while (at < count && compare_addr(&now[at].found.addr, &members->items[i].addr) < 0)
            at++;
        if (at == count || compare_addr(&now[at].found.addr, &members->items[i].addr) != 0)
            removed->removed[removed->removed_count++] = members->items[i].addr;
    }
}

/* From now on this was said. 0 or -ENOMEM, and then nothing has changed. */
static int keep(struct endpoints_view *view, const struct candidate *now, size_t count)
{
    struct member *items = count ? malloc(count * sizeof(*items)) : NULL;

    if (count && !items)
        return -ENOMEM;
    for (size_t i = 0; i < count; i++)
        items[i] = now[i].member;
    free(view->members.items);
    view->members = (struct members){items, count};
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

    (void)keep(view, NULL, 0);
    view->exists = exists;
    tell_all(&view->view, &none);
}

/* Sends what came or changed, then what went, and nothing when nothing did. */
static int tell_difference(struct endpoints_view *view, struct candidate *now, size_t count, struct arena *arena)
{
    struct endpoint_update changed = {.kind = ENDPOINTS_ADD}, removed = {.kind = ENDPOINTS_REMOVE};
    struct label labels[2];
    int r;

    changed.set_labels = endpoints_labels(&view->target, labels);
    changed.added = ARENA_ARRAY(arena, struct endpoint_info, count + 1);
    removed.removed = ARENA_ARRAY(arena, struct addr, view->members.count);
    if (!changed.added || !removed.removed)
        return -ENOMEM;
    r = compare(view, now, count, arena, &changed);
    if (r < 0)
        return r;
    list_gone(&view->members, now, count, &removed);
    r = keep(view, now, count);
    if (r < 0)
        return r;
    tell_all(&view->view, &changed);
    tell_all(&view->view, &removed);
    return 0;
}

static int remake_from(struct endpoints_view *view, const struct kube_service *service, struct arena *arena)
{
    struct candidate *now;
    size_t count;
    int r = find(view, service, arena, &now, &count);

    if (r < 0)
        return r;
    if (!view->exists && !count)
        tell_none(view, true);
    else
        r = tell_difference(view, now, count, arena);
    view->exists = true;
    return r;
}

static void remake(struct view *base)
{
    struct endpoints_view *view = of(base);
    const struct kube_service *service = service_of(view);
    struct arena arena;

    answers_forget(&destination_of(base)->answers, &view->answer);
    if (!service) {
        if (view->exists)
            tell_none(view, false);
        return;
    }
    if (endpoints_by_node(destination_of(base)->controller, service) != view->by_node) { /* calls belong to other views now: they begin anew */
        view_end(base, GRPC_OK, SLICE_NULL);
        return;
    }
    arena_init(&arena, SIZE_MAX);
    if (remake_from(view, service, &arena) < 0)
        view_break(base);
    arena_release(&arena);
}

static void free_view(struct view *base)
{
    struct endpoints_view *view = of(base);

    answers_forget(&destination_of(base)->answers, &view->answer);
    free(view->members.items);
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

/*
 * Views differ by what is asked for and by where the client is: its zone, and its node where endpoints_by_node()
 * says so. Labels of names have no dots; the length tells the zone from the node.
 */
static int find_view(struct destination *destination, const struct cluster_host *target, const struct client_view *client, bool by_node,
                     struct endpoints_view **ret_view)
{
    struct slice node = by_node ? client->node : SLICE_NULL;
    char text[1024];
    int prefix = snprintf(text, sizeof(text), "endpoints %u %d %zu ", (unsigned)target->port, by_node, client->zone.len);
    int len = snprintf(text, sizeof(text), "endpoints %u %d %zu %.*s.%.*s.%.*s.%.*s.%.*s", (unsigned)target->port, by_node, client->zone.len,
                       SLICE_ARGS(target->namespace_), SLICE_ARGS(target->service), SLICE_ARGS(target->instance), SLICE_ARGS(client->zone),
                       SLICE_ARGS(node));
    struct endpoints_view *view;
    struct view *found;
    struct slice rest;
    int r = views_get(&destination->views, &endpoints_kind, text, len, sizeof(text), &found);

    if (r < 0)
        return r;
    *ret_view = view = of(found);
    if (r == 0)
        return 0;
    view->by_node = by_node;
    view->target.port = target->port;
    rest = slice_skip(view->view.key, (size_t)prefix);
    view->target.namespace_ = slice_take(rest, target->namespace_.len);
    rest = slice_skip(rest, target->namespace_.len + 1);
    view->target.service = slice_take(rest, target->service.len);
    rest = slice_skip(rest, target->service.len + 1);
    view->target.instance = slice_take(rest, target->instance.len);
    rest = slice_skip(rest, target->instance.len + 1);
    view->client.zone = slice_take(rest, client->zone.len);
    view->client.node = slice_skip(rest, client->zone.len + 1);
    follow(view);
    return 0;
}

/* Whose calls they are, for view_end_of(). */
static uint64_t owner_of(struct slice node)
{
    return siphash13(node.ptr, node.len, 4, 5);
}

void destination_node_moved(struct destination *destination, struct slice node, struct slice old_zone)
{
    MAP_FOR_EACH (link, &destination->views.by_key) {
        struct view *view = CONTAINER_OF(MAP_ENTRY(link), struct view, entry);

        if (view->kind == &endpoints_kind && slice_eq(of(view)->client.zone, old_zone))
            view_end_of(view, owner_of(node), GRPC_OK);
    }
}

/* --- calls --- */

static int add_to_answer(void *answer, struct slice message)
{
    return answer_add(answer, message);
}

/* All that there is as an update, perhaps an empty one. A new view has said nothing yet: this is what it says. */
static int describe_all(struct endpoints_view *view, const struct kube_service *service, struct arena *arena, struct endpoint_update *now)
{
    struct candidate *items;
    size_t count;
    int r = find(view, service, arena, &items, &count);

    if (r < 0)
        return r;
    now->added = ARENA_ARRAY(arena, struct endpoint_info, count + 1);
    if (!now->added)
        return -ENOMEM;
    if (list_empty(&view->view.calls)) {
        view->exists = true;
        r = compare(view, items, count, arena, now);
        return r < 0 ? r : keep(view, items, count);
    }
    for (size_t i = 0; r == 0 && i < count; i++)
        r = describe(view, &items[i], arena, &now->added[now->added_count++]);
    return r;
}

/* The first answer: all that there is, or that there is nothing. */
static int encode_answer(struct endpoints_view *view, const struct kube_service *service, struct arena *arena)
{
    struct endpoint_update now = {.kind = ENDPOINTS_ADD}, none = {.kind = ENDPOINTS_NONE, .exists = true};
    struct label labels[2];
    int r;

    now.set_labels = endpoints_labels(&view->target, labels);
    r = describe_all(view, service, arena, &now);
    return r < 0 ? r : encode_parts(now.added_count ? &now : &none, add_to_answer, &view->answer);
}

/* Unless it is still there. 0, or a negative errno, and then there is none. */
static int make_answer(struct endpoints_view *view, const struct kube_service *service)
{
    struct answers *answers = &destination_of(&view->view)->answers;
    struct arena arena;
    int r;

    if (!answer_is_made(&view->answer)) {
        arena_init(&arena, SIZE_MAX);
        r = encode_answer(view, service, &arena);
        arena_release(&arena);
        if (r < 0) {
            answers_forget(answers, &view->answer);
            return r;
        }
    }
    answers_keep(answers, &view->answer);
    return 0;
}

static void answer(struct endpoints_view *view, const struct kube_service *service, struct grpc_server_call *call, struct slice node)
{
    int r = make_answer(view, service);

    if (r == -ENOMEM) {
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
        view_leave_unused(&view->view);
    } else if (r < 0) {
        grpc_finish(call, GRPC_INTERNAL, SLICE_LIT("the endpoints cannot be encoded"));
        view_leave_unused(&view->view);
    } else if (view_join_of(&view->view, call, view->answer.bytes, owner_of(node)) == 0 && answer_send(&view->answer, call) < 0) {
        view_end_call(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
    }
}

static void answer_service(struct destination *destination, struct grpc_server_call *call, const struct cluster_host *target,
                           struct slice node)
{
    const struct kube_object *object = store_get(destination->controller->store, KUBE_SERVICE, target->namespace_, target->service);
    struct client_view client = {.node = node, .zone = describe_zone_of_node(destination->controller, node)};
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
    r = find_view(destination, target, &client, endpoints_by_node(destination->controller, kube_service(object)), &view);
    if (r < 0)
        views_refuse(call, r);
    else
        answer(view, kube_service(object), call, node);
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
