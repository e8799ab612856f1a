/*
 * Kubernetes objects as commands read and print them: the documents of a YAML text as JSON trees (what a List holds, one by one), and names of
 * objects for kubectl delete.
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "base/slice.h"

/* On every object of a control plane: the namespace that it is in. */
#define LABEL_CONTROL_PLANE "linkerd.io/control-plane-ns"

/* An array of the text's objects; "NAME:LINE:COLUMN: sentence" when it is no YAML. YAML holds JSON too. */
int manifest_read(struct slice text, const char *name, struct errmsg *msg, json_t **ret_objects);
/* The first of this kind and name, in this namespace (NULL: in any); borrowed, or NULL. */
json_t *manifest_find(json_t *objects, const char *kind, const char *namespace_, const char *name);
/* "Secret linkerd/linkerd-config-overrides" or "ClusterRole x" without version, to compare objects by. Truncated to fit. */
void manifest_key(const char *kind, const char *namespace_, const char *name, char *out, size_t size);
