#include "proxy/request/answer.h"

#include <stdio.h>

enum { GRPC_UNKNOWN_STATUS = 2 };

/* Percent-encoding of grpc-message: all but printable ASCII, and the percent sign. */
static struct slice encode_message(struct arena *arena, struct slice message)
{
    static const char hex[] = "0123456789ABCDEF";
    char *out = arena_alloc(arena, message.len * 3 + 1);
    size_t n = 0;

    if (!out)
        return SLICE_NULL;
    for (size_t i = 0; i < message.len; i++) {
        unsigned char c = (unsigned char)message.ptr[i];

        if (c >= 0x20 && c < 0x7f && c != '%') {
            out[n++] = (char)c;
        } else {
            out[n++] = '%';
            out[n++] = hex[c >> 4];
            out[n++] = hex[c & 15];
        }
    }
    return slice_of(out, n);
}

static void add_grpc_status(struct arena *arena, struct http_head *head, int grpc_status, struct slice message)
{
    struct slice status = arena_printf(arena, "%d", grpc_status);

    (void)http_append(head, HTTP_TOKEN_GRPC_STATUS, SLICE_LIT("grpc-status"), status);
    if (message.len)
        (void)http_append(head, HTTP_TOKEN_GRPC_MESSAGE, SLICE_LIT("grpc-message"), encode_message(arena, message));
}

void answer_grpc_fields(struct arena *arena, struct http_head *head, int grpc_status, struct slice message)
{
    (void)http_append(head, HTTP_TOKEN_CONTENT_TYPE, SLICE_LIT("content-type"), SLICE_LIT("application/grpc"));
    add_grpc_status(arena, head, grpc_status, message);
}

int answer_read_grpc_status(struct slice value)
{
    uint64_t status;

    return slice_u64(value, 16, &status) < 0 ? GRPC_UNKNOWN_STATUS : (int)status;
}

/* Inbound, only a peer that proved who it is learns why; outbound, the application beside us does. */
static bool may_tell(const struct request *request)
{
    const struct conn *conn = request->conn;

    if (conn->direction == DIRECTION_INBOUND)
        return conn->client_id.kind != SAN_NONE;
    return conn->worker->proxy->config.informational_headers;
}

static struct slice explanation(struct request *request)
{
    const char *name = reason_name(request->reason);

    if (request->explain.len)
        return arena_printf(&request->arena, "%s: %.*s", name, SLICE_ARGS(request->explain));
    if (request->error)
        return arena_printf(&request->arena, "%s: %s", name, strerror(-request->error));
    return slice_str(name);
}

void answer_grpc_trailers(struct request *request, struct http_head *head)
{
    struct slice text = may_tell(request) ? explanation(request) : SLICE_NULL;

    request->grpc_status = reason_answer(request->reason, request->conn->direction).grpc;
    add_grpc_status(&request->arena, head, request->grpc_status, text);
}

void answer_reason(struct request *request, struct http_head *head)
{
    struct reason_answer answer = reason_answer(request->reason, request->conn->direction);
    struct slice text = may_tell(request) ? explanation(request) : SLICE_NULL;

    if (request->is_grpc) {
        head->status = 200;
        request->grpc_status = answer.grpc;
        answer_grpc_fields(&request->arena, head, answer.grpc, text);
    } else {
        head->status = answer.http ? answer.http : 502;
        (void)http_append(head, HTTP_TOKEN_CONTENT_LENGTH, SLICE_LIT("content-length"), SLICE_LIT("0"));
    }
    if (text.ptr)
        (void)http_append(head, HTTP_TOKEN_L5D_PROXY_ERROR, SLICE_LIT("l5d-proxy-error"), text);
    if (!answer.fatal)
        return;
    if (request->version != HTTP_2)
        (void)http_append(head, HTTP_TOKEN_CONNECTION, SLICE_LIT("connection"), SLICE_LIT("close"));
    if (text.ptr)
        (void)http_append(head, HTTP_TOKEN_L5D_PROXY_CONNECTION, SLICE_LIT("l5d-proxy-connection"), SLICE_LIT("close"));
}
