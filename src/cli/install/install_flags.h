/*
 * What a user may say about an installation on the command line, of `linkerd install` and `linkerd upgrade` alike. A command has these
 * flags behind its own (FLAGS_AND) and this struct first in its options. What they mean as values of the chart is
 * install_values.h.
 */
#pragma once

#include "cli/cluster/kube_flags.h"
#include "cli/flags.h"

struct install_flags {
    struct kube_flags kube;
    bool crds, ha;
    const char *output, *namespace_;
    struct words files, set, set_string, set_file;

    /* Each of the following is a value of the chart under another name. */
    const char *admin_port, *cluster_domain, *version, *control_port, *controller_gid, *controller_log_level, *replicas, *controller_uid,
        *default_inbound_policy, *clock_skew, *lifetime, *issuer_certificate, *issuer_key, *trust_anchors, *trust_domain,
        *pull_policy, *inbound_port, *outbound_port, *proxy_cpu, *proxy_cpu_limit, *proxy_cpu_request, *proxy_gid, *proxy_image,
        *proxy_log_level, *proxy_memory, *proxy_memory_limit, *proxy_memory_request, *proxy_uid, *proxy_version, *registry;
    bool disable_h2_upgrade, disable_heartbeat, endpoint_slices, external_profiles, external_ca, external_issuer, cni;
    struct words skip_inbound, skip_outbound;

    /* Linkerd 2.8 had them; they do nothing here, and are told. */
    const char *addon_config, *init_image, *init_image_version, *prometheus_image, *smi_metrics_image;
    bool omit_side_effects, restrict_dashboard, smi_metrics, skip_checks;
};

/* Those that both commands have; the others are rows of each command's own table. */
extern const struct flag_table install_flags;

#define INSTALL_TEXT(name_, member, what, help_)                                                                       \
    {name_, 0, FLAG_TEXT, offsetof(struct install_flags, member), .value = (what), .help = (help_)}
#define INSTALL_SWITCH(name_, member, help_) {name_, 0, FLAG_SWITCH, offsetof(struct install_flags, member), .help = (help_)}

/* Tells on standard error, in the name of the command, what is given and has no effect, or another name now. */
void install_flags_warn(const struct install_flags *flags, const char *command);
