/*
 * A small HTTP/1 server for pages of a program's own: admin ports of the proxy
 * and the controller. A page is answered at once, whole, from a buffer; request
 * bodies are collected up to LIMIT_ADMIN_BODY, and connections are few
 * (LIMIT_ADMIN_CONNECTIONS). Over net/http/http_listener.h, on the loop of whoever starts it.
 */
#pragma once

#include "base/buffer.h"
#include "net/http/http_stream.h"

struct http_admin;
struct tls_context;

struct admin_request {
    struct slice method, path, query, body;
    struct addr peer;
    const struct http_head *head;
};

struct admin_response {
    unsigned status;          /* 200 unless the page changes it */
    struct slice content_type; /* "text/plain" unless the page changes it; static memory */
    struct slice allow;       /* for 405: the methods; static memory */
    bool gzip;                /* compress when the client accepts it */
    struct buffer body;
};

struct admin_page {
    struct slice path; /* exactly; or up to its end, where it ends with '*' */
    void (*serve)(void *owner, const struct admin_request *request, struct admin_response *response);
};

/* Listens; `pages` ends with one without a path and lives as long as the server. 0 or a negative errno. */
int http_admin_new(struct loop *loop, struct addr addr, const struct admin_page *pages, void *owner,
                   struct http_admin **ret_admin);
/*
 * On a descriptor that listens already. `tls` gives what clients that begin with TLS are served with (net/http/http_listener.h): of the mesh;
 * NULL, the function or its answer: they are refused.
 */
int http_admin_on(struct loop *loop, int fd, const struct admin_page *pages, struct tls_context *(*tls)(void *owner), void *owner,
                  struct http_admin **ret_admin);
/* Ends all connections. Not from inside a page. NULL is allowed. */
void http_admin_free(struct http_admin *admin);
