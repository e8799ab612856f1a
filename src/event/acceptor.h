/*
 * A listening socket whose connections are taken as they come. When descriptors
 * (or the kernel's memory) run low it looks away for a moment, instead of spinning
 * on a socket that stays readable: clients wait in the backlog. `use` says which
 * descriptors may be used up (descriptors.h).
 */
#pragma once

#include "event/descriptors.h"
#include "event/loop.h"

struct acceptor {
    struct loop *loop;
    struct watch watch; /* .fd: the listener, -1 when stopped */
    struct timer pause;
    enum descriptor_use use;
    void (*accepted)(struct acceptor *acceptor, int fd, struct addr peer); /* takes fd */
    void (*paused)(struct acceptor *acceptor, int error); /* for a line in a log; NULL: nobody asks. error: a positive errno */
};

/* Watches `fd`, which acceptor_close() closes. 0 or a negative errno; then nothing is left, and fd is the caller's. */
int acceptor_start(struct acceptor *acceptor, struct loop *loop, int fd, enum descriptor_use use,
                   void (*accepted)(struct acceptor *acceptor, int fd, struct addr peer));
/* Ends the watch; the listener stays open and is returned, -1 where there was none. Allowed twice, and on zeroed memory. */
int acceptor_stop(struct acceptor *acceptor);
/* The same, and closes the listener. */
void acceptor_close(struct acceptor *acceptor);
