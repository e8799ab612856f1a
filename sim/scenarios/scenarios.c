#include "sim/scenarios/scenarios.h"

const struct scenario *const scenarios[] = {
    &scenario_requests, &scenario_discovery, &scenario_drain, &scenario_greeting, &scenario_policy, &scenario_times, &scenario_bounds, &scenario_chaos, NULL,
};
