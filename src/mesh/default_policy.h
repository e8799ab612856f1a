/*
 * The policies that are built in, for ports for which nothing else is
 * configured: who may connect by network and identity. Each detects the protocol and has one
 * route that matches everything.
 *
 *     all-unauthenticated      anybody
 *     all-authenticated        any client with a mesh identity
 *     cluster-unauthenticated  anybody in the cluster's networks
 *     cluster-authenticated    any client with a mesh identity in the cluster's networks
 *     audit                    anybody, and each is logged and counted under "audit"
 *     deny                     nobody; HTTP is told so with 403
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/ip.h"
#include "mesh/inbound_policy.h"

enum default_policy {
    DEFAULT_ALL_UNAUTHENTICATED,
    DEFAULT_ALL_AUTHENTICATED,
    DEFAULT_CLUSTER_UNAUTHENTICATED,
    DEFAULT_CLUSTER_AUTHENTICATED,
    DEFAULT_AUDIT,
    DEFAULT_DENY,
};

/* 0 or -EINVAL. */
int default_policy_parse(struct slice name, enum default_policy *ret_kind);
struct slice default_policy_name(enum default_policy kind);
/* The stricter form for ports that require identity: unauthenticated ones become authenticated. */
enum default_policy default_policy_require_identity(enum default_policy kind);

struct authz_list {
    struct authorization *items; /* in the arena */
    size_t count;                /* 0 for DENY, else 1 */
};

/* What the kind allows. `networks` are the cluster's, for the kinds that mean them. 0 or -ENOMEM. */
int default_policy_authorizations(enum default_policy kind, const struct cidr *networks, size_t network_count,
                                  struct arena *arena, struct authz_list *ret_list);
/* A whole policy with one reference, or NULL without memory. Loopback clients are not let in besides. */
struct inbound_policy *default_policy_new(enum default_policy kind, const struct cidr *networks,
                                          size_t network_count, int64_t detect_timeout_ns);
