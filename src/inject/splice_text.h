/* Values as text in the style of the place that they are put into. What splice.c and splice_text.c share. */
#pragma once

#include "inject/splice.h"

/* An entry of a block map: one or more lines, each behind `column` spaces, each with its end. */
void splice_entry(const struct splice *splice, const char *key, const json_t *value, size_t column, struct buffer *out);
/* The same of a block list. */
void splice_element(const json_t *value, size_t column, struct buffer *out);

struct bracket_style {
    bool pretty;        /* an entry a line */
    bool spaced;        /* behind : and , */
    struct slice lead;  /* white space in front of an entry's line */
    struct slice step;  /* what is added to it for what is within */
};
/* A value in brackets, as JSON; entries within it stand one step behind `style->lead`. */
void splice_flow(const json_t *value, const struct bracket_style *style, size_t depth, struct buffer *out);
/* A member of a map in brackets: "key": value. */
void splice_flow_entry(const char *key, const json_t *value, const struct bracket_style *style, struct buffer *out);
