/* `linkerd install-sp`: service profiles of the control plane's own services, so that its traffic has routes in metrics. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart/values.h"
#include "cli/command.h"
#include "cli/install/install_cluster.h"

static const char COMMAND[] = "install-sp";
static const int64_t TIMEOUT_NS = 30 * NS_PER_S;

struct install_sp {
    struct kube_flags kube;
    const char *namespace_;
};

static const struct flag flags[] = {
    KUBE_FLAGS(struct install_sp, kube),
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(struct install_sp, namespace_), "linkerd", .value = "NAME", .help = "Namespace of the control plane"},
};

/* gRPC methods are paths. */
static const struct {
    const char *service, *methods[8];
} services[] = {
    {"linkerd-dst", {"io.linkerd.proxy.destination.Destination/Get", "io.linkerd.proxy.destination.Destination/GetProfile"}},
    {"linkerd-identity", {"io.linkerd.proxy.identity.Identity/Certify"}},
    {"linkerd-policy", {"io.linkerd.proxy.inbound.InboundServerPolicies/GetPort", "io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort",
                        "io.linkerd.proxy.outbound.OutboundPolicies/Get", "io.linkerd.proxy.outbound.OutboundPolicies/Watch"}},
};

/* Dots stand for themselves. */
static void print_regex(const char *path)
{
    for (; *path; path++)
        printf(*path == '.' ? "\\%c" : "%c", *path);
}

static void print_profile(size_t row, const char *namespace_, struct slice domain)
{
    printf("---\napiVersion: linkerd.io/v1alpha2\nkind: ServiceProfile\nmetadata:\n  name: %s.%s.svc.%.*s\n  namespace: %s\nspec:\n  routes:\n",
           services[row].service, namespace_, SLICE_ARGS(domain), namespace_);
    for (size_t i = 0; services[row].methods[i]; i++) {
        printf("  - name: POST /%s\n    condition:\n      method: POST\n      pathRegex: /", services[row].methods[i]);
        print_regex(services[row].methods[i]);
        putchar('\n');
    }
}

/* The domain of the cluster, from the values of the installation. */
static int read_domain(struct kube *kube, const char *namespace_, struct errmsg *msg, json_t **ret_values)
{
    json_t *config = NULL;
    const char *text;
    char path[512];
    int r = kube_get(kube, cluster_path(path, namespace_, "configmaps", "linkerd-config"), msg, &config);

    if (r == -ENOENT)
        return errmsg_set(msg, r, "there is no installation in the namespace %s: linkerd install makes one", namespace_);
    if (r < 0)
        return r;
    text = json_string_value(values_at(config, "data.values"));
    r = text ? values_read(slice_str(text), "linkerd-config", NUMBERS_AS_REALS, msg, ret_values)
             : errmsg_set(msg, -EINVAL, "ConfigMap linkerd-config has no values: linkerd upgrade writes them");
    json_decref(config);
    return r;
}

static int install_sp_main(void *options, const struct words *arguments)
{
    const struct install_sp *given = options;
    struct kube *kube = NULL;
    json_t *values = NULL, *domain;
    struct errmsg msg = {""};
    int r = namespace_check(given->namespace_, &msg);

    if (r == 0)
        r = kube_open(&given->kube, TIMEOUT_NS, &msg, &kube);
    if (r == 0)
        r = read_domain(kube, given->namespace_, &msg, &values);
    domain = values_at(values, "clusterDomain");
    for (size_t i = 0; r == 0 && i < sizeof(services) / sizeof(services[0]); i++)
        print_profile(i, given->namespace_, json_is_string(domain) ? slice_str(json_string_value(domain)) : SLICE_LIT("cluster.local"));
    if (r == 0)
        complain("%s: the profiles of linkerd-controller-api, linkerd-prometheus and linkerd-grafana of Linkerd 2.8 have no successor", COMMAND);
    json_decref(values);
    kube_close(kube);
    return r < 0 ? complain("%s: %s", COMMAND, msg.text) : STATUS_DONE;
}

const struct command install_sp_command = {
    .name = "install-sp",
    .usage = "",
    .summary = "Print service profiles of the control plane's services",
    .about = "  linkerd install-sp | kubectl apply -f -\n\n"
             "gives the traffic of proxies to the control plane its routes in their metrics.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct install_sp),
    .run = install_sp_main,
};
