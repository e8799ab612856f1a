/* The filter with a peer of TLS 1.2: OpenSSL keeps the records; at 15 KiB more a connection they are rare. */
#include <errno.h>
#include <openssl/err.h>

#include "base/limits.h"
#include "net/tls/tls_internal.h"

/* Why an operation did not go through: -EAGAIN, or the error that stays. */
static int ssl_problem(struct tls *tls, int result)
{
    int error = SSL_get_error(tls->ssl, result);
    unsigned long code = ERR_peek_error();
    int r;

    if (error == SSL_ERROR_WANT_READ || error == SSL_ERROR_WANT_WRITE)
        r = -EAGAIN;
    else if (tls->error)
        r = tls->error;
    else if (ERR_GET_REASON(code) > SSL_AD_REASON_OFFSET)
        r = tls_fail(tls, -EPROTO);
    else if (tls->below_ended &&
             (error == SSL_ERROR_SYSCALL || ERR_GET_REASON(code) == SSL_R_UNEXPECTED_EOF_WHILE_READING))
        r = tls_fail(tls, -ECONNABORTED);
    else
        r = tls_fail(tls, -EBADMSG);
    ERR_clear_error();
    if (r != -EAGAIN)
        (void)tls_flush_out(tls); /* the alert */
    return r;
}

/* Why reading stopped: 0 at the end, -EAGAIN, or the error that stays. */
static int read_problem(struct tls *tls)
{
    int r = 0;

    if (SSL_get_error(tls->ssl, 0) == SSL_ERROR_ZERO_RETURN) {
        tls->read_ended = true;
        chain_clear(&tls->in);
    } else {
        r = ssl_problem(tls, 0);
    }
    tls->starved = r == -EAGAIN;
    return r;
}

static ssize_t ssl_read(struct io *io, void *to, size_t len)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    size_t done = 0;
    int r;

    if (tls->error || tls->read_ended || len == 0) {
        tls->end_told |= len != 0;
        return tls->error;
    }
    ERR_clear_error();
    tls->starved = false;
    do {
        size_t n = 0;

        if (SSL_read_ex(tls->ssl, (char *)to + done, len - done, &n) != 1) {
            r = read_problem(tls);
            tls->end_told |= done == 0 && r != -EAGAIN;
            return done ? (ssize_t)done : r; /* an end or an error comes again */
        }
        done += n;
    } while (done < len && (SSL_has_pending(tls->ssl) || !chain_empty(&tls->in)));
    return (ssize_t)done;
}

static ssize_t ssl_writev(struct io *io, const struct iovec *iov, int count)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    ssize_t taken = 0;
    int r = tls->error ? tls->error : tls->write_ended ? -EPIPE : 0;

    ERR_clear_error();
    for (int i = 0; i < count && r == 0; i++) {
        for (size_t used = 0, n; r == 0 && used < iov[i].iov_len; used += n) {
            n = 0;
            if (tls->out.len >= LIMIT_TLS_OUT)
                r = tls_flush_out(tls);
            if (r == 0 && SSL_write_ex(tls->ssl, (char *)iov[i].iov_base + used, iov[i].iov_len - used, &n) != 1)
                r = ssl_problem(tls, 0);
            taken += (ssize_t)n;
        }
    }
    if (r < 0 && r != -EAGAIN)
        tls_fail(tls, r);
    return taken ? taken : r;
}

static int ssl_flush(struct io *io)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    int r;

    if (tls->error)
        return tls->error;
    r = tls_flush_out(tls);
    return r < 0 && r != -EAGAIN ? tls_fail(tls, r) : r;
}

static int ssl_shutdown(struct io *io)
{
    struct tls *tls = CONTAINER_OF(io, struct tls, io);
    int r;

    if (tls->error)
        return tls->error;
    if (!tls->write_ended) {
        ERR_clear_error();
        r = SSL_shutdown(tls->ssl);
        if (r < 0)
            return ssl_problem(tls, r);
        tls->write_ended = true;
    }
    r = ssl_flush(io);
    return r < 0 ? r : io_pass_shutdown(io);
}

static bool ssl_pending(const struct io *io)
{
    const struct tls *tls = CONTAINER_OF(io, struct tls, io);

    if (tls->error || tls->read_ended)
        return !tls->end_told;
    if (!tls->starved && (SSL_has_pending(tls->ssl) || !chain_empty(&tls->in) || tls->below_ended))
        return true;
    return io_pass_pending(io);
}

const struct io_ops tls_ssl_ops = {
    .name = "tls 1.2",
    .read = ssl_read,
    .writev = ssl_writev,
    .flush = ssl_flush,
    .shutdown = ssl_shutdown,
    .pending = ssl_pending,
    .free = tls_free,
};
