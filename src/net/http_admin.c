#include "net/http_admin.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/duration.h"
#include "event/acceptor.h"
#include "net/http1_conn.h"

struct http_admin {
    struct loop *loop;
    struct acceptor acceptor;
    const struct admin_page *pages;
    void *owner;
    struct list conns;
    unsigned count;
};

struct admin_conn {
    struct list link;
    struct http_admin *admin;
    struct io_stack io;
    struct addr peer;
    struct http_server *http;
    struct task disposal;
    /* the request that is being served */
    struct http_stream *stream;
    struct arena arena;
    struct http_head head;
    struct buffer body;
    struct buffer out; /* what of the answer was not taken yet */
    size_t sent;
};

static void answer(struct admin_conn *conn);

/* --- sending --- */

static void push(struct admin_conn *conn)
{
    while (conn->stream) {
        struct slice rest = slice_skip(buffer_slice(&conn->out), conn->sent);
        ssize_t n = conn->stream->ops->send_data(conn->stream, rest, true);

        if (n < 0)
            n = (ssize_t)rest.len;
        conn->sent += (size_t)n;
        if (conn->sent < conn->out.len) {
            if (n == 0)
                return;
            continue;
        }
        conn->stream->ops->release(conn->stream);
        conn->stream = NULL;
        buffer_release(&conn->out);
        buffer_release(&conn->body);
    }
}

static int compress_body(struct buffer *body)
{
    z_stream z = {0};
    struct buffer packed;
    size_t most;
    char *room;

    if (deflateInit2(&z, Z_BEST_SPEED, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
        return -ENOMEM;
    most = deflateBound(&z, body->len);
    buffer_init(&packed, most);
    room = buffer_room(&packed, most);
    if (!room) {
        deflateEnd(&z);
        return -ENOMEM;
    }
    z.next_in = (unsigned char *)body->data;
    z.avail_in = (unsigned)body->len;
    z.next_out = (unsigned char *)room;
    z.avail_out = (unsigned)most;
    if (deflate(&z, Z_FINISH) != Z_STREAM_END) {
        deflateEnd(&z);
        buffer_release(&packed);
        return -EIO;
    }
    buffer_grew(&packed, z.total_out);
    deflateEnd(&z);
    buffer_release(body);
    *body = packed;
    return 0;
}

static bool accepts_gzip(const struct http_head *head)
{
    const struct http_field *field = http_find_name(head, SLICE_LIT("accept-encoding"));

    return field && slice_find_slice(field->value, SLICE_LIT("gzip")) < field->value.len;
}

static void send(struct admin_conn *conn, struct admin_response *response)
{
    struct http_field fields[5];
    struct http_head head = {.version = HTTP_1_1, .status = (uint16_t)response->status, .fields = fields, .room = 5};
    char length[24];
    bool packed = response->gzip && response->body.len > 1024 && accepts_gzip(&conn->head) &&
                  compress_body(&response->body) == 0;
    bool no_body = slice_eq(conn->head.method, SLICE_LIT("HEAD"));
    int n = snprintf(length, sizeof(length), "%zu", response->body.len);

    (void)http_append(&head, HTTP_TOKEN_CONTENT_TYPE, SLICE_LIT("content-type"), response->content_type);
    (void)http_append(&head, HTTP_TOKEN_CONTENT_LENGTH, SLICE_LIT("content-length"), slice_of(length, (size_t)n));
    (void)http_append(&head, HTTP_TOKEN_OTHER, SLICE_LIT("cache-control"), SLICE_LIT("no-store"));
    if (packed)
        (void)http_append(&head, HTTP_TOKEN_OTHER, SLICE_LIT("content-encoding"), SLICE_LIT("gzip"));
    if (response->allow.len)
        (void)http_append(&head, HTTP_TOKEN_OTHER, SLICE_LIT("allow"), response->allow);
    conn->out = response->body;
    conn->sent = 0;
    if (no_body)
        buffer_clear(&conn->out);
    if (conn->stream->ops->send_head(conn->stream, &head, conn->out.len == 0) < 0 || conn->out.len == 0) {
        conn->stream->ops->release(conn->stream);
        conn->stream = NULL;
        buffer_release(&conn->out);
        buffer_release(&conn->body);
        return;
    }
    push(conn);
}

static bool page_matches(const struct admin_page *page, struct slice path)
{
    struct slice own = page->path;

    if (own.len && own.ptr[own.len - 1] == '*')
        return slice_starts(path, slice_take(own, own.len - 1));
    return slice_eq(own, path);
}

static void answer(struct admin_conn *conn)
{
    size_t mark = slice_find(conn->head.path, '?');
    struct admin_request request = {
        .method = conn->head.method,
        .path = slice_take(conn->head.path, mark),
        .query = slice_skip(conn->head.path, mark + 1),
        .body = buffer_slice(&conn->body),
        .peer = conn->peer,
        .head = &conn->head,
    };
    struct admin_response response = {.status = 200, .content_type = SLICE_LIT("text/plain; charset=utf-8")};
    const struct admin_page *page = conn->admin->pages;

    buffer_init(&response.body, LIMIT_ADMIN_ANSWER);
    while (page->path.ptr && !page_matches(page, request.path))
        page++;
    if (buffer_error(&conn->body)) {
        response.status = 413;
    } else if (page->path.ptr) {
        page->serve(conn->admin->owner, &request, &response);
    } else {
        response.status = 404;
        buffer_add_lit(&response.body, "not found; pages:\n");
        for (page = conn->admin->pages; page->path.ptr; page++)
            buffer_printf(&response.body, "%.*s\n", SLICE_ARGS(page->path));
    }
    if (buffer_error(&response.body)) {
        buffer_release(&response.body);
        response.status = 500;
    }
    send(conn, &response);
}

/* --- receiving --- */

static void on_head(struct http_stream *stream, struct http_head *head, bool end)
{
    struct admin_conn *conn = stream->owner;

    conn->head = *head;
    if (end)
        answer(conn);
}

static size_t on_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct admin_conn *conn = stream->owner;

    (void)buffer_add(&conn->body, bytes);
    if (end && conn->stream)
        answer(conn);
    return bytes.len;
}

static void on_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    answer(stream->owner);
}

static void on_writable(struct http_stream *stream)
{
    push(stream->owner);
}

static void on_reset(struct http_stream *stream, struct http_reset reset)
{
    struct admin_conn *conn = stream->owner;

    conn->stream->ops->release(conn->stream);
    conn->stream = NULL;
    buffer_release(&conn->out);
    buffer_release(&conn->body);
}

static const struct http_stream_events stream_events = {
    .on_head = on_head,
    .on_data = on_data,
    .on_trailers = on_trailers,
    .on_writable = on_writable,
    .on_reset = on_reset,
};

static struct arena *on_stream(struct http_server *server, struct http_stream *stream)
{
    struct admin_conn *conn = server->owner;

    arena_reset(&conn->arena);
    buffer_release(&conn->body);
    conn->stream = stream;
    stream->events = &stream_events;
    stream->owner = conn;
    return &conn->arena;
}

static void on_refused(struct http_server *server, int status, const char *detail)
{
}

static void on_closed(struct http_server *server, struct http_reset reset)
{
    struct admin_conn *conn = server->owner;

    dispose_wake(conn->admin->loop, &conn->disposal);
}

static const struct http_server_events server_events = {
    .on_stream = on_stream,
    .on_refused = on_refused,
    .on_closed = on_closed,
};

static void free_conn(struct admin_conn *conn)
{
    if (conn->http)
        http1_server_free(conn->http);
    io_close(&conn->io, false);
    arena_release(&conn->arena);
    buffer_release(&conn->body);
    buffer_release(&conn->out);
    task_cancel(&conn->disposal);
    list_remove(&conn->link);
    conn->admin->count--;
    free(conn);
}

static void dispose(struct task *task)
{
    free_conn(CONTAINER_OF(task, struct admin_conn, disposal));
}

static void ready(struct io_stack *stack)
{
    http1_server_ready(((struct admin_conn *)stack->owner)->http);
}

static void accept_one(struct acceptor *acceptor, int fd, struct addr peer)
{
    struct http_admin *admin = CONTAINER_OF(acceptor, struct http_admin, acceptor);
    static const struct http_server_limits limits = {.head_timeout_ns = 10 * NS_PER_S, .idle_timeout_ns = 60 * NS_PER_S};
    struct admin_conn *conn = admin->count < LIMIT_ADMIN_CONNECTIONS ? calloc(1, sizeof(*conn)) : NULL;

    if (!conn)
        goto refuse;
    conn->admin = admin;
    conn->peer = peer;
    arena_init(&conn->arena, LIMIT_REQUEST_ARENA);
    buffer_init(&conn->body, LIMIT_ADMIN_BODY);
    buffer_init(&conn->out, LIMIT_ADMIN_ANSWER);
    task_init(&conn->disposal, dispose);
    if (io_open(&conn->io, admin->loop, fd, ready) < 0)
        goto free_it;
    conn->io.owner = conn;
    list_push(&admin->conns, &conn->link);
    admin->count++;
    if (http1_server_new(&conn->io, &limits, &server_events, conn, &conn->http) < 0)
        free_conn(conn);
    return;

free_it:
    free(conn);
refuse:
    admin->loop->sys->ops->close(admin->loop->sys, fd, true);
}

int http_admin_on(struct loop *loop, int fd, const struct admin_page *pages, void *owner, struct http_admin **ret_admin)
{
    struct http_admin *admin = calloc(1, sizeof(*admin));
    int r;

    if (!admin)
        return -ENOMEM;
    admin->loop = loop;
    admin->pages = pages;
    admin->owner = owner;
    list_init(&admin->conns);
    r = acceptor_start(&admin->acceptor, loop, fd, DESCRIPTOR_ESSENTIAL, accept_one);
    if (r < 0) {
        free(admin);
        return r;
    }
    *ret_admin = admin;
    return 0;
}

int http_admin_new(struct loop *loop, struct addr addr, const struct admin_page *pages, void *owner,
                   struct http_admin **ret_admin)
{
    int fd = loop->sys->ops->listen(loop->sys, addr, 0), r;

    if (fd < 0)
        return fd;
    r = http_admin_on(loop, fd, pages, owner, ret_admin);
    if (r < 0)
        loop->sys->ops->close(loop->sys, fd, false);
    return r;
}

void http_admin_free(struct http_admin *admin)
{
    if (!admin)
        return;
    LIST_FOR_EACH (link, &admin->conns)
        free_conn(CONTAINER_OF(link, struct admin_conn, link));
    acceptor_close(&admin->acceptor);
    free(admin);
}
