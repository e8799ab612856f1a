/* `linkerd install-cni`: the manifests of the CNI plugin's chart, on standard output. */
#include <errno.h>
#include <stdio.h>

#include "base/limits.h"
#include "cli/chart/chart.h"
#include "cli/chart/value_flags.h"
#include "cli/chart/values.h"
#include "cli/chart/values_given.h"
#include "cli/command.h"
#include "cli/install/install_render.h"
#include "cli/install/install_values.h"

static const char COMMAND[] = "install-cni";

struct install_cni {
    const char *output, *namespace_;
    struct words files, set, set_string, set_file, skip_inbound, skip_outbound, redirect;
    const char *admin_port, *image, *image_version, *log_level, *control_port, *bin_dir, *net_dir, *inbound_port, *version, *outbound_port,
        *priority_class, *proxy_gid, *proxy_uid, *registry;
    bool wait;
};

#define TEXT(name_, member, what, help_) {name_, 0, FLAG_TEXT, offsetof(struct install_cni, member), .value = (what), .help = (help_)}
#define LIST(name_, member, what, help_) {name_, 0, FLAG_LIST, offsetof(struct install_cni, member), .value = (what), .help = (help_)}

static const struct flag rows[] = {
    {"output", 'o', FLAG_CHOICE, offsetof(struct install_cni, output), "yaml", "yaml|json", .help = "Form of the manifests"},
    {"cni-namespace", 0, FLAG_TEXT, offsetof(struct install_cni, namespace_), "linkerd-cni", .value = "NAME", .help = "Namespace of the plugin"},
    {"values", 'f', FLAG_LIST, offsetof(struct install_cni, files), .value = "FILE", .help = "Values of the chart, as Helm takes them; - is standard input"},
    LIST("set", set, "A=B", "A value: true, false, null and integers are what they look like"),
    LIST("set-string", set_string, "A=B", "A value that is text"),
    LIST("set-file", set_file, "A=FILE", "A value that is the content of a file"),
    TEXT("admin-port", admin_port, "PORT", "Port of the proxy's admin server (default 4191)"),
    TEXT("cni-image", image, "NAME", "Image of the plugin, without version"),
    TEXT("cni-image-version", image_version, "VERSION", "Version of the image instead of this program's"),
    TEXT("cni-log-level", log_level, "LEVEL", "Log level of the plugin (default info)"),
    TEXT("control-port", control_port, "PORT", "Port of the proxy's tap server (default 4190)"),
    TEXT("dest-cni-bin-dir", bin_dir, "DIR", "Directory of the node for plugins (default /opt/cni/bin)"),
    TEXT("dest-cni-net-dir", net_dir, "DIR", "Directory of the node for networks (default /etc/cni/net.d)"),
    TEXT("inbound-port", inbound_port, "PORT", "Proxy port of inbound traffic (default 4143)"),
    {"linkerd-version", 'v', FLAG_TEXT, offsetof(struct install_cni, version), .value = "VERSION", .help = "The same as --cni-image-version"},
    TEXT("outbound-port", outbound_port, "PORT", "Proxy port of outbound traffic (default 4140)"),
    TEXT("priority-class-name", priority_class, "NAME", "Priority class of the plugin's pods"),
    TEXT("proxy-gid", proxy_gid, "ID", "Group of the proxy, whose traffic is left alone"),
    TEXT("proxy-uid", proxy_uid, "ID", "User of the proxy, whose traffic is left alone (default 2102)"),
    LIST("redirect-ports", redirect, "PORTS", "The only ports whose inbound traffic goes through the proxy"),
    TEXT("registry", registry, "NAME", "Registry of the image"),
    LIST("skip-inbound-ports", skip_inbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    LIST("skip-outbound-ports", skip_outbound, "PORTS", "Ports and ranges that do not go through the proxy"),
    {"use-wait-flag", 0, FLAG_SWITCH, offsetof(struct install_cni, wait), .help = "Wait for the lock of iptables"},
};

/* --- flags that are values --- */

static const struct value_flag texts[] = {
#define VALUE(member, flag, path, kind) {offsetof(struct install_cni, member), flag, path, kind}
    VALUE(admin_port, "admin-port", "proxyAdminPort", VALUE_NUMBER),
    VALUE(version, "linkerd-version", "image.version", VALUE_TEXT),
    VALUE(image_version, "cni-image-version", "image.version", VALUE_TEXT),
    VALUE(log_level, "cni-log-level", "logLevel", VALUE_TEXT),
    VALUE(control_port, "control-port", "proxyControlPort", VALUE_NUMBER),
    VALUE(bin_dir, "dest-cni-bin-dir", "destCNIBinDir", VALUE_TEXT),
    VALUE(net_dir, "dest-cni-net-dir", "destCNINetDir", VALUE_TEXT),
    VALUE(inbound_port, "inbound-port", "inboundProxyPort", VALUE_NUMBER),
    VALUE(outbound_port, "outbound-port", "outboundProxyPort", VALUE_NUMBER),
    VALUE(priority_class, "priority-class-name", "priorityClassName", VALUE_TEXT),
    VALUE(proxy_gid, "proxy-gid", "proxyGID", VALUE_NUMBER),
    VALUE(proxy_uid, "proxy-uid", "proxyUID", VALUE_NUMBER),
    VALUE(image, "cni-image", "image.name", VALUE_TEXT),
#undef VALUE
};

/* The registry stands in front of the image's own name, unless --cni-image names it whole. */
static int put_registry(json_t *values, const struct install_cni *options)
{
    char name[1024];

    if (!*options->registry || *options->image)
        return 0;
    snprintf(name, sizeof(name), "%s/cni-plugin", options->registry);
    return values_put(values, "image.name", json_string(name));
}

static int values_of_flags(const struct install_cni *options, json_t *values, struct errmsg *msg)
{
    int r = put_registry(values, options);

    if (r == 0)
        r = value_flags_put(texts, sizeof(texts) / sizeof(texts[0]), options, values, msg);
    if (r == 0)
        r = values_put_words(values, "portsToRedirect", &options->redirect);
    if (r == 0)
        r = values_put_words(values, "ignoreInboundPorts", &options->skip_inbound);
    if (r == 0)
        r = values_put_words(values, "ignoreOutboundPorts", &options->skip_outbound);
    return r == 0 && options->wait ? values_put(values, "useWaitFlag", json_true()) : r;
}

static int install_cni(void *options_, const struct words *arguments)
{
    const struct install_cni *options = options_;
    const struct values_given given = {&options->files, &options->set, &options->set_string, &options->set_file};
    struct errmsg msg = {""};
    struct buffer problems, text;
    json_t *values = json_object();
    int r = values ? values_of_flags(options, values, &msg) : -ENOMEM, status;

    buffer_init(&problems, LIMIT_TEMPLATE_FILE);
    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    if (r == 0)
        r = values_put_given(values, &given, &msg);
    if (r == 0)
        r = install_values_renamed(CHART_CNI, values, COMMAND, &msg);
    if (r == 0)
        r = install_render(CHART_CNI, options->namespace_, values, NULL, &msg, &problems, &text);
    if (r == 0)
        r = install_print(options->output, buffer_slice(&text), &msg);
    status = install_report(COMMAND, r, &msg, &problems);
    buffer_release(&problems);
    buffer_release(&text);
    json_decref(values);
    return status;
}

const struct command install_cni_command = {
    .name = "install-cni",
    .usage = "",
    .summary = "Print the manifests of the CNI plugin",
    .about = "For clusters whose pods must not make redirect rules themselves (docs/cni.md). Before the control plane:\n\n"
             "  linkerd install-cni | kubectl apply -f -\n"
             "  linkerd install --linkerd-cni-enabled | kubectl apply -f -\n\n"
             "The manifests are those of the chart linkerd2-cni, which Helm can install as well.",
    .flags = FLAGS(rows),
    .options_size = sizeof(struct install_cni),
    .run = install_cni,
};
