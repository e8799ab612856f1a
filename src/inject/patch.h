/* A JSON Patch (RFC 6902) of additions, in the order in which they are made. */
#pragma once

#include <jansson.h>

struct patch {
    json_t *operations; /* an array, owned */
    const char *prefix; /* of all paths: a pointer (RFC 6901) to the pod's template */
    int error;          /* 0 or -ENOMEM; sticks, so that it may be looked at once at the end */
};

void patch_init(struct patch *patch, const char *prefix);
void patch_release(struct patch *patch);
/* Adds at prefix + path, where path is a pointer; `key`, when not NULL, is one more step of it, as it is. Takes the value over. */
void patch_add(struct patch *patch, const char *path, const char *key, json_t *value);
/* Adds an empty object or list at the path unless there is one already. */
void patch_ensure_object(struct patch *patch, const char *path, const json_t *there);
void patch_ensure_list(struct patch *patch, const char *path, const json_t *there);
