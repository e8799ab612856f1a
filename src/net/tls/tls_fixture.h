/*
 * For tests: a loop with a wall clock that the test sets, and connections over
 * socket pairs whose other end is ours as well, or OpenSSL as anybody uses it.
 * Nothing waits: bytes written to one end of a pair are there at the other at once.
 */
#pragma once

#include <openssl/ssl.h>

#include "net/tls/tls.h"
#include "net/x509/x509_fixture.h"

struct tls_world {
    struct sys sys; /* Linux, but for the wall clock */
    struct sys_ops ops;
    int64_t wall_ns;
    struct loop loop;
};

void tls_world_init(struct tls_world *world);
void tls_world_release(struct tls_world *world);

/* One end: a stack that notes that something happened. */
struct tls_end {
    struct io_stack stack;
    unsigned wakes;
};

/* The credentials of a workload as a context of the world's loop. */
struct tls_context *tls_world_context(struct tls_world *world, struct workload *workload, struct san own,
                                      const struct x509_bundle *anchors);

/* One end on a connected descriptor, which it takes over. */
void tls_end_open(struct tls_world *world, struct tls_end *end, int fd);
/* Two ends of one socket pair. */
void tls_connect(struct tls_world *world, struct tls_end *a, struct tls_end *b);
/* One end, and a descriptor (not blocking) for a foreign peer. */
int tls_connect_foreign(struct tls_world *world, struct tls_end *end);
/* Turns the loop until nothing more happens. */
void tls_settle(struct tls_world *world);
/* Handshakes both until both ended. Their results. */
void tls_shake(struct tls_world *world, struct tls_end *client, struct tls_end *server, int *ret_client,
               int *ret_server);
/* The same with OpenSSL as the peer, over `fd`. 1: the peer is content. */
void tls_shake_foreign(struct tls_world *world, struct tls_end *end, SSL *peer, int *ret_end, int *ret_peer);
/* Reads up to `len` bytes, turning the loop while nothing is there; what io_read() returned at last. */
ssize_t tls_read(struct tls_world *world, struct tls_end *end, void *to, size_t len);
/* Writes all, or fails the test. */
void tls_write(struct tls_world *world, struct tls_end *end, const void *from, size_t len);
/* A connection object of OpenSSL's for `fd`, with the credentials of a workload (NULL: none). */
SSL *tls_foreign(int fd, const struct workload *workload, const struct x509_bundle *anchors, bool server,
                 int max_version);
void tls_foreign_free(SSL *peer);
