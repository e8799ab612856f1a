/*
 * What the proxy was told by its environment (docs/environment.md, variables.h; the names
 * are those of Linkerd's proxy). Read once at the start, all mistakes reported
 * together and by name, then never changed. Durations in nanoseconds.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/ip.h"
#include "event/log.h"
#include "event/sys.h"
#include "mesh/backoff.h"
#include "mesh/default_policy.h"

enum access_log { ACCESS_LOG_OFF, ACCESS_LOG_APACHE, ACCESS_LOG_JSON };

/* A control-plane service: where it is, and who it must be. */
struct control_addr {
    bool configured;
    struct slice host;     /* a name, without the dot at its end, or an address */
    uint16_t port;
    struct slice identity; /* "" : plaintext, which is allowed on loopback only */
};

struct port_ranges {
    struct { uint16_t first, last; } *items;
    size_t count;
};

struct networks {
    struct cidr *items;
    size_t count;
};

struct names {
    struct slice *items;
    size_t count;
};

/* What differs by direction. */
struct direction_config {
    struct addr listen[2];
    unsigned listen_count;
    int64_t detect_timeout_ns, connect_timeout_ns;
    struct backoff_config connect_backoff;
    struct socket_options accept_options, connect_options;
    int listen_backlog;              /* 0: the system's maximum */
    int64_t http_failfast_ns, tcp_failfast_ns;
    uint32_t http_queue, tcp_queue;  /* requests and connections that may wait for an endpoint */
    uint32_t max_in_flight;          /* requests at once; more are shed */
    uint32_t max_idle_per_endpoint;  /* HTTP/1 connections kept for one endpoint */
    int64_t pool_idle_ns;            /* and for how long */
    int64_t discovery_idle_ns;
    /* HTTP/2 towards those who connect to us; 0: default */
    uint32_t stream_window, connection_window, max_streams, max_frame, max_header_list, max_reset_streams;
    int64_t ping_interval_ns, ping_timeout_ns;
};

struct config {
    struct arena arena; /* owns all text and arrays */

    struct slice log_filter;
    enum log_format log_format;
    enum access_log access_log;

    struct direction_config inbound, outbound;
    struct addr admin_listen, control_listen;
    uint32_t h2_stream_window, h2_connection_window; /* of our HTTP/2 clients */

    struct port_ranges inbound_opaque; /* INBOUND_PORTS_DISABLE_PROTOCOL_DETECTION */
    struct port_ranges inbound_ports;  /* whose policy is asked for at the start */
    struct port_ranges require_identity, require_tls;
    enum default_policy inbound_default_policy;
    struct networks inbound_ips;       /* none: all */
    struct networks cluster_networks;  /* of the cluster-* default policies */
    struct networks profile_networks;
    struct names profile_suffixes;     /* "." alone: all */
    int64_t profile_initial_timeout_ns;
    bool authority_labels, hostname_labels, informational_headers;
    bool ingress_mode; /* HTTP requests are sent where their l5d-dst-override says */

    struct control_addr destination, policy, identity;
    struct slice destination_context, policy_workload;
    int64_t stream_initial_timeout_ns, stream_idle_timeout_ns, stream_lifetime_ns; /* 0: none */

    struct slice identity_dir, token_file;
    struct slice trust_anchors; /* PEM */
    struct slice local_name;    /* own identity */
    struct slice server_name;   /* the SNI that is ours; usually local_name */
    int64_t identity_min_refresh_ns, identity_max_refresh_ns;

    int64_t dns_min_ttl_ns, dns_max_ttl_ns; /* 0: none */
    int64_t metrics_retain_ns;
    int64_t shutdown_grace_ns;
    bool shutdown_endpoint;
    unsigned workers;

    struct slice takeover_socket; /* CLINKERD_PROXY_TAKEOVER_SOCKET: where a successor asks for the listeners; "" none */
};

/* Reads one variable's value, or NULL when it is not set: getenv, or a test's table. */
typedef const char *(*config_lookup)(void *owner, const char *name);

/*
 * Fills *ret_config. -EINVAL: *problems holds one line for each variable that is wrong or missing, with its name,
 * its value, what was expected, and an example. Warnings (accepted, but without effect yet) go to *warnings; names that
 * are none of ours are variables_warn_unknown()'s.
 */
int config_read(config_lookup lookup, void *owner, unsigned cpus, struct buffer *problems, struct buffer *warnings,
                struct config *ret_config);
void config_release(struct config *config);

bool port_ranges_have(const struct port_ranges *ranges, uint16_t port);
bool networks_have(const struct networks *networks, struct ip ip);
/* Whether `name` (no dot at its end) is one of the suffixes or below one. */
bool names_cover(const struct names *suffixes, struct slice name);
