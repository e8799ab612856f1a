/*
 * A Lease (coordination.k8s.io/v1): of several replicas one holds it, and it
 * alone writes what must be written once.
 *
 *     lease_new() -> on_change(true) ... on_change(false) ... -> lease_give_up() -> lease_free()
 *
 * Clocks of different machines are never compared. Who does not hold the lease takes it when nothing of it has changed
 * for its whole duration, by the own clock since that was seen. Who holds it renews it every third of the duration and stops two
 * thirds after it sent the last renewal that succeeded: before anybody may take it, with a third of the duration left for requests under
 * way, which must therefore not take longer (LEASE_WRITE_TIMEOUT_NS). Every change carries the resourceVersion that it was decided on, so of two
 * that want the same one fails.
 *
 * Rights: get, create and patch of leases in the namespace. The loop's thread.
 */
#pragma once

#include <stdbool.h>

#include "base/duration.h"
#include "kube/api/api_client.h"

struct lease;

#define LEASE_DURATION_NS (30 * NS_PER_S)
#define LEASE_WRITE_TIMEOUT_NS (5 * NS_PER_S)

struct lease_options {
    struct slice namespace_, name; /* outlive the lease */
    struct slice identity;         /* of this replica: the pod's name; outlives the lease */
    int64_t duration_ns;           /* 0: LEASE_DURATION_NS */
    void (*on_change)(void *owner, bool held);
    /* Neither held nor known who holds it: why. Once until that is over. NULL is allowed. */
    void (*on_trouble)(void *owner, const char *why);
    void *owner;
};

/* Begins from the loop. The client outlives it. 0 or -ENOMEM. */
int lease_new(struct api_client *client, const struct lease_options *options, struct lease **ret_lease);
/* No event follows. One that is held runs out by itself. NULL is allowed. */
void lease_free(struct lease *lease);
/* Whether what only the holder may do may begin now. */
bool lease_is_held(const struct lease *lease);
/*
 * For an orderly end: no longer wanted, and on_change(false) if it was held; another replica need not wait until it runs
 * out, if the server can be told. Nothing that only the holder may do is under way any more.
 */
void lease_give_up(struct lease *lease);
/* Who holds it as was seen last; empty: nobody, or not known. Until the next turn. */
struct slice lease_holder(const struct lease *lease);
