/*
 * kubeconfig files: which clusters there are, as whom to come, and which context
 * of the two is meant.
 *
 *     kubeconfig_load("/root/.kube/config:more.yaml", ...)
 *
 * or, without touching files:
 *
 *     kubeconfig_new(&config) -> kubeconfig_add() for each file, in order -> kubeconfig_choose()
 *
 * Several files are merged as kubectl does: of entries of one name the first file's counts whole, the first
 * current-context that is not empty counts, files that are not there are passed over. Paths in a file are relative to
 * its folder.
 *
 * Credential plug-ins (exec) are kept in the access and run when a request needs them (kube/access/exec_plugin.h). auth-provider, which Kubernetes took out
 * in 1.26, is refused: acting without it would be another thing than was asked for.
 */
#pragma once

#include "base/errmsg.h"
#include "kube/access/access.h"

struct kubeconfig;

/* 0 or -ENOMEM. */
int kubeconfig_new(struct kubeconfig **ret_config);
void kubeconfig_free(struct kubeconfig *config); /* NULL is allowed */
/* Reads what a file holds; YAML or JSON. -EINVAL, -ENOBUFS (beyond a limit) or -ENOMEM with a reason. */
int kubeconfig_add(struct kubeconfig *config, struct slice file, struct slice bytes, struct errmsg *msg);
/* What the context says (empty: the current one). Copies, so the config may go. */
int kubeconfig_choose(const struct kubeconfig *config, struct slice context, struct kube_access *ret_access,
                      struct errmsg *msg);

/*
 * Reads the files, a list with a colon between each as KUBECONFIG has it, and chooses; where the cluster has no proxy-url, the proxy that the
 * environment names is used. -ENOENT when none of the files is there.
 */
int kubeconfig_load(const char *files, struct slice context, struct kube_access *ret_access, struct errmsg *msg);
