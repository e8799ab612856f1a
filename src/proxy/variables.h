/*
 * The names of all environment variables that the proxy knows, Linkerd's and ours, and what becomes of each:
 * config.c reads them; this is the list for people, for warnings, and for the tests that keep both
 * and docs/environment.md together.
 */
#pragma once

#include "base/buffer.h"

enum variable_use {
    USE_EFFECT,  /* read, and it does what `text` says */
    USE_LATER,   /* accepted with one warning: what it asks for (`text`) is not available yet */
    USE_NOTHING, /* accepted without a word; `text` says why it does nothing */
};

struct variable_info {
    const char *name;
    enum variable_use use;
    const char *fallback; /* what holds when it is not set; "-" nothing */
    const char *text;
};

extern const struct variable_info variable_infos[];
extern const unsigned variable_info_count;

const struct variable_info *variable_info_find(struct slice name); /* NULL: not ours */
/* One line for each variable of the environment that has our prefix and is not in the table. */
void variables_warn_unknown(const char *const *environment, struct buffer *warnings);
