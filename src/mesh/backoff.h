/*
 * How long to wait before the next attempt: twice as long after every failure,
 * from min to max, and up to `jitter` of that on top, at random, so that many who failed
 * together do not come back together. The jitter is added at the maximum too.
 */
#pragma once

#include <stdint.h>

#include "base/rng.h"
#include "mesh/outbound_policy.h"

/* Reconnecting: outbound and to the control plane, and inbound to the application. */
extern const struct backoff_config BACKOFF_OUTBOUND; /* 100 ms to 60 s, jitter 0.1 */
extern const struct backoff_config BACKOFF_INBOUND;  /* 100 ms to 10 s, jitter 0.1 */

/* -EINVAL unless 0 <= min <= max, 0 < max, and 0 <= jitter <= 100. */
int backoff_check(const struct backoff_config *config);
/* The wait after `failures` in a row (1 and up; 0 is taken as 1). At least min_ns, below max_ns * (1 + jitter) + 1. */
int64_t backoff_delay(const struct backoff_config *config, unsigned failures, struct rng *rng);
