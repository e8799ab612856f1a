#include "inject/skip.h"

static const struct {
    const char *name, *text;
} skips[SKIP_COUNT] = {
    [SKIP_HOST_NETWORK] = {"host_network_enabled", "hostNetwork is enabled"},
    [SKIP_SIDECAR] = {"sidecar_already_exists", "pod has a sidecar injected already"},
    [SKIP_UNSUPPORTED] = {"unsupported_resource", "this resource kind is unsupported"},
    [SKIP_NOT_ENABLED] = {"injection_enable_annotation_absent",
                          "neither the namespace nor the pod have the annotation \"linkerd.io/inject:enabled\""},
    [SKIP_DISABLED] = {"injection_disable_annotation_present", "pod has the annotation \"linkerd.io/inject:disabled\""},
    [SKIP_BAD_WORKLOAD] = {"invalid_inject_annotation_at_workload", "invalid value for annotation \"linkerd.io/inject\" at workload"},
    [SKIP_BAD_NAMESPACE] = {"invalid_inject_annotation_at_ns", "invalid value for annotation \"linkerd.io/inject\" at namespace"},
    [SKIP_NO_TOKEN] = {"disabled_automount_service_account_token_account",
                       "automountServiceAccountToken set to \"false\", with Values.identity.serviceAccountTokenProjection set to \"false\""},
};

const char *inject_skip_name(enum inject_skip skip)
{
    return skips[skip].name;
}

const char *inject_skip_text(enum inject_skip skip)
{
    return skips[skip].text;
}
