#include "mesh/prepare.h"

#include <errno.h>

#include "mesh/authz.h"
#include "mesh/regex.h"

static void release_regex(void *regex)
{
    regex_free(regex);
}

static int compile(struct arena *arena, struct slice text, enum regex_mode mode, struct errmsg *msg,
                   struct regex **ret_regex)
{
    struct regex *regex;
    int r;

    r = regex_new(text, mode, msg, &regex);
    if (r < 0)
        return r;
    r = arena_on_release(arena, release_regex, regex);
    if (r < 0) {
        regex_free(regex);
        return r;
    }
    *ret_regex = regex;
    return 0;
}

/* --- policies --- */

static int prepare_named(struct arena *arena, struct named_match *matches, size_t count, struct errmsg *msg)
{
    for (size_t i = 0; i < count; i++) {
        struct value_match *value = &matches[i].value;
        int r = value->kind == VALUE_REGEX ? compile(arena, value->text, REGEX_POLICY, msg, &value->regex) : 0;

        if (r < 0)
            return r;
    }
    return 0;
}

static int prepare_http(struct arena *arena, struct http_route_match *matches, size_t count, struct errmsg *msg)
{
    for (size_t i = 0; i < count; i++) {
        struct http_route_match *match = &matches[i];
        int r = 0;

        if (match->path.kind == PATH_REGEX)
            r = compile(arena, match->path.text, REGEX_POLICY, msg, &match->path.regex);
        if (r == 0)
            r = prepare_named(arena, match->headers, match->header_count, msg);
        if (r == 0)
            r = prepare_named(arena, match->queries, match->query_count, msg);
        if (r < 0)
            return r;
    }
    return 0;
}

/* The matches of one rule, of either kind. */
static int prepare_rule(struct arena *arena, struct http_route_match *http, struct grpc_route_match *grpc,
                        size_t count, struct errmsg *msg)
{
    int r = http ? prepare_http(arena, http, count, msg) : 0;

    for (size_t i = 0; r == 0 && grpc && i < count; i++)
        r = prepare_named(arena, grpc[i].headers, grpc[i].header_count, msg);
    return r;
}

static int prepare_inbound(struct inbound_policy *policy, struct errmsg *msg)
{
    for (size_t i = 0; i < policy->route_count; i++)
        for (size_t j = 0; j < policy->routes[i].rule_count; j++) {
            struct inbound_rule *rule = &policy->routes[i].rules[j];
            int r = prepare_rule(&policy->snapshot.arena, rule->http_matches, rule->grpc_matches, rule->match_count,
                                 msg);

            if (r < 0)
                return r;
        }
    return 0;
}

int inbound_policy_prepare(struct inbound_policy *policy)
{
    struct errmsg msg = {""};
    int r = prepare_inbound(policy, &msg);

    if (r == 0)
        return policy->invalid ? 0 : authz_add_localhost(policy);
    if (r == -ENOMEM)
        return r;
    policy->invalid_reason = arena_dup(&policy->snapshot.arena, slice_str(msg.text));
    if (!policy->invalid_reason.ptr)
        return -ENOMEM;
    policy->invalid = true;
    policy->route_count = policy->authorization_count = 0;
    return 0;
}

static int prepare_routes(struct arena *arena, struct outbound_routes *routes, struct errmsg *msg)
{
    for (size_t i = 0; i < routes->count; i++)
        for (size_t j = 0; j < routes->items[i].rule_count; j++) {
            struct outbound_rule *rule = &routes->items[i].rules[j];
            int r = prepare_rule(arena, rule->http_matches, rule->grpc_matches, rule->match_count, msg);

            if (r < 0)
                return r;
        }
    return 0;
}

int outbound_policy_prepare(struct outbound_policy *policy)
{
    struct outbound_routes *all[] = {&policy->http1, &policy->http2, &policy->grpc};
    struct arena *arena = &policy->snapshot.arena;
    struct errmsg msg = {""};
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(all) / sizeof(all[0]); i++)
        r = prepare_routes(arena, all[i], &msg);
    if (r == 0 || r == -ENOMEM)
        return r;
    policy->invalid_reason = arena_dup(arena, slice_str(msg.text));
    if (!policy->invalid_reason.ptr)
        return -ENOMEM;
    policy->invalid = true;
    return 0;
}

/* --- profiles --- */

struct pruning {
    struct arena *arena;
    unsigned dropped;
};

/* 1: the condition stays; 0: it is left out; negative: no memory. Depth is that of the message it came in. */
static int prepare_condition(struct pruning *p, struct request_condition *condition)
{
    size_t kept = 0;
    int r;

    if (condition->kind == REQUEST_PATH) {
        r = compile(p->arena, condition->text, REGEX_PROFILE, NULL, &condition->regex);
        if (r < 0 && r != -ENOMEM)
            p->dropped++;
        return r == -ENOMEM ? r : r == 0;
    }
    for (size_t i = 0; i < condition->count; i++) {
        r = prepare_condition(p, &condition->children[i]);
        if (r < 0)
            return r;
        if (r > 0)
            condition->children[kept++] = condition->children[i];
    }
    condition->count = kept;
    return condition->kind != REQUEST_NOT || kept > 0;
}

int profile_prepare(struct profile *profile, unsigned *ret_dropped)
{
    struct pruning p = {.arena = &profile->snapshot.arena};
    size_t kept = 0;

    for (size_t i = 0; i < profile->route_count; i++) {
        int r = prepare_condition(&p, &profile->routes[i].condition);

        if (r < 0)
            return r;
        if (r > 0)
            profile->routes[kept++] = profile->routes[i];
    }
    profile->route_count = kept;
    if (ret_dropped)
        *ret_dropped = p.dropped;
    return 0;
}
