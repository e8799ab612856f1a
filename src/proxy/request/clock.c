/* The timeouts of a route, on one timer of the request: its earliest end is what the timer waits for. */
#include <errno.h>

#include "base/mutation.h"
#include "proxy/request/request.h"

static int64_t sooner(int64_t a, int64_t b)
{
    return a < b ? a : b;
}

int64_t request_clock_next(const struct request *request)
{
    int64_t at = INT64_MAX;

    if (mutation("request-timeouts-ignored"))
        return at;
    if (request->give_up_ns)
        at = request->give_up_ns;
    if (request->answer_by_ns)
        at = sooner(at, request->answer_by_ns);
    if (request->timeouts.idle_ns && request->head_sent)
        at = sooner(at, request->last_frame_ns + request->timeouts.idle_ns);
    return at;
}

void request_clock_set(struct request *request)
{
    int64_t at = request_clock_next(request);

    if (at != INT64_MAX)
        request_deadline(request, at);
    else if (request->has_deadline)
        timer_cancel(&request->deadline);
}

enum reason request_clock_expired(const struct request *request)
{
    int64_t now = request->worker->loop->now_ns;

    if (request->give_up_ns && now >= request->give_up_ns)
        return request->profile_route ? REASON_PROFILE_TIMEOUT : REASON_REQUEST_TIMEOUT;
    if (request->answer_by_ns && now >= request->answer_by_ns)
        return REASON_RESPONSE_TIMEOUT;
    if (request->timeouts.idle_ns && request->head_sent && now >= request->last_frame_ns + request->timeouts.idle_ns)
        return REASON_IDLE_TIMEOUT;
    return REASON_NONE;
}

void request_clock_start(struct request *request)
{
    if (request->timeouts.request_ns)
        request->give_up_ns = request->since_ns + request->timeouts.request_ns;
    request_clock_set(request);
}

void request_clock_sent(struct request *request)
{
    request->request_end_ns = request->worker->loop->now_ns;
    if (!request->timeouts.response_ns || request->answer_by_ns)
        return;
    request->answer_by_ns = request->request_end_ns + request->timeouts.response_ns;
    request_clock_set(request);
}

/* What was upgraded is no exchange any more: a tunnel ends when its ends say so. */
void request_clock_stop(struct request *request)
{
    request->timeouts = (struct route_timeouts){0};
    request->give_up_ns = request->answer_by_ns = 0;
    request_clock_set(request);
}
