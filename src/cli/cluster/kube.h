/*
 * A Kubernetes cluster as a command asks it: one question after the other, each
 * answered before the call returns, with documents as JSON trees.
 *
 *     r = kube_open(&options->kube, 10 * NS_PER_S, &msg, &kube);
 *     r = kube_get(kube, "/api/v1/namespaces/linkerd/configmaps/linkerd-config", &msg, &object);
 *     kube_close(kube);
 *
 * Which cluster: --kubeconfig, else $KUBECONFIG, else ~/.kube/config, in the context of --context, else the current one; where there is no
 * such file at all, the pod that we run in. Beneath is kube/api/api_client.h: HTTP/2, deadlines, credentials in files.
 *
 * Errors are negative errno and a sentence that names the server and the path:
 * -ENOENT (no kubeconfig; or 404: the object is not there), -EACCES (401, 403), -EEXIST (409), -EINVAL (422 and 400: the server's own
 * words), -ETIMEDOUT and -ECONNREFUSED and the like, -EPROTO (no JSON object, no list), -EREMOTEIO (any other status).
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "base/slice.h"
#include "cli/cluster/kube_flags.h"
#include "kube/access/access.h"

struct kube;

/* Reads how to reach it; nothing is asked yet. `timeout_ns` is for each question. */
int kube_open(const struct kube_flags *flags, int64_t timeout_ns, struct errmsg *msg, struct kube **ret_kube);
/* NULL is allowed. */
void kube_close(struct kube *kube);

/* For a connection of one's own (cli/cluster/forward.h). */
const struct kube_access *kube_access(const struct kube *kube);
/* "https://10.96.0.1:443", for people. */
struct slice kube_server(const struct kube *kube);
/* The namespace of the context, "default" where it names none. */
struct slice kube_namespace(const struct kube *kube);

/* *ret_object belongs to the caller. */
int kube_get(struct kube *kube, const char *path, struct errmsg *msg, json_t **ret_object);

/* Told of each object of a list; a negative errno (with *msg set) ends the walk. */
typedef int kube_each(void *owner, json_t *object, struct errmsg *msg);
/*
 * A list, in pages: `path` without limit and continue ("/api/v1/pods", "/api/v1/pods?labelSelector=..."). -ESTALE when the server no longer
 * knows the list's next page; what was told by then is told. Objects carry no apiVersion and kind of their own.
 */
int kube_list(struct kube *kube, const char *path, kube_each *each, void *owner, struct errmsg *msg);

/* The same with nothing but the metadata of each object, for kinds whose objects are large. */
int kube_list_metadata(struct kube *kube, const char *path, kube_each *each, void *owner, struct errmsg *msg);

/*
 * POST, PUT, PATCH, DELETE; body NULL: none. `content_type` NULL: JSON. *ret_object (may be NULL) is the answer.
 */
int kube_send(struct kube *kube, const char *method, const char *path, const char *content_type, const json_t *body, struct errmsg *msg,
              json_t **ret_object);
