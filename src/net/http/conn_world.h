/*
 * For the tests of HTTP connections only: an owner that records what arrives and
 * sends what the test tells it, a server that answers by path, and two
 * connections of ours over a socket pair in one loop. The same tests run over
 * HTTP/1 and HTTP/2 by choosing a `struct protocol`.
 */
#pragma once

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/buffer.h"
#include "net/http/http_stream.h"

struct protocol {
    const char *name;
    int (*server_new)(struct io_stack *stack, const struct http_server_limits *limits,
                      const struct http_server_events *events, void *owner, struct http_server **ret_server);
    void (*server_ready)(struct http_server *server);
    void (*server_drain)(struct http_server *server);
    void (*server_free)(struct http_server *server);
    int (*client_new)(struct io_stack *stack, const struct http_client_limits *limits,
                      const struct http_client_events *events, void *owner, struct http_client **ret_client);
    void (*client_ready)(struct http_client *client);
    int (*client_open)(struct http_client *client, struct arena *arena, const struct http_stream_events *events,
                       void *owner, struct http_stream **ret_stream);
    void (*client_drain)(struct http_client *client);
    void (*client_free)(struct http_client *client);
};

extern const struct protocol http1_protocol, http2_protocol;

/* One side of one exchange. */
struct party {
    struct world *world;
    struct http_stream *stream; /* NULL: released */
    struct list link;           /* in world->parties */
    struct arena arena;
    /* what arrived */
    struct http_head head;
    bool head_seen, ended, was_reset;
    unsigned interims, last_interim;
    struct http_reset reset;
    struct buffer body;     /* unless counted only */
    size_t body_len;
    struct buffer trailers; /* "name: value\n" each */
    unsigned trailer_events;
    /* how it takes: at most this many bytes a call, and all together */
    size_t take_each, take_left;
    bool echo;              /* what arrives is sent back, byte for byte, with back-pressure */
    bool head_sent;
    /* what it sends */
    size_t send_left;       /* bytes of a pattern still to send */
    size_t sent;
    bool end_after;         /* and then the end */
    bool end_sent;
    struct http_field send_trailers[4];
    unsigned send_trailers_count;
    unsigned writable_events;
    bool send_failed;       /* a head was refused, for want of memory: the stream was released */
    void (*on_head)(struct party *party); /* what a server party does with a request; NULL: by path */
};

struct end {
    struct world *world;
    struct io_stack stack;
    struct http_server *server; /* of one end */
    struct http_client *client; /* of the other */
    struct task dispose;
    bool closed;                /* on_closed, or CLOSED */
    unsigned state_events;
    struct http_reset why;
    unsigned refused;           /* on_refused: how often, and the last status */
    int refused_status;
    int raw;                    /* instead of a connection: a plain descriptor that the test reads and writes */
};

struct test_sys {
    struct sys sys;
    struct sys_ops ops;
    int64_t now_ns;
};

struct world {
    struct test_sys sys;
    struct loop loop;
    const struct protocol *protocol;
    struct http_server_limits server_limits;
    struct http_client_limits client_limits;
    struct end server, client;
    struct list parties;
    struct party *newest; /* the last party that the server made */
    unsigned shed;        /* requests that on_stream refused */
    bool refuse_all;
    bool eager;           /* parties release their stream inside the event with which the exchange has ended */
    void (*on_head)(struct party *party);
    /* Instead of making parties: serves the stream in another way. */
    struct arena *(*on_stream)(struct world *world, struct http_server *server, struct http_stream *stream);
    size_t server_take_each, server_take_left; /* given to each new party */
};

/* Connections on both ends of a socket pair. */
void world_init(struct world *world, const struct protocol *protocol);
/* Only our server, or only our client; the other end is world->client.raw or world->server.raw. */
void world_init_server(struct world *world, const struct protocol *protocol);
void world_init_client(struct world *world, const struct protocol *protocol);
void world_release(struct world *world);
/* Turns until nothing happens any more; time stands still. */
void settle(struct world *world);
/* Lets time pass, with turns. */
void pass(struct world *world, int64_t ns);
/* Sends text on a raw end, settles. */
void raw_send(struct world *world, int fd, struct slice bytes);
/* What has come to a raw end, appended. True at its end of file. */
bool raw_receive(int fd, struct buffer *to);

/* A client's party that has sent nothing yet. */
struct party *request_opened(struct world *world);
/* A client's party that has sent this head. */
struct party *request(struct world *world, const char *method, const char *path, bool end);
struct party *request_with(struct world *world, const char *method, const char *path, const char *const *fields,
                           bool end);
/* The same, or NULL where memory is missing. */
struct party *request_if_possible(struct world *world, const char *method, const char *path, bool end);
struct party *party_new(struct world *world); /* NULL without memory */
void party_release(struct party *party); /* releases its stream, if that was not done; keeps the record */
/* Sends `len` bytes of the pattern as they are taken, then the end (or trailers). */
void party_send(struct party *party, size_t len, bool end);
void party_respond(struct party *party, unsigned status, const char *const *fields, bool end);
void party_allow(struct party *party, size_t more); /* take_left += more, and resume */
/* The pattern's byte at a position. */
char pattern_at(size_t at);
bool is_pattern(struct slice bytes);
