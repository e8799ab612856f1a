/*
 * The messages of io.linkerd.proxy.inbound.InboundServerPolicies, for the proxy and
 * the controller. Codes are those of api/destination.h.
 */
#pragma once

#include <stdint.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"
#include "mesh/inbound_policy.h"

struct arena;

struct port_spec {
    struct slice workload; /* see api/workload.h */
    uint16_t port;
};

/* The text lives in `arena`. -EINVAL besides: the port is not in 1 to 65535 (gRPC: InvalidArgument). */
int port_spec_decode(struct slice message, struct arena *arena, struct errmsg *msg, struct port_spec *ret_spec);
int port_spec_encode(const struct port_spec *spec, struct errmsg *msg, struct buffer *out);

/*
 * A Server that says something that cannot be followed (no protocol, an authorization without networks, a route with
 * a broken match ...) succeeds as well and gives a policy that is `invalid`: it lets nobody in. A filter of unknown
 * kind only makes its rule answer 500 (FILTER_UNKNOWN), as the published proxies do.
 */
int inbound_policy_decode(struct slice message, struct errmsg *msg, struct inbound_policy **ret_policy);
/*
 * Authorizations get the labels that older proxies read, made from their metadata, where they have none. The same for the
 * policy's own.
 */
int inbound_policy_encode(const struct inbound_policy *policy, struct errmsg *msg, struct buffer *out);
