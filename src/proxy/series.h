/*
 * The metrics of the data path: which families there are, their label sets, and
 * the counting at the moments that the path calls. One `struct series` for each
 * worker; label texts are made once for a connection, route or endpoint and cached,
 * so that counting a request is a handful of additions.
 *
 * Families and labels are those of Linkerd's proxy (docs/metrics.md); ours, with
 * the reason of every error, is proxy_errors_total{direction,reason}.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/map.h"
#include "mesh/endpoint.h"
#include "mesh/metrics.h"
#include "mesh/reason.h"

struct authorization;
struct buffer;
struct conn;
struct dial_options;
struct metadata;
struct metrics;
struct outbound_route;
struct proxy;
struct request;
struct worker;

/* tcp_* of one label set: accepted connections of one kind, or those to one endpoint. Counted references. */
struct transport_series;
/* request_total and its kin of one label set, with the status codes seen last. */
struct http_series;

struct series {
    struct worker *worker;
    struct map transports, https; /* by label text */
};

/* Registers all families with proxy->metrics; before the first shard. 0 or a negative errno. */
int series_register(struct proxy *proxy);

void series_init(struct series *series, struct worker *worker);
void series_release(struct series *series);

/* --- accepted connections: after detection, when TLS and peer are known; sets conn->series --- */
void series_conn_opened(struct conn *conn);
void series_conn_closed(struct conn *conn); /* allowed when it was never opened; counts conn->reason */
/* What detection said: "http/1", "http/2", "not_http", "read_timeout" or "error", and how long it took. */
void series_detected(struct conn *conn, const char *result, int64_t took_ns);
void series_http_refused(struct conn *conn, int status);
/* A connection with a transport header was accepted. */
void series_transport_header(struct conn *conn);

/* Outbound: the protocol of its policy is known; and, for opaque ones, the route (which lives as long as conn->view). */
void series_protocol(struct conn *conn);
void series_route_taken(struct conn *conn, const struct outbound_route *route);

/* An opaque or TLS connection got an endpoint of a balancer, or gave up, after this long. */
void series_conn_queued(struct conn *conn, int64_t waited_ns);
/* parent_* and backend_* of a balancer; `destination` for those of connections, whose families name it twice. */
void series_balancer_labels(struct buffer *labels, const struct metadata *parent, const struct metadata *backend,
                            struct slice destination);

/* --- connections that we open --- */
struct transport_series *series_tcp_app(struct series *series, struct addr addr);
/* `destination`: the service that it was balanced for ("svc.ns.svc.cluster.local:80"), or "". */
struct transport_series *series_tcp_endpoint(struct series *series, const struct endpoint_info *endpoint,
                                             struct slice destination);
/* Lets the dial count its bytes here. */
void series_tcp_counts(struct transport_series *transport, struct dial_options *options);
void series_tcp_opened(struct transport_series *transport);
void series_tcp_closed(struct series *series, struct transport_series *transport, int error); /* negative errno or 0 */
void series_tcp_put(struct series *series, struct transport_series *transport); /* gives the reference back; NULL allowed */

/* --- decisions --- */
enum authz_event { AUTHZ_ALLOWED, AUTHZ_DENIED, AUTHZ_TERMINATED };
void series_tcp_authz(struct conn *conn, enum authz_event event);
void series_http_denied(struct request *request, bool route_found);

/* --- requests --- */

/*
 * What a connection (inbound) or a pool (outbound) counted last, so that the next request of the same kind finds
 * its series without making label texts. Holds references.
 */
struct series_recent {
    void *owner; /* the policy or view that the parts belong to */
    void (*drop)(void *owner);
    const void *parts[2];
    uint64_t authority;
    struct http_series *series;
};
void series_recent_drop(struct series_recent *recent); /* allowed on one that is all zero */

/* Inbound: it is allowed. Outbound: it has an endpoint and a pool. From here on it counts as begun. */
void series_http_begin(struct request *request);
/* A piece of the body was passed on. */
void series_http_piece(struct request *request, bool response, size_t bytes);
/* It goes to another endpoint instead: what it counted at this one stays, its end will count at the other. */
void series_http_left(struct request *request);
/* The one place where its end is counted: latency, status, classification, errors of our own. */
void series_http_end(struct request *request);
