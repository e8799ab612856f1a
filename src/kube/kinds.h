/*
 * What each kind is called, which versions we read and where its tables are.
 * Inside kube/ only; everybody else uses the functions of kube/objects.h.
 */
#pragma once

#include "kube/decode/fields.h"

struct kind_info {
    const char *name, *group;
    const char *versions; /* with a space between each */
    bool namespaced;
    const struct shape *shape; /* of the whole document without its metadata; its size is that of the object */
};

extern const struct kind_info kube_kinds[KUBE_KIND_COUNT];

/* Shared pieces. */
extern const struct shape kube_selector_shape;
extern const struct shape kube_network_shape;
extern const struct shape kube_ref_shape;            /* group, kind and name, the last two required; namespace */
extern const struct shape kube_authentication_shape; /* as ref, but a ServiceAccount or Namespace may lack the name */
extern const struct shape kube_condition_shape;
extern const char *const kube_protocol_names[];

/* For checks of whole documents. */
void kube_read_written(const struct yaml_node *root, enum kube_kind kind, struct kube_written *ret_written);

/* One per kind. */
extern const struct shape kube_namespace_shape, kube_node_shape, kube_service_account_shape, kube_service_shape,
    kube_endpoints_shape, kube_endpoint_slice_shape, kube_pod_shape, kube_external_workload_shape,
    kube_service_profile_shape, kube_server_shape, kube_server_authorization_shape, kube_authorization_policy_shape,
    kube_mesh_tls_authentication_shape, kube_network_authentication_shape, kube_http_route_shape,
    kube_policy_http_route_shape, kube_grpc_route_shape, kube_tls_route_shape, kube_tcp_route_shape,
    kube_egress_network_shape, kube_rate_limit_policy_shape;

/* Top-level fields that are decoded elsewhere or not used, for `ignored` of a kind's shape. */
#define DOCUMENT_FIELDS "apiVersion kind metadata status"
