/*
 * What a command line says of a chart's values beyond flags of their own: files (-f), --set, --set-string and --set-file, the later over
 * the earlier, as Helm has it.
 */
#pragma once

#include <jansson.h>

#include "base/errmsg.h"
#include "base/slice.h"
#include "cli/flags.h"

struct values_given {
    const struct words *files, *set, *set_string, *set_file;
};

/* Over what `values` holds. -EINVAL, -ENOENT, ... with a sentence that names the file or the flag. */
int values_put_given(json_t *values, const struct values_given *given, struct errmsg *msg);
/* A YAML text over them; `name` is for sentences. */
int values_put_text(json_t *values, struct slice text, const char *name, struct errmsg *msg);
/* "a,b,c" of a list of words, where there are any. 0, -ENOMEM or -ENOBUFS. */
int values_put_words(json_t *values, const char *path, const struct words *words);
