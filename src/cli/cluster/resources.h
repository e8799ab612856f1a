/*
 * The objects that a control plane consists of, found in a cluster: by a table of the kinds that charts of this program and of Linkerd have ever
 * held, and by the label that each of them carries. A table and not all kinds that the cluster has: users' objects may carry the label as
 * well (pods, and what copies their labels), and a table needs no right but to list what it names.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "cli/cluster/kube.h"

struct resource_kind {
    const char *kind, *version, *plural; /* version as in apiVersion */
    bool is_shared; /* more than the control plane may live by it: a namespace, a definition. Never pruned */
};

struct resource {
    const struct resource_kind *kind;
    const char *namespace_; /* "": none */
    const char *name;
    json_t *metadata;
};

typedef int resource_each(void *owner, const struct resource *resource, struct errmsg *msg);
/*
 * Every object that carries the label of this control plane and that nobody else owns, in the order in which to delete them: what would stop others from working
 * first, the namespace last. A kind that the cluster does not know has none.
 */
int resources_each(struct kube *kube, const char *namespace_, resource_each *each, void *owner, struct errmsg *msg);
/* What programs of the control plane make while they run, whether it carries the label or not: certificates of webhooks, leases. */
int resources_made_each(struct kube *kube, const char *namespace_, resource_each *each, void *owner, struct errmsg *msg);

/* As kubectl delete wants it; `output` is "yaml" or "json". */
void resource_print(const struct resource *resource, const char *output, struct buffer *out);
