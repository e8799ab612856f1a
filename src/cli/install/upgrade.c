/* `linkerd upgrade`: the manifests of an installation with this program's charts, its values kept but for what is given now. */
#include "cli/install/upgrade.h"

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
#include "cli/install/install_webhooks.h"
#include "cli/install/manifest.h"
#include "cli/install/upgrade_trust.h"

static const char COMMAND[] = "upgrade";
static const int64_t TIMEOUT_NS = 30 * NS_PER_S;

struct upgrade {
    struct install_flags flags; /* first: its table is behind the one below */
    bool force, addon_overwrite;
    const char *from_manifests;
};

static const struct flag rows[] = {
    {"force", 0, FLAG_SWITCH, offsetof(struct upgrade, force), .help = "Go on where proxies would not trust one another any more"},
    {"from-manifests", 0, FLAG_TEXT, offsetof(struct upgrade, from_manifests), .value = "FILE",
     .help = "Read what is installed from manifests instead of the cluster; - is standard input"},
    {"addon-overwrite", 0, FLAG_SWITCH, offsetof(struct upgrade, addon_overwrite), .help = "Of Linkerd 2.8: has no effect"},
};

int upgrade_values(const struct found *found, struct errmsg *msg, json_t **ret_values)
{
    json_t *values = NULL;
    int r = found_values(found, msg, &values);

    if (r == 0)
        r = install_values_renamed(CHART_CONTROL_PLANE, values, found->command, msg);
    if (r == 0)
        r = found_identity(found, values, msg);
    if (r == 0)
        *ret_values = values;
    else
        json_decref(values);
    return r;
}

/* --- the definitions --- */

static int definitions(const struct found *found, const struct install_flags *flags, json_t *values, struct errmsg *msg)
{
    char foreign[256] = "";
    int r = install_values_given(flags, values, msg);

    if (r == 0 && values_at(values, "installGatewayAPI"))
        return 0;
    if (r == 0 && found->kube)
        r = cluster_foreign_gateway(found->kube, msg, foreign, sizeof(foreign));
    if (r == 0 && *foreign)
        complain("%s: the cluster has the Gateway API from elsewhere (%s): its definitions are left as they are", COMMAND, foreign);
    return r == 0 ? values_put(values, "installGatewayAPI", json_boolean(!*foreign)) : r;
}

/* --- the control plane --- */

static int control_plane(const struct found *found, const struct upgrade *options, json_t *values, struct errmsg *msg)
{
    json_t *kept = NULL;
    int64_t now_ns = wall_now();
    int r = upgrade_values(found, msg, &kept);

    if (r == 0)
        r = values_merge(values, kept);
    if (r == 0)
        r = install_values_given(&options->flags, values, msg);
    if (r == 0)
        r = install_values_renamed(CHART_CONTROL_PLANE, values, COMMAND, msg);
    if (r == 0)
        r = found_selector(found, values, msg);
    if (r == 0)
        r = found_identity_check(values, msg);
    if (r == 0)
        r = install_identity(values, now_ns, msg);
    if (r == 0 && !options->force)
        r = upgrade_trust_check(found, values, now_ns, msg);
    if (r == 0 && found->kube)
        r = cluster_check_definitions(found->kube, msg);
    json_decref(kept);
    return r;
}

/* --- where from --- */

static int open_manifests(const char *path, struct errmsg *msg, struct found *found)
{
    struct buffer text;
    int r;

    buffer_init(&text, LIMIT_PEM);
    r = file_read(path, msg, &text);
    if (r == 0)
        r = manifest_read(buffer_slice(&text), path, msg, &found->manifests);
    install_text_release(&text);
    return r;
}

static int open_found(const struct upgrade *options, struct errmsg *msg, struct found *found)
{
    int r;

    if (*options->from_manifests)
        return open_manifests(options->from_manifests, msg, found);
    r = kube_open(&options->flags.kube, TIMEOUT_NS, msg, &found->kube);
    return r == 0 ? cluster_check_version(found->kube, msg) : r;
}

static int upgrade(const struct upgrade *options, json_t *values, struct errmsg *msg, struct buffer *problems, struct buffer *text)
{
    const struct install_flags *flags = &options->flags;
    struct found found = {NULL, NULL, flags->namespace_, COMMAND};
    json_t *webhooks = NULL;
    int r = namespace_check(flags->namespace_, msg);

    if (r == 0)
        r = open_found(options, msg, &found);
    if (r == 0)
        r = flags->crds ? definitions(&found, flags, values, msg) : control_plane(&found, options, values, msg);
    if (r == 0)
        r = found_webhooks(&found, msg, &webhooks);
    if (r == 0)
        r = install_render(flags->crds ? CHART_CRDS : CHART_CONTROL_PLANE, flags->namespace_, values, webhooks, msg, problems, text);
    if (r == 0)
        r = install_print(flags->output, buffer_slice(text), msg);
    json_decref(webhooks);
    json_decref(found.manifests);
    kube_close(found.kube);
    return r;
}

static int upgrade_main(void *options, const struct words *arguments)
{
    const struct upgrade *upgrade_options = options;
    json_t *values = json_object();
    struct buffer problems, text;
    struct errmsg msg = {""};
    int status;

    install_flags_warn(&upgrade_options->flags, COMMAND);
    if (upgrade_options->addon_overwrite)
        complain("%s: --addon-overwrite of Linkerd 2.8 has no successor and no effect", COMMAND);
    buffer_init(&problems, LIMIT_TEMPLATE_FILE);
    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    status = install_report(COMMAND, upgrade(upgrade_options, values, &msg, &problems, &text), &msg, &problems);
    install_text_release(&text);
    buffer_release(&problems);
    json_decref(values);
    return status;
}

const struct command upgrade_command = {
    .name = "upgrade",
    .usage = "",
    .summary = "Print the manifests of an installation, brought to this version",
    .about = "Prints the manifests anew, with the values and the identity that the installation has, but for what is given now:\n\n"
             "  linkerd upgrade --crds | kubectl apply --server-side -f -\n"
             "  linkerd upgrade | kubectl apply -f -\n"
             "  linkerd prune | kubectl delete -f -\n\n"
             "Defaults below are those of an installation; an upgrade keeps what was said then.",
    .flags = FLAGS_AND(rows, install_flags),
    .options_size = sizeof(struct upgrade),
    .run = upgrade_main,
};
