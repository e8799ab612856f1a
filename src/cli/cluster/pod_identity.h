/*
 * What the proxy of a pod proves itself with, and whom it believes: asked of its admin port through the API server. The certificate is asked
 * for by TLS, as Linkerd's proxies answer it too; the anchors are a page of ours. Nothing of what is shown is believed here.
 */
#pragma once

#include "cli/cluster/pods.h"
#include "net/x509/x509.h"

/*
 * What its proxy is told to be: LINKERD2_PROXY_IDENTITY_LOCAL_NAME with $(_pod_sa) and $(_pod_ns) put in. -ENOENT when the pod has no
 * proxy or the variable is missing.
 */
int pod_identity_name(const json_t *pod, struct errmsg *msg, char *out, size_t size);
/* The leaf first. Errors as pod_identity_name(), ask_open_pod() and ask_chain(). */
int pod_identity_chain(struct kube *kube, const json_t *pod, int64_t wait_ns, struct errmsg *msg, struct x509_bundle *ret_chain);
/* The trust anchors in force. -ENOENT, without a sentence: a proxy that does not tell, so they are those of its environment. */
int pod_identity_anchors(struct kube *kube, const json_t *pod, int64_t wait_ns, struct errmsg *msg, struct x509_bundle *ret_anchors);
