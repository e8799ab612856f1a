/*
 * The two texts with which a proxy says who it is. Both were put into its
 * environment when it was started, and travel unchanged:
 *
 *   the context token of destination requests  {"ns":"NS","nodeName":"NODE","pod":"POD"}, or formerly ns:NS
 *   the workload of policy requests            {"ns":"NS","pod":"POD"} or {"ns":"NS","external_workload":"NAME"},
 *                                              or formerly NS:POD
 *
 * They are claims, not proof: they choose which view is answered and grant nothing.
 * Text longer than LIMIT_WORKLOAD_JSON or with brackets nested in it is refused before it is parsed.
 */
#pragma once

#include <stdbool.h>

#include "base/errmsg.h"
#include "base/slice.h"

struct arena;

/* Whatever is not told is "". */
struct context_token {
    struct slice ns;
    struct slice node_name;
    struct slice pod;
};

struct workload {
    struct slice ns;
    struct slice name;
    bool external; /* an ExternalWorkload, not a Pod */
};

/*
 * Text lives in the arena. An empty token is fine and says nothing. -EINVAL: not a token; the caller logs it and goes
 * on with an empty one. -ENOMEM.
 */
int context_token_parse(struct slice text, struct arena *arena, struct errmsg *msg, struct context_token *ret_token);
/* -EINVAL: not a workload (gRPC: InvalidArgument). -ENOMEM. */
int workload_parse(struct slice text, struct arena *arena, struct errmsg *msg, struct workload *ret_workload);
