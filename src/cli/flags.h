/*
 * A command line read against a table of flags, in the forms that Linkerd's CLI
 * takes: --name=value, --name value, -n value, -nvalue; a switch is --name or
 * --name=false; "--" ends the flags; words that are none are arguments.
 *
 * The table is constant: a flag says where in the command's own struct of
 * options its value belongs. Values are borrowed from argv or from the table.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/errmsg.h"

enum flag_kind {
    FLAG_SWITCH,   /* bool */
    FLAG_TOGGLE,   /* const char *; "true", "false", or "" when not given */
    FLAG_TEXT,     /* const char *; never NULL, "" when not given */
    FLAG_CHOICE,   /* const char *; one of `choices` */
    FLAG_DURATION, /* int64_t, nanoseconds, zero or more */
    FLAG_LIST,     /* struct words: every use appends; in the order of the line */
    FLAG_LATER,    /* known to users of Linkerd, not available here yet: -ENOSYS */
};

enum { WORDS_MAX = 256 };

struct words {
    const char *items[WORDS_MAX];
    size_t count;
};

struct flag {
    const char *name; /* without dashes */
    char letter;      /* or 0 */
    enum flag_kind kind;
    size_t at;           /* offset in the options */
    const char *preset;  /* the value when it is not given; NULL: none */
    const char *choices; /* FLAG_CHOICE: "table|json" */
    const char *value;   /* what the value is called in the help; NULL for switches */
    const char *help;
};

struct flag_table {
    const struct flag *items;
    size_t count;
    const struct flag_table *more; /* behind these; NULL: none. Their offsets are those of the same struct */
};

/* The flag at an index, over all that hang together; NULL beyond the last. */
const struct flag *flag_at(const struct flag_table *table, size_t index);

/*
 * Fills `options` (all zero before) from the presets and the words. 0; -EINVAL with a sentence that names the flag; -ENOSYS for a flag
 * that is not available yet. *ret_help: --help or -h was there; then the result is 0 and nothing else counts.
 */
int flags_parse(struct flag_table table, int argc, char *const argv[], void *options, struct errmsg *msg,
                struct words *ret_arguments, bool *ret_help);
/* Appends the table as help text, one line for each flag. */
void flags_help(struct flag_table table, struct buffer *out);
