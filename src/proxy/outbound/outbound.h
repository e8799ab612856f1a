/*
 * Outbound: connections of the application beside us to others. path.c is the
 * order of things for a connection, request_path.c for a request, destination.c where it goes; view.c is what
 * a worker makes of a discovery snapshot; balance.c picks endpoints.
 */
#pragma once

#include "proxy/conn.h"
#include "proxy/request/request.h"
#include "proxy/watch/discovery.h"

extern const struct step outbound_path[];
extern const struct step outbound_request_path[];

/* One backend of one rule, as this worker sees it. */
struct backend_view {
    const struct backend *backend;     /* NULL for a destination of a profile */
    const struct filters *filters;
    uint32_t weight;
    struct endpoint *forward;          /* a single endpoint; NULL for a balanced one */
    struct lookup *endpoints;          /* a balanced one: WATCHED_ENDPOINTS */
};

/* The service whose endpoints it has; "" for a single endpoint. Lives as long as the view. */
static inline struct slice backend_destination(const struct backend_view *backend)
{
    return backend->endpoints ? backend->endpoints->watched->key : SLICE_NULL;
}

/* The backends of one rule (or of a profile): parallel to what the policy says. */
struct rule_view {
    enum distribution_kind kind;
    struct backend_view *backends;
    size_t count;
};

/* The routes of one protocol. */
struct routes_view {
    const struct outbound_routes *routes;
    size_t *first_rule;       /* by route */
    struct rule_view *rules;
};

/* A discovery snapshot with this worker's leases and gates. Counted references, of one thread. */
struct outbound_view {
    unsigned refs;
    struct worker *worker;
    struct discovery *discovery;
    struct arena arena;
    struct single_endpoint *singles; /* those of forward backends; each description is one endpoint, whichever protocol asks */
    struct routes_view opaque, http1, http2, grpc, tls;
    bool by_profile;          /* HTTP goes by the profile's routes and destinations */
    struct rule_view profile; /* its destinations */
};

static inline struct outbound_view *outbound_view_ref(struct outbound_view *view)
{
    view->refs++;
    return view;
}
void outbound_view_unref(struct outbound_view *view); /* NULL is allowed */
const struct rule_view *routes_view_rule(const struct routes_view *routes, const struct outbound_route *route,
                                         const struct outbound_rule *rule);

/* For the workers' lookup tables. */
void outbound_target_changed(struct lookup *lookup, void *old_snapshot);
void outbound_target_forgotten(struct lookup *lookup);
void outbound_endpoints_changed(struct lookup *lookup, void *old_snapshot);

/* --- picking --- */

/* A backend of the rule, one that could take traffic now if there is any. NULL: the rule has none. */
struct backend_view *outbound_pick_backend(struct worker *worker, const struct rule_view *rule);
/*
 * An endpoint with a reference for the caller, who counts as load until outbound_endpoint_release(): 0; -EAGAIN: none
 * is ready, wait on *ret_wait if not NULL, and look again at *ret_look_again_ns if not 0 (an ejected one may be tried
 * then); or another negative errno, and *ret_reason says why there will be none.
 */
int outbound_pick_endpoint(struct worker *worker, struct backend_view *backend, const struct endpoint *avoid,
                           struct endpoint **ret_endpoint, struct lookup **ret_wait, int64_t *ret_look_again_ns,
                           enum reason *ret_reason);
/* A connect to it ended: its health. `error` is a negative errno. */
void outbound_endpoint_tried(struct worker *worker, struct endpoint *endpoint, bool ok, int error);
/* The time from a request's head to its response's: load. */
void outbound_endpoint_answered(struct worker *worker, struct endpoint *endpoint, int64_t rtt_ns);
void outbound_endpoint_release(struct worker *worker, struct endpoint *endpoint); /* NULL is allowed */

/* For server_first.h: dials an endpoint into conn->forward; false when there is none to be had at once. */
bool outbound_open_early(struct conn *conn);

/* The connection waits for no endpoint any more, if it did. */
void outbound_leave_queue(struct conn *conn);

/* --- for the request path --- */

/*
 * Learns request->view: of the connection's destination, or in ingress mode of the name and port in l5d-dst-override, which then
 * goes no further. Linkerd's proxies end the stream without an answer where that is no name, or one that nobody knows.
 */
enum step_result outbound_find_destination(struct walker *walker, enum why why);

enum step_result outbound_connect_failed(struct request *request, int error);
/* The stream ended without an answer: whether the request goes on elsewhere. */
bool outbound_try_again(struct request *request, struct http_reset reset);
/* The request's endpoint, if any, is no longer loaded by it. */
void outbound_endpoint_done(struct request *request);
