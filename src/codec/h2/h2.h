/*
 * An HTTP/2 connection (RFC 9113) as an engine: bytes in, events out, frames
 * out into a chain. It owns no socket and no clock, and serves both roles. Headers are
 * compressed by hpack.h.
 *
 *     h2_init(&conn, H2_SERVER, &config, &events, owner, &out);    queues the preface and SETTINGS
 *     loop:  h2_input(&conn, bytes, now)      takes all of the bytes, calls events
 *            write `out` to the peer, then h2_out_drained(&conn)
 *     end:   h2_close(&conn), h2_release(&conn)
 *
 * The owner flushes `out` whenever it is not empty after a call of any function
 * here; the engine never asks for it. Only the engine appends to `out`.
 *
 * Streams. A server learns of one by events->head_arena, a client makes one with
 * h2_request(). Either way the owner calls h2_stream_release() once for each
 * stream it knows of and does not use the pointer after; until then the pointer
 * stays valid, also after the stream closed or the connection failed. Inside an
 * event every function here may be called for any stream, release included, with
 * three exceptions: h2_input, h2_close and h2_release. What is released inside an event is
 * freed when the engine has returned, so nothing is freed under its feet.
 *
 * Flow control, arriving. Every byte given to on_data is held against the windows
 * until h2_consume() gives it back; WINDOW_UPDATE leaves when half a window was
 * consumed. Bytes that nobody will consume (padding, bytes of streams that are
 * closed or reset) are given back to the connection's window by the engine. An owner that
 * keeps bytes for somebody slow says so with h2_keep(): they go on to count against their stream's window and no
 * longer against the connection's, which the other streams share.
 * Flow control, sending. h2_data() takes what the two windows and the length of
 * `out` (LIMIT_CONN_OUT) allow; after taking less than everything on_writable
 * says when to go on, and h2_blocked() why it waits, so that the owner can put a
 * deadline on a peer that never opens its window.
 *
 * Heads. See struct http_head. Arriving heads are checked in full (RFC 9113
 * section 8): a malformed one ends its stream and never reaches the owner. Fields
 * live in the arena that head_arena names. `te: trailers` is kept; Cookie crumbs are
 * joined into one field (8.2.3); Host must agree with :authority, replaces it when there is
 * none, and is not among the fields. `authority` may be empty when the peer gave neither.
 * Heads to send may have any case of names; connection-specific fields, those
 * that a Connection field names, and Host are left out.
 *
 * Errors. Functions return 0 or a negative errno. When the connection itself
 * failed (-EPROTO: the peer broke the protocol or flooded; -ENOMEM) GOAWAY is in `out`
 * already where that was possible, every later call fails the same way, and conn->error,
 * ->detail say why: the owner writes what is in `out`, calls h2_close() and closes.
 *
 * Memory. An idle connection has no buffers; h2_trim() also drops what is kept
 * for speed. All is in one thread.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/arena.h"
#include "base/buffer.h"
#include "base/chain.h"
#include "base/list.h"
#include "base/slice.h"
#include "codec/h2/hpack.h"
#include "codec/http.h"

struct h2_conn;
struct h2_stream;

/* RFC 9113 section 7. */
enum h2_error {
    H2_NO_ERROR = 0x0,
    H2_PROTOCOL_ERROR = 0x1,
    H2_INTERNAL_ERROR = 0x2,
    H2_FLOW_CONTROL_ERROR = 0x3,
    H2_SETTINGS_TIMEOUT = 0x4,
    H2_STREAM_CLOSED = 0x5,
    H2_FRAME_SIZE_ERROR = 0x6,
    H2_REFUSED_STREAM = 0x7,
    H2_CANCEL = 0x8,
    H2_COMPRESSION_ERROR = 0x9,
    H2_CONNECT_ERROR = 0xa,
    H2_ENHANCE_YOUR_CALM = 0xb,
    H2_INADEQUATE_SECURITY = 0xc,
    H2_HTTP_1_1_REQUIRED = 0xd
};
/* "PROTOCOL_ERROR" and so on, "UNKNOWN_ERROR" for codes that the RFC does not name. */
const char *h2_error_name(uint32_t code);

enum h2_role { H2_SERVER, H2_CLIENT };

/* Shared by many connections and read only; it outlives them. 0 stands for the default in base/limits.h. */
struct h2_config {
    uint32_t max_streams;       /* server: streams that the peer may have open at once */
    uint32_t stream_window;     /* bytes, at most 2^31-1 */
    uint32_t connection_window; /* bytes, at least 65535, at most 2^31-1 */
    uint32_t max_frame;         /* bytes of payload, 16384 to 2^24-1 */
    uint32_t max_header_list;   /* bytes, names and values and 32 for each field */
    uint32_t max_resets;        /* streams that the peer made end by a reset, in 30 s */
    uint32_t hash_salt;         /* random, so that a peer cannot choose stream ids for one bucket; 0 is fine in tests */
};

/* Who ended a stream early. */
enum h2_reset_by {
    H2_BY_PEER,      /* RST_STREAM; or GOAWAY, then the code is REFUSED_STREAM: the peer did not process it */
    H2_BY_US,        /* the peer broke the protocol on this stream, or a limit; RST_STREAM was sent */
    H2_BY_CONNECTION /* h2_close(): the connection is over; the code is that of the connection's error */
};

struct h2_reset_info {
    enum h2_reset_by by;
    uint32_t code;      /* enum h2_error, or any number from the peer */
    const char *detail; /* static text, or NULL */
};

struct h2_events {
    /*
     * The arena for a head of this stream. Server: the first sign of a new stream; the owner may set stream->user
     * here. NULL refuses it: the peer sees REFUSED_STREAM, nothing is called for it any more and the owner does not
     * release it. Client: called for each head of a response and for trailers, as it is on servers for trailers; NULL
     * resets the stream.
     */
    struct arena *(*head_arena)(struct h2_stream *stream);
    /* A request, a response, or (status below 200, `end` false) an interim response before it. In the arena, as its
     * fields are, with some room for more. */
    void (*on_head)(struct h2_stream *stream, struct http_head *head, bool end);
    /* Part of the body. The bytes are valid during the call. Never empty unless `end`. */
    void (*on_data)(struct h2_stream *stream, struct slice bytes, bool end);
    /* The end of the arriving direction, with fields. Their names and values are in the arena. */
    void (*on_trailers)(struct h2_stream *stream, const struct http_field *fields, unsigned count);
    /* Both directions are over; the last event of a stream. It comes for streams that were announced and neither
     * closed in order, nor reset by h2_reset(), nor released before. */
    void (*on_reset)(struct h2_stream *stream, struct h2_reset_info why);
    /* h2_data() may take more. */
    void (*on_writable)(struct h2_stream *stream);

    /* Those below may be NULL. */
    void (*on_settings)(struct h2_conn *conn); /* the peer's settings changed: conn->peer */
    /* Streams above last_id were reset before. */
    void (*on_goaway)(struct h2_conn *conn, uint32_t last_id, uint32_t code);
    void (*on_ping_ack)(struct h2_conn *conn, uint64_t payload);
    /* For counters and logs: bad input ended a stream, by RST_STREAM with `code`, or with this status (431, 414; else
     * 0). */
    void (*on_refused)(struct h2_conn *conn, unsigned status, uint32_t code, const char *detail);
};

enum h2_half {
    H2_HALF_HEAD, /* the head has not passed yet (interim ones may have) */
    H2_HALF_BODY, /* after the head */
    H2_HALF_ENDED /* after END_STREAM, or a reset of the stream */
};

enum h2_blocked {
    H2_BLOCKED_NOT,
    H2_BLOCKED_STREAM,     /* the stream's window is empty */
    H2_BLOCKED_CONNECTION, /* the connection's window is empty */
    H2_BLOCKED_OUT         /* `out` is full */
};

/* Only `user` is the owner's to write, only `id` and `conn` are for reading; the rest is the engine's. */
struct h2_stream {
    void *user;
    struct h2_conn *conn;
    uint32_t id;
    uint8_t recv, send;               /* enum h2_half; RFC 9113 section 5.1's states are pairs of these */
    uint8_t blocked;                  /* enum h2_blocked */
    uint8_t interims;                 /* 1xx responses seen */
    bool announced : 1;               /* the owner knows of it */
    bool released : 1;                /* the owner has done with it */
    bool open : 1;                    /* in the table of streams, counted */
    bool head_only : 1;               /* no body may follow: the answer to HEAD; 204 and 304 */
    bool tunnel : 1;                  /* CONNECT: content-length means nothing */
    int32_t send_window, recv_window; /* bytes that may still be sent, that the peer may still send */
    uint32_t held;                    /* given to on_data and not consumed yet */
    uint32_t kept;                    /* of these: given back to the connection's window already */
    uint32_t uncredited;              /* consumed, WINDOW_UPDATE not sent yet */
    int64_t content_left;             /* of content-length; -1 when there is none */
    struct h2_stream *next;           /* in its bucket, or among the recycled */
    struct list all, waiting;         /* in conn->streams; in conn->waiting while blocked by the connection */
};

/* Counts of one interval of the flood guards (h2_guard.c). */
struct h2_guard {
    int64_t reset_start_ns, frame_start_ns; /* of the interval */
    uint32_t resets, completed;             /* streams ended by a reset, and in order */
    uint32_t taken_back;                    /* by us: requests without an answer, less those that ended in order */
    uint32_t cost, credit;                  /* control frames, and what useful frames allow */
    uint64_t out_mark;                      /* conn->out_total when `acks` was begun */
    uint32_t acks, acks_before;             /* bytes of acknowledgements that may still wait in `out` */
};

/* Settings of the peer, RFC 9113 section 6.5.2. */
struct h2_peer_settings {
    uint32_t header_table;
    uint32_t max_streams;
    uint32_t stream_window;
    uint32_t max_frame;
    uint32_t max_header_list;
};

/* A frame as it arrives. */
struct h2_frame {
    uint32_t length; /* of the payload */
    uint32_t stream_id;
    uint8_t type, flags;
};

/* Which of the reader's steps the next byte belongs to. */
enum h2_reading {
    H2_READ_PREFACE, /* the client's 24 bytes */
    H2_READ_HEADER,  /* the 9 bytes in front of each frame */
    H2_READ_PAYLOAD, /* a frame that is handled when complete */
    H2_READ_PAD,     /* DATA: the length of the padding */
    H2_READ_DATA,    /* DATA: bytes passed on as they come */
    H2_READ_SKIP     /* padding, and frames that mean nothing to us */
};

/* For reading: user data and the fields of the first block; the rest is the engine's. */
struct h2_conn {
    void *owner;
    const struct h2_config *config;
    const struct h2_events *events;
    struct chain *out;
    uint8_t role;                  /* enum h2_role */
    uint8_t error;                 /* enum h2_error that ended the connection, once `failed` */
    bool goaway_sent, goaway_seen; /* a last id was told: no new streams from the peer, from us */
    int failed;                    /* 0, or the negative errno that every call returns from now on */
    const char *detail;            /* of the error; static text */
    uint32_t open_streams;         /* open ones, either side's */
    struct h2_peer_settings peer;

    /* Reader */
    uint8_t reading; /* enum h2_reading */
    uint8_t have;    /* bytes of the preface, or in `header` */
    uint8_t header[9];
    bool settings_seen; /* the first frame must be SETTINGS */
    bool in_event;      /* inside h2_input and the like: frees wait */
    struct h2_frame frame;
    uint32_t left;                 /* bytes of the frame (H2_READ_DATA: of its data) still to come */
    uint32_t pad;                  /* bytes of padding behind the data */
    struct h2_stream *data_stream; /* of the DATA frame being read; NULL: nobody's */
    struct buffer partial;         /* a frame that came in pieces */
    struct buffer block;           /* a header block that came in several frames */
    uint32_t block_stream;         /* whose; 0: no CONTINUATION is expected */
    uint8_t block_flags;           /* END_STREAM of its HEADERS frame */
    bool block_self;               /* its HEADERS frame made the stream depend on itself */
    uint8_t continuations;
    int64_t now_ns; /* of the input being read */

    /* Streams */
    struct h2_stream **table; /* by id; NULL while there is none */
    uint32_t table_size;      /* power of two */
    uint32_t next_id;         /* of the next stream that we open */
    uint32_t last_peer_id;    /* highest that the peer opened */
    uint32_t goaway_id;       /* server: streams above are ignored */
    uint32_t peer_streams;    /* open streams that the peer opened */
    struct list streams;      /* all that are not freed, oldest first */
    struct h2_stream *dead;   /* to be freed when the event is over */
    struct list waiting;      /* blocked by the connection's window or by `out` */
    struct h2_stream *recycled;
    uint32_t recycled_count;
    uint32_t *reset_ids;      /* ring of streams that we reset: frames on their way are ignored */
    uint32_t reset_at;        /* next place in the ring */
    uint32_t reset_forgotten; /* highest id that has left the ring */
    uint32_t ended_ids[4];    /* ring of streams that ended: chooses the error code for what comes late */
    uint32_t ended_at;

    /* Flow control */
    int32_t send_window, recv_window;
    uint32_t uncredited;
    uint32_t recv_initial; /* window of a stream that the peer opens now; ours counts when acknowledged */
    bool settings_acked;   /* the peer acknowledged our SETTINGS */
    uint64_t out_total;    /* bytes ever appended to `out` */
    struct h2_guard guard;

    /* HPACK */
    struct hpack_encoder encoder;
    struct hpack_decoder decoder;
};

/* Queues what begins the connection. 0 or -ENOMEM (then nothing is to be released). */
int h2_init(struct h2_conn *conn, enum h2_role role, const struct h2_config *config, const struct h2_events *events,
            void *owner, struct chain *out);
/* The connection is over, for whatever reason: every open stream gets on_reset. Nothing is sent. Allowed twice. */
void h2_close(struct h2_conn *conn);
/* Frees all, streams that were not released included; calls nothing. `out` stays as it is. */
void h2_release(struct h2_conn *conn);
/* Gives back what is kept for speed, for a connection that has been idle for a while. The next request costs a little
 * more. */
void h2_trim(struct h2_conn *conn);

/* Takes all of the bytes; 0, or the negative errno with which the connection failed. `now_ns` never goes back. */
int h2_input(struct h2_conn *conn, struct slice bytes, int64_t now_ns);
/* `out` became shorter: calls on_writable for those who waited for that. */
int h2_out_drained(struct h2_conn *conn);

/* Whether h2_request() would find room below the peer's limit, before GOAWAY, and with stream ids left. */
bool h2_can_open(const struct h2_conn *conn);
/* Client: so many requests were taken back that the peer may soon end the connection. New requests belong on another. */
bool h2_is_spent(const struct h2_conn *conn);
/*
 * Client: opens a stream. 0; -EAGAIN: no stream can be opened now; -EPIPE: never again on this connection; -EMSGSIZE:
 * the head is larger than the peer allows, or than we can send; -ENOMEM. `user` is in the stream before any event.
 */
int h2_request(struct h2_conn *conn, const struct http_head *head, bool end, void *user, struct h2_stream **ret_stream);
/* Server: an interim (status below 200, `end` false) or the final head. 0; -EPIPE: the stream is closed; -EMSGSIZE;
 * -ENOMEM. */
int h2_respond(struct h2_stream *stream, const struct http_head *head, bool end);
/* How many bytes were taken, or -EPIPE, -ENOMEM. `end` counts when all were taken; no bytes and `end` are always taken.
 */
ssize_t h2_data(struct h2_stream *stream, struct slice bytes, bool end);
/* Ends the sending direction with fields. 0; -EPIPE; -EMSGSIZE; -ENOMEM. */
int h2_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count);
/* Ends both directions at once; no event follows. Does nothing on a closed stream. A client that takes back too many
 * requests does not tell the peer of the last ones: they end with the connection. */
void h2_reset(struct h2_stream *stream, uint32_t code);
/* Gives bytes of on_data back to the peer; n is at most what is held. Allowed on a closed stream. */
void h2_consume(struct h2_stream *stream, size_t n);
/*
 * The owner put n bytes of on_data aside, in memory that the stream's window bounds: the connection's window gets them
 * back now, the stream's with h2_consume() as ever. n is at most what is held and was not kept before.
 */
void h2_keep(struct h2_stream *stream, size_t n);
/* The owner needs it no more. An open stream is reset first: NO_ERROR if our side has ended, else CANCEL. */
void h2_stream_release(struct h2_stream *stream);

/* Both directions have ended, or one of the sides reset it. */
static inline bool h2_closed(const struct h2_stream *stream)
{
    return !stream->open;
}
/* Why h2_data() took less than it was given; how long is for the owner to measure. */
static inline enum h2_blocked h2_blocked(const struct h2_stream *stream)
{
    return (enum h2_blocked)stream->blocked;
}
/* Bytes that h2_data() would take now. */
size_t h2_sendable(const struct h2_stream *stream);

int h2_ping(struct h2_conn *conn, uint64_t payload);
/*
 * Ending in order takes two steps (RFC 9113 section 6.8): tell that the end is near (last id 2^31-1), and when the peer
 * must have heard of it (a ping's round trip) tell the last id served. Later streams are then ignored. Client: no new
 * requests.
 */
int h2_goaway_notice(struct h2_conn *conn);
int h2_goaway(struct h2_conn *conn, enum h2_error code);
