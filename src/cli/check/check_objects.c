/* What `linkerd check` says of the objects of an installation that only need to be there. */
#include "cli/check/check_objects.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/cluster/pods.h"

const char *const mesh_definitions[] = {
    "authorizationpolicies.policy.linkerd.io", "egressnetworks.policy.linkerd.io", "externalworkloads.workload.linkerd.io",
    "httplocalratelimitpolicies.policy.linkerd.io", "httproutes.policy.linkerd.io", "meshtlsauthentications.policy.linkerd.io",
    "networkauthentications.policy.linkerd.io", "serverauthorizations.policy.linkerd.io", "servers.policy.linkerd.io",
    "serviceprofiles.linkerd.io", NULL,
};

bool definition_serves(const json_t *definition, const char *versions)
{
    bool established = false, serves = false;
    json_t *item;
    size_t i;

    json_array_foreach (json_at(definition, "status.conditions"), i, item)
        established |= strcmp(json_text(item, "type"), "Established") == 0 && strcmp(json_text(item, "status"), "True") == 0;
    json_array_foreach (json_at(definition, "spec.versions"), i, item) {
        char name[64];

        snprintf(name, sizeof(name), "|%s|", json_text(item, "name"));
        serves |= json_is_true(json_object_get(item, "served")) && (!*versions || strstr(versions, name));
    }
    return established && serves;
}

int test_definitions(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};

    for (const char *const *name = mesh_definitions; *name; name++) {
        json_t *definition;
        int r = cluster_get(cluster, why, &definition, "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/%s", *name);

        if (r == -ENOENT) {
            culprits_add(&culprits, "%s", *name);
            continue;
        }
        if (r < 0)
            return r;
        if (!definition_serves(definition, ""))
            culprits_add(&culprits, "%s (there, but not in force)", *name);
        json_decref(definition);
    }
    return culprits_end(&culprits, "missing: ", why);
}

const struct cluster_row check_crd_rows[] = {
    {"l5d-existence-crd", "the resource definitions are in force", ROW_FATAL | ROW_RETRIES, test_definitions},
};

/* `format` has no %s, or one for the namespace. */
static void with_namespace(const struct cluster *cluster, const char *format, char out[256])
{
    const char *at = strstr(format, "%s");

    snprintf(out, 256, "%.*s%s%s", (int)(at ? at - format : (int)strlen(format)), format, at ? cluster->namespace_ : "", at ? at + 2 : "");
}

static int look_for(struct cluster *cluster, const char *path, const char *name, struct culprits *culprits, struct errmsg *why)
{
    char where[256], what[256];
    json_t *object;
    int r;

    with_namespace(cluster, path, where);
    with_namespace(cluster, name, what);
    r = cluster_get(cluster, why, &object, "%s/%s", where, what);
    if (r == 0)
        json_decref(object);
    if (r == -ENOENT)
        culprits_add(culprits, "%s", what);
    return r == -ENOENT ? 0 : r;
}

int test_expected(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    const struct expected *expected = row->about;
    struct culprits culprits = {0};
    int r = 0;

    for (size_t i = 0; r == 0 && expected->names[i]; i++)
        r = look_for(cluster, expected->path, expected->names[i], &culprits, why);
    if (r == 0 && expected->heartbeat && !cluster_value_is(cluster, "disableHeartBeat"))
        r = look_for(cluster, expected->path, expected->heartbeat, &culprits, why);
    return r < 0 ? r : culprits_end(&culprits, "missing: ", why);
}

#define RBAC "/apis/rbac.authorization.k8s.io/v1/"
#define ADMISSION "/apis/admissionregistration.k8s.io/v1/"

static const struct expected namespaces = {"/api/v1/namespaces", {"%s"}, NULL};
static const struct expected cluster_roles = {
    RBAC "clusterroles", {"linkerd-%s-identity", "linkerd-%s-destination", "linkerd-policy", "linkerd-%s-proxy-injector"}, "linkerd-heartbeat"};
static const struct expected cluster_role_bindings = {RBAC "clusterrolebindings",
    {"linkerd-%s-identity", "linkerd-%s-destination", "linkerd-destination-policy", "linkerd-%s-proxy-injector"}, "linkerd-heartbeat"};
static const struct expected service_accounts = {
    "/api/v1/namespaces/%s/serviceaccounts", {"linkerd-identity", "linkerd-destination", "linkerd-proxy-injector"}, "linkerd-heartbeat"};
static const struct expected mutating = {ADMISSION "mutatingwebhookconfigurations", {"linkerd-proxy-injector-webhook-config"}, NULL};
static const struct expected validating = {
    ADMISSION "validatingwebhookconfigurations", {"linkerd-sp-validator-webhook-config", "linkerd-policy-validator-webhook-config"}, NULL};

static int find_docker(void *owner, json_t *node, struct errmsg *msg)
{
    if (strncmp(json_text(node, "status.nodeInfo.containerRuntimeVersion"), "docker://", 9) == 0)
        culprits_add(owner, "%s", json_text(node, "metadata.name"));
    return 0;
}

/* Docker gives a user without capabilities none, whatever the container asks for. */
static int test_init_user(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct culprits culprits = {0};
    int r;

    if (cluster_value_is(cluster, "cniEnabled") || cluster_value_is(cluster, "proxyInit.runAsRoot"))
        return ROW_SKIP;
    r = cluster_each(cluster, find_docker, &culprits, why, "/api/v1/nodes");
    return r < 0 ? r : culprits_end(&culprits, "proxyInit.runAsRoot=true is needed on nodes that run Docker: ", why);
}

const struct cluster_row check_config_rows[] = {
    {"l5d-existence-ns", "the namespace of the control plane is there", ROW_FATAL, test_expected, &namespaces},
    {"l5d-existence-cr", "its ClusterRoles are there", ROW_FATAL, test_expected, &cluster_roles},
    {"l5d-existence-crb", "its ClusterRoleBindings are there", ROW_FATAL, test_expected, &cluster_role_bindings},
    {"l5d-existence-sa", "its ServiceAccounts are there", ROW_FATAL, test_expected, &service_accounts},
    {"l5d-existence-crd", "the resource definitions are in force", ROW_FATAL, test_definitions},
    {"l5d-existence-mwc", "its MutatingWebhookConfiguration is there", ROW_FATAL, test_expected, &mutating},
    {"l5d-existence-vwc", "its ValidatingWebhookConfigurations are there", ROW_FATAL, test_expected, &validating},
    {"l5d-proxy-init-run-as-root", "linkerd-init has the user that the nodes' runtime needs", 0, test_init_user},
};

/* --- the CNI plugin --- */

static bool wants_cni(const struct cluster *cluster)
{
    return cluster->options->cni_enabled || cluster_value_is(cluster, "cniEnabled");
}

/* As test_expected(), in the namespace of the plugin. */
static int test_cni_object(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    const char *format = row->about, *at = strstr(format, "%s");
    json_t *object;
    int r;

    if (!wants_cni(cluster))
        return ROW_SKIP;
    r = cluster_get(cluster, why, &object, "%.*s%s%s", (int)(at ? at - format : (int)strlen(format)), format,
                    at ? cluster->options->cni_namespace : "", at ? at + 2 : "");
    if (r == 0)
        json_decref(object);
    return r;
}

static int test_cni_ready(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    json_int_t wanted, ready;
    json_t *set;
    int r;

    if (!wants_cni(cluster))
        return ROW_SKIP;
    r = cluster_get(cluster, why, &set, "/apis/apps/v1/namespaces/%s/daemonsets/linkerd-cni", cluster->options->cni_namespace);
    if (r < 0)
        return r;
    wanted = json_integer_value(json_at(set, "status.desiredNumberScheduled"));
    ready = json_integer_value(json_at(set, "status.numberReady"));
    json_decref(set);
    if (wanted > 0 && ready >= wanted)
        return 0;
    return errmsg_set(why, -EAGAIN, "the plugin is ready on %lld of %lld nodes", (long long)ready, (long long)wanted);
}

const struct cluster_row check_cni_rows[] = {
    {"cni-plugin-cm-exists", "the plugin's ConfigMap is there", ROW_FATAL, test_cni_object, "/api/v1/namespaces/%s/configmaps/linkerd-cni-config"},
    {"cni-plugin-cr-exists", "the plugin's ClusterRole is there", ROW_FATAL, test_cni_object, RBAC "clusterroles/linkerd-cni"},
    {"cni-plugin-crb-exists", "the plugin's ClusterRoleBinding is there", ROW_FATAL, test_cni_object, RBAC "clusterrolebindings/linkerd-cni"},
    {"cni-plugin-sa-exists", "the plugin's ServiceAccount is there", ROW_FATAL, test_cni_object, "/api/v1/namespaces/%s/serviceaccounts/linkerd-cni"},
    {"cni-plugin-ds-exists", "the plugin's DaemonSet is there", ROW_FATAL, test_cni_object, "/apis/apps/v1/namespaces/%s/daemonsets/linkerd-cni"},
    {"cni-plugin-ready", "the plugin is ready on all nodes", ROW_FATAL | ROW_RETRIES, test_cni_ready},
};
