/*
 * A newer proxy takes over from the one that runs (docs/lifecycle.md). Both are told
 * the path of a unix socket by CLINKERD_PROXY_TAKEOVER_SOCKET; only the same user is
 * answered.
 *
 *     successor                                  predecessor
 *     connects       ->
 *                    <-  LISTENERS, with the listening sockets; it goes on accepting
 *     ... gets its certificate, accepts ...
 *     READY          ->
 *                    <-  GONE: it accepts no more, its admin port is closed, it drains
 *     admin port
 *
 * A successor that ends before READY leaves everything as it was. The sockets are shared, so that no
 * connection that waits in a queue is lost at the switch. In the control thread.
 */
#pragma once

#include "event/loop.h"
#include "proxy/listeners.h"
#include "proxy/proxy.h"

struct takeover_events {
    void (*begin_admin)(void *owner); /* nobody else serves the admin port */
    void (*hand_over)(void *owner);   /* a successor accepts, and waits for the admin port */
};

struct takeover {
    struct proxy *proxy;
    struct loop *loop;
    struct listeners *listeners;
    const struct takeover_events *events;
    void *owner;
    struct watch predecessor; /* from takeover_ask() until it is gone */
    struct watch listener;    /* for a successor */
    struct watch successor;   /* one that has the sockets and is not ready yet */
    struct task work;
    bool ready;               /* the workers accept */
};

void takeover_init(struct takeover *takeover, struct proxy *proxy, struct loop *loop, struct listeners *listeners,
                   const struct takeover_events *events, void *owner);
/*
 * At the start, blocking for a bounded time: the sockets of the proxy that runs, in *ret_inherited (what is not moved out of it is
 * the caller's to close). None where nobody is there or no path is configured. A negative errno after a line in the log: it
 * refused.
 */
int takeover_ask(struct takeover *takeover, struct listeners *ret_inherited);
/* The listeners are open: begins the admin port, or waits until the predecessor leaves it. */
int takeover_begin(struct takeover *takeover);
/* The workers accept: tells the predecessor, or listens for a successor. */
void takeover_ready(struct takeover *takeover);
void takeover_release(struct takeover *takeover); /* allowed when all zero */
