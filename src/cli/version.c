/* `linkerd version`. */
#include <stdio.h>

#include "base/duration.h"
#include "cli/chart/values.h"
#include "cli/cluster/control_plane.h"
#include "cli/cluster/pods.h"
#include "cli/command.h"
#include "cli/versions.h"

struct options {
    bool is_short, client, proxy;
    const char *admin_addr, *namespace_;
    struct control_plane_flags where;
    struct words proxies;
    int64_t wait_ns;
};

static const struct flag flags[] = {
    {"client", 0, FLAG_SWITCH, offsetof(struct options, client), .help = "Print the client version only"},
    {"short", 0, FLAG_SWITCH, offsetof(struct options, is_short),
     .help = "Print the version number(s) only, with no additional output"},
    {"proxy", 0, FLAG_SWITCH, offsetof(struct options, proxy), .help = "Print the versions of the proxies: of the cluster, or those named by --proxy-addr"},
    {"proxy-addr", 0, FLAG_LIST, offsetof(struct options, proxies), .value = "HOST:PORT",
     .help = "Admin address of a proxy; may be given several times"},
    {"admin-addr", 0, FLAG_TEXT, offsetof(struct options, admin_addr), .value = "HOST:PORT",
     .help = "Admin address of the control plane (default port 9990 where --api-addr or --source say, or here)"},
    CONTROL_PLANE_FLAGS(struct options, where, "The destination service, whose host is asked"),
    {"wait", 0, FLAG_DURATION, offsetof(struct options, wait_ns), "5s", .value = "DURATION",
     .help = "How long to wait for each answer"},
    {"namespace", 'n', FLAG_TEXT, offsetof(struct options, namespace_), .value = "NAME",
     .help = "Namespace of the proxies, in a cluster (default all)"},
};

static void print_version(const struct options *options, const char *what, const char *address)
{
    char version[VERSION_TEXT_MAX];
    const char *shown = version_of(address, options->wait_ns, NULL, version) == 0 ? version : "unavailable";

    if (options->is_short)
        puts(shown);
    else
        printf("%s: %s\n", what, shown);
}

static void print_proxies(const struct options *options)
{
    char version[VERSION_TEXT_MAX];

    if (options->proxies.count == 0) {
        puts("Proxy versions: unavailable");
        return;
    }
    puts("Proxy versions:");
    for (size_t i = 0; i < options->proxies.count; i++) {
        const char *address = options->proxies.items[i];
        bool known = version_of(address, options->wait_ns, NULL, version) == 0;

        printf("\t%s (%s)\n", known ? version : "unavailable", address);
    }
}

/* --- in a cluster: as its objects say, without asking a pod --- */

static void print_control_plane(const struct options *options, struct kube *kube)
{
    json_t *config = NULL, *values = NULL;
    const char *version;
    char path[400];

    snprintf(path, sizeof(path), "/api/v1/namespaces/%s/configmaps/linkerd-config", options->where.namespace_);
    if (kube_get(kube, path, NULL, &config) == 0)
        (void)values_read(slice_str(json_text(config, "data.values")), "linkerd-config", NUMBERS_AS_WRITTEN, NULL, &values);
    version = json_text(values, "linkerdVersion");
    printf("%s%s\n", options->is_short ? "" : "Server version: ", *version ? version : "unavailable");
    json_decref(values);
    json_decref(config);
}

static int count_version(void *owner, json_t *pod, struct errmsg *msg)
{
    const char *version = *pod_proxy_version(pod) ? pod_proxy_version(pod) : "unknown";

    if (json_object_get(pod, "proxy"))
        json_object_set_new(owner, version, json_integer(json_integer_value(json_object_get(owner, version)) + 1));
    return 0;
}

static void print_pods(const struct options *options, struct kube *kube)
{
    json_t *counts = json_object(), *count;
    const char *version;
    char selector[300];

    snprintf(selector, sizeof(selector), "linkerd.io%%2Fcontrol-plane-ns%%3D%s", options->where.namespace_);
    if (pods_each(kube, options->namespace_, selector, count_version, counts, NULL) < 0 || json_object_size(counts) == 0)
        puts("Proxy versions: unavailable");
    else
        puts("Proxy versions:");
    json_object_foreach (counts, version, count)
        printf("\t%s (%lld pods)\n", version, (long long)json_integer_value(count));
    json_decref(counts);
}

static void print_cluster(const struct options *options)
{
    struct kube *kube;

    if (kube_open(&options->where.kube, options->wait_ns, NULL, &kube) < 0) {
        printf("%sunavailable\n", options->is_short ? "" : "Server version: ");
        return;
    }
    print_control_plane(options, kube);
    if (options->proxy)
        print_pods(options, kube);
    kube_close(kube);
}

static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    char found[CONTROL_PLANE_ADDRESS_MAX];

    printf("%s%s\n", options->is_short ? "" : "Client version: ", CLINKERD_VERSION);
    if (options->client)
        return STATUS_DONE;
    fflush(stdout); /* the next lines may take a while */
    if (!*options->admin_addr && options->proxies.count == 0 && control_plane_is_in_cluster(&options->where)) {
        print_cluster(options);
        return STATUS_DONE;
    }
    control_plane_address(&options->where, CONTROLLER_ADMIN_PORT, found);
    print_version(options, "Server version", *options->admin_addr ? options->admin_addr : found);
    if (options->proxy)
        print_proxies(options);
    return STATUS_DONE;
}

const struct command version_command = {
    .name = "version",
    .usage = "",
    .summary = "Print the client and server version information",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .run = run,
};
