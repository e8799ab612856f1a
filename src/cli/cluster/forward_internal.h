/* What forward.c and forward_open.c share. */
#pragma once

#include "net/io.h"

/* `begun`: bytes that came behind the server's answer. 0, -ENOMEM or -ENOBUFS. */
int forward_push(struct io_stack *stack, struct slice begun);
