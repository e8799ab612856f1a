/*
 * Repairs those pods of one node that were born without redirect rules, because the plugin was not in the node's network when theirs was
 * made: their network validator ends with 95, again and again, and they never start. Such a pod is evicted; its controller makes another, which
 * gets rules. (Making rules in the pod's network afterwards would take a container with the rights of the node.)
 *
 *     repair_new() -> repair_is_ready() ... -> repair_free()
 *
 * - It waits while the pod that we are part of is not ready: then the plugin is not in place, and another pod would be born the same way.
 * - An eviction, not a deletion: it says which state of which pod it means, so that one that has changed meanwhile stays; one that
 *   has started by then counts for its disruption budget; and a Job that does not count disruptions does not count it.
 * - A pod that no controller would make anew stays, with an Event that says what to do. Pods that have ended stay: whoever wants
 *   another has made it. Pods on their way out are left alone.
 * - At most REPAIR_BURST at once, then one in REPAIR_INTERVAL_NS, one request at a time; one that is refused is tried again later and later.
 *
 * Rights: list and watch of pods, create of pods/eviction, create and patch of events. Where evictions are forbidden (Linkerd's own chart
 * grants deletion instead) it tries to delete, of the same state of the same pod. The loop's thread.
 */
#pragma once

#include "base/duration.h"
#include "kube/api/api_client.h"
#include "kube/report.h"
#include "mesh/metrics.h"
#include "netfilter/journal.h"

struct repair;

#define REPAIR_INTERVAL_NS (5 * NS_PER_S)
enum { REPAIR_BURST = 32 };

/* Linkerd's names, which speak of deletions; and those that wait. */
enum { REPAIR_OVERFLOW, REPAIR_DELETED, REPAIR_LATENCY, REPAIR_ERRORS, REPAIR_TIMEOUTS, REPAIR_EVENT_ERRORS, REPAIR_WAITING, REPAIR_FAMILIES };
extern const struct metric_family repair_families[REPAIR_FAMILIES];

struct repair_options {
    struct api_client *client;
    struct reporter *reporter;
    const struct journal *log;
    struct metric_shard *shard;
    int families;             /* id of repair_families[0] */
    const char *node;         /* whose pods */
    struct slice namespace_;  /* of the pod that we are part of */
    const char *pod;          /* its name; NULL: not known, it counts as ready */
};

/* Texts, log and reporter outlive it. 0 or -ENOMEM. */
int repair_new(const struct repair_options *options, struct repair **ret_repair);
/* NULL is allowed. */
void repair_free(struct repair *repair);
/* It knows the node's pods. */
bool repair_is_ready(const struct repair *repair);
/* Sets what is not counted as it happens. */
void repair_measure(struct repair *repair);
