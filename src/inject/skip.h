/*
 * Why a workload is left as it is. The names are the values of Linkerd's label `skip_reason`, the texts what its events and its CLI say.
 */
#pragma once

enum inject_skip {
    SKIP_HOST_NETWORK,
    SKIP_SIDECAR,       /* a proxy is there already: ours, or one of another mesh; or what is left of ours in a copy of a pod */
    SKIP_UNSUPPORTED,   /* a kind that has no pods, or an object without a pod's specification */
    SKIP_NOT_ENABLED,
    SKIP_DISABLED,
    SKIP_BAD_WORKLOAD,  /* the value of linkerd.io/inject on the workload is none */
    SKIP_BAD_NAMESPACE, /* ... on the namespace */
    SKIP_NO_TOKEN,      /* without a projected token the proxy would have none to prove itself by */
    SKIP_COUNT
};

const char *inject_skip_name(enum inject_skip skip);
const char *inject_skip_text(enum inject_skip skip);
