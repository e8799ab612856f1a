/*
 * YAML as the data of templates: what Helm makes of a values file, and what is made of the text that a template renders to.
 * Bounded as codec/yaml.h is, and by LIMIT_OBJECT_ARENA. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/errmsg.h"
#include "base/slice.h"

/*
 * The first document of the text, null when there is none. `numbers_as_reals`: integers too become reals, the float64 that Helm makes of
 * them; else they stay what they are. -EINVAL, -ENOBUFS or -ENOMEM with "NAME:LINE:COLUMN: sentence".
 */
int from_yaml(struct slice text, const char *name, bool numbers_as_reals, struct errmsg *msg, json_t **ret_tree);
