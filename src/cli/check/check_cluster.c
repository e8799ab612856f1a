#include "cli/check/check_cluster.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"
#include "cli/cluster/pods.h"
#include "event/loop.h"
#include "event/sys.h"

static const int64_t PAUSE_NS = NS_PER_S;

static const struct cluster_category categories[] = {
    {"kubernetes-api", MODE_ALL, ROWS(check_api_rows)},
    {"kubernetes-version", MODE_ALL, ROWS(check_version_rows)},
    {"gateway-api-crd", MODE_ALL, ROWS(check_gateway_rows)},
    {"pre-kubernetes-setup", MODE_PRE, ROWS(check_pre_rows)},
    {"pre-linkerd-global-resources", MODE_PRE, ROWS(check_global_rows)},
    {"linkerd-crd", MODE_CRDS, ROWS(check_crd_rows)},
    {"linkerd-existence", MODE_INSTALLED, ROWS(check_existence_rows)},
    {"linkerd-config", MODE_INSTALLED, ROWS(check_config_rows)},
    {"linkerd-cni-plugin", MODE_INSTALLED | MODE_PRE, ROWS(check_cni_rows)},
    {"linkerd-identity", MODE_INSTALLED, ROWS(check_trust_rows)},
    {"linkerd-webhooks-and-apisvc-tls", MODE_INSTALLED, ROWS(check_webhook_rows)},
    {"linkerd-identity-data-plane", MODE_PROXY, ROWS(check_trust_proxy_rows)},
    {"linkerd-version", MODE_ALL, ROWS(check_cli_version_rows)},
    {"control-plane-version", MODE_DEFAULT, ROWS(check_control_version_rows)},
    {"linkerd-control-plane-proxy", MODE_INSTALLED, ROWS(check_control_proxy_rows)},
    {"linkerd-data-plane", MODE_PROXY, ROWS(check_data_rows)},
    {"linkerd-injection", MODE_INSTALLED, ROWS(check_injection_rows)},
    {"linkerd-ha-checks", MODE_INSTALLED, ROWS(check_ha_rows)},
    {"linkerd-extension-checks", MODE_DEFAULT, ROWS(check_extension_rows)},
};

/* --- trying again --- */

static int64_t left(const struct checks *checks)
{
    struct sys *sys = sys_linux();

    return checks->deadline_ns - sys->ops->now(sys);
}

/* On a terminal one sees what is waited for. */
static void show_waiting(const struct checks *checks, const char *why)
{
    if (checks->colour && checks->format != CHECK_JSON)
        fprintf(checks->out, why ? "\r\033[K  waiting: %.100s" : "\r\033[K", why);
    fflush(checks->out);
}

static void pause_before_retry(const struct checks *checks, const char *why)
{
    int64_t wait_ns = PAUSE_NS < left(checks) ? PAUSE_NS : left(checks);
    struct loop loop;

    show_waiting(checks, why);
    if (loop_init(&loop, sys_linux(), 1) == 0) {
        loop_turn(&loop, wait_ns);
        loop_release(&loop);
    }
    show_waiting(checks, NULL);
}

static int run_row(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    int r;

    while ((r = row->test(cluster, row, why)) < 0 && (row->flags & ROW_RETRIES) && left(cluster->checks) > 0)
        pause_before_retry(cluster->checks, why->text);
    return r;
}

/* False when nothing behind it makes sense. */
static bool add_row(struct cluster *cluster, const struct cluster_row *row)
{
    struct check_row shown = {.anchor = row->anchor};
    int r = run_row(cluster, row, &shown.error);

    if (r == ROW_SKIP)
        return true;
    errmsg_set(&shown.what, 0, "%s", row->what);
    if (r < 0) {
        shown.result = row->flags & ROW_WARNS ? CHECK_WARNING : CHECK_ERROR;
        if (!*shown.error.text)
            errmsg_set(&shown.error, r, "%s", strerror(-r));
    }
    checks_add(cluster->checks, &shown);
    return r == 0 || !(row->flags & ROW_FATAL);
}

static unsigned mode_of(const struct check_options *options)
{
    return options->pre ? MODE_PRE : options->crds ? MODE_CRDS : options->proxy ? MODE_PROXY : MODE_DEFAULT;
}

static void run_categories(struct cluster *cluster)
{
    unsigned mode = mode_of(cluster->options);

    for (size_t i = 0; i < sizeof(categories) / sizeof(categories[0]); i++) {
        if (!(categories[i].modes & mode))
            continue;
        checks_begin(cluster->checks, categories[i].name);
        for (size_t k = 0; k < categories[i].count; k++)
            if (!add_row(cluster, &categories[i].rows[k]))
                return;
    }
}

void check_cluster(struct checks *checks)
{
    struct cluster cluster = {.checks = checks, .options = checks->options, .namespace_ = checks->options->linkerd_namespace};

    run_categories(&cluster);
    json_decref(cluster.version);
    json_decref(cluster.values);
    x509_bundle_release(&cluster.anchors);
    x509_bundle_release(&cluster.issuer);
    kube_close(cluster.kube);
}

/* --- for the rows --- */

int cluster_get(struct cluster *cluster, struct errmsg *msg, json_t **ret_object, const char *path, ...)
{
    char text[1024];
    va_list args;

    va_start(args, path);
    vsnprintf(text, sizeof(text), path, args);
    va_end(args);
    return kube_get(cluster->kube, text, msg, ret_object);
}

int cluster_each(struct cluster *cluster, kube_each *each, void *owner, struct errmsg *msg, const char *path, ...)
{
    char text[1024];
    va_list args;

    va_start(args, path);
    vsnprintf(text, sizeof(text), path, args);
    va_end(args);
    return kube_list(cluster->kube, text, each, owner, msg);
}

const char *cluster_value(const struct cluster *cluster, const char *path)
{
    return json_text(cluster->values, path);
}

bool cluster_value_is(const struct cluster *cluster, const char *path)
{
    return json_is_true(json_at(cluster->values, path));
}

enum { CULPRITS_NAMED = 5 };

void culprits_add(struct culprits *culprits, const char *format, ...)
{
    size_t len = strlen(culprits->text);
    va_list args;

    if (culprits->count++ >= CULPRITS_NAMED)
        return;
    if (culprits->count > 1)
        len += (size_t)snprintf(culprits->text + len, sizeof(culprits->text) - len, "; ");
    if (len >= sizeof(culprits->text))
        return;
    va_start(args, format);
    vsnprintf(culprits->text + len, sizeof(culprits->text) - len, format, args);
    va_end(args);
}

int culprits_end(const struct culprits *culprits, const char *what, struct errmsg *why)
{
    if (culprits->count == 0)
        return 0;
    if (culprits->count <= CULPRITS_NAMED)
        return errmsg_set(why, -EBADMSG, "%s%s", what, culprits->text);
    return errmsg_set(why, -EBADMSG, "%s%s; and %u more", what, culprits->text, culprits->count - CULPRITS_NAMED);
}
