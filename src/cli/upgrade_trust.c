#include "cli/upgrade_trust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "cli/command.h"
#include "cli/manifest.h"
#include "cli/values.h"
#include "net/x509.h"

enum { PODS_TOLD = 10 };

struct trust {
    const struct found *found;
    int64_t wall_ns;
    struct slice old_anchors, new_anchors, old_issuer, new_issuer; /* PEM */
    struct x509_bundle new_chain;
    size_t pods; /* that would not trust the new issuer */
};

static struct slice text_of(json_t *text)
{
    return json_is_string(text) ? slice_trim(slice_of(json_string_value(text), json_string_length(text))) : SLICE_NULL;
}

static struct slice value_or(json_t *values, const char *path, struct slice otherwise)
{
    struct slice text = text_of(values_at(values, path));

    return text.len ? text : otherwise;
}

static bool is_same(struct slice a, struct slice b)
{
    return slice_eq(slice_trim(a), slice_trim(b));
}

/* X509_VALID, or why these anchors do not vouch for the chain. */
static enum x509_failure vouch(const struct x509_bundle *chain, struct slice anchors_pem, int64_t wall_ns)
{
    struct x509_bundle anchors = {NULL, 0};
    enum x509_failure why = X509_UNKNOWN_ISSUER;

    if (x509_bundle_read(anchors_pem, NULL, &anchors) == 0 && x509_verify(chain, &anchors, X509_FOR_ISSUER, wall_ns, NULL, &why) == 0)
        why = X509_VALID;
    x509_bundle_release(&anchors);
    return why;
}

/* --- those that run, seen by those that start --- */

static int check_anchors(const struct trust *trust, struct errmsg *msg)
{
    struct x509_bundle chain = {NULL, 0};
    enum x509_failure why = X509_EXPIRED;

    if (is_same(trust->old_anchors, trust->new_anchors) || !trust->old_issuer.len)
        return 0;
    if (x509_bundle_read(trust->old_issuer, NULL, &chain) == 0)
        why = vouch(&chain, trust->new_anchors, trust->wall_ns);
    x509_bundle_release(&chain);
    if (why == X509_VALID || why == X509_EXPIRED) /* certificates of an issuer that has ended have ended too */
        return 0;
    return errmsg_set(msg, -EKEYREJECTED, "the new trust anchors do not vouch for the issuer in force, so pods that start would not trust those that "
                      "run: give a bundle with the old anchor and the new one first (--force goes on nevertheless)");
}

/* --- those that start, seen by those that run --- */

static json_t *env_of(json_t *container, const char *name)
{
    json_t *variable;
    size_t index;

    json_array_foreach (json_object_get(container, "env"), index, variable)
        if (slice_eq(text_of(json_object_get(variable, "name")), slice_str(name)))
            return variable;
    return NULL;
}

static json_t *proxy_in(json_t *containers)
{
    json_t *container;
    size_t index;

    json_array_foreach (containers, index, container)
        if (slice_eq(text_of(json_object_get(container, "name")), SLICE_LIT("linkerd-proxy")))
            return container;
    return NULL;
}

/* What the proxy of the pod was started with; from the ConfigMap: what is in force. NULL slice: it has no proxy. */
static struct slice anchors_of(const struct trust *trust, json_t *pod)
{
    json_t *container = proxy_in(values_at(pod, "spec.initContainers")), *variable;

    if (!container)
        container = proxy_in(values_at(pod, "spec.containers"));
    variable = env_of(container, "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS");
    return json_object_get(variable, "value") ? text_of(json_object_get(variable, "value")) : variable ? trust->old_anchors : SLICE_NULL;
}

static int check_pod(void *owner, json_t *pod, struct errmsg *msg)
{
    struct trust *trust = owner;
    struct slice anchors = anchors_of(trust, pod);
    struct slice phase = text_of(values_at(pod, "status.phase"));

    if (!anchors.len || slice_eq(phase, SLICE_LIT("Succeeded")) || slice_eq(phase, SLICE_LIT("Failed")) ||
        vouch(&trust->new_chain, anchors, trust->wall_ns) == X509_VALID)
        return 0;
    if (trust->pods++ < PODS_TOLD)
        complain("%s: pod %.*s/%.*s does not trust the new issuer", trust->found->command, SLICE_ARGS(text_of(values_at(pod, "metadata.namespace"))),
                 SLICE_ARGS(text_of(values_at(pod, "metadata.name"))));
    return 0;
}

static int check_pods(struct trust *trust, struct errmsg *msg)
{
    char path[600];
    int r;

    if (is_same(trust->old_issuer, trust->new_issuer) || !trust->found->kube)
        return 0;
    snprintf(path, sizeof(path), "/api/v1/pods?labelSelector=%s%%3D%s", "linkerd.io%2Fcontrol-plane-ns", trust->found->namespace_);
    r = x509_bundle_read(trust->new_issuer, msg, &trust->new_chain);
    if (r == 0)
        r = kube_list(trust->found->kube, path, check_pod, trust, msg);
    x509_bundle_release(&trust->new_chain);
    if (r == 0 && trust->pods)
        r = errmsg_set(msg, -EKEYREJECTED, "the anchors of %zu pods do not vouch for the new issuer: give them the new anchor first, by an upgrade of "
                       "the anchors alone and a restart of the pods (--force goes on nevertheless)", trust->pods);
    return r;
}

int upgrade_trust_check(const struct found *found, json_t *values, int64_t wall_ns, struct errmsg *msg)
{
    struct trust trust = {found, wall_ns, .new_chain = {NULL, 0}};
    struct found_issuer issuer;
    int r = found_issuer(found, msg, &issuer);

    if (r < 0)
        return r;
    trust.old_anchors = text_of(issuer.anchors);
    trust.old_issuer = text_of(issuer.certificate);
    trust.new_anchors = value_or(values, "identityTrustAnchorsPEM", trust.old_anchors);
    trust.new_issuer = value_or(values, "identity.issuer.tls.crtPEM", trust.old_issuer);
    r = check_anchors(&trust, msg);
    if (r == 0)
        r = check_pods(&trust, msg);
    found_issuer_release(&issuer);
    return r;
}
