/*
 * The injector's metrics, with Linkerd's names and labels: proxy_inject_admission_requests_total and _responses_total by owner_kind,
 * namespace, annotation_at, and for responses skip and skip_reason; and, where the pod or its namespace has them, a label for each
 * annotation config.linkerd.io/NAME, called NAME with '_' for '-'.
 */
#pragma once

#include "control/injector/review.h"
#include "mesh/metrics.h"

/* The id of the first family, or a negative errno; before the first shard is made. */
int meter_register(struct metrics *metrics);
/* One review of a pod that was answered. */
void meter_count(struct metric_shard *shard, int first, const struct review *review, const json_t *namespace_annotations,
                 const struct review_outcome *outcome);
