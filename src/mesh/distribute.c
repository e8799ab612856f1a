#include "mesh/distribute.h"

#include <errno.h>

static long first_ready(const struct distribute *from)
{
    for (size_t i = 0; i < from->count; i++)
        if (from->ready(from->context, i))
            return (long)i;
    return from->count ? -EAGAIN : -ENOENT;
}

static long random_ready(const struct distribute *from, struct rng *rng)
{
    uint64_t all = 0, total = 0, at;
    long last = -EAGAIN;

    for (size_t i = 0; i < from->count; i++) {
        uint32_t weight = from->weight(from->context, i);

        all += weight;
        if (weight && from->ready(from->context, i)) {
            total += weight;
            last = (long)i;
        }
    }
    if (!total)
        return all ? -EAGAIN : -ENOENT;
    at = rng_below(rng, total);
    for (size_t i = 0; i < from->count; i++) {
        uint32_t weight = from->weight(from->context, i);

        if (!weight || !from->ready(from->context, i))
            continue;
        if (at < weight)
            return (long)i;
        at -= weight;
    }
    return last; /* one ceased to be ready meanwhile */
}

long distribute_pick(const struct distribute *from, struct rng *rng)
{
    switch (from->kind) {
    case DISTRIBUTION_FIRST_AVAILABLE: return first_ready(from);
    case DISTRIBUTION_RANDOM_AVAILABLE: return random_ready(from, rng);
    case DISTRIBUTION_EMPTY: break;
    }
    return -ENOENT;
}
