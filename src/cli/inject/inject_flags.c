#include "cli/inject/inject_flags.h"

#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "cli/command.h"

#define TEXT(name_, member, what, help_) {name_, 0, FLAG_TEXT, offsetof(struct inject_flags, member), .value = (what), .help = (help_)}
#define SWITCH(name_, member, help_) {name_, 0, FLAG_SWITCH, offsetof(struct inject_flags, member), .help = (help_)}
#define TOGGLE(name_, member, help_) {name_, 0, FLAG_TOGGLE, offsetof(struct inject_flags, member), .help = (help_)}
#define LIST(name_, member, what, help_) {name_, 0, FLAG_LIST, offsetof(struct inject_flags, member), .value = (what), .help = (help_)}

const struct flag inject_flag_rows[INJECT_FLAGS] = {
    SWITCH("manual", manual, "Put the proxy itself into the manifests, instead of the annotation that asks for it"),
    SWITCH("ignore-cluster", ignore_cluster, "With --manual: the values of the chart, not those of the installation in the cluster"),
    {"output", 'o', FLAG_CHOICE, offsetof(struct inject_flags, output), "yaml", "yaml|json", .help = "yaml: the input's own text with the changes in it"},
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct inject_flags, namespace_), "linkerd", .value = "NAME", .help = "Namespace of the control plane"},
    KUBE_FLAGS(struct inject_flags, kube),
    TEXT("identity-trust-anchors-file", trust_anchors, "FILE", "With --manual: certificates that the proxy trusts, instead of the installation's"),
    TEXT("admin-port", admin_port, "PORT", "Port of the proxy's admin server"),
    TEXT("close-wait-timeout", close_wait_timeout, "DURATION", "How long a half-closed connection is kept by the kernel"),
    TEXT("control-port", control_port, "PORT", "Port of the proxy's tap server"),
    TEXT("default-inbound-policy", default_inbound_policy, "POLICY", "Who may reach ports without a policy"),
    SWITCH("disable-identity", disable_identity, "Of Linkerd 2.8: refused, every proxy has an identity"),
    {"disable-tap", 0, FLAG_LATER, 0, .help = ""},
    SWITCH("enable-debug-sidecar", debug, "Add the debug container"),
    TOGGLE("enable-external-profiles", external_profiles, "Look profiles up for names outside of the cluster"),
    TEXT("image-pull-policy", pull_policy, "POLICY", "Always, IfNotPresent or Never"),
    TEXT("inbound-port", inbound_port, "PORT", "Proxy port of inbound traffic"),
    SWITCH("ingress", ingress, "Ingress mode"),
    TOGGLE("native-sidecar", native_sidecar, "The proxy is an init container that stays; false: an ordinary container"),
    LIST("opaque-ports", opaque_ports, "PORTS", "Ports of which the protocol is not looked at"),
    TEXT("outbound-port", outbound_port, "PORT", "Proxy port of outbound traffic"),
    TEXT("proxy-cpu", proxy_cpu, "QUANTITY", "Deprecated: --proxy-cpu-request"),
    TEXT("proxy-cpu-limit", proxy_cpu_limit, "QUANTITY", "CPU that the proxy may use at most"),
    TEXT("proxy-cpu-request", proxy_cpu_request, "QUANTITY", "CPU that the proxy asks for"),
    TEXT("proxy-gid", proxy_gid, "ID", "Group of the proxy"),
    TEXT("proxy-image", proxy_image, "NAME", "Image of the proxy, without version"),
    TEXT("proxy-log-level", proxy_log_level, "FILTER", "Log filter of the proxy"),
    TEXT("proxy-memory", proxy_memory, "QUANTITY", "Deprecated: --proxy-memory-request"),
    TEXT("proxy-memory-limit", proxy_memory_limit, "QUANTITY", "Memory that the proxy may use at most"),
    TEXT("proxy-memory-request", proxy_memory_request, "QUANTITY", "Memory that the proxy asks for"),
    TEXT("proxy-uid", proxy_uid, "ID", "User of the proxy"),
    {"proxy-version", 'v', FLAG_TEXT, offsetof(struct inject_flags, proxy_version), .value = "VERSION", .help = "Version of the proxy's image"},
    TEXT("registry", registry, "NAME", "Registry of the images of proxy and debug container"),
    LIST("require-identity-on-inbound-ports", require_identity, "PORTS", "Ports that only clients with an identity may reach"),
    LIST("skip-inbound-ports", skip_inbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    LIST("skip-outbound-ports", skip_outbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    TEXT("wait-before-exit-seconds", wait_before_exit, "SECONDS", "How long the proxy stays when its pod is ended"),
    TEXT("init-image", init_image, "NAME", "Of Linkerd 2.8: has no effect"),
    TEXT("init-image-version", init_image_version, "VERSION", "Of Linkerd 2.8: has no effect"),
    TEXT("trace-collector", trace_collector, "ADDR", "Of Linkerd 2.8: has no effect"),
    TEXT("trace-collector-svc-account", trace_collector_account, "NAME", "Of Linkerd 2.8: has no effect"),
};

/* Of two that are one annotation the later row wins. */
static const struct {
    size_t at;
    const char *annotation;
} texts[] = {
#define ROW(member, name) {offsetof(struct inject_flags, member), name}
    ROW(admin_port, "config.linkerd.io/admin-port"),
    ROW(close_wait_timeout, "config.linkerd.io/close-wait-timeout"),
    ROW(control_port, "config.linkerd.io/control-port"),
    ROW(default_inbound_policy, "config.linkerd.io/default-inbound-policy"),
    ROW(external_profiles, "config.linkerd.io/enable-external-profiles"),
    ROW(pull_policy, "config.linkerd.io/image-pull-policy"),
    ROW(inbound_port, "config.linkerd.io/inbound-port"),
    ROW(outbound_port, "config.linkerd.io/outbound-port"),
    ROW(proxy_cpu, "config.linkerd.io/proxy-cpu-request"),
    ROW(proxy_cpu_request, "config.linkerd.io/proxy-cpu-request"),
    ROW(proxy_cpu_limit, "config.linkerd.io/proxy-cpu-limit"),
    ROW(proxy_gid, "config.linkerd.io/proxy-gid"),
    ROW(proxy_image, "config.linkerd.io/proxy-image"),
    ROW(proxy_log_level, "config.linkerd.io/proxy-log-level"),
    ROW(proxy_memory, "config.linkerd.io/proxy-memory-request"),
    ROW(proxy_memory_request, "config.linkerd.io/proxy-memory-request"),
    ROW(proxy_memory_limit, "config.linkerd.io/proxy-memory-limit"),
    ROW(proxy_uid, "config.linkerd.io/proxy-uid"),
    ROW(proxy_version, "config.linkerd.io/proxy-version"),
    ROW(wait_before_exit, "config.alpha.linkerd.io/proxy-wait-before-exit-seconds"),
    ROW(native_sidecar, "config.linkerd.io/proxy-enable-native-sidecar"),
#undef ROW
};

static const struct {
    size_t at;
    const char *annotation;
} lists[] = {
    {offsetof(struct inject_flags, opaque_ports), "config.linkerd.io/opaque-ports"},
    {offsetof(struct inject_flags, require_identity), "config.linkerd.io/proxy-require-identity-inbound-ports"},
    {offsetof(struct inject_flags, skip_inbound), "config.linkerd.io/skip-inbound-ports"},
    {offsetof(struct inject_flags, skip_outbound), "config.linkerd.io/skip-outbound-ports"},
};

void inject_flags_tell(const struct inject_flags *flags)
{
    const struct {
        const char *value, *name;
    } old[] = {{flags->init_image, "init-image"},
               {flags->init_image_version, "init-image-version"},
               {flags->trace_collector, "trace-collector"},
               {flags->trace_collector_account, "trace-collector-svc-account"}};

    for (size_t i = 0; i < sizeof(old) / sizeof(old[0]); i++)
        if (*old[i].value)
            complain("inject: --%s of Linkerd 2.8 has no successor and no effect", old[i].name);
    if (*flags->proxy_cpu)
        complain("inject: --proxy-cpu is deprecated: use --proxy-cpu-request");
    if (*flags->proxy_memory)
        complain("inject: --proxy-memory is deprecated: use --proxy-memory-request");
}

static int set(json_t *annotations, const char *name, struct slice value)
{
    return json_object_set_new_nocheck(annotations, name, json_stringn(value.len ? value.ptr : "", value.len)) < 0 ? -1 : 0;
}

static int set_list(json_t *annotations, const char *name, const struct words *words)
{
    struct buffer text;
    int r = 0;

    buffer_init(&text, LIMIT_PEM);
    for (size_t i = 0; i < words->count; i++)
        buffer_printf(&text, "%s%s", i ? "," : "", words->items[i]);
    if (words->count)
        r = buffer_error(&text) ? -1 : set(annotations, name, buffer_slice(&text));
    buffer_release(&text);
    return r;
}

/* The images of this registry, by the names that ours have. */
static int set_registry(json_t *annotations, const struct inject_flags *flags)
{
    const char *registry = *flags->registry ? flags->registry : getenv("LINKERD_DOCKER_REGISTRY");
    struct buffer name;
    int r = 0;

    if (!registry || !*registry)
        return 0;
    buffer_init(&name, LIMIT_PEM);
    buffer_printf(&name, "%s/proxy", registry);
    if (!*flags->proxy_image)
        r = set(annotations, "config.linkerd.io/proxy-image", buffer_slice(&name));
    buffer_clear(&name);
    buffer_printf(&name, "%s/debug", registry);
    if (r == 0)
        r = set(annotations, "config.linkerd.io/debug-image", buffer_slice(&name));
    buffer_release(&name);
    return r;
}

json_t *inject_flags_annotations(const struct inject_flags *flags)
{
    json_t *annotations = json_object();
    int r = annotations ? set_registry(annotations, flags) : -1;

    for (size_t i = 0; r == 0 && i < sizeof(texts) / sizeof(texts[0]); i++) {
        const char *text = *(const char *const *)(const void *)((const char *)flags + texts[i].at);

        if (*text)
            r = set(annotations, texts[i].annotation, slice_str(text));
    }
    for (size_t i = 0; r == 0 && i < sizeof(lists) / sizeof(lists[0]); i++)
        r = set_list(annotations, lists[i].annotation, (const struct words *)(const void *)((const char *)flags + lists[i].at));
    if (r == 0 && flags->debug)
        r = set(annotations, "config.linkerd.io/enable-debug-sidecar", SLICE_LIT("true"));
    if (r == 0)
        return annotations;
    json_decref(annotations);
    return NULL;
}
