/*
 * The values that a user gives for a chart, as Helm reads them: files (-f), then
 * --set, --set-string and --set-file in its grammar, the later over the earlier.
 * Trees are jansson's, made by these functions; numbers of files are reals, as
 * the float64 that Helm makes of them.
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "base/slice.h"

enum values_numbers { NUMBERS_AS_REALS, NUMBERS_AS_WRITTEN };

/* The first document of a YAML text; an empty one is an empty map. The sentence begins with `name`. -EINVAL, -ENOMEM. */
int values_read(struct slice text, const char *name, enum values_numbers numbers, struct errmsg *msg, json_t **ret_values);
/* What `over` has goes into `into`: maps are merged, all else replaced. 0 or -ENOMEM. */
int values_merge(json_t *into, json_t *over);
/*
 * What `defaults` has and `values` lacks goes into it, maps within maps too; a null in `values` takes the default away.
 * 0 or -ENOMEM.
 */
int values_complete(json_t *values, json_t *defaults);

enum values_set { SET_TYPED, SET_STRING, SET_FILE };

/*
 * One argument of --set (true, false, null and integers are what they look like), --set-string (all text) or --set-file (the
 * value is the name of a file, whose bytes count): a.b=1,c[0].d={x,y}, with \ before a character that is meant as
 * such. -EINVAL with a sentence that names the key.
 */
int values_set(json_t *values, const char *argument, enum values_set how, struct errmsg *msg);
/* a.b.c = value (its reference is taken over, also on failure). 0 or -ENOMEM. */
int values_put(json_t *values, const char *path, json_t *value);
/* What stands at a.b.c, borrowed, or NULL. */
json_t *values_at(json_t *values, const char *path);
