#include "proxy/detect.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "codec/detect.h"

int peek_more(struct conn *conn, size_t max)
{
    bool any = false;

    while (conn->peeked.len < max) {
        size_t room;
        char *to = chain_room(&conn->peeked, 1, &room);
        ssize_t n;

        if (!to)
            return -ENOMEM;
        n = io_read(&conn->io, to, room < max - conn->peeked.len ? room : max - conn->peeked.len);
        chain_grew(&conn->peeked, n > 0 ? (size_t)n : 0);
        if (n == 0)
            return any ? 1 : -ENODATA;
        if (n < 0)
            return n == -EAGAIN ? any : (int)n;
        any = true;
        if (!io_pending(&conn->io))
            return 1;
    }
    return any ? 1 : -ENOBUFS;
}

struct slice peeked(struct conn *conn)
{
    struct chain whole;
    size_t room;
    char *to;

    if (chain_front(&conn->peeked).len == conn->peeked.len)
        return chain_front(&conn->peeked);
    if (conn->peeked.len > LIMIT_BUFFER_PAGE)
        return chain_front(&conn->peeked);
    chain_init(&whole, conn->peeked.pool);
    to = chain_room(&whole, conn->peeked.len, &room);
    if (!to)
        return SLICE_NULL;
    chain_grew(&whole, chain_copy(&conn->peeked, to, room));
    chain_clear(&conn->peeked);
    conn->peeked = whole;
    return chain_front(&conn->peeked);
}

int unpeek(struct conn *conn)
{
    return io_push_prefix(&conn->io, &conn->peeked);
}

void keep_server_name(struct conn *conn, struct slice name)
{
    char *copy = slice_dup(name);

    free((char *)(uintptr_t)conn->sni.ptr);
    conn->sni = copy ? slice_of(copy, name.len) : SLICE_NULL;
}

int tell_session(struct conn *conn, enum session *ret_session)
{
    size_t seen = conn->detect_seen;
    enum detected is = detect_http(peeked(conn), &seen);

    conn->detect_seen = (uint32_t)seen; /* at most LIMIT_HTTP_START_LINE */
    switch (is) {
    case DETECT_MORE:
        return 0;
    case DETECT_HTTP1:
        *ret_session = SESSION_HTTP1;
        return 1;
    case DETECT_HTTP2:
        *ret_session = SESSION_HTTP2;
        return 1;
    case DETECT_OPAQUE:
        *ret_session = SESSION_OPAQUE;
        return 1;
    }
    assert(false);
    return 0;
}
