/*
 * What the files of this folder share (README.md says which is which); everybody else includes proxy/series.h.
 */
#pragma once

#include "base/buffer.h"
#include "base/map.h"
#include "base/slice.h"
#include "mesh/endpoint.h"
#include "mesh/metadata.h"
#include "mesh/metrics.h"
#include "mesh/reason.h"
#include "proxy/series.h"
#include "proxy/series/families.h"

struct inbound_policy;
struct inbound_route;

enum { LABELS_MAX = 4096, OUTCOMES_CACHED = 4 };

struct transport_series {
    struct map_entry entry;
    struct map *map;
    unsigned refs;
    struct metric *open_total, *open, *read, *write;
    struct slice labels; /* own memory */
};

/* What one outcome of one label set counts. */
struct outcome {
    uint16_t status;
    int16_t grpc_status;
    bool failure;
    enum reason reason;
    struct metric *responses, *latency; /* responses NULL: unused */
    struct metric *route, *backend;     /* statuses by route, and by its backend (outbound) */
    struct metric *profile, *profile_actual, *profile_latency;
};

/* Everything that requests of one kind count: same connection labels, route, permit or endpoint. */
struct http_series {
    struct map_entry entry;
    struct map *map;
    unsigned refs;
    enum family grpc; /* what to add to a route's family: GRPC, or 0 */
    struct slice labels, route_labels, backend_labels, profile_labels; /* own memory; the whole of it is the key */
    struct metric *requests, *allowed, *route_requests, *route_seconds, *response_seconds, *backend_requests;
    struct metric *profile_requests, *profile_actual;
    struct metric *queued, *queue_latency; /* NULL: no balancer, or one of a profile */
    struct metric *frames[2]; /* of requests, of responses */
    struct outcome outcomes[OUTCOMES_CACHED];
    unsigned next_outcome;
};

/* --- series.c: one metric of a label set; a reference, NULL without memory --- */
struct metric *series_get(struct series *series, enum family family, const struct buffer *labels);
struct metric *series_get_text(struct series *series, enum family family, struct slice labels);
/* For what happens once a connection or more rarely: found, counted, let go. */
void series_bump(struct series *series, enum family family, const struct buffer *labels);
void series_observe(struct series *series, enum family family, const struct buffer *labels, int64_t value);

/* --- labels.c: parts of label sets, each appended in the order of Linkerd's --- */
void label_target(struct buffer *labels, struct addr target);
void label_client_tls(struct buffer *labels, const struct conn *conn);
/* group, kind and name of where something was configured, under the three names given. */
void label_metadata(struct buffer *labels, const char *const names[3], const struct metadata *metadata);
void label_server(struct buffer *labels, const struct inbound_policy *policy, uint16_t port);
void label_authz(struct buffer *labels, const struct authorization *permit);
void label_in_route(struct buffer *labels, const struct inbound_route *route);
void label_server_tls(struct buffer *labels, const struct endpoint_info *endpoint);
/* The service whose endpoints were balanced over, "" for none; its port goes without saying where it is 80. */
void label_authority(struct buffer *labels, struct slice destination);
void label_dst(struct buffer *labels, const struct endpoint_info *endpoint);
void label_parent(struct buffer *labels, const struct metadata *parent);
void label_out_route(struct buffer *labels, const struct metadata *route);
void label_backend(struct buffer *labels, const struct metadata *backend);

/* --- transports.c --- */
struct transport_series *transport_get(struct series *series, const struct buffer *labels);
void transport_free(struct transport_series *transport);

/* --- requests.c --- */
/* Found by the labels of what the request has learnt, or made: a reference. NULL without memory, which counts nothing. */
struct http_series *http_series_get(struct series *series, struct request *request);
void http_series_free(struct http_series *http);
void series_out_route_labels(struct request *request, struct buffer *labels);
enum family series_grpc_offset(const struct request *request);

/* --- outcomes.c --- */
void outcome_forget(struct outcome *outcome);
