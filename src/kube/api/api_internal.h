/*
 * What api_client.c (which call goes where), api_call.c (one request and its
 * answer) and api_conn.c (one connection) share. Nobody else includes this.
 */
#pragma once

#include "kube/api/api_client.h"
#include "net/http/http_stream.h"
#include "net/resolver.h"

struct api_conn;

struct api_client {
    struct loop *loop;
    const struct kube_access *access;
    struct resolver *resolver; /* NULL until a name is to be resolved */
    struct list calls;         /* all */
    struct list waiting;       /* for a connection, oldest first */
    struct list conns;
    unsigned call_count, conn_count;
    unsigned failures;         /* connections in a row that brought no answer */
    struct timer retry;        /* set: no connection is made before it fires */
    struct task pump;          /* gives waiting calls to connections */
    bool http1;                /* what the server spoke last */
    bool fetching;             /* a credential plug-in runs; calls that wait, wait for it */
    bool fetched;              /* just now: what came is used, even where its time is over already */
    int64_t fetch_began_ns;
};

/* --- api_conn.c --- */

enum api_conn_state {
    API_CONN_RESOLVING,
    API_CONN_CONNECTING,
    API_CONN_PROXY_HANDSHAKE, /* of a proxy that is reached by https */
    API_CONN_TUNNEL,          /* through a proxy */
    API_CONN_HANDSHAKE,
    API_CONN_OPEN, /* `http` is there */
    API_CONN_OVER  /* freed at the end of the turn */
};

struct api_conn {
    struct api_client *client;
    struct list link;
    enum api_conn_state state;
    struct io_stack io;
    struct resolver_query query;
    struct resolver_answer answer;
    unsigned tried; /* addresses of the answer */
    struct tls_context *tls, *proxy_tls;
    struct tunnel *tunnel;
    unsigned certificate; /* which of the credential plug-in's it was made with */
    struct task work, over;
    struct timer deadline; /* of what comes before OPEN */
    struct http_client *http;
    struct api_call *only; /* of a connection that is one call's own; NULL: shared */
    bool own;              /* it is, or was, one call's */
    bool proven;           /* an answer came over it, or we gave one up: its end is no failure to connect */
};

/* 0 or a negative errno with a sentence; else api_client_conn_open() or api_client_conn_failed() follows, from the loop. */
int api_conn_new(struct api_client *client, struct api_call *only, struct errmsg *msg);
/* Whether a call can start on it now. */
bool api_conn_has_room(const struct api_conn *conn);
int api_conn_open_stream(struct api_conn *conn, struct arena *arena, const struct http_stream_events *events, void *owner,
                         struct http_stream **ret_stream);
/* Lets what runs on it end, and it with that. */
void api_conn_drain(struct api_conn *conn);
/* At once, from outside of its events. */
void api_conn_free(struct api_conn *conn);

/* --- api_client.c --- */

void api_client_conn_open(struct api_conn *conn);
/* It did not come to an answer; `msg` is a sentence. */
void api_client_conn_failed(struct api_conn *conn, const struct errmsg *msg);

/* --- api_call.c --- */

enum api_call_state {
    API_CALL_WAITING, /* for a connection */
    API_CALL_PAUSED,  /* until the server wants to be asked again */
    API_CALL_RUNNING
};

struct api_call {
    struct api_client *client;
    struct list link, waiting; /* in client->calls, and in client->waiting while it does */
    enum api_call_state state;
    struct arena arena;
    const struct api_call_events *events;
    void *owner;
    const char *method;
    struct slice path, accept, content_type, body, if_none_match;
    bool alone;
    int64_t deadline_ns; /* INT64_MAX: it has begun to stream */
    struct timer timer;  /* the deadline, or the end of a pause */
    struct api_conn *conn;      /* RUNNING, or one of its own that is being made */
    struct http_stream *stream; /* NULL: released */
    size_t sent;                /* of the body */
    unsigned attempts;
    unsigned credential;        /* which of the credential plug-in's it was sent with */
    bool asked_anew;            /* after a 401 */
    int status;
    int64_t retry_after_ns;
    struct slice etag, location;
    struct buffer answer;
    bool in_event, over;        /* a function of ours is on the stack; it has ended, and goes when that returns */
};

/* Begins on the connection. */
void api_call_run(struct api_call *call, struct api_conn *conn);
/* Ends it with a failure that has no answer. */
void api_call_fail(struct api_call *call, int error, const char *what);
