/* What inject and uninject read: a file, standard input (-), an http or https address, or the files of a folder and its folders, in the order of their names. */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"

/* Told of each file; a negative errno ends the walk. */
typedef int input_each(void *owner, const char *name, struct slice bytes);
/* -ENOENT and the like with the sentence; or what `each` returned. */
int input_read(const char *path, input_each *each, void *owner, struct errmsg *msg);
