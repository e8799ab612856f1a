/*
 * What is said to a credential plug-in (client.authentication.k8s.io) and what it says: the ExecCredential objects, as text. Running one is
 * kube/access/exec_plugin.h. Pure.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errmsg.h"

enum exec_interactive { EXEC_IF_AVAILABLE, EXEC_NEVER, EXEC_ALWAYS };

/* A kubeconfig's `exec`. Texts have a NUL behind them. */
struct kube_exec {
    struct slice command; /* empty: none. With a slash it is a path */
    struct slice *arguments;
    size_t argument_count;
    struct slice *variables; /* "NAME=value" */
    size_t variable_count;
    struct slice version; /* "client.authentication.k8s.io/v1" or ".../v1beta1" */
    struct slice install_hint;
    enum exec_interactive interactive;
    bool provide_cluster;
    struct slice cluster_config; /* JSON for spec.cluster.config; empty: none */
};

/* What spec.cluster holds. */
struct exec_cluster {
    struct slice server, tls_server_name, ca_pem, proxy_url, config;
    bool insecure;
};

/* The text of KUBERNETES_EXEC_INFO, appended; `cluster` may be NULL. Returns the buffer's error. */
int exec_info_write(struct slice version, bool interactive, const struct exec_cluster *cluster, struct buffer *to);

struct exec_credential {
    struct slice token;                       /* may be empty */
    struct slice certificate_pem, key_pem;    /* both or none */
    int64_t expires_ns;                       /* since 1970; INT64_MAX: never */
};

/*
 * What the plug-in printed: JSON of the version that was asked for, with a token, or a certificate with its key, or both. -EINVAL with a sentence that
 * shows nothing secret; -ENOBUFS, -ENOMEM. The texts live in the arena.
 */
int exec_credential_read(struct arena *arena, struct slice text, struct slice version, struct exec_credential *ret_credential, struct errmsg *msg);
