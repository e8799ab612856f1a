/*
 * What the parts of a pool share: pool.c (which pools there are, and their end), pool_conn.c (a connection: dialled, idle, used up)
 * and pool_wait.c (requests that want a stream). On one worker's thread.
 */
#pragma once

#include "proxy/dial.h"
#include "proxy/request/pool.h"

struct pool_conn {
    struct list link; /* in one of the pool's lists */
    struct pool *pool;
    struct io_stack io;
    struct dial dial;
    struct http_client *http; /* NULL while connecting */
    struct task disposal;
    int64_t idle_since_ns; /* -1: not idle */
};

/* One more connection is dialled. 0, or a negative errno of which those who wait were told. */
int pool_connect_one(struct pool *pool);
/* It counts as running a request from here on. */
void pool_conn_out_of_idle(struct pool_conn *conn);
/* Closed and freed after this turn; the pool with the last one, when nobody holds it. */
void pool_conn_drop(struct pool_conn *conn);

/* They call pool_open() again: the first, or all of them. */
void pool_wake_waiter(struct pool *pool);
void pool_wake_all(struct pool *pool);
/* All who wait, or the one who waits longest. */
void pool_fail_waiters(struct pool *pool, bool all, enum reason reason, int error);

/* When nobody holds it: HTTP/2 connections are ended, and the last connection takes the pool along. */
void pool_maybe_free(struct pool *pool);
