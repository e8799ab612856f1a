/*
 * The filter once a TLS 1.3 handshake is done: records go straight from the
 * reader's memory to pages for below, and from pages to the reader's memory;
 * each byte is touched once, by the cipher.
 */
#include "net/tls/tls.h"

#include <errno.h>

#include "base/limits.h"
#include "net/tls/tls_internal.h"

enum {
    SEAL_MAX = LIMIT_BUFFER_PAGE - TLS_OVERHEAD, /* one page holds the whole record */
    READ_AHEAD = 256 * 1024,                     /* of ciphertext, at most, in one go */
    FLUSH_AT = 128 * 1024,                       /* ciphertext that is worth a system call before the turn ends */
    RECORD_PIECES = 4,                           /* pages that one record may lie in: the first and last in part */
};

/* --- reading --- */

/* Length of the first record's body when all of it is here; 0 when not; -EBADMSG when it can never be right. */
static ssize_t whole_record(const struct tls *tls, uint8_t header[TLS_HEADER])
{
    size_t len;

    if (chain_copy(&tls->in, header, TLS_HEADER) < TLS_HEADER)
        return 0;
    len = (size_t)header[3] << 8 | header[4];
    if (header[0] != TLS_DATA || len <= TLS_TAG || len > TLS_CONTENT_MAX + 1 + TLS_TAG)
        return -EBADMSG;
    return tls->in.len >= TLS_HEADER + len ? (ssize_t)len : 0;
}

static int refuse_header(struct tls *tls, const uint8_t header[TLS_HEADER])
{
    size_t len = (size_t)header[3] << 8 | header[4];

    if (header[0] != TLS_DATA)
        return tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    return tls_abort(tls, len > TLS_TAG ? ALERT_RECORD_OVERFLOW : ALERT_BAD_RECORD_MAC, -EBADMSG);
}

/* Opens the first record, which is whole, to `to`. The length of its content, or an error. */
static ssize_t open_first(struct tls *tls, const uint8_t header[TLS_HEADER], size_t len, uint8_t *to, uint8_t *ret_type)
{
    struct iovec pieces[RECORD_PIECES];
    struct tls_sealed record = {.pieces = pieces, .len = len};
    ssize_t n;

    memcpy(record.header, header, TLS_HEADER);
    chain_drop(&tls->in, TLS_HEADER);
    chain_iovec(&tls->in, pieces, RECORD_PIECES);
    n = tls_open(&tls->rx, &record, to, ret_type);
    chain_drop(&tls->in, len);
    if (n < 0)
        return tls_abort(tls, n == -EBADMSG ? ALERT_BAD_RECORD_MAC : ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    return n;
}

/* Anything but application data; a peer may not keep us busy with it for ever. */
static ssize_t take_idle(struct tls *tls, uint8_t type, const uint8_t *bytes, size_t len)
{
    if (++tls->idle_records > LIMIT_TLS_IDLE_RECORDS)
        return tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    if (type == TLS_DATA)
        return tls->head_len ? tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG) : 0; /* empty */
    if (type != TLS_HANDSHAKE && tls->head_len && !(type == TLS_ALERT && len == 2))
        return tls_abort(tls, ALERT_UNEXPECTED_MESSAGE, -EBADMSG);
    return tls_take_control(tls, type, bytes, len);
}

/* What the next record gave. */
enum step { STEP_DATA, STEP_NOTHING, STEP_STARVED, STEP_ENDED };

/*
 * Takes the next record. Application data goes to `to` (*ret_len bytes of it), or to `plain` when it might not fit
 * (then *ret_len is 0). An enum step or an error.
 */
static int next_record(struct tls *tls, uint8_t *to, size_t room, size_t *ret_len)
{
    uint8_t header[TLS_HEADER], type;
    ssize_t len = whole_record(tls, header), n;
    bool aside;

    *ret_len = 0;
    if (len == 0)
        return STEP_STARVED;
    if (len < 0)
        return refuse_header(tls, header);
    aside = room < (size_t)len - TLS_TAG - 1;
    if (aside) {
        to = (uint8_t *)chain_room(&tls->plain, LIMIT_BUFFER_PAGE, &room);
        if (!to)
            return tls_abort(tls, ALERT_INTERNAL_ERROR, -ENOMEM);
    }
    n = open_first(tls, header, (size_t)len, to, &type);
    if (n > 0 && type == TLS_DATA && !tls->head_len) {
        tls->idle_records = 0;
        if (aside)
            chain_grew(&tls->plain, (size_t)n);
        else
            *ret_len = (size_t)n;
        return STEP_DATA;
    }
    if (n >= 0)
        n = take_idle(tls, type, to, (size_t)n);
    if (aside)
        chain_grew(&tls->plain, 0);
    return n < 0 ? (int)n : n == 1 ? STEP_ENDED : STEP_NOTHING;
}

static size_t read_plain(struct tls *tls, void *to, size_t len)
{
    size_t n = chain_copy(&tls->plain, to, len);

    chain_drop(&tls->plain, n);
    return n;
}

/*
 * More from below. 1: there is; 0: in-order end; -EAGAIN; or the error that the reader gets. What a stream in bulk has
 * waiting is read in few calls: twice as much after each that brought all that was asked for, half after one that did
 * not bring half of it.
 */
static ssize_t refill(struct tls *tls)
{
    size_t want = (size_t)LIMIT_BUFFER_PAGE << tls->ahead;
    ssize_t n = tls_fill(tls, want);

    if (n > 0) {
        if ((size_t)n >= want && want < READ_AHEAD)
            tls->ahead++;
        else if ((size_t)n < want / 2 && tls->ahead)
            tls->ahead--;
        return 1;
    }
    if (n == 0)
        return tls_fail(tls, -ECONNABORTED); /* no close_notify */
    return n == -EAGAIN ? n : tls_fail(tls, (int)n);
}

static ssize_t record_read(struct io *io, void *to, size_t len)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    size_t done = 0;

    while (done < len) {
        size_t got;
        int step;
        ssize_t r;

        if (!chain_empty(&tls->plain)) {
            done += read_plain(tls, (char *)to + done, len - done);
            continue;
        }
        if (tls->error || tls->read_ended) {
            tls->end_told |= done == 0;
            return done ? (ssize_t)done : tls->error;
        }
        step = next_record(tls, (uint8_t *)to + done, len - done, &got);
        done += got;
        if (step == STEP_STARVED) {
            if (done)
                break;
            r = refill(tls);
            tls->end_told |= r < 0 && r != -EAGAIN;
            if (r < 0)
                return r;
        }
        /* STEP_ENDED and errors are seen at the top of the next turn. */
    }
    return (ssize_t)done;
}

static bool record_pending(const struct io *io)
{
    const struct tls *tls = CONTAINER_OF(io, struct tls, io);
    uint8_t header[TLS_HEADER];

    if (!chain_empty(&tls->plain))
        return true;
    if (tls->error || tls->read_ended)
        return !tls->end_told;
    return whole_record(tls, header) != 0 || tls->below_ended || io_pass_pending(io);
}

/* --- writing --- */

/* A place in the caller's vectors. */
struct source {
    const struct iovec *iov;
    int count;
    size_t used; /* of the first */
};

/* Gathers up to SEAL_MAX bytes from the source and moves it on. */
static size_t gather(struct source *source, struct iovec *to, int max, int *ret_count)
{
    size_t total = 0;
    int n = 0;

    while (source->count > 0 && n < max && total < SEAL_MAX) {
        size_t part = source->iov->iov_len - source->used;

        if (part > SEAL_MAX - total)
            part = SEAL_MAX - total;
        if (part)
            to[n++] = (struct iovec){(char *)source->iov->iov_base + source->used, part};
        total += part;
        source->used += part;
        if (source->used == source->iov->iov_len) {
            source->iov++;
            source->count--;
            source->used = 0;
        }
    }
    *ret_count = n;
    return total;
}

/* Room for more ciphertext: what waits goes down first, once it is enough to be worth it. */
static int make_room(struct tls *tls)
{
    int r;

    if (tls->out.len < FLUSH_AT)
        return 0;
    r = tls_flush_out(tls);
    if (r < 0 && r != -EAGAIN)
        return tls_fail(tls, r);
    return tls->out.len < LIMIT_TLS_OUT ? 0 : -EAGAIN;
}

static int seal_next(struct tls *tls, const struct iovec *from, int count, size_t len)
{
    int r = tls->tx.sequence >= TLS_REKEY_RECORDS ? tls_rekey(tls) : 0;

    if (r == 0)
        r = tls_seal_record(tls, TLS_DATA, from, count, len);
    return r < 0 ? tls_fail(tls, r) : 0;
}

static ssize_t record_writev(struct io *io, const struct iovec *iov, int count)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    struct source source = {iov, count, 0};
    ssize_t taken = 0;
    int r = tls->error ? tls->error : tls->write_ended ? -EPIPE : 0;

    while (r == 0 && source.count > 0) {
        struct iovec part[16];
        int parts;
        size_t len;

        r = make_room(tls);
        if (r < 0)
            break;
        len = gather(&source, part, 16, &parts);
        if (len == 0)
            break;
        r = seal_next(tls, part, parts, len);
        if (r == 0)
            taken += (ssize_t)len;
    }
    return taken ? taken : r;
}

static int record_flush(struct io *io)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    int r;

    if (tls->error)
        return tls->error;
    r = tls_flush_out(tls);
    return r < 0 && r != -EAGAIN ? tls_fail(tls, r) : r;
}

static int record_shutdown(struct io *io)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    int r = 0;

    if (tls->error)
        return tls->error;
    if (!tls->write_ended)
        r = tls_send_alert(tls, ALERT_CLOSE_NOTIFY);
    tls->write_ended = true;
    if (r < 0)
        return tls_fail(tls, r);
    r = record_flush(io);
    return r < 0 ? r : io_pass_shutdown(io);
}

const struct io_ops tls_record_ops = {
    .name = "tls",
    .read = record_read,
    .writev = record_writev,
    .flush = record_flush,
    .shutdown = record_shutdown,
    .pending = record_pending,
    .free = tls_free,
};
