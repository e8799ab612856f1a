/* Who owns a pod. */
#include "inject/inject.h"

#include <string.h>

const json_t *pod_controller(const json_t *pod)
{
    json_t *reference;
    size_t i;

    json_array_foreach (member_array(member_object(pod, "metadata"), "ownerReferences"), i, reference)
        if (json_is_true(json_object_get(reference, "controller")))
            return reference;
    return NULL;
}

/* "web-6d4cf56db6" of pods with the hash 6d4cf56db6 was made by the Deployment web. */
static struct slice deployment_name(const json_t *meta, struct slice name)
{
    struct slice hash = slice_str(member_text(member_object(meta, "labels"), "pod-template-hash"));

    if (hash.len == 0 || name.len < hash.len + 2 || !slice_ends(name, hash) || name.ptr[name.len - hash.len - 1] != '-')
        return SLICE_NULL;
    return slice_take(name, name.len - hash.len - 1);
}

struct pod_owner pod_owner(const json_t *pod)
{
    const json_t *meta = member_object(pod, "metadata"), *reference = pod_controller(pod);
    struct pod_owner owner = {member_text(reference, "kind"), slice_str(member_text(reference, "name"))};
    struct slice deployment = deployment_name(meta, owner.name);

    if (strcmp(owner.kind, "ReplicaSet") == 0 && deployment.len)
        owner = (struct pod_owner){"Deployment", deployment};
    return owner;
}
