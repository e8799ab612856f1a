/*
 * What the files of an HTTP/2 connection share: http2_conn.c (bytes, time, the
 * end), http2_stream.c (streams between engine and owner), http2_server.c and
 * http2_client.c (the roles). Not for others.
 *
 * A connection is driven by three tasks and a timer:
 *
 *     run      reads, feeds the engine, which calls stream events; looks whether all is over
 *     flush    once a turn: writes `out`, tells streams that there is room again
 *     recycle  at the end of the turn: takes back streams that were released in it
 *     upkeep   pings, idle and head timeouts; deadlines move lazily, it fires early and looks again
 */
#pragma once

#include "codec/h2/h2.h"
#include "net/http/http2_conn.h"
#include "net/http/http2_kept.h"

enum http2_state {
    HTTP2_OPEN,      /* new */
    HTTP2_LINGERING, /* all was said: FIN is out, what the peer still sends is read away; http2_end() */
    HTTP2_WAITING,   /* the bytes are over; owners still take what had arrived whole, and release */
    HTTP2_ENDED      /* the owner was told */
};

enum http2_drain {
    HTTP2_DRAIN_NO,
    HTTP2_DRAIN_NOTICE, /* server: GOAWAY with the highest id and a ping are out */
    HTTP2_DRAIN_LAST    /* the last id is told, or the peer told theirs: ends with the last stream */
};

struct http2_conn {
    struct io_stack *stack;
    struct loop *loop;
    struct chain out;
    struct h2_conn h2;
    struct h2_config config;
    struct task run, flush, recycle;
    struct timer upkeep;
    struct http2_kept *kept; /* NULL: what is held counts against the connection's window */
    struct list streams; /* not released by their owners */
    struct list dead;    /* released in this turn */
    struct http2_stream *spare;
    unsigned spare_count;
    uint8_t state;       /* enum http2_state */
    uint8_t drain;       /* enum http2_drain */
    bool is_server;
    bool eof;            /* the peer's end of stream was read */
    bool unflushed;      /* a filter below (TLS) took bytes that are not with the kernel yet */
    bool starved;        /* no page, for reading or for a stream's data: try again at starved_ns */
    bool read_again;     /* there was more than a turn's worth */
    bool trimmed;        /* holds nothing for speed */
    bool ping_out;       /* a keep-alive ping waits for its answer since ping_ns */
    bool ping_while_idle;
    struct http_reset why;
    int64_t started_ns, read_ns, idle_ns, ping_ns, drain_ns, linger_ns;
    int64_t starved_ns;
    int64_t block_ns;    /* when the header block being read began; 0: none */
    int64_t stall_ns;    /* when to look for streams that are stalled; 0: none is blocked */
    int64_t ping_interval_ns, ping_timeout_ns, idle_timeout_ns, head_timeout_ns, stall_timeout_ns;
    union {
        struct http_server server;
        struct http_client client;
    };
    uint8_t told_state;  /* client: enum http_client_state as last told */
};

struct http2_stream {
    struct http_stream stream;
    struct http2_conn *conn;
    struct h2_stream *h2;    /* NULL: a client's, before its head */
    struct arena *arena;     /* the owner's */
    struct list link;        /* in conn->streams, or ->dead */
    struct http2_stream *next_spare;
    struct buffer held;      /* what the owner did not take, from held_at on */
    size_t held_at;
    struct list keeping;     /* in conn->kept->streams while something is held */
    const struct http_field *trailers; /* that wait behind `held` */
    unsigned trailer_count;
    struct http_reset reset; /* that waits behind `held` */
    int64_t blocked_ns;      /* since when the peer lets nothing more be sent; 0: it does */
    bool held_end;           /* the end waits behind `held` */
    bool held_trailers;
    bool held_reset;
    bool offering;           /* on_data is on the stack */
    bool offer_again;
    bool bodyless;           /* server: no body may be sent (HEAD, 204, 304): what is given is swallowed */
    bool starved;            /* there was no page for its data */
    bool over;               /* no event any more */
    bool released;
};

extern const struct h2_events http2_stream_events;   /* of the engine */
extern const struct http_stream_ops http2_stream_ops;

/* http2_conn.c */
int http2_conn_init(struct http2_conn *conn, struct io_stack *stack, bool is_server);
void http2_conn_release(struct http2_conn *conn);
/* Something may be in `out`: it is written at the end of the turn. */
void http2_wake_flush(struct http2_conn *conn);
/* Begins the end: streams get on_reset, what is in `out` is written if it can be. From run only. */
void http2_end(struct http2_conn *conn, struct http_reset why);
/* The number of streams changed to none. */
void http2_became_idle(struct http2_conn *conn);
void http2_drain(struct http2_conn *conn);
void http2_set_upkeep(struct http2_conn *conn);
/* There was no page: `run` comes again in a moment. */
void http2_starve(struct http2_conn *conn);

/* http2_stream.c */
/* Tells the streams whose data found no page to try again. */
void http2_feed_starved(struct http2_conn *conn);
struct http2_stream *http2_stream_new(struct http2_conn *conn);
/* on_reset to all that are not over; or only to those that have sent no head, which the engine does not know. */
void http2_streams_reset(struct http2_conn *conn, bool unsent_only);
/* Ends the streams that have been blocked for the timeout; when to look again, or 0. */
int64_t http2_end_stalled(struct http2_conn *conn);
/* Frees what is kept for the next streams. */
void http2_stream_trim(struct http2_conn *conn);
void http2_streams_free(struct http2_conn *conn);
void http2_recycle(struct task *task);
/* Ends a stream whose owner does not take what is held for it. */
void http2_stream_shed(struct http2_stream *s);

/* http2_kept.c; `n` bytes were put aside, were taken, are forgotten with the stream. */
void http2_kept_add(struct http2_stream *s, size_t n);
void http2_kept_taken(struct http2_stream *s, size_t n);
void http2_kept_forget(struct http2_stream *s, size_t n);

/* http2_server.c, http2_client.c: what differs between the roles. */
struct arena *http2_server_begin(struct http2_conn *conn, struct h2_stream *h2);
void http2_server_tell_end(struct http2_conn *conn);
void http2_client_tell_state(struct http2_conn *conn);
