/*
 * What a client speaks, from its first bytes: HTTP/2, HTTP/1, or something else
 * that is carried as it is. TLS is recognised before, by client_hello.h.
 *
 * It is HTTP/2 if the connection begins with the preface of RFC 9113 section
 * 3.4. It is HTTP/1 if it begins with a token and a blank and, later on that line
 * (up to LIMIT_HTTP_START_LINE), a blank and "HTTP/"; or with a registered method,
 * blanks and "/", "*", "http" or a scheme with "://"; or with a token, or a token and such a target, of
 * that whole limit. A blank is SP,
 * HTAB, VT or FF, behind a registered method whatever any server takes for one; and
 * blanks and empty lines in front are passed over: what a lenient server behind us
 * would take for a request must not travel around the policy as opaque bytes. A
 * control byte on the line says that it is no text, so that a binary protocol whose
 * first bytes look like a token is not held up.
 * Whether the request is well-formed is not asked here: HTTP that is malformed is
 * answered 400.
 */
#pragma once

#include <stddef.h>

#include "base/slice.h"

enum detected {
    DETECT_MORE,   /* cannot be said yet */
    DETECT_HTTP1,  /* or an attempt at it */
    DETECT_HTTP2,  /* the whole preface is there */
    DETECT_OPAQUE, /* anything else */
};

/*
 * `bytes` are all so far, from the connection's first. *seen is 0 at the first call and remembers what need not be
 * looked at again. Any amount of bytes is fine; never more than LIMIT_HTTP_START_LINE are needed.
 */
enum detected detect_http(struct slice bytes, size_t *seen);
/*
 * The same of a server that spoke before its client: HTTP/2 if it begins with a SETTINGS frame, which an HTTP/2 server may send
 * at once (RFC 9113 section 3.4), and never HTTP/1.
 */
enum detected detect_server(struct slice bytes);
