/*
 * Names to addresses, for the control plane's services. An interface with two
 * implementations: c-ares on the loop (resolver_dns_new), and the simulator's.
 *
 * Names are absolute: no search list is applied. "localhost" and addresses in
 * text are answered at once, without a query. SRV records are asked for first,
 * then A and AAAA; an SRV target's port wins over the caller's.
 */
#pragma once

#include "base/ip.h"
#include "event/loop.h"

enum { RESOLVER_ADDRS_MAX = 64 };

struct resolver_answer {
    int error; /* 0; -ENOENT: no such name; -ETIMEDOUT; -EIO: the servers failed */
    bool srv;  /* which record type answered, for metrics */
    struct addr addrs[RESOLVER_ADDRS_MAX];
    unsigned count;
    int64_t ttl_ns; /* until the answer should be asked for again; within the bounds of the resolver */
};

struct resolver_query {
    struct resolver *resolver; /* NULL: not running */
    struct slice host;
    uint16_t port;
    unsigned waiting;          /* lookups under way */
    struct resolver_answer answer;
    void (*done)(struct resolver_query *query, const struct resolver_answer *answer); /* from a task; once */
    struct task told;
    void *lookups;             /* of the implementation */
};

struct resolver {
    const struct resolver_ops *ops;
    struct loop *loop;
};

struct resolver_ops {
    int (*start)(struct resolver *resolver, struct resolver_query *query);
    void (*cancel)(struct resolver *resolver, struct resolver_query *query);
    void (*free)(struct resolver *resolver);
};

/* `min_ttl_ns`, `max_ttl_ns` of 0: 5 s, and none. 0, -ENOMEM, or -EIO when the system's configuration cannot be read. */
int resolver_dns_new(struct loop *loop, int64_t min_ttl_ns, int64_t max_ttl_ns, struct resolver **ret_resolver);
void resolver_free(struct resolver *resolver); /* NULL is allowed; no query may be running */

/* The query and the host's text stay the caller's and live until done() or resolver_cancel(). 0 or a negative errno. */
int resolver_start(struct resolver *resolver, struct resolver_query *query, struct slice host, uint16_t port,
                   void (*done)(struct resolver_query *query, const struct resolver_answer *answer));
/* Does nothing when it is not running. */
void resolver_cancel(struct resolver_query *query);
