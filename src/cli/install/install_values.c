#include "cli/install/install_values.h"

#include <errno.h>

#include "base/limits.h"
#include "cli/chart/chart.h"
#include "cli/chart/value_flags.h"
#include "cli/chart/values.h"
#include "cli/chart/values_given.h"
#include "cli/chart/values_old.h"
#include "cli/command.h"

/* --- flags that are values --- */

static const struct value_flag texts[] = {
#define VALUE(member, flag, path, kind) {offsetof(struct install_flags, member), flag, path, kind}
    VALUE(admin_port, "admin-port", "proxy.ports.admin", VALUE_NUMBER),
    VALUE(cluster_domain, "cluster-domain", "clusterDomain", VALUE_TEXT),
    VALUE(version, "control-plane-version", "linkerdVersion", VALUE_TEXT),
    VALUE(control_port, "control-port", "proxy.ports.control", VALUE_NUMBER),
    VALUE(controller_gid, "controller-gid", "controllerGID", VALUE_NUMBER),
    VALUE(controller_log_level, "controller-log-level", "controllerLogLevel", VALUE_TEXT),
    VALUE(replicas, "controller-replicas", "controllerReplicas", VALUE_NUMBER),
    VALUE(controller_uid, "controller-uid", "controllerUID", VALUE_NUMBER),
    VALUE(default_inbound_policy, "default-inbound-policy", "proxy.defaultInboundPolicy", VALUE_TEXT),
    VALUE(clock_skew, "identity-clock-skew-allowance", "identity.issuer.clockSkewAllowance", VALUE_DURATION),
    VALUE(lifetime, "identity-issuance-lifetime", "identity.issuer.issuanceLifetime", VALUE_DURATION),
    VALUE(issuer_certificate, "identity-issuer-certificate-file", "identity.issuer.tls.crtPEM", VALUE_FILE),
    VALUE(issuer_key, "identity-issuer-key-file", "identity.issuer.tls.keyPEM", VALUE_FILE),
    VALUE(trust_anchors, "identity-trust-anchors-file", "identityTrustAnchorsPEM", VALUE_FILE),
    VALUE(trust_domain, "identity-trust-domain", "identityTrustDomain", VALUE_TEXT),
    VALUE(pull_policy, "image-pull-policy", "imagePullPolicy", VALUE_TEXT),
    VALUE(inbound_port, "inbound-port", "proxy.ports.inbound", VALUE_NUMBER),
    VALUE(outbound_port, "outbound-port", "proxy.ports.outbound", VALUE_NUMBER),
    VALUE(proxy_cpu, "proxy-cpu", "proxy.resources.cpu.request", VALUE_TEXT),
    VALUE(proxy_cpu_limit, "proxy-cpu-limit", "proxy.resources.cpu.limit", VALUE_TEXT),
    VALUE(proxy_cpu_request, "proxy-cpu-request", "proxy.resources.cpu.request", VALUE_TEXT),
    VALUE(proxy_gid, "proxy-gid", "proxy.gid", VALUE_NUMBER),
    VALUE(proxy_image, "proxy-image", "proxy.image.name", VALUE_TEXT),
    VALUE(proxy_log_level, "proxy-log-level", "proxy.logLevel", VALUE_TEXT),
    VALUE(proxy_memory, "proxy-memory", "proxy.resources.memory.request", VALUE_TEXT),
    VALUE(proxy_memory_limit, "proxy-memory-limit", "proxy.resources.memory.limit", VALUE_TEXT),
    VALUE(proxy_memory_request, "proxy-memory-request", "proxy.resources.memory.request", VALUE_TEXT),
    VALUE(proxy_uid, "proxy-uid", "proxy.uid", VALUE_NUMBER),
    VALUE(proxy_version, "proxy-version", "proxy.image.version", VALUE_TEXT),
    VALUE(registry, "registry", "registry", VALUE_TEXT),
#undef VALUE
};

static const struct {
    size_t at;
    const char *path;
    bool given, value; /* what the switch is when it was given, and what the value is then */
} switches[] = {
    {offsetof(struct install_flags, disable_h2_upgrade), "enableH2Upgrade", true, false},
    {offsetof(struct install_flags, disable_heartbeat), "disableHeartBeat", true, true},
    {offsetof(struct install_flags, endpoint_slices), "enableEndpointSlices", false, false},
    {offsetof(struct install_flags, external_profiles), "proxy.enableExternalProfiles", true, true},
    {offsetof(struct install_flags, external_ca), "identity.externalCA", true, true},
    {offsetof(struct install_flags, cni), "cniEnabled", true, true},
};

static int values_of_flags(const struct install_flags *flags, json_t *values, struct errmsg *msg)
{
    int r = value_flags_put(texts, sizeof(texts) / sizeof(texts[0]), flags, values, msg);

    for (size_t i = 0; r == 0 && i < sizeof(switches) / sizeof(switches[0]); i++)
        if (*(const bool *)((const char *)flags + switches[i].at) == switches[i].given)
            r = values_put(values, switches[i].path, json_boolean(switches[i].value));
    if (r == 0 && flags->external_issuer)
        r = values_put(values, "identity.issuer.scheme", json_string("kubernetes.io/tls"));
    if (r == 0)
        r = values_put_words(values, "proxyInit.ignoreInboundPorts", &flags->skip_inbound);
    return r == 0 ? values_put_words(values, "proxyInit.ignoreOutboundPorts", &flags->skip_outbound) : r;
}

/* --- the user's values: high availability, flags, files, --set; the later over the earlier --- */

int install_values_given(const struct install_flags *flags, json_t *values, struct errmsg *msg)
{
    const struct values_given given = {&flags->files, &flags->set, &flags->set_string, &flags->set_file};
    int r = 0;

    if (flags->ha && !flags->crds)
        r = values_put_text(values, chart_file(CHART_CONTROL_PLANE, "values-ha.yaml"), "values-ha.yaml", msg);
    if (r == 0 && !flags->crds)
        r = values_of_flags(flags, values, msg);
    return r == 0 ? values_put_given(values, &given, msg) : r;
}

/* --- names of Linkerd 2.8 --- */

int install_values_renamed(const char *chart, json_t *values, const char *command, struct errmsg *msg)
{
    struct slice text = chart_file(chart, "values.schema.json"), rest, line;
    json_t *schema = json_loadb(text.ptr, text.len, 0, NULL);
    struct buffer notes;
    int r;

    buffer_init(&notes, LIMIT_TEMPLATE_FILE);
    r = schema ? values_old(values, schema, &notes) : -ENOMEM;
    rest = buffer_slice(&notes);
    while (slice_split(&rest, '\n', &line))
        if (line.len)
            complain("%s: %.*s", command, SLICE_ARGS(line));
    buffer_release(&notes);
    json_decref(schema);
    return r < 0 ? errmsg_set(msg, r, "out of memory") : 0;
}
