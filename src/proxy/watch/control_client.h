/*
 * The connection to one control-plane service (destination, policy, identity),
 * and calls over it that are kept running.
 *
 * The service's name is resolved anew for each connection; its addresses are
 * tried in random order. A service with an identity is spoken to over mutual TLS
 * only. While the connection is down, streams wait. The connection is made again with
 * jittered exponential backoff (100 ms to 5 s), a stream is started again with one of its own (to 60 s).
 *
 * All in the control thread.
 */
#pragma once

#include "base/buffer.h"
#include "mesh/backoff.h"
#include "mesh/endpoint.h"
#include "net/grpc/grpc.h"
#include "net/resolver.h"
#include "net/tls/tls.h"
#include "proxy/config.h"
#include "proxy/dial.h"

struct control_metrics;
struct log;

enum control_state {
    CONTROL_IDLE,       /* nobody wants it */
    CONTROL_RESOLVING,
    CONTROL_CONNECTING,
    CONTROL_READY,
    CONTROL_CLOSING,    /* at the end of the turn, for a connection with a newer certificate */
    CONTROL_BACKOFF,    /* until `retry` fires */
};

struct control_client {
    const char *name; /* "destination", "policy", "identity": for logs and metrics */
    const struct control_addr *addr;
    const struct config *config;
    struct loop *loop;
    struct log *log;
    struct resolver *resolver;
    struct tls_context **tls; /* where the thread keeps the newest; NULL in it: none yet */
    struct control_metrics *metrics;
    char authority[300];      /* host:port */

    enum control_state state;
    struct resolver_query query;
    struct resolver_answer answer;
    unsigned next_addr, tried;
    struct endpoint_info endpoint;
    struct io_stack io;
    struct dial dial;
    struct http_client *http;
    unsigned failures; /* in a row */
    struct timer retry;
    struct task work, ended;
    struct list waiting; /* struct control_stream that start when it is ready */
    unsigned wanted;     /* streams that exist */
    int64_t ready_since_ns, down_since_ns;
};

int control_client_init(struct control_client *client, const char *name, const struct control_addr *addr,
                        const struct config *config, struct loop *loop, struct log *log, struct resolver *resolver,
                        struct tls_context **tls, struct control_metrics *metrics);
/* All streams have been stopped. Ends the connection within the turn. */
void control_client_release(struct control_client *client);
/*
 * The certificate changed: if nothing is under way, the next stream gets a connection made with it. One that is in use
 * stays; the service knows who we are.
 */
void control_client_renew(struct control_client *client);

struct control_stream;

struct control_stream_events {
    /* A message; returns 0, or a negative errno when it made no sense: the call is then ended and started again. */
    int (*on_message)(struct control_stream *stream, struct slice message);
    /*
     * The call ended, or could not be started. True: start it again after the backoff. False: it stays stopped
     * (a permanent answer).
     */
    bool (*on_end)(struct control_stream *stream, int status, struct slice text);
};

/* One call, server-streaming or unary, kept running until stopped. Embedded in what wants it. */
struct control_stream {
    struct control_client *client;
    struct slice path, request; /* memory of the owner's */
    const struct control_stream_events *events;
    void *owner;
    struct list link;         /* in client->waiting */
    struct grpc_call *call;
    unsigned failures; /* calls that ended without a message, in a row */
    struct timer retry;       /* or the lifetime of a running call */
    bool running, answered;
    int64_t started_ns, last_message_ns;
};

int control_stream_start(struct control_stream *stream, struct control_client *client, struct slice path,
                         struct slice request, const struct control_stream_events *events, void *owner);
/* Ends it without event. Allowed when it was never started (all zero). */
void control_stream_stop(struct control_stream *stream);
/* Ends the running call and starts it again at once. */
void control_stream_again(struct control_stream *stream);
