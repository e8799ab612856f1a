#include "cli/cluster/resources.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/install/manifest.h"

static const struct resource_kind kinds[] = {
    {"MutatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "mutatingwebhookconfigurations", false},
    {"ValidatingWebhookConfiguration", "admissionregistration.k8s.io/v1", "validatingwebhookconfigurations", false},
    {"APIService", "apiregistration.k8s.io/v1", "apiservices", false},
    {"CronJob", "batch/v1", "cronjobs", false},
    {"DaemonSet", "apps/v1", "daemonsets", false},
    {"Deployment", "apps/v1", "deployments", false},
    {"PodMonitor", "monitoring.coreos.com/v1", "podmonitors", false},
    {"PodDisruptionBudget", "policy/v1", "poddisruptionbudgets", false},
    {"Service", "v1", "services", false},
    {"Lease", "coordination.k8s.io/v1", "leases", false},
    {"Secret", "v1", "secrets", false},
    {"ConfigMap", "v1", "configmaps", false},
    {"RoleBinding", "rbac.authorization.k8s.io/v1", "rolebindings", false},
    {"Role", "rbac.authorization.k8s.io/v1", "roles", false},
    {"ClusterRoleBinding", "rbac.authorization.k8s.io/v1", "clusterrolebindings", false},
    {"ClusterRole", "rbac.authorization.k8s.io/v1", "clusterroles", false},
    {"ServiceAccount", "v1", "serviceaccounts", false},
    {"CustomResourceDefinition", "apiextensions.k8s.io/v1", "customresourcedefinitions", true},
    {"Namespace", "v1", "namespaces", true},
};

static const struct {
    const char *kind, *name;
} made[] = {
    {"Lease", "policy-controller-write"},
    {"Lease", "linkerd-destination-endpoint-write"},
    {"Secret", "linkerd-proxy-injector-k8s-tls"},
    {"Secret", "linkerd-sp-validator-k8s-tls"},
    {"Secret", "linkerd-policy-validator-k8s-tls"},
};

static const char *prefix_of(const struct resource_kind *kind)
{
    return strchr(kind->version, '/') ? "/apis/" : "/api/";
}

/* --- by the label --- */

struct walk {
    const struct resource_kind *kind;
    resource_each *each;
    void *owner;
};

static const char *text_of(json_t *metadata, const char *key)
{
    const char *text = json_string_value(json_object_get(metadata, key));

    return text ? text : "";
}

static int tell(void *owner, json_t *object, struct errmsg *msg)
{
    const struct walk *walk = owner;
    json_t *metadata = json_object_get(object, "metadata");
    const struct resource resource = {walk->kind, text_of(metadata, "namespace"), text_of(metadata, "name"), metadata};

    return json_array_size(json_object_get(metadata, "ownerReferences")) ? 0 : walk->each(walk->owner, &resource, msg);
}

int resources_each(struct kube *kube, const char *namespace_, resource_each *each, void *owner, struct errmsg *msg)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct walk walk = {&kinds[i], each, owner};
        char path[600];

        snprintf(path, sizeof(path), "%s%s/%s?labelSelector=linkerd.io%%2Fcontrol-plane-ns%%3D%s", prefix_of(&kinds[i]), kinds[i].version,
                 kinds[i].plural, namespace_);
        r = kube_list_metadata(kube, path, tell, &walk, msg);
        if (r == -ENOENT)
            r = 0;
    }
    return r;
}

/* --- by name --- */

static const struct resource_kind *kind_named(const char *name)
{
    size_t i = 0;

    while (strcmp(kinds[i].kind, name) != 0)
        i++;
    return &kinds[i];
}

int resources_made_each(struct kube *kube, const char *namespace_, resource_each *each, void *owner, struct errmsg *msg)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i < sizeof(made) / sizeof(made[0]); i++) {
        struct walk walk = {kind_named(made[i].kind), each, owner};
        json_t *object = NULL;
        char path[600];

        snprintf(path, sizeof(path), "%s%s/namespaces/%s/%s/%s", prefix_of(walk.kind), walk.kind->version, namespace_, walk.kind->plural, made[i].name);
        r = kube_get(kube, path, msg, &object);
        r = r == -ENOENT ? 0 : r < 0 ? r : tell(&walk, object, msg);
        json_decref(object);
    }
    return r;
}

/* --- printing --- */

void resource_print(const struct resource *resource, const char *output, struct buffer *out)
{
    const char *space = *resource->namespace_ ? resource->namespace_ : NULL;
    json_t *object;
    char *json;

    if (strcmp(output, "yaml") == 0) {
        buffer_printf(out, "---\napiVersion: %s\nkind: %s\nmetadata:\n  name: \"%s\"\n", resource->kind->version, resource->kind->kind, resource->name);
        if (space)
            buffer_printf(out, "  namespace: %s\n", space);
        return;
    }
    object = json_pack("{s:s, s:s, s:{s:s, s:s*}}", "apiVersion", resource->kind->version, "kind", resource->kind->kind, "metadata", "name",
                       resource->name, "namespace", space);
    json = object ? json_dumps(object, JSON_INDENT(2)) : NULL;
    if (json)
        buffer_printf(out, "%s\n", json);
    json_decref(object);
    free(json);
}
