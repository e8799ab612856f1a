/* Tables of the core kinds: Namespace, Node, ServiceAccount, Service, Endpoints, EndpointSlice. */
#include <errno.h>

#include "kube/kinds.h"

const char *const kube_protocol_names[] = {"TCP", "UDP", "SCTP", NULL};

/* ---- shared ---- */

static const char *const operator_names[] = {"In", "NotIn", "Exists", "DoesNotExist", NULL};

static void check_expression(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_expression *expression = at;
    bool takes_values = expression->op == KUBE_IN || expression->op == KUBE_NOT_IN;

    if (takes_values && !expression->value_count)
        decoder_error(d, path, "values", node, "missing; %s compares with a list of values",
                      operator_names[expression->op]);
    else if (!takes_values && expression->value_count)
        decoder_error(d, path, "values", node, "%s takes no values; remove them", operator_names[expression->op]);
}

static const struct field expression_fields[] = {
    FIELD("key", TEXT, kube_expression, key, .required = true),
    FIELD("operator", ENUM, kube_expression, op, .required = true, .names = operator_names),
    FIELDS("values", TEXT, kube_expression, values, value_count),
};
static const struct shape expression_shape = SHAPE(kube_expression, expression_fields, .check = check_expression);

static const struct field selector_fields[] = {
    FIELD("matchLabels", MAP, kube_selector, match_labels),
    FIELDS("matchExpressions", STRUCT, kube_selector, expressions, expression_count, .shape = &expression_shape),
};
const struct shape kube_selector_shape = SHAPE(kube_selector, selector_fields);

static const struct field network_fields[] = {
    FIELD("cidr", CIDR, kube_network, cidr, .required = true),
    FIELDS("except", CIDR, kube_network, except, except_count),
};
const struct shape kube_network_shape = SHAPE(kube_network, network_fields);

static const struct field ref_fields[] = {
    FIELD("group", TEXT, kube_ref, group),
    FIELD("kind", TEXT, kube_ref, kind, .required = true),
    FIELD("name", TEXT, kube_ref, name, .required = true),
    FIELD("namespace", TEXT, kube_ref, namespace_),
};
const struct shape kube_ref_shape = SHAPE(kube_ref, ref_fields);

static const struct field authentication_fields[] = {
    FIELD("group", TEXT, kube_ref, group),
    FIELD("kind", TEXT, kube_ref, kind, .required = true),
    FIELD("name", TEXT, kube_ref, name),
    FIELD("namespace", TEXT, kube_ref, namespace_),
};
const struct shape kube_authentication_shape = SHAPE(kube_ref, authentication_fields);

static const struct field condition_fields[] = {
    FIELD("type", TEXT, kube_condition, type, .required = true),
    FIELD("status", TEXT, kube_condition, status, .required = true),
};
const struct shape kube_condition_shape = SHAPE(
    kube_condition, condition_fields,
    .ignored = "lastProbeTime lastTransitionTime message reason observedGeneration lastUpdateTime lastHeartbeatTime");

/* What targetRef points at. */
static const struct field target_fields[] = {
    FIELD("kind", TEXT, kube_ref, kind, .shared = true),
    FIELD("name", TEXT, kube_ref, name),
    FIELD("namespace", TEXT, kube_ref, namespace_, .shared = true),
};
static const struct shape target_shape =
    SHAPE(kube_ref, target_fields, .ignored = "apiVersion uid resourceVersion fieldPath");

/* ---- Namespace, Node, ServiceAccount ---- */

const struct shape kube_namespace_shape = {.size = sizeof(struct kube_namespace), .ignored = DOCUMENT_FIELDS " spec"};
const struct shape kube_service_account_shape = {.size = sizeof(struct kube_service_account),
                                                 .ignored = DOCUMENT_FIELDS
                                                 " secrets imagePullSecrets automountServiceAccountToken"};

static void check_node(struct decoder *d, const struct path *path, const struct yaml_node *at_node, void *at)
{
    struct kube_node *node = at;

    node->zone = kube_map_get_lit(&node->meta.labels, "topology.kubernetes.io/zone");
    if (!node->zone.ptr)
        node->zone = kube_map_get_lit(&node->meta.labels, "failure-domain.beta.kubernetes.io/zone");
}

static const struct field taint_fields[] = {
    FIELD("key", TEXT, kube_taint, key, .required = true),
};
static const struct shape taint_shape = SHAPE(kube_taint, taint_fields, .ignored = "value effect timeAdded");

static const struct field node_spec_fields[] = {
    FIELDS("taints", STRUCT, kube_node, spec.taints, spec.taint_count, .shape = &taint_shape),
};
static const struct shape node_spec_shape =
    SHAPE(kube_node, node_spec_fields, .ignored = "podCIDR podCIDRs providerID unschedulable configSource externalID");

static const struct field node_fields[] = {
    INSIDE("spec", node_spec_shape),
};
const struct shape kube_node_shape = SHAPE(kube_node, node_fields, .ignored = DOCUMENT_FIELDS, .check = check_node);

/* ---- Service ---- */

static const char *const service_type_names[] = {"ClusterIP", "NodePort", "LoadBalancer", "ExternalName", NULL};
static const char *const traffic_policy_names[] = {"Cluster", "Local", NULL};

static void check_service_port(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_service_port *port = at;

    if (!port->target.number && !port->target.name.len)
        port->target.number = port->port;
}

static const struct field service_port_fields[] = {
    FIELD("name", TEXT, kube_service_port, name),
    FIELD("port", PORT, kube_service_port, port, .required = true),
    FIELD("targetPort", PORT_REF, kube_service_port, target),
    FIELD("protocol", ENUM, kube_service_port, protocol, .names = kube_protocol_names),
    FIELD("appProtocol", TEXT, kube_service_port, app_protocol),
};
static const struct shape service_port_shape =
    SHAPE(kube_service_port, service_port_fields, .ignored = "nodePort", .check = check_service_port);

static void check_ports_differ(struct decoder *d, const struct path *path, const struct yaml_node *node,
                               const struct kube_service *service)
{
    for (size_t i = 0; i < service->port_count && i < 1000; i++)
        for (size_t j = 0; j < i; j++) {
            const struct kube_service_port *a = &service->ports[j], *b = &service->ports[i];

            if (a->port == b->port && a->protocol == b->protocol)
                decoder_error(d, path, "ports", node, "port %u is there twice; remove one", b->port);
            else if (slice_eq(a->name, b->name))
                decoder_error(d, path, "ports", node, "two ports with the name \"%.*s\"; each needs one of its own",
                              SLICE_ARGS(b->name));
        }
}

static int add_cluster_ip(struct kube_service *service, struct slice text)
{
    if (slice_eq(text, SLICE_LIT("None"))) {
        service->headless = true;
        return 0;
    }
    if (ip_parse(text, &service->cluster_ips[service->cluster_ip_count]) < 0)
        return -EINVAL;
    service->cluster_ip_count++;
    return 0;
}

/* clusterIPs, when written, repeats clusterIP as its first. */
static void check_cluster_ips(struct decoder *d, const struct path *path, const struct yaml_node *node,
                              struct kube_service *service)
{
    service->cluster_ips = decoder_alloc(d, service->cluster_ip_text_count + 1, sizeof(*service->cluster_ips));
    if (!service->cluster_ips)
        return;
    if (service->cluster_ip_text_count && service->cluster_ip_text.len &&
        !slice_eq(service->cluster_ip_text, service->cluster_ip_texts[0]))
        decoder_error(d, path, "clusterIPs", node, "the first must be the same as clusterIP (\"%.*s\")",
                      SLICE_ARGS(service->cluster_ip_text));
    if (!service->cluster_ip_text_count && service->cluster_ip_text.len &&
        add_cluster_ip(service, service->cluster_ip_text) < 0)
        decoder_error(d, path, "clusterIP", node, "expected an IP address or \"None\", found \"%.*s\"",
                      SLICE_ARGS(service->cluster_ip_text));
    for (size_t i = 0; i < service->cluster_ip_text_count; i++)
        if (add_cluster_ip(service, service->cluster_ip_texts[i]) < 0)
            decoder_error(d, path, "clusterIPs", node, "expected IP addresses or \"None\", found \"%.*s\"",
                          SLICE_ARGS(service->cluster_ip_texts[i]));
    if (service->headless && service->cluster_ip_count)
        decoder_error(d, path, "clusterIPs", node, "\"None\" stands beside an address; write one or the other");
}

/* Where none are written (a directory), those of its addresses. */
static void check_ip_families(struct decoder *d, const struct path *path, const struct yaml_node *node, struct kube_service *service)
{
    for (size_t i = 0; i < service->ip_family_text_count; i++) {
        struct slice family = service->ip_family_texts[i];

        service->ipv4 |= slice_eq(family, SLICE_LIT("IPv4"));
        service->ipv6 |= slice_eq(family, SLICE_LIT("IPv6"));
        if (!slice_eq(family, SLICE_LIT("IPv4")) && !slice_eq(family, SLICE_LIT("IPv6")))
            decoder_error(d, path, "ipFamilies", node, "expected IPv4 or IPv6, found \"%.*s\"", SLICE_ARGS(family));
    }
    for (size_t i = 0; i < service->cluster_ip_count && !service->ip_family_text_count; i++) {
        service->ipv4 |= service->cluster_ips[i].version == 4;
        service->ipv6 |= service->cluster_ips[i].version == 6;
    }
    if (service->headless && !service->ip_family_text_count)
        service->ipv4 = service->ipv6 = true;
}

static void check_service(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_service *service = at;

    check_ports_differ(d, path, node, service);
    if (service->type == KUBE_EXTERNAL_NAME) {
        service->cluster_ip_text_count = 0;
        if (!service->external_name.len)
            decoder_error(d, path, "externalName", node, "missing; a Service of type ExternalName needs it");
        return;
    }
    check_cluster_ips(d, path, node, service);
    check_ip_families(d, path, node, service);
}

static const struct field service_spec_fields[] = {
    FIELD("type", ENUM, kube_service, type, .names = service_type_names),
    FIELD("clusterIP", TEXT, kube_service, cluster_ip_text),
    FIELDS("clusterIPs", TEXT, kube_service, cluster_ip_texts, cluster_ip_text_count),
    FIELDS("ipFamilies", TEXT, kube_service, ip_family_texts, ip_family_text_count),
    FIELD("externalName", TEXT, kube_service, external_name),
    FIELDS("ports", STRUCT, kube_service, ports, port_count, .shape = &service_port_shape),
    FIELD("selector", MAP, kube_service, selector),
    FIELD("internalTrafficPolicy", ENUM, kube_service, internal_traffic_local, .names = traffic_policy_names),
    FIELD("publishNotReadyAddresses", BOOL, kube_service, publish_not_ready),
};
static const struct shape service_spec_shape =
    SHAPE(kube_service, service_spec_fields, .check = check_service,
          .ignored = "externalIPs sessionAffinity sessionAffinityConfig loadBalancerIP loadBalancerSourceRanges "
                     "loadBalancerClass externalTrafficPolicy healthCheckNodePort ipFamilyPolicy "
                     "allocateLoadBalancerNodePorts trafficDistribution topologyKeys");
static const struct field service_fields[] = {
    INSIDE("spec", service_spec_shape, .required = true),
};
const struct shape kube_service_shape = SHAPE(kube_service, service_fields, .ignored = DOCUMENT_FIELDS);

/* ---- Endpoints ---- */

static const struct field endpoint_port_fields[] = {
    FIELD("name", TEXT, kube_endpoint_port, name),
    FIELD("port", PORT, kube_endpoint_port, port),
    FIELD("protocol", ENUM, kube_endpoint_port, protocol, .names = kube_protocol_names),
    FIELD("appProtocol", TEXT, kube_endpoint_port, app_protocol),
};
static const struct shape endpoint_port_shape = SHAPE(kube_endpoint_port, endpoint_port_fields);

static const struct field address_fields[] = {
    FIELD("ip", IP, kube_endpoints_address, ip, .required = true),
    FIELD("hostname", TEXT, kube_endpoints_address, hostname),
    FIELD("nodeName", TEXT, kube_endpoints_address, node_name),
    FIELD("targetRef", STRUCT, kube_endpoints_address, target, .shape = &target_shape),
};
static const struct shape address_shape = SHAPE(kube_endpoints_address, address_fields);

static const struct field subset_fields[] = {
    FIELDS("addresses", STRUCT, kube_endpoints_subset, addresses, address_count, .shape = &address_shape),
    FIELDS("notReadyAddresses", STRUCT, kube_endpoints_subset, not_ready_addresses, not_ready_address_count,
           .shape = &address_shape),
    FIELDS("ports", STRUCT, kube_endpoints_subset, ports, port_count, .shape = &endpoint_port_shape),
};
static const struct shape subset_shape = SHAPE(kube_endpoints_subset, subset_fields);

static const struct field endpoints_fields[] = {
    FIELDS("subsets", STRUCT, kube_endpoints, subsets, subset_count, .shape = &subset_shape),
};
const struct shape kube_endpoints_shape = SHAPE(kube_endpoints, endpoints_fields, .ignored = DOCUMENT_FIELDS);

/* ---- EndpointSlice ---- */

static const struct field hint_fields[] = {
    FIELD("name", TEXT, kube_hint, name, .required = true),
};
static const struct shape hint_shape = SHAPE(kube_hint, hint_fields);

static const struct field hints_fields[] = {
    FIELDS("forZones", STRUCT, kube_endpoint, hints.zones, hints.zone_count, .shape = &hint_shape, .shared = true),
    FIELDS("forNodes", STRUCT, kube_endpoint, hints.nodes, hints.node_count, .shape = &hint_shape, .shared = true),
};
static const struct shape hints_shape = SHAPE(kube_endpoint, hints_fields);

static const struct field conditions_fields[] = {
    FIELD("ready", TRI, kube_endpoint, conditions.ready),
    FIELD("serving", TRI, kube_endpoint, conditions.serving),
    FIELD("terminating", TRI, kube_endpoint, conditions.terminating),
};
static const struct shape conditions_shape = SHAPE(kube_endpoint, conditions_fields);

static const struct field endpoint_fields[] = {
    FIELDS("addresses", TEXT, kube_endpoint, addresses, address_count, .required = true),
    INSIDE("conditions", conditions_shape),
    FIELD("hostname", TEXT, kube_endpoint, hostname),
    FIELD("nodeName", TEXT, kube_endpoint, node_name, .shared = true),
    FIELD("zone", TEXT, kube_endpoint, zone, .shared = true),
    FIELD("targetRef", STRUCT, kube_endpoint, target, .shape = &target_shape),
    INSIDE("hints", hints_shape),
};
static const struct shape endpoint_shape =
    SHAPE(kube_endpoint, endpoint_fields, .ignored = "deprecatedTopology topology");

static const char *const address_type_names[] = {"IPv4", "IPv6", "FQDN", NULL};

static void check_endpoint(struct decoder *d, const struct path *path, const struct yaml_node *node,
                           const struct kube_endpoint_slice *slice, size_t index)
{
    struct path list = {path, SLICE_LIT("endpoints"), 0}, here = {&list, SLICE_NULL, index};
    struct kube_endpoint *endpoint = &slice->endpoints[index];

    if (!endpoint->address_count) {
        decoder_error(d, &here, "addresses", node, "expected at least one address, found an empty list");
        return;
    }
    if (slice->address_type == KUBE_FQDN)
        return;
    if (ip_parse(endpoint->addresses[0], &endpoint->ip) < 0 ||
        endpoint->ip.version != (slice->address_type == KUBE_IPV4 ? 4 : 6))
        decoder_error(d, &here, "addresses", node, "expected an %s address (the slice's addressType), found \"%.*s\"",
                      address_type_names[slice->address_type], SLICE_ARGS(endpoint->addresses[0]));
}

static void check_endpoint_slice(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_endpoint_slice *slice = at;

    slice->service = kube_map_get_lit(&slice->meta.labels, "kubernetes.io/service-name");
    if (!slice->service.len)
        decoder_complain(d, REPORT_WARNING, path, "metadata.labels", node->line, node->column,
                         "without the label kubernetes.io/service-name the slice belongs to no Service");
    for (size_t i = 0; i < slice->endpoint_count; i++)
        check_endpoint(d, path, node, slice, i);
}

static const struct field endpoint_slice_fields[] = {
    FIELD("addressType", ENUM, kube_endpoint_slice, address_type, .required = true, .names = address_type_names),
    FIELDS("endpoints", STRUCT, kube_endpoint_slice, endpoints, endpoint_count, .shape = &endpoint_shape),
    FIELDS("ports", STRUCT, kube_endpoint_slice, ports, port_count, .shape = &endpoint_port_shape, .shared = true),
};
const struct shape kube_endpoint_slice_shape =
    SHAPE(kube_endpoint_slice, endpoint_slice_fields, .check = check_endpoint_slice, .ignored = DOCUMENT_FIELDS);
