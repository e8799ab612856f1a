/*
 * A network configuration as an administrator or another program wrote it, and our entry in it. Texts in, texts
 * out. Pure.
 *
 *     conflist_wrap()     a single configuration becomes a list with it, verbatim, as the only plugin
 *     conflist_insert()   ",ENTRY" directly behind the last plugin, and not a byte changed elsewhere
 *     conflist_remove()   takes exactly that out again; from text that others have reformatted, the entry and the comma
 *
 * What two readers could take for different things is refused, and so is a list in which our entry would fail every
 * pod: one without another plugin, or of a CNI version that linkerd-cni does not speak. The sentence names no file: the
 * caller does.
 */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"

/*
 * The entry, one JSON object, is there once. One that is there with the same bytes stays where it is, others of our type
 * are removed first. Appends to *ret_text. 0, -EINVAL with the reason, or the buffer's error.
 */
int conflist_insert(struct slice text, struct slice entry, struct buffer *ret_text, struct errmsg *msg);
/* Without any entry of our type; the text as it is where there is none. Appends. */
int conflist_remove(struct slice text, struct buffer *ret_text, struct errmsg *msg);
/* Appends. The name and the version of the list are those of the single configuration. */
int conflist_wrap(struct slice conf, struct buffer *ret_text, struct errmsg *msg);
