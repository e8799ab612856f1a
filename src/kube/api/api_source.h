/*
 * The Kubernetes source: all kinds that are asked for, as an API server has
 * them, into the store. One reflector (kube/api/api_reflector.h) for each kind.
 *
 *     components subscribe -> api_source_new() -> store_is_synced() -> api_source_free()
 *
 * Which of the kinds of custom resources there are, and in which version, is asked for at the beginning and every
 * DISCOVERY_NS from then on (with an etag, so mostly the answer is that nothing changed): definitions that appear later
 * are picked up, and what one that is gone defined goes with it. Of several versions that are served the newest that we
 * read counts.
 *
 * The store is called synced when everything that the server has at the beginning has come. Nothing is derived here:
 * EndpointSlices and addresses come from the cluster. Endpoints are never read: the cluster has slices for them; nor are
 * Pods that have ended.
 *
 * The loop's thread, which is the store's.
 */
#pragma once

#include "base/duration.h"
#include "kube/api/api_client.h"
#include "kube/report.h"
#include "kube/store.h"

#define DISCOVERY_NS (5 * NS_PER_S)

struct api_source;

/* The kinds are bits, STORE_KIND(). The reporter may be NULL. 0 or -ENOMEM. */
int api_source_new(struct api_client *client, struct store *store, uint32_t kinds, struct reporter *reporter,
                   struct api_source **ret_source);
/* Before the client, the store and the loop go; the store stays as it is. NULL is allowed. */
void api_source_free(struct api_source *source);
