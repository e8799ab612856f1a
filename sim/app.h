/*
 * Applications: clients that know what they asked for, and servers that answer it; over sockets, knowing nothing of the
 * mesh. Every exchange has a number, which travels in the request and in each byte of the answer, so that an answer that
 * belongs to somebody else is seen.
 *
 *     server:  app_serve(app, port, behaviour)
 *     client:  exchange_start(app, exchange, addr)  ->  exchange->ended, ->outcome
 */
#pragma once

#include "base/buffer.h"
#include "net/io.h"
#include "sim/world.h"

enum { APP_SERVERS_MAX = 4 };

enum behaviour {
    SERVE_HTTP,    /* answers as asked */
    SERVE_ECHO,    /* gives bytes back, and the end */
    SERVE_GREETING,/* speaks first, then echoes */
    SERVE_STALL,   /* accepts, reads, says nothing */
    SERVE_RESET,   /* resets after the first bytes */
    SERVE_CUT,     /* HTTP: a part of an answer, then the end */
};

struct app;

struct app_server {
    struct app *app;
    struct watch watch;
    uint16_t port;
    enum behaviour behaviour;
};

struct app {
    struct process *process;
    struct loop loop;
    struct world_loop turned;
    struct list peers;
    unsigned peer_count;
    struct app_server servers[APP_SERVERS_MAX];
    unsigned server_count;
    /* Told of each whole request that an HTTP server got. */
    void (*on_request)(void *owner, struct app *app, unsigned number);
    void *owner;
};

enum exchange_kind {
    EXCHANGE_GET,
    EXCHANGE_POST,
    EXCHANGE_BYTES,
    EXCHANGE_GREETING,
    EXCHANGE_HALF_LINE, /* a line without its end, which may yet be HTTP; answered when something comes back */
    EXCHANGE_HALF_HEAD, /* HTTP without the end of its head; answered by a status */
};
enum outcome { OUTCOME_NONE, OUTCOME_ANSWERED, OUTCOME_BROKEN, OUTCOME_WRONG };

struct exchange {
    unsigned number;
    enum exchange_kind kind;
    size_t size;            /* of the answer, or of what is echoed */
    unsigned delay_ms;      /* of the server, before it answers */
    int64_t speak_after_ns; /* of the client, before its first byte */
    bool hold;              /* EXCHANGE_BYTES: keeps the connection open after all came back */
    bool ended;
    enum outcome outcome;
    unsigned status;        /* HTTP's; 0: none */
    char error[64];         /* l5d-proxy-error, or why it broke */
    int64_t began_ns, first_byte_ns, ended_ns;
    unsigned arrivals;      /* how often a server got it */
    struct peer *peer;      /* while it runs */
};

void app_start(struct app *app, struct host *host, const char *name);
void app_serve(struct app *app, uint16_t port, enum behaviour behaviour);
/* Connections are refused from now on; those that are open go on. */
void app_refuse(struct app *app, uint16_t port);
void app_behave(struct app *app, uint16_t port, enum behaviour behaviour);
/* As when it is started anew: all connections that it serves are reset. */
void app_drop(struct app *app);
void app_stop(struct app *app);

void exchange_start(struct app *app, struct exchange *exchange, struct addr addr);
/* It says its first byte only then; right after exchange_start(). */
void exchange_speak_later(struct exchange *exchange, int64_t after_ns);
/* The client goes away in the middle of it. */
void exchange_abandon(struct exchange *exchange);
