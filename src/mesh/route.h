/*
 * Which route a request takes.
 *
 *   policy routes    all are looked at and the best match wins: an exact host beats a
 *                    suffix, a longer one a shorter one, any a route without hosts; then the number
 *                    of path characters matched, whatever the kind of path match; then how many header matches,
 *                    query matches, and whether a method is named. The earlier wins a tie.
 *                    gRPC: host, characters of service, of method, header matches.
 *   profile routes   the first whose condition holds.
 *
 * A regular expression that hits its limit ends the search with an error: the
 * request must fail (REASON_PATTERN_LIMIT), since the route it belongs to is not known.
 *
 * Snapshots must have been prepared (mesh/prepare.h): regular expressions compiled.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "codec/http.h"
#include "mesh/inbound_policy.h"
#include "mesh/outbound_policy.h"
#include "mesh/profile.h"
#include "mesh/regex.h"

struct query_param {
    struct slice name, value; /* decoded: %41 and + */
};

/* A request as routes look at it. Slices are the head's; what must be decoded goes into the arena, once. */
struct route_request {
    const struct http_head *head;
    struct slice host;  /* of the authority; empty when that is missing or malformed */
    struct slice path;  /* without query */
    struct slice query; /* behind the ?, .ptr NULL when there is none */
    struct arena *arena;
    struct regex_scratch *scratch;
    struct query_param *params; /* NULL until the first query match looks */
    size_t param_count;
};

void route_request_init(struct route_request *request, const struct http_head *head, struct arena *arena,
                        struct regex_scratch *scratch);

/* Where the best match is. */
struct route_found {
    size_t route, rule;             /* indexes */
    enum path_match_kind path_kind; /* how the path matched; PATH_PREFIX of 1 where nothing was asked */
    size_t path_len;                /* characters of it */
};

/* 1 and *ret_found; 0: none matches (REASON_ROUTE_NOT_FOUND); -EOVERFLOW, -ENOMEM. */
int inbound_route_find(const struct inbound_policy *policy, struct route_request *request,
                       struct route_found *ret_found);
/* `grpc`: the routes are gRPC routes. */
int outbound_route_find(const struct outbound_routes *routes, bool grpc, struct route_request *request,
                        struct route_found *ret_found);
/* TLS routes: by the name in the client hello ("" for none). */
int outbound_route_find_sni(const struct outbound_routes *routes, struct slice sni, struct route_found *ret_found);
/* *ret_route is NULL when none matches: the default route, with neither timeout nor retries. 0, -EOVERFLOW, -ENOMEM. */
int profile_route_find(const struct profile *profile, struct route_request *request,
                       const struct profile_route **ret_route);
