#include <assert.h>
#include <errno.h>

#include "base/mutation.h"
#include "mesh/route.h"
#include "proxy/inbound/inbound.h"
#include "proxy/series.h"

static enum step_result authorize(struct walker *walker, enum why why);
static enum step_result filter(struct walker *walker, enum why why);
static enum step_result find_pool(struct walker *walker, enum why why);

const struct step inbound_request_path[] = {
    {"authorize", authorize},     /* learns route and permit, or 404, 403 */
    {"filter", filter},           /* header changes, redirects, injected failures of the route */
    {"pool", find_pool},          /* the head as the application shall see it; its connections */
    {"connect", request_connect}, /* a stream to the application */
    {"forward", request_forward}, /* until both directions have ended */
    {NULL, NULL},
};

static enum step_result authorize(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);
    enum reason reason;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    /* The newest policy, not the one that the connection began with. */
    request->in_policy = inbound_policy_ref(request->conn->lookup->snapshot);
    reason = inbound_authorize_http(request);
    if (reason != REASON_NONE)
        return request_fail(request, reason, 0);
    series_http_begin(request);
    return STEP_NEXT;
}

static enum step_result filter(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    if (!request->in_rule || !request->in_rule->filters.count)
        return STEP_NEXT;
    return request_filter(request, &request->in_rule->filters);
}

/* What only proxies may say: removed from everybody, or believed from peers of the mesh. */
static void clean_head(struct request *request)
{
    struct http_head *head = request->head;
    const struct conn *conn = request->conn;
    unsigned kept = 0;

    for (unsigned i = 0; i < head->count; i++) {
        switch (head->fields[i].token) {
        case HTTP_TOKEN_L5D_CLIENT_ID:
        case HTTP_TOKEN_L5D_REMOTE_IP:
        case HTTP_TOKEN_L5D_SERVER_ID:
        case HTTP_TOKEN_L5D_PROXY_ERROR:
        case HTTP_TOKEN_L5D_PROXY_CONNECTION:
        case HTTP_TOKEN_L5D_PROXY_OTHER:
        case HTTP_TOKEN_L5D_REASON:
        case HTTP_TOKEN_L5D_ORIG_PROTO:
            continue;
        case HTTP_TOKEN_L5D_DST_CANONICAL:
            if (conn->client_id.kind == SAN_NONE)
                continue;
            break;
        default:
            break;
        }
        head->fields[kept++] = head->fields[i];
    }
    head->count = (uint16_t)kept;
    if (conn->client_id.kind != SAN_NONE)
        request_add_field(request, head, HTTP_TOKEN_L5D_CLIENT_ID, SLICE_LIT("l5d-client-id"), conn->client_id.name);
}

/* HTTP/1 that a proxy carried over HTTP/2 becomes HTTP/1 again. Only peers of the mesh are believed. */
static void restore_version(struct request *request)
{
    struct http_head *head = request->head;
    const struct http_field *field = http_find(head, HTTP_TOKEN_L5D_ORIG_PROTO);

    if (!field || head->version != HTTP_2 || (request->conn->tls != TLS_STATUS_ESTABLISHED && !mutation("orig-proto-of-anybody-believed")))
        return;
    request->orig_proto = true;
    head->version = slice_starts(field->value, SLICE_LIT("HTTP/1.0")) ? HTTP_1_0 : HTTP_1_1;
    head->absolute_form = slice_find_slice(field->value, SLICE_LIT("absolute-form")) < field->value.len;
}

/* HTTP/1 needs a Host: that of the request, or the address it was sent to. */
static int ensure_host(struct request *request)
{
    struct http_head *head = request->head;
    char text[ADDR_TEXT_MAX];
    struct slice host = head->authority;

    if (!host.len) {
        host = arena_dup(&request->arena, slice_str(addr_format(request->conn->dst, text)));
        if (!host.ptr)
            return -ENOMEM;
        head->authority = host;
    }
    if (head->version != HTTP_2 && !http_find(head, HTTP_TOKEN_HOST))
        request_add_field(request, head, HTTP_TOKEN_HOST, SLICE_LIT("host"), host);
    return 0;
}

static enum step_result find_pool(struct walker *walker, enum why why)
{
    struct request *request = request_of(walker);
    struct conn *conn = request->conn;
    int r;

    if (why == WHY_CANCEL)
        return STEP_FAIL;
    restore_version(request);
    if (!mutation("spoofed-fields-passed-on"))
        clean_head(request);
    if (ensure_host(request) < 0)
        return request_fail(request, REASON_OUT_OF_MEMORY, -ENOMEM);
    if (conn->dst.port == conn->worker->proxy->config.inbound.listen[0].port)
        return request_fail(request, REASON_LOOP, 0);
    r = pool_of_app(request->worker, conn->dst, request->head->version == HTTP_2, &request->pool);
    if (r < 0)
        return request_fail(request, REASON_OUT_OF_MEMORY, r);
    return STEP_NEXT;
}

enum step_result inbound_connect_failed(struct request *request, int error)
{
    enum reason reason = request->pool_waiter.reason != REASON_NONE ? request->pool_waiter.reason : REASON_CONNECT_FAILED;

    if (reason == REASON_CONNECT_REFUSED && app_listens_on_loopback(request->worker, request->conn->dst))
        reason = REASON_LOOPBACK_ONLY_APP;
    return request_fail(request, reason, error);
}

/* What the application says under names that are the proxies' is removed; the version that it spoke is told. */
void inbound_response_head(struct request *request, struct http_head *head)
{
    unsigned kept = 0;

    for (unsigned i = 0; i < head->count; i++) {
        switch (head->fields[i].token) {
        case HTTP_TOKEN_L5D_CLIENT_ID:
        case HTTP_TOKEN_L5D_REMOTE_IP:
        case HTTP_TOKEN_L5D_SERVER_ID:
        case HTTP_TOKEN_L5D_PROXY_ERROR:
        case HTTP_TOKEN_L5D_PROXY_CONNECTION:
        case HTTP_TOKEN_L5D_PROXY_OTHER:
        case HTTP_TOKEN_L5D_REASON:
        case HTTP_TOKEN_L5D_ORIG_PROTO:
            continue;
        default:
            head->fields[kept++] = head->fields[i];
        }
    }
    head->count = (uint16_t)kept;
    if (request->orig_proto)
        request_add_field(request, head, HTTP_TOKEN_L5D_ORIG_PROTO, SLICE_LIT("l5d-orig-proto"),
                          head->version == HTTP_1_0 ? SLICE_LIT("HTTP/1.0") : SLICE_LIT("HTTP/1.1"));
}
