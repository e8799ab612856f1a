/*
 * Writes the status of routes, rate limits and egress networks, while this
 * replica holds the lease (kube/lease.h); without it nothing is kept and nothing
 * written. What a change may touch is looked at again, once in a turn; what then
 * differs from what the server has is read, and patched. All are looked at when
 * the lease is taken, and every five minutes, in case a write failed for good.
 *
 *     status_writer_new() before the source begins -> the store is synced -> status_writer_end() -> status_writer_free()
 *
 * Bounded: LIMIT_STATUS_QUEUE (beyond it, all are looked at), LIMIT_STATUS_CALLS at once, and LIMIT_STATUS_RATE in a second.
 */
#pragma once

#include "control/controller.h"
#include "kube/api_client.h"

struct status_writer;

/* The client outlives it. 0 or -ENOMEM. */
int status_writer_new(struct controller *controller, struct api_client *client, struct status_writer **ret_writer);
/* Gives the lease up: another replica need not wait. NULL is allowed. */
void status_writer_end(struct status_writer *writer);
/* NULL is allowed. */
void status_writer_free(struct status_writer *writer);
