#include "net/http/conn_world.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"

const struct protocol http1_protocol = {
    .name = "http1",
    .server_new = http1_server_new,
    .server_ready = http1_server_ready,
    .server_drain = http1_server_drain,
    .server_free = http1_server_free,
    .client_new = http1_client_new,
    .client_ready = http1_client_ready,
    .client_open = http1_client_open,
    .client_drain = http1_client_drain,
    .client_free = http1_client_free,
};

const struct protocol http2_protocol = {
    .name = "http2",
    .server_new = http2_server_new,
    .server_ready = http2_server_ready,
    .server_drain = http2_server_drain,
    .server_free = http2_server_free,
    .client_new = http2_client_new,
    .client_ready = http2_client_ready,
    .client_open = http2_client_open,
    .client_drain = http2_client_drain,
    .client_free = http2_client_free,
};

static int64_t test_now(struct sys *sys)
{
    return CONTAINER_OF(sys, struct test_sys, sys)->now_ns;
}

static int test_poll_wait(struct sys *sys, struct poll *poll, struct sys_event *events, int max, int64_t timeout_ns)
{
    return sys_linux()->ops->poll_wait(sys_linux(), poll, events, max, 0);
}

char pattern_at(size_t at)
{
    return (char)('a' + (at * 7 + at / 251) % 26);
}

bool is_pattern(struct slice bytes)
{
    for (size_t i = 0; i < bytes.len; i++)
        if (bytes.ptr[i] != pattern_at(i))
            return false;
    return true;
}

/* --- parties --- */

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

/* Sends what it still has of its pattern; a stream that broke ends the sending. */
static void push(struct party *party)
{
    char piece[5000];

    while (party->stream && party->send_left) {
        size_t part = least(sizeof(piece), party->send_left);
        bool last = part == party->send_left && party->end_after && !party->send_trailers_count;
        ssize_t n;

        for (size_t i = 0; i < part; i++)
            piece[i] = pattern_at(party->sent + i);
        n = party->stream->ops->send_data(party->stream, slice_of(piece, part), last);
        if (n < 0) {
            party->send_left = 0;
            party->end_after = false;
            return;
        }
        assert_true((size_t)n <= part);
        party->sent += (size_t)n;
        party->send_left -= (size_t)n;
        if (last && (size_t)n == part)
            party->end_sent = true;
        if ((size_t)n < part)
            return;
    }
    if (!party->stream || !party->end_after || party->end_sent)
        return;
    party->end_sent = true;
    if (party->send_trailers_count)
        party->stream->ops->send_trailers(party->stream, party->send_trailers, party->send_trailers_count);
    else if (party->sent == 0)
        party->stream->ops->send_data(party->stream, SLICE_NULL, true);
}

void party_send(struct party *party, size_t len, bool end)
{
    party->send_left += len;
    party->end_after = end;
    push(party);
}

static void party_interim(struct http_stream *stream, struct http_head *head)
{
    struct party *party = stream->owner;

    assert_false(party->head_seen);
    party->interims++;
    party->last_interim = head->status;
}

static struct slice path_part(struct slice path, size_t at)
{
    struct slice part = SLICE_NULL;

    path = slice_skip(path, 1);
    for (size_t i = 0; i <= at; i++)
        if (!slice_split(&path, '/', &part))
            return SLICE_NULL;
    return part;
}

void party_respond(struct party *party, unsigned status, const char *const *fields, bool end)
{
    struct http_field room[16];
    struct http_head head = {.version = HTTP_2, .status = (uint16_t)status, .fields = room, .room = 16};

    for (; fields && *fields; fields += 2)
        assert_int_equal(http_append(&head, http_token_of(slice_str(fields[0])), slice_str(fields[0]),
                                     slice_str(fields[1])), 0);
    if (status >= 200 || status == 101)
        party->head_sent = true;
    if (party->stream->ops->send_head(party->stream, &head, end) < 0) {
        party->send_failed = true;
        party->stream->ops->release(party->stream);
        party->stream = NULL;
        return;
    }
    if (end)
        party->end_sent = true;
}

/*
 * What the server does, by path: /echo, /bytes/N (N bytes, length unknown), /length/N (with Content-Length),
 * /trailers/N, /status/N (no body), /hold (nothing).
 */
static void answer_by_path(struct party *party)
{
    struct slice what = path_part(party->head.path, 0), number = path_part(party->head.path, 1);
    uint64_t n = 0;

    (void)slice_u64(number, UINT32_MAX, &n);
    if (slice_eq(what, SLICE_LIT("echo"))) {
        party->echo = true;
        party_respond(party, 200, NULL, party->ended);
    } else if (slice_eq(what, SLICE_LIT("bytes"))) {
        party_respond(party, 200, NULL, false);
        party_send(party, n, true);
    } else if (slice_eq(what, SLICE_LIT("length"))) {
        char text[24];

        snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
        party_respond(party, 200, (const char *const[]){"content-length", text, NULL}, false);
        party_send(party, n, true);
    } else if (slice_eq(what, SLICE_LIT("trailers"))) {
        party->send_trailers[0] = (struct http_field){SLICE_LIT("x-sum"), SLICE_LIT("42"), HTTP_TOKEN_OTHER, 0};
        party->send_trailers[1] = (struct http_field){SLICE_LIT("x-more"), SLICE_LIT("yes"), HTTP_TOKEN_OTHER, 0};
        party->send_trailers_count = 2;
        party_respond(party, 200, (const char *const[]){"trailer", "x-sum", NULL}, false);
        party_send(party, n, true);
    } else if (slice_eq(what, SLICE_LIT("status"))) {
        party_respond(party, (unsigned)n, NULL, true);
    }
}

static void release_if_ended(struct party *party)
{
    if (party->world->eager && party->ended && party->end_sent)
        party_release(party);
}

static void party_head(struct http_stream *stream, struct http_head *head, bool end)
{
    struct party *party = stream->owner;

    assert_false(party->head_seen);
    party->head = *head;
    party->head_seen = true;
    party->ended = end;
    if (head->status == 0)
        (party->world->on_head ? party->world->on_head : answer_by_path)(party);
    release_if_ended(party);
}

static size_t party_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct party *party = stream->owner;
    size_t take = least(bytes.len, least(party->take_each, party->take_left));

    assert_true(party->head_seen);
    assert_false(party->ended);
    assert_true(bytes.len > 0 || end);
    if (party->echo && party->head_sent) {
        ssize_t n = stream->ops->send_data(stream, slice_take(bytes, take), end && take == bytes.len);

        if (n < 0) {
            party->echo = false;
            n = (ssize_t)take;
        } else if (end && (size_t)n == bytes.len) {
            party->end_sent = true;
        }
        take = (size_t)n;
    }
    buffer_add(&party->body, slice_take(bytes, take));
    party->body_len += take;
    if (party->take_left != SIZE_MAX)
        party->take_left -= take;
    party->ended = end && take == bytes.len;
    release_if_ended(party);
    return take;
}

static void party_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    struct party *party = stream->owner;

    assert_false(party->ended);
    party->ended = true;
    party->trailer_events++;
    for (unsigned i = 0; i < count; i++)
        buffer_printf(&party->trailers, "%.*s: %.*s\n", SLICE_ARGS(fields[i].name), SLICE_ARGS(fields[i].value));
    if (party->echo) {
        stream->ops->send_trailers(stream, fields, count);
        party->end_sent = true;
    }
    release_if_ended(party);
}

static void party_writable(struct http_stream *stream)
{
    struct party *party = stream->owner;

    party->writable_events++;
    if (party->echo)
        stream->ops->resume(stream);
    else
        push(party);
    release_if_ended(party);
}

static void party_reset(struct http_stream *stream, struct http_reset reset)
{
    struct party *party = stream->owner;

    assert_false(party->was_reset);
    party->was_reset = true;
    party->reset = reset;
    party->stream = NULL;
    stream->ops->release(stream);
}

static const struct http_stream_events party_events = {
    .on_interim = party_interim,
    .on_head = party_head,
    .on_data = party_data,
    .on_trailers = party_trailers,
    .on_writable = party_writable,
    .on_reset = party_reset,
};

struct party *party_new(struct world *world)
{
    struct party *party = calloc(1, sizeof(*party));

    if (!party)
        return NULL;
    party->world = world;
    party->take_each = party->take_left = SIZE_MAX;
    arena_init(&party->arena, LIMIT_REQUEST_ARENA);
    buffer_init(&party->body, 1 << 26);
    buffer_init(&party->trailers, 1 << 16);
    list_push(&world->parties, &party->link);
    return party;
}

void party_release(struct party *party)
{
    if (party->stream)
        party->stream->ops->release(party->stream);
    party->stream = NULL;
}

void party_allow(struct party *party, size_t more)
{
    party->take_left = party->take_left > SIZE_MAX - more ? SIZE_MAX : party->take_left + more;
    if (party->stream)
        party->stream->ops->resume(party->stream);
}

static void party_free(struct party *party)
{
    list_remove(&party->link);
    arena_release(&party->arena);
    buffer_release(&party->body);
    buffer_release(&party->trailers);
    free(party);
}

struct party *request_opened(struct world *world)
{
    struct party *party = party_new(world);

    assert_non_null(party);
    assert_int_equal(world->protocol->client_open(world->client.client, &party->arena, &party_events, party,
                                                  &party->stream), 0);
    return party;
}

struct party *request_with(struct world *world, const char *method, const char *path, const char *const *fields,
                           bool end)
{
    struct party *party = request_opened(world);
    struct http_field room[16];
    struct http_head head = {.version = HTTP_2, .method = slice_str(method), .scheme = SLICE_LIT("http"),
                             .authority = SLICE_LIT("test.example:80"), .path = slice_str(path),
                             .fields = room, .room = 16};

    for (; fields && *fields; fields += 2)
        assert_int_equal(http_append(&head, http_token_of(slice_str(fields[0])), slice_str(fields[0]),
                                     slice_str(fields[1])), 0);
    assert_int_equal(party->stream->ops->send_head(party->stream, &head, end), 0);
    party->head_sent = true;
    party->end_sent = end;
    return party;
}

struct party *request_if_possible(struct world *world, const char *method, const char *path, bool end)
{
    struct party *party = party_new(world);
    struct http_head head = {.version = HTTP_2, .method = slice_str(method), .scheme = SLICE_LIT("http"),
                             .authority = SLICE_LIT("test.example:80"), .path = slice_str(path)};

    if (!party || world->protocol->client_open(world->client.client, &party->arena, &party_events, party,
                                               &party->stream) < 0)
        return NULL;
    if (party->stream->ops->send_head(party->stream, &head, end) < 0) {
        party_release(party);
        return NULL;
    }
    party->head_sent = true;
    party->end_sent = end;
    return party;
}

struct party *request(struct world *world, const char *method, const char *path, bool end)
{
    return request_with(world, method, path, NULL, end);
}

/* --- ends --- */

static struct arena *server_stream(struct http_server *server, struct http_stream *stream)
{
    struct end *end = server->owner;
    struct world *world = end->world;
    struct party *party;

    if (world->on_stream)
        return world->on_stream(world, server, stream);
    if (world->refuse_all) {
        world->shed++;
        return NULL;
    }
    party = party_new(world);
    if (!party)
        return NULL;
    party->take_each = world->server_take_each;
    party->take_left = world->server_take_left;
    party->stream = stream;
    stream->events = &party_events;
    stream->owner = party;
    world->newest = party;
    return &party->arena;
}

static void server_refused(struct http_server *server, int status, const char *detail)
{
    struct end *end = server->owner;

    end->refused++;
    end->refused_status = status;
}

static void server_closed(struct http_server *server, struct http_reset reset)
{
    struct end *end = server->owner;

    assert_false(end->closed);
    end->closed = true;
    end->why = reset;
    dispose_wake(&end->world->loop, &end->dispose);
}

static const struct http_server_events server_events = {
    .on_stream = server_stream,
    .on_refused = server_refused,
    .on_closed = server_closed,
};

static void client_state(struct http_client *client)
{
    struct end *end = client->owner;

    assert_false(end->closed);
    end->state_events++;
    if (client->state != HTTP_CLIENT_CLOSED)
        return;
    end->closed = true;
    end->why = client->why;
    dispose_wake(&end->world->loop, &end->dispose);
}

static const struct http_client_events client_events = {.on_state = client_state};

static void end_free(struct end *end)
{
    if (end->server)
        end->world->protocol->server_free(end->server);
    if (end->client)
        end->world->protocol->client_free(end->client);
    end->server = NULL;
    end->client = NULL;
    io_close(&end->stack, false);
    if (end->raw >= 0)
        close(end->raw);
    end->raw = -1;
}

static void end_dispose(struct task *task)
{
    end_free(CONTAINER_OF(task, struct end, dispose));
}

static void server_ready(struct io_stack *stack)
{
    struct end *end = CONTAINER_OF(stack, struct end, stack);

    if (end->server)
        end->world->protocol->server_ready(end->server);
}

static void client_ready(struct io_stack *stack)
{
    struct end *end = CONTAINER_OF(stack, struct end, stack);

    if (end->client)
        end->world->protocol->client_ready(end->client);
}

static void start_server(struct world *world, int fd)
{
    struct end *end = &world->server;

    assert_int_equal(io_open(&end->stack, &world->loop, fd, server_ready), 0);
    assert_int_equal(world->protocol->server_new(&end->stack, &world->server_limits, &server_events, end,
                                                 &end->server), 0);
}

static void start_client(struct world *world, int fd)
{
    struct end *end = &world->client;

    assert_int_equal(io_open(&end->stack, &world->loop, fd, client_ready), 0);
    assert_int_equal(world->protocol->client_new(&end->stack, &world->client_limits, &client_events, end,
                                                 &end->client), 0);
}

static void prepare(struct world *world, const struct protocol *protocol, int fds[2])
{
    struct http_server_limits server_limits = world->server_limits;
    struct http_client_limits client_limits = world->client_limits;

    /* Limits that the test has set before stay. */
    *world = (struct world){.sys = {.ops = *sys_linux()->ops, .now_ns = 1000 * NS_PER_S},
                            .protocol = protocol,
                            .server_limits = server_limits,
                            .client_limits = client_limits,
                            .server_take_each = SIZE_MAX,
                            .server_take_left = SIZE_MAX};
    world->sys.ops.now = test_now;
    world->sys.ops.poll_wait = test_poll_wait;
    world->sys.sys.ops = &world->sys.ops;
    world->server.raw = world->client.raw = -1;
    world->server.world = world->client.world = world;
    task_init(&world->server.dispose, end_dispose);
    task_init(&world->client.dispose, end_dispose);
    list_init(&world->parties);
    assert_int_equal(loop_init(&world->loop, &world->sys.sys, 4096), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, fds), 0);
}

void world_init(struct world *world, const struct protocol *protocol)
{
    int fds[2];

    prepare(world, protocol, fds);
    start_server(world, fds[0]);
    start_client(world, fds[1]);
    settle(world);
}

void world_init_server(struct world *world, const struct protocol *protocol)
{
    int fds[2];

    prepare(world, protocol, fds);
    start_server(world, fds[0]);
    world->client.raw = fds[1];
    settle(world);
}

void world_init_client(struct world *world, const struct protocol *protocol)
{
    int fds[2];

    prepare(world, protocol, fds);
    start_client(world, fds[1]);
    world->server.raw = fds[0];
    settle(world);
}

void world_release(struct world *world)
{
    end_free(&world->server);
    end_free(&world->client);
    settle(world);
    LIST_FOR_EACH (link, &world->parties)
        party_free(CONTAINER_OF(link, struct party, link));
    loop_release(&world->loop);
}

void settle(struct world *world)
{
    unsigned turns = 0;

    while (loop_turn(&world->loop, 0))
        assert_true(++turns < 1000000);
}

void pass(struct world *world, int64_t ns)
{
    settle(world);
    world->sys.now_ns += ns;
    settle(world);
}

void raw_send(struct world *world, int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = send(fd, bytes.ptr, bytes.len, MSG_NOSIGNAL);

        if (n < 0 && errno != EAGAIN)
            break; /* the connection has closed; what it said is still to be read */
        if (n > 0)
            bytes = slice_skip(bytes, (size_t)n);
        settle(world);
    }
    settle(world);
}

bool raw_receive(int fd, struct buffer *to)
{
    for (;;) {
        char *room = buffer_room(to, 4096);
        ssize_t n = recv(fd, room, 4096, 0);

        if (n <= 0) {
            buffer_grew(to, 0);
            return n == 0 || errno != EAGAIN;
        }
        buffer_grew(to, (size_t)n);
    }
}
