#include "cli/install/install_flags.h"

#include "cli/command.h"

#define TEXT INSTALL_TEXT
#define SWITCH INSTALL_SWITCH
#define LIST(name_, member, what, help_) {name_, 0, FLAG_LIST, offsetof(struct install_flags, member), .value = (what), .help = (help_)}

static const struct flag rows[] = {
    KUBE_FLAGS(struct install_flags, kube),
    SWITCH("crds", crds, "Only the resource definitions, which come before everything else"),
    SWITCH("ha", ha, "Three replicas on different nodes, budgets for disruptions, pods that fail closed"),
    {"output", 'o', FLAG_CHOICE, offsetof(struct install_flags, output), "yaml", "yaml|json", .help = "Form of the manifests"},
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct install_flags, namespace_), "linkerd", .value = "NAME",
     .help = "Namespace of the control plane"},
    {"values", 'f', FLAG_LIST, offsetof(struct install_flags, files), .value = "FILE", .help = "Values of the chart, as Helm takes them; - is standard input"},
    LIST("set", set, "A=B", "A value: true, false, null and integers are what they look like"),
    LIST("set-string", set_string, "A=B", "A value that is text"),
    LIST("set-file", set_file, "A=FILE", "A value that is the content of a file"),
    TEXT("admin-port", admin_port, "PORT", "Port of the proxy's admin server (default 4191)"),
    TEXT("control-plane-version", version, "VERSION", "Version of the images instead of this program's"),
    TEXT("control-port", control_port, "PORT", "Port of the proxy's tap server (default 4190)"),
    TEXT("controller-gid", controller_gid, "ID", "Group of the control plane's containers"),
    TEXT("controller-log-level", controller_log_level, "LEVEL", "Log level of the control plane (default info)"),
    TEXT("controller-replicas", replicas, "COUNT", "Replicas of the control plane (default 1)"),
    TEXT("controller-uid", controller_uid, "ID", "User of the control plane's containers (default 2103)"),
    TEXT("default-inbound-policy", default_inbound_policy, "POLICY", "Who may reach ports without a policy (default all-unauthenticated)"),
    SWITCH("disable-h2-upgrade", disable_h2_upgrade, "Do not carry HTTP/1 in HTTP/2 between proxies"),
    SWITCH("disable-heartbeat", disable_heartbeat, "Leave the heartbeat's CronJob out"),
    {"enable-endpoint-slices", 0, FLAG_SWITCH, offsetof(struct install_flags, endpoint_slices), "true", .help = "Read EndpointSlices"},
    SWITCH("enable-external-profiles", external_profiles, "Look profiles up for names outside of the cluster"),
    TEXT("identity-clock-skew-allowance", clock_skew, "DURATION", "How far clocks may be apart (default 20s)"),
    TEXT("identity-issuance-lifetime", lifetime, "DURATION", "How long a proxy's certificate is valid (default 24h)"),
    TEXT("identity-issuer-certificate-file", issuer_certificate, "FILE", "Certificate of the issuer"),
    TEXT("identity-issuer-key-file", issuer_key, "FILE", "Key of the issuer"),
    TEXT("identity-trust-anchors-file", trust_anchors, "FILE", "Certificates that proxies trust"),
    TEXT("image-pull-policy", pull_policy, "POLICY", "Always, IfNotPresent or Never"),
    TEXT("inbound-port", inbound_port, "PORT", "Proxy port of inbound traffic (default 4143)"),
    SWITCH("linkerd-cni-enabled", cni, "The redirect rules are made by the linkerd-cni plugin"),
    TEXT("outbound-port", outbound_port, "PORT", "Proxy port of outbound traffic (default 4140)"),
    TEXT("proxy-cpu", proxy_cpu, "QUANTITY", "Deprecated: --proxy-cpu-request"),
    TEXT("proxy-cpu-limit", proxy_cpu_limit, "QUANTITY", "CPU that a proxy may use at most"),
    TEXT("proxy-cpu-request", proxy_cpu_request, "QUANTITY", "CPU that a proxy asks for"),
    TEXT("proxy-gid", proxy_gid, "ID", "Group of the proxy"),
    TEXT("proxy-image", proxy_image, "NAME", "Image of the proxy, without version"),
    TEXT("proxy-log-level", proxy_log_level, "FILTER", "Log filter of the proxy"),
    TEXT("proxy-memory", proxy_memory, "QUANTITY", "Deprecated: --proxy-memory-request"),
    TEXT("proxy-memory-limit", proxy_memory_limit, "QUANTITY", "Memory that a proxy may use at most"),
    TEXT("proxy-memory-request", proxy_memory_request, "QUANTITY", "Memory that a proxy asks for"),
    TEXT("proxy-uid", proxy_uid, "ID", "User of the proxy (default 2102)"),
    {"proxy-version", 'v', FLAG_TEXT, offsetof(struct install_flags, proxy_version), .value = "VERSION", .help = "Version of the proxy's image"},
    TEXT("registry", registry, "NAME", "Registry of all images"),
    LIST("skip-inbound-ports", skip_inbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    LIST("skip-outbound-ports", skip_outbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    {"control-plane-tracing", 0, FLAG_LATER},
    TEXT("addon-config", addon_config, "FILE", "Of Linkerd 2.8: has no effect"),
    TEXT("init-image", init_image, "NAME", "Of Linkerd 2.8: has no effect"),
    TEXT("init-image-version", init_image_version, "VERSION", "Of Linkerd 2.8: has no effect"),
    SWITCH("omit-webhook-side-effects", omit_side_effects, "Of Linkerd 2.8: has no effect"),
    TEXT("prometheus-image", prometheus_image, "NAME", "Of Linkerd 2.8: has no effect"),
    SWITCH("restrict-dashboard-privileges", restrict_dashboard, "Of Linkerd 2.8: has no effect"),
    SWITCH("smi-metrics", smi_metrics, "Of Linkerd 2.8: has no effect"),
    TEXT("smi-metrics-image", smi_metrics_image, "NAME", "Of Linkerd 2.8: has no effect"),
};

const struct flag_table install_flags = FLAGS(rows);

void install_flags_warn(const struct install_flags *flags, const char *command)
{
    const struct {
        bool given;
        const char *name;
    } old[] = {
        {*flags->addon_config != 0, "addon-config"},           {*flags->init_image != 0, "init-image"},
        {*flags->init_image_version != 0, "init-image-version"}, {flags->omit_side_effects, "omit-webhook-side-effects"},
        {*flags->prometheus_image != 0, "prometheus-image"},   {flags->restrict_dashboard, "restrict-dashboard-privileges"},
        {flags->skip_checks, "skip-checks"},                   {flags->smi_metrics, "smi-metrics"},
        {*flags->smi_metrics_image != 0, "smi-metrics-image"},
    };

    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
        if (old[i].given)
            complain("%s: --%s of Linkerd 2.8 has no successor and no effect", command, old[i].name);
    if (*flags->proxy_cpu)
        complain("%s: --proxy-cpu is deprecated: use --proxy-cpu-request", command);
    if (*flags->proxy_memory)
        complain("%s: --proxy-memory is deprecated: use --proxy-memory-request", command);
}
