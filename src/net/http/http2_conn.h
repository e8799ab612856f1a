/*
 * HTTP/2 connections over an io stack, as servers and as clients, behind the
 * interface of http_stream.h. Engine: codec/h2/h2.h (RFC 9113).
 *
 * The stack stays the caller's; see http1_conn.h for how it is shared. Frames of
 * all streams written in one turn leave in one flush, so that they share TLS
 * records and system calls. Data that an owner did not take is kept with the
 * stream, within its window, and credited to the peer when taken.
 *
 * Server: hostile input ends streams or the connection as the engine says.
 * Client: `state` is BUSY at the peer's SETTINGS_MAX_CONCURRENT_STREAMS.
 */
#pragma once

#include "net/http/http_stream.h"

/* Starts to read; the 24 bytes of the preface are read through the stack. 0 or -ENOMEM. */
int http2_server_new(struct io_stack *stack, const struct http_server_limits *limits,
                     const struct http_server_events *events, void *owner, struct http_server **ret_server);
void http2_server_ready(struct http_server *server);
/* GOAWAY; streams that run may end, new ones are still served until the peer has heard of it. */
void http2_server_drain(struct http_server *server);
void http2_server_free(struct http_server *server);

int http2_client_new(struct io_stack *stack, const struct http_client_limits *limits,
                     const struct http_client_events *events, void *owner, struct http_client **ret_client);
void http2_client_ready(struct http_client *client);
int http2_client_open(struct http_client *client, struct arena *arena, const struct http_stream_events *events,
                      void *owner, struct http_stream **ret_stream);
void http2_client_drain(struct http_client *client);
void http2_client_free(struct http_client *client);
