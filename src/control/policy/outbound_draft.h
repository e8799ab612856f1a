/* Internal to policy/: an outbound policy being made, and the routes in it. */
#pragma once

#include "control/policy/build.h"

/* What one policy is made for. */
struct outbound_draft {
    const struct controller *controller;
    struct outbound_policy *policy;
    struct arena *arena;
    struct slice client_ns;
    const struct kube_service *service;         /* one of the two, or none */
    const struct kube_egress_network *egress;
    struct addr addr;                           /* where it was sent, for egress and fallback */
    uint16_t port;
    struct backend default_backend;
    struct traffic_said {               /* by annotations of the Service or egress network */
        struct route_timeouts timeouts;
        struct retry_config *http_retry, *grpc_retry;
        struct failure_accrual accrual;
        struct balancer_config penalty; /* those members only */
    } said;
};

/* The kinds of traffic that routes are for. */
enum route_kind { ROUTE_HTTP, ROUTE_GRPC, ROUTE_TLS, ROUTE_TCP };

/* The backend that balances over a Service's port; what routes carry may count failures as slow. Its path is NULL without memory. */
struct backend backend_of_service(struct outbound_draft *draft, struct slice ns, struct slice name, uint16_t port, bool penalty);
/* The backend that sends to where it was sent anyway. 0 or -ENOMEM, as all below. */
int backend_of_original(struct outbound_draft *draft, struct metadata metadata, struct backend *ret_backend);
bool service_has_port(const struct kube_service *service, uint16_t port);
/* Routes of these kinds that name the draft's parent: those of the client's namespace, else those of the parent's own. */
int routes_of_kinds(struct outbound_draft *draft, uint32_t kinds, struct outbound_routes *ret_routes);
/*
 * Adds the route without conditions: where there is none, and for egress always, behind those that there are. An egress
 * network that denies has it refuse.
 */
int routes_with_default(struct outbound_draft *draft, struct outbound_routes *routes, const char *name, enum route_kind kind);
