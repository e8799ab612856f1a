/* `linkerd identity`: the certificate of a workload, as its proxy shows it, as any server shows it, or from a file. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/ask.h"
#include "cli/cluster/pod_identity.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/show.h"

struct options {
    const char *server_name, *output, *namespace_, *selector;
    int64_t wait_ns;
    struct kube_flags kube;
    bool chain;
};

static const struct flag flags[] = {
    {"namespace", 'n', FLAG_TEXT, offsetof(struct options, namespace_), .value = "NAME",
     .help = "Namespace of the pods (default that of the kubeconfig's context)"},
    {"selector", 'l', FLAG_TEXT, offsetof(struct options, selector), .value = "LABELS", .help = "The pods with these labels, as app=web"},
    {"server-name", 0, FLAG_TEXT, offsetof(struct options, server_name), .value = "NAME",
     .help = "The identity to ask for at an address, as SA.NS.serviceaccount.identity.linkerd.cluster.local"},
    {"chain", 0, FLAG_SWITCH, offsetof(struct options, chain), .help = "Show the issuers too, not only the workload's own"},
    {"output", 'o', FLAG_CHOICE, offsetof(struct options, output), "text", "text|json", .help = "Output format"},
    {"wait", 0, FLAG_DURATION, offsetof(struct options, wait_ns), "5s", .value = "DURATION",
     .help = "How long to wait for each answer"},
    KUBE_FLAGS(struct options, kube),
};

static bool is_json(const struct options *options)
{
    return strcmp(options->output, "json") == 0;
}

static size_t shown(const struct options *options, const struct x509_bundle *chain)
{
    return options->chain ? chain->count : 1;
}

static void add_json(const struct options *options, const struct x509_bundle *chain, struct buffer *out)
{
    buffer_add_lit(out, "[\n");
    for (size_t i = 0; i < shown(options, chain); i++) {
        buffer_printf(out, "%s", i ? ",\n" : "");
        cert_show_json(chain->certs[i], wall_now(), out);
    }
    buffer_add_lit(out, "\n]");
}

static void print(struct buffer *out)
{
    fwrite(out->data, 1, out->len, stdout);
    buffer_release(out);
}

/* --- a file or an address --- */

static int from_address(const struct options *options, const char *address, struct errmsg *msg, struct x509_bundle *ret_chain)
{
    struct ask *ask;
    int r = ask_open(address, options->wait_ns, msg, &ask);

    if (r < 0)
        return r;
    r = ask_chain(ask, slice_str(options->server_name), msg, ret_chain);
    ask_close(ask);
    return r;
}

static int show_one(const struct options *options, const char *from, bool is_file)
{
    struct x509_bundle chain = {NULL, 0};
    struct errmsg msg = {""};
    struct buffer out;
    int r = is_file ? file_read_certs(from, &msg, &chain) : from_address(options, from, &msg, &chain);

    if (r < 0)
        return complain("identity: %s", *msg.text ? msg.text : strerror(-r));
    buffer_init(&out, 1 << 20);
    if (is_json(options)) {
        add_json(options, &chain, &out);
        buffer_add_byte(&out, '\n');
    }
    for (size_t i = 0; !is_json(options) && i < shown(options, &chain); i++) {
        buffer_printf(&out, "%s%s (%zu of %zu)\n", i ? "\n" : "", from, i + 1, shown(options, &chain));
        cert_show(chain.certs[i], wall_now(), &out);
    }
    print(&out);
    x509_bundle_release(&chain);
    return STATUS_DONE;
}

/* --- pods --- */

static void show_pod(const struct options *options, const json_t *pod, size_t number, size_t count, const struct x509_bundle *chain)
{
    struct buffer out;

    buffer_init(&out, 1 << 20);
    if (is_json(options)) {
        buffer_printf(&out, "%s{\"pod\": \"%s/%s\", \"certificates\": ", number > 1 ? ",\n" : "", POD_NAMESPACE(pod), POD_NAME(pod));
        add_json(options, chain, &out);
        buffer_add_byte(&out, '}');
    } else {
        buffer_printf(&out, "%sPOD %s (%zu of %zu)\n", number > 1 ? "\n" : "", POD_NAME(pod), number, count);
        for (size_t i = 0; i < shown(options, chain); i++) {
            buffer_printf(&out, "\n");
            cert_show(chain->certs[i], wall_now(), &out);
        }
    }
    print(&out);
}

/* All are asked, whatever the others say. */
static int show_pods(const struct options *options, struct kube *kube, const json_t *pods)
{
    size_t i, told = 0, count = json_array_size(pods);
    json_t *pod;
    int status = STATUS_DONE;

    if (is_json(options))
        printf("[");
    json_array_foreach (pods, i, pod) {
        struct x509_bundle chain = {NULL, 0};
        struct errmsg msg = {""};
        int r = pod_identity_chain(kube, pod, options->wait_ns, &msg, &chain);

        if (r < 0)
            status = complain("identity: %s", *msg.text ? msg.text : strerror(-r));
        else
            show_pod(options, pod, is_json(options) ? ++told : i + 1, count, &chain);
        x509_bundle_release(&chain);
    }
    if (is_json(options))
        printf("]\n");
    return status;
}

static int add_named(struct kube *kube, const char *namespace_, const char *name, json_t *pods, struct errmsg *msg)
{
    json_t *found = NULL;
    int r = pods_of(kube, namespace_, name, msg, &found);

    if (r == 0)
        json_array_extend(pods, found);
    json_decref(found);
    return r;
}

static int add_selected(struct kube *kube, const char *namespace_, const char *labels, json_t *pods, struct errmsg *msg)
{
    json_t *found = NULL;
    struct buffer selector;
    int r;

    buffer_init(&selector, LIMIT_API_TEXT);
    add_query_escaped(&selector, labels);
    buffer_add_byte(&selector, '\0');
    r = buffer_error(&selector) ? errmsg_set(msg, buffer_error(&selector), "--selector is too long")
                                : pods_list(kube, namespace_, selector.data, msg, &found);
    if (r == 0 && json_array_size(found) == 0)
        r = errmsg_set(msg, -ENOENT, "no pods in the namespace %s have the labels \"%s\"", namespace_, labels);
    if (r == 0)
        json_array_extend(pods, found);
    json_decref(found);
    buffer_release(&selector);
    return r;
}

static int find_pods(const struct options *options, struct kube *kube, const struct words *names, struct errmsg *msg, json_t *pods)
{
    char namespace_[256];
    int r = 0;

    snprintf(namespace_, sizeof(namespace_), "%.*s", SLICE_ARGS(*options->namespace_ ? slice_str(options->namespace_) : kube_namespace(kube)));
    for (size_t i = 0; r == 0 && i < names->count; i++)
        r = add_named(kube, namespace_, names->items[i], pods, msg);
    return r == 0 && *options->selector ? add_selected(kube, namespace_, options->selector, pods, msg) : r;
}

static int run_pods(const struct options *options, const struct words *names)
{
    struct errmsg msg = {""};
    json_t *pods = json_array();
    struct kube *kube = NULL;
    int status, r = kube_open(&options->kube, options->wait_ns, &msg, &kube);

    if (r == 0)
        r = find_pods(options, kube, names, &msg, pods);
    status = r < 0 ? complain("identity: %s", msg.text) : show_pods(options, kube, pods);
    json_decref(pods);
    kube_close(kube);
    return status;
}

/* What is there as a file, or looks like the path of one, is a file; with a colon it is an address, else a pod. */
static int run(void *opaque, const struct words *arguments)
{
    const struct options *options = opaque;
    const char *first = arguments->count ? arguments->items[0] : NULL;
    bool is_file = first && (strcmp(first, "-") == 0 || access(first, F_OK) == 0 || strstr(first, ".pem") || strstr(first, ".crt"));

    if (!first && !*options->selector)
        return complain("identity: which pods? Give their names, or --selector");
    if (!first || (!is_file && !strchr(first, ':')))
        return run_pods(options, arguments);
    if (arguments->count > 1 || *options->selector)
        return complain("identity: one file or address at a time; several may be pods alone");
    return show_one(options, first, is_file);
}

const struct command identity_command = {
    .name = "identity",
    .usage = "[POD...|FILE|HOST:PORT]",
    .summary = "Show the certificate of a workload",
    .about = "Asks the proxies of pods for the certificates that they have, through the API server; or a TLS server at an address; or reads\n"
             "a PEM file. Nothing of what is shown is verified; `linkerd check --proxy` does that.",
    .flags = FLAGS(flags),
    .options_size = sizeof(struct options),
    .min_arguments = 0,
    .max_arguments = WORDS_MAX,
    .run = run,
};
