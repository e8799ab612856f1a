/*
 * One endpoint of a destination as discovery describes it, and one change of a
 * destination's set. Types only. An endpoint_update is a snapshot; an
 * endpoint_info lives in the arena of the snapshot that holds it (an update, a
 * policy with a forward backend, a profile with an endpoint).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "base/slice.h"
#include "mesh/metadata.h"
#include "mesh/snapshot.h"

enum endpoint_identity { IDENTITY_NONE, IDENTITY_DNS, IDENTITY_URI };
enum endpoint_hint { HINT_NONE, HINT_H2, HINT_OPAQUE };
enum zone_locality { ZONE_UNKNOWN, ZONE_LOCAL, ZONE_REMOTE };

/* 0 in a number: not given. */
struct h2_client_params {
    bool has_flow_control, has_keep_alive, has_internals;
    uint32_t connection_window, stream_window;
    bool adaptive_flow_control;
    int64_t keep_alive_interval_ns, keep_alive_timeout_ns;
    bool keep_alive_while_idle;
    uint32_t max_concurrent_reset_streams, max_frame_size, max_send_buf_size;
};

struct endpoint_info {
    struct addr addr;
    uint32_t weight;                    /* 10000 is usual; 0 is taken as 0: never chosen while others are there */
    enum endpoint_identity identity_kind;
    struct slice identity;              /* the name its certificate must carry */
    struct slice server_name;           /* SNI to send; set whenever there is an identity */
    enum endpoint_hint hint;
    uint16_t opaque_transport_port;     /* dial this port with a transport header; 0: dial addr.port */
    struct slice authority_override;    /* "" for none */
    struct labels labels;               /* its own; they win over the set's */
    const struct labels *set_labels;    /* of all endpoints of the update; NULL for none */
    enum zone_locality zone_locality;   /* from the label zone_locality */
    struct h2_client_params *h2;        /* NULL: defaults */
    struct metadata resource;
};

/* A label of the endpoint or of its set; .ptr is NULL when there is none. */
static inline struct slice endpoint_label(const struct endpoint_info *endpoint, struct slice name)
{
    struct slice own = labels_find(&endpoint->labels, name);

    return own.ptr || !endpoint->set_labels ? own : labels_find(endpoint->set_labels, name);
}

enum endpoint_update_kind {
    ENDPOINTS_ADD,    /* `added`: each replaces what was known of its address */
    ENDPOINTS_REMOVE, /* `removed` */
    ENDPOINTS_NONE,   /* all are gone; `exists` tells whether the service is known */
};

struct endpoint_update {
    struct snapshot snapshot;
    enum endpoint_update_kind kind;
    struct labels set_labels;
    struct endpoint_info *added;
    size_t added_count;
    size_t skipped_count;       /* of the answer's endpoints that cannot be used (see api/destination.h) */
    struct addr *removed;
    size_t removed_count;
    bool exists;
};

SNAPSHOT(endpoint_update);
