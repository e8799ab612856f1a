#include "net/http/http_admin.h"

#include <errno.h>
#include <stdlib.h>
#include <zlib.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/http/http_listener.h"

struct http_admin {
    struct http_listener *listener;
    const struct admin_page *pages;
    struct tls_context *(*tls)(void *owner);
    void *owner;
};

/* --- compression --- */

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

/* --- pages --- */

static void send(struct http_exchange *exchange, struct admin_response *response)
{
    struct http_field fields[HTTP_ANSWER_FIELDS] = {{.name = SLICE_LIT("cache-control"), .value = SLICE_LIT("no-store")}};
    struct http_answer answer = {.status = response->status, .content_type = response->content_type, .fields = fields, .field_count = 1};

    if (response->gzip && response->body.len > 1024 && accepts_gzip(&exchange->head) && compress_body(&response->body) == 0)
        fields[answer.field_count++] = (struct http_field){.name = SLICE_LIT("content-encoding"), .value = SLICE_LIT("gzip")};
    if (response->allow.len)
        fields[answer.field_count++] = (struct http_field){.name = SLICE_LIT("allow"), .value = response->allow};
    answer.body = response->body;
    http_exchange_answer(exchange, &answer);
}

static bool page_matches(const struct admin_page *page, struct slice path)
{
    struct slice own = page->path;

    if (own.len && own.ptr[own.len - 1] == '*')
        return slice_starts(path, slice_take(own, own.len - 1));
    return slice_eq(own, path);
}

static void list_pages(const struct admin_page *page, struct buffer *text)
{
    buffer_add_lit(text, "not found; pages:\n");
    for (; page->path.ptr; page++)
        buffer_printf(text, "%.*s\n", SLICE_ARGS(page->path));
}

static void on_request(void *owner, struct http_exchange *exchange)
{
    struct http_admin *admin = owner;
    size_t mark = slice_find(exchange->head.path, '?');
    struct admin_request request = {
        .method = exchange->head.method,
        .path = slice_take(exchange->head.path, mark),
        .query = slice_skip(exchange->head.path, mark + 1),
        .body = buffer_slice(&exchange->body),
        .peer = exchange->peer,
        .head = &exchange->head,
    };
    struct admin_response response = {.status = 200, .content_type = SLICE_LIT("text/plain; charset=utf-8")};
    const struct admin_page *page = admin->pages;

    buffer_init(&response.body, LIMIT_ADMIN_ANSWER);
    while (page->path.ptr && !page_matches(page, request.path))
        page++;
    if (page->path.ptr) {
        page->serve(admin->owner, &request, &response);
    } else {
        response.status = 404;
        list_pages(admin->pages, &response.body);
    }
    if (buffer_error(&response.body)) {
        buffer_release(&response.body);
        response.status = 500;
    }
    send(exchange, &response);
}

/* --- the server --- */

static struct tls_context *context(void *owner)
{
    struct http_admin *admin = owner;

    return admin->tls(admin->owner);
}

int http_admin_on(struct loop *loop, int fd, const struct admin_page *pages, struct tls_context *(*tls)(void *owner), void *owner,
                  struct http_admin **ret_admin)
{
    struct http_admin *admin = calloc(1, sizeof(*admin));
    const struct http_listener_options options = {
        .max_connections = LIMIT_ADMIN_CONNECTIONS,
        .max_requests = LIMIT_ADMIN_CONNECTIONS,
        .max_body = LIMIT_ADMIN_BODY,
        .max_held = (size_t)LIMIT_ADMIN_CONNECTIONS * LIMIT_ADMIN_BODY,
        .head_timeout_ns = 10 * NS_PER_S,
        .body_timeout_ns = 10 * NS_PER_S,
        .idle_timeout_ns = 60 * NS_PER_S,
        .handshake_timeout_ns = 10 * NS_PER_S,
        .security = tls ? HTTP_LISTENER_MESH_TLS_OR_PLAIN : HTTP_LISTENER_PLAIN,
        .context = context,
        .use = DESCRIPTOR_ESSENTIAL,
        .on_request = on_request,
        .owner = admin,
    };
    int r;

    if (!admin)
        return -ENOMEM;
    admin->pages = pages;
    admin->tls = tls;
    admin->owner = owner;
    r = http_listener_on(loop, fd, &options, &admin->listener);
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
    r = http_admin_on(loop, fd, pages, NULL, owner, ret_admin);
    if (r < 0)
        loop->sys->ops->close(loop->sys, fd, false);
    return r;
}

void http_admin_free(struct http_admin *admin)
{
    if (!admin)
        return;
    http_listener_free(admin->listener);
    free(admin);
}
