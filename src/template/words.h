/*
 * The vocabulary: what a template may call. It is closed. A word that is not in
 * this table is refused when a file is read, and the build looks at the charts
 * with the same table; none of them is random or knows the time, and `lookup` finds what was read of a cluster before, if anything.
 * Each does what Go's text/template, Sprig and Helm do under this name, as far
 * as the table says which arguments it takes; an argument of another kind is an
 * error that names the word and what it wants.
 */
#pragma once

#include "template/tree.h"

struct render;

/*
 * What each word is given. The arguments are borrowed; so is the result, which is one of them or was kept with
 * render_keep(). NULL: render_fail() said why.
 */
typedef json_t *word_run(struct render *render, json_t *const *args, size_t count);

struct word {
    const char *name;
    size_t min, max; /* arguments */
    word_run *run;   /* NULL: `and`, `or` and `include`, which the renderer does itself */
};

enum { WORD_ARGUMENTS = 32 }; /* most that any takes */

const struct word *word_find(struct slice name);

/* --- for words only, by render.c --- */

/* The value will live until the rendering ends; NULL (also when it was NULL) with the error set. */
json_t *render_keep(struct render *render, json_t *value);
/* -EINVAL and "FILE:LINE: WORD: sentence" for the caller of the rendering. Always NULL. */
json_t *render_fail(struct render *render, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* What `lookup` finds: an array of objects, or NULL. Borrowed. */
json_t *render_objects(const struct render *render);
/* A kept string of these bytes, taken from a buffer that is released; NULL with the error set if it failed. */
json_t *render_text(struct render *render, struct buffer *text);

/* In words_logic.c, words_text.c, words_data.c. */
word_run word_not, word_eq, word_ne, word_lt, word_le, word_gt, word_ge, word_default, word_empty, word_ternary;
word_run word_quote, word_printf, word_indent, word_nindent, word_trim, word_trim_suffix, word_replace,
    word_join, word_split_list, word_has_prefix, word_b64enc, word_sha256sum, word_fail, word_required, word_to_string;
word_run word_list, word_dict, word_merge, word_omit, word_last, word_len, word_lookup, word_int, word_to_yaml,
    word_to_json;
