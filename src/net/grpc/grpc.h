/*
 * gRPC over HTTP/2 (github.com/grpc/grpc PROTOCOL-HTTP2): calls with one request
 * message and one or many responses, which is all that the proxy API has, both
 * as client and as server. Messages are bytes; api/ gives them meaning.
 *
 * Bounds: a message is at most LIMIT_GRPC_MESSAGE; compressed messages are
 * refused with UNIMPLEMENTED (12), as no encoding is announced.
 *
 * Client: grpc_call_start() on an open http_client; events come in order: any
 * number of on_message, then one on_end, with the status the server sent, or
 * one made here (UNAVAILABLE for a lost connection, INTERNAL for a broken
 * answer, HTTP statuses mapped as gRPC says). grpc_call_cancel() ends without
 * event.
 *
 * Server: grpc_service maps paths to methods; a call is told once its request
 * message is whole; grpc_reply() sends a message, grpc_finish() the status.
 * Back-pressure: grpc_reply() queues at most `queue_max` bytes and returns
 * -ENOBUFS beyond; on_drained tells when the queue is empty again.
 */
#pragma once

#include "base/buffer.h"
#include "net/http/http_stream.h"

enum grpc_status {
    GRPC_OK = 0,
    GRPC_CANCELLED = 1,
    GRPC_UNKNOWN = 2,
    GRPC_INVALID_ARGUMENT = 3,
    GRPC_DEADLINE_EXCEEDED = 4,
    GRPC_NOT_FOUND = 5,
    GRPC_ALREADY_EXISTS = 6,
    GRPC_PERMISSION_DENIED = 7,
    GRPC_RESOURCE_EXHAUSTED = 8,
    GRPC_FAILED_PRECONDITION = 9,
    GRPC_ABORTED = 10,
    GRPC_OUT_OF_RANGE = 11,
    GRPC_UNIMPLEMENTED = 12,
    GRPC_INTERNAL = 13,
    GRPC_UNAVAILABLE = 14,
    GRPC_DATA_LOSS = 15,
    GRPC_UNAUTHENTICATED = 16,
};

const char *grpc_code_name(int status); /* "NotFound" ...; "Unknown" for others */

/* --- client --- */

struct grpc_call;

struct grpc_call_events {
    void (*on_message)(struct grpc_call *call, struct slice message); /* bytes valid during the call */
    void (*on_end)(struct grpc_call *call, int status, struct slice text); /* the call is freed after this returns */
};

/*
 * `path` is "/package.Service/Method", `authority` host:port. `deadline_ns` of 0: none; it is also sent as
 * grpc-timeout. 0, -EAGAIN when the client takes no request now, or a negative errno.
 */
int grpc_call_start(struct http_client *client, struct loop *loop, struct slice authority, struct slice path,
                    struct slice message, int64_t deadline_ns, const struct grpc_call_events *events, void *owner,
                    struct grpc_call **ret_call);
void *grpc_call_owner(const struct grpc_call *call);
void grpc_call_cancel(struct grpc_call *call);

/* --- server --- */

struct grpc_server_call;

struct grpc_method {
    struct slice path; /* "/package.Service/Method" */
    const char *type;  /* "unary" or "server_stream", for metrics */
    /* The request is whole; answer now or later. `service_owner` is the service's. Bytes valid during the call. */
    void (*start)(struct grpc_server_call *call, void *service_owner, struct slice message);
};

/* on_* are told about every call, for grpc_server_* metrics; each may be NULL. */
struct grpc_service {
    const struct grpc_method *methods;
    unsigned count;
    void *owner;    /* for start() */
    void *observer; /* for the next three */
    void (*on_started)(void *observer, const struct grpc_method *method);
    void (*on_handled)(void *observer, const struct grpc_method *method, int status, int64_t took_ns);
    void (*on_message)(void *observer, const struct grpc_method *method, bool sent);
};

struct grpc_server_call_events {
    void (*on_drained)(struct grpc_server_call *call); /* all replies were passed on; may be NULL */
    void (*on_gone)(struct grpc_server_call *call);    /* the peer left; the call is freed after this returns */
};

/*
 * For http_server_events.on_stream: serves the stream as a call of one of the services, an array that lives as long
 * as the calls. The deadline of grpc-timeout is kept here (on_gone). NULL: shed.
 */
struct arena *grpc_serve(struct http_server *server, struct http_stream *stream, struct loop *loop,
                         const struct grpc_service *const *services, unsigned count);
void grpc_server_call_bind(struct grpc_server_call *call, const struct grpc_server_call_events *events, void *owner,
                           size_t queue_max);
void *grpc_server_call_owner(const struct grpc_server_call *call);
/* The peer's request head, for metadata; in start() only, as a call that waits for changes keeps no memory of its request. */
const struct http_head *grpc_server_call_head(const struct grpc_server_call *call);
/*
 * 0; -ENOBUFS when the queue is full (an empty one takes any message); -EMSGSIZE; any other error: the stream is
 * broken or memory is out, and all that is left to do is grpc_finish().
 */
int grpc_reply(struct grpc_server_call *call, struct slice message);

/* A message that many calls are sent: made once, and waiting once, whatever number of calls it waits for. */
struct grpc_message;

/* One reference; a copy of the bytes. NULL: no memory, or longer than LIMIT_GRPC_MESSAGE. */
struct grpc_message *grpc_message_new(struct slice bytes);
void grpc_message_unref(struct grpc_message *message);
/* As grpc_reply(); the call takes a reference of its own. */
int grpc_reply_message(struct grpc_server_call *call, struct grpc_message *message);
/* Ends the call behind what was queued; it is freed, on_gone will not come. `text` may be empty. */
void grpc_finish(struct grpc_server_call *call, int status, struct slice text);
