#include "cli/cluster/pod_identity.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/limits.h"
#include "cli/ask.h"

/* The value of a variable that stands in the pod itself, or "". */
static const char *variable(const json_t *pod, const char *name)
{
    json_t *one;
    size_t i;

    json_array_foreach (json_at(pod, "proxy.env"), i, one)
        if (strcmp(json_text(one, "name"), name) == 0)
            return json_text(one, "value");
    return "";
}

/* What the injector lets the kubelet put in; a service account that is not named is "default". */
static const char *reference(const json_t *pod, struct slice name)
{
    const char *account = json_text(pod, "spec.serviceAccountName");

    if (slice_eq(name, SLICE_LIT("_pod_sa")))
        return *account ? account : "default";
    return slice_eq(name, SLICE_LIT("_pod_ns")) ? POD_NAMESPACE(pod) : "";
}

int pod_identity_name(const json_t *pod, struct errmsg *msg, char *out, size_t size)
{
    struct slice rest = slice_str(variable(pod, "LINKERD2_PROXY_IDENTITY_LOCAL_NAME"));
    struct buffer name;
    int r;

    if (!rest.len)
        return errmsg_set(msg, -ENOENT, "pod %s/%s: it has no proxy with an identity", POD_NAMESPACE(pod), POD_NAME(pod));
    buffer_init(&name, size - 1);
    while (rest.len) {
        size_t mark = slice_find_slice(rest, SLICE_LIT("$(")), end;

        buffer_add(&name, slice_take(rest, mark));
        rest = slice_skip(rest, mark + 2);
        end = slice_find(rest, ')');
        if (end < rest.len)
            buffer_add(&name, slice_str(reference(pod, slice_take(rest, end))));
        rest = slice_skip(rest, end + 1);
    }
    r = buffer_error(&name);
    if (r < 0)
        errmsg_set(msg, r, "pod %s/%s: LINKERD2_PROXY_IDENTITY_LOCAL_NAME is too long", POD_NAMESPACE(pod), POD_NAME(pod));
    else
        snprintf(out, size, "%.*s", SLICE_ARGS(buffer_slice(&name)));
    buffer_release(&name);
    return r;
}

static int ask_proxy(struct kube *kube, const json_t *pod, int64_t wait_ns, struct errmsg *msg, struct ask **ret_ask)
{
    const struct forward_pod to = {slice_str(POD_NAMESPACE(pod)), slice_str(POD_NAME(pod)), pod_proxy_admin(pod)};

    return ask_open_pod(kube_access(kube), &to, wait_ns, msg, ret_ask);
}

int pod_identity_chain(struct kube *kube, const json_t *pod, int64_t wait_ns, struct errmsg *msg, struct x509_bundle *ret_chain)
{
    char name[LIMIT_IDENTITY];
    struct ask *ask;
    int r = pod_identity_name(pod, msg, name, sizeof(name));

    if (r == 0)
        r = ask_proxy(kube, pod, wait_ns, msg, &ask);
    if (r < 0)
        return r;
    r = ask_chain(ask, slice_str(name), msg, ret_chain);
    ask_close(ask);
    return r;
}

int pod_identity_anchors(struct kube *kube, const json_t *pod, int64_t wait_ns, struct errmsg *msg, struct x509_bundle *ret_anchors)
{
    unsigned status = 0;
    struct buffer pem;
    struct ask *ask;
    int r = ask_proxy(kube, pod, wait_ns, msg, &ask);

    if (r < 0)
        return r == -ENOENT ? -ENXIO : r;
    buffer_init(&pem, LIMIT_PEM);
    r = ask_get(ask, "/trust-bundle", msg, &status, &pem);
    ask_close(ask);
    if (r == 0 && status == 404)
        r = -ENOENT;
    else if (r == 0 && status != 200)
        r = errmsg_set(msg, -EREMOTEIO, "pod %s/%s: /trust-bundle answers %u", POD_NAMESPACE(pod), POD_NAME(pod), status);
    else if (r == 0 && (r = x509_bundle_read(buffer_slice(&pem), msg, ret_anchors)) < 0)
        errmsg_prefix(msg, r, "pod %s/%s: /trust-bundle", POD_NAMESPACE(pod), POD_NAME(pod));
    buffer_release(&pem);
    return r;
}
