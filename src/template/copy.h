/* Copies that are whole or not there: jansson's own leave out what there is no memory for, and say nothing. */
#pragma once

#include <jansson.h>

/* NULL when there is no memory, or nothing to copy. */
json_t *copy_shallow(const json_t *tree);
json_t *copy_deep(const json_t *tree);
