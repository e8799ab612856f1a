/*
 * What the controllers of Kubernetes would add to the manifests, for sources
 * that have none of them running (a directory):
 *
 *   EndpointSlices  of a Service with a selector, for its Pods and
 *                   ExternalWorkloads, where neither EndpointSlices nor
 *                   Endpoints of that Service are given; and mirrored from
 *                   Endpoints where those are given but no EndpointSlices
 *   Namespaces      that objects are in and nobody declares
 *
 * Made objects carry `derived`. A derived EndpointSlice holds the endpoint of
 * one Pod and one address family, so that a change of a Pod touches only what
 * belongs to it.
 *
 * Join it to the store before any other subscriber, so that components see an
 * object's consequences as early as can be. The store's thread.
 */
#pragma once

#include "kube/store.h"

struct derive;

/* 0 or -ENOMEM. */
int derive_new(struct store *store, struct derive **ret_derive);
/* Leaves what it made in the store. NULL is allowed. */
void derive_free(struct derive *derive);
/* 0, or why something could not be made (-ENOMEM, -ENOSPC): the store lacks it until the next event, which repairs. */
int derive_error(const struct derive *derive);
