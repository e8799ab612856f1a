/* How a user names the cluster, and as whom to come; cli/cluster/kube.h asks it. */
#pragma once

#include "cli/flags.h"

struct kube_flags {
    const char *kubeconfig, *context, *as; /* "" where not given */
    struct words as_groups;
};

/* The rows of a command's table of flags. */
#define KUBE_FLAGS(type, member)                                                                                       \
    {"kubeconfig", 0, FLAG_TEXT, offsetof(type, member.kubeconfig), .value = "FILE",                                   \
     .help = "How to reach the cluster (default $KUBECONFIG, else ~/.kube/config)"},                                   \
    {"context", 0, FLAG_TEXT, offsetof(type, member.context), .value = "NAME",                                         \
     .help = "Context of the kubeconfig (default its current one)"},                                                   \
    {"as", 0, FLAG_TEXT, offsetof(type, member.as), .value = "USER", .help = "Act for this user"},                     \
    {"as-group", 0, FLAG_LIST, offsetof(type, member.as_groups), .value = "GROUP",                                     \
     .help = "Act for this group too (with --as; may be given several times)"}

/* There is something to read, or we are in a pod. What is named by a flag or variable counts as there. */
bool kube_is_configured(const struct kube_flags *flags);
