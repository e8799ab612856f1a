/*
 * The proxy's admin port: /metrics, /ready, /live, /proxy-log-level, /shutdown,
 * /env.json, /connections, /trust-bundle. In the control thread. Over plaintext, or over mutual TLS as the proxy itself: whoever wants to
 * see the certificate in use (`linkerd identity`) asks here.
 */
#pragma once

#include "event/loop.h"
#include "proxy/proxy.h"

struct admin;
struct tls_context;

/* What the pages need to know and may ask for; in the control thread. */
struct admin_host {
    bool (*ready)(void *owner, struct buffer *why); /* false: `why` says what is missing */
    void (*shut_down)(void *owner);
    struct tls_context *(*tls)(void *owner);        /* of the newest certificate; NULL before the first */
};

/* The host is static memory. 0 or a negative errno (the address is taken). */
int admin_new(struct proxy *proxy, struct loop *loop, int listening_fd, const struct admin_host *host, void *owner, struct admin **ret_admin);
void admin_free(struct admin *admin); /* NULL is allowed */
