/*
 * The kubeconfig that the plugin reads on the node: the API server as this pod reaches it, and the pod's own token,
 * in the file and not beside it, since the node has no other copy. It is written anew when the token changes.
 */
#pragma once

#include "cni/folder.h"

#define CREDENTIALS_FILE "ZZZ-linkerd-cni-kubeconfig"

struct credentials {
    const char *host, *port;   /* KUBERNETES_SERVICE_HOST and _PORT */
    const char *directory;     /* has token and ca.crt */
};

/* Writes the file (mode 0600) unless it is as it should be. 0, or a negative errno with a sentence. */
int credentials_write(const struct credentials *credentials, const struct folder *folder, struct errmsg *msg);
