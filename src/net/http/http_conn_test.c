/* What holds for connections of either protocol: every test here runs over HTTP/1 and over HTTP/2. */
#include "net/http/conn_world.h"

#include <errno.h>

#include "base/duration.h"
#include "base/limits.h"

static struct world world; /* of the test that runs */

static int set_up(void **state)
{
    world.server_limits = (struct http_server_limits){0};
    world.client_limits = (struct http_client_limits){0};
    world_init(&world, *state);
    return 0;
}

static int tear_down(void **state)
{
    world_release(&world);
    return 0;
}

static bool is_http2(void)
{
    return world.protocol == &http2_protocol;
}

static void assert_idle(void)
{
    settle(&world);
    assert_int_equal(world.loop.pages.lent, 0);
    assert_int_equal(world.server.server->streams, 0);
    assert_int_equal(world.client.client->streams, 0);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_READY);
}

static void assert_answer(struct party *party, unsigned status, size_t body_len)
{
    assert_true(party->head_seen);
    assert_int_equal(party->head.status, status);
    assert_true(party->ended);
    assert_false(party->was_reset);
    assert_int_equal(party->body_len, body_len);
    assert_true(is_pattern(buffer_slice(&party->body)));
}

static void release_both(struct party *client)
{
    party_release(client);
    if (world.newest)
        party_release(world.newest);
    settle(&world);
}

static void test_without_bodies(void **state)
{
    static const unsigned statuses[] = {200, 204, 304, 404, 500};

    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        char path[24];
        struct party *party;

        snprintf(path, sizeof(path), "/status/%u", statuses[i]);
        party = request(&world, "GET", path, true);
        settle(&world);
        assert_answer(party, statuses[i], 0);
        assert_true(slice_eq(world.newest->head.method, SLICE_LIT("GET")));
        assert_true(slice_eq(world.newest->head.path, slice_str(path)));
        assert_true(slice_eq(world.newest->head.authority, SLICE_LIT("test.example:80")));
        assert_true(world.newest->ended);
        release_both(party);
        assert_idle();
    }
    assert_int_equal(world.server.server->requests, 5);
}

static const size_t sizes[] = {0, 1, 100, 16383, 16384, 16385, 65535, 65536, 300000};
enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };

static void test_response_bodies(void **state)
{
    static const char *const kinds[] = {"bytes", "length", "trailers"};

    for (size_t k = 0; k < 3; k++) {
        for (size_t i = 0; i < SIZES; i++) {
            char path[40];
            struct party *party;

            snprintf(path, sizeof(path), "/%s/%zu", kinds[k], sizes[i]);
            party = request(&world, "GET", path, true);
            settle(&world);
            assert_answer(party, 200, sizes[i]);
            if (k == 2)
                assert_memory_equal(party->trailers.data, "x-sum: 42\nx-more: yes\n", 22);
            release_both(party);
            assert_idle();
        }
    }
}

static void test_echo(void **state)
{
    for (size_t i = 0; i < SIZES; i++) {
        struct party *party = request(&world, "POST", "/echo", false);

        party_send(party, sizes[i], true);
        settle(&world);
        assert_answer(party, 200, sizes[i]);
        release_both(party);
        assert_idle();
    }
}

static void test_echo_with_length(void **state)
{
    for (size_t i = 0; i < SIZES; i++) {
        char length[24];
        struct party *party;

        snprintf(length, sizeof(length), "%zu", sizes[i]);
        party = request_with(&world, "POST", "/echo", (const char *const[]){"content-length", length, NULL}, false);
        settle(&world); /* the head travels alone */
        party_send(party, sizes[i], true);
        settle(&world);
        assert_answer(party, 200, sizes[i]);
        release_both(party);
        assert_idle();
    }
}

static void test_trailers_of_requests(void **state)
{
    struct party *party = request(&world, "POST", "/echo", false);

    party->send_trailers[0] = (struct http_field){SLICE_LIT("x-last"), SLICE_LIT("one"), HTTP_TOKEN_OTHER, 0};
    party->send_trailers_count = 1;
    party_send(party, 1000, true);
    settle(&world);
    assert_int_equal(world.newest->trailer_events, 1);
    assert_answer(party, 200, 1000);
    assert_int_equal(party->trailer_events, 1);
    assert_memory_equal(party->trailers.data, "x-last: one\n", 12);
    release_both(party);
    assert_idle();
}

/* One byte at a time, in both directions. */
static void test_a_byte_at_a_time(void **state)
{
    struct party *party;

    world.server_take_each = 1;
    party = request(&world, "POST", "/echo", false);
    party->take_each = 1;
    party_send(party, 300, true);
    for (int i = 0; i < 1000 && !party->ended; i++) {
        settle(&world);
        if (world.newest->stream)
            world.newest->stream->ops->resume(world.newest->stream);
        settle(&world);
        party->stream->ops->resume(party->stream);
    }
    assert_answer(party, 200, 300);
    release_both(party);
    assert_idle();
}

/* A client that takes nothing holds the server back; what is held is bounded, and comes when it is taken. */
static void test_slow_client(void **state)
{
    enum { SIZE = 8 << 20 };
    struct party *party = request(&world, "GET", "/bytes/8388608", true);
    size_t held;

    party->take_left = 0;
    settle(&world);
    assert_int_equal(party->body_len, 0);
    assert_true(party->head_seen);
    held = world.newest->sent;
    assert_true(held < 2 << 20); /* windows, queues and the socket's buffers */
    settle(&world);
    assert_int_equal(world.newest->sent, held);
    while (!party->ended) {
        party_allow(party, 100000);
        settle(&world);
    }
    assert_answer(party, 200, SIZE);
    release_both(party);
    assert_idle();
}

static int with_stall_timeout(void **state)
{
    world.server_limits = (struct http_server_limits){.stall_timeout_ns = 30 * NS_PER_S};
    world.client_limits = (struct http_client_limits){0};
    world_init(&world, *state);
    return 0;
}

/* One that takes a little now and then is slow; one that takes nothing for the timeout is given up. */
static void test_stalled_client(void **state)
{
    struct party *party = request(&world, "GET", "/bytes/8388608", true);

    party->take_left = 0;
    pass(&world, 20 * NS_PER_S);
    for (int i = 0; i < 10; i++) {
        party_allow(party, 300000);
        pass(&world, 20 * NS_PER_S);
        assert_false(party->was_reset || world.newest->was_reset);
    }
    pass(&world, 9 * NS_PER_S);
    assert_false(world.newest->was_reset);
    pass(&world, 2 * NS_PER_S);
    assert_true(world.newest->was_reset);
    assert_int_equal(world.newest->reset.error, HTTP_ERROR_LIMIT);
    if (!party->was_reset)
        party_allow(party, SIZE_MAX);
    settle(&world);
    assert_true(party->was_reset);
}

static void test_slow_server(void **state)
{
    enum { SIZE = 4 << 20 };
    struct party *party;

    world.server_take_left = 0;
    party = request(&world, "POST", "/hold", false);
    party_send(party, SIZE, true);
    settle(&world);
    assert_int_equal(world.newest->body_len, 0);
    assert_true(party->sent < 2 << 20);
    while (!world.newest->ended) {
        size_t before = world.newest->body_len;

        party_allow(world.newest, 70000);
        settle(&world);
        assert_true(world.newest->body_len > before);
    }
    assert_int_equal(world.newest->body_len, SIZE);
    assert_true(is_pattern(buffer_slice(&world.newest->body)));
    party_respond(world.newest, 200, NULL, true);
    settle(&world);
    assert_answer(party, 200, 0);
    release_both(party);
    assert_idle();
}

static void test_many_one_after_the_other(void **state)
{
    for (int i = 0; i < 500; i++) {
        struct party *party = request(&world, "POST", "/echo", false);

        party_send(party, (size_t)i * 37, true);
        settle(&world);
        assert_answer(party, 200, (size_t)i * 37);
        release_both(party);
    }
    assert_idle();
    assert_int_equal(world.server.server->requests, 500);
}

/* Owners let go inside their last event, as a proxy does. */
static void test_released_inside_events(void **state)
{
    static const char *const paths[] = {"/echo", "/bytes/0", "/bytes/70000", "/length/0", "/length/70000",
                                        "/trailers/0", "/trailers/5000", "/status/204"};

    world.eager = true;
    for (unsigned i = 0; i < 8 * 8; i++) {
        struct party *party = request(&world, i & 32 ? "POST" : "GET", paths[i % 8], !(i & 32));

        party->take_each = i & 16 ? 1000 : SIZE_MAX;
        if (i & 32)
            party_send(party, i & 8 ? 50000 : 0, true);
        for (int turn = 0; turn < 100 && party->stream; turn++) {
            settle(&world);
            if (party->stream)
                party->stream->ops->resume(party->stream);
        }
        assert_true(party->ended);
        assert_false(party->was_reset);
        assert_null(party->stream);
        settle(&world);
        if (world.newest->stream)
            party_release(world.newest); /* told of its end by nothing that came later */
        assert_idle();
    }
}

static void test_head_has_no_body(void **state)
{
    struct party *party = request(&world, "HEAD", "/hold", true);

    settle(&world);
    party_respond(world.newest, 200, (const char *const[]){"content-length", "1234", NULL}, true);
    settle(&world);
    assert_answer(party, 200, 0);
    assert_true(slice_eq(http_find(&party->head, HTTP_TOKEN_CONTENT_LENGTH)->value, SLICE_LIT("1234")));
    release_both(party);
    assert_idle();
}

static void test_interim_heads(void **state)
{
    struct party *party = request_with(&world, "POST", "/hold",
                                       (const char *const[]){"expect", "100-continue", NULL}, false);

    settle(&world);
    assert_true(slice_eq(http_find(&world.newest->head, HTTP_TOKEN_EXPECT)->value, SLICE_LIT("100-continue")));
    party_respond(world.newest, 100, NULL, false);
    settle(&world);
    assert_int_equal(party->interims, 1);
    assert_int_equal(party->last_interim, 100);
    party_respond(world.newest, 103, (const char *const[]){"link", "</x>", NULL}, false);
    party_send(party, 10, true);
    settle(&world);
    assert_int_equal(party->interims, 2);
    assert_int_equal(party->last_interim, 103);
    assert_int_equal(world.newest->body_len, 10);
    party_respond(world.newest, 200, NULL, true);
    settle(&world);
    assert_answer(party, 200, 0);
    release_both(party);
    assert_idle();
}

/* The response ends while the request does not: the exchange is over when the client has ended too. */
static void test_response_before_the_request_ends(void **state)
{
    struct party *party = request(&world, "POST", "/bytes/50", false);

    settle(&world);
    assert_answer(party, 200, 50);
    if (party->stream && !party->was_reset)
        party_send(party, 10, true);
    settle(&world);
    release_both(party);
    settle(&world);
    assert_int_equal(world.server.server ? world.server.server->streams : 0, 0);
    if (!world.client.closed)
        assert_idle();
}

/* Both owners leave early; whatever is left of the exchange goes on or ends without them. */
static void test_released_early(void **state)
{
    for (int step = 0; step < 4; step++) {
        struct party *party = request(&world, "POST", step < 2 ? "/hold" : "/bytes/500000", false);

        party->take_left = 0;
        settle(&world);
        party_release(step % 2 ? world.newest : party);
        settle(&world);
        party_release(party);
        party_release(world.newest);
        settle(&world);
        assert_int_equal(world.server.server ? world.server.server->streams : 0, 0);
        assert_int_equal(world.client.client ? world.client.client->streams : 0, 0);
        if (world.client.closed || world.client.client->state != HTTP_CLIENT_READY) {
            world_release(&world);
            world_init(&world, *state);
        }
    }
}

enum { H2_CANCEL = 8, H2_INTERNAL_ERROR = 2 };

/* A reset by either side at every stage of an exchange is one on_reset at the other, and nothing is left. */
static void test_resets(void **state)
{
    enum { STAGES = 5 };

    for (int stage = 0; stage < STAGES * 2; stage++) {
        bool by_client = stage % 2;
        struct party *party = request(&world, "POST", "/hold", false), *server, *other, *resets;
        struct party *by;

        settle(&world);
        server = world.newest;
        if (stage / 2 >= 1) {
            party_send(party, 5000, false);
            settle(&world);
        }
        if (stage / 2 >= 2)
            party_respond(server, 200, NULL, false);
        if (stage / 2 >= 3) {
            party->take_left = 10;
            party_send(server, 700000, false);
        }
        if (stage / 2 >= 4) {
            server->take_left = 0;
            party_send(party, 700000, true);
        }
        settle(&world);
        by = by_client ? party : server;
        other = by_client ? server : party;
        resets = by;
        resets->stream->ops->reset(resets->stream, by_client ? H2_CANCEL : H2_INTERNAL_ERROR);
        party_release(resets);
        settle(&world);
        assert_false(by->was_reset);
        if (!other->was_reset)
            party_allow(other, SIZE_MAX);
        settle(&world);
        assert_true(other->was_reset);
        if (is_http2()) {
            assert_int_equal(other->reset.error, HTTP_ERROR_RESET);
            assert_int_equal(other->reset.code, by_client ? H2_CANCEL : H2_INTERNAL_ERROR);
            assert_idle();
        } else {
            assert_true(world.client.closed && world.server.closed);
            assert_int_equal(world.loop.pages.lent, 0);
            world_release(&world);
            world_init(&world, *state);
        }
    }
}

static void test_server_drains_when_idle(void **state)
{
    struct party *party = request(&world, "GET", "/bytes/10", true);

    settle(&world);
    release_both(party);
    world.protocol->server_drain(world.server.server);
    pass(&world, 5 * NS_PER_S);
    assert_true(world.server.closed && world.client.closed);
    assert_int_equal(world.server.why.error, HTTP_ERROR_NONE);
    assert_int_equal(world.loop.pages.lent, 0);
}

static void test_server_drains_with_a_request(void **state)
{
    struct party *party = request(&world, "GET", "/hold", true);

    settle(&world);
    world.protocol->server_drain(world.server.server);
    settle(&world);
    assert_false(world.server.closed);
    party_respond(world.newest, 200, NULL, false);
    party_send(world.newest, 100000, true);
    settle(&world);
    assert_answer(party, 200, 100000);
    release_both(party);
    pass(&world, 5 * NS_PER_S);
    assert_true(world.server.closed && world.client.closed);
}

static void test_client_drains(void **state)
{
    struct party *party = request(&world, "GET", "/hold", true);
    struct http_stream *stream;

    settle(&world);
    world.protocol->client_drain(world.client.client);
    settle(&world);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_DRAINING);
    assert_int_equal(world.protocol->client_open(world.client.client, &party->arena, NULL, NULL, &stream), -EPIPE);
    party_respond(world.newest, 200, NULL, true);
    settle(&world);
    assert_answer(party, 200, 0);
    release_both(party);
    assert_true(world.client.closed);
}

static void test_client_drains_when_idle(void **state)
{
    world.protocol->client_drain(world.client.client);
    settle(&world);
    assert_true(world.client.closed && world.server.closed);
}

/* The connection is gone in the middle: each stream has one on_reset, then the connection is closed. */
static void test_connection_lost(void **state)
{
    for (int by_client = 0; by_client < 2; by_client++) {
        struct party *party = request(&world, "POST", "/bytes/800000", false), *server;

        party->take_left = 1000;
        settle(&world);
        server = world.newest;
        io_close(by_client ? &world.client.stack : &world.server.stack, true);
        if (by_client) {
            world.protocol->client_free(world.client.client);
            world.client.client = NULL;
            assert_true(party->was_reset);
        } else {
            world.protocol->server_free(world.server.server);
            world.server.server = NULL;
            assert_true(server->was_reset);
        }
        settle(&world);
        if (!by_client)
            party_allow(party, SIZE_MAX);
        settle(&world);
        assert_true(by_client ? server->was_reset : party->was_reset);
        assert_int_equal(by_client ? server->reset.error : party->reset.error, HTTP_ERROR_CLOSED);
        assert_true(by_client ? world.server.closed : world.client.closed);
        assert_int_equal(world.loop.pages.lent, 0);
        world_release(&world);
        world_init(&world, *state);
    }
}

/* An idle connection that the server closes is CLOSED without an error. */
static void test_closed_while_idle(void **state)
{
    struct party *party = request(&world, "GET", "/bytes/5", true);

    settle(&world);
    release_both(party);
    world.protocol->server_free(world.server.server);
    world.server.server = NULL;
    io_close(&world.server.stack, false);
    settle(&world);
    assert_true(world.client.closed);
    assert_int_equal(world.client.why.error, HTTP_ERROR_CLOSED);
    assert_int_equal(world.client.why.code, 0);
}

static void test_shed(void **state)
{
    struct party *party;

    world.refuse_all = true;
    party = request(&world, "GET", "/bytes/5", true);
    settle(&world);
    assert_int_equal(world.shed, 1);
    if (is_http2()) {
        assert_true(party->was_reset);
        assert_int_equal(party->reset.error, HTTP_ERROR_REFUSED);
    } else {
        assert_answer(party, 503, 0);
    }
    party_release(party);
    settle(&world);
}

/* A filter as TLS is one: what it took it may still hold, and says so only when it is told to flush. */
struct hoard {
    struct io io;
    struct buffer bytes;
    bool shut;
};

static ssize_t hoard_writev(struct io *io, const struct iovec *iov, int count)
{
    struct hoard *hoard = CONTAINER_OF(io, struct hoard, io);
    size_t before = hoard->bytes.len;

    for (int i = 0; i < count; i++)
        assert_int_equal(buffer_add(&hoard->bytes, slice_of(iov[i].iov_base, iov[i].iov_len)), 0);
    return (ssize_t)(hoard->bytes.len - before);
}

static int hoard_flush(struct io *io)
{
    struct hoard *hoard = CONTAINER_OF(io, struct hoard, io);
    struct iovec iov = {hoard->bytes.data, hoard->bytes.len};

    if (hoard->shut && hoard->bytes.len) {
        io->stack->writable = false;
        return -EAGAIN;
    }
    if (hoard->bytes.len)
        assert_int_equal(io_pass_writev(io, &iov, 1), iov.iov_len);
    buffer_clear(&hoard->bytes);
    return 0;
}

static int hoard_shutdown(struct io *io)
{
    int r = hoard_flush(io);

    return r < 0 ? r : io_pass_shutdown(io);
}

static void hoard_free(struct io *io)
{
    buffer_release(&CONTAINER_OF(io, struct hoard, io)->bytes);
}

static const struct io_ops hoard_ops = {.name = "hoard", .read = io_pass_read, .writev = hoard_writev, .flush = hoard_flush,
                                        .shutdown = hoard_shutdown, .pending = io_pass_pending, .free = hoard_free};

/* Room in the socket passes on what a filter holds, though the connection itself has nothing more to say. */
static void test_filter_that_holds_back(void **state)
{
    for (int drained = 0; drained < 2; drained++) {
        struct hoard hoard = {.io.ops = &hoard_ops, .shut = true};
        struct party *party;

        buffer_init(&hoard.bytes, (size_t)1 << 20);
        io_push(&world.server.stack, &hoard.io);
        party = request(&world, "GET", "/bytes/5000", true);
        settle(&world);
        assert_false(party->head_seen);
        if (drained)
            world.protocol->server_drain(world.server.server);
        settle(&world);
        assert_false(world.server.closed);
        hoard.shut = false;
        world.server.stack.writable = true;
        world.server.stack.on_ready(&world.server.stack);
        settle(&world);
        assert_answer(party, 200, 5000);
        release_both(party);
        tear_down(state);
        set_up(state);
    }
}

/* Opened, and released, reset, or lost with the connection before the head was sent. */
static void test_streams_without_a_head(void **state)
{
    for (int how = 0; how < 4; how++) {
        struct party *party = request_opened(&world);

        settle(&world);
        assert_int_equal(world.client.client->streams, 1);
        if (how == 1)
            party->stream->ops->reset(party->stream, H2_CANCEL);
        if (how == 2)
            world.protocol->server_drain(world.server.server);
        if (how == 3)
            io_close(&world.server.stack, true);
        if (how == 3)
            world.protocol->server_free(world.server.server);
        if (how == 3)
            world.server.server = NULL;
        pass(&world, NS_PER_S);
        if (how == 3)
            assert_true(party->was_reset);
        party_release(party);
        pass(&world, NS_PER_S);
        assert_int_equal(world.client.client ? world.client.client->streams : 0, 0);
        world_release(&world);
        world_init(&world, *state);
    }
}

static void test_no_pages(void **state)
{
    size_t limit = world.loop.pages.max_pages;
    struct party *party = request(&world, "GET", "/bytes/200000", true);

    for (int i = 0; i < 40 && !party->ended && !party->was_reset && !world.client.closed; i++) {
        world.loop.pages.max_pages = (size_t)i;
        pass(&world, 20 * NS_PER_MS);
    }
    world.loop.pages.max_pages = limit;
    pass(&world, 20 * NS_PER_MS);
    assert_true(party->ended || party->was_reset || world.client.closed);
    release_both(party);
    assert_int_equal(world.loop.pages.lent, 0);
}

/* With few pages, exchanges end one way or another; nothing is leaked and nothing hangs on memory it holds itself. */
static void test_few_pages(void **state)
{
    for (size_t pages = 0; pages < 12; pages++) {
        struct party *party = request(&world, "POST", "/echo", false);

        settle(&world);
        world.loop.pages.max_pages = pages;
        party_send(party, 150000, true);
        settle(&world);
        world.loop.pages.max_pages = 4096;
        pass(&world, 20 * NS_PER_MS);
        release_both(party);
        settle(&world);
        assert_int_equal(world.loop.pages.lent, 0);
        if (world.client.closed || world.server.closed || world.client.client->state != HTTP_CLIENT_READY) {
            world_release(&world);
            world_init(&world, *state);
        }
    }
}

/*
 * Up to `STREAMS` exchanges at once (HTTP/1: one), each side's owner doing something by chance in each step: taking little or all,
 * sending, resetting, releasing early. In the end nothing is open, nothing is held, and those that were left alone
 * have everything.
 */
static unsigned by_chance(uint64_t seed)
{
    enum { STREAMS = 40, STEPS = 300 };
    unsigned whole = 0;
    struct party *open[STREAMS] = {0};
    struct rng rng;

    rng_seed(&rng, seed);
    for (int step = 0; step < STEPS && !world.client.closed; step++) {
        size_t at = is_http2() ? (size_t)rng_below(&rng, STREAMS) : 0;
        struct party *party = open[at];
        char path[32];

        if (!party) {
            if (world.client.client->state != HTTP_CLIENT_READY)
                continue;
            snprintf(path, sizeof(path), "/%s/%u", rng_below(&rng, 2) ? "bytes" : "echo",
                     (unsigned)rng_below(&rng, 100000));
            world.server_take_each = rng_below(&rng, 3) ? SIZE_MAX : 1 + (size_t)rng_below(&rng, 5000);
            open[at] = request(&world, "POST", path, false);
            open[at]->take_left = rng_below(&rng, 3) ? SIZE_MAX : (size_t)rng_below(&rng, 50000);
            open[at]->take_each = rng_below(&rng, 3) ? SIZE_MAX : 1 + (size_t)rng_below(&rng, 20000);
        } else if (!party->stream || party->was_reset || (party->ended && party->end_sent)) {
            whole += party->ended;
            party_release(party);
            open[at] = NULL;
        } else {
            switch (rng_below(&rng, 8)) {
            case 0:
                if (is_http2() || rng_below(&rng, 60) == 0)
                    party->stream->ops->reset(party->stream, (uint32_t)rng_below(&rng, 14));
                break;
            case 1:
                if (is_http2() || rng_below(&rng, 60) == 0)
                    party_release(party);
                break;
            case 2:
            case 3:
                if (!party->end_after)
                    party_send(party, (size_t)rng_below(&rng, 100000), rng_below(&rng, 2));
                break;
            default:
                party_allow(party, (size_t)rng_below(&rng, 100000));
                break;
            }
        }
        if (rng_below(&rng, 3) == 0 || !is_http2())
            loop_turn(&world.loop, 0);
        if (rng_below(&rng, 20) == 0)
            pass(&world, (int64_t)rng_below(&rng, (uint64_t)NS_PER_S));
        LIST_FOR_EACH (link, &world.parties) {
            struct party *other = CONTAINER_OF(link, struct party, link);

            if (!other->stream || other->head.status || !other->head_seen) /* not a server's */
                continue;
            other->stream->ops->resume(other->stream);
            if (other->ended && other->end_sent)
                party_release(other);
        }
    }
    for (int i = 0; i < 3; i++) { /* over HTTP/1 a request may have waited for the end of the one before */
        settle(&world);
        LIST_FOR_EACH (link, &world.parties)
            party_release(CONTAINER_OF(link, struct party, link));
    }
    pass(&world, NS_PER_MS);
    if (!world.client.closed)
        assert_int_equal(world.client.client->streams, 0);
    if (!world.server.closed)
        assert_int_equal(world.server.server->streams, 0);
    assert_int_equal(world.loop.pages.lent, 0);
    return whole;
}

static void test_by_chance(void **state)
{
    unsigned whole = 0;

    for (uint64_t seed = 1; seed <= 60; seed++) {
        whole += by_chance(seed);
        tear_down(state);
        set_up(state);
    }
    assert_true(whole > 100); /* some are left alone long enough */
}

int main(void)
{
#define BOTH_WITH(setup, name)                                                                              \
    {"http1 " #name, name, setup, tear_down, (void *)(uintptr_t)&http1_protocol},                           \
    {"http2 " #name, name, setup, tear_down, (void *)(uintptr_t)&http2_protocol}
#define BOTH(name) BOTH_WITH(set_up, name)
    const struct CMUnitTest tests[] = {
        BOTH(test_without_bodies),
        BOTH(test_response_bodies),
        BOTH(test_echo),
        BOTH(test_echo_with_length),
        BOTH(test_trailers_of_requests),
        BOTH(test_a_byte_at_a_time),
        BOTH(test_slow_client),
        BOTH_WITH(with_stall_timeout, test_stalled_client),
        BOTH(test_slow_server),
        BOTH(test_many_one_after_the_other),
        BOTH(test_released_inside_events),
        BOTH(test_head_has_no_body),
        BOTH(test_interim_heads),
        BOTH(test_response_before_the_request_ends),
        BOTH(test_released_early),
        BOTH(test_resets),
        BOTH(test_server_drains_when_idle),
        BOTH(test_server_drains_with_a_request),
        BOTH(test_client_drains),
        BOTH(test_client_drains_when_idle),
        BOTH(test_connection_lost),
        BOTH(test_closed_while_idle),
        BOTH(test_shed),
        BOTH(test_filter_that_holds_back),
        BOTH(test_streams_without_a_head),
        BOTH(test_no_pages),
        BOTH(test_few_pages),
        BOTH(test_by_chance),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
