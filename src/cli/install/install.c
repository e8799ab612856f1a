/* `linkerd install`: the manifests of the charts, as Helm renders them, on standard output. */
#include <errno.h>
#include <stdio.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/chart/chart.h"
#include "cli/chart/values.h"
#include "cli/command.h"
#include "cli/files.h"
#include "cli/install/install_cluster.h"
#include "cli/install/install_flags.h"
#include "cli/install/install_identity.h"
#include "cli/install/install_render.h"
#include "cli/install/install_values.h"

static const char COMMAND[] = "install";

struct install {
    struct install_flags flags; /* first: its table is behind the one below */
    bool ignore_cluster;
};

static const struct flag rows[] = {
    {"ignore-cluster", 0, FLAG_SWITCH, offsetof(struct install, ignore_cluster), .help = "Do not ask the cluster what it has"},
    INSTALL_TEXT("cluster-domain", cluster_domain, "NAME", "DNS domain of the cluster (default cluster.local)"),
    INSTALL_SWITCH("identity-external-ca", external_ca, "The ConfigMap of trust anchors is made by somebody else"),
    INSTALL_SWITCH("identity-external-issuer", external_issuer, "The issuer's Secret is made by somebody else (kubernetes.io/tls)"),
    INSTALL_TEXT("identity-trust-domain", trust_domain, "NAME", "Domain of the identities instead of the cluster's"),
    INSTALL_SWITCH("skip-checks", skip_checks, "Of Linkerd 2.8: has no effect"),
};

/* --- the cluster --- */

static const int64_t TIMEOUT_NS = 30 * NS_PER_S;

/* Which definitions the cluster has already decides which are printed. */
static int ask_for_definitions(struct kube *kube, json_t *values, struct errmsg *msg)
{
    char foreign[256];
    int r = values_at(values, "installGatewayAPI") ? 0 : cluster_foreign_gateway(kube, msg, foreign, sizeof(foreign));

    if (r < 0 || values_at(values, "installGatewayAPI") || !*foreign)
        return r;
    complain("%s: the cluster has the Gateway API from elsewhere (%s): its definitions are left as they are", COMMAND, foreign);
    return values_put(values, "installGatewayAPI", json_false());
}

static int ask(struct kube *kube, const struct install_flags *flags, json_t *values, struct errmsg *msg)
{
    int r = cluster_check_version(kube, msg);

    if (r < 0 && r != -ENOTSUP)
        return errmsg_prefix(msg, r, "the cluster cannot be asked (--ignore-cluster prints the manifests without)");
    if (r == 0 && flags->crds)
        return ask_for_definitions(kube, values, msg);
    if (r == 0)
        r = cluster_check_no_installation(kube, flags->namespace_, msg);
    return r == 0 ? cluster_check_definitions(kube, msg) : r;
}

static int ask_cluster(const struct install_flags *flags, json_t *values, struct errmsg *msg)
{
    struct kube *kube = NULL;
    int r = kube_open(&flags->kube, TIMEOUT_NS, msg, &kube);

    if (r < 0)
        return errmsg_prefix(msg, r, "the cluster cannot be asked (--ignore-cluster prints the manifests without)");
    r = ask(kube, flags, values, msg);
    kube_close(kube);
    return r;
}

/* --- the command --- */

/* What only this command knows, unless the user says otherwise. */
static int own_values(const struct install_flags *flags, json_t *values, struct errmsg *msg)
{
    int r;

    if (flags->crds)
        return values_at(values, "installGatewayAPI") ? 0 : values_put(values, "installGatewayAPI", json_true());
    r = install_values_renamed(CHART_CONTROL_PLANE, values, COMMAND, msg);
    return r == 0 ? install_identity(values, wall_now(), msg) : r;
}

static int install(const struct install *options, json_t *values, struct errmsg *msg, struct buffer *problems, struct buffer *text)
{
    const struct install_flags *flags = &options->flags;
    int r = namespace_check(flags->namespace_, msg);

    if (r == 0)
        r = install_values_given(flags, values, msg);
    if (r == 0 && !options->ignore_cluster)
        r = ask_cluster(flags, values, msg);
    if (r == 0)
        r = own_values(flags, values, msg);
    if (r == 0)
        r = install_render(flags->crds ? CHART_CRDS : CHART_CONTROL_PLANE, flags->namespace_, values, NULL, msg, problems, text);
    return r == 0 ? install_print(flags->output, buffer_slice(text), msg) : r;
}

static int install_main(void *options, const struct words *arguments)
{
    const struct install *install_options = options;
    json_t *values = json_object();
    struct buffer problems, text;
    struct errmsg msg = {""};
    int status;

    install_flags_warn(&install_options->flags, COMMAND);
    buffer_init(&problems, LIMIT_TEMPLATE_FILE);
    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    status = install_report(COMMAND, install(install_options, values, &msg, &problems, &text), &msg, &problems);
    install_text_release(&text);
    buffer_release(&problems);
    json_decref(values);
    return status;
}

const struct command install_command = {
    .name = "install",
    .usage = "",
    .summary = "Print the manifests of the control plane",
    .about = "Prints what Kubernetes needs to run the mesh, for kubectl apply:\n\n"
             "  linkerd install --crds | kubectl apply --server-side -f -\n"
             "  linkerd install | kubectl apply -f -\n\n"
             "The manifests are those of the charts linkerd-crds and linkerd-control-plane, which Helm can install as well. The cluster is asked\n"
             "before whether it is new enough, has the definitions and has no control plane yet. Without a trust anchor and an issuer, new ones are\n"
             "made: an anchor of ten years, whose key is forgotten, and an issuer of one.",
    .flags = FLAGS_AND(rows, install_flags),
    .options_size = sizeof(struct install),
    .run = install_main,
};
