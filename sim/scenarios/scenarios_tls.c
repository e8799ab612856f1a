#include "sim/scenarios/scenarios.h"

/* Of sim/run-tls. */
const struct scenario *const scenarios[] = {
    &scenario_identity, &scenario_requests, &scenario_discovery, &scenario_drain, &scenario_greeting, NULL,
};
