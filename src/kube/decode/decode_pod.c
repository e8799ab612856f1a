/* Tables of what runs: Pod and ExternalWorkload. */
#include "kube/kinds.h"

static const struct field container_port_fields[] = {
    FIELD("name", TEXT, kube_container_port, name),
    FIELD("containerPort", PORT, kube_container_port, port, .required = true),
    FIELD("hostPort", PORT, kube_container_port, host_port),
    FIELD("protocol", ENUM, kube_container_port, protocol, .names = kube_protocol_names),
};
static const struct shape container_port_shape = SHAPE(kube_container_port, container_port_fields, .ignored = "hostIP");

static const struct field http_get_fields[] = {
    FIELD("port", PORT_REF, kube_probe_target, port, .required = true),
    FIELD("path", TEXT, kube_probe_target, path, .otherwise_text = "/"),
    FIELD("scheme", TEXT, kube_probe_target, scheme, .otherwise_text = "HTTP"),
};
static const struct shape http_get_shape = SHAPE(kube_probe_target, http_get_fields, .ignored = "host httpHeaders");

static const struct field tcp_socket_fields[] = {
    FIELD("port", PORT_REF, kube_probe_target, port, .required = true),
};
static const struct shape tcp_socket_shape = SHAPE(kube_probe_target, tcp_socket_fields, .ignored = "host service");
static const struct shape exec_shape = {.size = sizeof(struct kube_probe_target), .ignored = "command"};

static void check_probe(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_probe *probe = at;

    probe->type = probe->http_get     ? KUBE_PROBE_HTTP
                  : probe->tcp_socket ? KUBE_PROBE_TCP
                  : probe->grpc       ? KUBE_PROBE_GRPC
                  : probe->exec       ? KUBE_PROBE_EXEC
                                      : KUBE_PROBE_NONE;
}

static const struct field probe_fields[] = {
    FIELD("httpGet", POINTER, kube_probe, http_get, .shape = &http_get_shape),
    FIELD("tcpSocket", POINTER, kube_probe, tcp_socket, .shape = &tcp_socket_shape),
    FIELD("grpc", POINTER, kube_probe, grpc, .shape = &tcp_socket_shape),
    FIELD("exec", POINTER, kube_probe, exec, .shape = &exec_shape),
};
static const struct shape probe_shape =
    SHAPE(kube_probe, probe_fields, .check = check_probe,
          .ignored = "initialDelaySeconds timeoutSeconds periodSeconds successThreshold failureThreshold "
                     "terminationGracePeriodSeconds");

static const struct field env_fields[] = {
    FIELD("name", TEXT, kube_env, name, .required = true),
    FIELD("value", TEXT, kube_env, value),
};
static const struct shape env_shape = SHAPE(kube_env, env_fields, .ignored = "valueFrom");

static const struct field container_fields[] = {
    FIELD("name", TEXT, kube_container, name, .required = true),
    FIELD("restartPolicy", TEXT, kube_container, restart_policy),
    FIELDS("ports", STRUCT, kube_container, ports, port_count, .shape = &container_port_shape),
    FIELDS("env", STRUCT, kube_container, env, env_count, .shape = &env_shape),
    FIELD("livenessProbe", POINTER, kube_container, liveness, .shape = &probe_shape),
    FIELD("readinessProbe", POINTER, kube_container, readiness, .shape = &probe_shape),
    FIELD("startupProbe", POINTER, kube_container, startup, .shape = &probe_shape),
};
static const struct shape container_shape = SHAPE(
    kube_container, container_fields,
    .ignored = "image command args workingDir envFrom resources resizePolicy volumeMounts volumeDevices lifecycle "
               "terminationMessagePath terminationMessagePolicy imagePullPolicy securityContext stdin stdinOnce tty "
               "restartPolicyRules");

static const struct field pod_spec_fields[] = {
    FIELD("hostNetwork", BOOL, kube_pod, spec.host_network),
    FIELD("nodeName", TEXT, kube_pod, spec.node_name, .shared = true),
    FIELD("serviceAccountName", TEXT, kube_pod, spec.service_account, .shared = true),
    FIELD("serviceAccount", TEXT, kube_pod, spec.old_service_account, .shared = true),
    FIELD("hostname", TEXT, kube_pod, spec.hostname),
    FIELD("subdomain", TEXT, kube_pod, spec.subdomain),
    FIELDS("containers", STRUCT, kube_pod, spec.containers, spec.container_count, .shape = &container_shape, .shared = true),
    FIELDS("initContainers", STRUCT, kube_pod, spec.init_containers, spec.init_container_count,
           .shape = &container_shape, .shared = true),
};
static const struct shape pod_spec_shape =
    SHAPE(kube_pod, pod_spec_fields,
          .ignored =
              "volumes ephemeralContainers restartPolicy terminationGracePeriodSeconds activeDeadlineSeconds dnsPolicy "
              "nodeSelector automountServiceAccountToken hostPID hostIPC shareProcessNamespace securityContext "
              "imagePullSecrets affinity schedulerName tolerations hostAliases priorityClassName priority dnsConfig "
              "readinessGates runtimeClassName enableServiceLinks preemptionPolicy overhead topologySpreadConstraints "
              "setHostnameAsFQDN os hostUsers schedulingGates resourceClaims resources hostnameOverride");

static const char *const phase_names[] = {"Unknown", "Pending", "Running", "Succeeded", "Failed", NULL};

static const struct field pod_ip_fields[] = {
    FIELD("ip", IP, kube_pod_ip, ip, .required = true),
};
static const struct shape pod_ip_shape = SHAPE(kube_pod_ip, pod_ip_fields);

static const struct field pod_status_fields[] = {
    FIELD("phase", ENUM, kube_pod, status.phase, .names = phase_names, .otherwise = KUBE_RUNNING),
    FIELD("podIP", IP, kube_pod, status.pod_ip),
    FIELD("hostIP", IP, kube_pod, status.host_ip),
    FIELDS("podIPs", STRUCT, kube_pod, status.pod_ips, status.pod_ip_count, .shape = &pod_ip_shape),
    FIELDS("conditions", STRUCT, kube_pod, status.conditions, status.condition_count, .shape = &kube_condition_shape,
           .shared = true),
};
static const struct shape pod_status_shape =
    SHAPE(kube_pod, pod_status_fields,
          .ignored =
              "message reason nominatedNodeName hostIPs startTime initContainerStatuses containerStatuses qosClass "
              "ephemeralContainerStatuses resize observedGeneration resourceClaimStatuses extendedResourceClaimStatus");

/* Of a container's state, or its last one: it has ended with 95, as the network validator does where rules are missing. */
static bool has_ended_without_rules(const struct yaml_node *state)
{
    const struct yaml_node *code = yaml_get_lit(yaml_get_lit(state, "terminated"), "exitCode");

    return code && code->kind == YAML_INTEGER && code->integer == 95;
}

/* Said of one container in the many of a pod's status: not worth a struct for each of them. One that runs has not found out yet. */
static bool lacks_rules(const struct yaml_node *status)
{
    const struct yaml_node *list = yaml_get_lit(status, "initContainerStatuses"), *name, *state;

    for (const struct yaml_item *item = list && list->kind == YAML_LIST ? list->items : NULL; item; item = item->next) {
        name = yaml_get_lit(item->value, "name");
        state = yaml_get_lit(item->value, "state");
        if (name && name->kind == YAML_STRING && slice_eq(name->text, SLICE_LIT("linkerd-network-validator")))
            return has_ended_without_rules(state) ||
                   (yaml_get_lit(state, "waiting") && has_ended_without_rules(yaml_get_lit(item->value, "lastState")));
    }
    return false;
}

static void settle_pod_ips(struct decoder *d, const struct path *path, const struct yaml_node *node,
                           struct kube_pod *pod)
{
    if (pod->status.pod_ip.version && pod->status.pod_ip_count &&
        !ip_eq(pod->status.pod_ip, pod->status.pod_ips[0].ip)) {
        decoder_error(d, path, "status.podIPs", node, "the first must be the same as podIP");
        return;
    }
    if (!pod->status.pod_ip.version && pod->status.pod_ip_count)
        pod->status.pod_ip = pod->status.pod_ips[0].ip;
    if (!pod->status.pod_ip.version || pod->status.pod_ip_count)
        return;
    pod->status.pod_ips = decoder_alloc(d, 1, sizeof(*pod->status.pod_ips));
    if (!pod->status.pod_ips)
        return;
    pod->status.pod_ips[0].ip = pod->status.pod_ip;
    pod->status.pod_ip_count = 1;
}

static void check_pod(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    struct kube_pod *pod = at;

    if (!pod->spec.service_account.len)
        pod->spec.service_account = pod->spec.old_service_account;
    if (!pod->spec.service_account.len)
        pod->spec.service_account = SLICE_LIT("default");
    settle_pod_ips(d, path, node, pod);
    pod->status.lacks_rules = lacks_rules(yaml_get_lit(node, "status"));
}

static const struct field pod_fields[] = {
    INSIDE("spec", pod_spec_shape, .required = true),
    INSIDE("status", pod_status_shape),
};
const struct shape kube_pod_shape =
    SHAPE(kube_pod, pod_fields, .ignored = "apiVersion kind metadata", .check = check_pod);

/* ---- ExternalWorkload ---- */

static const struct field workload_port_fields[] = {
    FIELD("name", TEXT, kube_workload_port, name),
    FIELD("port", PORT, kube_workload_port, port, .required = true),
    FIELD("protocol", ENUM, kube_workload_port, protocol, .names = kube_protocol_names),
};
static const struct shape workload_port_shape = SHAPE(kube_workload_port, workload_port_fields);

static const struct field mesh_tls_fields[] = {
    FIELD("identity", TEXT, kube_external_workload, spec.mesh_tls.identity, .required = true),
    FIELD("serverName", TEXT, kube_external_workload, spec.mesh_tls.server_name, .required = true),
};
static const struct shape mesh_tls_shape = SHAPE(kube_external_workload, mesh_tls_fields);

/* The old spelling only fills in; it has no defaults that could undo what the new one said. */
static void check_workload(struct decoder *d, const struct path *path, const struct yaml_node *node, void *at)
{
    const struct kube_external_workload *workload = at;

    if (!workload->spec.mesh_tls.identity.len)
        decoder_error(d, path, "meshTLS", node, "missing; it is required");
}

static const struct field workload_spec_fields[] = {
    INSIDE("meshTLS", mesh_tls_shape),
    INSIDE("meshTls", mesh_tls_shape), /* v1alpha1 */
    FIELDS("ports", STRUCT, kube_external_workload, spec.ports, spec.port_count, .shape = &workload_port_shape),
    FIELDS("workloadIPs", STRUCT, kube_external_workload, spec.ips, spec.ip_count, .shape = &pod_ip_shape),
};
static const struct shape workload_spec_shape =
    SHAPE(kube_external_workload, workload_spec_fields, .check = check_workload);

static const struct field workload_status_fields[] = {
    FIELDS("conditions", STRUCT, kube_external_workload, conditions, condition_count, .shape = &kube_condition_shape),
};
static const struct shape workload_status_shape = SHAPE(kube_external_workload, workload_status_fields);

static const struct field workload_fields[] = {
    INSIDE("spec", workload_spec_shape, .required = true),
    INSIDE("status", workload_status_shape),
};
const struct shape kube_external_workload_shape =
    SHAPE(kube_external_workload, workload_fields, .ignored = "apiVersion kind metadata");
