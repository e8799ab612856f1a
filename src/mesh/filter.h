/*
 * What a route does to a request before it is sent on, and to its response:
 * header fields changed, a redirect or a failure as the answer. In the order of the filters.
 *
 * Header modifiers never touch the fields that frame a message or belong to one
 * connection (content-length, transfer-encoding, connection, te, upgrade ...), whatever a policy
 * says. `host` cannot be removed or doubled: adding it sets it, and the request's authority with it.
 */
#pragma once

#include <stdint.h>

#include "base/arena.h"
#include "base/rng.h"
#include "codec/http.h"
#include "mesh/reason.h"
#include "mesh/route.h"

/* The answer that a filter gives in place of the server. */
struct filter_answer {
    enum reason reason;    /* REDIRECTED, INJECTED_FAILURE, or POLICY_INVALID: the filter cannot be applied */
    uint16_t http;         /* status; 200 for one that is a gRPC status only */
    uint8_t grpc;          /* grpc-status for requests that are gRPC */
    struct slice location; /* of a redirect */
    struct slice message;  /* any text, as the policy has it */
};

/*
 * 0: the request goes on, changed; 1: *ret_answer is the answer (memory of the arena and the policy); -ENOMEM, -ENOBUFS (more
 * fields than a head may have). `found` is what mesh/route.h said for the route that has the filters.
 */
int filters_apply_request(const struct filters *filters, struct http_head *head, const struct route_found *found,
                          struct arena *arena, struct rng *rng, struct filter_answer *ret_answer);
/* Outbound: the response modifiers. 0, -ENOMEM, -ENOBUFS. */
int filters_apply_response(const struct filters *filters, struct http_head *head, struct arena *arena);
