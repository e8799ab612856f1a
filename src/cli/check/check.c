/* `linkerd check`. */
#include "cli/check/check.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/check/check_cluster.h"
#include "cli/cluster/control_plane.h"
#include "cli/command.h"
#include "event/sys.h"

static const struct flag flags[] = {
    {"output", 'o', FLAG_CHOICE, offsetof(struct check_options, output), "table", "table|json|short",
     .help = "Output format; short shows only what is wrong"},
    {"wait", 0, FLAG_DURATION, offsetof(struct check_options, wait_ns), "300s", .value = "DURATION",
     .help = "How long to wait for the control plane and proxies to become ready"},
    {"pre", 0, FLAG_SWITCH, offsetof(struct check_options, pre), .help = "Cluster: only whether the mesh could be installed"},
    {"crds", 0, FLAG_SWITCH, offsetof(struct check_options, crds), .help = "Cluster: only the resource definitions, before the control plane is there"},
    {"proxy", 0, FLAG_SWITCH, offsetof(struct check_options, proxy), .help = "Cluster: the data plane, too"},
    {"namespace", 'n', FLAG_TEXT, offsetof(struct check_options, namespace_), .value = "NAME",
     .help = "Cluster: only the data plane of this namespace (default all)"},
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct check_options, linkerd_namespace), "linkerd", .value = "NAME",
     .help = "Cluster: namespace of the control plane"},
    {"linkerd-cni-enabled", 0, FLAG_SWITCH, offsetof(struct check_options, cni_enabled), .help = "Cluster: the CNI plugin, too (with --pre)"},
    {"cni-namespace", 0, FLAG_TEXT, offsetof(struct check_options, cni_namespace), "linkerd-cni", .value = "NAME",
     .help = "Cluster: namespace of the CNI plugin"},
    {"expected-version", 0, FLAG_TEXT, offsetof(struct check_options, expected_version), .value = "VERSION",
     .help = "Cluster: the version that all parts should have"},
    {"cli-version-override", 0, FLAG_TEXT, offsetof(struct check_options, cli_version), .value = "VERSION",
     .help = "Cluster: take this for the version of this program"},
    {"multicluster", 0, FLAG_SWITCH, offsetof(struct check_options, multicluster), .help = "Of Linkerd 2.8: has no effect"},
    KUBE_FLAGS(struct check_options, kube),
    {"source", 0, FLAG_TEXT, offsetof(struct check_options, source), .value = "DIR",
     .help = "Machine: the directory of resources that the control plane reads; says where that is, too"},
    {"anchors", 0, FLAG_TEXT, offsetof(struct check_options, anchors), .value = "FILE", .help = "Machine: the trust anchors"},
    {"issuer", 0, FLAG_TEXT, offsetof(struct check_options, issuer), .value = "DIR",
     .help = "Machine: the issuer directory of the identity service"},
    {"api-addr", 0, FLAG_TEXT, offsetof(struct check_options, api_addr), .value = "HOST:PORT",
     .help = "Machine: the destination service (default port 8086 where --source says, or here)"},
    {"policy-addr", 0, FLAG_TEXT, offsetof(struct check_options, policy_addr), .value = "HOST:PORT",
     .help = "Machine: the policy service (default port 8090 on the same host)"},
    {"identity-addr", 0, FLAG_TEXT, offsetof(struct check_options, identity_addr),
     .value = "HOST:PORT", .help = "Machine: the identity service (default port 8080 on the same host)"},
    {"admin-addr", 0, FLAG_TEXT, offsetof(struct check_options, admin_addr), .value = "HOST:PORT",
     .help = "Machine: the admin address of the control plane (default port 9990 on the same host)"},
    {"proxy-addr", 0, FLAG_LIST, offsetof(struct check_options, proxies), .value = "HOST:PORT",
     .help = "Machine: the admin address of a proxy; may be given several times"},
};

static const struct category {
    const char *name;
    void (*run)(struct checks *checks);
} categories[] = {
    {"kernel", check_kernel},
    {"privileges", check_privileges},
    {"linkerd-identity", check_identity},
    {"linkerd-config", check_source},
    {"linkerd-control-plane", check_control_plane},
    {"linkerd-data-plane", check_proxies},
    {"linkerd-identity-data-plane", check_proxy_certificates},
    {"linkerd-version", check_versions},
};

static enum check_format format_of(const char *name)
{
    return strcmp(name, "json") == 0 ? CHECK_JSON : strcmp(name, "short") == 0 ? CHECK_SHORT : CHECK_TABLE;
}

static bool wants_colour(void)
{
    const char *no = getenv("NO_COLOR");

    return isatty(STDOUT_FILENO) && !(no && *no);
}

struct addresses {
    char text[4][CONTROL_PLANE_ADDRESS_MAX];
};

/* Those that were not given. They lie in `ret_addresses`. */
static void find_addresses(struct check_options *options, struct addresses *ret_addresses)
{
    const struct control_plane_flags where = {.api_addr = options->api_addr, .source = options->source};
    const struct {
        const char **address;
        uint16_t port;
    } all[] = {{&options->api_addr, DESTINATION_PORT}, {&options->policy_addr, POLICY_PORT},
               {&options->identity_addr, IDENTITY_PORT}, {&options->admin_addr, CONTROLLER_ADMIN_PORT}};

    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (**all[i].address)
            continue;
        control_plane_address(&where, all[i].port, ret_addresses->text[i]);
        *all[i].address = ret_addresses->text[i];
    }
}

/* Flags of the one belong to nothing in the other; without any, a cluster that can be found is meant. */
static int choose(const struct check_options *options, bool *ret_cluster, struct errmsg *msg)
{
    bool machine = *options->source || *options->anchors || *options->issuer || *options->api_addr || *options->policy_addr ||
                   *options->identity_addr || *options->admin_addr || options->proxies.count;
    bool cluster = options->pre || options->crds || options->proxy || options->cni_enabled || *options->namespace_ || *options->kube.kubeconfig ||
                   *options->kube.context || *options->expected_version || *options->cli_version;

    if (machine && cluster)
        return errmsg_set(msg, -EINVAL, "flags of one machine (--source, --api-addr ...) and of a cluster (--pre, --proxy, -n ...) exclude each other");
    if (options->pre + options->crds + options->proxy > 1)
        return errmsg_set(msg, -EINVAL, "give one of --pre, --crds and --proxy");
    *ret_cluster = cluster || (!machine && kube_is_configured(&options->kube));
    return 0;
}

static void check_machine(struct checks *checks, struct check_options *options)
{
    struct addresses addresses;

    find_addresses(options, &addresses);
    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
        checks_begin(checks, categories[i].name);
        categories[i].run(checks);
    }
}

static int run(void *opaque, const struct words *arguments)
{
    struct check_options *options = opaque;
    struct sys *sys = sys_linux();
    struct errmsg msg = {""};
    struct checks checks = {
        .options = options,
        .deadline_ns = sys->ops->now(sys) + options->wait_ns,
        .out = stdout,
        .format = format_of(options->output),
        .colour = wants_colour(),
    };
    bool cluster = false;

    if (choose(options, &cluster, &msg) < 0)
        return complain("check: %s", msg.text);
    if (options->multicluster)
        complain("check: --multicluster of Linkerd 2.8 has no successor and no effect");
    if (cluster)
        check_cluster(&checks);
    else
        check_machine(&checks, options);
    return checks_end(&checks);
}

const struct command check_command = {
    .name = "check",
    .usage = "",
    .summary = "Check the cluster, or this machine, and the mesh for problems",
    .about = "Of a cluster (a kubeconfig is there, or this runs in a pod): Kubernetes, the objects, pods, certificates, webhooks and\n"
             "versions of the control plane, annotations, and with --proxy the data plane. Nobody but the API server is asked.\n"
             "Of one machine (no cluster, or one of its flags): the kernel and privileges, certificates, the directory of\n"
             "resources, the control plane, proxies and their versions.\n"
             "Rows that do not apply are left out. Exits with 1 when a row shows ×; ‼ is a warning.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct check_options),
    .run = run,
};
