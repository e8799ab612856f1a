/* Small files, whole: credentials and kubeconfigs. */
#pragma once

#include "base/buffer.h"
#include "base/errmsg.h"

/*
 * Initialises *ret_bytes with `max` and reads the file into it. 0, or a negative errno with a sentence that names the
 * file (-EFBIG: it is larger); the buffer is to be released in any case.
 */
int file_load(struct slice path, size_t max, struct buffer *ret_bytes, struct errmsg *msg);
/* Releases the buffer; what it held does not stay in freed memory. */
void file_forget(struct buffer *bytes);
