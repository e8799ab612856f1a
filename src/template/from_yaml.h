/*
 * YAML as the data of templates: what Helm makes of a values file, and what is made of the text that a template renders to.
 * Bounded as codec/yaml/yaml.h is, and by LIMIT_OBJECT_ARENA. Pure.
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/errmsg.h"
#include "base/slice.h"
#include "codec/yaml/yaml.h"

/*
 * The first document of the text, null when there is none. `numbers_as_reals`: integers too become reals, the float64 that Helm makes of
 * them; else they stay what they are. -EINVAL, -ENOBUFS or -ENOMEM with "NAME:LINE:COLUMN: sentence".
 */
int from_yaml(struct slice text, const char *name, bool numbers_as_reals, struct errmsg *msg, json_t **ret_tree);

/* A parsed tree; its integers stay what they are. NULL when there is no memory, or for a number that JSON does not have (.inf, .nan). */
json_t *from_yaml_node(const struct yaml_node *node);
