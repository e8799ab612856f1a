/* Extensions of Linkerd, which mark their namespaces with the label linkerd.io/extension. */
#include <errno.h>

#include "cli/check/check_cluster.h"
#include "cli/cluster/pods.h"

struct extensions {
    json_t *namespaces; /* name of the extension -> its first namespace */
    struct culprits twice;
};

static int look_at_namespace(void *owner, json_t *object, struct errmsg *msg)
{
    struct extensions *extensions = owner;
    const char *name = json_text(object, "metadata.name");
    const char *extension = json_string_value(json_object_get(json_at(object, "metadata.labels"), "linkerd.io/extension"));
    const char *first = json_string_value(json_object_get(extensions->namespaces, extension ? extension : ""));

    if (!extension)
        return 0;
    if (first)
        culprits_add(&extensions->twice, "%s in %s and %s", extension, first, name);
    else if (json_object_set_new(extensions->namespaces, extension, json_string(name)) < 0)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    return 0;
}

static int test_namespaces(struct cluster *cluster, const struct cluster_row *row, struct errmsg *why)
{
    struct extensions extensions = {.namespaces = json_object()};
    int r = extensions.namespaces ? cluster_each(cluster, look_at_namespace, &extensions, why, "/api/v1/namespaces?labelSelector=linkerd.io%%2Fextension") : -ENOMEM;

    if (r == 0)
        r = json_object_size(extensions.namespaces) ? culprits_end(&extensions.twice, "these have several: ", why) : ROW_SKIP;
    json_decref(extensions.namespaces);
    return r;
}

const struct cluster_row check_extension_rows[] = {
    {"l5d-extension-namespaces", "each extension has one namespace", ROW_WARNS, test_namespaces},
};
