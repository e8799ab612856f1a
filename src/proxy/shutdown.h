/*
 * The end of the proxy, in the control thread (docs/lifecycle.md):
 *
 *     told (SIGTERM, SIGINT, /shutdown)    DRAIN_GENTLY   says so, serves on, new connections included
 *     a successor serves (takeover.h)      DRAIN_GENTLY   the same, but new connections are the successor's
 *     the application listens no more,
 *     or the grace period is nearly over   DRAIN_LAST     what is idle is ended
 *     nothing is open and the application
 *     listens no more; told again; or the
 *     grace period is over                 DRAIN_NOW      everything ends
 */
#pragma once

#include "event/loop.h"
#include "proxy/proxy.h"

struct listeners;

struct shutdown {
    struct proxy *proxy;
    struct loop *loop;
    struct listeners *listeners;
    int (*application_listens)(struct proxy *proxy);
    struct timer grace, last_call, look;
    bool told;     /* by a signal or by the admin port */
    bool unknown;  /* nobody can tell who listens; said once */
};

/*
 * `application_listens` tells whether anybody listens on one of proxy->app_ports: 1, 0, or a negative errno when that cannot be
 * known. Asked again and again while the proxy drains.
 */
int shutdown_init(struct shutdown *shutdown, struct proxy *proxy, struct loop *loop, struct listeners *listeners,
                  int (*application_listens)(struct proxy *proxy));
void shutdown_release(struct shutdown *shutdown);
/* To drain; the second time, to end at once. */
void shutdown_begin(struct shutdown *shutdown);
/* The successor accepts from now on: the workers stop accepting, the listeners are closed, open connections drain. */
void shutdown_hand_over(struct shutdown *shutdown);
/* Everything ends, now. */
void shutdown_now(struct shutdown *shutdown);
