/* The scenarios, each in a file of its own. */
#pragma once

#include "base/duration.h"
#include "sim/mesh.h"

extern const struct scenario scenario_requests, scenario_discovery, scenario_drain, scenario_greeting, scenario_policy,
    scenario_times, scenario_bounds, scenario_chaos, scenario_identity;
