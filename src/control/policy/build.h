/*
 * Snapshots of policy, made from resources: pure functions over the store. Text
 * points into the objects, which the caller keeps until the snapshot is encoded.
 */
#pragma once

#include "control/controller.h"
#include "mesh/default_policy.h"
#include "mesh/inbound_policy.h"
#include "mesh/outbound_policy.h"

/* --- inbound --- */

/* The policy of one port of a pod or external workload. 0 or -ENOMEM. */
int inbound_build(const struct controller *controller, const struct kube_object *workload, uint16_t port,
                  struct inbound_policy **ret_policy);

/*
 * Who may connect. Lists are in the arena, oldest resource first. A resource that cannot be followed (a reference to
 * nothing, two lists of identities that would have to hold at once) allows nobody and is left out. 0 or -ENOMEM.
 */
int authz_of_access(const struct controller *controller, enum kube_access_policy policy, bool require_identity,
                    struct arena *arena, struct authz_list *ret_list);
/* ServerAuthorizations, AuthorizationPolicies for the Server or its namespace, the Server's own accessPolicy. */
int authz_of_server(const struct controller *controller, const struct kube_server *server, struct arena *arena,
                    struct authz_list *ret_list);
/* AuthorizationPolicies for the route alone. */
int authz_of_route(const struct controller *controller, const struct kube_object *route, struct arena *arena,
                   struct authz_list *ret_list);
/* "name.ns.serviceaccount.identity.CONTROLNS.TRUSTDOMAIN"; an empty namespace in the reference is `ns`. .ptr NULL without memory. */
struct slice identity_of_account(const struct controller *controller, const struct kube_ref *account, struct slice ns,
                                 struct arena *arena);
/* Whether a reference is to an object of this kind; groups "" and "core" are one. */
bool ref_is_to(const struct kube_ref *ref, enum kube_kind kind);

/* --- outbound --- */

/* What stands at this address or name, for a client in `ns`. 0, -ENOENT (gRPC NotFound), -ENOMEM. */
int outbound_build_addr(const struct controller *controller, struct slice ns, struct addr addr, struct outbound_policy **ret_policy);
int outbound_build_name(const struct controller *controller, struct slice ns, struct slice service_ns, struct slice service,
                        uint16_t port, struct outbound_policy **ret_policy);

/* --- routes, for both --- */

int route_hosts(const struct kube_route_common *common, struct arena *arena, struct host_match **ret_hosts, size_t *ret_count);
int route_http_matches(const struct kube_http_rule *rule, struct arena *arena, struct http_route_match **ret_matches,
                       size_t *ret_count);
int route_grpc_matches(const struct kube_grpc_rule *rule, struct arena *arena, struct grpc_route_match **ret_matches,
                       size_t *ret_count);
/* Filters that proxies do not know become an injected failure, so that they are not silently left out. */
int route_filters(const struct kube_filter *filters, size_t count, bool inbound, struct arena *arena, struct filters *ret_filters);
struct metadata route_metadata(const struct kube_object *route);
/* Whether the route names this object as a parent (port 0 of the parent: any). */
bool route_has_parent(const struct kube_object *route, struct slice group, struct slice kind, const struct kube_object *parent,
                      uint16_t port);
