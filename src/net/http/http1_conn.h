/*
 * HTTP/1 connections over an io stack, as servers and as clients, behind the
 * interface of http_stream.h. Codec: codec/http1/http1.h.
 *
 * The stack stays the caller's: it is opened before, and closed by the caller
 * after on_closed / CLOSED (from a disposal). While the connection lives it owns
 * the stack's readiness: the caller routes stack->on_ready to http1_*_ready().
 * Writes of one turn leave together, from the loop's flush.
 *
 * Server: requests are served in order; what a client pipelines behind the
 * current request waits (LIMIT_PIPELINE_BYTES). Bad input is answered by the
 * connection itself (400, 414, 431, 501, 505) with Connection: close and nothing
 * reaches the owner. A response that ends before its request's body was read
 * leaves the rest to be read away, up to a limit, else closes. If the owner
 * sends a final head with a Connection: close field, or http1_server_drain() was
 * called, the connection ends after that response. `Date` is not added.
 * Framing is the connection's: it decides between Content-Length, chunked (to
 * HTTP/1.1) and close-delimited (to HTTP/1.0) from the head that is sent and
 * whether the end is known, and drops hop-by-hop fields given by the owner other
 * than Connection: close, Upgrade (for a 101) and TE: trailers.
 *
 * Client: one request at a time; a connection that ended cleanly while idle is
 * CLOSED with HTTP_ERROR_CLOSED and code 0, so that a pool drops it; a request
 * written to it in that moment gets on_reset with HTTP_ERROR_REFUSED when not a
 * byte of an answer came and the connection had been used before (RFC 9110
 * section 9.2.2: only the caller knows whether it may be sent again).
 */
#pragma once

#include "net/http/http_stream.h"

struct http1_server;
struct http1_client;

/* Starts to read. `limits` is copied. 0 or -ENOMEM. */
int http1_server_new(struct io_stack *stack, const struct http_server_limits *limits,
                     const struct http_server_events *events, void *owner, struct http_server **ret_server);
void http1_server_ready(struct http_server *server); /* the stack's readiness changed */
/* Ends after the response that is running, at once when idle. */
void http1_server_drain(struct http_server *server);
/*
 * The next answer says Connection: close and is the last. An idle connection stays open for it, so that a request that is on its
 * way is not lost; the drain ends those that never come.
 */
void http1_server_announce_end(struct http_server *server);
/*
 * Frees it; a stream that runs gets on_reset (HTTP_ERROR_CLOSED), inside this call, and is gone after it, released or
 * not. Not from inside its own events: from a task or disposal. NULL is allowed. So for all four *_free().
 */
void http1_server_free(struct http_server *server);

int http1_client_new(struct io_stack *stack, const struct http_client_limits *limits,
                     const struct http_client_events *events, void *owner, struct http_client **ret_client);
void http1_client_ready(struct http_client *client);
/* A stream for one request, whose head's memory comes from `arena`; -EAGAIN when busy, -EPIPE when not usable any more. */
int http1_client_open(struct http_client *client, struct arena *arena, const struct http_stream_events *events,
                      void *owner, struct http_stream **ret_stream);
/* It has stood open without a request: its end before an answer then means that the server gave it up, as after a request. */
void http1_client_has_idled(struct http_client *client);
void http1_client_drain(struct http_client *client);
void http1_client_free(struct http_client *client);
