/*
 * How to reach one API server: its address, whom to believe, and what to prove
 * oneself with. Made from kubeconfig files (kube/access/kubeconfig.h) or from what
 * Kubernetes mounts into a pod; used by kube/api/api_client.h.
 *
 * Credentials in files are read each time they are needed, since tokens and
 * certificates rotate while we run.
 */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/limits.h"
#include "event/sys.h"
#include "kube/access/exec_credential.h"
#include "net/tls/tls_web.h"
#include "net/tunnel.h"

struct exec_plugin;

/* A further header field of each request: who to act for has no other bounds than its name. */
struct kube_extra {
    struct slice name, value; /* "Impersonate-Extra-scopes" */
};

/* Text lives in the arena. Of a pair of a PEM text and a file, the text counts. */
struct kube_access {
    struct arena arena;
    struct slice origin; /* for people: "context \"admin\" of /root/.kube/config" */
    struct slice server; /* as written: "https://10.96.0.1:443" */
    bool tls;
    struct slice host; /* a name, or an address without brackets */
    uint16_t port;
    struct slice authority; /* host:port as HTTP has it */
    struct slice prefix;    /* in front of every path; without a slash at its end, so mostly empty */
    struct slice tls_server_name; /* what the certificate is to be for; empty: the host */
    bool insecure;
    struct slice ca_pem, ca_file; /* both empty: the authorities of the system */
    struct slice certificate_pem, certificate_file, key_pem, key_file;
    struct slice token, token_file; /* here the file counts first, as kubectl has it */
    struct slice user, password;
    struct slice namespace_; /* to use where none is named; may be empty */
    struct slice as;         /* whom to act for (impersonation); empty: the user itself */
    struct slice as_uid;
    struct slice as_groups[LIMIT_API_GROUPS];
    size_t as_group_count;
    struct kube_extra as_extras[LIMIT_API_EXTRAS];
    size_t as_extra_count;
    struct tunnel_proxy proxy; /* TUNNEL_NONE: the server is reached without */
    struct slice proxy_url;    /* as the kubeconfig has it; empty where it is the environment's */
    struct kube_exec exec;
    struct exec_plugin *plugin; /* of exec: kube/access/exec_plugin.h; NULL: none */
};

void kube_access_release(struct kube_access *access);
/* Takes "https://host:port/prefix" apart into the fields above; the text's memory must outlive the access. -EINVAL with a reason. */
int kube_access_set_server(struct kube_access *access, struct slice server, struct errmsg *msg);
/* "host", "host:port" or "[::1]:port", into a host without brackets and a port. 0 or -EINVAL. */
int kube_split_authority(struct slice text, uint16_t default_port, struct slice *ret_host, uint16_t *ret_port);
/*
 * Reaches the server through the proxy that HTTPS_PROXY, HTTP_PROXY and NO_PROXY of this process name for it, unless a proxy is set already: as kubectl
 * does. Done by kubeconfig_load() and kube_access_in_pod(). -EINVAL with a reason, or -ENOMEM.
 */
int kube_access_use_environment(struct kube_access *access, struct errmsg *msg);

#define KUBE_POD_DIRECTORY "/var/run/secrets/kubernetes.io/serviceaccount"
/*
 * The cluster that this pod runs in: host and port are KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT (NULL: not in a
 * pod, -ENOENT), the directory has token, ca.crt and namespace.
 */
int kube_access_in_pod(const char *host, const char *port, const char *directory, struct kube_access *ret_access,
                       struct errmsg *msg);

/*
 * To act for another user and these groups, as kubectl's --as and --as-group: what is empty leaves what the access has. Copies. -EINVAL for
 * what no header can hold, groups without a user, or more than LIMIT_API_GROUPS; -ENOMEM.
 */
int kube_access_impersonate(struct kube_access *access, struct slice as, const char *const *groups, size_t group_count, struct errmsg *msg);
/* One group more; the others as above. */
int kube_access_impersonate_group(struct kube_access *access, struct slice group, struct errmsg *msg);
/* -EINVAL: there is something to act with, but no user to act for. */
int kube_access_check_impersonation(const struct kube_access *access, struct errmsg *msg);
/* The same by uid, and with a value of a further attribute (Impersonate-Extra-KEY, whatever characters the key has). */
int kube_access_impersonate_uid(struct kube_access *access, struct slice uid, struct errmsg *msg);
int kube_access_impersonate_extra(struct kube_access *access, struct slice key, struct slice value, struct errmsg *msg);

/* The value of the Authorization field, appended; nothing when there is none to send. Reads the token's file, or takes what a plug-in gave. */
int kube_access_authorization(const struct kube_access *access, struct buffer *ret_value, struct errmsg *msg);
/* Reads certificates and keys that are in files. NULL in *ret_context without TLS. 0 or a negative errno with a reason. */
int kube_access_tls(const struct kube_access *access, struct sys *sys, struct tls_context **ret_context,
                    struct errmsg *msg);
/*
 * The same for a proxy that is reached by https, which must prove itself to whom the server does (as in kubectl), and is shown no certificate of ours.
 * NULL in *ret_context for other proxies.
 */
int kube_access_proxy_tls(const struct kube_access *access, struct sys *sys, struct tls_context **ret_context, struct errmsg *msg);
