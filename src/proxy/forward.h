/*
 * Bytes both ways between two connections until both directions have ended:
 * opaque TCP, and TLS that is not ours. Half-close is carried: an end read on one
 * side becomes the end written on the other, behind all its bytes. What one side
 * does not take is not read from the other beyond LIMIT_FORWARD_AHEAD. An idle
 * forward holds no buffers.
 *
 * The stacks stay the caller's. It calls forward_run() when either reports
 * readiness, and closes both after the end.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "net/io.h"

struct forward_half {
    struct io_stack *from, *to;
    struct chain bytes; /* read, not written yet */
    uint8_t ahead;      /* the next read asks for LIMIT_BUFFER_PAGE << ahead bytes */
    bool eof;           /* read the end */
    bool ended;         /* and passed it on */
};

struct forward {
    struct forward_half out, back; /* from the first stack to the second, and the reverse */
    bool failed_first;             /* which side broke, when forward_run() failed */
};

/* The stacks need not be open yet; buffers are borrowed from `pages`, which is that of their loop. */
void forward_init(struct forward *forward, struct io_stack *first, struct io_stack *second, struct page_pool *pages);
/* Returns the buffers. */
void forward_release(struct forward *forward);
/*
 * Moves what can be moved: 0 when both directions have ended, -EAGAIN when waiting for readiness, -EALREADY when
 * there is more to do but others shall have their turn (run again from a task), or the error that broke one side.
 */
int forward_run(struct forward *forward);
