/*
 * Which of a rule's backends gets a request: one at random, by weight, among
 * those that are ready; or the first that is ready; or none ever (an empty
 * distribution: answer REASON_NO_BACKEND at once).
 *
 * A backend is ready when requests for it need not be shed: its queue's gate is
 * open (mesh/failfast.h). One that is invalid counts as ready, since it answers (500).
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "base/rng.h"
#include "mesh/outbound_policy.h"

/* Whether backends[index] is ready; called at most twice for each. */
typedef bool distribute_ready(void *context, size_t index);

/* The index of a backend, -EAGAIN when none is ready, -ENOENT when there is none that ever could be. */
long distribute_pick(const struct distribution *distribution, distribute_ready *ready, void *context,
                     struct rng *rng);
