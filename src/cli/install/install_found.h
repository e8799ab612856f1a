/*
 * What an installation left: the values that its user gave, and its identity. Read from the cluster, or from manifests that were printed
 * earlier.
 *
 *     Secret linkerd-config-overrides     the values, of this program and of Linkerd since 2.9
 *     ConfigMap linkerd-config            that there is an installation at all; of Linkerd 2.8 what it was told,
 *     ConfigMap linkerd-config-addons     and what --addon-config said to it
 *     ConfigMap linkerd-identity-trust-roots, Secret linkerd-identity-issuer (of both schemes)
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "cli/cluster/kube.h"

struct found {
    struct kube *kube;       /* or NULL: */
    json_t *manifests;       /* objects (manifest.h) */
    const char *namespace_;
    const char *command;     /* who tells, on standard error */
};

/*
 * The values of the installation, for the caller to release. -ENOENT: there is none, or Helm has made it and keeps its values; the sentence says
 * what to do.
 */
int found_values(const struct found *found, struct errmsg *msg, json_t **ret_values);
/*
 * Puts the anchors and the issuer that are in force into the values, over what stands there: certificates are rotated without the values knowing.
 * What is somebody else's (identity.externalCA, scheme kubernetes.io/tls) and what is not there is not put there.
 */
int found_identity(const struct found *found, json_t *values, struct errmsg *msg);
/*
 * Puts what else the selector of the injector's Deployment names into the values (proxyInjector.selectorLabels), where it is not the chart's:
 * a selector cannot be changed, and earlier versions had another.
 */
int found_selector(const struct found *found, json_t *values, struct errmsg *msg);
/* The values have an identity, or somebody else does. -ENOENT: a new one would be made, which no upgrade may do. */
int found_identity_check(json_t *values, struct errmsg *msg);

/* The issuer and the anchors of the installation as PEM texts, whoever made them, for the caller to release; NULL: not there. */
struct found_issuer {
    json_t *anchors, *certificate, *key;
};
int found_issuer(const struct found *found, struct errmsg *msg, struct found_issuer *ret_issuer);
void found_issuer_release(struct found_issuer *issuer);
