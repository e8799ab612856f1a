/*
 * What the chart's definitions gave for the last few kinds of pods: most pods of a cluster differ in nothing that the chart is told, so that
 * their containers are the same trees. An entry holds for data that is equal in every value, not for a name or a hash; rendering is a
 * pure function of it (template/template.h).
 *
 *     made = rendered_find(cache, data)       an object that is filled in with definitions and their trees, borrowed
 *     rendered_release(cache)
 *
 * The data must not change afterwards. Large data is not kept (LIMIT_INJECT_RENDERED_BYTES). For the thread of its injector.
 */
#pragma once

#include <jansson.h>

#include "base/limits.h"

struct rendered {
    json_t *data; /* NULL: free */
    json_t *made;
    unsigned long used; /* the turn in which it was asked for last */
};

struct rendered_cache {
    struct rendered entries[LIMIT_INJECT_RENDERED];
    unsigned long turn;
};

/* A new reference; to an object of nobody else when the data is not kept. NULL when there is no memory. */
json_t *rendered_find(struct rendered_cache *cache, json_t *data);
void rendered_release(struct rendered_cache *cache);
