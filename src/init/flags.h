/*
 * A command line read against a table of flags, in the forms that Linkerd's
 * tools take: --name=value, --name value, -p value, -pvalue; a switch is --name
 * or --name=false. All mistakes are reported together.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"

enum flag_kind {
    FLAG_SWITCH, /* bool * */
    FLAG_TEXT,   /* const char **, borrowed from argv or the environment */
    FLAG_NUMBER, /* int64_t * between min and max */
    FLAG_LIST    /* struct buffer *: the values of all uses, joined by commas */
};

struct flag {
    const char *name; /* without dashes */
    char letter;      /* or 0 */
    enum flag_kind kind;
    void *to;
    int64_t min, max;    /* FLAG_NUMBER */
    const char *env;     /* a variable that gives the value where no flag does, or NULL */
    const char *example; /* what a right value looks like, for mistakes and help; NULL for switches */
    const char *help;
};

/*
 * Fills what the table points at; what is not named keeps its value. Appends a line for each mistake to *problems and
 * returns -EINVAL if there is one. *ret_help: --help or -h was there (mistakes are then of no interest).
 */
int flags_parse(const struct flag *flags, size_t count, int argc, char *const argv[], struct buffer *problems,
                bool *ret_help);
/* Appends the table as help text. */
void flags_help(const struct flag *flags, size_t count, struct buffer *out);
