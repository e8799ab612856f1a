/* Ciphertext between the filter and what is below it, and OpenSSL's way to the same two chains. */
#include <errno.h>
#include <openssl/bio.h>

#include "base/limits.h"
#include "net/tls/tls_internal.h"

enum { WRITE_VECTORS = 64 };

int tls_fail(struct tls *tls, int error)
{
    if (!tls->error)
        tls->error = error;
    return tls->error;
}

/* One read of up to `want` bytes into the last page and new ones; *ret_room says for how many there was room. */
static ssize_t fill_once(struct tls *tls, size_t want, size_t *ret_room)
{
    struct chain_space space;
    ssize_t n;

    if (chain_reserve(&tls->in, want, &space) == 0)
        return -ENOMEM;
    n = io_pass_readv(&tls->io, space.iov, space.count);
    *ret_room = space.room;
    chain_commit(&tls->in, &space, n > 0 ? (size_t)n : 0);
    return n;
}

ssize_t tls_fill(struct tls *tls, size_t want)
{
    struct io *below = tls->io.below;
    size_t got = 0;

    if (tls->below_ended)
        return 0;
    while (got < want && below->ops->pending(below)) {
        size_t room;
        ssize_t n = fill_once(tls, want - got, &room);

        if (n == 0)
            tls->below_ended = true;
        if (n <= 0)
            return got ? (ssize_t)got : n;
        got += (size_t)n;
        if ((size_t)n < room)
            break; /* that was all there is */
    }
    return got ? (ssize_t)got : -EAGAIN;
}

int tls_flush_out(struct tls *tls)
{
    struct io *below = tls->io.below;

    while (!chain_empty(&tls->out)) {
        struct iovec iov[WRITE_VECTORS];
        ssize_t n = below->ops->writev(below, iov, chain_iovec(&tls->out, iov, WRITE_VECTORS));

        if (n < 0)
            return (int)n;
        chain_drop(&tls->out, (size_t)n);
    }
    return below->ops->flush(below);
}

/* A peer that never comes to an end of its handshake is bounded in bytes here and in time by the caller. */
static bool takes_more(struct tls *tls, size_t got)
{
    if (!tls->handshake)
        return true;
    tls->handshake->bytes_read += got;
    return tls->handshake->bytes_read <= LIMIT_TLS_HANDSHAKE;
}

static int bio_read(BIO *bio, char *to, size_t len, size_t *ret_len)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (chain_empty(&tls->in)) {
        ssize_t n = tls_fill(tls, LIMIT_BUFFER_PAGE);

        if (n == -EAGAIN)
            BIO_set_retry_read(bio);
        else if (n < 0)
            tls_fail(tls, (int)n);
        if (n <= 0)
            return 0;
        if (!takes_more(tls, (size_t)n)) {
            tls_fail(tls, -EBADMSG);
            return 0;
        }
    }
    *ret_len = chain_copy(&tls->in, to, len);
    chain_drop(&tls->in, *ret_len);
    return 1;
}

static int bio_write(BIO *bio, const char *from, size_t len, size_t *ret_len)
{
    struct tls *tls = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (chain_add(&tls->out, slice_of(from, len)) < 0) {
        tls_fail(tls, -ENOMEM);
        return 0;
    }
    *ret_len = len;
    return 1;
}

static long bio_ctrl(BIO *bio, int command, long number, void *pointer)
{
    const struct tls *tls = BIO_get_data(bio);

    switch (command) {
    case BIO_CTRL_FLUSH:
        return 1; /* the filter's flush does it, for many records at once */
    case BIO_CTRL_EOF:
        return tls->below_ended && chain_empty(&tls->in);
    default:
        return 0;
    }
}

static int bio_create(BIO *bio)
{
    BIO_set_init(bio, 1);
    return 1;
}

BIO_METHOD *tls_bio_method(void)
{
    BIO_METHOD *method = BIO_meth_new(BIO_TYPE_SOURCE_SINK, "io stack");

    if (method && BIO_meth_set_read_ex(method, bio_read) == 1 && BIO_meth_set_write_ex(method, bio_write) == 1 &&
        BIO_meth_set_ctrl(method, bio_ctrl) == 1 && BIO_meth_set_create(method, bio_create) == 1)
        return method;
    BIO_meth_free(method);
    return NULL;
}
