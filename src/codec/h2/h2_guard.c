/*
 * Floods. Everything that a peer may do at no cost of its own and at some cost of ours is counted, in
 * intervals, and weighed against the useful things it did in the same
 * interval, so that a busy honest peer (thousands of requests a second, some of them cancelled; a bulk upload
 * with a WINDOW_UPDATE for every other frame) never meets a limit that an idle attacker meets at once. What an attacker
 * gains by mixing in useful work is bounded by the cost of that work.
 *
 *     resets      rapid reset (CVE-2023-44487) and made-you-reset (CVE-2025-8671): streams that the peer's
 *                 RST_STREAM (before they were answered) or its violations ended, against streams that ended in order
 *     frames      PING, SETTINGS, PRIORITY, WINDOW_UPDATE, empty DATA, frames of unknown types and on closed
 *                 streams (CVE-2019-9512, 9513, 9515, 9518), requests beyond the most that may be open; against
 *                 requests and data, either way
 *     acks        acknowledgements that the peer does not read
 *     taken back  the other side of resets: a client of ours that takes back one request after the other shall not make
 *                 a peer end the connection that others share. It is given up for new requests in time (h2_is_spent),
 *                 and the last of the peer's patience is not used: such streams end with the connection
 *
 * CONTINUATION floods are bounded where blocks are collected, h2_headers.c.
 */
#include "base/mutation.h"
#include "codec/h2/h2_parts.h"

#define SECOND_NS INT64_C(1000000000)
static const int64_t reset_interval_ns = 30 * SECOND_NS, frame_interval_ns = 10 * SECOND_NS;

static void renew_resets(struct h2_conn *conn)
{
    struct h2_guard *guard = &conn->guard;

    if (conn->now_ns - guard->reset_start_ns < reset_interval_ns)
        return;
    guard->reset_start_ns = conn->now_ns;
    guard->resets = guard->completed = 0;
}

static void renew_frames(struct h2_conn *conn)
{
    struct h2_guard *guard = &conn->guard;

    if (conn->now_ns - guard->frame_start_ns < frame_interval_ns)
        return;
    guard->frame_start_ns = conn->now_ns;
    guard->cost = guard->credit = 0;
}

void h2_guard_completed(struct h2_conn *conn)
{
    renew_resets(conn);
    conn->guard.completed++;
    if (conn->guard.taken_back)
        conn->guard.taken_back--;
}

int h2_guard_reset(struct h2_conn *conn)
{
    uint32_t limit = h2_or(conn->config->max_resets, LIMIT_H2_RESETS);

    renew_resets(conn);
    if (++conn->guard.resets <= (uint64_t)limit + conn->guard.completed || mutation("resets-without-limit"))
        return 0;
    return h2_fail(conn, H2_ENHANCE_YOUR_CALM, "too many streams were reset");
}

/*
 * What a peer like us would count of our own resets. A debt that only streams which end in order pay off is never
 * less than the difference over any interval, wherever the peer's intervals begin.
 */
bool h2_guard_may_take_back(struct h2_conn *conn)
{
    if (conn->guard.taken_back >= LIMIT_H2_RESETS - LIMIT_H2_RESETS / 4)
        return mutation("resets-by-us-without-limit");
    conn->guard.taken_back++;
    return true;
}

bool h2_is_spent(const struct h2_conn *conn)
{
    return conn->guard.taken_back >= LIMIT_H2_RESETS / 2;
}

int h2_guard_frame(struct h2_conn *conn)
{
    renew_frames(conn);
    if (++conn->guard.cost <= (uint64_t)LIMIT_H2_CONTROL_FRAMES + conn->guard.credit ||
        mutation("control-frames-without-limit"))
        return 0;
    return h2_fail(conn, H2_ENHANCE_YOUR_CALM, "too many control frames");
}

void h2_guard_credit(struct h2_conn *conn, unsigned n)
{
    if (conn->guard.credit <= UINT32_MAX - n)
        conn->guard.credit += n;
}

/*
 * How many bytes of acknowledgements still wait is known only roughly: those queued since `out_mark`, and those queued
 * in the round before. Once all that was in `out` at the mark has been written, a new round begins.
 */
int h2_guard_reply(struct h2_conn *conn, size_t len)
{
    struct h2_guard *guard = &conn->guard;

    if (conn->out_total - conn->out->len >= guard->out_mark) {
        guard->acks_before = guard->acks;
        guard->acks = 0;
        guard->out_mark = conn->out_total;
        if (conn->out->len == 0)
            guard->acks_before = 0;
    }
    guard->acks += (uint32_t)len;
    if (guard->acks + guard->acks_before <= LIMIT_H2_OUT_CONTROL)
        return 0;
    return h2_fail(conn, H2_ENHANCE_YOUR_CALM, "acknowledgements are not read");
}
