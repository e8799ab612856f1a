/*
 * The label sets of the metric families, as text for metric_get(). Made once per
 * connection, route or endpoint, kept beside the series. Names, order and values are those that
 * dashboards and queries of Linkerd's users know.
 *
 * Functions append to a buffer whose maximum is LIMIT_METRIC_LABELS; check
 * buffer_error() at the end (a set that is too long must not be used). The
 * small ones write one group of labels; the larger ones at the end the whole set
 * of a family.
 */
#pragma once

#include "base/buffer.h"
#include "base/ip.h"
#include "mesh/classify.h"
#include "mesh/direction.h"
#include "mesh/endpoint.h"
#include "mesh/identity_name.h"
#include "mesh/metadata.h"
#include "mesh/metrics.h"
#include "mesh/reason.h"

enum tls_status {
    TLS_STATUS_DISABLED, /* identity is switched off */
    TLS_STATUS_NONE,     /* tls="no_identity" and the reason why */
    TLS_STATUS_MESH,     /* tls="true": ours on both sides, peer */
    TLS_STATUS_OPAQUE,   /* somebody else's, passed through, sni */
};

enum no_tls_reason {
    NO_TLS_FROM_REMOTE,     /* inbound: the client did not begin with TLS */
    NO_TLS_LOOPBACK,
    NO_TLS_PORT_SKIPPED,    /* inbound: the policy says opaque */
    NO_TLS_NOT_DISCOVERED,  /* outbound: discovery names no identity */
    NO_TLS_INGRESS,         /* outbound: ingress mode, no l5d-dst-override */
};

struct tls_labels {
    enum tls_status status;
    enum no_tls_reason reason; /* TLS_STATUS_NONE */
    struct slice peer;         /* TLS_STATUS_MESH: client's or server's name, "" for a client without certificate */
    struct slice sni;          /* TLS_STATUS_OPAQUE */
};

/* --- groups --- */

void labels_direction(struct buffer *labels, enum direction direction);
/* target_addr, target_ip, target_port */
void labels_target(struct buffer *labels, struct addr target);
/* tls, and no_tls_reason, or client_id (accepted connections) or server_id (our own), or sni */
void labels_accepted_tls(struct buffer *labels, const struct tls_labels *tls);
void labels_connected_tls(struct buffer *labels, const struct tls_labels *tls);
/* srv_group, srv_kind, srv_name, srv_port: an inbound policy and its port */
void labels_server(struct buffer *labels, const struct metadata *server, uint16_t port);
/* route_group, route_kind, route_name and the same with authz_: inbound */
void labels_route(struct buffer *labels, const struct metadata *route);
void labels_authz(struct buffer *labels, const struct metadata *authz);
/* `scope`_group, _kind, _namespace, _name, _port, _section_name: parents and backends, outbound */
void labels_resource(struct buffer *labels, const char *scope, const struct metadata *resource);
/* dst_*: what discovery says of the endpoint and its set */
void labels_destination(struct buffer *labels, const struct endpoint_info *endpoint);
/* status_code, then the class: classification, grpc_status, error (of the answer a response ended with, "" if it did not break) */
void labels_status(struct buffer *labels, uint16_t status);
void labels_class(struct buffer *labels, const struct classification *classification, struct slice error);
/* errno: "" for a good end, else "ECONNRESET" ... */
void labels_errno(struct buffer *labels, int error);

/* --- whole sets --- */

/* One side of an inbound connection or request. Members that are NULL leave their labels out. */
struct inbound_labels {
    struct slice authority; /* .ptr NULL: not shown (the default) */
    struct addr target;
    const struct tls_labels *tls;
    const struct metadata *server;
    const struct metadata *route;
    const struct metadata *authz;
};

/* request_total, response_total, response_latency_ms (which add status and class), inbound. */
void labels_inbound_http(struct buffer *labels, const struct inbound_labels *from);
/* tcp_*, inbound, the client's side; and the application's. */
void labels_inbound_src(struct buffer *labels, const struct inbound_labels *from);
void labels_inbound_dst(struct buffer *labels);
/* inbound_{http,tcp}_authz_*_total, inbound_http_route_not_found_total. */
void labels_inbound_policy(struct buffer *labels, const struct inbound_labels *from);
/* inbound_{http,grpc}_*: parent_ and route_ of the policy and route that took the request. */
void labels_inbound_route(struct buffer *labels, const struct metadata *server, uint16_t port,
                          const struct metadata *route);
/* inbound_http_errors_total (server given) and inbound_tcp_errors_total (server NULL). False: these do not count the reason. */
bool labels_inbound_error(struct buffer *labels, enum reason reason, struct addr target,
                          const struct metadata *server);

/* request_total and so on, outbound. `authority`.ptr may be NULL. */
void labels_outbound_http(struct buffer *labels, struct slice authority, struct addr target,
                          const struct tls_labels *tls, const struct endpoint_info *endpoint);
/* tcp_*, outbound: the application's side, then the endpoint's. */
void labels_outbound_src(struct buffer *labels, struct addr target);
void labels_outbound_dst(struct buffer *labels, struct slice authority, struct addr target,
                         const struct tls_labels *tls, const struct endpoint_info *endpoint);
/* outbound_{http,grpc}_route_*: parent and route; `hostname` .ptr NULL leaves that label out (tcp and tls routes have none). */
void labels_outbound_route(struct buffer *labels, const struct metadata *parent, const struct metadata *route,
                           struct slice hostname);
/* outbound_{http,grpc}_route_backend_*: with the backend. */
void labels_outbound_backend(struct buffer *labels, const struct metadata *parent, const struct metadata *route,
                             const struct metadata *backend);
/* outbound_*_balancer_*: parent and backend; logical and concrete for tcp and tls (.ptr NULL: left out). */
void labels_outbound_balancer(struct buffer *labels, const struct metadata *parent, const struct metadata *backend,
                              struct slice logical, struct slice concrete);
/* http_status or grpc_status, and error, of outbound_*_statuses_total. `reason` NONE: the server answered. */
void labels_outbound_http_status(struct buffer *labels, uint16_t status, enum reason reason);
void labels_outbound_grpc_status(struct buffer *labels, int grpc_status, enum reason reason);
/* outbound_http_errors_total (target NULL) and outbound_tcp_errors_total. False: these do not count the reason. */
bool labels_outbound_error(struct buffer *labels, enum reason reason, const struct addr *target);

/* route_*: direction, dst, rt_*. `dst` is the profile's name with the port. */
void labels_profile_route(struct buffer *labels, enum direction direction, struct slice dst,
                          const struct labels *route);
/* control_*: addr, tls, no_tls_reason or server_id. */
void labels_control(struct buffer *labels, struct slice addr, const struct tls_labels *tls);
