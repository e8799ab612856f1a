#include "cli/install/install_cluster.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "cli/chart/chart.h"
#include "cli/chart/values.h"
#include "cli/install/manifest.h"

#define DEFINITIONS "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
#define GATEWAY "gateway.networking.k8s.io"

const char *cluster_path(char out[static 512], const char *namespace_, const char *plural, const char *name)
{
    snprintf(out, 512, "/api/v1/namespaces/%s/%s/%s", namespace_, plural, name);
    return out;
}

int namespace_check(const char *name, struct errmsg *msg)
{
    size_t len = strlen(name);

    if (len && len <= 63 && strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-") == len && *name != '-' && name[len - 1] != '-')
        return 0;
    return errmsg_set(msg, -EINVAL, "--linkerd-namespace: \"%.80s\" is no namespace: expected at most 63 lower-case letters, digits and dashes", name);
}

/* --- version --- */

/* The number at the beginning: providers write "29+". -1: none. */
static long number_of(const json_t *version, const char *key)
{
    const char *text = json_string_value(json_object_get(version, key));

    return text && *text >= '0' && *text <= '9' ? strtol(text, NULL, 10) : -1;
}

int cluster_version_check(const json_t *version, struct errmsg *msg)
{
    const char *name = json_string_value(json_object_get(version, "gitVersion"));
    long major = number_of(version, "major"), minor = number_of(version, "minor");

    if (major < 0 || minor < 0)
        return errmsg_set(msg, -EPROTO, "/version: the server does not say which version of Kubernetes it is: expected major and minor");
    if (major > KUBERNETES_MAJOR || (major == KUBERNETES_MAJOR && minor >= KUBERNETES_MINOR))
        return 0;
    return errmsg_set(msg, -ENOTSUP, "the cluster runs Kubernetes %.60s: at least %d.%d is needed", name ? name : "of an unknown version",
                      KUBERNETES_MAJOR, KUBERNETES_MINOR);
}

int cluster_check_version(struct kube *kube, struct errmsg *msg)
{
    json_t *version = NULL;
    int r = kube_get(kube, "/version", msg, &version);

    if (r == 0)
        r = cluster_version_check(version, msg);
    json_decref(version);
    return r;
}

/* --- definitions --- */

static const char *name_of(json_t *object)
{
    const char *name = json_string_value(json_object_get(json_object_get(object, "metadata"), "name"));

    return name ? name : "";
}

/* The definitions that the chart brings, as a set of names. */
static int wanted_definitions(struct errmsg *msg, json_t **ret_names)
{
    const struct chart_release release = {CHART_CRDS, "linkerd-crds", "linkerd", NULL};
    json_t *values = json_object(), *names = json_object(), *objects = NULL, *object;
    struct buffer text, problems;
    size_t index;
    int r;

    buffer_init(&text, LIMIT_TEMPLATE_OUTPUT);
    buffer_init(&problems, LIMIT_TEMPLATE_FILE);
    r = chart_render(&release, values, msg, &problems, &text);
    if (r == 0)
        r = manifest_read(buffer_slice(&text), "definitions", msg, &objects);
    json_array_foreach (objects, index, object)
        if (r == 0 && json_object_set_new(names, name_of(object), json_true()) < 0)
            r = errmsg_set(msg, -ENOMEM, "out of memory");
    json_decref(objects);
    json_decref(values);
    buffer_release(&problems);
    buffer_release(&text);
    if (r == 0)
        *ret_names = names;
    else
        json_decref(names);
    return r;
}

static int strike_out(void *owner, json_t *object, struct errmsg *msg)
{
    json_object_del(owner, name_of(object));
    return 0;
}

int cluster_check_definitions(struct kube *kube, struct errmsg *msg)
{
    json_t *missing = NULL;
    int r = wanted_definitions(msg, &missing);

    if (r == 0)
        r = kube_list_metadata(kube, DEFINITIONS, strike_out, missing, msg);
    if (r == 0 && json_object_size(missing))
        r = errmsg_set(msg, -ENOENT, "the cluster lacks %zu definitions of the mesh's resources (%s): install them first:\n\n"
                       "    linkerd install --crds | kubectl apply --server-side -f -\n",
                       json_object_size(missing), json_object_iter_key(json_object_iter(missing)));
    json_decref(missing);
    return r;
}

struct foreign {
    char *name;
    size_t size;
};

/* Ours carry our label, whoever printed them: this program, Helm, Linkerd. */
static int note_foreign(void *owner, json_t *object, struct errmsg *msg)
{
    const struct foreign *foreign = owner;
    json_t *labels = json_object_get(json_object_get(object, "metadata"), "labels");
    struct slice name = slice_str(name_of(object));

    if (slice_ends(name, SLICE_LIT("." GATEWAY)) && !json_object_get(labels, LABEL_CONTROL_PLANE) && !*foreign->name)
        snprintf(foreign->name, foreign->size, "%.*s", SLICE_ARGS(name));
    return 0;
}

int cluster_foreign_gateway(struct kube *kube, struct errmsg *msg, char *ret_name, size_t size)
{
    struct foreign foreign = {ret_name, size};

    *ret_name = '\0';
    return kube_list_metadata(kube, DEFINITIONS, note_foreign, &foreign, msg);
}

/* --- an installation --- */

int cluster_check_no_installation(struct kube *kube, const char *namespace_, struct errmsg *msg)
{
    char path[512];
    json_t *config = NULL;
    int r = kube_get(kube, cluster_path(path, namespace_, "configmaps", "linkerd-config"), msg, &config);

    json_decref(config);
    if (r == -ENOENT)
        return 0;
    if (r < 0)
        return r;
    return errmsg_set(msg, -EEXIST, "there is an installation already: the ConfigMap linkerd-config in the namespace %s. `linkerd upgrade` changes it, "
                      "`linkerd uninstall` takes it out; --ignore-cluster prints a new one over it, with a new identity", namespace_);
}
