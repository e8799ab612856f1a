/*
 * What the files of an HTTP/1 connection share: http1_conn.c (bytes, time, the
 * end), http1_body.c (bodies, both ways), http1_server.c and http1_client.c (the
 * heads, and what follows an exchange). Not for others.
 *
 * One exchange at a time, so the stream is part of the connection. `run` reads,
 * has the role's process() use up the input, and reads again; `flush` writes once
 * a turn. Input stays in one borrowed page, parsed and offered in place; what the
 * owner did not take stays there, and a full page is not read into. A head larger
 * than a page moves to a buffer of its own.
 */
#pragma once

#include "base/buffer.h"
#include "codec/http1/http1.h"
#include "net/http/http1_conn.h"

enum http1_state {
    HTTP1_OPEN,      /* new */
    HTTP1_FLUSHING,  /* the last exchange is over: `out` goes out; http1_end() */
    HTTP1_LINGERING, /* FIN is out; what the peer still sends is read away, so that it can read our last words */
    HTTP1_OVER,      /* the bytes are over */
    HTTP1_TOLD       /* the owner was told */
};

/* What arrives next. */
enum http1_rx {
    HTTP1_RX_HEAD,    /* or nothing, between exchanges */
    HTTP1_RX_LENGTH,  /* rx_left bytes of body */
    HTTP1_RX_CHUNKED,
    HTTP1_RX_TRAILERS,
    HTTP1_RX_CLOSE,   /* body until the end of the connection */
    HTTP1_RX_TUNNEL,
    HTTP1_RX_WAIT,    /* server: the response decides whether a tunnel begins (CONNECT, Upgrade) */
    HTTP1_RX_END,     /* only the end is to be told */
    HTTP1_RX_DONE
};

/* What is to be sent next. */
enum http1_tx {
    HTTP1_TX_HEAD,
    HTTP1_TX_LENGTH, /* tx_left bytes of body */
    HTTP1_TX_CHUNKED,
    HTTP1_TX_CLOSE,
    HTTP1_TX_TUNNEL,
    HTTP1_TX_WAIT,   /* client: the response decides whether a tunnel begins */
    HTTP1_TX_NONE,   /* no body: what is given is swallowed (HEAD, 204, 304) */
    HTTP1_TX_DONE
};

struct http1_conn {
    struct io_stack *stack;
    struct loop *loop;
    struct page *in;      /* read and not used yet; NULL when there is nothing */
    struct buffer *big;   /* instead of `in`, while a head is larger than a page */
    struct chain out;
    struct task run, flush;
    struct timer upkeep;
    bool (*process)(struct http1_conn *conn); /* uses input; true when it should be called again */

    struct http_stream stream;
    struct arena *arena;
    struct http1_scan scan;
    struct http1_chunked chunked;
    uint64_t rx_left, tx_left;
    uint32_t ready;       /* decoded bytes of a chunk at the front of the input */
    uint32_t discarded;   /* bytes of a body that nobody wants */

    uint8_t state;        /* enum http1_state */
    uint8_t rx, tx;       /* enum http1_rx, http1_tx */
    uint8_t asked;        /* HTTP1_ASKED_* of the exchange */
    uint8_t interims;
    bool is_server : 1;
    bool active : 1;      /* an exchange: the stream is the owner's, until it releases it */
    bool over : 1;        /* of the exchange: no event any more */
    bool held : 1;        /* the owner took less than offered, and did not resume */
    bool blocked : 1;     /* the owner was not taken all and waits for on_writable */
    bool offering : 1;    /* on_data is on the stack */
    bool resumed : 1;     /* the owner resumed inside its own on_data */
    bool close_after : 1; /* the connection ends with this exchange */
    bool drain : 1;
    bool announce : 1; /* the next answer says Connection: close */
    bool eof : 1;         /* the peer's end of stream, or an error, was read */
    bool unflushed : 1;   /* a filter below (TLS) took bytes that are not with the kernel yet */
    bool write_broken : 1; /* nothing can be written any more */
    bool abort : 1;       /* the owner ended the exchange before its time */
    bool shut_after : 1;  /* half-close when `out` is empty */
    bool shut : 1;        /* that was done */
    bool starved : 1;     /* no page: try again soon */
    bool read_again : 1;  /* there was more than a turn's worth */
    bool old_client : 1;  /* server: the request was HTTP/1.0 */
    bool keep_old : 1;    /* server: and asked to be kept alive */
    bool expects : 1;     /* server: waits for 100 before the body, which has not begun */
    bool used : 1;        /* client: an exchange was begun before this one */
    bool answered : 1;    /* client: a byte of the answer came */
    struct http_reset why;
    int64_t since_ns;     /* of being idle, of the head's first byte, or of ending: by `phase` */
    int64_t blocked_ns;   /* when `blocked` began, or bytes were last written since */
    int64_t head_timeout_ns, idle_timeout_ns, stall_timeout_ns;
    bool head_begun;      /* since_ns is of a head's first byte */
    uint8_t told_state;   /* client: enum http_client_state */
    union {
        struct http_server server;
        struct http_client client;
    };
};

/* http1_conn.c */
int http1_conn_init(struct http1_conn *conn, struct io_stack *stack, bool is_server,
                    bool (*process)(struct http1_conn *conn));
void http1_conn_release(struct http1_conn *conn);
struct slice http1_input(const struct http1_conn *conn);
void http1_input_drop(struct http1_conn *conn, size_t n);
void http1_wake_flush(struct http1_conn *conn);
void http1_set_upkeep(struct http1_conn *conn);
/* What `upkeep` waits for in the present state has come. */
bool http1_time_is_up(const struct http1_conn *conn);
/* The exchange that runs gets on_reset. Without an error what was sent goes out first and the end is orderly. */
void http1_end(struct http1_conn *conn, struct http_reset why);
/* The reason when the peer's end came too early. */
struct http_reset http1_reason_of_eof(const struct http1_conn *conn);
/* Copies a head that was parsed from `bytes` into the arena, with `more` fields of room. 0 or -ENOMEM. */
int http1_keep_head(struct arena *arena, struct slice bytes, struct http_head *head, unsigned more);

/* The owner was not taken all: on_writable will tell when it may go on. */
void http1_block(struct http1_conn *conn);

/* http1_body.c */
extern const struct http_stream_ops http1_stream_ops;
/* Delivers what there is of the body. True when it came further; false when bytes or the owner are missing. */
bool http1_receive_body(struct http1_conn *conn);
/* From framing to what arrives: sets rx, and tells whether the body ends with the head. */
bool http1_begin_body(struct http1_conn *conn, const struct http1_framing *framing);
void http1_begin_exchange(struct http1_conn *conn);
/* Both directions have ended and the owner has released the stream. */
bool http1_exchange_is_over(const struct http1_conn *conn);
/* Server: the response is sent and its owner gone, but the request's body is still to be read away. */
bool http1_is_discarding(const struct http1_conn *conn);
void http1_tell_reset(struct http1_conn *conn, struct http_reset reset);

/* http1_server.c, http1_client.c */
int http1_server_send_head(struct http1_conn *conn, const struct http_head *head, bool end);
int http1_client_send_head(struct http1_conn *conn, const struct http_head *head, bool end);
/* Server: the body broke the protocol: answers if there is still a way to. */
void http1_server_bad_body(struct http1_conn *conn, int status, const char *detail);
void http1_client_tell_state(struct http1_conn *conn);
