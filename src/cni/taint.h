/*
 * Takes a taint off nodes on which linkerd-cni is in place. A node is born with it (the kubelet's --register-with-taints, or whatever
 * makes nodes), so that no pod is scheduled there before its rules can be made; only the plugin's DaemonSet tolerates it.
 *
 *     taint_new() -> taint_is_ready() ... -> taint_give_up() -> taint_free()
 *
 * The plugin is in place when the DaemonSet's pod of that node is ready. A pod that is older than its node (a node that was replaced by one
 * of the same name) may say what was true of the old one: it counts only when the node was seen with its taint for SETTLE_NS.
 *
 * The taint is never put back: whoever did so when the plugin goes would close every node of a cluster from which it is removed.
 * Pods that are born while it is away are what cni/repair.h is for.
 *
 * Of several replicas the one with the lease works. Every patch names the taint by its place and tests the key there, so that other taints,
 * and those that others add meanwhile, stay as they are.
 *
 * Rights: list, watch and patch of nodes; list and watch of pods in the namespace; those of the lease. The loop's thread.
 */
#pragma once

#include "base/duration.h"
#include "kube/api/api_client.h"
#include "kube/report.h"
#include "mesh/metrics.h"
#include "netfilter/journal.h"

struct taint;

#define SETTLE_NS (60 * NS_PER_S)

enum { TAINT_NODES, TAINT_REMOVED, TAINT_ERRORS, TAINT_LEADS, TAINT_FAMILIES };
extern const struct metric_family taint_families[TAINT_FAMILIES];

struct taint_options {
    struct api_client *client;
    struct reporter *reporter;
    const struct journal *log;
    struct metric_shard *shard;
    int families;            /* id of taint_families[0] */
    struct slice namespace_; /* of the plugin's pods, and of the lease */
    const char *labels;      /* selects those pods: "k8s-app=linkerd-cni" */
    const char *key;         /* of the taint, whatever its effect */
    const char *identity;    /* of this replica */
};

/* Texts, log and reporter outlive it. 0 or -ENOMEM. */
int taint_new(const struct taint_options *options, struct taint **ret_taint);
/* NULL is allowed. */
void taint_free(struct taint *taint);
/* It knows nodes and pods; whether it has the lease does not matter. */
bool taint_is_ready(const struct taint *taint);
/* Sets what is not counted as it happens. */
void taint_measure(struct taint *taint);
/* Nothing is begun any more, and another replica need not wait. */
void taint_give_up(struct taint *taint);
