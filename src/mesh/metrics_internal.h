/* What metrics.c (keeping) and metrics_text.c (showing) share. Not for others. */
#pragma once

#include "mesh/metrics.h"

struct metric_kind { /* one family in one shard */
    const struct metric_family *family;
    struct map series;
    _Atomic(uint64_t) overflow; /* series refused; single writer */
};

struct metric_shard {
    struct metrics *metrics;
    pthread_mutex_t lock; /* the maps, and references rising from 0 */
    struct metric *sink;  /* where refused series count; never shown */
    struct metric_kind kinds[]; /* by family id */
};

/* The row of an id. */
const struct metric_family *metrics_family(const struct metrics *metrics, int family_id);

/*
 * Copies pointers to series of a shard's family, oldest first, starting after *at (NULL: from the start), up to
 * `max`; returns how many. Pointers stay good while the scrape lock is held, since only sweeps free series.
 */
size_t metric_kind_copy(struct metric_shard *shard, int family_id, struct metric *at, struct metric **out, size_t max);
