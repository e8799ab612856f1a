/*
 * A listening port for requests that come whole and are answered whole (net/http/http_exchange.h): over plaintext HTTP/1.1,
 * over TLS as an ordinary server (net/tls/tls_web.h), where the client chooses HTTP/2 or HTTP/1.1 by ALPN, or over plaintext
 * and mesh TLS (net/tls/tls.h) on one port, as the client begins. Admin pages (net/http/http_admin.h) and webhooks stand on it.
 *
 *     http_listener_new(loop, addr, &options, &listener)
 *     http_listener_drain(listener), http_listener_connections(listener) until there is none
 *     http_listener_free(listener)
 *
 * Everything a client can make it hold is bounded by the options: connections, requests, bodies, and the time that a
 * handshake, a head, a body, a reader of the answer and an idle connection may take. On the loop of whoever starts it.
 */
#pragma once

#include "event/descriptors.h"
#include "net/http/http_exchange.h"
#include "net/tls/tls_web.h"

struct http_listener;

struct http_listener_options {
    unsigned max_connections; /* more: a new one takes the place of one that asks nothing, if there is one */
    unsigned max_requests; /* at once, of all connections; more: 503 */
    size_t max_body;       /* of one request; more: 413 */
    size_t max_held;       /* of all requests; more: 503 */
    int64_t head_timeout_ns, body_timeout_ns, idle_timeout_ns, stall_timeout_ns; /* 0: none */
    int64_t handshake_timeout_ns;
    enum descriptor_use use;
    enum { HTTP_LISTENER_PLAIN, HTTP_LISTENER_TLS, HTTP_LISTENER_MESH_TLS_OR_PLAIN } security;
    void (*on_request)(void *owner, struct http_exchange *exchange);
    /* With TLS: what a new connection is served with, borrowed; NULL: there is none yet, and the connection is refused. */
    struct tls_context *(*context)(void *owner);
    void (*on_failure)(void *owner, struct addr peer, const char *why); /* a handshake that failed; may be NULL */
    void *owner;
};

/* The options are copied. 0 or a negative errno. */
int http_listener_new(struct loop *loop, struct addr addr, const struct http_listener_options *options, struct http_listener **ret_listener);
/* On a descriptor that listens already, which it takes over if it succeeds. */
int http_listener_on(struct loop *loop, int fd, const struct http_listener_options *options, struct http_listener **ret_listener);
/* Takes no new connections; those there are end when their requests are answered. */
void http_listener_drain(struct http_listener *listener);
unsigned http_listener_connections(const struct http_listener *listener);
/* Ends all connections; of requests without an answer on_gone() is called. Not from inside an event. NULL is allowed. */
void http_listener_free(struct http_listener *listener);
