/*
 * Where a command finds the control plane: --api-addr as given; the Pod that
 * runs it as the directory of --source says; a pod of it in the cluster, reached
 * through the API server, when there is a kubeconfig or this is a pod; or else
 * this machine.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/errmsg.h"
#include "cli/ask.h"
#include "cli/cluster/kube_flags.h"

enum { DESTINATION_PORT = 8086, POLICY_PORT = 8090, IDENTITY_PORT = 8080, CONTROLLER_ADMIN_PORT = 9990 };

struct control_plane_flags {
    const char *api_addr, *source; /* "" where not given */
    struct kube_flags kube;
    const char *namespace_;        /* of the control plane in a cluster */
    const char *destination_pod;   /* the one to ask there; "" or NULL: any that is ready */
};

/* The rows of a command's table of flags; `text` says what is asked. */
#define CONTROL_PLANE_FLAGS(type, member, text)                                                                        \
    {"api-addr", 0, FLAG_TEXT, offsetof(type, member.api_addr), .value = "HOST:PORT", .help = (text)},                 \
    {"source", 0, FLAG_TEXT, offsetof(type, member.source), .value = "DIR",                                            \
     .help = "The directory of resources that the control plane reads: its Pod there is asked, instead of --api-addr"},     \
    {"linkerd-namespace", 'L', FLAG_TEXT, offsetof(type, member.namespace_), "linkerd", .value = "NAME",               \
     .help = "Namespace of the control plane, in a cluster"},                                                          \
    KUBE_FLAGS(type, member.kube)
#define DESTINATION_POD_FLAG(type, member)                                                                             \
    {"destination-pod", 0, FLAG_TEXT, offsetof(type, member.destination_pod), .value = "NAME",                         \
     .help = "The pod of the control plane to ask, in a cluster (default any that is ready)"}

/* Nothing says where it is but a cluster that can be found. */
bool control_plane_is_in_cluster(const struct control_plane_flags *flags);
/* In the cluster: a connection to this port of a pod of the destination service. */
int control_plane_open_pod(const struct control_plane_flags *flags, uint16_t port, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask);

/*
 * ask_open() there, for a service that listens on `port`. Errors of its own: the directory cannot be read, or names no control
 * plane, or more than one; both flags are given; the cluster cannot be asked, or has no pod that is ready.
 */
int control_plane_open(const struct control_plane_flags *flags, uint16_t port, int64_t timeout_ns, struct errmsg *msg,
                       struct ask **ret_ask);

enum { CONTROL_PLANE_ADDRESS_MAX = 300 };
/*
 * Where a service of it listens, for the one of several addresses that was not given: on the host of --api-addr; or at the Pod
 * that the directory names, unless that is this machine; or else on loopback. A directory that cannot be read is as none: it is
 * complained of elsewhere.
 */
void control_plane_address(const struct control_plane_flags *flags, uint16_t port, char ret_text[CONTROL_PLANE_ADDRESS_MAX]);
