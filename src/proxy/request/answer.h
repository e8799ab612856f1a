/* Responses that the proxy makes itself (docs/behaviours.md, M): status, reason and headers. */
#pragma once

#include "base/arena.h"
#include "codec/http.h"
#include "proxy/request/request.h"

/* The status and fields for request->reason; `head` has room for eight fields at least. */
void answer_reason(struct request *request, struct http_head *head);
/* The fields of gRPC trailers for request->reason: the head of the response has been sent. */
void answer_grpc_trailers(struct request *request, struct http_head *head);
/* content-type, grpc-status and grpc-message (percent-encoded) of a trailers-only response. */
void answer_grpc_fields(struct arena *arena, struct http_head *head, int grpc_status, struct slice message);
/* A grpc-status value: 0 to 16, or 2 (Unknown) for anything else. */
int answer_read_grpc_status(struct slice value);
