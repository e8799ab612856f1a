#include "cli/install/install_webhooks.h"

#include <errno.h>
#include <stdio.h>

#include "cli/chart/values.h"
#include "cli/install/manifest.h"

#define CONFIGURATIONS "/apis/admissionregistration.k8s.io/v1/"

static const struct configuration {
    const char *kind, *plural, *name;
} configurations[] = {
    {"MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "linkerd-proxy-injector-webhook-config"},
    {"ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "linkerd-sp-validator-webhook-config"},
    {"ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "linkerd-policy-validator-webhook-config"},
};

static int get_configuration(const struct found *found, const struct configuration *of, struct errmsg *msg, json_t **ret_object)
{
    char path[512];
    int r;

    if (!found->kube) {
        *ret_object = json_incref(manifest_find(found->manifests, of->kind, NULL, of->name));
        return 0;
    }
    snprintf(path, sizeof(path), CONFIGURATIONS "%s/%s", of->plural, of->name);
    r = kube_get(found->kube, path, msg, ret_object);
    return r == -ENOENT ? 0 : r;
}

static bool has_authority(json_t *configuration)
{
    json_t *webhook;
    size_t i;

    json_array_foreach (json_object_get(configuration, "webhooks"), i, webhook)
        if (json_string_length(values_at(webhook, "clientConfig.caBundle")))
            return true;
    return false;
}

/* By what kubectl notes of what it has applied; where it notes nothing, fields have owners, and it may be one of them. */
static bool was_applied(json_t *configuration)
{
    json_t *annotations = json_object_get(json_object_get(configuration, "metadata"), "annotations");
    const char *text = json_string_value(json_object_get(annotations, "kubectl.kubernetes.io/last-applied-configuration"));
    json_t *applied = text ? json_loads(text, 0, NULL) : json_incref(configuration);
    bool has = has_authority(applied);

    json_decref(applied);
    return has;
}

int found_webhooks(const struct found *found, struct errmsg *msg, json_t **ret_objects)
{
    json_t *objects = json_array(), *object;
    int r = objects ? 0 : errmsg_set(msg, -ENOMEM, "out of memory");

    for (size_t i = 0; r == 0 && i < sizeof(configurations) / sizeof(configurations[0]); i++) {
        object = NULL;
        r = get_configuration(found, &configurations[i], msg, &object);
        if (r == 0 && object && was_applied(object) && json_array_append(objects, object) < 0)
            r = errmsg_set(msg, -ENOMEM, "out of memory");
        json_decref(object);
    }
    if (r < 0)
        json_decref(objects);
    else
        *ret_objects = objects;
    return r;
}
