/* Filters of routes: what they change, and the answers that they give in place of the server. */
#include <errno.h>

#include "mesh/filter.h"
#include "proxy/outbound/outbound.h"
#include "proxy/request/answer.h"
#include "proxy/request/request.h"

static enum step_result give_answer(struct request *request, const struct filter_answer *answer)
{
    struct http_field location = {SLICE_LIT("location"), answer->location, HTTP_TOKEN_LOCATION, 0};

    request->reason = answer->reason;
    request->explain = answer->message;
    if (answer->reason == REASON_POLICY_INVALID)
        return request_fail(request, answer->reason, 0);
    if (request->is_grpc) /* whose clients follow no redirect */
        return request_answer_grpc(request, answer->grpc, answer->message);
    return request_answer(request, answer->http, &location, answer->location.len ? 1 : 0);
}

enum step_result request_filter(struct request *request, const struct filters *filters)
{
    struct filter_answer answer;
    int r = filters_apply_request(filters, request->head, &request->found, &request->arena, &request->worker->loop->rng, &answer);

    if (r < 0)
        return request_fail(request, r == -ENOBUFS ? REASON_HEADERS_TOO_LARGE : REASON_OUT_OF_MEMORY, r);
    return r == 0 ? STEP_NEXT : give_answer(request, &answer);
}

void request_filter_response(struct request *request, struct http_head *head)
{
    if (request->rule && request->rule->filters.count)
        (void)filters_apply_response(&request->rule->filters, head, &request->arena);
    if (request->backend && request->backend->filters && request->backend->filters->count)
        (void)filters_apply_response(request->backend->filters, head, &request->arena);
}
