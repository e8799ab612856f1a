/*
 * Names that values had in Linkerd 2.8: what lay under `global` and has a place
 * in our chart is moved there, what was renamed gets its new name, what has no
 * successor is taken out. Each is told once, and a value that is given under its
 * new name too stays as it is there.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"

/* A line for each into *ret_notes. `schema` is that of the chart. 0 or -ENOMEM. */
int values_old(json_t *values, const json_t *schema, struct buffer *ret_notes);
