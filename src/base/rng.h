/*
 * Pseudo-random numbers for choices (balancing, jitter), never for secrets:
 * xoshiro256** (Blackman, Vigna 2018). One per thread, seeded by the event
 * layer from the system or from the simulator's seed; handed down as an argument.
 */
#pragma once

#include <stdint.h>

struct rng {
    uint64_t s[4];
};

void rng_seed(struct rng *rng, uint64_t seed);
uint64_t rng_next(struct rng *rng);
/* Evenly in [0, bound); bound > 0. */
uint64_t rng_below(struct rng *rng, uint64_t bound);
/* Evenly in [0, 1). */
double rng_unit(struct rng *rng);
