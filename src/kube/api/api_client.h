/*
 * Requests to one API server: HTTP/2, or HTTP/1.1 where ALPN says so, over TLS
 * as the access has it (kube/access/access.h), on the loop.
 *
 *     api_client_new() -> api_call_start() ... -> on_data() ... -> on_end() -> api_client_free()
 *
 * Connections are made when a call needs one, again and again while it does, with growing pauses in between (mesh/backoff.h). Credentials
 * in files are read for every connection and every request. A connection that says goodbye (GOAWAY) gets a successor at
 * once; one that is silent is found out by pings. What is large comes on a connection of its own (`alone`), so that it
 * delays no watch.
 *
 * Done here, within the call's deadline: a 401 is asked again once, with the credentials read anew; 429 and 503 that say
 * when to come again (Retry-After), once that time has passed; requests that the server certainly did not look at, at
 * once. Everything else is the caller's.
 *
 * Bounded: LIMIT_API_CALLS, LIMIT_API_CONNECTIONS, LIMIT_API_ANSWER. The loop's thread.
 */
#pragma once

#include "event/loop.h"
#include "kube/access/access.h"

struct api_client;
struct api_call;

/* The access must outlive the client. 0 or -ENOMEM. */
int api_client_new(struct loop *loop, const struct kube_access *access, struct api_client **ret_client);
/* Ends what runs, without events. Not from inside an event. NULL is allowed. */
void api_client_free(struct api_client *client);
/* Whom it talks to, for people: "https://10.96.0.1:443". */
struct slice api_client_server(const struct api_client *client);
struct loop *api_client_loop(const struct api_client *client);

#define API_JSON "application/json"
#define API_JSON_PATCH "application/json-patch+json"
#define API_MERGE_PATCH "application/merge-patch+json"
#define API_STRATEGIC_PATCH "application/strategic-merge-patch+json"
#define API_APPLY_PATCH "application/apply-patch+yaml"

/* Everything is copied. */
struct api_request {
    const char *method;        /* NULL: GET; POST, PUT, PATCH, DELETE */
    struct slice path;         /* "/api/v1/pods?limit=500" */
    struct slice accept;       /* empty: JSON */
    struct slice content_type; /* of the body */
    struct slice body;
    struct slice if_none_match; /* an etag of before: the answer may be 304 */
    int64_t timeout_ns; /* until the end; of a streamed answer until it begins. 0: 30 s */
    bool alone;
};

struct api_answer {
    int status;           /* of HTTP; 0: there was none */
    int error;            /* 0 when the answer is whole and its status 2xx or 304; else a negative errno */
    struct slice body;    /* unless streamed */
    struct slice etag;    /* empty: none */
    struct slice location; /* of a 3xx: where it is instead; empty: none */
    int64_t retry_after_ns; /* 0: the server said nothing of it */
    const char *why;      /* of an error: what was asked, what came, what to do */
};

struct api_call_events {
    /*
     * NULL: the answer is collected, up to LIMIT_API_ANSWER. Else bytes of a 2xx answer as they come; the body of
     * others is still collected.
     */
    void (*on_data)(struct api_call *call, struct slice bytes);
    /* The last event; the call is gone when it returns. */
    void (*on_end)(struct api_call *call, const struct api_answer *answer);
    /* A streamed 2xx answer begins; its first bytes may be long in coming. NULL is allowed. */
    void (*on_begin)(struct api_call *call);
};

/* Events come from the loop, never from inside this. 0, -ENOMEM or -ENOBUFS (LIMIT_API_CALLS). */
int api_call_start(struct api_client *client, const struct api_request *request, const struct api_call_events *events,
                   void *owner, struct api_call **ret_call);
void *api_call_owner(const struct api_call *call);
/* No event follows; from inside one is fine. NULL is allowed. */
void api_call_cancel(struct api_call *call);
