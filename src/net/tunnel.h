/*
 * The way through a forward proxy: HTTP's CONNECT (RFC 9110 section 9.3.6), or SOCKS 5 (RFC 1928, with user and password
 * of RFC 1929).
 *
 *     the caller connects the stack to the proxy, and pushes TLS where the proxy itself is reached by https
 *     tunnel_new(&proxy, host, port, &tunnel)
 *     r = tunnel_run(tunnel, &stack, &msg)      at once and at every on_ready, until it is not -EAGAIN
 *     tunnel_free(tunnel)
 *
 * From then on the stack is a connection to the host, as if there were no proxy: no filter stays behind. Names are the
 * proxy's to resolve. The other side must not speak before it is spoken to (a TLS client's server does not): bytes behind the proxy's
 * answer are refused. The caller bounds it in time.
 */
#pragma once

#include "base/errmsg.h"
#include "net/io.h"

enum tunnel_kind { TUNNEL_NONE, TUNNEL_HTTP, TUNNEL_SOCKS5 };

struct tunnel_proxy {
    enum tunnel_kind kind;
    bool tls; /* of TUNNEL_HTTP: the proxy is reached by https */
    struct slice host; /* a name, or an address without brackets */
    uint16_t port;
    struct slice user, password; /* both empty: none */
};

struct tunnel;

/* Copies nothing of the proxy: its texts live until tunnel_free(), as `host` does. -EINVAL for what SOCKS cannot carry, or -ENOMEM. */
int tunnel_new(const struct tunnel_proxy *proxy, struct slice host, uint16_t port, struct tunnel **ret_tunnel);
/* Whatever was read of credentials goes with it. NULL is allowed. */
void tunnel_free(struct tunnel *tunnel);
/*
 * 0: the way is open; -EAGAIN; -EACCES: the proxy refuses us (407, or SOCKS' "not allowed"); -EHOSTUNREACH: it did not reach the host;
 * -EPROTO: it speaks something else; or what broke the connection. `msg` is without the proxy's address.
 */
int tunnel_run(struct tunnel *tunnel, struct io_stack *stack, struct errmsg *msg);
