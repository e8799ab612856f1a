/*
 * A TLS 1.3 peer after the handshake. The first byte's lowest bit says which side we are, the next whether the rest is
 * wire bytes as they came or records to be sealed properly (type, length in two bytes, content), as a malicious but
 * authentic peer sends them; the others choose how much is read at a time.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "event/loop.h"
#include "net/tls/tls_internal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Below TLS: gives what is in `in`, then an end; takes and forgets what is written. */
struct wire {
    struct io io;
    struct chain in;
};

static ssize_t wire_read(struct io *io, void *to, size_t len)
{
    struct wire *wire = CONTAINER_OF(io, struct wire, io);
    size_t n = chain_copy(&wire->in, to, len);

    chain_drop(&wire->in, n);
    return (ssize_t)n;
}

static ssize_t wire_writev(struct io *io, const struct iovec *iov, int count)
{
    size_t n = 0;

    for (int i = 0; i < count; i++)
        n += iov[i].iov_len;
    return (ssize_t)n;
}

static int wire_done(struct io *io)
{
    return 0;
}

static bool wire_pending(const struct io *io)
{
    return true;
}

static void wire_free(struct io *io)
{
    chain_clear(&CONTAINER_OF(io, struct wire, io)->in);
}

static const struct io_ops wire_ops = {"wire", wire_read, wire_writev, wire_done, wire_done, wire_pending, wire_free};

/* What the input says, under the peer's keys. A KeyUpdate in it changes the peer's keys, as it would. */
static void seal_all(struct slice input, const EVP_CIPHER *cipher, const uint8_t *secret, struct chain *wire)
{
    static uint8_t record[TLS_CONTENT_MAX + TLS_OVERHEAD];
    struct tls_keys keys;

    if (tls_keys_init(&keys, tls_suite_at(0), cipher, secret, true) < 0)
        return;
    while (input.len >= 3) {
        uint8_t type = (uint8_t)input.ptr[0];
        size_t len = (size_t)(uint8_t)input.ptr[1] << 8 | (uint8_t)input.ptr[2];
        struct slice content = slice_take(slice_skip(input, 3), len > TLS_CONTENT_MAX ? TLS_CONTENT_MAX : len);
        struct iovec iov = {(void *)content.ptr, content.len};

        if (tls_seal(&keys, type, &iov, 1, content.len, record) < 0 ||
            chain_add(wire, slice_of(record, content.len + TLS_OVERHEAD)) < 0)
            break;
        if (type == TLS_HANDSHAKE && content.len == 5 && memcmp(content.ptr, "\x18\0\0\1", 4) == 0 &&
            tls_keys_update(&keys) < 0)
            break;
        input = slice_skip(input, 3 + content.len);
    }
    tls_keys_release(&keys);
}

static struct tls *new_tls(struct io_stack *stack, bool server, const EVP_CIPHER *cipher, const uint8_t *secret)
{
    struct tls *tls = calloc(1, sizeof(*tls));

    assert(tls);
    tls->io.ops = &tls_record_ops;
    tls->server = server;
    chain_init(&tls->in, &stack->loop->pages);
    chain_init(&tls->out, &stack->loop->pages);
    chain_init(&tls->plain, &stack->loop->pages);
    assert(tls_keys_init(&tls->rx, tls_suite_at(0), cipher, secret, false) == 0);
    assert(tls_keys_init(&tls->tx, tls_suite_at(0), cipher, secret, true) == 0);
    return tls;
}

static void read_all(struct io_stack *stack, size_t at_once)
{
    static char bytes[65536];
    ssize_t n, last = 1;

    while ((n = io_read(stack, bytes, at_once)) > 0)
        ;
    assert(n <= 0 && n != -EAGAIN); /* the wire ends, so this does */
    for (int i = 0; i < 3; i++) {
        last = io_read(stack, bytes, at_once);
        assert(last == n); /* and stays so */
    }
    (void)last;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const size_t at_once[] = {1, 5, 100, 16384, 16385, 65536};
    static const uint8_t secret[TLS_SECRET_MAX] = {1, 2, 3};
    struct slice input = slice_skip(slice_of(data, size), 1);
    struct wire wire = {.io.ops = &wire_ops};
    struct loop loop = {.now_ns = 0};
    struct io_stack stack = {.loop = &loop};
    EVP_CIPHER *cipher;

    if (size == 0)
        return 0;
    cipher = EVP_CIPHER_fetch(NULL, "AES-128-GCM", NULL);
    page_pool_init(&loop.pages, 16, 1024);
    chain_init(&wire.in, &loop.pages);
    stack.fd.watch.fd = -1;
    io_push(&stack, &wire.io);
    io_push(&stack, &new_tls(&stack, data[0] & 1, cipher, secret)->io);
    if (data[0] & 2)
        (void)chain_add(&wire.in, input);
    else
        seal_all(input, cipher, secret, &wire.in);
    read_all(&stack, at_once[(data[0] >> 2) % (sizeof(at_once) / sizeof(at_once[0]))]);
    (void)io_shutdown(&stack);
    while (stack.top) {
        struct io *io = stack.top;

        stack.top = io->below;
        io->ops->free(io);
    }
    assert(loop.pages.lent == 0);
    page_pool_release(&loop.pages);
    EVP_CIPHER_free(cipher);
    return 0;
}
