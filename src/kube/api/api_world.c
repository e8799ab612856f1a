#include "kube/api/api_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"

struct peer {
    struct list link;
    struct api_world *world;
    struct io_stack io;
    struct http_server *server; /* NULL while shaking hands */
    struct task shake, over;
};

/* --- requests --- */

static void copy_field(const struct http_head *head, const char *name, char *to, size_t size)
{
    const struct http_field *field = http_find_name(head, slice_str(name));

    if (field)
        snprintf(to, size, "%.*s", SLICE_ARGS(field->value));
}

static void on_head(struct http_stream *stream, struct http_head *head, bool end)
{
    struct served *served = stream->owner;

    snprintf(served->method, sizeof(served->method), "%.*s", SLICE_ARGS(head->method));
    snprintf(served->path, sizeof(served->path), "%.*s", SLICE_ARGS(head->path));
    copy_field(head, "authorization", served->authorization, sizeof(served->authorization));
    copy_field(head, "content-type", served->content_type, sizeof(served->content_type));
    copy_field(head, "accept", served->accept, sizeof(served->accept));
    copy_field(head, "if-none-match", served->if_none_match, sizeof(served->if_none_match));
    copy_field(head, "impersonate-user", served->as, sizeof(served->as));
    copy_field(head, "impersonate-group", served->as_group, sizeof(served->as_group));
    served->ended = end;
}

static size_t on_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct served *served = stream->owner;

    buffer_add(&served->body, bytes);
    served->ended = end;
    return bytes.len;
}

static void on_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count) {}
static void on_writable(struct http_stream *stream) {}

static void on_reset(struct http_stream *stream, struct http_reset reset)
{
    struct served *served = stream->owner;

    served->gone = true;
    served->stream = NULL;
    stream->ops->release(stream);
}

static const struct http_stream_events stream_events = {NULL, on_head, on_data, on_trailers, on_writable, on_reset};

static struct arena *on_stream(struct http_server *server, struct http_stream *stream)
{
    struct peer *peer = server->owner;
    struct served *served = calloc(1, sizeof(*served));

    served->world = peer->world;
    served->stream = stream;
    arena_init(&served->arena, LIMIT_REQUEST_ARENA);
    buffer_init(&served->body, 1 << 24);
    stream->events = &stream_events;
    stream->owner = served;
    list_push(&peer->world->served, &served->link);
    return &served->arena;
}

static void on_refused(struct http_server *server, int status, const char *detail) {}

static void on_closed(struct http_server *server, struct http_reset reset)
{
    struct peer *peer = server->owner;

    dispose_wake(&peer->world->loop, &peer->over);
}

static const struct http_server_events server_events = {on_stream, on_refused, on_closed};

/* --- connections --- */

static void free_peer(struct peer *peer)
{
    if (peer->server && peer->world->http1)
        http1_server_free(peer->server);
    else if (peer->server)
        http2_server_free(peer->server);
    io_close(&peer->io, true);
    task_cancel(&peer->shake);
    task_cancel(&peer->over);
    list_remove(&peer->link);
    free(peer);
}

static void over(struct task *task)
{
    free_peer(CONTAINER_OF(task, struct peer, over));
}

static void ready(struct io_stack *stack)
{
    struct peer *peer = stack->owner;

    if (!peer->server)
        task_wake(&peer->world->loop, &peer->shake);
    else if (peer->world->http1)
        http1_server_ready(peer->server);
    else
        http2_server_ready(peer->server);
}

static void shake(struct task *task)
{
    static const struct http_server_limits limits = {.stream_window = 65535, .connection_window = 1 << 20, .max_streams = 100};
    struct peer *peer = CONTAINER_OF(task, struct peer, shake);
    int r = tls_handshake(&peer->io);

    if (r == -EAGAIN || peer->server)
        return;
    if (r < 0) {
        dispose_wake(&peer->world->loop, &peer->over);
        return;
    }
    r = peer->world->http1 ? http1_server_new(&peer->io, &limits, &server_events, peer, &peer->server)
                           : http2_server_new(&peer->io, &limits, &server_events, peer, &peer->server);
    assert_int_equal(r, 0);
    ready(&peer->io);
}

static void serve(struct api_world *world, int fd)
{
    static const struct slice h2[] = {{"h2", 2}}, http1[] = {{"http/1.1", 8}};
    struct peer *peer = calloc(1, sizeof(*peer));

    peer->world = world;
    task_init(&peer->shake, shake);
    task_init(&peer->over, over);
    list_push(&world->peers, &peer->link);
    assert_int_equal(io_open(&peer->io, &world->loop, fd, ready), 0);
    peer->io.owner = peer;
    assert_int_equal(tls_push_server(&peer->io, world->tls, world->http1 ? http1 : h2, 1), 0);
}

/* --- the world's system --- */

static struct api_world *world_of(struct sys *sys)
{
    return CONTAINER_OF(sys, struct api_world, sys);
}

static int64_t wall(struct sys *sys)
{
    return FIXTURE_WALL;
}

static int64_t now(struct sys *sys)
{
    return world_of(sys)->now_ns;
}

static int connect_pair(struct sys *sys, struct addr addr)
{
    struct api_world *world = world_of(sys);
    int fds[2];

    world->connects++;
    if (world->refuse)
        return -ECONNREFUSED;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
    serve(world, fds[1]);
    return fds[0];
}

static int connected(struct sys *sys, int fd)
{
    return 0;
}

void api_world_init(struct api_world *world, bool http1)
{
    const struct san name = {SAN_DNS, SLICE_LIT("kubernetes.test")};
    struct tls_credentials *credentials;
    struct errmsg msg = {""};

    *world = (struct api_world){.ops = *sys_linux()->ops, .now_ns = NS_PER_S, .http1 = http1};
    world->ops.wall = wall;
    world->ops.now = now;
    world->ops.connect = connect_pair;
    world->ops.connect_result = connected;
    world->sys.ops = &world->ops;
    list_init(&world->peers);
    list_init(&world->served);
    assert_int_equal(loop_init(&world->loop, &world->sys, 4096), 0);
    authority_init(&world->authority, "kubernetes-ca");
    workload_init(&world->workload, &world->authority, name);
    assert_int_equal(tls_credentials_new(world->workload.key, &world->workload.chain, name, &world->authority.anchors, FIXTURE_WALL, &msg, &credentials), 0);
    assert_int_equal(tls_context_new(&world->sys, credentials, &world->tls), 0);
    tls_credentials_unref(credentials);
    buffer_init(&world->ca, 1 << 16);
    x509_cert_write_pem(world->authority.anchor, &world->ca);
    arena_init(&world->access.arena, 1 << 16);
    assert_int_equal(kube_access_set_server(&world->access, SLICE_LIT("https://10.96.0.1:443"), &msg), 0);
    world->access.tls_server_name = SLICE_LIT("kubernetes.test");
    world->access.ca_pem = buffer_slice(&world->ca);
    world->access.token = SLICE_LIT("secret");
    world->access.origin = SLICE_LIT("the test");
    assert_int_equal(api_client_new(&world->loop, &world->access, &world->client), 0);
}

void api_cut(struct api_world *world)
{
    while (!list_empty(&world->peers))
        free_peer(CONTAINER_OF(world->peers.next, struct peer, link));
    api_settle(world);
}

void api_goodbye(struct api_world *world)
{
    LIST_FOR_EACH (link, &world->peers) {
        struct peer *peer = CONTAINER_OF(link, struct peer, link);

        if (peer->server && world->http1)
            http1_server_drain(peer->server);
        else if (peer->server)
            http2_server_drain(peer->server);
    }
    api_settle(world);
}

static void nothing(struct io_stack *stack) {}

void api_mute(struct api_world *world)
{
    LIST_FOR_EACH (link, &world->peers)
        CONTAINER_OF(link, struct peer, link)->io.on_ready = nothing;
}

void api_world_release(struct api_world *world)
{
    struct list *link;

    api_client_free(world->client);
    api_cut(world);
    while ((link = list_pop(&world->served))) {
        struct served *served = CONTAINER_OF(link, struct served, link);

        buffer_release(&served->body);
        arena_release(&served->arena);
        free(served);
    }
    tls_context_unref(world->tls);
    workload_release(&world->workload);
    authority_release(&world->authority);
    buffer_release(&world->ca);
    kube_access_release(&world->access);
    loop_release(&world->loop);
}

void api_settle(struct api_world *world)
{
    unsigned turns = 0;

    while (loop_turn(&world->loop, 0))
        assert_true(++turns < 100000);
}

void api_pass(struct api_world *world, int64_t ns)
{
    api_settle(world);
    world->now_ns += ns;
    api_settle(world);
}

/* --- what the test does as the server --- */

struct served *api_find(struct api_world *world, const char *path)
{
    api_settle(world);
    LIST_FOR_EACH (link, &world->served) {
        struct served *served = CONTAINER_OF(link, struct served, link);

        if (served->taken || strncmp(served->path, path, strlen(path)) != 0)
            continue;
        served->taken = true;
        return served;
    }
    return NULL;
}

struct served *api_take(struct api_world *world, const char *path)
{
    struct served *served = api_find(world, path);

    if (!served)
        fail_msg("nobody asked for %s", path);
    return served;
}

struct served *api_next(struct api_world *world, const char *expected)
{
    api_settle(world);
    LIST_FOR_EACH (link, &world->served) {
        struct served *served = CONTAINER_OF(link, struct served, link);
        char text[600];

        if (served->taken)
            continue;
        snprintf(text, sizeof(text), "%s %s", served->method, served->path);
        assert_string_equal(text, expected);
        served->taken = true;
        return served;
    }
    fail_msg("no request waits, expected %s", expected);
    return NULL;
}

void api_expect_quiet(struct api_world *world)
{
    api_settle(world);
    LIST_FOR_EACH (link, &world->served) {
        const struct served *served = CONTAINER_OF(link, struct served, link);

        if (!served->taken)
            fail_msg("%s %s", served->method, served->path);
    }
}

static void send_head(struct served *served, unsigned status, const char *text, bool end)
{
    struct http_field fields[3];
    struct http_head head = {.version = HTTP_2, .status = (uint16_t)status, .fields = fields, .room = 3};
    struct slice field = slice_str(text), name = slice_take(field, slice_find(field, ':'));

    http_append(&head, HTTP_TOKEN_CONTENT_TYPE, SLICE_LIT("content-type"), SLICE_LIT(API_JSON));
    if (field.len)
        http_append(&head, http_token_of(name), name, slice_trim(slice_skip(field, name.len + 1)));
    assert_int_equal(served->stream->ops->send_head(served->stream, &head, end), 0);
}

static void finish(struct served *served)
{
    served->stream->ops->release(served->stream);
    served->stream = NULL;
}

void api_answer(struct served *served, unsigned status, const char *field, const char *body)
{
    struct slice rest = slice_str(body);

    assert_false(served->gone);
    send_head(served, status, field, !rest.len);
    while (rest.len) {
        ssize_t n = served->stream->ops->send_data(served->stream, rest, true);

        assert_true(n >= 0);
        rest = slice_skip(rest, (size_t)n);
        if (rest.len)
            api_settle(served->world);
    }
    finish(served);
    api_settle(served->world);
}

void api_send(struct served *served, const char *bytes)
{
    struct slice rest = slice_str(bytes);

    assert_false(served->gone);
    if (served->ended) {
        send_head(served, 200, NULL, false);
        served->ended = false; /* the head has gone out */
    }
    while (rest.len) {
        ssize_t n = served->stream->ops->send_data(served->stream, rest, false);

        assert_true(n >= 0);
        rest = slice_skip(rest, (size_t)n);
        api_settle(served->world);
    }
}

void api_end(struct served *served)
{
    assert_true(served->stream->ops->send_data(served->stream, SLICE_NULL, true) >= 0);
    finish(served);
    api_settle(served->world);
}
