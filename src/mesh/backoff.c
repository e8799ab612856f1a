#include "mesh/backoff.h"

#include <errno.h>

#include "base/duration.h"
#include "base/mutation.h"

const struct backoff_config BACKOFF_OUTBOUND = {.min_ns = 100 * NS_PER_MS, .max_ns = 60 * NS_PER_S, .jitter = 0.1};
const struct backoff_config BACKOFF_INBOUND = {.min_ns = 100 * NS_PER_MS, .max_ns = 10 * NS_PER_S, .jitter = 0.1};

int backoff_check(const struct backoff_config *config)
{
    if (config->min_ns < 0 || config->max_ns <= 0 || config->min_ns > config->max_ns)
        return -EINVAL;
    return config->jitter >= 0 && config->jitter <= 100 ? 0 : -EINVAL; /* a NaN is neither */
}

int64_t backoff_delay(const struct backoff_config *config, unsigned failures, struct rng *rng)
{
    int64_t delay = config->min_ns;
    double extra;

    for (unsigned i = 1; i < failures && delay < config->max_ns && !mutation("backoff-does-not-grow"); i++) {
        if (delay == 0)
            break; /* doubles to nothing, however often */
        delay = delay > config->max_ns / 2 ? config->max_ns : delay * 2;
    }
    extra = (double)delay * config->jitter * rng_unit(rng);
    return extra >= (double)(INT64_MAX - delay) ? INT64_MAX : delay + (int64_t)extra;
}
