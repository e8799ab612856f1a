/*
 * Who may connect to an inbound port. An authorization covers a client whose
 * address is in one of its networks (and in none of that network's
 * exceptions) and who proved what it asks for: nothing, mesh TLS, or an identity. The first
 * that covers the client permits; none, and the client is refused.
 *
 * Connections (opaque, TLS, forwarded) are judged by the policy's own list; requests by the list of their route, then the policy's.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/ip.h"
#include "mesh/identity_name.h"
#include "mesh/inbound_policy.h"

struct authz_client {
    struct ip ip;
    bool mesh_tls;            /* TLS that we terminated, with or without a client certificate */
    struct identity identity; /* IDENTITY_NONE without a valid client certificate */
};

/* Does this one authorization cover the client? */
bool authz_covers(const struct authorization *authorization, const struct authz_client *client);
/* The authorization that permits, or NULL: refused (REASON_NOT_AUTHORIZED). */
const struct authorization *authz_connection(const struct inbound_policy *policy, const struct authz_client *client);
const struct authorization *authz_request(const struct inbound_policy *policy, const struct inbound_route *route,
                                          const struct authz_client *client);
/* Permitted, but to be logged and counted: the policy audits what it would refuse. */
bool authz_is_audit(const struct authorization *authorization);

/*
 * Adds what every policy that the control plane sends has besides: clients on this host (127.0.0.1 and ::1) are let in, under
 * the name "localhost". Called by inbound_policy_prepare(). 0 or -ENOMEM.
 */
int authz_add_localhost(struct inbound_policy *policy);
