/*
 * What the control plane says about traffic to one destination: protocol, routes,
 * backends, timeouts. A snapshot (mesh/snapshot.h); types only.
 *
 * One set of structs serves HTTP, gRPC, opaque and TLS routes, since they
 * differ in what they match and not in what they do then; the comments say which
 * members belong to which.
 *
 * `invalid` says that the answer held something this program does not understand
 * (the reason is in invalid_reason); HTTP is then answered 500 and other connections
 * are closed.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/slice.h"
#include "mesh/endpoint.h"
#include "mesh/metadata.h"
#include "mesh/route_filter.h"
#include "mesh/route_match.h"
#include "mesh/snapshot.h"

struct backoff_config {
    int64_t min_ns, max_ns;
    double jitter;              /* 0 and up: share of the delay that may be added */
    bool respect_retry_after;
};

struct queue_config {
    uint32_t capacity;
    int64_t failfast_ns;
};

enum backend_kind {
    BACKEND_INVALID,  /* the policy named none; requests get 500 */
    BACKEND_FORWARD,  /* one endpoint */
    BACKEND_BALANCER, /* the endpoints of a destination */
};

struct balancer_config {
    struct slice path;          /* what to ask the destination service for: "svc.ns.svc.cluster.local:80" */
    bool penalty;               /* the next three are meant */
    int64_t default_rtt_ns, decay_ns;
    int64_t penalty_ns, max_retry_after_ns, penalty_decay_ns;
};

struct backend {
    struct metadata metadata;
    enum backend_kind kind;
    struct endpoint_info *forward;
    struct balancer_config balancer;
    bool has_queue;
    struct queue_config queue;
};

struct route_backend {
    struct backend backend;
    struct filters filters; /* after those of the rule */
    uint32_t weight;        /* RANDOM only; 0: never */
};

enum distribution_kind {
    DISTRIBUTION_EMPTY,            /* never ready: 503 at once */
    DISTRIBUTION_FIRST_AVAILABLE,
    DISTRIBUTION_RANDOM_AVAILABLE, /* by weight, among those that are ready */
};

struct distribution {
    enum distribution_kind kind;
    struct route_backend *backends;
    size_t count;
};

/* 0: none. */
struct route_timeouts {
    int64_t request_ns;  /* from the request's head to the end of the stream */
    int64_t response_ns; /* from the request's end to the end of the stream */
    int64_t idle_ns;     /* without a frame in either direction */
};

struct status_range {
    uint16_t start, end; /* inclusive */
};

struct retry_config {
    uint32_t max_retries;
    uint32_t max_request_bytes;
    int64_t timeout_ns;          /* of one try; 0: none */
    bool has_backoff;
    struct backoff_config backoff;
    struct status_range *statuses; /* HTTP */
    size_t status_count;
    uint32_t grpc_codes;           /* gRPC: bit 1 << code */
};

struct outbound_rule {
    /* One of the two, with match_count elements, by protocol; none: matches everything. */
    struct http_route_match *http_matches;
    struct grpc_route_match *grpc_matches;
    size_t match_count;
    struct filters filters;
    struct distribution backends;
    struct route_timeouts timeouts; /* HTTP and gRPC, as the rest */
    struct retry_config *retry;     /* NULL: none */
    bool allow_l5d_headers;         /* l5d-timeout, l5d-retry-* of requests count */
};

struct outbound_route {
    struct metadata metadata;
    struct host_match *hosts; /* HTTP and gRPC: authorities; TLS: names in the client hello; none: any */
    size_t host_count;
    struct outbound_rule *rules;
    size_t rule_count;
};

enum accrual_kind { ACCRUAL_NONE, ACCRUAL_CONSECUTIVE, ACCRUAL_UNIFIED };

struct failure_accrual {
    enum accrual_kind kind;
    uint32_t max_failures;         /* in a row; 0 turns this part off */
    struct backoff_config backoff;
    double success_rate_threshold; /* UNIFIED, as the next two; 0 turns this part off */
    int64_t decay_ns;
    uint32_t min_requests;
    uint32_t min_ready_endpoints;  /* that ejection must leave; 0: no such protection */
};

struct outbound_routes {
    struct outbound_route *items;
    size_t count;
    struct failure_accrual accrual; /* HTTP and gRPC */
};

enum outbound_protocol {
    OUTBOUND_DETECT, /* detect_timeout_ns, http1, http2, opaque */
    OUTBOUND_OPAQUE,
    OUTBOUND_HTTP1,
    OUTBOUND_HTTP2,
    OUTBOUND_GRPC,
    OUTBOUND_TLS,
};

struct outbound_policy {
    struct snapshot snapshot;
    bool invalid;
    struct slice invalid_reason;
    struct metadata metadata; /* of the parent: a Service, an EgressNetwork, or a default */
    enum outbound_protocol protocol;
    int64_t detect_timeout_ns;
    struct outbound_routes opaque, http1, http2, grpc, tls; /* those that the protocol names */
};

SNAPSHOT(outbound_policy);
