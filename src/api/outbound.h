/*
 * The messages of io.linkerd.proxy.outbound.OutboundPolicies, for the proxy and the
 * controller. Codes are those of api/destination.h.
 */
#pragma once

#include <stdbool.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/ip.h"
#include "base/slice.h"
#include "mesh/outbound_policy.h"

struct arena;

struct traffic_spec {
    struct slice source_workload; /* see api/workload.h */
    bool by_addr;                 /* otherwise by authority */
    struct addr addr;
    struct slice authority;       /* name, or name:port; not parsed here */
};

/* The text lives in `arena`. -EINVAL besides: no target, or no address with a port in it (gRPC: InvalidArgument). */
int traffic_spec_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct traffic_spec *ret_spec);
int traffic_spec_encode(const struct traffic_spec *spec, struct errmsg *msg, struct buffer *out);

/*
 * A policy that says something that cannot be followed (a filter, a match or a protocol of unknown kind, a balancer
 * without a path, a negative timeout ...) succeeds as well and gives one that is `invalid`.
 *
 * What the published proxies require and this does not: a backend's queue, and group, kind and namespace of resources.
 * A route's requestTimeout (deprecated) counts where there is no timeouts.request.
 */
int outbound_policy_decode(struct slice message, struct errmsg *msg, struct outbound_policy **ret_policy);
/* requestTimeout is sent as well, for older proxies. */
int outbound_policy_encode(const struct outbound_policy *policy, struct errmsg *msg, struct buffer *out);
