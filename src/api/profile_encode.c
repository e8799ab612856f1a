#include "api/convert.h"
#include "api/convert_route.h"
#include "api/destination.h"

static Destination__RequestMatch *give_request_condition(struct encoder *e, const struct request_condition *condition);

static Destination__RequestMatch__Seq *give_request_seq(struct encoder *e, const struct request_condition *condition)
{
    Destination__RequestMatch__Seq *to = GIVE(e, Destination__RequestMatch__Seq, destination__request_match__seq);

    if (to)
        GIVE_LIST(e, give_request_condition, condition->children, condition->count, to->matches, to->n_matches);
    return to;
}

static Destination__RequestMatch *give_request_condition(struct encoder *e, const struct request_condition *condition)
{
    Destination__RequestMatch *to = GIVE(e, Destination__RequestMatch, destination__request_match);

    if (!to)
        return NULL;
    switch (condition->kind) {
    case REQUEST_ALL:
        to->match_case = DESTINATION__REQUEST_MATCH__MATCH_ALL;
        to->all = give_request_seq(e, condition);
        break;
    case REQUEST_ANY:
        to->match_case = DESTINATION__REQUEST_MATCH__MATCH_ANY;
        to->any = give_request_seq(e, condition);
        break;
    case REQUEST_NOT:
        to->match_case = DESTINATION__REQUEST_MATCH__MATCH_NOT;
        to->not_ = give_request_condition(e, condition->children);
        break;
    case REQUEST_PATH:
        to->match_case = DESTINATION__REQUEST_MATCH__MATCH_PATH;
        to->path = GIVE(e, Destination__PathMatch, destination__path_match);
        if (to->path)
            to->path->regex = give_text(e, condition->text);
        break;
    case REQUEST_METHOD:
        to->match_case = DESTINATION__REQUEST_MATCH__MATCH_METHOD;
        to->method = give_method(e, condition->text);
        break;
    }
    return to;
}

static Destination__ResponseMatch *give_response_condition(struct encoder *e,
                                                           const struct response_condition *condition);

static Destination__ResponseMatch__Seq *give_response_seq(struct encoder *e,
                                                          const struct response_condition *condition)
{
    Destination__ResponseMatch__Seq *to = GIVE(e, Destination__ResponseMatch__Seq, destination__response_match__seq);

    if (to)
        GIVE_LIST(e, give_response_condition, condition->children, condition->count, to->matches, to->n_matches);
    return to;
}

static Destination__ResponseMatch *give_response_condition(struct encoder *e,
                                                           const struct response_condition *condition)
{
    Destination__ResponseMatch *to = GIVE(e, Destination__ResponseMatch, destination__response_match);

    if (!to)
        return NULL;
    switch (condition->kind) {
    case RESPONSE_ALL:
        to->match_case = DESTINATION__RESPONSE_MATCH__MATCH_ALL;
        to->all = give_response_seq(e, condition);
        break;
    case RESPONSE_ANY:
        to->match_case = DESTINATION__RESPONSE_MATCH__MATCH_ANY;
        to->any = give_response_seq(e, condition);
        break;
    case RESPONSE_NOT:
        to->match_case = DESTINATION__RESPONSE_MATCH__MATCH_NOT;
        to->not_ = give_response_condition(e, condition->children);
        break;
    case RESPONSE_STATUS:
        to->match_case = DESTINATION__RESPONSE_MATCH__MATCH_STATUS;
        to->status = GIVE(e, Destination__HttpStatusRange, destination__http_status_range);
        if (to->status) {
            to->status->min = condition->min;
            to->status->max = condition->max;
        }
        break;
    }
    return to;
}

static Destination__ResponseClass *give_class(struct encoder *e, const struct response_class *class)
{
    Destination__ResponseClass *to = GIVE(e, Destination__ResponseClass, destination__response_class);

    if (to) {
        to->condition = give_response_condition(e, &class->condition);
        to->is_failure = class->is_failure;
    }
    return to;
}

static Destination__Route *give_route(struct encoder *e, const struct profile_route *route)
{
    Destination__Route *to = GIVE(e, Destination__Route, destination__route);

    if (!to)
        return NULL;
    to->condition = give_request_condition(e, &route->condition);
    GIVE_LIST(e, give_class, route->classes, route->class_count, to->response_classes, to->n_response_classes);
    GIVE_LABELS(e, Destination__Route__MetricsLabelsEntry, destination__route__metrics_labels_entry, &route->labels,
                to->metrics_labels, to->n_metrics_labels);
    to->is_retryable = route->is_retryable;
    to->timeout = give_duration(e, route->timeout_ns);
    return to;
}

static Destination__RetryBudget *give_budget(struct encoder *e, const struct retry_budget_config *budget)
{
    Destination__RetryBudget *to = GIVE(e, Destination__RetryBudget, destination__retry_budget);

    if (to) {
        to->retry_ratio = (float)budget->retry_ratio;
        to->min_retries_per_second = budget->min_retries_per_second;
        to->ttl = give_duration_always(e, budget->ttl_ns);
    }
    return to;
}

static Destination__WeightedDst *give_dst(struct encoder *e, const struct weighted_dst *dst)
{
    Destination__WeightedDst *to = GIVE(e, Destination__WeightedDst, destination__weighted_dst);

    if (to) {
        to->authority = give_text(e, dst->authority);
        to->weight = dst->weight;
        to->backend_ref = give_metadata(e, &dst->backend);
    }
    return to;
}

int profile_encode(const struct profile *profile, struct errmsg *msg, struct buffer *out)
{
    Destination__DestinationProfile wire = DESTINATION__DESTINATION_PROFILE__INIT;
    struct arena scratch;
    struct encoder e = {&scratch, msg, 0};
    int r;

    arena_init(&scratch, LIMIT_SNAPSHOT);
    wire.fully_qualified_name = give_text(&e, profile->fully_qualified_name);
    wire.opaque_protocol = profile->opaque_protocol;
    GIVE_LIST(&e, give_route, profile->routes, profile->route_count, wire.routes, wire.n_routes);
    if (profile->has_retry_budget)
        wire.retry_budget = give_budget(&e, &profile->retry_budget);
    GIVE_LIST(&e, give_dst, profile->overrides, profile->override_count, wire.dst_overrides, wire.n_dst_overrides);
    if (profile->endpoint)
        wire.endpoint = give_endpoint(&e, profile->endpoint);
    wire.parent_ref = give_metadata(&e, &profile->parent);
    wire.profile_ref = give_metadata(&e, &profile->profile);
    r = give_end(&e, &wire.base, out);
    arena_release(&scratch);
    return r;
}
