#include "mesh/classify.h"

#include "base/mutation.h"

int grpc_status_of(const struct http_field *fields, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        uint64_t code;

        if (fields[i].token != HTTP_TOKEN_GRPC_STATUS)
            continue;
        if (slice_u64(fields[i].value, UINT16_MAX, &code) < 0)
            return GRPC_STATUS_NONE;
        return code <= 16 ? (int)code : GRPC_STATUS_OTHER;
    }
    return GRPC_STATUS_NONE;
}

const char *grpc_status_name(int code)
{
    static const char *const names[] = {
        "OK",                 "CANCELLED",           "UNKNOWN",   "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND",
        "ALREADY_EXISTS",     "PERMISSION_DENIED",   "RESOURCE_EXHAUSTED",            "FAILED_PRECONDITION",
        "ABORTED",            "OUT_OF_RANGE",        "UNIMPLEMENTED",                 "INTERNAL", "UNAVAILABLE",
        "DATA_LOSS",          "UNAUTHENTICATED"};

    return code >= 0 && code <= 16 ? names[code] : "UNKNOWN";
}

static bool holds(const struct response_condition *condition, uint16_t status)
{
    bool all = condition->kind == RESPONSE_ALL;

    switch (condition->kind) {
    case RESPONSE_STATUS: return condition->min <= status && status <= condition->max;
    case RESPONSE_NOT: return !holds(&condition->children[0], status);
    case RESPONSE_ALL:
    case RESPONSE_ANY: break;
    }
    for (size_t i = 0; i < condition->count; i++)
        if (holds(&condition->children[i], status) != all)
            return !all;
    return all;
}

static const struct response_class *class_of(const struct profile_route *route, uint16_t status)
{
    for (size_t i = 0; route && i < route->class_count; i++)
        if (holds(&route->classes[i].condition, status))
            return &route->classes[i];
    return NULL;
}

static void take_grpc(struct classification *c, int code)
{
    c->grpc_status = code;
    c->is_failure = GRPC_FAILURES >> code & 1;
    c->is_final = true;
}

struct classification classify_start(const struct http_head *response, bool request_is_grpc,
                                     const struct profile_route *route)
{
    const struct response_class *class = class_of(route, response->status);
    bool with_classes = route && route->class_count;
    int code = grpc_status_of(response->fields, response->count);
    struct classification c = {.grpc = request_is_grpc, .grpc_status = GRPC_STATUS_NONE};

    if (class) {
        c.is_failure = class->is_failure;
        c.is_final = true;
        c.grpc_status = request_is_grpc ? code : GRPC_STATUS_NONE;
        return c;
    }
    c.is_failure = response->status >= 500 && response->status <= 599 && !mutation("server-errors-count-as-success");
    /* A profile's route looks for a grpc-status in any response, other traffic only where gRPC was asked for. */
    c.grpc |= with_classes;
    if (c.grpc && code != GRPC_STATUS_NONE)
        take_grpc(&c, code);
    return c;
}

void classify_end(struct classification *c, const struct http_field *trailers, unsigned count)
{
    int code = grpc_status_of(trailers, count);

    if (c->grpc && code != GRPC_STATUS_NONE) {
        if (c->is_final)
            c->grpc_status = c->grpc_status == GRPC_STATUS_NONE ? code : c->grpc_status;
        else
            take_grpc(c, code);
    }
    c->is_final = true;
}

void classify_error(struct classification *c)
{
    c->is_failure = c->is_final = true;
}
