/*
 * Checking a chart's values against its values.schema.json, as Helm does before
 * it renders, with the part of JSON Schema that our charts use: type, enum,
 * const, pattern, minimum, maximum, minLength, properties,
 * additionalProperties, required, items, anyOf, and $ref to #/definitions/NAME.
 * A schema that holds another word is an error, so that Helm and we cannot
 * differ by one that only Helm knows.
 *
 * Every mistake is told, not only the first; where a pattern does not match, in
 * the words of the description beside it. Bounded by the depth of values
 * (LIMIT_TEMPLATE_DEPTH) and by the size of the text. Pure.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "base/errmsg.h"

/*
 * 0; -EINVAL when the values do not fit: *ret_problems then has a line for each ("proxy.image.pullPolicy: is "x": expected
 * one of ..."); -ENOTSUP when the schema is not of this subset, -ENOMEM: *msg says which.
 */
int schema_check(json_t *schema, json_t *values, struct errmsg *msg, struct buffer *ret_problems);
