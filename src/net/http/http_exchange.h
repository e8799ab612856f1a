/*
 * One request that comes whole and is answered whole, at once or later, whichever version of HTTP carries it: what a
 * server of pages or of webhooks sees of net/http/http_stream.h. Exchanges are made by net/http/http_listener.h.
 *
 *     on_request(owner, exchange)             the request is there to its last byte; head, body and peer may be read
 *     http_exchange_answer(exchange, ...)     once, inside that call or later; the exchange is not touched after it
 *     exchange->on_gone(exchange)             instead, when the client left meanwhile; the exchange is gone when it returns
 *
 * What cannot be handed on is answered here: a body that is too large (413), or takes too long (408). In the loop's thread.
 */
#pragma once

#include "base/buffer.h"
#include "net/http/http_stream.h"

struct http_exchange_host;

struct http_exchange {
    struct http_head head; /* its texts live as long as the exchange */
    struct buffer body;
    struct addr peer;
    /* Of whoever answers later: to be set before on_request() returns. */
    void *user;
    void (*on_gone)(struct http_exchange *exchange);
    /* --- from here on inside the two modules only --- */
    struct list link; /* in the host */
    struct http_exchange_host *host;
    struct http_stream *stream; /* NULL: over, and to be freed */
    struct arena arena;
    struct timer deadline;      /* until the body is whole */
    struct task disposal;
    bool http2, asked, answered;
    struct buffer out; /* what of the answer was not taken yet, from `sent` on */
    size_t sent;
};

/* What is common to all exchanges of a listener. */
struct http_exchange_host {
    struct loop *loop;
    struct list exchanges;
    unsigned count, max;        /* more: 503 */
    size_t held, max_held;      /* bytes of bodies of all of them; more: 503 */
    size_t max_body;            /* of one; more: 413 */
    int64_t body_timeout_ns;    /* from the head to the last byte */
    void (*on_request)(void *owner, struct http_exchange *exchange);
    void *owner;
};

struct http_answer {
    unsigned status;
    struct slice content_type;
    const struct http_field *fields; /* more of them; at most HTTP_ANSWER_FIELDS */
    unsigned field_count;
    struct buffer body; /* taken over */
};
enum { HTTP_ANSWER_FIELDS = 4 };

void http_exchange_answer(struct http_exchange *exchange, const struct http_answer *answer);
/* With this sentence as its body; for what is refused. */
void http_exchange_refuse(struct http_exchange *exchange, unsigned status, const char *sentence);

/* Inside the two modules: a request begins (http_server_events.on_stream), and the end of all of them, whose streams are gone. */
struct arena *http_exchange_begin(struct http_exchange_host *host, struct http_server *server, struct http_stream *stream, struct addr peer);
void http_exchange_free_all(struct http_exchange_host *host);
