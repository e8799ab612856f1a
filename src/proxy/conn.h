/*
 * A connection that somebody opened to us, inbound or outbound, from accept to
 * close: what its path (inbound/path.c, outbound/path.c) has learnt, and the
 * means by which it waits. Steps write each fact once; later steps assert those
 * that they need.
 */
#pragma once

#include "base/arena.h"
#include "mesh/reason.h"
#include "net/io.h"
#include "net/tls/tls.h"
#include "proxy/dial.h"
#include "proxy/forward.h"
#include "proxy/step.h"
#include "proxy/watch/lookup.h"
#include "proxy/worker.h"

struct authorization;
struct backend_view;
struct failfast;
struct http_server;
struct inbound_policy;
struct outbound_route;
struct outbound_view;
struct transport_series;

/* How the accepted side is protected, as the label `tls` says it. */
enum tls_status {
    TLS_STATUS_UNKNOWN,
    TLS_STATUS_NO_TLS,       /* plaintext; `no_tls` says why */
    TLS_STATUS_ESTABLISHED,  /* mesh TLS ended here; client_id may be SAN_NONE */
    TLS_STATUS_PASSTHROUGH,  /* somebody else's TLS; `sni` */
};

enum no_tls { NO_TLS_NONE, NO_TLS_DISABLED, NO_TLS_LOOPBACK, NO_TLS_PORT_SKIPPED, NO_TLS_FROM_REMOTE };

enum session { SESSION_UNKNOWN, SESSION_HTTP1, SESSION_HTTP2, SESSION_OPAQUE };

/* How long a connection waits for the first answer about its port or its destination, before it is refused. */
#define POLICY_WAIT_NS (5 * INT64_C(1000000000))
#define DISCOVERY_WAIT_NS (5 * INT64_C(1000000000))

/* What only opaque connections need while they run. */
struct conn_forward {
    struct conn *conn;
    struct endpoint_info app; /* inbound: the application */
    struct io_stack upstream;
    struct dial dial;
    struct forward forward;
    struct endpoint *endpoint;
    struct transport_series *series;
    bool taken; /* the dial is over and counted; the stack is the connection's */
};

/* One for each accepted connection, idle ones too: members are grouped so that no holes are between them (docs/bench.md). */
struct conn {
    struct walker walker;
    struct list link; /* in worker->conns */
    struct worker *worker;
    enum direction direction;
    unsigned woken;        /* bits 1 << enum why, since the last run */
    struct io_stack io;    /* the side that connected to us */
    struct task task, disposal;
    struct timer deadline; /* of the step that waits */
    int64_t since_ns;
    enum reason reason;    /* why it failed */
    int error;             /* negative errno that goes with it, or 0 */

    /* original-dst */
    struct addr peer, dst;

    /* policy or discover */
    struct lookup *lookup;
    struct lookup_waiter waiter;
    const struct inbound_policy *policy;  /* a reference: kept although the lookup may get a newer one */
    struct outbound_view *view;           /* likewise */
    struct failfast *queue;               /* an opaque outbound connection waits for an endpoint behind this gate */
    int64_t queue_until_ns, queued_ns; /* queued_ns: since when it waits, or waited; 0: never had to */
    int64_t give_up_ns;                   /* an opaque outbound connection dials no further endpoint from then on */
    struct backend_view *backend;         /* of an opaque outbound connection; belongs to the view */

    const struct outbound_route *route;   /* of an opaque outbound connection, once counted; belongs to the view */

    /* detection */
    struct chain peeked;
    enum tls_status tls;
    enum no_tls no_tls;
    enum session session;
    uint32_t detect_seen;    /* of what was peeked, by codec/detect.h */
    int64_t detect_until_ns; /* when detection gives up */
    struct tls_context *tls_context; /* reference while the filter handshakes */
    struct san client_id;  /* lives in the tls filter */
    struct slice sni;      /* own memory, or empty */
    /* server_first.h: the server's side was opened early, once; where the client's first byte leads back to */
    const struct step *resume_path;
    unsigned resume_at;
    bool speculated, speculating;
    bool closed, cut_off; /* the connection has ended; not in order */

    /* authorization */
    const struct authorization *permit;

    struct transport_series *series;
    _Atomic(int64_t) early[2];    /* bytes read and written before it was known where they count */
    struct conn_forward *forward; /* opaque only */
    struct http_server *http;     /* HTTP only */
    struct list requests;         /* struct request that have not ended, the oldest first; HTTP only */
    struct series_recent recent;
};

/* Begins the path; the descriptor is the connection's from now on. */
void conn_accept(struct worker *worker, enum direction direction, int fd, struct addr peer);
/* For steps: wakes the walker with this reason. */
void conn_wake(struct conn *conn, enum why why);
/* For steps: notes why it fails and returns STEP_FAIL. */
enum step_result conn_fail(struct conn *conn, enum reason reason, int error);
/* For steps that wait: by when (absolute). */
void conn_deadline(struct conn *conn, int64_t at_ns);
/* From outside: the drain of the worker is in a further state. What is open then is told so, or ended. */
void conn_drain(struct conn *conn);

/* Closes the side towards the application or endpoint and frees conn->forward. */
void conn_forward_free(struct conn *conn);

static inline struct conn *conn_of(struct walker *walker) { return CONTAINER_OF(walker, struct conn, walker); }
