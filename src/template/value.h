/*
 * What Go makes of a value: whether it is true, how it prints, what it is
 * called. Numbers print as Go prints a float64 or an int64; text of a tree as
 * YAML is byte for byte what sigs.k8s.io/yaml writes, since it also ends up
 * inside strings (a ConfigMap).
 */
#pragma once

#include <jansson.h>
#include <stdbool.h>

#include "base/buffer.h"

/* Not nil, false, 0, "", an empty list or map. */
bool value_is_true(const json_t *value);
/* "a text", "a map", ...: for sentences. */
const char *value_kind(const json_t *value);
struct slice value_text(const json_t *string);
/* As fmt's %v: nil is nothing. False for a list or map. */
bool value_print(const json_t *value, struct buffer *out);
/* As strconv.FormatFloat(x, 'g', -1, 64). */
void value_print_real(double number, struct buffer *out);
/* toYaml, without the last newline. Errors stick to the buffer. */
void value_to_yaml(const json_t *value, struct buffer *out);
/* toJson: keys in order, and <, > and & escaped, as encoding/json does. */
void value_to_json(const json_t *value, struct buffer *out);
/* The keys of a map in the order of their bytes, which live as long as it: a heap array for free(), or NULL when there is no memory. */
const char **value_keys(const json_t *map, int (*compare)(const void *, const void *));
int value_compare_keys(const void *a, const void *b);
