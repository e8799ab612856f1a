/*
 * The first message of a TLS client, read without being a TLS server: which
 * server it asks for (SNI, RFC 6066 section 3) and whether it offers the
 * protocol of the transport header (ALPN, RFC 7301). The message may lie in
 * several records (RFC 8446 section 5.1), and the records in any pieces.
 *
 * Nothing is consumed: whoever terminates or forwards the TLS session sees the
 * same bytes again. Nothing is authenticated either: the name says where to
 * look, never who is asking.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/slice.h"

enum client_hello_result {
    CLIENT_HELLO_MORE, /* looks like one so far; never beyond LIMIT_CLIENT_HELLO bytes */
    CLIENT_HELLO_FOUND,
    CLIENT_HELLO_NOT_TLS,   /* said with the first byte that differs, at most the sixth */
    CLIENT_HELLO_MALFORMED, /* began as one, but broken or larger than LIMIT_CLIENT_HELLO */
};

struct client_hello {
    uint8_t server_name_len; /* 0: no SNI */
    char server_name[255];   /* as sent: visible ASCII, any case; an IPv4 or IPv6 address is possible too */
    bool offers_transport;   /* ALPN has transport.l5d.io/v1 */
    bool offers_h2;          /* ALPN has h2 */
};

/* `bytes` are all so far, from the connection's first. *ret_hello is set when FOUND. */
enum client_hello_result client_hello_parse(struct slice bytes, struct client_hello *ret_hello);

static inline struct slice client_hello_server_name(const struct client_hello *hello)
{
    return slice_of(hello->server_name, hello->server_name_len);
}
