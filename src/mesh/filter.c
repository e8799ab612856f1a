#include "mesh/filter.h"

#include <errno.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "mesh/filter_internal.h"

/* --- header modifiers --- */

static bool is_ours(enum http_token token)
{
    return token == HTTP_TOKEN_CONTENT_LENGTH || token == HTTP_TOKEN_TRAILER || http_token_is_hop(token);
}

/* Makes room for one more field, in the arena if need be. */
static int make_room(struct http_head *head, struct arena *arena)
{
    size_t room = (size_t)head->room * 2 + 8;
    struct http_field *fields;

    if (head->count >= LIMIT_HTTP_FIELDS * 2)
        return -ENOBUFS;
    if (head->count < head->room)
        return 0;
    fields = ARENA_ARRAY(arena, struct http_field, room);
    if (!fields)
        return -ENOMEM;
    if (head->count)
        memcpy(fields, head->fields, head->count * sizeof(fields[0]));
    head->fields = fields;
    head->room = (uint16_t)room;
    return 0;
}

static int append(struct http_head *head, struct arena *arena, const struct header_pair *pair)
{
    int r = make_room(head, arena);

    return r < 0 ? r : http_append(head, http_token_of(pair->name), pair->name, pair->value);
}

static void remove_name(struct http_head *head, struct slice name)
{
    uint16_t kept = 0;

    for (uint16_t i = 0; i < head->count; i++)
        if (!slice_eq_nocase(head->fields[i].name, name))
            head->fields[kept++] = head->fields[i];
    head->count = kept;
}

static int set(struct http_head *head, struct arena *arena, const struct header_pair *pair)
{
    remove_name(head, pair->name);
    return append(head, arena, pair);
}

/* A host is set once and says the same as the authority. */
static int set_host(struct http_head *head, struct arena *arena, const struct header_pair *pair)
{
    bool in_fields = http_find(head, HTTP_TOKEN_HOST) || head->version != HTTP_2;

    if (head->status)
        return 0; /* a response has none */
    head->authority = pair->value;
    return in_fields ? set(head, arena, pair) : 0;
}

static int modify_one(struct http_head *head, struct arena *arena, const struct header_pair *pair, bool add)
{
    enum http_token token = http_token_of(pair->name);

    if (is_ours(token) && !mutation("filter-changes-framing"))
        return 0;
    if (token == HTTP_TOKEN_HOST)
        return set_host(head, arena, pair);
    return add ? append(head, arena, pair) : set(head, arena, pair);
}

static int modify(const struct header_modifier *headers, struct http_head *head, struct arena *arena)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < headers->add_count; i++)
        r = modify_one(head, arena, &headers->add[i], true);
    for (size_t i = 0; r == 0 && i < headers->set_count; i++)
        r = modify_one(head, arena, &headers->set[i], false);
    for (size_t i = 0; r == 0 && i < headers->remove_count; i++) {
        enum http_token token = http_token_of(headers->remove[i]);

        if (!is_ours(token) && token != HTTP_TOKEN_HOST)
            remove_name(head, headers->remove[i]);
    }
    return r;
}

/* --- answers --- */

static int give_up(struct slice message, struct filter_answer *ret_answer)
{
    *ret_answer = (struct filter_answer){.reason = REASON_POLICY_INVALID, .http = 500, .grpc = 13, .message = message};
    return 1;
}

static int redirect(const struct redirect *to, const struct http_head *head, const struct route_found *found,
                    struct arena *arena, struct filter_answer *ret_answer)
{
    struct slice location;
    int r = redirect_location(to, head, found, arena, &location);

    if (r == -EINVAL)
        return give_up(SLICE_LIT("the route's redirect cannot be applied to this request"), ret_answer);
    if (r <= 0)
        return r;
    *ret_answer = (struct filter_answer){.reason = REASON_REDIRECTED, .http = to->status ? to->status : 301,
                                         .grpc = 5, .location = location, .message = SLICE_LIT("redirected")};
    return 1;
}

static bool strikes(const struct injected_failure *failure, struct rng *rng)
{
    return failure->denominator == 0 || rng_below(rng, failure->denominator) < failure->numerator;
}

static int fail(const struct filter *filter, struct rng *rng, struct filter_answer *ret_answer)
{
    const struct injected_failure *failure = &filter->failure;
    bool grpc = filter->kind == FILTER_GRPC_FAILURE;

    if (!strikes(failure, rng))
        return 0;
    *ret_answer = (struct filter_answer){.reason = REASON_INJECTED_FAILURE, .message = failure->message,
                                         .http = grpc ? 200 : failure->code,
                                         .grpc = grpc ? (uint8_t)failure->code : 9};
    return 1;
}

static int apply_one(const struct filter *filter, struct http_head *head, const struct route_found *found,
                     struct arena *arena, struct rng *rng, struct filter_answer *ret_answer)
{
    switch (filter->kind) {
    case FILTER_REQUEST_HEADERS: return modify(&filter->headers, head, arena);
    case FILTER_RESPONSE_HEADERS: return 0; /* its time comes */
    case FILTER_REDIRECT: return redirect(&filter->redirect, head, found, arena, ret_answer);
    case FILTER_HTTP_FAILURE:
    case FILTER_GRPC_FAILURE: return fail(filter, rng, ret_answer);
    case FILTER_TCP_FORBIDDEN:
    case FILTER_TCP_INVALID:
    case FILTER_UNKNOWN: break;
    }
    return give_up(SLICE_LIT("the route has a filter that does not belong there"), ret_answer);
}

int filters_apply_request(const struct filters *filters, struct http_head *head, const struct route_found *found,
                          struct arena *arena, struct rng *rng, struct filter_answer *ret_answer)
{
    for (size_t i = 0; i < filters->count; i++) {
        int r = apply_one(&filters->items[i], head, found, arena, rng, ret_answer);

        if (r != 0)
            return r;
    }
    return 0;
}

int filters_apply_response(const struct filters *filters, struct http_head *head, struct arena *arena)
{
    for (size_t i = 0; i < filters->count; i++) {
        int r = filters->items[i].kind == FILTER_RESPONSE_HEADERS ? modify(&filters->items[i].headers, head, arena) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}
