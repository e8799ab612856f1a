/* For tests: what a JSON Patch (RFC 6902) makes of an object; of its operations `add`, the only one that we send. */
#pragma once

#include <jansson.h>

/* A new tree. The test fails when a path leads nowhere. */
json_t *json_patch_apply(const json_t *object, const json_t *patch);
