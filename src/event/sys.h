/*
 * The operating system as the event layer sees it: clocks, randomness, sockets
 * and readiness, behind one table of functions, so that the same loop, filters
 * and programs run on Linux (sys_linux.c) and on a simulated network driven by
 * a seed (sim/). Everything above takes a `struct sys *` and calls nothing of
 * the kernel's itself that is in this table.
 *
 * Descriptors are plain ints, simulated ones too. All calls are non-blocking
 * except poll_wait(). Errors are negative errno; -EAGAIN means that readiness
 * will be reported. Functions may be called from any thread; one descriptor and
 * one poll belong to one thread at a time, except poll_wake().
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/ip.h"

enum {
    SYS_READABLE = 1, /* bytes, an end of file, or a connection to accept */
    SYS_WRITABLE = 2, /* room, or a connect that has ended */
    SYS_HANGUP = 4,   /* the peer closed its sending side, or the connection is broken */
    SYS_BROKEN = 16,  /* an error waits, perhaps behind bytes: the connection is gone in both directions */
    SYS_SHARED = 8,   /* poll_add only: one of the threads that watch this listener is woken, not all */
};

struct sys_event {
    void *token;
    unsigned what; /* SYS_READABLE | SYS_WRITABLE | SYS_HANGUP | SYS_BROKEN */
};

/* What is set on a socket besides TCP_NODELAY, which always is. Zero: left alone. */
struct socket_options {
    int64_t keepalive_ns;    /* SO_KEEPALIVE with this idle time and interval */
    int64_t user_timeout_ns; /* TCP_USER_TIMEOUT */
};

struct sys;
struct poll; /* what one loop waits on */

struct sys_ops {
    int64_t (*now)(struct sys *sys);  /* monotonic, nanoseconds */
    int64_t (*wall)(struct sys *sys); /* since 1970, nanoseconds */
    void (*random)(struct sys *sys, void *to, size_t len); /* fit for keys */

    /* A listening socket; IPv6 ones take IPv4 too when bound to [::]. A backlog of 0: the system's maximum. */
    int (*listen)(struct sys *sys, struct addr addr, int backlog);
    int (*accept)(struct sys *sys, int listener, struct addr *ret_peer);
    /* How many descriptors the process may have open, now; and the number that the next would get, or a negative errno. */
    int (*descriptor_limit)(struct sys *sys);
    int (*descriptor_next)(struct sys *sys);
    /* Starts to connect: a descriptor that becomes writable when it has ended; connect_result() tells how (-EINPROGRESS: not yet). */
    int (*connect)(struct sys *sys, struct addr addr);
    int (*connect_result)(struct sys *sys, int fd);
    int (*set_options)(struct sys *sys, int fd, const struct socket_options *options);
    int (*local_addr)(struct sys *sys, int fd, struct addr *ret_addr);
    /* The destination before redirection (SO_ORIGINAL_DST); -ENOENT where there was none. */
    int (*original_dst)(struct sys *sys, int fd, struct addr *ret_addr);
    ssize_t (*readv)(struct sys *sys, int fd, const struct iovec *iov, int count); /* 0: end of file */
    ssize_t (*writev)(struct sys *sys, int fd, const struct iovec *iov, int count);
    int (*shutdown)(struct sys *sys, int fd); /* the sending side */
    /* `abort`: the peer sees a reset, not an orderly end. */
    void (*close)(struct sys *sys, int fd, bool abort);

    int (*poll_new)(struct sys *sys, struct poll **ret_poll);
    void (*poll_free)(struct sys *sys, struct poll *poll);
    /* Edge-triggered for both directions until the descriptor is closed; `flags` is 0 or SYS_SHARED (level-triggered). */
    int (*poll_add)(struct sys *sys, struct poll *poll, int fd, unsigned flags, void *token);
    void (*poll_remove)(struct sys *sys, struct poll *poll, int fd);
    /* Up to `max` events, waiting `timeout_ns` (-1: until one comes). 0 on time-out or poll_wake(). */
    int (*poll_wait)(struct sys *sys, struct poll *poll, struct sys_event *events, int max, int64_t timeout_ns);
    void (*poll_wake)(struct sys *sys, struct poll *poll); /* from any thread */
};

struct sys {
    const struct sys_ops *ops;
};

/* Linux itself; holds no state, may be shared by all threads. */
struct sys *sys_linux(void);
