/*
 * HTTP/1.0 and HTTP/1.1 (RFC 9112) as an engine: bytes to heads, body framing
 * and back. It owns no socket and takes no memory; heads point into the bytes
 * that were parsed.
 *
 *     struct http1_scan scan = {0};                        one per connection and direction
 *     n = http1_parse_request(bytes, &scan, &head, &framing);
 *         n > 0   the head took n bytes; the body follows as `framing` says
 *         n == 0  incomplete: call again with the same bytes and more behind them
 *         n < 0   refused: answer with status -n, log scan.refusal, close
 *
 * Before the call the caller gives head.fields and head.room. Slices stay valid
 * as long as the bytes do not move (between calls that return 0 they may). What
 * was looked at once is not looked at again until the head is complete, so that
 * a slow sender costs one pass. The scan is ready for the next head after n > 0.
 *
 * The parser is strict, because whatever two parsers read differently can smuggle
 * a request past the one that checks. Refused: bare CR, bare LF, NUL and control
 * bytes anywhere; folded lines; whitespace before a colon, around the start line
 * or more than once in it; empty names; Content-Length that is repeated (even
 * equal), a list, signed or too large; Content-Length together with
 * Transfer-Encoding; Transfer-Encoding in HTTP/1.0 or other than exactly
 * `chunked`; two Hosts or one that is no host; userinfo or fragment in a target,
 * target forms that do not belong to the method. One empty line before a request is
 * passed over (RFC 9112 section 2.2).
 *
 * Statuses: 400; 414 start line too long; 431 head too large or too many fields;
 * 501 a transfer coding that exists but is not ours (gzip ...); 505 a version
 * that is not 1.0 or 1.1. A response is refused with 502, whatever is wrong.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/chain.h"
#include "base/slice.h"
#include "codec/http.h"

/* All zero: at the beginning of a head. */
struct http1_scan {
    size_t seen;         /* bytes of an incomplete head that were looked at */
    size_t start_line;   /* length of the start line with its CRLF, 0: not complete yet */
    const char *refusal; /* static text, after a negative result */
};

/* How the body's end is found (RFC 9112 section 6.3). */
enum http1_body {
    HTTP1_BODY_NONE,        /* in a response: HEAD, 1xx, 204 and 304 only; what else has no body has LENGTH 0 */
    HTTP1_BODY_LENGTH,      /* http1_framing.length bytes, may be 0 */
    HTTP1_BODY_CHUNKED,     /* see struct http1_chunked */
    HTTP1_BODY_UNTIL_CLOSE, /* responses only */
    HTTP1_BODY_TUNNEL,      /* response: raw bytes both ways from here (101, 2xx to CONNECT). Request: CONNECT, what
                               follows waits for the response, which makes it a tunnel or the next request */
};

struct http1_framing {
    uint8_t body;         /* enum http1_body */
    bool keep_alive;      /* another message may follow this one on the connection */
    bool close;           /* Connection: close was there */
    bool upgrade;         /* request: asks for an upgrade that may be passed on: HTTP/1.1, Connection: upgrade and an
                             Upgrade that does not offer h2c, which we decline. Response: 101, or 426 with its Upgrade */
    bool expect_continue; /* request: HTTP/1.1 with Expect: 100-continue */
    bool te_trailers;     /* request: TE has `trailers` */
    bool no_host;         /* request: neither Host nor an authority in the target, or empty. HTTP/1.1 forbids it
                             (400), but whoever forwards to a known place may go on */
    bool interim;         /* response: 1xx other than 101; another head follows */
    uint64_t length;      /* of HTTP1_BODY_LENGTH */
    struct slice reason;  /* response: the phrase as received, may be empty */
};

/*
 * With an absolute-form target, or CONNECT, a Host field takes the value of the target's authority (RFC 9112 section
 * 3.2.2), so that nobody behind us sees two. head.path is "/" where the target has none ("*" for OPTIONS).
 */
ssize_t http1_parse_request(struct slice bytes, struct http1_scan *scan, struct http_head *head,
                            struct http1_framing *ret_framing);

/* What of the request decides how its response is framed. */
enum {
    HTTP1_ASKED_HEAD = 1,
    HTTP1_ASKED_CONNECT = 2,
    HTTP1_ASKED_UPGRADE = 4 /* without it a 101 is refused */
};

/*
 * The same for a response to a request with these HTTP1_ASKED_* flags. Content-Length is taken out of 1xx and 204
 * responses, and of 2xx to CONNECT. Counting interim responses (LIMIT_HTTP_INTERIM) is the caller's.
 */
ssize_t http1_parse_response(struct slice bytes, unsigned asked, struct http1_scan *scan, struct http_head *head,
                             struct http1_framing *ret_framing);

/*
 * Takes out what belongs to one connection (RFC 9110 section 7.6.1): hop-by-hop fields and those that Connection
 * nominates. Nominating a field that is never one hop's (Host, Content-Length, Cookie, Authorization, l5d-* ...) does
 * nothing. Of TE only `trailers` remains, which HTTP/2 allows too; Upgrade remains if `keep_upgrade`. What Connection
 * and Transfer-Encoding said is in the framing.
 */
void http1_strip_hop(struct http_head *head, bool keep_upgrade);

/* --- chunked bodies, RFC 9112 section 7.1 --- */

enum http1_chunked_state {
    HTTP1_CHUNKED_SIZE,      /* at the first digit of a chunk's size */
    HTTP1_CHUNKED_DIGITS,    /* behind a digit */
    HTTP1_CHUNKED_EXTENSION, /* behind ; */
    HTTP1_CHUNKED_SIZE_LF,   /* behind the CR of the line */
    HTTP1_CHUNKED_DATA,      /* `left` bytes to come */
    HTTP1_CHUNKED_DATA_CR,   /* behind the data */
    HTTP1_CHUNKED_DATA_LF,
    HTTP1_CHUNKED_TRAILERS, /* behind the last chunk: go on with http1_parse_trailers() */
    HTTP1_CHUNKED_FAILED
};

/* All zero: at the beginning of a body. */
struct http1_chunked {
    uint8_t state;       /* enum http1_chunked_state */
    uint16_t line;       /* bytes of the size line so far */
    uint64_t left;       /* the size while it is read, then what is missing of the chunk */
    const char *refusal; /* static text, in HTTP1_CHUNKED_FAILED */
};

/*
 * Takes bytes off the front of `in`: the framing there, then one run of data, of which *ret_data is a slice of `in`
 * (empty if none). Returns how many bytes it took with both, or -400. Call until all is taken or the state is TRAILERS.
 */
ssize_t http1_chunked_feed(struct http1_chunked *chunked, struct slice in, struct slice *ret_data);

/*
 * The trailer section to its empty line, results as for a head (-400, -431); the fields go into `trailers`, whose
 * fields and room the caller gives. Fields that frame, route or authenticate have no business there and are left out.
 */
ssize_t http1_parse_trailers(struct slice bytes, struct http1_scan *scan, struct http_head *trailers);

/* --- writing --- */

/*
 * A head into the chain. Field names and their order are kept; what belongs to the connection is written from the
 * framing instead of the fields: body and length, close, keep_alive (for HTTP/1.0), upgrade (with the head's Upgrade
 * field), te_trailers, expect stays a field. Host has the head's authority. The version on the wire is HTTP/1.1 unless
 * head->version is HTTP_1_0. With HTTP1_BODY_NONE a response keeps its own Content-Length (HEAD, 304), a request that
 * has one says 0. Returns 0, -ENOMEM, or -EINVAL when a name, value, target or method could not be read back as it is;
 * then nothing was written.
 */
int http1_write_request(struct chain *out, const struct http_head *head, const struct http1_framing *framing);
/* framing->reason is the phrase if it is not empty. */
int http1_write_response(struct chain *out, const struct http_head *head, const struct http1_framing *framing);
/* One chunk with its size line and CRLF; nothing for no data. 0 or -ENOMEM, then nothing was written. */
int http1_write_chunk(struct chain *out, struct slice data);
/* The last chunk and the trailers, without those that http1_parse_trailers() would leave out. 0, -ENOMEM or -EINVAL. */
int http1_write_last_chunk(struct chain *out, const struct http_field *trailers, unsigned count);
/* "OK", "Not Found"; for an unknown status the phrase of its class, "" out of range. RFC 9110 section 15. */
struct slice http1_reason(unsigned status);
