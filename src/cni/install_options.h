/*
 * What the installer is told, all in the environment, under Linkerd's names:
 *
 *     DEST_CNI_NET_DIR, DEST_CNI_BIN_DIR    on the node: /etc/cni/net.d, /opt/cni/bin
 *     CONTAINER_MOUNT_PREFIX                where the node's directories are mounted: /host
 *     CONTAINER_CNI_BIN_DIR                 where the plugin is in the image: /opt/cni/bin
 *     CNI_NETWORK_CONFIG                    our entry, JSON
 *     SLEEP                                 "false": install, and end without removing
 *     KUBERNETES_SERVICE_HOST, _PORT        as Kubernetes sets them
 *     SERVICE_ACCOUNT_PATH                  token and ca.crt: /var/run/secrets/kubernetes.io/serviceaccount
 *
 * Pure: the variables come by a function.
 */
#pragma once

#include <limits.h>

#include "cni/credentials.h"
#include "cni/request.h"
#include "netfilter/journal.h"

struct install_options {
    char net[PATH_MAX], bin[PATH_MAX], source[PATH_MAX]; /* in this container */
    struct credentials credentials;
    enum journal_level log_level;
    bool stay;
    char *entry; /* on the heap: compact, and as the plugin will read it */
};

/*
 * The entry is checked as the plugin checks it, so that one that would fail pods is refused here. 0, or -EINVAL with a sentence
 * that names the variable.
 */
int install_options_read(request_variable variable, const void *owner, struct install_options *ret_options, struct errmsg *msg);
void install_options_release(struct install_options *options);
