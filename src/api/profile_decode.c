#include "api/convert.h"
#include "api/convert_route.h"
#include "api/destination.h"
#include "api/wire.h"
#include "base/duration.h"

/*
 * Conditions are trees; the depth is bounded by api/precheck.h. A part that is not known (-EPROTO) is left out of a
 * list, and takes a `not` with it.
 */
static int take_request_condition(struct decoder *d, const Destination__RequestMatch *from,
                                  struct request_condition *ret);

static int take_request_seq(struct decoder *d, const Destination__RequestMatch__Seq *from,
                            struct request_condition *ret)
{
    ret->children = from->n_matches ? ARENA_ARRAY(d->arena, struct request_condition, from->n_matches) : NULL;
    if (from->n_matches && !ret->children)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; i < from->n_matches; i++) {
        struct request_condition child = {0};
        int r = take_request_condition(d, from->matches[i], &child);

        if (r == -ENOMEM)
            return r;
        if (r == 0)
            ret->children[ret->count++] = child;
    }
    return 0;
}

static int take_request_condition(struct decoder *d, const Destination__RequestMatch *from,
                                  struct request_condition *ret)
{
    switch (from->match_case) {
    case DESTINATION__REQUEST_MATCH__MATCH_ALL:
        ret->kind = REQUEST_ALL;
        return take_request_seq(d, from->all, ret);
    case DESTINATION__REQUEST_MATCH__MATCH_ANY:
        ret->kind = REQUEST_ANY;
        return take_request_seq(d, from->any, ret);
    case DESTINATION__REQUEST_MATCH__MATCH_NOT:
        ret->kind = REQUEST_NOT;
        ret->children = ARENA_NEW(d->arena, struct request_condition);
        if (!ret->children)
            return errmsg_set(d->msg, -ENOMEM, "no memory");
        ret->count = 1;
        return take_request_condition(d, from->not_, ret->children);
    case DESTINATION__REQUEST_MATCH__MATCH_PATH:
        ret->kind = REQUEST_PATH;
        return take_text(d, from->path->regex, &ret->text);
    case DESTINATION__REQUEST_MATCH__MATCH_METHOD:
        ret->kind = REQUEST_METHOD;
        return take_method(d, from->method, &ret->text);
    default:
        return errmsg_set(d->msg, -EPROTO, "condition: of no kind that is known here");
    }
}

static int take_status_range(struct decoder *d, const Destination__HttpStatusRange *from,
                             struct response_condition *ret)
{
    uint32_t min = from->min ? from->min : from->max, max = from->max ? from->max : from->min;

    if (min < 100 || min > 999 || max < 100 || max > 999)
        return errmsg_set(d->msg, -EPROTO, "status: %u to %u are no HTTP statuses", (unsigned)min, (unsigned)max);
    ret->kind = RESPONSE_STATUS;
    ret->min = (uint16_t)min;
    ret->max = (uint16_t)max;
    return 0;
}

static int take_response_condition(struct decoder *d, const Destination__ResponseMatch *from,
                                   struct response_condition *ret);

/* Other than with requests, an empty list (also one of which nothing is known) makes no condition. */
static int take_response_seq(struct decoder *d, const Destination__ResponseMatch__Seq *from,
                             struct response_condition *ret)
{
    ret->children = from->n_matches ? ARENA_ARRAY(d->arena, struct response_condition, from->n_matches) : NULL;
    if (from->n_matches && !ret->children)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; i < from->n_matches; i++) {
        struct response_condition child = {0};
        int r = take_response_condition(d, from->matches[i], &child);

        if (r == -ENOMEM)
            return r;
        if (r == 0)
            ret->children[ret->count++] = child;
    }
    return ret->count ? 0 : errmsg_set(d->msg, -EPROTO, "condition: an empty list");
}

static int take_response_condition(struct decoder *d, const Destination__ResponseMatch *from,
                                   struct response_condition *ret)
{
    switch (from->match_case) {
    case DESTINATION__RESPONSE_MATCH__MATCH_ALL:
        ret->kind = RESPONSE_ALL;
        return take_response_seq(d, from->all, ret);
    case DESTINATION__RESPONSE_MATCH__MATCH_ANY:
        ret->kind = RESPONSE_ANY;
        return take_response_seq(d, from->any, ret);
    case DESTINATION__RESPONSE_MATCH__MATCH_NOT:
        ret->kind = RESPONSE_NOT;
        ret->children = ARENA_NEW(d->arena, struct response_condition);
        if (!ret->children)
            return errmsg_set(d->msg, -ENOMEM, "no memory");
        ret->count = 1;
        return take_response_condition(d, from->not_, ret->children);
    case DESTINATION__RESPONSE_MATCH__MATCH_STATUS:
        return take_status_range(d, from->status, ret);
    default:
        return errmsg_set(d->msg, -EPROTO, "condition: of no kind that is known here");
    }
}

static int take_classes(struct decoder *d, const Destination__Route *from, struct profile_route *ret)
{
    size_t n = from->n_response_classes;

    ret->classes = n ? ARENA_ARRAY(d->arena, struct response_class, n) : NULL;
    if (n && !ret->classes)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; i < n; i++) {
        const Destination__ResponseClass *class = from->response_classes[i];
        struct response_class taken = {.is_failure = class->is_failure};
        int r = class->condition ? take_response_condition(d, class->condition, &taken.condition) : -EPROTO;

        if (r == -ENOMEM)
            return r;
        if (r == 0)
            ret->classes[ret->class_count++] = taken;
    }
    return 0;
}

static int take_route(struct decoder *d, const Destination__Route *from, struct profile_route *ret)
{
    int r = from->condition ? take_request_condition(d, from->condition, &ret->condition)
                            : errmsg_set(d->msg, -EPROTO, "condition: missing");

    if (r == 0)
        r = take_classes(d, from, ret);
    if (r == 0)
        r = TAKE_LABELS(d, from->metrics_labels, from->n_metrics_labels, &ret->labels);
    if (r == 0 && take_duration(d, "timeout", from->timeout, &ret->timeout_ns) < 0)
        ret->timeout_ns = 0; /* a timeout that makes no sense is none; the route itself holds */
    ret->is_retryable = from->is_retryable;
    return r;
}

static int take_routes(struct decoder *d, const Destination__DestinationProfile *from, struct profile *ret)
{
    if (from->n_routes > LIMIT_ROUTES)
        return errmsg_set(d->msg, -EBADMSG, "routes: %zu, more than %d", from->n_routes, LIMIT_ROUTES);
    ret->routes = from->n_routes ? ARENA_ARRAY(d->arena, struct profile_route, from->n_routes) : NULL;
    if (from->n_routes && !ret->routes)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; i < from->n_routes; i++) {
        struct profile_route route = {0};
        int r = take_route(d, from->routes[i], &route);

        if (r == -ENOMEM)
            return r;
        if (r == 0)
            ret->routes[ret->route_count++] = route;
    }
    return 0;
}

static void take_budget(struct decoder *d, const Destination__RetryBudget *from, struct profile *ret)
{
    struct retry_budget_config *budget = &ret->retry_budget;

    if (!from || !(from->retry_ratio >= 0 && from->retry_ratio <= 1000) || from->min_retries_per_second > INT32_MAX)
        return;
    budget->retry_ratio = (double)from->retry_ratio;
    budget->min_retries_per_second = from->min_retries_per_second;
    if (take_duration(d, "retry_budget.ttl", from->ttl, &budget->ttl_ns) == 0)
        ret->has_retry_budget = budget->ttl_ns >= NS_PER_S && budget->ttl_ns <= 60 * NS_PER_S;
}

/* host:port with a name as host. */
static bool is_named_authority(struct slice authority)
{
    return text_is_authority(authority) && text_is_dns_name(slice_take(authority, slice_find(authority, ':')));
}

/* A reference that says nothing is none. */
static int take_reference(struct decoder *d, const Meta__Metadata *from, struct metadata *ret)
{
    int r = take_metadata(d, from, ret);

    return r == -ENOMEM ? r : 0;
}

static int take_overrides(struct decoder *d, const Destination__DestinationProfile *from, struct profile *ret)
{
    size_t n = from->n_dst_overrides;
    int r = 0;

    ret->overrides = n ? ARENA_ARRAY(d->arena, struct weighted_dst, n) : NULL;
    if (n && !ret->overrides)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    for (size_t i = 0; r == 0 && i < n; i++) {
        const Destination__WeightedDst *dst = from->dst_overrides[i];
        struct weighted_dst *taken = &ret->overrides[ret->override_count];

        if (dst->weight == 0 || !is_named_authority(slice_str(dst->authority)))
            continue;
        taken->weight = dst->weight;
        r = take_text(d, dst->authority, &taken->authority);
        if (r == 0)
            r = take_reference(d, dst->backend_ref, &taken->backend);
        ret->override_count++;
    }
    return r;
}

static int take_profile(struct decoder *d, const Destination__DestinationProfile *from, struct profile *ret)
{
    struct endpoint_info endpoint = {0};
    int r = 0;

    ret->opaque_protocol = from->opaque_protocol;
    if (text_is_dns_name(slice_str(from->fully_qualified_name)))
        r = take_text(d, from->fully_qualified_name, &ret->fully_qualified_name);
    if (r == 0)
        r = take_routes(d, from, ret);
    take_budget(d, from->retry_budget, ret);
    if (r == 0)
        r = take_overrides(d, from, ret);
    if (r == 0)
        r = take_reference(d, from->parent_ref, &ret->parent);
    if (r == 0)
        r = take_reference(d, from->profile_ref, &ret->profile);
    if (r < 0 || !from->endpoint)
        return r;
    r = take_endpoint(d, from->endpoint, &endpoint);
    if (r < 0)
        return r == -ENOMEM ? r : 0;
    ret->endpoint = ARENA_NEW(d->arena, struct endpoint_info);
    if (!ret->endpoint)
        return errmsg_set(d->msg, -ENOMEM, "no memory");
    *ret->endpoint = endpoint;
    return 0;
}

int profile_decode(struct slice message, struct errmsg *msg, struct profile **ret_profile)
{
    struct errmsg unread = {0};
    struct profile *profile = profile_new();
    struct decoder d = {profile ? &profile->snapshot.arena : NULL, msg ? msg : &unread};
    Destination__DestinationProfile *wire;
    struct arena scratch;
    int r;

    if (!profile)
        return errmsg_set(msg, -ENOMEM, "no memory");
    arena_init(&scratch, LIMIT_SNAPSHOT);
    r = wire_unpack(&destination__destination_profile__descriptor, message, &scratch, d.msg, &wire);
    if (r == 0)
        r = take_profile(&d, wire, profile);
    arena_release(&scratch);
    if (r < 0)
        profile_unref(profile);
    else
        *ret_profile = profile;
    return r;
}
