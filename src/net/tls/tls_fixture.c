#include "net/tls/tls_fixture.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/x509/x509_internal.h"

#define MUST(what)                                                                                                     \
    do {                                                                                                               \
        if (!(what)) {                                                                                                 \
            fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #what);                                                 \
            abort();                                                                                                   \
        }                                                                                                              \
    } while (0)

static int64_t fixed_wall(struct sys *sys)
{
    return CONTAINER_OF(sys, struct tls_world, sys)->wall_ns;
}

void tls_world_init(struct tls_world *world)
{
    *world = (struct tls_world){.wall_ns = FIXTURE_WALL, .ops = *sys_linux()->ops};
    world->ops.wall = fixed_wall;
    world->sys.ops = &world->ops;
    MUST(loop_init(&world->loop, &world->sys, 1024) == 0);
}

void tls_world_release(struct tls_world *world)
{
    MUST(world->loop.pages.lent == 0);
    loop_release(&world->loop);
}

struct tls_context *tls_world_context(struct tls_world *world, struct workload *workload, struct san own,
                                      const struct x509_bundle *anchors)
{
    struct tls_credentials *credentials;
    struct tls_context *context;
    struct errmsg msg = {""};
    int r = tls_credentials_new(workload ? workload->key : NULL, workload ? &workload->chain : NULL, own, anchors,
                                world->wall_ns, &msg, &credentials);

    if (r < 0)
        fprintf(stderr, "%s\n", msg.text);
    MUST(r == 0);
    MUST(tls_context_new(&world->sys, credentials, &context) == 0);
    tls_credentials_unref(credentials);
    return context;
}

static void note_ready(struct io_stack *stack)
{
    CONTAINER_OF(stack, struct tls_end, stack)->wakes++;
}

void tls_end_open(struct tls_world *world, struct tls_end *end, int fd)
{
    *end = (struct tls_end){0};
    MUST(io_open(&end->stack, &world->loop, fd, note_ready) == 0);
}

void tls_connect(struct tls_world *world, struct tls_end *a, struct tls_end *b)
{
    int fds[2];

    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    tls_end_open(world, a, fds[0]);
    tls_end_open(world, b, fds[1]);
    tls_settle(world);
}

int tls_connect_foreign(struct tls_world *world, struct tls_end *end)
{
    int fds[2];

    MUST(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds) == 0);
    tls_end_open(world, end, fds[0]);
    tls_settle(world);
    return fds[1];
}

void tls_settle(struct tls_world *world)
{
    while (loop_turn(&world->loop, 0))
        ;
}

void tls_shake(struct tls_world *world, struct tls_end *client, struct tls_end *server, int *ret_client,
               int *ret_server)
{
    int c = -EAGAIN, s = -EAGAIN;

    for (int turns = 0; turns < 100 && (c == -EAGAIN || s == -EAGAIN); turns++) {
        if (c == -EAGAIN)
            c = tls_handshake(&client->stack);
        tls_settle(world);
        if (s == -EAGAIN)
            s = tls_handshake(&server->stack);
        tls_settle(world);
    }
    *ret_client = c;
    *ret_server = s;
}

void tls_shake_foreign(struct tls_world *world, struct tls_end *end, SSL *peer, int *ret_end, int *ret_peer)
{
    int e = -EAGAIN, p = -1;

    for (int turns = 0; turns < 100 && (e == -EAGAIN || p == -1); turns++) {
        if (e == -EAGAIN)
            e = tls_handshake(&end->stack);
        if (p == -1) {
            ERR_clear_error();
            p = SSL_do_handshake(peer);
            if (p != 1 && SSL_get_error(peer, p) != SSL_ERROR_WANT_READ)
                p = -2;
        }
        tls_settle(world);
    }
    *ret_end = e;
    *ret_peer = p;
}

ssize_t tls_read(struct tls_world *world, struct tls_end *end, void *to, size_t len)
{
    ssize_t n = -EAGAIN;

    for (int turns = 0; turns < 10 && n == -EAGAIN; turns++) {
        n = io_read(&end->stack, to, len);
        if (n == -EAGAIN)
            tls_settle(world);
    }
    return n;
}

void tls_write(struct tls_world *world, struct tls_end *end, const void *from, size_t len)
{
    struct iovec iov = {(void *)from, len};

    MUST(io_writev(&end->stack, &iov, 1) == (ssize_t)len);
    MUST(io_flush(&end->stack) == 0);
    tls_settle(world);
}

/* The fixture's certificates are of another time than the machine's clock. */
static void set_time(SSL_CTX *ssl_ctx)
{
    X509_VERIFY_PARAM_set_time(SSL_CTX_get0_param(ssl_ctx), (time_t)(FIXTURE_WALL / 1000000000));
}

SSL *tls_foreign(int fd, const struct workload *workload, const struct x509_bundle *anchors, bool server,
                 int max_version)
{
    SSL_CTX *ssl_ctx = SSL_CTX_new(TLS_method());
    SSL *ssl;

    MUST(ssl_ctx);
    set_time(ssl_ctx);
    SSL_CTX_set_max_proto_version(ssl_ctx, max_version);
    SSL_CTX_set_verify(ssl_ctx, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_cert_store(ssl_ctx, x509_store_new(anchors));
    if (workload) {
        MUST(SSL_CTX_use_certificate(ssl_ctx, workload->chain.certs[0]->x509) == 1);
        MUST(SSL_CTX_use_PrivateKey(ssl_ctx, workload->key->pkey) == 1);
        for (size_t i = 1; i < workload->chain.count; i++)
            MUST(SSL_CTX_add1_chain_cert(ssl_ctx, workload->chain.certs[i]->x509) == 1);
    }
    ssl = SSL_new(ssl_ctx);
    MUST(ssl && SSL_set_fd(ssl, fd) == 1);
    if (server)
        SSL_set_accept_state(ssl);
    else
        SSL_set_connect_state(ssl);
    SSL_CTX_free(ssl_ctx);
    return ssl;
}

void tls_foreign_free(SSL *peer)
{
    int fd = SSL_get_fd(peer);

    SSL_free(peer);
    close(fd);
}
