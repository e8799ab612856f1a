/* Metrics of the proxy's own control clients: control_*, in a shard of the control thread's. */
#pragma once

#include "mesh/endpoint.h"
#include "mesh/metrics.h"
#include "net/resolver.h"
#include "proxy/proxy.h"

struct control_metrics;

/* Families; before the first shard. 0 or a negative errno. */
int control_metrics_register(struct proxy *proxy);
int control_metrics_new(struct proxy *proxy, struct control_metrics **ret_metrics);
void control_metrics_free(struct control_metrics *metrics); /* NULL is allowed */

/* `client` is "identity", "destination" or "policy"; `addr` its host:port. */
void control_metrics_started(struct control_metrics *metrics, const char *addr, const struct endpoint_info *endpoint);
void control_metrics_ended(struct control_metrics *metrics, const char *addr, const struct endpoint_info *endpoint,
                           int grpc_status, int64_t took_ns);
void control_metrics_resolved(struct control_metrics *metrics, const char *client, const struct resolver_answer *answer);
void control_metrics_certified(struct control_metrics *metrics, int64_t expires_wall_ns, int64_t wall_ns);
/* An attempt that brought none. */
void control_metrics_not_certified(struct control_metrics *metrics);
/* The trust bundle in force; times are wall clock, the expiry that of the anchor that ends first. */
void control_metrics_bundle(struct control_metrics *metrics, uint64_t generation, size_t anchors, int64_t expires_wall_ns, int64_t wall_ns);
/* One that was not taken, or not yet. */
void control_metrics_bundle_refused(struct control_metrics *metrics);
/* How long the control plane has been silent towards this client; 0 while connected. */
void control_metrics_down(struct control_metrics *metrics, const char *client, int64_t down_ns);
