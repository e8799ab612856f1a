/*
 * The resources that the control plane reads, as plain structs: what a source
 * (a directory of YAML, later the Kubernetes API) hands to the store and what
 * components read from it. Only fields that some component uses are here.
 *
 * Each object has one arena, holds everything it points at, is reference
 * counted (any thread) and never changes once it is in a store, but for
 * `origin.line`, which follows edits of its file, and `round`, which belong to the
 * store's thread. Parts of it may be shared with other objects (kube/decode/parts.h). Pointers inside an object live as long as a reference to it is held.
 *
 * Types are named kube_* because the mesh has notions of its own with the same
 * names (a service, a server, a route). Every kind starts with `struct
 * kube_object meta`; kube_pod(object) and its like go from the one to the
 * other and assert the kind.
 *
 * Absent texts have length 0 and absent lists count 0; where absent means
 * something else than the default, the field's comment says so. Defaults that
 * Kubernetes or the CRDs define are filled in. Times are nanoseconds.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/ip.h"
#include "base/refcount.h"
#include "base/slice.h"

struct kube_part;

enum kube_kind {
    KUBE_NAMESPACE,
    KUBE_NODE,
    KUBE_SERVICE_ACCOUNT,
    KUBE_SERVICE,
    KUBE_ENDPOINTS,
    KUBE_ENDPOINT_SLICE,
    KUBE_POD,
    KUBE_EXTERNAL_WORKLOAD,
    KUBE_SERVICE_PROFILE,
    KUBE_SERVER,
    KUBE_SERVER_AUTHORIZATION,
    KUBE_AUTHORIZATION_POLICY,
    KUBE_MESH_TLS_AUTHENTICATION,
    KUBE_NETWORK_AUTHENTICATION,
    KUBE_HTTP_ROUTE,        /* gateway.networking.k8s.io; struct kube_http_route */
    KUBE_POLICY_HTTP_ROUTE, /* policy.linkerd.io; struct kube_http_route */
    KUBE_GRPC_ROUTE,
    KUBE_TLS_ROUTE, /* struct kube_tcp_route */
    KUBE_TCP_ROUTE,
    KUBE_EGRESS_NETWORK,
    KUBE_RATE_LIMIT_POLICY, /* HTTPLocalRateLimitPolicy */
    KUBE_KIND_COUNT
};

/* "HTTPRoute", as manifests write it. */
struct slice kube_kind_name(enum kube_kind kind);
/* "gateway.networking.k8s.io"; empty for the core group. */
struct slice kube_kind_group(enum kube_kind kind);
/* Namespace and Node have no namespace. */
bool kube_kind_is_namespaced(enum kube_kind kind);
/* The kind of a group and a kind name, any version. -ENOENT where we do not read it. */
int kube_kind_find(struct slice group, struct slice name, enum kube_kind *ret_kind);
/* "v1beta1": whether the decoder takes that version of the kind. */
bool kube_kind_reads_version(enum kube_kind kind, struct slice version);

/* Labels, annotations: sorted by key, no key twice. */
struct kube_pair {
    struct slice key, value;
};
struct kube_map {
    struct kube_pair *items;
    size_t count;
};
/* The value; .ptr is NULL when the key is not there (a value may be empty). */
struct slice kube_map_get(const struct kube_map *map, struct slice key);
#define kube_map_get_lit(map, literal) kube_map_get((map), SLICE_LIT(literal))

struct kube_owner {
    struct slice group, version, kind, name, uid;
    bool controller;
};

/* Where an object was written; the file is empty when it came over the wire. */
struct kube_origin {
    struct slice file; /* relative to the directory */
    int line;          /* 1-based; where the document (or list item) begins */
    uint64_t order;    /* grows from document to document of one file */
};

struct kube_object {
    struct refcount refs;
    enum kube_kind kind;
    struct slice version;    /* "v1beta3" */
    struct slice namespace_; /* empty where the kind has none */
    struct slice name;
    struct slice uid, resource_version; /* may be empty, and are of what was read only to be read (kube/decode/decode.h) */
    struct kube_map labels, annotations;
    int64_t created_ns; /* creationTimestamp since 1970, or KUBE_NO_TIME */
    int64_t deleted_ns; /* deletionTimestamp, or KUBE_NO_TIME */
    struct kube_owner *owners;
    size_t owner_count;
    struct kube_origin origin;
    uint32_t round;     /* store_mark() */
    bool derived;       /* made by us from other objects (kube/directory/derive.h), not written by anybody */
    uint64_t digest[2]; /* of all that was written; equal digests: nothing changed */
    struct kube_part **parts; /* shared with others: in the arena, a reference to each */
    size_t part_count;
    struct arena arena;
};

#define KUBE_NO_TIME INT64_MIN

struct kube_object *kube_object_ref(const struct kube_object *object);
void kube_object_unref(const struct kube_object *object); /* NULL is allowed */
/*
 * A new object of the kind, all zero behind its meta and with one reference, to be
 * filled in by its maker from object->arena. NULL without memory.
 */
struct kube_object *kube_object_new(enum kube_kind kind);
/* The same with room for the first `size` bytes that are taken from its arena, in one piece of memory. */
struct kube_object *kube_object_new_sized(enum kube_kind kind, size_t size);
/*
 * Total order, oldest first: creation time (objects without one come after those that have one). Of the same time,
 * namespace, name and kind decide, as in Kubernetes; without one, the file and the order in it stand in for time.
 * <0, 0 or >0. It is what "the oldest wins" means.
 */
int kube_object_compare_age(const struct kube_object *a, const struct kube_object *b);

/* A port by number or by name: number 0 means by name, and an empty name too means none. */
struct kube_port_ref {
    uint16_t number;
    struct slice name;
};

enum kube_protocol { KUBE_TCP, KUBE_UDP, KUBE_SCTP };
enum kube_tri { KUBE_UNSET, KUBE_FALSE, KUBE_TRUE };

/* matchLabels and matchExpressions, all of which must hold; an empty selector matches everything. */
enum kube_operator { KUBE_IN, KUBE_NOT_IN, KUBE_EXISTS, KUBE_DOES_NOT_EXIST };
struct kube_expression {
    struct slice key;
    int op; /* enum kube_operator */
    struct slice *values;
    size_t value_count;
};
struct kube_selector {
    struct kube_map match_labels;
    struct kube_expression *expressions;
    size_t expression_count;
};
bool kube_selector_matches(const struct kube_selector *selector, const struct kube_map *labels);
/* A Service's selector: every pair must be there. An empty one matches NOTHING, as for Services. */
bool kube_map_selects(const struct kube_map *selector, const struct kube_map *labels);

struct kube_network {
    struct cidr cidr;
    struct cidr *except;
    size_t except_count;
};

/* A reference to an object; fields that a given place does not have are empty. */
struct kube_ref {
    struct slice group, kind, name, namespace_; /* empty namespace: that of the referrer */
};

/* ---- core kinds ---- */

struct kube_namespace {
    struct kube_object meta;
};

struct kube_taint {
    struct slice key;
};
struct kube_node {
    struct kube_object meta;
    struct slice zone; /* label topology.kubernetes.io/zone, else the older failure-domain one */
    struct {
        struct kube_taint *taints; /* in their order, which a patch counts on */
        size_t taint_count;
    } spec;
};

struct kube_service_account {
    struct kube_object meta;
};

enum kube_service_type { KUBE_CLUSTER_IP, KUBE_NODE_PORT, KUBE_LOAD_BALANCER, KUBE_EXTERNAL_NAME };

struct kube_service_port {
    struct slice name; /* empty allowed when it is the only one */
    uint16_t port;
    int protocol;                /* enum kube_protocol */
    struct kube_port_ref target; /* targetPort; the port itself where not written */
    struct slice app_protocol;
};

struct kube_service {
    struct kube_object meta;
    int type;               /* enum kube_service_type */
    struct ip *cluster_ips; /* clusterIPs, else clusterIP; none when headless or ExternalName */
    size_t cluster_ip_count;
    bool headless; /* clusterIP: None */
    bool ipv4, ipv6; /* families: ipFamilies, else those of its addresses; headless and neither written: both */
    struct slice external_name;
    struct kube_service_port *ports;
    size_t port_count;
    struct kube_map selector;
    int internal_traffic_local; /* internalTrafficPolicy: Local (else Cluster) */
    bool publish_not_ready;
    /* As written: use cluster_ips and headless. */
    struct slice cluster_ip_text, *cluster_ip_texts;
    size_t cluster_ip_text_count;
    struct slice *ip_family_texts;
    size_t ip_family_text_count;
};
static inline bool kube_service_has_family(const struct kube_service *service, int family)
{
    return family == 4 ? service->ipv4 : service->ipv6;
}

struct kube_endpoint_port {
    struct slice name;
    uint16_t port; /* 0: all ports (EndpointSlice without a number) */
    int protocol;
    struct slice app_protocol;
};

struct kube_endpoints_address {
    struct ip ip;
    struct slice hostname, node_name;
    struct kube_ref target;
};
struct kube_endpoints_subset {
    struct kube_endpoints_address *addresses, *not_ready_addresses;
    size_t address_count, not_ready_address_count;
    struct kube_endpoint_port *ports;
    size_t port_count;
};
/* Components need not look at these: kube/directory/derive.h mirrors them as EndpointSlices where none are given. */
struct kube_endpoints {
    struct kube_object meta;
    struct kube_endpoints_subset *subsets;
    size_t subset_count;
};

enum kube_address_type { KUBE_IPV4, KUBE_IPV6, KUBE_FQDN };

struct kube_hint {
    struct slice name;
};
struct kube_endpoint {
    struct slice *addresses; /* all fungible; consumers use the first */
    size_t address_count;
    struct ip ip; /* addresses[0]; version 0 for FQDN */
    struct {
        int ready, serving, terminating; /* enum kube_tri; unset ready counts as true, see kube_endpoint_ready() */
    } conditions;
    struct slice hostname, node_name, zone;
    struct kube_ref target;
    struct {
        struct kube_hint *zones, *nodes;
        size_t zone_count, node_count;
    } hints;
};
struct kube_endpoint_slice {
    struct kube_object meta;
    int address_type;     /* enum kube_address_type */
    struct slice service; /* label kubernetes.io/service-name; empty when there is none */
    struct kube_endpoint *endpoints;
    size_t endpoint_count;
    struct kube_endpoint_port *ports;
    size_t port_count;
};
static inline bool kube_endpoint_ready(const struct kube_endpoint *endpoint)
{
    return endpoint->conditions.ready != KUBE_FALSE;
}

struct kube_container_port {
    struct slice name;
    uint16_t port, host_port;
    int protocol;
};

enum kube_probe_type { KUBE_PROBE_NONE, KUBE_PROBE_HTTP, KUBE_PROBE_TCP, KUBE_PROBE_GRPC, KUBE_PROBE_EXEC };
struct kube_probe_target {
    struct kube_port_ref port;
    struct slice path, scheme; /* HTTP only; path is "/" where not written */
};
struct kube_probe {
    int type;                                                      /* enum kube_probe_type */
    struct kube_probe_target *http_get, *tcp_socket, *grpc, *exec; /* the one that `type` names is not NULL */
};

struct kube_env {
    struct slice name, value; /* an empty value where it comes from elsewhere (valueFrom) */
};
struct kube_container {
    struct slice name;
    struct slice restart_policy; /* of an init container: "Always" for a native sidecar */
    struct kube_container_port *ports;
    size_t port_count;
    struct kube_env *env;
    size_t env_count;
    struct kube_probe *liveness, *readiness, *startup; /* NULL: none */
};

struct kube_pod_ip {
    struct ip ip;
};
struct kube_condition {
    struct slice type, status;
};
enum kube_phase { KUBE_PHASE_UNKNOWN, KUBE_PENDING, KUBE_RUNNING, KUBE_SUCCEEDED, KUBE_FAILED };

struct kube_pod {
    struct kube_object meta;
    struct {
        bool host_network;
        struct slice node_name;
        struct slice service_account; /* "default" where not written */
        struct slice hostname, subdomain;
        struct kube_container *containers, *init_containers;
        size_t container_count, init_container_count;
        struct slice old_service_account; /* spec.serviceAccount, the former name of the field */
    } spec;
    struct {
        int phase;                   /* enum kube_phase; Running where not written */
        struct ip pod_ip, host_ip;   /* version 0: none */
        struct kube_pod_ip *pod_ips; /* podIPs; podIP alone where they are not written */
        size_t pod_ip_count;
        struct kube_condition *conditions;
        size_t condition_count;
        bool lacks_rules; /* its network validator has ended with 95, and runs not again: nothing redirects its traffic to its proxy */
    } status;
};
/*
 * Condition Ready is True; where the manifest has no such condition (a directory has no kubelet), a pod that
 * runs counts as ready. Never when it is being deleted or has ended.
 */
bool kube_pod_is_ready(const struct kube_pod *pod);
/* Phase Succeeded or Failed: it has no address any more. */
bool kube_pod_has_ended(const struct kube_pod *pod);
/* The TCP container port (native sidecars included) of that name; 0: none. */
uint16_t kube_pod_named_port(const struct kube_pod *pod, struct slice name, int protocol);
/* The value of a variable of the container of that name (init containers too); .ptr NULL: not there. */
struct slice kube_pod_env(const struct kube_pod *pod, struct slice container, struct slice variable);

/* ---- linkerd.io and workload.linkerd.io ---- */

struct kube_workload_port {
    struct slice name;
    uint16_t port;
    int protocol;
};
struct kube_external_workload {
    struct kube_object meta;
    struct {
        struct {
            struct slice identity, server_name;
        } mesh_tls;
        struct kube_workload_port *ports;
        size_t port_count;
        struct kube_pod_ip *ips;
        size_t ip_count;
    } spec;
    struct kube_condition *conditions; /* status.conditions */
    size_t condition_count;
};
/* As for pods: condition Ready, and ready where there is none. */
bool kube_external_workload_is_ready(const struct kube_external_workload *workload);
/* As in a cluster, where somebody says it: the condition Ready is there, and True. */
bool kube_external_workload_says_ready(const struct kube_external_workload *workload);
/* Where a port of a Service leads: a number too must be one of the workload's ports. 0: nowhere. */
uint16_t kube_external_workload_port(const struct kube_external_workload *workload, const struct kube_service_port *port);
/* Label topology.kubernetes.io/zone; empty: none. */
struct slice kube_external_workload_zone(const struct kube_external_workload *workload);
/* Behind a headless Service its name, where that can be one label of a host name; else empty. */
struct slice kube_external_workload_hostname(const struct kube_external_workload *workload, const struct kube_service *service);

/* Written for ExternalWorkloads by the controller that is named in the label endpointslice.kubernetes.io/managed-by. */
#define KUBE_SLICE_MANAGER SLICE_LIT("linkerd-external-workloads-controller")
bool kube_slice_is_of_workloads(const struct kube_endpoint_slice *slice);
/* Whose it is: the Service that owns it, else the one that its label names; empty: nobody's. */
struct slice kube_slice_service(const struct kube_endpoint_slice *slice);

/* Of the parts written all must hold; a condition with none of them holds always. */
struct kube_request_match {
    struct slice path_regex, method;
    struct kube_request_match *all, *any, *not_; /* `not_` is one condition or NULL */
    size_t all_count, any_count;
};
struct kube_status_range {
    int min, max; /* 0: not written */
};
struct kube_response_match {
    struct kube_status_range *status; /* NULL: not written */
    struct kube_response_match *all, *any, *not_;
    size_t all_count, any_count;
};
struct kube_response_class {
    struct kube_response_match *condition;
    bool is_failure;
};
struct kube_profile_route {
    struct slice name;
    struct kube_request_match *condition;
    struct kube_response_class *response_classes;
    size_t response_class_count;
    bool is_retryable;
    int64_t timeout_ns; /* 0: none */
};
struct kube_weighted_dst {
    struct slice authority;
    int64_t weight_milli; /* thousandths: the field is a quantity ("500m", 1, "2k") */
};
struct kube_port_range {
    uint16_t first, last;
};
struct kube_retry_budget {
    double retry_ratio;
    uint32_t min_retries_per_second;
    int64_t ttl_ns;
};
struct kube_service_profile {
    struct kube_object meta;
    struct kube_profile_route *routes;
    size_t route_count;
    struct kube_retry_budget *retry_budget; /* NULL: none */
    struct kube_weighted_dst *dst_overrides;
    size_t dst_override_count;
    struct kube_port_range *opaque_ports;
    size_t opaque_port_count;
};

/* ---- policy.linkerd.io ---- */

enum kube_proxy_protocol {
    KUBE_PROXY_UNKNOWN,
    KUBE_PROXY_HTTP1,
    KUBE_PROXY_HTTP2,
    KUBE_PROXY_GRPC,
    KUBE_PROXY_OPAQUE,
    KUBE_PROXY_TLS
};
/* The values of accessPolicy, of the default-inbound-policy annotations and of the controller's flag. */
enum kube_access_policy {
    KUBE_ACCESS_DENY,
    KUBE_ACCESS_AUDIT,
    KUBE_ACCESS_ALL_AUTHENTICATED,
    KUBE_ACCESS_ALL_UNAUTHENTICATED,
    KUBE_ACCESS_CLUSTER_AUTHENTICATED,
    KUBE_ACCESS_CLUSTER_UNAUTHENTICATED
};
/* -EINVAL for anything else. */
int kube_access_policy_parse(struct slice text, enum kube_access_policy *ret_policy);
struct slice kube_access_policy_name(enum kube_access_policy policy);

struct kube_server {
    struct kube_object meta;
    struct kube_selector *pod_selector, *external_workload_selector; /* one of them is not NULL */
    struct kube_port_ref port;
    int proxy_protocol; /* enum kube_proxy_protocol */
    int access_policy;  /* enum kube_access_policy */
};

struct kube_mesh_tls_client {
    bool unauthenticated_tls;
    struct slice *identities;
    size_t identity_count;
    struct kube_ref *service_accounts;
    size_t service_account_count;
};
struct kube_server_authorization {
    struct kube_object meta;
    struct {
        struct slice name;              /* either this */
        struct kube_selector *selector; /* or this: labels of Servers */
    } server;
    struct {
        struct kube_network *networks;
        size_t network_count;
        bool unauthenticated;
        struct kube_mesh_tls_client *mesh_tls; /* NULL: not written */
    } client;
};

struct kube_authorization_policy {
    struct kube_object meta;
    struct kube_ref target;
    struct kube_ref *authentications; /* requiredAuthenticationRefs */
    size_t authentication_count;
};

struct kube_mesh_tls_authentication {
    struct kube_object meta;
    struct slice *identities; /* "*", "*.suffix" or exact names */
    size_t identity_count;
    struct kube_ref *identity_refs; /* ServiceAccount or Namespace */
    size_t identity_ref_count;
};

struct kube_network_authentication {
    struct kube_object meta;
    struct kube_network *networks;
    size_t network_count;
};

/* What is kept of the status of objects that get one from us (kube/status.h). */
struct kube_written {
    int64_t generation; /* of the object */
    uint64_t digest;    /* of our part of the status; 0: none */
};

struct kube_egress_network {
    struct kube_object meta;
    struct kube_written written;
    int deny;                      /* trafficPolicy: Deny (else Allow) */
    struct kube_network *networks; /* none: everything outside the cluster */
    size_t network_count;
};

struct kube_rate_limit {
    uint32_t requests_per_second;
};
struct kube_rate_limit_override {
    uint32_t requests_per_second;
    struct kube_ref *clients;
    size_t client_count;
};
struct kube_rate_limit_policy {
    struct kube_object meta;
    struct kube_written written;
    struct kube_ref target;
    struct kube_rate_limit *total, *identity; /* NULL: none */
    struct kube_rate_limit_override *overrides;
    size_t override_count;
};

/* ---- routes ---- */

struct kube_parent_ref {
    struct kube_ref ref; /* group and kind default to the Gateway API's: gateway.networking.k8s.io, Gateway */
    uint16_t port;       /* 0: all */
    struct slice section_name;
};

enum kube_match_type { KUBE_MATCH_EXACT, KUBE_MATCH_PREFIX, KUBE_MATCH_REGEX };

struct kube_path_match {
    int type; /* enum kube_match_type; a path's default is PREFIX of "/" */
    struct slice value;
};
struct kube_value_match {
    int type; /* EXACT (default) or REGEX */
    struct slice name, value;
};
struct kube_http_match {
    struct kube_path_match *path; /* NULL: not written */
    struct kube_value_match *headers, *query_params;
    size_t header_count, query_param_count;
    struct slice method; /* empty: any */
};

struct kube_header {
    struct slice name, value;
};
struct kube_header_modifier {
    struct kube_header *set, *add;
    size_t set_count, add_count;
    struct slice *remove;
    size_t remove_count;
};
enum kube_path_modifier_type { KUBE_REPLACE_FULL_PATH, KUBE_REPLACE_PREFIX_MATCH };
struct kube_path_modifier {
    int type;
    struct slice full_path, prefix_match; /* the one that `type` names */
};
struct kube_redirect {
    struct slice scheme, hostname;
    struct kube_path_modifier *path; /* NULL: unchanged */
    uint16_t port;                   /* 0: not written */
    int status_code;                 /* 302 where not written */
};
enum kube_filter_type {
    KUBE_FILTER_REQUEST_HEADERS,  /* modifier */
    KUBE_FILTER_RESPONSE_HEADERS, /* modifier */
    KUBE_FILTER_REDIRECT,         /* redirect */
    KUBE_FILTER_UNSUPPORTED       /* URLRewrite, RequestMirror, ExtensionRef, ...: the name is in `type_name` */
};
struct kube_filter {
    int type; /* enum kube_filter_type */
    struct slice type_name;
    struct kube_header_modifier *modifier; /* not NULL for the two header types */
    struct kube_redirect *redirect;        /* not NULL for REDIRECT */
    /* As written; the two above say the same. */
    struct kube_header_modifier *request_headers, *response_headers;
};

struct kube_backend_ref {
    struct kube_ref ref; /* group "" and kind Service where not written */
    uint16_t port;       /* 0: not written */
    uint32_t weight;     /* 1 where not written */
    struct kube_filter *filters;
    size_t filter_count;
};

struct kube_timeouts {
    int64_t request_ns, backend_request_ns; /* 0: none */
};
struct kube_http_rule {
    struct slice name;
    struct kube_http_match *matches; /* none: everything */
    size_t match_count;
    struct kube_filter *filters;
    size_t filter_count;
    struct kube_backend_ref *backends;
    size_t backend_count;
    struct kube_timeouts timeouts;
};
struct kube_route_common {
    struct kube_written written;
    struct kube_parent_ref *parents;
    size_t parent_count;
    struct slice *hostnames; /* "*.example.com" matches by suffix; lower case */
    size_t hostname_count;
};
struct kube_http_route {
    struct kube_object meta;
    struct kube_route_common common;
    struct kube_http_rule *rules;
    size_t rule_count;
};

struct kube_grpc_method {
    int type;                     /* EXACT (default) or REGEX */
    struct slice service, method; /* empty: any */
};
struct kube_grpc_match {
    struct kube_grpc_method *method; /* NULL: not written */
    struct kube_value_match *headers;
    size_t header_count;
};
struct kube_grpc_rule {
    struct slice name;
    struct kube_grpc_match *matches;
    size_t match_count;
    struct kube_filter *filters;
    size_t filter_count;
    struct kube_backend_ref *backends;
    size_t backend_count;
};
struct kube_grpc_route {
    struct kube_object meta;
    struct kube_route_common common;
    struct kube_grpc_rule *rules;
    size_t rule_count;
};

struct kube_tcp_rule {
    struct slice name;
    struct kube_backend_ref *backends;
    size_t backend_count;
};
/* TLSRoute (hostnames are SNI names) and TCPRoute (no hostnames). */
struct kube_tcp_route {
    struct kube_object meta;
    struct kube_route_common common;
    struct kube_tcp_rule *rules;
    size_t rule_count;
};
/* NULL for kinds that get no status from us. */
const struct kube_written *kube_written(const struct kube_object *object);
/* The parents and hostnames of a route of any kind; NULL for kinds that are not routes. */
const struct kube_route_common *kube_route_common(const struct kube_object *object);

#define KUBE_CAST(type, which)                                                                                         \
    static inline const struct kube_##type *kube_##type(const struct kube_object *object)                              \
    {                                                                                                                  \
        assert(which);                                                                                                 \
        return (const struct kube_##type *)(const void *)object;                                                       \
    }
KUBE_CAST(namespace, object->kind == KUBE_NAMESPACE)
KUBE_CAST(node, object->kind == KUBE_NODE)
KUBE_CAST(service_account, object->kind == KUBE_SERVICE_ACCOUNT)
KUBE_CAST(service, object->kind == KUBE_SERVICE)
KUBE_CAST(endpoints, object->kind == KUBE_ENDPOINTS)
KUBE_CAST(endpoint_slice, object->kind == KUBE_ENDPOINT_SLICE)
KUBE_CAST(pod, object->kind == KUBE_POD)
KUBE_CAST(external_workload, object->kind == KUBE_EXTERNAL_WORKLOAD)
KUBE_CAST(service_profile, object->kind == KUBE_SERVICE_PROFILE)
KUBE_CAST(server, object->kind == KUBE_SERVER)
KUBE_CAST(server_authorization, object->kind == KUBE_SERVER_AUTHORIZATION)
KUBE_CAST(authorization_policy, object->kind == KUBE_AUTHORIZATION_POLICY)
KUBE_CAST(mesh_tls_authentication, object->kind == KUBE_MESH_TLS_AUTHENTICATION)
KUBE_CAST(network_authentication, object->kind == KUBE_NETWORK_AUTHENTICATION)
KUBE_CAST(http_route, object->kind == KUBE_HTTP_ROUTE || object->kind == KUBE_POLICY_HTTP_ROUTE)
KUBE_CAST(grpc_route, object->kind == KUBE_GRPC_ROUTE)
KUBE_CAST(tcp_route, object->kind == KUBE_TLS_ROUTE || object->kind == KUBE_TCP_ROUTE)
KUBE_CAST(egress_network, object->kind == KUBE_EGRESS_NETWORK)
KUBE_CAST(rate_limit_policy, object->kind == KUBE_RATE_LIMIT_POLICY)
#undef KUBE_CAST
