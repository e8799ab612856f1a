#include "cli/install/upgrade_trust.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/duration.h"
#include "cli/chart/values.h"
#include "cli/cluster/pod_identity.h"
#include "cli/command.h"
#include "cli/install/manifest.h"
#include "net/x509/x509.h"

enum { PODS_TOLD = 10 };
static const int64_t PROXY_WAIT_NS = 5 * NS_PER_S;

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

static const char *select_meshed(const struct trust *trust, char *out, size_t size)
{
    snprintf(out, size, "linkerd.io%%2Fcontrol-plane-ns%%3D%s", trust->found->namespace_);
    return out;
}

/* --- those that run, seen by those that start --- */

/* Who cannot be asked is not counted: it may be about to end. */
static int check_certificate(void *owner, json_t *pod, struct errmsg *msg)
{
    struct trust *trust = owner;
    struct x509_bundle chain = {NULL, 0};
    struct errmsg own;

    if (json_object_get(pod, "proxy") && pod_identity_chain(trust->found->kube, pod, PROXY_WAIT_NS, &own, &chain) == 0 &&
        vouch(&chain, trust->new_anchors, trust->wall_ns) == X509_UNKNOWN_ISSUER && trust->pods++ < PODS_TOLD)
        complain("%s: pod %s/%s has a certificate that the new anchors do not vouch for", trust->found->command, POD_NAMESPACE(pod), POD_NAME(pod));
    x509_bundle_release(&chain);
    return 0;
}

/* The new anchors are fewer: certificates of the issuer before this one may be in use still. */
static int check_certificates(struct trust *trust, struct errmsg *msg)
{
    struct x509_bundle before = {NULL, 0}, after = {NULL, 0};
    char selector[600];
    bool fewer = false;
    int r = x509_bundle_read(trust->new_anchors, msg, &after);

    if (r == 0 && x509_bundle_read(trust->old_anchors, NULL, &before) == 0)
        for (size_t i = 0; i < before.count; i++)
            fewer |= !x509_bundle_has(&after, before.certs[i]);
    x509_bundle_release(&before);
    x509_bundle_release(&after);
    if (r < 0 || !fewer || !trust->found->kube)
        return r;
    r = pods_each(trust->found->kube, "", select_meshed(trust, selector, sizeof(selector)), check_certificate, trust, msg);
    if (r == 0 && trust->pods)
        r = errmsg_set(msg, -EKEYREJECTED, "the new trust anchors do not vouch for the certificates of %zu pods: wait until these are renewed "
                       "(`linkerd check --proxy` says when) or restart the pods (--force goes on nevertheless)", trust->pods);
    return r;
}

static int check_anchors(struct trust *trust, struct errmsg *msg)
{
    struct x509_bundle chain = {NULL, 0};
    enum x509_failure why = X509_EXPIRED;

    if (is_same(trust->old_anchors, trust->new_anchors) || !trust->old_issuer.len)
        return 0;
    if (x509_bundle_read(trust->old_issuer, NULL, &chain) == 0)
        why = vouch(&chain, trust->new_anchors, trust->wall_ns);
    x509_bundle_release(&chain);
    if (why == X509_VALID || why == X509_EXPIRED) /* certificates of an issuer that has ended have ended too */
        return why == X509_VALID ? check_certificates(trust, msg) : 0;
    return errmsg_set(msg, -EKEYREJECTED, "the new trust anchors do not vouch for the issuer in force, so pods that start would not trust those that "
                      "run: give a bundle with the old anchor and the new one first (--force goes on nevertheless)");
}

/* --- those that start, seen by those that run --- */

/* What the proxy of the pod was started with; from the ConfigMap: what is in force. NULL slice: it has no proxy. */
static struct slice anchors_of(const struct trust *trust, json_t *pod)
{
    json_t *variable;
    size_t i;

    json_array_foreach (json_at(pod, "proxy.env"), i, variable)
        if (strcmp(json_text(variable, "name"), "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS") == 0)
            return json_object_get(variable, "value") ? text_of(json_object_get(variable, "value")) : trust->old_anchors;
    return SLICE_NULL;
}

/* What it has learnt since: our proxies tell. */
static bool has_learnt(const struct trust *trust, const json_t *pod)
{
    struct x509_bundle anchors = {NULL, 0};
    enum x509_failure why = X509_UNKNOWN_ISSUER;
    struct errmsg msg;
    bool trusts = pod_identity_anchors(trust->found->kube, pod, PROXY_WAIT_NS, &msg, &anchors) == 0 &&
                  x509_verify(&trust->new_chain, &anchors, X509_FOR_ISSUER, trust->wall_ns, NULL, &why) == 0;

    x509_bundle_release(&anchors);
    return trusts;
}

static int check_pod(void *owner, json_t *pod, struct errmsg *msg)
{
    struct trust *trust = owner;
    struct slice anchors = anchors_of(trust, pod);

    if (!anchors.len || vouch(&trust->new_chain, anchors, trust->wall_ns) == X509_VALID || has_learnt(trust, pod))
        return 0;
    if (trust->pods++ < PODS_TOLD)
        complain("%s: pod %s/%s does not trust the new issuer", trust->found->command, POD_NAMESPACE(pod), POD_NAME(pod));
    return 0;
}

static int check_pods(struct trust *trust, struct errmsg *msg)
{
    char selector[600];
    int r;

    if (is_same(trust->old_issuer, trust->new_issuer) || !trust->found->kube)
        return 0;
    r = x509_bundle_read(trust->new_issuer, msg, &trust->new_chain);
    if (r == 0)
        r = pods_each(trust->found->kube, "", select_meshed(trust, selector, sizeof(selector)), check_pod, trust, msg);
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
