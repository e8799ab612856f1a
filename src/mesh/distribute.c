#include "mesh/distribute.h"

#include <errno.h>

static long first_ready(const struct distribution *distribution, distribute_ready *ready, void *context)
{
    for (size_t i = 0; i < distribution->count; i++)
        if (ready(context, i))
            return (long)i;
    return distribution->count ? -EAGAIN : -ENOENT;
}

static long random_ready(const struct distribution *distribution, distribute_ready *ready, void *context,
                         struct rng *rng)
{
    uint64_t all = 0, total = 0, at;
    long last = -EAGAIN;

    for (size_t i = 0; i < distribution->count; i++) {
        uint32_t weight = distribution->backends[i].weight;

        all += weight;
        if (weight && ready(context, i)) {
            total += weight;
            last = (long)i;
        }
    }
    if (!total)
        return all ? -EAGAIN : -ENOENT;
    at = rng_below(rng, total);
    for (size_t i = 0; i < distribution->count; i++) {
        uint32_t weight = distribution->backends[i].weight;

        if (!weight || !ready(context, i))
            continue;
        if (at < weight)
            return (long)i;
        at -= weight;
    }
    return last; /* one ceased to be ready meanwhile */
}

long distribute_pick(const struct distribution *distribution, distribute_ready *ready, void *context,
                     struct rng *rng)
{
    switch (distribution->kind) {
    case DISTRIBUTION_FIRST_AVAILABLE: return first_ready(distribution, ready, context);
    case DISTRIBUTION_RANDOM_AVAILABLE: return random_ready(distribution, ready, context, rng);
    case DISTRIBUTION_EMPTY: break;
    }
    return -ENOENT;
}
