/*
 * The whole proxy: what its threads share. Made by control.c before any thread
 * starts and unchanged after, except for what is said to be atomic or a cell.
 *
 * One control thread (the process's first) talks to the control plane, answers
 * the admin port, writes logs; config.workers threads carry connections.
 */
#pragma once

#include <stdatomic.h>

#include "event/cell.h"
#include "mesh/metrics.h"
#include "proxy/app_ports.h"
#include "proxy/config.h"
#include "proxy/watch/directory.h"

struct worker;
struct log;

enum drain_state {
    DRAIN_NONE,
    DRAIN_GENTLY, /* say so, and serve on */
    DRAIN_LAST,   /* the application has ended: what is idle ends too */
    DRAIN_NOW,    /* drained, told twice, or the grace period is over */
};

struct proxy {
    struct config config;
    struct sys *sys;
    struct log *log;
    struct metrics metrics;
    int control_families, data_families; /* first ids in it */
    struct directory directory;
    struct cell credentials;           /* struct tls_credentials; empty until the first certificate */
    struct worker *workers;            /* config.workers of them */
    unsigned workers_running;          /* of them; the control thread's */
    int64_t started_wall_ns;
    _Atomic(enum drain_state) drain;   /* goes forward only */
    _Atomic(bool) handed_over;         /* a successor accepts: the workers stop to */
    struct app_ports app_ports;
    _Atomic(uint32_t) in_flight[2];    /* requests, inbound and outbound */
};

/*
 * What there is before anything runs; `config` and `sys` are set and the rest is zero. 0, -EINVAL after a line on stderr
 * about the log's filter, or -ENOMEM; proxy_release() in each case.
 */
int proxy_init(struct proxy *proxy, int log_fd);
/* No thread and no loop may hold anything of it any more. */
void proxy_release(struct proxy *proxy);
