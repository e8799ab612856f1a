/*
 * One HTTP request on its way through the proxy: two streams (net/http/http_stream.h),
 * the one that it came in on and the one that it goes out on, and between them a
 * path of steps (inbound/request_path.c, outbound/request_path.c) that ends in
 * `forward`. No body is ever held here: bytes that one stream does not take stay
 * with the other.
 *
 * Every request ends in request_end(), exactly once: answered by the peer, by
 * us (request_fail), or broken off; counted, logged, and recycled at the end of
 * the turn.
 */
#pragma once

#include "base/arena.h"
#include "mesh/outbound_policy.h"
#include "mesh/reason.h"
#include "mesh/route.h"
#include "net/http/http_stream.h"
#include "proxy/conn.h"
#include "proxy/request/pool.h"
#include "proxy/step.h"

struct backend_view;
struct inbound_route;
struct inbound_rule;
struct outbound_view;
struct profile_route;
struct failfast;
struct http_series;
struct rule_view;

struct request {
    struct walker walker;
    struct list link; /* in conn->requests until it ends; then in the worker's free list, or alone */
    struct conn *conn;
    struct worker *worker;
    struct arena arena;
    struct task task, disposal;
    struct timer deadline;   /* request and response timeouts; initialised when has_deadline */
    bool has_deadline;
    unsigned woken;
    int64_t since_ns;

    struct http_stream *server; /* where it came from; NULL once released */
    struct http_stream *client; /* where it went; NULL before, and once released */
    struct http_head *head;     /* of the request, as it will be sent; NULL before it came, else &own_head */
    struct http_head own_head;
    uint8_t version;            /* as received from the server side, before any conversion */
    bool is_grpc, is_connect, is_upgrade, orig_proto;
    bool request_end;           /* the request's last byte was passed on */
    bool head_sent;             /* the request's head was passed on */
    bool response_started;      /* a final head was sent back */
    bool response_end;
    bool tunnel;                /* after 101, or a 2xx to CONNECT */
    bool ended;
    uint16_t status;            /* of the response; 0 before */
    int grpc_status;            /* -1: none seen */
    enum reason reason;         /* of an error of our own */
    int error;
    uint64_t moved[2];          /* bytes of the bodies that were passed on: of the request, of the response */
    struct slice explain;       /* more about the reason, for l5d-proxy-error */

    /* inbound */
    struct inbound_policy *in_policy; /* a reference: what decided */
    const struct inbound_route *in_route;
    const struct inbound_rule *in_rule;
    const struct authorization *permit;

    /* outbound */
    struct lookup *target;      /* of the name in l5d-dst-override; NULL: the connection's counts */
    uint16_t dst_port;          /* of the destination, whichever it is */
    struct outbound_view *view; /* a reference */
    const struct outbound_route *route;
    const struct outbound_rule *rule;
    const struct profile_route *profile_route;
    struct route_request routing;
    struct route_found found;      /* what of the path matched, for redirects */
    const struct rule_view *backends;
    struct backend_view *backend;
    struct endpoint *endpoint;     /* counted as in flight there */
    const struct endpoint *avoid;  /* the one that failed last; only compared */
    unsigned tries;
    struct failfast *queue;        /* it waits for an endpoint behind this gate; NULL: it does not */
    int64_t queued_ns;             /* since when it waits, or waited, for an endpoint; 0: never had to */
    int64_t queue_until_ns;        /* inbound: until when it waits for a connection to the application */
    struct route_timeouts timeouts; /* of the policy or profile, and what the request itself asked for */
    int64_t give_up_ns;            /* when the whole exchange must be over; 0: never */
    int64_t answer_by_ns;          /* when the response must be, the request having been sent; 0: never */
    int64_t last_frame_ns;         /* the last time that either side moved something */
    int64_t request_end_ns;        /* its last byte was passed on */
    int64_t sent_ns, answered_ns;  /* the head went out, the response's head came */
    bool body_sent;                /* some of the body, which nobody can send again */
    struct lookup_waiter waiter; /* for a destination, later for endpoints */

    struct pool *pool;
    struct pool_waiter pool_waiter;
    struct http_series *series;
};

/* For http_server_events.on_stream: a new request, or NULL to shed it. */
struct arena *request_begin(struct conn *conn, struct http_stream *stream);
/* For steps: answers by itself with the status that the reason has, counts, ends. Returns STEP_FAIL. */
enum step_result request_fail(struct request *request, enum reason reason, int error);
/* The client's connection ends after this response, without hurting its other requests. */
void request_close_conn(struct request *request);
/* The same without an answer: the stream ends, and with HTTP/1 its connection. */
enum step_result request_break(struct request *request, enum reason reason, int error);
/* For steps: the same with a status and headers of the policy's own (redirects, injected failures). Returns STEP_DONE. */
enum step_result request_answer(struct request *request, unsigned status, const struct http_field *fields,
                                unsigned count);
enum step_result request_answer_grpc(struct request *request, int grpc_status, struct slice message);
/* Applies the filters of a route to the request's head: STEP_NEXT, or it was answered. */
enum step_result request_filter(struct request *request, const struct filters *filters);
/* The response filters of the route, on the response's head. */
void request_filter_response(struct request *request, struct http_head *head);
void request_wake(struct request *request, enum why why);
void request_deadline(struct request *request, int64_t at_ns);

/* --- clock.c: the timeouts of the route. Steps that wait let their timer go off no later than the next of them --- */

/* From request->timeouts: the time for the whole exchange runs from the request's first byte. */
void request_clock_start(struct request *request);
/* The request was passed on to its end: noted, and the time for the response runs. */
void request_clock_sent(struct request *request);
void request_clock_stop(struct request *request);
/* Sets the request's timer to the earliest end of a timeout, or cancels it. */
void request_clock_set(struct request *request);
int64_t request_clock_next(const struct request *request); /* that moment; INT64_MAX: none */
/* Which timeout has ended: REASON_NONE, or the reason to fail with. */
enum reason request_clock_expired(const struct request *request);
/* Opens a stream of request->pool. A step of both directions. */
enum step_result request_connect(struct walker *walker, enum why why);
/* Passes the head on and waits for the end. */
enum step_result request_forward(struct walker *walker, enum why why);
/* The head of the response, changed in place before it is passed on; by direction. */
void inbound_response_head(struct request *request, struct http_head *head);
void outbound_response_head(struct request *request, struct http_head *head);
/* Appends a field whose slices live in the request's arena or longer; drops it without room. */
void request_add_field(struct request *request, struct http_head *head, enum http_token token, struct slice name,
                       struct slice value);

void requests_release(struct worker *worker);

static inline struct request *request_of(struct walker *walker) { return CONTAINER_OF(walker, struct request, walker); }
