/*
 * Identities: the names that mesh certificates carry. DNS-like ones are the
 * mesh's own, SERVICEACCOUNT.NAMESPACE.serviceaccount.identity.CONTROLNS.TRUSTDOMAIN; URIs are SPIFFE's.
 *
 * They are compared byte for byte with their length, in the spelling of the
 * certificate: no case folding, no dot at the end, nothing that ends at a NUL.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/arena.h"
#include "base/errmsg.h"
#include "base/slice.h"
#include "mesh/endpoint.h"

struct identity {
    enum endpoint_identity kind; /* IDENTITY_NONE: the peer has none */
    struct slice name;
};

/* Labels of letters, digits, '-' and '_', a '-' neither first nor last; 253 bytes; no dot behind, no wildcard, no IP address. */
bool identity_is_dns(struct slice name);
/* scheme ":" and more; printable ASCII without spaces, quotes and brackets; at most LIMIT_IDENTITY. */
bool identity_is_uri(struct slice name);
/* What the name is; IDENTITY_NONE if neither. */
struct identity identity_parse(struct slice name);
/* Same kind, bytes and length; two that are none are not equal. */
bool identity_eq(struct identity a, struct identity b);

/* Who a workload is. */
struct workload_name {
    struct slice service_account, namespace, control_namespace, trust_domain;
};

/* The identity of a workload, or .ptr NULL: -EINVAL for parts that are no labels (or no domain), -ENOMEM. */
int workload_identity(const struct workload_name *workload, struct arena *arena, struct slice *ret_name);
/* The parts of such an identity (slices of it), or -EINVAL. A service account may have dots; a namespace has none. */
int workload_identity_parse(struct slice name, struct workload_name *ret_workload);
