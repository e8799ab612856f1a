/*
 * Reads single objects from the API server, one after the other, and blocks
 * until each is there: a plugin has nothing else to do. One deadline for all.
 */
#pragma once

#include <jansson.h>
#include <stdint.h>

#include "base/errmsg.h"

struct lookup;

/* Reads the kubeconfig file. 0 or a negative errno with a sentence. */
int lookup_open(const char *kubeconfig, int64_t timeout_ns, struct lookup **ret_lookup, struct errmsg *msg);
/* An object, to be given back with json_decref(). -ENOENT where there is none, -ETIMEDOUT, or what else went wrong. */
int lookup_get(struct lookup *lookup, const char *path, json_t **ret_object, struct errmsg *msg);
void lookup_close(struct lookup *lookup); /* NULL is allowed */
