/*
 * The bytes of one connection, as a stack of filters. The bottom one is the
 * socket; above it stand what the connection's path pushed:
 *
 *     top     header    transport header in front of the first bytes (out)
 *             tls       TLS over what is below
 *             prefix    bytes that were read for detection, given back
 *     bottom  fd        the socket
 *
 * Nobody above knows which filters there are: io_read() and io_writev() go to
 * the top. A filter implements only what it changes; io_pass_* hand down to the
 * next. Errors are negative errno. -EAGAIN: not now; readiness is told through
 * `on_ready` when it may go on, which notes and wakes a task and does nothing
 * else. All in the thread of the loop.
 *
 * An idle stack holds no buffers: a filter borrows pages from loop->pages while
 * it has bytes that its neighbours did not take, and returns them when drained.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/chain.h"
#include "event/loop.h"

struct io;
struct io_stack;

struct io_ops {
    const char *name; /* seen on /connections */
    /* Up to `len` bytes: how many, 0 at the end of the stream, -EAGAIN, or the error that broke the connection. */
    ssize_t (*read)(struct io *io, void *to, size_t len);
    /*
     * How many bytes of the vectors were taken, from the front; -EAGAIN when none. Taken means that this filter
     * will deliver them, perhaps after more io_flush() calls.
     */
    ssize_t (*writev)(struct io *io, const struct iovec *iov, int count);
    /* Passes on what the filter still holds for writing. 0 when all is with the kernel, -EAGAIN, or an error. */
    int (*flush)(struct io *io);
    /* Ends the sending side in order (FIN, close_notify) behind all that was written. 0, -EAGAIN (call again), or an error. */
    int (*shutdown)(struct io *io);
    /* True when read() could give bytes, the end or an error that it has not given yet, without new readiness from below. */
    bool (*pending)(const struct io *io);
    /* Frees the filter (not the one below); nothing is sent. */
    void (*free)(struct io *io);
    /* As read(), over several vectors, none empty. NULL: only the first is filled, by read(). */
    ssize_t (*readv)(struct io *io, const struct iovec *iov, int count);
};

struct io {
    const struct io_ops *ops;
    struct io *below; /* NULL for the bottom */
    struct io_stack *stack;
};

/* The bottom filter: a connected, or connecting, socket. */
struct io_fd {
    struct io io;
    struct watch watch;
};

struct io_stack {
    struct io *top;
    struct loop *loop;
    struct io_fd fd;
    bool readable, writable; /* as last reported and not yet refuted by -EAGAIN */
    bool broken;             /* an error waits behind what was not read: one who does not read on can tell by this */
    bool hangup;             /* the peer closed, or the connection broke: there is an end or error to read */
    int error;               /* what broke it, 0 while whole */
    /* Bytes on the wire; count into metrics when not NULL. One writer. */
    _Atomic(int64_t) *count_read, *count_written;
    /* Notes that something happened and wakes the owner's task. Both change hands with the stack. */
    void (*on_ready)(struct io_stack *stack);
    void *owner;
};

/* Takes over `fd`, which is closed with the stack. 0 or a negative errno (then the descriptor is still the caller's). */
int io_open(struct io_stack *stack, struct loop *loop, int fd, void (*on_ready)(struct io_stack *stack));
/* Frees all filters and closes the socket. `abort`: the peer sees a reset. Allowed twice. */
void io_close(struct io_stack *stack, bool abort);
/*
 * Ends the stack and gives its socket, open and not watched any more, to the caller. -EBUSY when filters stand on it: what they
 * hold would be lost.
 */
int io_take_fd(struct io_stack *stack);
static inline bool io_is_open(const struct io_stack *stack) { return stack->top != NULL; }

/* Puts a filter on top; the stack owns it from now on. */
void io_push(struct io_stack *stack, struct io *io);

ssize_t io_read(struct io_stack *stack, void *to, size_t len);
ssize_t io_readv(struct io_stack *stack, const struct iovec *iov, int count);
ssize_t io_writev(struct io_stack *stack, const struct iovec *iov, int count);
int io_flush(struct io_stack *stack);
int io_shutdown(struct io_stack *stack);
bool io_pending(const struct io_stack *stack);
/* Writes from the front of the chain until it is empty or -EAGAIN, and flushes. 0 when all is with the kernel. */
int io_write_chain(struct io_stack *stack, struct chain *chain);

/* Defaults for filters that do not change an operation. */
ssize_t io_pass_read(struct io *io, void *to, size_t len);
ssize_t io_pass_readv(struct io *io, const struct iovec *iov, int count);
ssize_t io_pass_writev(struct io *io, const struct iovec *iov, int count);
int io_pass_flush(struct io *io);
int io_pass_shutdown(struct io *io);
bool io_pass_pending(const struct io *io);

/*
 * Pushes a filter that gives back the bytes read for detection before anything from below. The bytes are
 * moved out of `bytes`. The filter leaves the stack with the last of them. 0 or -ENOMEM.
 */
int io_push_prefix(struct io_stack *stack, struct chain *bytes);
/* Pushes a filter that sends these bytes before the first write (or at the first flush), and leaves then. 0 or -ENOMEM. */
int io_push_preamble(struct io_stack *stack, struct slice bytes);
