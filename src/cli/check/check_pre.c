/* `linkerd check --pre`: whether the mesh could be installed here. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/duration.h"
#include "cli/check/check_cluster.h"
#include "cli/check/check_objects.h"
#include "cli/cluster/pods.h"
#include "cli/files.h"

static int test_namespace_absent(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    json_t *object;
    int r = cluster_get(cluster, why, &object, "/api/v1/namespaces/%s", cluster->namespace_);

    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    json_decref(object);
    return errmsg_set(why, -EEXIST, "the namespace %s exists", cluster->namespace_);
}

/* --- rights --- */

struct right {
    const char *verb, *group, *resource, *name;
    const char *namespace_; /* NULL: of the control plane; "": of the cluster */
};

/* SelfSubjectAccessReview: 0 when allowed. */
static int may(struct cluster *cluster, const struct right *right, struct culprits *culprits, struct errmsg *why)
{
    const char *namespace_ = right->namespace_ ? right->namespace_ : cluster->namespace_;
    json_t *answer = NULL, *review = json_pack(
        "{s:s, s:s, s:{s:{s:s, s:s, s:s, s:s, s:s}}}", "apiVersion", "authorization.k8s.io/v1", "kind", "SelfSubjectAccessReview", "spec",
        "resourceAttributes", "verb", right->verb, "group", right->group, "resource", right->resource, "name", right->name ? right->name : "",
        "namespace", namespace_);
    int r = review ? kube_send(cluster->kube, "POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", NULL, review, why, &answer)
                   : errmsg_set(why, -ENOMEM, "out of memory");

    if (r == 0 && !json_is_true(json_at(answer, "status.allowed"))) {
        const char *reason = json_text(answer, "status.reason");

        culprits_add(culprits, "%s %s%s%s", right->verb, right->resource, *reason ? ": " : "", reason);
    }
    json_decref(review);
    json_decref(answer);
    return r;
}

/* row->about is an array that ends with one without verb. */
static int test_rights(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    int r = 0;

    for (const struct right *right = row->about; r == 0 && right->verb; right++)
        r = may(cluster, right, &culprits, why);
    return r < 0 ? r : culprits_end(&culprits, "not allowed: ", why);
}

#define RBAC "rbac.authorization.k8s.io"

static const struct right of_cluster[] = {
    {"create", "", "namespaces", NULL, ""},
    {"create", RBAC, "clusterroles", NULL, ""},
    {"create", RBAC, "clusterrolebindings", NULL, ""},
    {"create", "apiextensions.k8s.io", "customresourcedefinitions", NULL, ""},
    {"create", "admissionregistration.k8s.io", "mutatingwebhookconfigurations", NULL, ""},
    {"create", "admissionregistration.k8s.io", "validatingwebhookconfigurations", NULL, ""},
    {NULL},
};
static const struct right service_accounts[] = {{"create", "", "serviceaccounts"}, {NULL}};
static const struct right services[] = {{"create", "", "services"}, {NULL}};
static const struct right deployments[] = {{"create", "apps", "deployments"}, {NULL}};
static const struct right cron_jobs[] = {{"create", "batch", "cronjobs"}, {NULL}};
static const struct right config_maps[] = {{"create", "", "configmaps"}, {NULL}};
static const struct right secrets[] = {{"create", "", "secrets"}, {NULL}};
static const struct right read_secrets[] = {{"get", "", "secrets"}, {NULL}};
static const struct right front_proxy[] = {{"get", "", "configmaps", "extension-apiserver-authentication", "kube-system"}, {NULL}};

/* --- clocks --- */

enum { LATE_LEASE_S = 60, LATE_STATUS_S = 360, EARLY_S = 20, CLOCKS_MAX = 8192 };

static const int64_t BAD_TIME = INT64_MIN;

/* "2026-11-25T21:00:00Z", "...00.123456Z", in seconds since 1970. */
static int64_t time_of(const char *text)
{
    struct tm tm = {0};
    const char *rest = strptime(text, "%Y-%m-%dT%H:%M:%S", &tm);

    return rest && (*rest == 'Z' || *rest == '.') ? (int64_t)timegm(&tm) : BAD_TIME;
}

struct clocks {
    struct culprits culprits;
    json_t *leases; /* name of the node: when it was renewed */
    int64_t now_s;
};

static int take_lease(void *owner, json_t *lease, struct errmsg *msg)
{
    json_t *leases = owner;
    int64_t at = time_of(json_text(lease, "spec.renewTime"));

    if (at != BAD_TIME && json_object_size(leases) < CLOCKS_MAX)
        json_object_set_new(leases, json_text(lease, "metadata.name"), json_integer(at));
    return 0;
}

static void judge(struct clocks *clocks, const char *node, int64_t at, int64_t late_s)
{
    char text[DURATION_TEXT_MAX];
    int64_t ahead_s = at - clocks->now_s;

    if (ahead_s > EARLY_S)
        culprits_add(&clocks->culprits, "%s: its clock is ahead of this one by %s", node, duration_format(ahead_s * NS_PER_S, text));
    else if (-ahead_s > late_s)
        culprits_add(&clocks->culprits, "%s: its last sign of life is %s old by this clock", node, duration_format(-ahead_s * NS_PER_S, text));
}

static int look_at_node(void *owner, json_t *node, struct errmsg *msg)
{
    struct clocks *clocks = owner;
    const char *name = json_text(node, "metadata.name");
    json_t *lease = json_object_get(clocks->leases, name), *condition;
    size_t i;

    json_array_foreach (json_at(node, "status.conditions"), i, condition) {
        int64_t at = time_of(json_text(condition, "lastHeartbeatTime"));

        if (strcmp(json_text(condition, "type"), "Ready") != 0 || strcmp(json_text(condition, "status"), "True") != 0)
            continue; /* one that is not ready may be silent for good reason */
        if (lease)
            judge(clocks, name, json_integer_value(lease), LATE_LEASE_S);
        else if (at != BAD_TIME)
            judge(clocks, name, at, LATE_STATUS_S);
    }
    return 0;
}

static int test_clocks(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct clocks clocks = {.leases = json_object()};
    int r = cluster_each(cluster, take_lease, clocks.leases, why, "/apis/coordination.k8s.io/v1/namespaces/kube-node-lease/leases");

    clocks.now_s = wall_now() / NS_PER_S;
    if (r == 0 || r == -EACCES)
        r = cluster_each(cluster, look_at_node, &clocks, why, "/api/v1/nodes");
    json_decref(clocks.leases);
    return r < 0 ? r : culprits_end(&clocks.culprits, "", why);
}

const struct cluster_row check_pre_rows[] = {
    {"pre-ns", "the namespace of the control plane is not there yet", 0, test_namespace_absent},
    {"pre-k8s-cluster-k8s", "may create objects of the cluster", 0, test_rights, of_cluster},
    {"pre-k8s", "may create ServiceAccounts", 0, test_rights, service_accounts},
    {"pre-k8s", "may create Services", 0, test_rights, services},
    {"pre-k8s", "may create Deployments", 0, test_rights, deployments},
    {"pre-k8s", "may create CronJobs", 0, test_rights, cron_jobs},
    {"pre-k8s", "may create ConfigMaps", 0, test_rights, config_maps},
    {"pre-k8s", "may create Secrets", 0, test_rights, secrets},
    {"pre-k8s", "may read Secrets", 0, test_rights, read_secrets},
    {"pre-k8s", "may read the ConfigMap extension-apiserver-authentication", 0, test_rights, front_proxy},
    {"pre-k8s-clock-skew", "the clocks of the nodes agree with this one", ROW_WARNS, test_clocks},
};

/* --- what an earlier installation left --- */

static int add_name(void *owner, json_t *object, struct errmsg *msg)
{
    culprits_add(owner, "%s", json_text(object, "metadata.name"));
    return 0;
}

static int test_absent(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    int r = cluster_each(cluster, add_name, &culprits, why, "%s?labelSelector=linkerd.io%%2Fcontrol-plane-ns", (const char *)row->about);

    return r < 0 ? r : culprits_end(&culprits, "of an earlier installation: ", why);
}

/* They outlive an installation on purpose, since removing them removes what users wrote. */
static int test_definitions_free(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    for (const char *const *name = mesh_definitions; *name; name++) {
        json_t *definition;
        const char *owner;
        int r = cluster_get(cluster, why, &definition, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", *name);

        if (r == -ENOENT)
            continue;
        if (r < 0)
            return r;
        owner = json_string_value(json_object_get(json_at(definition, "metadata.labels"), "linkerd.io/control-plane-ns"));
        if (json_at(definition, "metadata.deletionTimestamp"))
            culprits_add(&culprits, "%s is being deleted", *name);
        else if (owner && strcmp(owner, cluster->namespace_) != 0)
            culprits_add(&culprits, "%s belongs to the control plane in the namespace %s", *name, owner);
        json_decref(definition);
    }
    return culprits_end(&culprits, "", why);
}

#define RBAC_PATH "/apis/rbac.authorization.k8s.io/v1/"
#define ADMISSION "/apis/admissionregistration.k8s.io/v1/"

const struct cluster_row check_global_rows[] = {
    {"pre-l5d-existence", "no ClusterRoles of an earlier installation", 0, test_absent, RBAC_PATH "clusterroles"},
    {"pre-l5d-existence", "no ClusterRoleBindings of an earlier installation", 0, test_absent, RBAC_PATH "clusterrolebindings"},
    {"pre-l5d-existence", "no resource definitions that are another's, or going away", 0, test_definitions_free},
    {"pre-l5d-existence", "no MutatingWebhookConfigurations of an earlier installation", 0, test_absent, ADMISSION "mutatingwebhookconfigurations"},
    {"pre-l5d-existence", "no ValidatingWebhookConfigurations of an earlier installation", 0, test_absent, ADMISSION "validatingwebhookconfigurations"},
};
