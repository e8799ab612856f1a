/*
 * What the files of the HTTP/2 engine know of each other. Not for others: codec/h2/h2.h is
 * the interface.
 *
 *     h2_reader     bytes to frames, DATA passed through, the rest whole
 *     h2_control    SETTINGS, PING, GOAWAY, RST_STREAM, PRIORITY
 *     h2_flow       windows, both directions, and who waits for them
 *     h2_stream     the table of streams and their ends
 *     h2_headers    header blocks: which stream, which of its heads
 *     h2_head_in    fields to struct http_head, with all of section 8's checks
 *     h2_head_out   struct http_head to fields, and h2_request/respond/trailers
 *     h2_writer     frames into conn->out
 *     h2_guard      floods
 *     h2_conn       life and death of the connection
 *
 * Functions that return int give 0, or conn->failed after the connection failed:
 * the caller just returns it. A stream error is not a failure of the connection.
 */
#pragma once

#include "codec/h2/h2.h"
#include "codec/h2/h2_frame.h"

/* --- h2_conn --- */
uint32_t h2_or(uint32_t configured, uint32_t otherwise);
/* The connection has failed: GOAWAY, and -EPROTO. `detail` is static text. */
int h2_fail(struct h2_conn *conn, enum h2_error code, const char *detail);
/* The same for want of memory; -ENOMEM. */
int h2_fail_memory(struct h2_conn *conn);

/* --- h2_writer --- */
/* `least` contiguous bytes in `out`, or NULL after h2_fail_memory(). */
char *h2_room(struct h2_conn *conn, size_t least, size_t *ret_len);
void h2_grew(struct h2_conn *conn, size_t written);
/* A frame of at most 64 bytes of payload. */
int h2_put(struct h2_conn *conn, enum h2_frame_type type, uint8_t flags, uint32_t id, struct slice payload);
/* A frame that the peer made us send: bounded while the peer does not read. */
int h2_put_reply(struct h2_conn *conn, enum h2_frame_type type, uint8_t flags, uint32_t id, struct slice payload);
int h2_put_rst(struct h2_conn *conn, uint32_t id, uint32_t code);
int h2_put_window(struct h2_conn *conn, uint32_t id, uint32_t more);
/* HEADERS, and CONTINUATION as needed. -EMSGSIZE: nothing was sent, nothing is harmed. */
int h2_put_headers(struct h2_conn *conn, uint32_t id, bool end, const struct hpack_field *fields, size_t count);

/* --- h2_guard --- */
void h2_guard_completed(struct h2_conn *conn);          /* a stream of the peer ended in order */
int h2_guard_reset(struct h2_conn *conn);               /* the peer made a stream end early */
bool h2_guard_may_take_back(struct h2_conn *conn);      /* our request, which has no answer yet: may we send a reset? */
int h2_guard_frame(struct h2_conn *conn);               /* a frame that only costs */
void h2_guard_credit(struct h2_conn *conn, unsigned n); /* a useful frame */
int h2_guard_reply(struct h2_conn *conn, size_t len);   /* about to queue an acknowledgement */

/* --- h2_stream --- */
struct h2_stream *h2_stream_find(const struct h2_conn *conn, uint32_t id);
/* An open stream, in the table and counted; NULL without memory. */
struct h2_stream *h2_stream_open(struct h2_conn *conn, uint32_t id);
/* A direction has ended in order. Closes the stream if it was the last. */
void h2_stream_end_recv(struct h2_stream *stream);
void h2_stream_end_send(struct h2_stream *stream);
/* Both directions are over: out of the table; freed when the owner does not know it. */
void h2_stream_close(struct h2_stream *stream);
/* RST_STREAM and on_reset: bad input. Counted by the guard. */
int h2_stream_fail(struct h2_stream *stream, enum h2_error code, const char *detail);
/* RST_STREAM and on_reset: a limit of ours, not the peer's fault. */
int h2_stream_abandon(struct h2_stream *stream, enum h2_error code, const char *detail);
/* Takes it out of the table and tells the owner. */
void h2_stream_lost(struct h2_stream *stream, struct h2_reset_info why);
/* RST_STREAM for a stream that was never opened, remembered. */
int h2_refuse(struct h2_conn *conn, uint32_t id, enum h2_error code);
bool h2_is_idle(const struct h2_conn *conn, uint32_t id);
/* Whether frames on this closed stream may still be on their way in good faith. */
bool h2_was_reset(const struct h2_conn *conn, uint32_t id);
bool h2_was_ended(const struct h2_conn *conn, uint32_t id);
void h2_forget_resets(struct h2_conn *conn);
/* Around everything that calls events. */
void h2_enter(struct h2_conn *conn);
void h2_leave(struct h2_conn *conn);

/* --- h2_flow --- */
/* DATA of this length arrives; `stream` NULL: on none. False: beyond the stream's window. */
int h2_flow_charge(struct h2_conn *conn, struct h2_stream *stream, uint32_t length, bool *ret_fits);
/* Bytes that nobody holds go back to the connection's window, and to the stream's unless NULL. */
int h2_flow_credit(struct h2_conn *conn, struct h2_stream *stream, uint32_t n);
int h2_flow_window_update(struct h2_conn *conn, struct slice payload);
/* SETTINGS_INITIAL_WINDOW_SIZE of the peer changed. */
int h2_flow_peer_initial(struct h2_conn *conn, uint32_t window);
/* Our own SETTINGS count from now on. */
void h2_flow_local_initial(struct h2_conn *conn, uint32_t window);
/* Calls on_writable for those in conn->waiting who could send. */
void h2_flow_wake(struct h2_conn *conn);

/* --- h2_control --- */
int h2_put_settings(struct h2_conn *conn);
int h2_read_settings(struct h2_conn *conn, struct slice payload);
int h2_read_ping(struct h2_conn *conn, struct slice payload);
int h2_read_goaway(struct h2_conn *conn, struct slice payload);
int h2_read_rst(struct h2_conn *conn, struct slice payload);
int h2_read_priority(struct h2_conn *conn, struct slice payload);

/* --- h2_headers --- */
int h2_read_headers(struct h2_conn *conn, struct slice payload);
int h2_read_continuation(struct h2_conn *conn, struct slice payload);
/* DATA or HEADERS for a stream that is not open. 0: it is to be ignored. */
int h2_read_late(struct h2_conn *conn, uint32_t id);


/* --- h2_head_in --- */
enum h2_head_kind { H2_HEAD_REQUEST, H2_HEAD_RESPONSE, H2_HEAD_TRAILERS, H2_HEAD_SKIP };
struct h2_head_result {
    struct http_head *head; /* NULL unless all is well; trailers are its fields */
    int64_t content_length; /* -1: none */
    const char *malformed;  /* what is wrong */
    unsigned too_large;     /* 431 or 414 */
};
/* Reads the whole block whatever is in it. Negative when the connection has failed. All NULL and 0: no memory. */
int h2_head_read(struct h2_conn *conn, struct slice block, enum h2_head_kind kind, struct arena *arena,
                 struct h2_head_result *ret_result);

/* --- h2_head_out --- */
/* The whole answer of a server that does not want to read the head. */
int h2_put_refusal(struct h2_conn *conn, uint32_t id, unsigned status);
