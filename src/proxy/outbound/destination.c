#include <errno.h>
#include <stdio.h>

#include "codec/authority.h"
#include "proxy/outbound/outbound.h"

enum { OVERRIDE_PORT = 80, OVERRIDE_MAX = 300 }; /* the port where none is given; bytes of name and port */

/* As destinations are called: "web.shop.svc.cluster.local:80", or an address with its port. 0, or -EINVAL. */
static int override_key(struct slice text, char key[OVERRIDE_MAX], uint16_t *ret_port)
{
    struct authority authority;
    struct slice host;
    const char *format;
    int n;

    if (authority_parse(slice_trim(text), &authority) < 0)
        return -EINVAL;
    host = authority.host;
    if (host.len && host.ptr[host.len - 1] == '.')
        host.len--;
    if (!host.len || (authority.has_port && !authority.port))
        return -EINVAL;
    *ret_port = authority.has_port ? authority.port : OVERRIDE_PORT;
    format = authority.is_ip6 ? "[%.*s]:%u" : "%.*s:%u";
    n = snprintf(key, OVERRIDE_MAX, format, SLICE_ARGS(host), (unsigned)*ret_port);
    if (n < 0 || n >= OVERRIDE_MAX)
        return -EINVAL;
    for (char *at = key; *at; at++)
        *at = *at >= 'A' && *at <= 'Z' ? (char)(*at - 'A' + 'a') : *at;
    return 0;
}

static enum step_result take_view(struct request *request, struct lookup *target)
{
    const struct discovery *found;

    /* The newest view, not the one that the connection began with. */
    request->view = outbound_view_ref(target->view);
    found = request->view->discovery;
    if (found->failure == REASON_OVERRIDE_UNKNOWN)
        return request_break(request, found->failure, 0);
    return found->policy ? STEP_NEXT : request_fail(request, found->failure, 0);
}

static enum step_result look_override_up(struct request *request, struct slice text)
{
    char key[OVERRIDE_MAX];
    int r;

    if (override_key(text, key, &request->dst_port) < 0)
        return request_break(request, REASON_OVERRIDE_INVALID, -EINVAL);
    (void)http_remove(request->head, HTTP_TOKEN_L5D_DST_OVERRIDE);
    r = lookup_get(&request->worker->targets, slice_str(key), &request->target);
    if (r < 0)
        return request_fail(request, r == -ENOSPC ? REASON_TOO_MANY_DESTINATIONS : REASON_OUT_OF_MEMORY, r);
    if (request->target->view)
        return take_view(request, request->target);
    lookup_wait(request->target, &request->waiter, &request->task);
    request_deadline(request, request->worker->loop->now_ns + DISCOVERY_WAIT_NS);
    return STEP_WAIT;
}

enum step_result outbound_find_destination(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);
    const struct http_field *override;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (why == WHY_START) {
        override = request->worker->proxy->config.ingress_mode ? http_find(request->head, HTTP_TOKEN_L5D_DST_OVERRIDE) : NULL;
        if (override)
            return look_override_up(request, override->value);
        request->dst_port = request->conn->dst.port;
        return take_view(request, request->conn->lookup);
    }
    if (!request->target->view)
        return why == WHY_TIMER ? request_fail(request, REASON_DISCOVERY_UNAVAILABLE, -ETIMEDOUT) : STEP_WAIT;
    lookup_unwait(&request->waiter);
    timer_cancel(&request->deadline);
    return take_view(request, request->target);
}
