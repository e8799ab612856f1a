/*
 * The annotations of namespaces: from the store, which follows all of them; a namespace that it does not have (yet) is read from the API
 * server, since one and the same `kubectl apply` may make a namespace and pods in it.
 */
#pragma once

#include <jansson.h>

#include "control/controller.h"
#include "kube/api/api_client.h"

struct namespaces;
struct namespace_read;

/* The client may be NULL (resources come from a directory): then an unknown namespace has no annotations. 0 or -ENOMEM. */
int namespaces_new(struct controller *controller, struct api_client *client, struct namespaces **ret_namespaces);
/* No read is running. NULL is allowed. */
void namespaces_free(struct namespaces *namespaces);

/* An object of annotations of linkerd.io (borrowed), or NULL with why it is not known. From the loop, never from inside namespaces_get(). */
typedef void namespace_done(void *owner, json_t *annotations, const char *why);
/*
 * 1: *ret_annotations is an object, the caller's. 0: `done` will be called, *ret_read until then is for namespaces_cancel().
 * -EINVAL: no such name can be; -ENOMEM, -ENOBUFS.
 */
int namespaces_get(struct namespaces *namespaces, const char *name, namespace_done *done, void *owner, json_t **ret_annotations,
                   struct namespace_read **ret_read);
void namespaces_cancel(struct namespace_read *read); /* NULL is allowed */
