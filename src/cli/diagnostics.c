/* `linkerd diagnostics proxy-metrics` and `controller-metrics`. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/cluster/control_plane.h"
#include "cli/cluster/pods.h"
#include "cli/command.h"
#include "cli/obfuscate.h"

struct options {
    int64_t wait_ns;
    struct kube_flags kube;
    const char *namespace_;
    bool obfuscate;
};

static const struct flag flags[] = {
    {"wait", 'w', FLAG_DURATION, offsetof(struct options, wait_ns), "30s", .value = "DURATION",
     .help = "How long to wait for each proxy"},
    {"namespace", 'n', FLAG_TEXT, offsetof(struct options, namespace_), .value = "NAME",
     .help = "Namespace of the resource (default that of the kubeconfig's context)"},
    KUBE_FLAGS(struct options, kube),
    {"obfuscate", 0, FLAG_SWITCH, offsetof(struct options, obfuscate), .help = "Put digests in the place of the names of workloads, hosts, identities and the like"},
};

/* Ends the asking. `address`: as the person wrote it. */
static int get_page(struct ask *ask, const char *address, struct errmsg *msg, struct buffer *body)
{
    unsigned status = 0;
    int r = ask_get(ask, "/metrics", msg, &status, body);

    if (r == 0 && status != 200)
        r = errmsg_set(msg, -EREMOTEIO, "%s: /metrics answers %u", address, status);
    ask_close(ask);
    return r;
}

/* Digests instead of names. */
static int hide_names(struct buffer *body, struct errmsg *msg)
{
    struct buffer hidden;
    int r;

    buffer_init(&hidden, 8 * LIMIT_ADMIN_ANSWER); /* a digest is longer than most names */
    r = obfuscate(buffer_slice(body), &hidden);
    buffer_release(body);
    *body = hidden;
    return r < 0 ? errmsg_set(msg, r, "the page cannot be obfuscated: %s", strerror(-r)) : 0;
}

/* How a page is shown. */
struct showing {
    const char *command;
    int64_t wait_ns;
    bool obfuscate;
};

/* What `open` gave (0, or a negative errno with *msg), as a page under its heading. False: it was none, and that was said. */
static bool print_page(int r, struct ask *ask, const char *address, const char *heading, const struct showing *showing, struct errmsg *msg)
{
    struct buffer body;

    buffer_init(&body, LIMIT_ADMIN_ANSWER);
    if (heading && !showing->obfuscate)
        printf("#\n# %s\n#\n", heading);
    else if (heading)
        printf("#\n");
    if (r == 0)
        r = get_page(ask, address, msg, &body);
    if (r == 0 && showing->obfuscate)
        r = hide_names(&body, msg);
    if (r == 0)
        fwrite(body.data, 1, body.len, stdout);
    buffer_release(&body);
    if (r < 0)
        complain("%s: %s", showing->command, msg->text);
    return r == 0;
}

static struct showing showing_of(const struct options *options)
{
    return (struct showing){"diagnostics proxy-metrics", options->wait_ns, options->obfuscate};
}

static bool print_address(const struct options *options, const char *address, size_t number, size_t count)
{
    const struct showing showing = showing_of(options);
    struct errmsg msg = {""};
    struct ask *ask = NULL;
    char heading[400];
    int r = ask_open(address, options->wait_ns, &msg, &ask);

    snprintf(heading, sizeof(heading), "PROXY %s (%zu of %zu)", address, number, count);
    return print_page(r, ask, address, heading, &showing, &msg);
}

/* The metrics of one container; all are asked, whatever the others say. */
static bool print_pod(struct kube *kube, const json_t *pod, uint16_t port, const char *heading, const struct showing *showing)
{
    const struct forward_pod to = {slice_str(POD_NAMESPACE(pod)), slice_str(POD_NAME(pod)), port};
    struct errmsg msg = {""};
    struct ask *ask = NULL;
    int r = ask_open_pod(kube_access(kube), &to, showing->wait_ns, &msg, &ask);

    return print_page(r, ask, POD_NAME(pod), heading, showing, &msg);
}

static bool print_proxies(struct kube *kube, const json_t *pods, const struct showing *showing)
{
    size_t i, count = json_array_size(pods), meshed = 0;
    bool fine = true;
    char heading[700];
    json_t *pod;

    json_array_foreach (pods, i, pod) {
        if (!json_object_get(pod, "proxy"))
            continue;
        meshed++;
        snprintf(heading, sizeof(heading), "POD %s (%zu of %zu)", POD_NAME(pod), i + 1, count);
        fine &= print_pod(kube, pod, pod_proxy_admin(pod), heading, showing);
    }
    if (!meshed)
        complain("diagnostics proxy-metrics: none of the %zu pods has a proxy", count);
    return fine && meshed;
}

static bool print_resource(const struct options *options, const char *resource)
{
    const struct showing showing = showing_of(options);
    struct errmsg msg = {""};
    json_t *pods = NULL;
    struct kube *kube;
    char namespace_[256];
    bool fine;
    int r = kube_open(&options->kube, options->wait_ns, &msg, &kube);

    if (r < 0) {
        complain("diagnostics proxy-metrics: %s; or give HOST:PORT, the admin address of a proxy", msg.text);
        return false;
    }
    snprintf(namespace_, sizeof(namespace_), "%.*s", SLICE_ARGS(*options->namespace_ ? slice_str(options->namespace_) : kube_namespace(kube)));
    r = pods_of(kube, namespace_, resource, &msg, &pods);
    fine = r == 0 && print_proxies(kube, pods, &showing);
    if (r < 0)
        complain("diagnostics proxy-metrics: %s", msg.text);
    json_decref(pods);
    kube_close(kube);
    return fine;
}

/* A failure of any is the exit status. */
static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    int status = STATUS_DONE;

    for (size_t i = 0; i < arguments->count; i++) {
        bool is_address = strchr(arguments->items[i], ':');

        if (!(is_address ? print_address(options, arguments->items[i], i + 1, arguments->count) : print_resource(options, arguments->items[i])))
            status = STATUS_FAILED;
    }
    return status;
}

const struct command diagnostics_metrics_command = {
    .name = "diagnostics proxy-metrics",
    .usage = "RESOURCE|HOST:PORT...",
    .summary = "Fetch metrics directly from Linkerd proxies",
    .about = "Asks the admin port of each proxy for its metrics: of the pods of a resource (po/web-0, deploy/web, ns/emojivoto ...), through\n"
             "the API server, or at an address (port 4191 unless configured otherwise).",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .min_arguments = 1,
    .max_arguments = WORDS_MAX,
    .run = run,
};

/* ---- the control plane's ---- */

struct controller_options {
    int64_t wait_ns;
    struct control_plane_flags where;
};

static const struct flag controller_flags[] = {
    {"wait", 'w', FLAG_DURATION, offsetof(struct controller_options, wait_ns), "30s", .value = "DURATION",
     .help = "How long to wait for the answer"},
    CONTROL_PLANE_FLAGS(struct controller_options, where, "The control plane's admin port (default in the cluster, or 127.0.0.1:9990)"),
};

#define SELECT_CONTROL "linkerd.io%2Fcontrol-plane-component,linkerd.io%2Fcontrol-plane-component!%3Dheartbeat"

/* Ports of controllers have names that end so; the proxy's is another matter. */
static uint16_t admin_port(const json_t *container)
{
    json_t *port;
    size_t i;

    if (strcmp(json_text(container, "name"), "linkerd-proxy") == 0)
        return 0;
    json_array_foreach (json_object_get(container, "ports"), i, port)
        if (slice_ends(slice_str(json_text(port, "name")), SLICE_LIT("-admin")))
            return (uint16_t)json_integer_value(json_object_get(port, "containerPort"));
    return 0;
}

static bool print_controllers(struct kube *kube, const json_t *pod, int64_t wait_ns)
{
    const struct showing showing = {"diagnostics controller-metrics", wait_ns, false};
    json_t *container;
    bool fine = true;
    size_t i;

    json_array_foreach (json_object_get(pod, "containers"), i, container) {
        char heading[900];

        snprintf(heading, sizeof(heading), "POD %s CONTAINER %s", POD_NAME(pod), json_text(container, "name"));
        if (admin_port(container))
            fine &= print_pod(kube, pod, admin_port(container), heading, &showing);
    }
    return fine;
}

static int run_cluster(const struct controller_options *options)
{
    struct errmsg msg = {""};
    json_t *pods = NULL, *pod;
    struct kube *kube;
    bool fine = true;
    size_t i;
    int r = kube_open(&options->where.kube, options->wait_ns, &msg, &kube);

    if (r < 0)
        return complain("diagnostics controller-metrics: %s", msg.text);
    r = pods_list(kube, options->where.namespace_, SELECT_CONTROL, &msg, &pods);
    if (r == 0 && json_array_size(pods) == 0)
        r = errmsg_set(&msg, -ENOENT, "no pods of the control plane in the namespace %s; --linkerd-namespace names another", options->where.namespace_);
    json_array_foreach (pods, i, pod)
        fine &= print_controllers(kube, pod, options->wait_ns);
    json_decref(pods);
    kube_close(kube);
    if (r < 0)
        return complain("diagnostics controller-metrics: %s", msg.text);
    return fine ? STATUS_DONE : STATUS_FAILED;
}

static int run_controller(void *opaque, const struct words *arguments)
{
    const struct controller_options *options = opaque;
    const char *address = *options->where.api_addr ? options->where.api_addr : "the control plane";
    struct errmsg msg = {""};
    struct buffer body;
    struct ask *ask;
    int r;

    if (control_plane_is_in_cluster(&options->where))
        return run_cluster(options);
    r = control_plane_open(&options->where, CONTROLLER_ADMIN_PORT, options->wait_ns, &msg, &ask);
    buffer_init(&body, LIMIT_ADMIN_ANSWER);
    if (r == 0)
        r = get_page(ask, address, &msg, &body);
    if (r == 0)
        fwrite(body.data, 1, body.len, stdout);
    buffer_release(&body);
    if (r < 0)
        return complain("diagnostics controller-metrics: %s; --api-addr or --source names the control plane", msg.text);
    return STATUS_DONE;
}

const struct command diagnostics_controller_metrics_command = {
    .name = "diagnostics controller-metrics",
    .usage = "",
    .summary = "Fetch metrics directly from the control plane",
    .about = "Asks the admin port of linkerd-controller for the metrics of all its components; in a cluster, that of every container of\n"
             "the control plane.",
    .flags = FLAGS(controller_flags),
    .options_size = sizeof(struct controller_options),
    .run = run_controller,
};
