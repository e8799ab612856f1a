/*
 * Whether a workload gets a proxy. `linkerd.io/inject` is enabled, ingress or disabled; that of the namespace counts where the workload
 * has none. The command `linkerd inject` was typed for this workload, so that only `disabled` on it counts.
 */
#pragma once

#include <stdbool.h>

#include "inject/skip.h"
#include "inject/workload.h"

enum inject_origin { INJECT_ADMISSION, INJECT_COMMAND };

struct decision {
    unsigned skips; /* bits of 1 << enum inject_skip; 0: inject */
    bool ingress;
    const char *annotated_at; /* "namespace", "workload" or "": whose annotation decided */
};

/* `projected`: the proxy's token is projected into the pod, so that it needs no other. Namespace annotations may be NULL. */
struct decision decide(const struct workload *workload, const json_t *namespace_annotations, bool projected, enum inject_origin origin);
