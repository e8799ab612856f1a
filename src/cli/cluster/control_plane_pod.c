/* The control plane of a cluster, through the API server. */
#include <errno.h>
#include <string.h>

#include "cli/cluster/control_plane.h"
#include "cli/cluster/pods.h"

#define SELECT_DESTINATION "linkerd.io%2Fcontrol-plane-component%3Ddestination"

bool control_plane_is_in_cluster(const struct control_plane_flags *flags)
{
    return !*flags->api_addr && !*flags->source && kube_is_configured(&flags->kube);
}

static int open_first_ready(struct kube *kube, const json_t *pods, struct forward_pod *to, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask)
{
    json_t *pod;
    size_t i;

    json_array_foreach (pods, i, pod)
        if (pod_is_ready(pod)) {
            to->name = slice_str(POD_NAME(pod));
            return ask_open_pod(kube_access(kube), to, timeout_ns, msg, ret_ask);
        }
    return errmsg_set(msg, -ENOENT, "no pod of the destination service is ready in the namespace %.*s; --linkerd-namespace names another",
                      SLICE_ARGS(to->namespace_));
}

int control_plane_open_pod(const struct control_plane_flags *flags, uint16_t port, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask)
{
    struct forward_pod to = {.namespace_ = slice_str(flags->namespace_), .port = port};
    json_t *pods = NULL;
    struct kube *kube;
    int r = kube_open(&flags->kube, timeout_ns, msg, &kube);

    if (r < 0)
        return r;
    if (flags->destination_pod && *flags->destination_pod) {
        to.name = slice_str(flags->destination_pod);
        r = ask_open_pod(kube_access(kube), &to, timeout_ns, msg, ret_ask);
    } else {
        r = pods_list(kube, flags->namespace_, SELECT_DESTINATION, msg, &pods);
        if (r == 0)
            r = open_first_ready(kube, pods, &to, timeout_ns, msg, ret_ask);
    }
    json_decref(pods);
    kube_close(kube);
    return r;
}
