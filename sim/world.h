/*
 * A simulated world: one clock, one source of randomness, hosts with addresses,
 * processes that run loops, and a network between them (net.h). Everything that
 * happens follows from the seed; the same seed gives the same run, event by event.
 *
 *     world_init(&world, seed);
 *     host = world_host(&world, "10.1.0.1");
 *     process = host_process(host, "app", false);     its `sys` goes to loop_init() and to whole programs
 *     world_run(&world, until_ns);                     turns loops and moves bytes, in an order that the seed chooses
 *
 * Loops join when they are made: poll_new() says which process waits on which poll, and loop_of_poll() is told by
 * world_add_loop(). Threads (event/thread.h) are replaced by thread.c here, which adds their loops.
 *
 * Time moves a few microseconds with each turn, and jumps when no loop has anything to do. One thread.
 */
#pragma once

#include "base/heap.h"
#include "base/list.h"
#include "base/rng.h"
#include "event/loop.h"

enum { WORLD_HOSTS_MAX = 64, WORLD_NOTES_MAX = 4096 };

struct world;
struct host;

/* Something that will happen at a time. Embedded; one time only for each setting. */
struct happening {
    struct heap_entry entry;
    void (*happen)(struct happening *happening);
};

/* What runs as one user on a host: an application, or a proxy, whose connections are not redirected. */
struct process {
    struct sys sys; /* first: what programs are given */
    struct list link;
    struct host *host;
    const char *name;
    bool is_proxy; /* runs as the proxy's user */
    unsigned open, open_max; /* descriptors */
};

struct world_loop {
    struct list link;
    struct loop *loop;
    struct process *process;
    const char *name;
    void (*starting)(struct world_loop *world_loop); /* NULL, or what runs before the first turn */
    void (*stopped)(struct world_loop *world_loop);  /* NULL, or what runs once loop_stop() was called; then it is taken out */
};

struct world {
    uint64_t seed;
    struct rng rng;
    int64_t now_ns, wall_ns; /* wall: at the moment 0 */
    struct heap happenings;
    struct list loops;
    unsigned loop_count;
    struct host *hosts[WORLD_HOSTS_MAX];
    unsigned host_count;
    uint64_t trace;   /* hash of everything that happened */
    uint64_t turns, steps;
    bool tracing;     /* print it too */
    struct net *net;
    struct name *names; /* what the resolvers know: resolver.c */
    struct identities *identities; /* who issues certificates: identity.c */
    const char *failure; /* what was violated; NULL while all is well */
    char failure_text[1024];
    void (*look)(struct world *world); /* after each step, for invariants; may be NULL */
    void *owner;                       /* the scenario's */
};

struct host {
    struct world *world;
    char name[48];
    unsigned index;
    struct ip ip;
    struct list processes;
    /* As linkerd-init makes it: what arrives goes to `inbound_port`, what applications send out to `outbound_port`. 0: no redirection. */
    uint16_t inbound_port, outbound_port;
    uint16_t skip_inbound[8]; /* not redirected; ends with 0 */
    uint16_t next_port;
};

void world_init(struct world *world, uint64_t seed);
/* All loops have been released. */
void world_release(struct world *world);

struct host *world_host(struct world *world, const char *ip);
struct process *host_process(struct host *host, const char *name, bool is_proxy);

void world_add_loop(struct world *world, struct world_loop *world_loop, struct loop *loop, const char *name);
/* Does nothing when it was taken out before. */
void world_remove_loop(struct world_loop *world_loop);

/* Until this time, or until something was violated. */
void world_run(struct world *world, int64_t until_ns);
/* Until `done` says so, at most until then. Whether it did. */
bool world_run_until(struct world *world, bool (*done)(struct world *world), int64_t until_ns);

/* From now on resolvers (net/resolver.h, replaced here) answer this name with this address too. */
void world_name(struct world *world, const char *name, const char *ip);
void world_forget_names(struct world *world);

/* At `at_ns`, once; setting it again moves it. */
void happening_set(struct world *world, struct happening *happening, int64_t at_ns,
                   void (*happen)(struct happening *happening));
void happening_cancel(struct world *world, struct happening *happening);

/* Evenly from `least` to `most`, both included. */
int64_t world_between(struct world *world, int64_t least, int64_t most);
/* True once in `n`. */
bool world_one_in(struct world *world, unsigned n);

/* One line of what happened: hashed, and printed when tracing. */
void world_note(struct world *world, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* An invariant does not hold: the run ends. The first one counts. */
void world_fail(struct world *world, const char *invariant, const char *format, ...) __attribute__((format(printf, 3, 4)));

static inline struct process *process_of(struct sys *sys) { return CONTAINER_OF(sys, struct process, sys); }
static inline struct world *world_of(struct sys *sys) { return process_of(sys)->host->world; }
