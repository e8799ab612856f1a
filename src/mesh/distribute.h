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

/* The backends, as whoever holds them tells of them. */
struct distribute {
    enum distribution_kind kind;
    size_t count;
    void *context;
    uint32_t (*weight)(void *context, size_t index);
    bool (*ready)(void *context, size_t index); /* called at most twice for each */
};

/* The index of a backend, -EAGAIN when none is ready, -ENOENT when there is none that ever could be. */
long distribute_pick(const struct distribute *from, struct rng *rng);
