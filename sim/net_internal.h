/* What net*.c share. Nobody else includes this. */
#pragma once

#include "sim/net.h"

enum segment_kind { SEGMENT_OPEN, SEGMENT_OPENED, SEGMENT_BYTES, SEGMENT_END, SEGMENT_ROOM, SEGMENT_RESET };

struct segment {
    struct list link;
    enum segment_kind kind;
    int64_t at_ns; /* when it arrives */
    size_t len;    /* of the bytes, or of the room that there is again */
    char bytes[];
};

enum sock_state { SOCK_LISTENING, SOCK_CONNECTING, SOCK_OPEN };

/* A poll's interest in a socket. */
struct interest {
    struct list link;  /* in sock->interests */
    struct list ready; /* in poll->ready */
    struct poll *poll;
    struct sock *sock;
    void *token;
    bool shared; /* level-triggered, one of many */
};

struct poll {
    struct process *process;
    struct list ready;
    bool woken;
};

struct sock {
    struct list all;
    struct net *net;
    struct host *host, *to; /* to: NULL where no such host is */
    struct process *process; /* NULL before it was accepted */
    int fd;
    unsigned number;         /* of the socket, for the trace: never used again */
    enum sock_state state;
    struct list interests;
    struct addr local, remote, original;
    /* a listener's */
    int backlog;
    struct list queue;
    /* a connection's */
    struct list waiting;     /* in a listener's queue */
    struct sock *other;      /* NULL before it was heard of */
    char *bytes;             /* received and not read */
    size_t len, size;
    size_t outstanding, buffer; /* bytes sent that the other side has not read, and how many there may be */
    int error;               /* a positive errno to be told once */
    bool ended;              /* the other side sent its end */
    bool shut;               /* ours was sent */
    bool dead;               /* reset, by either side */
    bool closed;             /* by the program */
    bool queued;             /* not accepted yet */
    bool no_room;            /* a write was cut short: room is told */
    bool refused, mute;
    struct list wire;        /* what is on its way to the other side */
    struct happening arrival;
    int64_t last_ns, retry_ns;
};

struct net {
    struct world *world;
    struct net_faults faults;
    struct list all; /* sockets */
    struct sock **fds;
    int fd_count;
    unsigned numbers;
    bool cut[WORLD_HOSTS_MAX][WORLD_HOSTS_MAX];
    net_dial_hook on_dial;
    void *dial_owner;
};

struct sock *sock_new(struct net *net, struct host *host, enum sock_state state);
unsigned sock_ready(const struct sock *sock); /* SYS_* */
void sock_happened(struct sock *sock);
void sock_close(struct sock *sock, bool abort_it);
void listener_close(struct sock *listener);
struct segment *wire_put(struct sock *sock, enum segment_kind kind, const void *bytes, size_t len);
void wire_put_room(struct sock *sock, size_t len);
void wire_lose_some(struct sock *sock);
