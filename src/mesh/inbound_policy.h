/*
 * The policy of one inbound port, as the control plane told it: which protocol to
 * expect, who may connect, which routes there are. A snapshot (mesh/snapshot.h).
 * Types only; the decision is made in mesh/authz.h and mesh/route.h.
 *
 * `invalid` says that the answer held something this program does not understand
 * (its reason is in invalid_reason): such a policy has no authorizations, so that it
 * denies. The loopback addresses that the proxy always lets in are added where
 * the policy is used, not here.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/slice.h"
#include "mesh/metadata.h"
#include "mesh/route_filter.h"
#include "mesh/route_match.h"
#include "mesh/snapshot.h"

enum inbound_protocol {
    INBOUND_DETECT, /* detect_timeout_ns, http routes */
    INBOUND_HTTP1,  /* http routes */
    INBOUND_HTTP2,  /* http routes */
    INBOUND_GRPC,   /* grpc routes */
    INBOUND_OPAQUE,
    INBOUND_TLS,    /* the application's own TLS, passed through */
};

struct authz_network {
    struct cidr net;
    struct cidr *except;
    size_t except_count;
};

enum authz_authentication {
    AUTHZ_UNAUTHENTICATED,     /* anybody */
    AUTHZ_TLS_UNAUTHENTICATED, /* mesh TLS, with or without a client identity */
    AUTHZ_TLS_AUTHENTICATED,   /* mesh TLS and one of identities or suffixes */
};

struct authorization {
    struct authz_network *networks; /* at least one */
    size_t network_count;
    enum authz_authentication authentication;
    struct slice *identities; /* exact, DNS-like or URI */
    size_t identity_count;
    struct slice *suffixes;   /* "" any DNS-like identity; else begins with a dot: ".ns.serviceaccount..." */
    size_t suffix_count;
    struct metadata metadata;
    struct labels labels;     /* the older form of metadata: group, kind, name */
};

struct inbound_rule {
    /* One of the two, with match_count elements, by the protocol of the route; none: matches everything. */
    struct http_route_match *http_matches;
    struct grpc_route_match *grpc_matches;
    size_t match_count;
    struct filters filters;
};

struct inbound_route {
    struct metadata metadata;
    struct host_match *hosts; /* none: any host */
    size_t host_count;
    struct authorization *authorizations; /* besides those of the policy, and before them */
    size_t authorization_count;
    struct inbound_rule *rules;
    size_t rule_count;
};

struct rate_override {
    uint32_t requests_per_second;
    struct slice *identities;
    size_t identity_count;
};

struct local_rate_limit {
    struct metadata metadata;
    bool has_total, has_identity;
    uint32_t total;    /* requests per second of all clients together */
    uint32_t identity; /* of each identity */
    struct rate_override *overrides;
    size_t override_count;
};

struct inbound_policy {
    struct snapshot snapshot;
    bool invalid;
    struct slice invalid_reason;
    enum inbound_protocol protocol;
    int64_t detect_timeout_ns;
    struct inbound_route *routes; /* matches are grpc_matches where protocol is INBOUND_GRPC */
    size_t route_count;
    struct authorization *authorizations;
    size_t authorization_count;
    struct local_rate_limit *rate_limit; /* NULL: none */
    struct ip *server_ips;               /* connections to other addresses are dropped; none: all are fine */
    size_t server_ip_count;
    struct labels labels;                /* as sent: group, kind, name */
    struct metadata metadata;            /* what the labels say */
};

SNAPSHOT(inbound_policy);
