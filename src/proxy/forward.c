#include "proxy/forward.h"

#include <errno.h>

#include "base/mutation.h"

enum { ROUNDS_PER_TURN = 2 }; /* of up to LIMIT_FORWARD_AHEAD bytes each */

static void half_init(struct forward_half *half, struct io_stack *from, struct io_stack *to, struct page_pool *pages)
{
    *half = (struct forward_half){.from = from, .to = to};
    chain_init(&half->bytes, pages);
}

void forward_init(struct forward *forward, struct io_stack *first, struct io_stack *second, struct page_pool *pages)
{
    half_init(&forward->out, first, second, pages);
    half_init(&forward->back, second, first, pages);
    forward->failed_first = false;
}

void forward_release(struct forward *forward)
{
    chain_clear(&forward->out.bytes);
    chain_clear(&forward->back.bytes);
}

/*
 * One read, over as many pages as the stream has filled lately: a system call costs the kernel's bookkeeping and often
 * an acknowledgement, so what comes in bulk is taken in few of them.
 */
static ssize_t read_once(struct forward_half *half, size_t left)
{
    size_t want = (size_t)LIMIT_BUFFER_PAGE << half->ahead;
    struct chain_space space;
    ssize_t n;

    if (chain_reserve(&half->bytes, want < left ? want : left, &space) == 0)
        return -ENOMEM;
    n = io_readv(half->from, space.iov, space.count);
    chain_commit(&half->bytes, &space, n > 0 ? (size_t)n : 0);
    if (n > 0 && (size_t)n == space.room && want < LIMIT_FORWARD_AHEAD)
        half->ahead++;
    else if (n > 0 && (size_t)n < space.room / 2 && half->ahead)
        half->ahead--;
    return n;
}

/*
 * Reads until the socket is empty or enough lies here: 0, -EAGAIN (the socket is empty), or an error. That of a
 * connection which broke lies behind the bytes that there is no room for, and would never be read if they are not taken.
 */
static int fill(struct forward_half *half)
{
    size_t quota;

    while (!half->eof && half->bytes.len < (quota = chain_quota(&half->bytes, LIMIT_FORWARD_AHEAD))) {
        ssize_t n = read_once(half, quota - half->bytes.len);

        if (n == -ENOMEM && !chain_empty(&half->bytes))
            return 0; /* what is here goes first; its pages come back */
        if (n < 0)
            return (int)n;
        half->eof = n == 0;
    }
    return half->from->broken && !half->eof ? -ECONNRESET : 0;
}

static int pass_end(struct forward_half *half)
{
    int r;

    if (!half->eof || half->ended || !chain_empty(&half->bytes))
        return 0;
    r = io_shutdown(half->to);
    if (r == -ENOTCONN || r == -EPIPE)
        r = 0; /* it is gone already: nobody is there to be told */
    half->ended = r == 0;
    return r;
}

/* One round in one direction. *from_failed says whether an error came from the reading side. */
static int half_run(struct forward_half *half, bool *from_failed)
{
    for (int round = 0; round < ROUNDS_PER_TURN; round++) {
        int filled, written;

        if (half->ended)
            return 0;
        filled = fill(half);
        if (filled < 0 && filled != -EAGAIN) {
            *from_failed = true;
            return filled;
        }
        written = io_write_chain(half->to, &half->bytes);
        if (written == 0)
            written = pass_end(half);
        *from_failed = false;
        if (written < 0)
            return written;
        if (half->ended)
            return 0;
        if (filled == -EAGAIN)
            return -EAGAIN;
    }
    return -EALREADY;
}

/* The end that this half's bytes go to has ended its own sending, and then broke: nobody is there to take them, now or ever. */
static bool is_for_nobody(const struct forward_half *half, const struct forward_half *other)
{
    return half->to->broken && other->eof && !half->ended && !mutation("broken-after-the-end-kept");
}

int forward_run(struct forward *forward)
{
    bool from_failed;
    int out, back;

    out = half_run(&forward->out, &from_failed);
    if (out < 0 && out != -EAGAIN && out != -EALREADY) {
        forward->failed_first = from_failed;
        return out;
    }
    back = half_run(&forward->back, &from_failed);
    if (back < 0 && back != -EAGAIN && back != -EALREADY) {
        forward->failed_first = !from_failed;
        return back;
    }
    if (is_for_nobody(&forward->back, &forward->out) || is_for_nobody(&forward->out, &forward->back)) {
        forward->failed_first = is_for_nobody(&forward->back, &forward->out);
        return -ECONNRESET;
    }
    if (out == -EALREADY || back == -EALREADY)
        return -EALREADY;
    return out == 0 && back == 0 ? 0 : -EAGAIN;
}
