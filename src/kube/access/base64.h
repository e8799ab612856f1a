/* Base64 with its padding (RFC 4648 section 4), as kubeconfig files and Secrets have it. Pure. */
#pragma once

#include "base/arena.h"
#include "base/buffer.h"

/* Appends. Returns the buffer's error. */
int base64_add(struct buffer *to, struct slice bytes);
/*
 * What the text stands for, in the arena with a NUL behind it; line ends in it are passed over. -EINVAL: it is none (padding missing, stray bits,
 * other characters); -ENOMEM.
 */
int base64_read(struct arena *arena, struct slice text, struct slice *ret_bytes);
