/*
 * Changes to the text of a YAML or JSON document that leave every other byte alone: comments, order, quotes and line ends stay. From the
 * text as it was read, and an object before and after, to the lines that are put in and cut out.
 *
 *     splice_init(&splice, text, root)           the document, as yaml_parse() made a tree of it
 *     splice_object(&splice, node, before, after, &msg)   for each object that changed, in their order
 *     splice_apply(&splice, &out)
 *     splice_release(&splice)
 *
 * `before` and `after` share what is equal (inject/tree.h), so that the work is what changed. New entries of a map stand in front
 * of the old ones, in block style with the document's steps, in brackets as JSON; those of a list where they belong.
 *
 * What cannot be done by position is refused with the line and the reason: a change within a node that an alias stands for elsewhere,
 * or that `<<` brings; an entry that shares its line with something else. Pure and bounded by the document (LIMIT_INJECT_INPUT for what comes out).
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "codec/yaml/yaml.h"

/* These bytes of the document are replaced by those of `inserted`. */
struct splice_edit {
    size_t start, end;
    size_t at, len; /* in `inserted` */
};

struct splice {
    struct slice text;
    int first_line;
    struct splice_edit *edits; /* in the order of their starts */
    size_t count, size;
    struct buffer inserted;
    bool crlf, spaced; /* how the document ends lines; whether it has spaces behind colons in brackets */
    size_t step;       /* spaces from a map to one within it */
    size_t list_step;  /* ... from a key to the dashes of its list */
};

/* `text` and `root` (NULL: nothing in it) outlive it. `first_line`: of the text, for sentences. */
void splice_init(struct splice *splice, struct slice text, int first_line, const struct yaml_node *root);
void splice_release(struct splice *splice);
/* 0; -EINVAL with the sentence; -ENOMEM. */
int splice_object(struct splice *splice, const struct yaml_node *node, const json_t *before, const json_t *after, struct errmsg *msg);
/* Appends the changed document. -ENOBUFS, -ENOMEM. */
int splice_apply(const struct splice *splice, struct buffer *ret_text);
