/* Tables of linkerd.io and policy.linkerd.io, but for routes. */
#include <errno.h>

#include "kube/kinds.h"

/* ---- ServiceProfile ---- */

/* Conditions hold conditions; how deep is bounded by the YAML tree. */
static const struct shape request_match_shape, response_match_shape;

static const struct field request_match_fields[] = {
    FIELD("pathRegex", TEXT, kube_request_match, path_regex),
    FIELD("method", TEXT, kube_request_match, method),
    FIELDS("all", STRUCT, kube_request_match, all, all_count, .shape = &request_match_shape),
    FIELDS("any", STRUCT, kube_request_match, any, any_count, .shape = &request_match_shape),
    FIELD("not", POINTER, kube_request_match, not_, .shape = &request_match_shape),
};
static const struct shape request_match_shape = SHAPE(kube_request_match, request_match_fields);

static void check_status_range(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_status_range *range = at;

    if (range->min && range->max && range->min > range->max)
        decoder_error(d, path, "min", node, "min (%d) is above max (%d)", range->min, range->max);
}
static const struct field status_range_fields[] = {
    FIELD("min", INT, kube_status_range, min, .min = 100, .max = 599),
    FIELD("max", INT, kube_status_range, max, .min = 100, .max = 599),
};
static const struct shape status_range_shape =
    SHAPE(kube_status_range, status_range_fields, .check = check_status_range);

static const struct field response_match_fields[] = {
    FIELD("status", POINTER, kube_response_match, status, .shape = &status_range_shape),
    FIELDS("all", STRUCT, kube_response_match, all, all_count, .shape = &response_match_shape),
    FIELDS("any", STRUCT, kube_response_match, any, any_count, .shape = &response_match_shape),
    FIELD("not", POINTER, kube_response_match, not_, .shape = &response_match_shape),
};
static const struct shape response_match_shape = SHAPE(kube_response_match, response_match_fields);

static const struct field response_class_fields[] = {
    FIELD("condition", POINTER, kube_response_class, condition, .required = true, .shape = &response_match_shape),
    FIELD("isFailure", BOOL, kube_response_class, is_failure),
};
static const struct shape response_class_shape = SHAPE(kube_response_class, response_class_fields);

static const struct field profile_route_fields[] = {
    FIELD("name", TEXT, kube_profile_route, name, .required = true),
    FIELD("condition", POINTER, kube_profile_route, condition, .required = true, .shape = &request_match_shape),
    FIELDS("responseClasses", STRUCT, kube_profile_route, response_classes, response_class_count,
           .shape = &response_class_shape),
    FIELD("isRetryable", BOOL, kube_profile_route, is_retryable),
    FIELD("timeout", DURATION, kube_profile_route, timeout_ns),
};
static const struct shape profile_route_shape = SHAPE(kube_profile_route, profile_route_fields);

static const struct field retry_budget_fields[] = {
    FIELD("retryRatio", NUMBER, kube_retry_budget, retry_ratio, .required = true, .max = 1000),
    FIELD("minRetriesPerSecond", U32, kube_retry_budget, min_retries_per_second, .required = true, .max = UINT32_MAX),
    FIELD("ttl", DURATION, kube_retry_budget, ttl_ns, .required = true),
};
static const struct shape retry_budget_shape = SHAPE(kube_retry_budget, retry_budget_fields);

static const struct field weighted_dst_fields[] = {
    FIELD("authority", TEXT, kube_weighted_dst, authority, .required = true),
    FIELD("weight", QUANTITY, kube_weighted_dst, weight_milli, .required = true),
};
static const struct shape weighted_dst_shape = SHAPE(kube_weighted_dst, weighted_dst_fields);

static const struct field profile_spec_fields[] = {
    FIELDS("routes", STRUCT, kube_service_profile, routes, route_count, .shape = &profile_route_shape),
    FIELD("retryBudget", POINTER, kube_service_profile, retry_budget, .shape = &retry_budget_shape),
    FIELDS("dstOverrides", STRUCT, kube_service_profile, dst_overrides, dst_override_count,
           .shape = &weighted_dst_shape),
    FIELDS("opaquePorts", PORT_RANGE, kube_service_profile, opaque_ports, opaque_port_count),
};
static const struct shape profile_spec_shape = SHAPE(kube_service_profile, profile_spec_fields);
static const struct field service_profile_fields[] = {
    INSIDE("spec", profile_spec_shape, .required = true),
};
const struct shape kube_service_profile_shape =
    SHAPE(kube_service_profile, service_profile_fields, .ignored = DOCUMENT_FIELDS);

/* ---- Server ---- */

static const char *const proxy_protocol_names[] = {"unknown", "HTTP/1", "HTTP/2", "gRPC", "opaque", "TLS", NULL};
static const char *const access_policy_names[] = {[KUBE_ACCESS_DENY] = "deny",
                                                  [KUBE_ACCESS_AUDIT] = "audit",
                                                  [KUBE_ACCESS_ALL_AUTHENTICATED] = "all-authenticated",
                                                  [KUBE_ACCESS_ALL_UNAUTHENTICATED] = "all-unauthenticated",
                                                  [KUBE_ACCESS_CLUSTER_AUTHENTICATED] = "cluster-authenticated",
                                                  [KUBE_ACCESS_CLUSTER_UNAUTHENTICATED] = "cluster-unauthenticated",
                                                  NULL};

int kube_access_policy_parse(struct slice text, enum kube_access_policy *ret_policy)
{
    for (int i = 0; access_policy_names[i]; i++)
        if (slice_eq(text, slice_str(access_policy_names[i]))) {
            *ret_policy = (enum kube_access_policy)i;
            return 0;
        }
    return -EINVAL;
}

struct slice kube_access_policy_name(enum kube_access_policy policy)
{
    return slice_str(access_policy_names[policy]);
}

static void check_server(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_server *server = at;

    if (!server->pod_selector == !server->external_workload_selector)
        decoder_error(d, path, "podSelector", node,
                      "expected one of podSelector and externalWorkloadSelector, found %s",
                      server->pod_selector ? "both" : "neither");
}

static const struct field server_spec_fields[] = {
    FIELD("podSelector", POINTER, kube_server, pod_selector, .shape = &kube_selector_shape),
    FIELD("externalWorkloadSelector", POINTER, kube_server, external_workload_selector, .shape = &kube_selector_shape),
    FIELD("port", PORT_REF, kube_server, port, .required = true),
    FIELD("proxyProtocol", ENUM, kube_server, proxy_protocol, .names = proxy_protocol_names),
    FIELD("accessPolicy", ENUM, kube_server, access_policy, .names = access_policy_names),
};
static const struct shape server_spec_shape = SHAPE(kube_server, server_spec_fields, .check = check_server);
static const struct field server_fields[] = {
    INSIDE("spec", server_spec_shape, .required = true),
};
const struct shape kube_server_shape = SHAPE(kube_server, server_fields, .ignored = DOCUMENT_FIELDS);

/* ---- ServerAuthorization ---- */

static const struct field sa_ref_fields[] = {
    FIELD("name", TEXT, kube_ref, name, .required = true),
    FIELD("namespace", TEXT, kube_ref, namespace_),
};
static const struct shape sa_ref_shape = SHAPE(kube_ref, sa_ref_fields);

static const struct field mesh_tls_client_fields[] = {
    FIELD("unauthenticatedTLS", BOOL, kube_mesh_tls_client, unauthenticated_tls),
    FIELDS("identities", TEXT, kube_mesh_tls_client, identities, identity_count),
    FIELDS("serviceAccounts", STRUCT, kube_mesh_tls_client, service_accounts, service_account_count,
           .shape = &sa_ref_shape),
};
static const struct shape mesh_tls_client_shape = SHAPE(kube_mesh_tls_client, mesh_tls_client_fields);

static const struct field client_fields[] = {
    FIELDS("networks", STRUCT, kube_server_authorization, client.networks, client.network_count,
           .shape = &kube_network_shape),
    FIELD("unauthenticated", BOOL, kube_server_authorization, client.unauthenticated),
    FIELD("meshTLS", POINTER, kube_server_authorization, client.mesh_tls, .shape = &mesh_tls_client_shape),
};
static const struct shape client_shape = SHAPE(kube_server_authorization, client_fields);

static void check_target_server(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_server_authorization *authorization = at;

    if (!authorization->server.name.len == !authorization->server.selector)
        decoder_error(d, path, "name", node, "expected one of name and selector, found %s",
                      authorization->server.selector ? "both" : "neither");
}
static const struct field target_server_fields[] = {
    FIELD("name", TEXT, kube_server_authorization, server.name),
    FIELD("selector", POINTER, kube_server_authorization, server.selector, .shape = &kube_selector_shape),
};
static const struct shape target_server_shape =
    SHAPE(kube_server_authorization, target_server_fields, .check = check_target_server);

static const struct field server_authorization_spec_fields[] = {
    INSIDE("server", target_server_shape, .required = true),
    INSIDE("client", client_shape, .required = true),
};
static const struct shape server_authorization_spec_shape =
    SHAPE(kube_server_authorization, server_authorization_spec_fields);
static const struct field server_authorization_fields[] = {
    INSIDE("spec", server_authorization_spec_shape, .required = true),
};
const struct shape kube_server_authorization_shape =
    SHAPE(kube_server_authorization, server_authorization_fields, .ignored = DOCUMENT_FIELDS);

/* ---- AuthorizationPolicy and what it refers to ---- */

static const struct field authorization_spec_fields[] = {
    FIELD("targetRef", STRUCT, kube_authorization_policy, target, .required = true, .shape = &kube_ref_shape),
    FIELDS("requiredAuthenticationRefs", STRUCT, kube_authorization_policy, authentications, authentication_count,
           .required = true, .shape = &kube_ref_shape),
};
static const struct shape authorization_spec_shape = SHAPE(kube_authorization_policy, authorization_spec_fields);
static const struct field authorization_policy_fields[] = {
    INSIDE("spec", authorization_spec_shape, .required = true),
};
const struct shape kube_authorization_policy_shape =
    SHAPE(kube_authorization_policy, authorization_policy_fields, .ignored = DOCUMENT_FIELDS);

static void check_mesh_tls(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_mesh_tls_authentication *mesh_tls = at;

    if (!mesh_tls->identity_count == !mesh_tls->identity_ref_count)
        decoder_error(d, path, "identities", node, "expected one of identities and identityRefs, found %s",
                      mesh_tls->identity_count ? "both" : "neither");
}
static const struct field mesh_tls_spec_fields[] = {
    FIELDS("identities", TEXT, kube_mesh_tls_authentication, identities, identity_count),
    FIELDS("identityRefs", STRUCT, kube_mesh_tls_authentication, identity_refs, identity_ref_count,
           .shape = &kube_authentication_shape),
};
static const struct shape mesh_tls_spec_shape =
    SHAPE(kube_mesh_tls_authentication, mesh_tls_spec_fields, .check = check_mesh_tls);
static const struct field mesh_tls_authentication_fields[] = {
    INSIDE("spec", mesh_tls_spec_shape, .required = true),
};
const struct shape kube_mesh_tls_authentication_shape =
    SHAPE(kube_mesh_tls_authentication, mesh_tls_authentication_fields, .ignored = DOCUMENT_FIELDS);

static const struct field network_spec_fields[] = {
    FIELDS("networks", STRUCT, kube_network_authentication, networks, network_count, .required = true,
           .shape = &kube_network_shape),
};
static const struct shape network_spec_shape = SHAPE(kube_network_authentication, network_spec_fields);
static const struct field network_authentication_fields[] = {
    INSIDE("spec", network_spec_shape, .required = true),
};
const struct shape kube_network_authentication_shape =
    SHAPE(kube_network_authentication, network_authentication_fields, .ignored = DOCUMENT_FIELDS);

/* ---- EgressNetwork, HTTPLocalRateLimitPolicy ---- */

static const char *const egress_policy_names[] = {"Allow", "Deny", NULL};
static const struct field egress_spec_fields[] = {
    FIELD("trafficPolicy", ENUM, kube_egress_network, deny, .required = true, .names = egress_policy_names),
    FIELDS("networks", STRUCT, kube_egress_network, networks, network_count, .shape = &kube_network_shape),
};
static const struct shape egress_spec_shape = SHAPE(kube_egress_network, egress_spec_fields);
static const struct field egress_network_fields[] = {
    INSIDE("spec", egress_spec_shape, .required = true),
};
static void read_egress_written(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    kube_read_written(node, KUBE_EGRESS_NETWORK, &((struct kube_egress_network *)at)->written);
}
const struct shape kube_egress_network_shape =
    SHAPE(kube_egress_network, egress_network_fields, .ignored = DOCUMENT_FIELDS, .check = read_egress_written);

static const struct field rate_limit_fields[] = {
    FIELD("requestsPerSecond", U32, kube_rate_limit, requests_per_second, .required = true, .max = UINT32_MAX),
};
static const struct shape rate_limit_shape = SHAPE(kube_rate_limit, rate_limit_fields);
static const struct field rate_limit_override_fields[] = {
    FIELD("requestsPerSecond", U32, kube_rate_limit_override, requests_per_second, .required = true, .max = UINT32_MAX),
    FIELDS("clientRefs", STRUCT, kube_rate_limit_override, clients, client_count, .required = true,
           .shape = &kube_ref_shape),
};
static const struct shape rate_limit_override_shape = SHAPE(kube_rate_limit_override, rate_limit_override_fields);
static const struct field rate_limit_spec_fields[] = {
    FIELD("targetRef", STRUCT, kube_rate_limit_policy, target, .required = true, .shape = &kube_ref_shape),
    FIELD("total", POINTER, kube_rate_limit_policy, total, .shape = &rate_limit_shape),
    FIELD("identity", POINTER, kube_rate_limit_policy, identity, .shape = &rate_limit_shape),
    FIELDS("overrides", STRUCT, kube_rate_limit_policy, overrides, override_count, .shape = &rate_limit_override_shape),
};
static const struct shape rate_limit_spec_shape = SHAPE(kube_rate_limit_policy, rate_limit_spec_fields);
static const struct field rate_limit_policy_fields[] = {
    INSIDE("spec", rate_limit_spec_shape, .required = true),
};
static void read_limit_written(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    kube_read_written(node, KUBE_RATE_LIMIT_POLICY, &((struct kube_rate_limit_policy *)at)->written);
}
const struct shape kube_rate_limit_policy_shape =
    SHAPE(kube_rate_limit_policy, rate_limit_policy_fields, .ignored = DOCUMENT_FIELDS, .check = read_limit_written);
