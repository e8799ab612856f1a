/*
 * Opens a connection to an endpoint: TCP, then mutual TLS if the endpoint has an
 * identity, then the transport header if the peer negotiated it. The same for a
 * connection of an HTTP pool and for opaque TCP.
 *
 *     dial_start() -> (readiness, timer) -> done() once, from a task of the loop
 *
 * Until done() the stack belongs to the dial; after, on success, it is the
 * caller's to take over by setting stack->on_ready. Nothing is ever sent in
 * plaintext to an endpoint that has an identity.
 */
#pragma once

#include "event/descriptors.h"
#include "mesh/endpoint.h"
#include "mesh/reason.h"
#include "net/io.h"
#include "net/tls/tls.h"

struct tls_context;

enum dial_session { DIAL_OPAQUE, DIAL_HTTP1, DIAL_HTTP2 }; /* what will be spoken, for the transport header */

struct dial_options {
    const struct endpoint_info *endpoint; /* lives as long as the dial */
    bool plaintext;                       /* towards the application itself: no TLS whatever the endpoint says */
    enum dial_session session;
    int64_t timeout_ns;
    enum descriptor_use use;              /* what may not use up the last descriptors; else it fails with -EMFILE */
    struct socket_options socket;
    _Atomic(int64_t) *count_read, *count_written;
    struct tls_context *tls;              /* the dial takes a reference; NULL where no identity is configured */
};

struct dial {
    struct io_stack *stack;
    struct loop *loop;
    struct dial_options options;
    struct task task;
    struct timer deadline;
    bool connected, tls, finished;
    enum reason reason;          /* of the failure */
    int error;                   /* negative errno, for logs */
    void (*done)(struct dial *dial, bool ok);
};

/* `stack` is not open yet. 0, or a negative errno; then done() is not called. */
int dial_start(struct dial *dial, struct loop *loop, struct io_stack *stack, const struct dial_options *options,
               void (*done)(struct dial *dial, bool ok));
/* Ends it without done() and closes the stack. Allowed at any time, also after done(): then the stack is left alone. */
void dial_release(struct dial *dial);

/* The reason that stands for a handshake that failed. */
enum reason reason_of_tls(enum tls_failure failure);
