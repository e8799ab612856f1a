/*
 * The header with which one proxy tells another, inside mTLS, where a
 * connection is meant to go. The client announces it by ALPN
 * (TRANSPORT_HEADER_ALPN) and sends it before the first byte of the connection:
 *
 *     "transport.l5d.io/v1\r\n\r\n" | length, 4 bytes, big endian | message
 *
 *     message Header {                    protobuf, package transport.l5d.io
 *         int32 port = 1;                 1 to 65535
 *         string name = 2;                of a gateway's target; empty: this host
 *         SessionProtocol session_protocol = 3;   oneof { Http1 http1 = 1; Http2 http2 = 2; }, both empty
 *     }
 *
 * Unknown fields are passed over, so that later versions may add some.
 */
#pragma once

#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

#define TRANSPORT_HEADER_ALPN SLICE_LIT("transport.l5d.io/v1")

enum transport_session {
    TRANSPORT_OPAQUE, /* not said: bytes as they are */
    TRANSPORT_HTTP1,
    TRANSPORT_HTTP2,
};

struct transport_header {
    uint16_t port;
    uint8_t session;   /* enum transport_session */
    struct slice name; /* a DNS name or an address, at most 255 bytes, or empty */
};

enum { TRANSPORT_HEADER_MAX = 320 }; /* bytes that encoding takes at most */

/* How many bytes were written, or -EINVAL for port 0 or a name that could not be decoded. */
int transport_header_encode(const struct transport_header *header, char out[TRANSPORT_HEADER_MAX]);

/*
 * Reads the header at the front of `bytes`: how many bytes it takes (the connection's own follow), 0 when more are
 * needed, or
 *     -ENOMSG    the bytes do not begin with the preface (said with the first byte that differs)
 *     -EMSGSIZE  longer than LIMIT_TRANSPORT_HEADER
 *     -EBADMSG   not the message described above
 * The name is a slice of `bytes`.
 */
ssize_t transport_header_decode(struct slice bytes, struct transport_header *ret_header);
