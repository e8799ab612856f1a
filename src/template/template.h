/*
 * Go templates, as far as the charts of this project need them: so that
 * `linkerd install` prints what `helm template` prints, from the same files.
 * Actions, pipelines, trimming of white space, if, with, range, define,
 * template, include, variables, and the closed list of words in words.h.
 * Whatever else Helm knows is refused when a file is added, by name: a chart
 * that renders here renders there, and equally.
 *
 *     template_set_new(&set)
 *     template_set_add(set, name, text, &msg)   every file, once
 *     template_render(set, name, data, &msg, &text)
 *     template_set_free(set)
 *
 * Data is a tree of jansson: objects are maps, reals are Go's float64 (what
 * Helm makes of a number in a file), integers its int64 (what --set makes), a
 * null or a missing key is nil. Rendering reads it and changes nothing. What the
 * word `lookup` finds is an array of objects under the key TEMPLATE_OBJECTS of
 * the data; without it there is nothing, as with `helm template`.
 *
 * Bounded: bytes of a file, of the output and of all values made on the way,
 * depth of blocks and of includes, steps (LIMIT_TEMPLATE_*). Sentences begin
 * with "FILE:LINE: ". Pure; a set that is no longer added to may be read by
 * several threads, if each has data of its own.
 */
#pragma once

#include <jansson.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/slice.h"

#define TEMPLATE_OBJECTS "objects of the cluster"

struct template_set;

/* 0 or -ENOMEM. */
int template_set_new(struct template_set **ret_set);
void template_set_free(struct template_set *set);
/*
 * Reads a file; name and text are copied. Its definitions belong to the set. -EINVAL when it is not a template of this
 * subset, -EEXIST when a name is there already, -ENOBUFS beyond a limit, -ENOMEM. After a failure the set is only fit to be freed.
 */
int template_set_add(struct template_set *set, struct slice name, struct slice text, struct errmsg *msg);
/* Every name that a literal `include` or `template` asks for is defined: -ENOENT with the first that is not. */
int template_set_check(const struct template_set *set, struct errmsg *msg);
/* Appends what the file, or the definition, renders to. -EINVAL when the data does not fit the template, or `fail` was reached. */
int template_render(const struct template_set *set, struct slice name, json_t *data, struct errmsg *msg, struct buffer *ret_text);
