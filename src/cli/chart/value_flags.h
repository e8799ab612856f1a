/*
 * Flags that are values of a chart, by another name: --admin-port 4191 is --set proxy.ports.admin=4191. A command has one row for each in a constant table.
 */
#pragma once

#include <jansson.h>
#include <stddef.h>

#include "base/errmsg.h"

enum value_kind {
    VALUE_TEXT,
    VALUE_NUMBER,   /* a whole one */
    VALUE_DURATION, /* as Go writes it; stays text */
    VALUE_FILE      /* the bytes of the file of this name */
};

struct value_flag {
    size_t at;              /* of the flag's text in the command's options: const char *, NULL or "" when it was not given */
    const char *flag, *path; /* the flag's name, and the value's, with dots */
    enum value_kind kind;
};

/* Those that were given. -EINVAL with a sentence that names the flag; what reading a file gave; -ENOMEM. */
int value_flags_put(const struct value_flag *flags, size_t count, const void *options, json_t *values, struct errmsg *msg);
