#include "api/workload.h"

#include <errno.h>
#include <jansson.h>

#include "base/arena.h"
#include "base/limits.h"

/* The object that the text is, or NULL. jansson recurses with the nesting, of which we need none. */
static json_t *parse_object(struct slice text, struct errmsg *msg)
{
    json_error_t error;
    json_t *object;

    if (text.len > LIMIT_WORKLOAD_JSON) {
        errmsg_set(msg, -EINVAL, "longer than %d bytes", LIMIT_WORKLOAD_JSON);
        return NULL;
    }
    for (size_t i = 1; i < text.len; i++) {
        if (text.ptr[i] == '{' || text.ptr[i] == '[') {
            errmsg_set(msg, -EINVAL, "JSON with something nested in it");
            return NULL;
        }
    }
    object = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, &error);
    if (!object)
        errmsg_set(msg, -EINVAL, "no JSON: %s", error.text);
    return object;
}

/* A member that is text, or ""; another type is -EINVAL. */
static int take_member(const json_t *object, const char *name, struct arena *arena, struct errmsg *msg,
                       struct slice *ret_text)
{
    const json_t *member = json_object_get(object, name);

    *ret_text = SLICE_LIT("");
    if (!member || json_is_null(member))
        return 0;
    if (!json_is_string(member))
        return errmsg_set(msg, -EINVAL, "%s: is not text", name);
    *ret_text = arena_dup(arena, slice_of(json_string_value(member), json_string_length(member)));
    return ret_text->ptr ? 0 : errmsg_set(msg, -ENOMEM, "no memory");
}

static int take_copy(struct slice text, struct arena *arena, struct errmsg *msg, struct slice *ret_text)
{
    *ret_text = arena_dup(arena, text);
    return ret_text->ptr ? 0 : errmsg_set(msg, -ENOMEM, "no memory");
}

static int parse_token_json(struct slice text, struct arena *arena, struct errmsg *msg, struct context_token *ret)
{
    json_t *object = parse_object(text, msg);
    int r;

    if (!object)
        return -EINVAL;
    r = take_member(object, "ns", arena, msg, &ret->ns);
    if (r == 0)
        r = take_member(object, "nodeName", arena, msg, &ret->node_name);
    if (r == 0)
        r = take_member(object, "pod", arena, msg, &ret->pod);
    json_decref(object);
    return r;
}

int context_token_parse(struct slice text, struct arena *arena, struct errmsg *msg, struct context_token *ret_token)
{
    struct context_token token = {SLICE_LIT(""), SLICE_LIT(""), SLICE_LIT("")};
    struct slice ns = slice_skip(text, 3);
    int r = 0;

    if (text.len > 0 && text.ptr[0] == '{')
        r = parse_token_json(text, arena, msg, &token);
    else if (slice_starts(text, SLICE_LIT("ns:")) && slice_find(ns, ':') == ns.len && text.len <= LIMIT_WORKLOAD_JSON &&
             slice_is_utf8(ns))
        r = take_copy(ns, arena, msg, &token.ns);
    else if (text.len > 0)
        r = errmsg_set(msg, -EINVAL, "neither JSON nor ns:NAMESPACE");
    if (r < 0)
        return errmsg_prefix(msg, r, "context token");
    *ret_token = token;
    return 0;
}

static int parse_workload_json(struct slice text, struct arena *arena, struct errmsg *msg, struct workload *ret)
{
    json_t *object = parse_object(text, msg);
    struct slice pod, external;
    int r;

    if (!object)
        return -EINVAL;
    r = take_member(object, "ns", arena, msg, &ret->ns);
    if (r == 0)
        r = take_member(object, "pod", arena, msg, &pod);
    if (r == 0)
        r = take_member(object, "external_workload", arena, msg, &external);
    json_decref(object);
    if (r < 0)
        return r;
    ret->external = pod.len == 0;
    ret->name = ret->external ? external : pod;
    if (pod.len > 0 && external.len > 0)
        return errmsg_set(msg, -EINVAL, "both pod and external_workload");
    return 0;
}

int workload_parse(struct slice text, struct arena *arena, struct errmsg *msg, struct workload *ret_workload)
{
    struct workload workload = {0};
    size_t colon = slice_find(text, ':');
    int r;

    if (text.len > 0 && text.ptr[0] == '{') {
        r = parse_workload_json(text, arena, msg, &workload);
    } else if (colon < text.len && text.len <= LIMIT_WORKLOAD_JSON && slice_is_utf8(text)) {
        r = take_copy(slice_take(text, colon), arena, msg, &workload.ns);
        if (r == 0)
            r = take_copy(slice_skip(text, colon + 1), arena, msg, &workload.name);
    } else {
        r = errmsg_set(msg, -EINVAL, "neither JSON nor NAMESPACE:POD");
    }
    if (r == 0 && (workload.ns.len == 0 || workload.name.len == 0))
        r = errmsg_set(msg, -EINVAL, "no namespace or no name");
    if (r < 0)
        return errmsg_prefix(msg, r, "workload");
    *ret_workload = workload;
    return 0;
}
