/* `linkerd install`: the manifests of the charts, as Helm renders them, on standard output. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/install_identity.h"
#include "cli/install_overrides.h"
#include "cli/values.h"
#include "cli/values_old.h"

#define CONTROL_PLANE "linkerd-control-plane"
#define CRDS "linkerd-crds"

struct install {
    bool crds, ha, ignore_cluster;
    const char *output, *namespace_;
    struct words files, set, set_string, set_file;

    /* Each of the following is a value of the chart under another name. */
    const char *admin_port, *cluster_domain, *version, *control_port, *controller_gid, *controller_log_level, *replicas, *controller_uid,
        *default_inbound_policy, *clock_skew, *lifetime, *issuer_certificate, *issuer_key, *trust_anchors, *trust_domain,
        *pull_policy, *inbound_port, *outbound_port, *proxy_cpu, *proxy_cpu_limit, *proxy_cpu_request, *proxy_gid, *proxy_image,
        *proxy_log_level, *proxy_memory, *proxy_memory_limit, *proxy_memory_request, *proxy_uid, *proxy_version, *registry;
    bool disable_h2_upgrade, disable_heartbeat, endpoint_slices, external_profiles, external_ca, external_issuer, cni;
    struct words skip_inbound, skip_outbound;

    /* Linkerd 2.8 had them; they do nothing here, and are told. */
    const char *addon_config, *init_image, *init_image_version, *prometheus_image, *smi_metrics_image;
    bool omit_side_effects, restrict_dashboard, smi_metrics, skip_checks;
};

#define TEXT(name_, member, what, help_) {name_, 0, FLAG_TEXT, offsetof(struct install, member), .value = (what), .help = (help_)}
#define SWITCH(name_, member, help_) {name_, 0, FLAG_SWITCH, offsetof(struct install, member), .help = (help_)}
#define LIST(name_, member, what, help_) {name_, 0, FLAG_LIST, offsetof(struct install, member), .value = (what), .help = (help_)}

static const struct flag flags[] = {
    SWITCH("crds", crds, "Only the resource definitions, which come before everything else"),
    SWITCH("ha", ha, "Three replicas on different nodes, budgets for disruptions, pods that fail closed"),
    SWITCH("ignore-cluster", ignore_cluster, "Do not ask the cluster what it has"),
    {"output", 'o', FLAG_CHOICE, offsetof(struct install, output), "yaml", "yaml|json", .help = "Form of the manifests"},
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct install, namespace_), "linkerd", .value = "NAME",
     .help = "Namespace of the control plane"},
    {"values", 'f', FLAG_LIST, offsetof(struct install, files), .value = "FILE", .help = "Values of the chart, as Helm takes them; - is standard input"},
    LIST("set", set, "A=B", "A value: true, false, null and integers are what they look like"),
    LIST("set-string", set_string, "A=B", "A value that is text"),
    LIST("set-file", set_file, "A=FILE", "A value that is the content of a file"),
    TEXT("admin-port", admin_port, "PORT", "Port of the proxy's admin server (default 4191)"),
    TEXT("cluster-domain", cluster_domain, "NAME", "DNS domain of the cluster (default cluster.local)"),
    TEXT("control-plane-version", version, "VERSION", "Version of the images instead of this program's"),
    TEXT("control-port", control_port, "PORT", "Port of the proxy's tap server (default 4190)"),
    TEXT("controller-gid", controller_gid, "ID", "Group of the control plane's containers"),
    TEXT("controller-log-level", controller_log_level, "LEVEL", "Log level of the control plane (default info)"),
    TEXT("controller-replicas", replicas, "COUNT", "Replicas of the control plane (default 1)"),
    TEXT("controller-uid", controller_uid, "ID", "User of the control plane's containers (default 2103)"),
    TEXT("default-inbound-policy", default_inbound_policy, "POLICY", "Who may reach ports without a policy (default all-unauthenticated)"),
    SWITCH("disable-h2-upgrade", disable_h2_upgrade, "Do not carry HTTP/1 in HTTP/2 between proxies"),
    SWITCH("disable-heartbeat", disable_heartbeat, "Leave the heartbeat's CronJob out"),
    {"enable-endpoint-slices", 0, FLAG_SWITCH, offsetof(struct install, endpoint_slices), "true", .help = "Read EndpointSlices"},
    SWITCH("enable-external-profiles", external_profiles, "Look profiles up for names outside of the cluster"),
    TEXT("identity-clock-skew-allowance", clock_skew, "DURATION", "How far clocks may be apart (default 20s)"),
    SWITCH("identity-external-ca", external_ca, "The ConfigMap of trust anchors is made by somebody else"),
    SWITCH("identity-external-issuer", external_issuer, "The issuer's Secret is made by somebody else (kubernetes.io/tls)"),
    TEXT("identity-issuance-lifetime", lifetime, "DURATION", "How long a proxy's certificate is valid (default 24h)"),
    TEXT("identity-issuer-certificate-file", issuer_certificate, "FILE", "Certificate of the issuer"),
    TEXT("identity-issuer-key-file", issuer_key, "FILE", "Key of the issuer"),
    TEXT("identity-trust-anchors-file", trust_anchors, "FILE", "Certificates that proxies trust"),
    TEXT("identity-trust-domain", trust_domain, "NAME", "Domain of the identities instead of the cluster's"),
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
    {"proxy-version", 'v', FLAG_TEXT, offsetof(struct install, proxy_version), .value = "VERSION", .help = "Version of the proxy's image"},
    TEXT("registry", registry, "NAME", "Registry of all images"),
    LIST("skip-inbound-ports", skip_inbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    LIST("skip-outbound-ports", skip_outbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    TEXT("addon-config", addon_config, "FILE", "Of Linkerd 2.8: has no effect"),
    TEXT("init-image", init_image, "NAME", "Of Linkerd 2.8: has no effect"),
    TEXT("init-image-version", init_image_version, "VERSION", "Of Linkerd 2.8: has no effect"),
    SWITCH("omit-webhook-side-effects", omit_side_effects, "Of Linkerd 2.8: has no effect"),
    TEXT("prometheus-image", prometheus_image, "NAME", "Of Linkerd 2.8: has no effect"),
    SWITCH("restrict-dashboard-privileges", restrict_dashboard, "Of Linkerd 2.8: has no effect"),
    SWITCH("skip-checks", skip_checks, "Of Linkerd 2.8: has no effect"),
    SWITCH("smi-metrics", smi_metrics, "Of Linkerd 2.8: has no effect"),
    TEXT("smi-metrics-image", smi_metrics_image, "NAME", "Of Linkerd 2.8: has no effect"),
};

/* --- flags that are values --- */

enum value_kind { VALUE_TEXT, VALUE_NUMBER, VALUE_DURATION, VALUE_FILE };

static const struct {
    size_t at;
    const char *flag, *path;
    enum value_kind kind;
} texts[] = {
#define VALUE(member, flag, path, kind) {offsetof(struct install, member), flag, path, kind}
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
    {offsetof(struct install, disable_h2_upgrade), "enableH2Upgrade", true, false},
    {offsetof(struct install, disable_heartbeat), "disableHeartBeat", true, true},
    {offsetof(struct install, endpoint_slices), "enableEndpointSlices", false, false},
    {offsetof(struct install, external_profiles), "proxy.enableExternalProfiles", true, true},
    {offsetof(struct install, external_ca), "identity.externalCA", true, true},
    {offsetof(struct install, cni), "cniEnabled", true, true},
};

static int file_value(json_t *values, const char *path, const char *file, struct errmsg *msg)
{
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_PEM);
    r = file_read(file, msg, &bytes);
    if (r == 0 && !slice_is_utf8(buffer_slice(&bytes)))
        r = errmsg_set(msg, -EINVAL, "%s: is not UTF-8 text", file);
    if (r == 0)
        r = values_put(values, path, json_stringn(bytes.data ? bytes.data : "", bytes.len));
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.len);
    buffer_release(&bytes);
    return r;
}

static int text_value(json_t *values, size_t row, const char *text, struct errmsg *msg)
{
    int64_t ns;
    char *end;
    long long number;

    switch (texts[row].kind) {
    case VALUE_TEXT:
        break;
    case VALUE_NUMBER:
        errno = 0;
        number = strtoll(text, &end, 10);
        if (*end || errno)
            return errmsg_set(msg, -EINVAL, "invalid value \"%s\" for --%s: expected a number", text, texts[row].flag);
        return values_put(values, texts[row].path, json_integer(number));
    case VALUE_DURATION:
        if (duration_parse_go(slice_str(text), &ns) < 0 || ns < 0)
            return errmsg_set(msg, -EINVAL, "invalid value \"%s\" for --%s: expected a span of time such as 30s or 24h", text, texts[row].flag);
        break;
    case VALUE_FILE:
        return file_value(values, texts[row].path, text, msg);
    }
    return values_put(values, texts[row].path, json_string(text));
}

static int list_value(json_t *values, const char *path, const struct words *words)
{
    struct buffer text;
    int r = 0;

    buffer_init(&text, LIMIT_PEM);
    for (size_t i = 0; i < words->count; i++)
        buffer_printf(&text, "%s%s", i ? "," : "", words->items[i]);
    if (words->count)
        r = values_put(values, path, json_stringn(text.data ? text.data : "", text.len));
    buffer_release(&text);
    return r;
}

static int values_of_flags(const struct install *install, json_t *values, struct errmsg *msg)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *text = *(const char *const *)(const void *)((const char *)install + texts[i].at);

        if (*text)
            r = text_value(values, i, text, msg);
    }
    for (size_t i = 0; r == 0 && i < sizeof(switches) / sizeof(switches[0]); i++)
        if (*(const bool *)((const char *)install + switches[i].at) == switches[i].given)
            r = values_put(values, switches[i].path, json_boolean(switches[i].value));
    if (r == 0 && install->external_issuer)
        r = values_put(values, "identity.issuer.scheme", json_string("kubernetes.io/tls"));
    if (r == 0)
        r = list_value(values, "proxyInit.ignoreInboundPorts", &install->skip_inbound);
    return r == 0 ? list_value(values, "proxyInit.ignoreOutboundPorts", &install->skip_outbound) : r;
}

/* --- the user's values: high availability, flags, files, --set; the later over the earlier --- */

static int merge_text(json_t *values, struct slice text, const char *name, struct errmsg *msg)
{
    json_t *over = NULL;
    int r = values_read(text, name, NUMBERS_AS_REALS, msg, &over);

    if (r == 0)
        r = values_merge(values, over);
    json_decref(over);
    return r;
}

static int merge_file(json_t *values, const char *path, struct errmsg *msg)
{
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_PEM);
    r = file_read(path, msg, &bytes);
    if (r == 0)
        r = merge_text(values, buffer_slice(&bytes), path, msg);
    buffer_release(&bytes);
    return r;
}

static int set_all(json_t *values, const char *flag, const struct words *words, enum values_set how, struct errmsg *msg)
{
    for (size_t i = 0; i < words->count; i++) {
        int r = values_set(values, words->items[i], how, msg);

        if (r < 0)
            return errmsg_prefix(msg, r, "--%s", flag);
    }
    return 0;
}

static int user_values(const struct install *install, json_t *values, struct errmsg *msg)
{
    int r = 0;

    if (install->ha && !install->crds)
        r = merge_text(values, chart_file(CONTROL_PLANE, "values-ha.yaml"), "values-ha.yaml", msg);
    if (r == 0 && !install->crds)
        r = values_of_flags(install, values, msg);
    for (size_t i = 0; r == 0 && i < install->files.count; i++)
        r = merge_file(values, install->files.items[i], msg);
    if (r == 0)
        r = set_all(values, "set", &install->set, SET_TYPED, msg);
    if (r == 0)
        r = set_all(values, "set-string", &install->set_string, SET_STRING, msg);
    if (r == 0)
        r = set_all(values, "set-file", &install->set_file, SET_FILE, msg);
    return r;
}

/* Names of Linkerd 2.8 become ours, and are told. */
static int new_names(json_t *values, struct errmsg *msg)
{
    struct slice text = chart_file(CONTROL_PLANE, "values.schema.json"), rest, line;
    json_t *schema = json_loadb(text.ptr, text.len, 0, NULL);
    struct buffer notes;
    int r;

    buffer_init(&notes, LIMIT_TEMPLATE_FILE);
    r = schema ? values_old(values, schema, &notes) : -ENOMEM;
    rest = buffer_slice(&notes);
    while (slice_split(&rest, '\n', &line))
        if (line.len)
            complain("install: %.*s", SLICE_ARGS(line));
    buffer_release(&notes);
    json_decref(schema);
    return r < 0 ? errmsg_set(msg, r, "out of memory") : 0;
}

/* What only this command knows, unless the user says otherwise. */
static int own_values(const struct install *install, json_t *values, struct errmsg *msg)
{
    int r = install->crds ? 0 : new_names(values, msg);

    if (r == 0)
        r = values_at(values, "cliVersion") ? 0 : values_put(values, "cliVersion", json_string("linkerd/cli " CLINKERD_VERSION));

    if (install->crds)
        return r < 0 || values_at(values, "installGatewayAPI") ? r : values_put(values, "installGatewayAPI", json_true());
    if (r == 0 && !values_at(values, "installNamespace"))
        r = values_put(values, "installNamespace", json_true());
    return r == 0 ? install_identity(values, wall_now(), msg) : r;
}

/* --- output --- */

static void print_text(struct slice text)
{
    fwrite(text.ptr, 1, text.len, stdout);
}

static int print(const struct install *install, struct slice text, struct errmsg *msg)
{
    struct buffer json;
    int r = 0;

    if (strcmp(install->output, "yaml") == 0) {
        print_text(text);
    } else {
        buffer_init(&json, LIMIT_TEMPLATE_OUTPUT);
        r = chart_text_to_json(text, msg, &json);
        if (r == 0)
            print_text(buffer_slice(&json));
        buffer_release(&json);
    }
    return r == 0 && (fflush(stdout) != 0 || ferror(stdout)) ? errmsg_set(msg, -EIO, "standard output: %s", strerror(errno)) : r;
}

static int report(int r, const struct errmsg *msg, const struct buffer *problems)
{
    struct slice rest = buffer_slice(problems), line;

    if (r == 0)
        return STATUS_DONE;
    if (problems->len == 0)
        return complain("install: %s", *msg->text ? msg->text : strerror(-r));
    while (slice_split(&rest, '\n', &line))
        if (line.len)
            complain("install: %.*s", SLICE_ARGS(line));
    return STATUS_FAILED;
}

static int render_and_print(const struct install *install, struct errmsg *msg, struct buffer *problems)
{
    struct chart_release release = {install->crds ? CRDS : CONTROL_PLANE, install->crds ? "linkerd-crds" : "linkerd", install->namespace_};
    json_t *values = json_object(), *given = NULL;
    struct buffer text;
    int r = user_values(install, values, msg);

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    if (r == 0)
        r = own_values(install, values, msg);
    if (r == 0 && !(given = json_deep_copy(values))) /* rendering completes the values */
        r = -ENOMEM;
    if (r == 0)
        r = chart_render(&release, values, msg, problems, &text);
    if (r == 0 && !install->crds)
        r = install_overrides(given, install->namespace_, &text);
    if (r == 0)
        r = print(install, buffer_slice(&text), msg);
    if (text.data)
        explicit_bzero(text.data, text.len);
    buffer_release(&text);
    json_decref(values);
    json_decref(given);
    return r;
}

static void warn_of_old_flags(const struct install *install)
{
    const struct {
        bool given;
        const char *name;
    } old[] = {
        {*install->addon_config != 0, "addon-config"},           {*install->init_image != 0, "init-image"},
        {*install->init_image_version != 0, "init-image-version"}, {install->omit_side_effects, "omit-webhook-side-effects"},
        {*install->prometheus_image != 0, "prometheus-image"},   {install->restrict_dashboard, "restrict-dashboard-privileges"},
        {install->skip_checks, "skip-checks"},                   {install->smi_metrics, "smi-metrics"},
        {*install->smi_metrics_image != 0, "smi-metrics-image"},
    };

    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
        if (old[i].given)
            complain("install: --%s of Linkerd 2.8 has no successor and no effect", old[i].name);
    if (*install->proxy_cpu)
        complain("install: --proxy-cpu is deprecated: use --proxy-cpu-request");
    if (*install->proxy_memory)
        complain("install: --proxy-memory is deprecated: use --proxy-memory-request");
}

static int install_main(void *options, const struct words *arguments)
{
    const struct install *install = options;
    struct errmsg msg = {""};
    struct buffer problems;
    int status;

    if (!install->ignore_cluster) {
        complain("install: asking the cluster what it has is not available yet; --ignore-cluster prints the manifests without it");
        return STATUS_NOT_YET;
    }
    warn_of_old_flags(install);
    buffer_init(&problems, LIMIT_TEMPLATE_FILE);
    status = report(render_and_print(install, &msg, &problems), &msg, &problems);
    buffer_release(&problems);
    return status;
}

const struct command install_command = {
    .name = "install",
    .usage = "",
    .summary = "Print the manifests of the control plane",
    .about = "Prints what Kubernetes needs to run the mesh, for kubectl apply:\n\n"
             "  linkerd install --crds --ignore-cluster | kubectl apply --server-side -f -\n"
             "  linkerd install --ignore-cluster | kubectl apply -f -\n\n"
             "The manifests are those of the charts linkerd-crds and linkerd-control-plane, which Helm can install as well. Without a trust\n"
             "anchor and an issuer, new ones are made: an anchor of ten years, whose key is forgotten, and an issuer of one.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct install),
    .run = install_main,
};
