/*
 * Which forward proxy leads to a server: a kubeconfig's proxy-url, or what the environment says, read as Go's programs (kubectl)
 * read it: HTTPS_PROXY for https, HTTP_PROXY for http, unless NO_PROXY names the host. Pure, but for proxy_variables_read().
 */
#pragma once

#include "base/arena.h"
#include "net/tunnel.h"

/*
 * "http://proxy:3128", "https://...", "socks5://user:password@10.0.0.1:1080" (and socks5h: names are the proxy's to resolve in any case); without a
 * scheme http. User and password may be %-escaped. Copies into the arena. -EINVAL with a reason that shows no password, or -ENOMEM.
 */
int proxy_url_parse(struct arena *arena, struct slice url, struct tunnel_proxy *ret_proxy, struct errmsg *msg);

struct proxy_variables {
    struct slice https, http, no; /* HTTPS_PROXY, HTTP_PROXY, NO_PROXY; empty: not set */
};

/* Of this process; the names in capitals count first, then those in small letters. */
struct proxy_variables proxy_variables_read(void);
/*
 * The URL of the proxy to this server, empty for none. The machine itself (localhost and loopback addresses) never has one. NO_PROXY is a list
 * with commas: "*"; addresses and networks; names, which stand for the names below them too (".example.com" and "*.example.com": only for
 * those); each may end in a port.
 */
struct slice proxy_variables_choose(const struct proxy_variables *variables, bool tls, struct slice host, uint16_t port);
