/*
 * One HTTP exchange on one connection, and the connection that carries it, as
 * the proxy's path sees them: the same whether HTTP/1 or HTTP/2 is below
 * (http1_conn.h, http2_conn.h), and whether we are the server or the client.
 *
 * A stream has two directions. What arrives is pushed to the owner as events;
 * what is to be sent is given to the stream's operations. For a server stream
 * the head that arrives is a request and the head to send a response; for a
 * client stream it is the other way round.
 *
 *     arriving:  on_head, then on_data ..., then the end: with the head, with the
 *                last data, or by on_trailers. On a client stream 1xx responses come
 *                as on_interim before the head. on_reset may come at any time and
 *                is the last event.
 *     sending:   send_head, then send_data ..., the end likewise. A server stream may
 *                send 1xx heads (end = false) before its final one.
 *
 * Back-pressure is by partial acceptance, both ways. on_data returns how many
 * bytes the owner took; the stream keeps the rest, lets no more arrive than its
 * window, and offers it again after resume(). send_data returns how many bytes
 * the stream took; after less than all, on_writable says when to go on. A byte
 * that was taken by neither is credited to nobody.
 *
 * After a 101 response, or a 2xx response to CONNECT, an HTTP/1 stream is a
 * tunnel: data is raw bytes and `end` is half-close. On HTTP/2, CONNECT's DATA
 * is the same thing.
 *
 * Ownership: a stream lives until release(), which the owner calls once, when it
 * wants no further event; from inside an event is fine. What the other direction
 * still has to do goes on without the owner (an HTTP/1 server connection still
 * reads away the rest of a body, within limits). Streams are freed at the end of
 * the loop's turn. Everything is in the thread of the loop.
 *
 * The fields and texts of an arriving head are in the arena that the owner gives:
 * with on_stream for a server, with open() for a client. The struct http_head is the
 * connection's and valid during the event: copy it to keep it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "codec/http.h"
#include "event/loop.h"
#include "net/io.h"

/* Why a stream ended before its time. HTTP/2 codes travel as they are (RFC 9113 section 7), the rest is ours. */
enum http_error {
    HTTP_ERROR_NONE = 0,
    HTTP_ERROR_RESET = 0x100,   /* the peer reset the stream; h2 code in http_reset.code */
    HTTP_ERROR_CLOSED,          /* the connection ended; errno in http_reset.code if it broke */
    HTTP_ERROR_GOAWAY,          /* the same, and before it the peer had said what was wrong: GOAWAY's h2 code in http_reset.code */
    HTTP_ERROR_REFUSED,         /* not processed by the peer: REFUSED_STREAM, or above GOAWAY's last id; safe to try again */
    HTTP_ERROR_PROTOCOL,        /* the peer broke the protocol; on a server stream the right answer was sent */
    HTTP_ERROR_LIMIT,           /* what arrives is not taken for too long, or too much of it waits */
    HTTP_ERROR_MEMORY,
};

struct http_reset {
    enum http_error error;
    uint32_t code;      /* see http_error */
    const char *detail; /* static text for logs, or NULL */
};

struct http_stream;

struct http_stream_events {
    void (*on_interim)(struct http_stream *stream, struct http_head *head); /* client streams; may be NULL otherwise */
    void (*on_head)(struct http_stream *stream, struct http_head *head, bool end);
    /* Returns how many bytes were taken. With `end`, taking all of them takes the end too; an end alone has no bytes. */
    size_t (*on_data)(struct http_stream *stream, struct slice bytes, bool end);
    /* Ends the arriving direction. Never before all data was taken. */
    void (*on_trailers)(struct http_stream *stream, const struct http_field *fields, unsigned count);
    void (*on_writable)(struct http_stream *stream);
    void (*on_reset)(struct http_stream *stream, struct http_reset reset); /* both directions are over */
};

struct http_stream_ops {
    /* 0, or a negative errno: the stream is broken, on_reset will not come. */
    int (*send_head)(struct http_stream *stream, const struct http_head *head, bool end);
    /* How many bytes were taken (0: wait for on_writable), or a negative errno. `end` counts only when all were taken. */
    ssize_t (*send_data)(struct http_stream *stream, struct slice bytes, bool end);
    int (*send_trailers)(struct http_stream *stream, const struct http_field *fields, unsigned count);
    /* Offers what on_data did not take again, in this call or later in the turn. */
    void (*resume)(struct http_stream *stream);
    /* Ends both directions at once: RST_STREAM with `code`, or the end of an HTTP/1 connection. No event follows. */
    void (*reset)(struct http_stream *stream, uint32_t h2_code);
    void (*release)(struct http_stream *stream);
};

struct http_stream {
    const struct http_stream_ops *ops;       /* of the connection */
    const struct http_stream_events *events; /* of the owner */
    void *owner;
};

/* --- the server's side of a connection --- */

struct http_server;

struct http_server_events {
    /*
     * A request begins. The owner sets stream->events and ->owner and returns the arena for its head, or NULL to
     * shed it (the peer sees 503 or REFUSED_STREAM). The next event is on_head or on_reset.
     */
    struct arena *(*on_stream)(struct http_server *server, struct http_stream *stream);
    /* The connection refused bad input by itself with this status (400, 414, 431 ...; 0: HTTP/2 GOAWAY). For counters and logs. */
    void (*on_refused)(struct http_server *server, int status, const char *detail);
    /*
     * The connection is over: all streams have ended and were released, and the io stack may be closed (with a reset
     * when there is an error, so that nobody takes a cut body for a whole one). Called once, from a task.
     */
    void (*on_closed)(struct http_server *server, struct http_reset reset);
};

struct http_server {
    const struct http_server_events *events;
    void *owner;
    bool http2;
    unsigned streams;   /* open ones */
    uint64_t requests;  /* begun so far */
};

struct http_server_limits {
    int64_t head_timeout_ns; /* from the first byte of a head to its end; 0: none */
    int64_t idle_timeout_ns; /* between requests; 0: none */
    int64_t stall_timeout_ns; /* a response of which the peer takes not a byte for so long is ended; 0: none */
    uint32_t max_streams;    /* HTTP/2 */
    uint32_t stream_window, connection_window;
    struct http2_kept *kept; /* HTTP/2: of the thread, http2_kept.h; NULL: none */
    uint32_t max_frame, max_header_list; /* 0: the defaults of base/limits.h */
    uint32_t max_reset_streams;          /* pending accept-reset streams; 0: default */
    int64_t ping_interval_ns, ping_timeout_ns; /* HTTP/2 keep-alive; 0: off */
};

/* --- the client's side of a connection --- */

enum http_client_state {
    HTTP_CLIENT_READY,    /* takes a request */
    HTTP_CLIENT_BUSY,     /* at its stream limit (HTTP/1: one) */
    HTTP_CLIENT_DRAINING, /* GOAWAY or Connection: close; what runs may end */
    HTTP_CLIENT_CLOSED,
};

struct http_client;

struct http_client_events {
    /* The state changed other than by open() and drain(); from a task. CLOSED comes once and last, when all streams were released. */
    void (*on_state)(struct http_client *client);
};

struct http_client {
    const struct http_client_events *events;
    void *owner;
    enum http_client_state state;
    struct http_reset why; /* of DRAINING and CLOSED */
    bool http2;
    unsigned streams; /* open ones */
    int64_t idle_since_ns;
};

struct http_client_limits {
    uint32_t stream_window, connection_window;
    struct http2_kept *kept; /* as above */
    int64_t ping_interval_ns, ping_timeout_ns; /* HTTP/2 keep-alive; 0: off */
    bool ping_while_idle;
};
