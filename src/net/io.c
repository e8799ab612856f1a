#include "net/io.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

enum { WRITE_VECTORS = 64 };

static void count(_Atomic(int64_t) *counter, ssize_t bytes)
{
    if (counter && bytes > 0)
        atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + bytes,
                              memory_order_relaxed);
}

/* Keeps the flags true: what was reported stays until the kernel says -EAGAIN. */
static ssize_t fd_readv(struct io *io, const struct iovec *iov, int vectors)
{
    struct io_stack *stack = io->stack;
    size_t room = 0;
    ssize_t n;

    if (!stack->readable)
        return -EAGAIN;
    for (int i = 0; i < vectors; i++)
        room += iov[i].iov_len;
    n = stack->loop->sys->ops->readv(stack->loop->sys, stack->fd.watch.fd, iov, vectors);
    /* A short read empties the socket; its next bytes are an edge again. A hang-up must still be read. */
    if (n == -EAGAIN || (n > 0 && (size_t)n < room && !stack->hangup))
        stack->readable = false;
    count(stack->count_read, n);
    return n;
}

static ssize_t fd_read(struct io *io, void *to, size_t len)
{
    return fd_readv(io, &(struct iovec){to, len}, 1);
}

static ssize_t fd_writev(struct io *io, const struct iovec *iov, int vectors)
{
    struct io_stack *stack = io->stack;
    ssize_t n;

    if (!stack->writable)
        return -EAGAIN;
    n = stack->loop->sys->ops->writev(stack->loop->sys, stack->fd.watch.fd, iov, vectors);
    if (n == -EAGAIN)
        stack->writable = false;
    count(stack->count_written, n);
    return n;
}

static int fd_flush(struct io *io)
{
    return 0;
}

static int fd_shutdown(struct io *io)
{
    struct io_stack *stack = io->stack;

    return stack->loop->sys->ops->shutdown(stack->loop->sys, stack->fd.watch.fd);
}

static bool fd_pending(const struct io *io)
{
    return io->stack->readable;
}

static void fd_free(struct io *io)
{
    /* Embedded in the stack; io_close() closes the descriptor. */
}

static const struct io_ops fd_ops = {
    .name = "fd",
    .read = fd_read,
    .readv = fd_readv,
    .writev = fd_writev,
    .flush = fd_flush,
    .shutdown = fd_shutdown,
    .pending = fd_pending,
    .free = fd_free,
};

static void fd_ready(struct watch *watch, unsigned what)
{
    struct io_stack *stack = CONTAINER_OF(watch, struct io_stack, fd.watch);

    stack->readable |= (what & SYS_READABLE) != 0;
    stack->writable |= (what & SYS_WRITABLE) != 0;
    stack->hangup |= (what & SYS_HANGUP) != 0;
    stack->broken |= (what & SYS_BROKEN) != 0;
    stack->on_ready(stack);
}

int io_open(struct io_stack *stack, struct loop *loop, int fd, void (*on_ready)(struct io_stack *stack))
{
    int r;

    *stack = (struct io_stack){.loop = loop, .on_ready = on_ready};
    stack->fd.io = (struct io){&fd_ops, NULL, stack};
    stack->fd.watch.fd = -1;
    r = watch_start(loop, &stack->fd.watch, fd, 0, fd_ready);
    if (r < 0)
        return r;
    stack->top = &stack->fd.io;
    return 0;
}

void io_close(struct io_stack *stack, bool abort)
{
    while (stack->top) {
        struct io *io = stack->top;

        stack->top = io->below;
        io->ops->free(io);
    }
    if (stack->loop)
        watch_close(stack->loop, &stack->fd.watch, abort);
}

int io_take_fd(struct io_stack *stack)
{
    int fd = stack->fd.watch.fd;

    if (stack->top != &stack->fd.io)
        return -EBUSY;
    watch_stop(stack->loop, &stack->fd.watch);
    stack->top = NULL;
    return fd;
}

void io_push(struct io_stack *stack, struct io *io)
{
    io->stack = stack;
    io->below = stack->top;
    stack->top = io;
}

/* The first thing that broke the connection is remembered; later calls see it too. */
static ssize_t note_error(struct io_stack *stack, ssize_t r)
{
    if (r < 0 && r != -EAGAIN && !stack->error)
        stack->error = (int)r;
    return r;
}

ssize_t io_read(struct io_stack *stack, void *to, size_t len)
{
    return note_error(stack, stack->top->ops->read(stack->top, to, len));
}

/* Vectors of a filter that fills only one at a time: the first. */
static ssize_t readv_of(struct io *io, const struct iovec *iov, int vectors)
{
    return io->ops->readv ? io->ops->readv(io, iov, vectors) : io->ops->read(io, iov->iov_base, iov->iov_len);
}

ssize_t io_readv(struct io_stack *stack, const struct iovec *iov, int vectors)
{
    return note_error(stack, readv_of(stack->top, iov, vectors));
}

ssize_t io_writev(struct io_stack *stack, const struct iovec *iov, int vectors)
{
    return note_error(stack, stack->top->ops->writev(stack->top, iov, vectors));
}

int io_flush(struct io_stack *stack)
{
    return (int)note_error(stack, stack->top->ops->flush(stack->top));
}

int io_shutdown(struct io_stack *stack)
{
    return (int)note_error(stack, stack->top->ops->shutdown(stack->top));
}

bool io_pending(const struct io_stack *stack)
{
    return stack->top->ops->pending(stack->top);
}

int io_write_chain(struct io_stack *stack, struct chain *chain)
{
    while (!chain_empty(chain)) {
        struct iovec iov[WRITE_VECTORS];
        ssize_t n = io_writev(stack, iov, chain_iovec(chain, iov, WRITE_VECTORS));

        if (n < 0) {
            int r = n == -EAGAIN ? io_flush(stack) : (int)n;

            return r < 0 ? r : -EAGAIN;
        }
        chain_drop(chain, (size_t)n);
    }
    return io_flush(stack);
}

ssize_t io_pass_read(struct io *io, void *to, size_t len)
{
    return io->below->ops->read(io->below, to, len);
}

ssize_t io_pass_readv(struct io *io, const struct iovec *iov, int vectors)
{
    return readv_of(io->below, iov, vectors);
}

ssize_t io_pass_writev(struct io *io, const struct iovec *iov, int vectors)
{
    return io->below->ops->writev(io->below, iov, vectors);
}

int io_pass_flush(struct io *io)
{
    return io->below->ops->flush(io->below);
}

int io_pass_shutdown(struct io *io)
{
    return io->below->ops->shutdown(io->below);
}

bool io_pass_pending(const struct io *io)
{
    return io->below->ops->pending(io->below);
}

/*
 * prefix: gives bytes back; preamble: sends bytes first. Both hold a chain and little else, and leave
 * the stack when it is empty: what runs for hours, or idles, does not carry them.
 */
struct io_bytes {
    struct io io;
    struct chain bytes;
};

static void bytes_free(struct io *io)
{
    struct io_bytes *filter = CONTAINER_OF(io, struct io_bytes, io);

    chain_clear(&filter->bytes);
    free(filter);
}

/* The filter is gone when this returns. */
static void bytes_leave(struct io_bytes *filter)
{
    struct io **to = &filter->io.stack->top;

    while (*to != &filter->io)
        to = &(*to)->below;
    *to = filter->io.below;
    bytes_free(&filter->io);
}

static ssize_t prefix_read(struct io *io, void *to, size_t len)
{
    struct io_bytes *filter = CONTAINER_OF(io, struct io_bytes, io);
    size_t n;

    n = chain_copy(&filter->bytes, to, len);
    chain_drop(&filter->bytes, n);
    if (chain_empty(&filter->bytes))
        bytes_leave(filter);
    return (ssize_t)n;
}

static ssize_t prefix_readv(struct io *io, const struct iovec *iov, int vectors)
{
    return prefix_read(io, iov->iov_base, iov->iov_len);
}

static bool prefix_pending(const struct io *io)
{
    return true;
}

static const struct io_ops prefix_ops = {
    .name = "prefix",
    .read = prefix_read,
    .readv = prefix_readv,
    .writev = io_pass_writev,
    .flush = io_pass_flush,
    .shutdown = io_pass_shutdown,
    .pending = prefix_pending,
    .free = bytes_free,
};

static int preamble_flush(struct io *io)
{
    struct io_bytes *filter = CONTAINER_OF(io, struct io_bytes, io);
    struct io *below = io->below;

    while (!chain_empty(&filter->bytes)) {
        struct iovec iov[WRITE_VECTORS];
        ssize_t n = io_pass_writev(io, iov, chain_iovec(&filter->bytes, iov, WRITE_VECTORS));

        if (n < 0)
            return (int)n;
        chain_drop(&filter->bytes, (size_t)n);
    }
    bytes_leave(filter);
    return below->ops->flush(below);
}

/* The preamble and the first bytes behind it go down in one call, so that they can share a record and a packet. */
static ssize_t preamble_writev(struct io *io, const struct iovec *iov, int vectors)
{
    struct io_bytes *filter = CONTAINER_OF(io, struct io_bytes, io);
    struct io *below = io->below;

    for (;;) {
        struct iovec both[WRITE_VECTORS];
        size_t mine = filter->bytes.len;
        int own = chain_iovec(&filter->bytes, both, WRITE_VECTORS / 2);
        int theirs = vectors < WRITE_VECTORS - own ? vectors : WRITE_VECTORS - own;
        ssize_t n;

        for (int i = 0; i < theirs; i++)
            both[own + i] = iov[i];
        n = io_pass_writev(io, both, own + theirs);
        if (n < 0)
            return n;
        if ((size_t)n < mine) {
            chain_drop(&filter->bytes, (size_t)n);
            continue;
        }
        bytes_leave(filter);
        return (size_t)n > mine ? n - (ssize_t)mine : below->ops->writev(below, iov, vectors);
    }
}

static int preamble_shutdown(struct io *io)
{
    struct io *below = io->below;
    int r = preamble_flush(io);

    return r < 0 ? r : below->ops->shutdown(below);
}

static const struct io_ops preamble_ops = {
    .name = "header",
    .read = io_pass_read,
    .readv = io_pass_readv,
    .writev = preamble_writev,
    .flush = preamble_flush,
    .shutdown = preamble_shutdown,
    .pending = io_pass_pending,
    .free = bytes_free,
};

static struct io_bytes *new_bytes(struct io_stack *stack, const struct io_ops *ops)
{
    struct io_bytes *filter = calloc(1, sizeof(*filter));

    if (!filter)
        return NULL;
    filter->io.ops = ops;
    chain_init(&filter->bytes, &stack->loop->pages);
    return filter;
}

int io_push_prefix(struct io_stack *stack, struct chain *bytes)
{
    struct io_bytes *filter;

    if (chain_empty(bytes))
        return 0;
    filter = new_bytes(stack, &prefix_ops);
    if (!filter)
        return -ENOMEM;
    chain_move(&filter->bytes, bytes);
    io_push(stack, &filter->io);
    return 0;
}

int io_push_preamble(struct io_stack *stack, struct slice bytes)
{
    struct io_bytes *filter = new_bytes(stack, &preamble_ops);

    if (!filter || chain_add(&filter->bytes, bytes) < 0) {
        if (filter)
            bytes_free(&filter->io);
        return -ENOMEM;
    }
    io_push(stack, &filter->io);
    return 0;
}
