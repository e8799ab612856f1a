/* The flags of `linkerd inject`, and the annotations that they stand for. */
#pragma once

#include <jansson.h>

#include "cli/cluster/kube.h"
#include "cli/flags.h"

struct inject_flags {
    bool manual, ignore_cluster, ingress, debug, disable_identity;
    const char *output, *namespace_, *trust_anchors;
    struct kube_flags kube;

    /* Each of the following is an annotation, which the proxy's own flags have in Linkerd; "" where not given. */
    const char *admin_port, *close_wait_timeout, *control_port, *default_inbound_policy, *pull_policy, *inbound_port, *outbound_port,
        *proxy_cpu, *proxy_cpu_limit, *proxy_cpu_request, *proxy_gid, *proxy_image, *proxy_log_level, *proxy_memory, *proxy_memory_limit,
        *proxy_memory_request, *proxy_uid, *proxy_version, *registry, *wait_before_exit, *native_sidecar, *external_profiles;
    struct words opaque_ports, require_identity, skip_inbound, skip_outbound;

    /* Linkerd 2.8 had them; they do nothing here, and are told. */
    const char *init_image, *init_image_version, *trace_collector, *trace_collector_account;
};

enum { INJECT_FLAGS = 43 };
extern const struct flag inject_flag_rows[INJECT_FLAGS];

/* Tells on standard error of flags that have no effect or another name. */
void inject_flags_tell(const struct inject_flags *flags);
/* An object of texts, new; NULL: out of memory. */
json_t *inject_flags_annotations(const struct inject_flags *flags);
