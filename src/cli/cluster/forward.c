/* The filter; forward_open.c makes it. */
#include "cli/cluster/forward.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "cli/cluster/forward_internal.h"
#include "codec/websocket.h"

enum { CHANNEL_DATA, CHANNEL_ERROR, CHANNELS, CHANNEL_UNKNOWN = 255 };
enum { RAW_MAX = 16384, FRAME_MAX = 8192, OUT_MAX = 65536, VECTORS = 8, PORT_BYTES = 2 };

struct forward {
    struct io io;
    struct websocket_reader reader;
    uint8_t channel;           /* of the message that is read */
    uint8_t begun[CHANNELS];   /* bytes of the port that came */
    char raw[RAW_MAX];
    struct slice in;           /* of `raw`: not looked at yet */
    struct slice data;         /* of `raw`: to be read */
    bool ended;
    struct chain out;
    char error[256];           /* the sentence of channel 1 */
};

static struct forward *of(const struct io *io)
{
    return CONTAINER_OF(io, struct forward, io);
}

/* --- out --- */

static int send_frame(struct forward *f, uint8_t opcode, struct slice prefix, struct slice payload)
{
    struct sys *sys = f->io.stack->loop->sys;
    char header[WEBSOCKET_HEADER_MAX], bytes[FRAME_MAX + 1];
    size_t len = prefix.len + payload.len;
    uint8_t mask[4];
    int r;

    sys->ops->random(sys, mask, sizeof(mask));
    if (prefix.len)
        memcpy(bytes, prefix.ptr, prefix.len);
    if (payload.len)
        memcpy(bytes + prefix.len, payload.ptr, payload.len);
    websocket_mask(mask, 0, bytes, len);
    r = chain_add(&f->out, slice_of(header, websocket_header(opcode, len, mask, header)));
    return r < 0 ? r : chain_add(&f->out, slice_of(bytes, len));
}

static int flush(struct io *io)
{
    struct forward *f = of(io);

    while (!chain_empty(&f->out)) {
        struct iovec iov[VECTORS];
        ssize_t n = io_pass_writev(io, iov, chain_iovec(&f->out, iov, VECTORS));

        if (n < 0)
            return (int)n;
        chain_drop(&f->out, (size_t)n);
    }
    return io_pass_flush(io);
}

static ssize_t writev_frame(struct io *io, const struct iovec *iov, int count)
{
    static const char channel = CHANNEL_DATA;
    struct forward *f = of(io);
    int r = f->out.len >= OUT_MAX ? flush(io) : 0;
    size_t len = iov[0].iov_len < FRAME_MAX ? iov[0].iov_len : FRAME_MAX;

    if (r < 0)
        return r;
    r = send_frame(f, WEBSOCKET_BINARY, slice_of(&channel, 1), slice_of(iov[0].iov_base, len));
    if (r == 0)
        r = flush(io);
    return r < 0 && r != -EAGAIN ? r : (ssize_t)len;
}

/* --- in --- */

static void take_error(struct forward *f, struct slice bytes)
{
    size_t len = strlen(f->error);

    bytes = slice_take(bytes, sizeof(f->error) - 1 - len);
    for (size_t i = 0; i < bytes.len; i++)
        f->error[len + i] = bytes.ptr[i] < ' ' ? ' ' : bytes.ptr[i]; /* goes to a terminal */
    f->error[len + bytes.len] = '\0';
}

static int take_message(struct forward *f, const struct websocket_event *event)
{
    struct slice bytes = event->bytes;

    if (event->begins)
        f->channel = CHANNEL_UNKNOWN;
    if (f->channel == CHANNEL_UNKNOWN && bytes.len) {
        f->channel = (uint8_t)bytes.ptr[0];
        bytes = slice_skip(bytes, 1);
    }
    if (f->channel == CHANNEL_UNKNOWN)
        return 0;
    if (f->channel >= CHANNELS)
        return -EPROTO;
    while (bytes.len && f->begun[f->channel] < PORT_BYTES) {
        f->begun[f->channel]++;
        bytes = slice_skip(bytes, 1);
    }
    if (f->channel == CHANNEL_ERROR)
        take_error(f, bytes);
    else
        f->data = bytes;
    return 0;
}

/* At once: whoever reads may have nothing to write for long. */
static int answer_ping(struct forward *f, struct slice bytes)
{
    int r = f->out.len < OUT_MAX ? send_frame(f, WEBSOCKET_PONG, SLICE_NULL, bytes) : 0;

    if (r == 0)
        r = flush(&f->io);
    return r == -EAGAIN ? 0 : r;
}

static int take(struct forward *f, const struct websocket_event *event)
{
    if (event->kind == WEBSOCKET_DATA)
        return take_message(f, event);
    if (event->kind != WEBSOCKET_CONTROL)
        return 0;
    if (event->opcode == WEBSOCKET_CLOSE)
        f->ended = true;
    return event->opcode == WEBSOCKET_PING ? answer_ping(f, event->bytes) : 0;
}

/* Looks at what came until there is something to read. */
static int look(struct forward *f)
{
    int r = 0;

    while (r == 0 && f->in.len && !f->data.len && !f->ended) {
        struct websocket_event event;
        ssize_t n = websocket_feed(&f->reader, f->in, &event);

        if (n < 0)
            return (int)n;
        f->in = slice_skip(f->in, (size_t)n);
        r = take(f, &event);
    }
    return r;
}

static ssize_t read_frames(struct io *io, void *to, size_t len)
{
    struct forward *f = of(io);

    for (;;) {
        int r = look(f);
        ssize_t n;

        if (r < 0)
            return r;
        if (f->data.len) {
            n = (ssize_t)(len < f->data.len ? len : f->data.len);
            memcpy(to, f->data.ptr, (size_t)n);
            f->data = slice_skip(f->data, (size_t)n);
            return n;
        }
        if (f->ended)
            return *f->error ? -ECONNREFUSED : 0;
        n = io_pass_read(io, f->raw, sizeof(f->raw));
        if (n < 0)
            return n;
        f->in = slice_of(f->raw, (size_t)n);
        f->ended = n == 0;
    }
}

static ssize_t readv_frames(struct io *io, const struct iovec *iov, int count)
{
    return read_frames(io, iov->iov_base, iov->iov_len);
}

static bool pending(const struct io *io)
{
    const struct forward *f = of(io);

    return f->data.len || f->in.len || f->ended || io_pass_pending(io);
}

static void free_forward(struct io *io)
{
    chain_clear(&of(io)->out);
    free(of(io));
}

static const struct io_ops ops = {
    .name = "forward",
    .read = read_frames,
    .readv = readv_frames,
    .writev = writev_frame,
    .flush = flush,
    .shutdown = flush, /* there is no half-close */
    .pending = pending,
    .free = free_forward,
};

int forward_push(struct io_stack *stack, struct slice begun)
{
    struct forward *f = calloc(1, sizeof(*f));

    if (!f)
        return -ENOMEM;
    if (begun.len > sizeof(f->raw)) {
        free(f);
        return -ENOBUFS;
    }
    f->io.ops = &ops;
    if (begun.len)
        memcpy(f->raw, begun.ptr, begun.len);
    f->in = slice_of(f->raw, begun.len);
    chain_init(&f->out, &stack->loop->pages);
    io_push(stack, &f->io);
    return 0;
}

const char *forward_error(const struct io_stack *stack)
{
    for (const struct io *io = stack->top; io; io = io->below)
        if (io->ops == &ops)
            return of(io)->error;
    return "";
}
