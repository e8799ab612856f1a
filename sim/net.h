/*
 * The simulated network, and the table of system functions over it.
 *
 * A connection is two sockets and, each way, a queue of what is on the wire:
 * bytes, FIN, RST, acknowledgements of room. It arrives in order, after the link's
 * latency, in segments that the seed cuts. Between two hosts the link may be cut:
 * then what is on the wire waits for the retransmission after it is healed.
 *
 * What a program sees is what Linux shows (tcp_poll(), epoll): readiness by edges,
 * one at each arrival, with all that is true at the moment of waiting; a reset read
 * once, after the bytes before it; a close with unread bytes as a reset; writes cut
 * short by a full buffer and told about once a third of it is free again; a full
 * backlog that drops what would connect, which tries again a second later.
 *
 * Not here: congestion, loss that is not a cut, urgent data, TCP keep-alive and
 * user time-outs (set_options() is taken and has no effect), UDP.
 */
#pragma once

#include "sim/world.h"

struct net_faults {
    int64_t latency_min_ns, latency_max_ns; /* between hosts; drawn for each segment */
    size_t segment_max;                     /* 1 and up */
    size_t buffer_max;                      /* bytes on the wire and unread, each way; the seed draws up to it */
    unsigned reset_one_in;                  /* of segments; 0: none */
};

struct net *net_new(struct world *world);
void net_free(struct net *net);
struct net_faults *net_faults(struct net *net);
extern const struct sys_ops net_sys_ops;

/* Nothing passes between the two, both ways, until net_heal(). */
void net_cut(struct net *net, struct host *a, struct host *b);
void net_heal(struct net *net, struct host *a, struct host *b);
void net_heal_all(struct net *net);
/* Every connection between the host and others is broken off: both ends see a reset. */
void net_reset(struct net *net, struct host *host);
/* Nothing of what is on or will be put on the host's present connections to others ever arrives, and nobody is told. */
void net_mute(struct net *net, struct host *host);
/* TCP's retransmissions come to their end, after a quarter of an hour: both ends of silenced connections are told. */
void net_give_up(struct net *net);

/* Told of every attempt to connect, where it goes after redirection. */
typedef void (*net_dial_hook)(void *owner, struct process *from, struct addr to);
void net_on_dial(struct net *net, net_dial_hook hook, void *owner);

/* Sockets that are open (listeners too) in this process. */
unsigned net_open(const struct process *process);
/* Whether any process of the host accepts connections to this port. */
bool net_listens(const struct host *host, uint16_t port);
/* Whether this poll has something to tell. */
bool net_poll_ready(const struct poll *poll);
