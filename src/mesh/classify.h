/*
 * Whether a response counts as a success or a failure, for metrics and load
 * balancing. A ServiceProfile route's response classes decide first; else, where the request was gRPC, the
 * grpc-status (of the head or the trailers); else, and where that is missing, the status: 500 to 599 are failures.
 *
 *     c = classify_start(...) at the response head;  classify_end() at its end, with the trailers
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "codec/http.h"
#include "mesh/profile.h"

enum { GRPC_STATUS_NONE = -1, GRPC_STATUS_OTHER = 2 /* UNKNOWN: what a number that is no code counts as */ };

struct classification {
    bool is_failure;
    bool is_final;    /* trailers cannot change it */
    bool grpc;        /* grpc_status shall be there at the end */
    int grpc_status;  /* GRPC_STATUS_NONE when the response has not told */
};

/* DATA_LOSS, DEADLINE_EXCEEDED, INTERNAL, PERMISSION_DENIED, UNAVAILABLE, UNKNOWN: bit 1 << code. */
#define GRPC_FAILURES (1u << 15 | 1u << 4 | 1u << 13 | 1u << 7 | 1u << 14 | 1u << 2)

/* `route` may be NULL: no profile, or its default route. `request_is_grpc`: http_is_grpc() of the request. */
struct classification classify_start(const struct http_head *response, bool request_is_grpc,
                                     const struct profile_route *route);
/* The response is complete; no trailers: count 0. */
void classify_end(struct classification *classification, const struct http_field *trailers, unsigned count);
/* The response did not come to its end. */
void classify_error(struct classification *classification);

/* grpc-status among the fields: 0 to 16; GRPC_STATUS_OTHER for any other number; GRPC_STATUS_NONE when there is none. */
int grpc_status_of(const struct http_field *fields, unsigned count);
/* "OK", "CANCELLED" ... "UNAUTHENTICATED"; "UNKNOWN" for what is no code. */
const char *grpc_status_name(int code);
