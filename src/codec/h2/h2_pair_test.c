/*
 * A client engine against a server engine over bytes cut at random, by seed: requests with bodies of all sizes that are
 * echoed, small windows, slow consumers, resets from both sides. At the end every exchange that nobody reset is
 * complete and correct, and no byte of any window is lost.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/rng.h"
#include "codec/h2/h2.h"

enum { EXCHANGES = 60, BODY_MAX = 150000 };

struct exchange {
    struct pair *pair;
    size_t size, sent, received; /* of the body; as seen by the client */
    bool announced_length, reset, done;
    struct arena client_arena, server_arena;
    struct h2_stream *client, *server;
    struct buffer echo; /* server: received and not sent */
    bool server_ended, trailers;
    size_t client_held;
};

struct pair {
    struct rng rng;
    struct page_pool pages;
    struct chain to_server, to_client;
    struct h2_conn client, server;
    struct h2_config config;
    struct exchange exchanges[EXCHANGES];
    unsigned begun, finished;
    int64_t now_ns;
};

static uint32_t below(struct pair *pair, uint32_t n)
{
    return (uint32_t)rng_below(&pair->rng, n);
}

static char body_byte(const struct exchange *exchange, size_t at)
{
    return (char)(at * 7 + at / 251 + (size_t)(exchange - exchange->pair->exchanges));
}

/* --- server: echoes --- */

static void server_forget(struct exchange *exchange)
{
    if (!exchange->server)
        return;
    h2_stream_release(exchange->server);
    exchange->server = NULL;
}

static void server_send(struct exchange *exchange)
{
    struct http_field trailer = {SLICE_LIT("grpc-status"), SLICE_LIT("0"), HTTP_TOKEN_GRPC_STATUS, 0};
    ssize_t n;

    if (!exchange->server)
        return;
    n = h2_data(exchange->server, buffer_slice(&exchange->echo), exchange->server_ended && !exchange->trailers);
    assert_true(n >= 0);
    buffer_drop(&exchange->echo, (size_t)n);
    h2_consume(exchange->server, (size_t)n);
    if (exchange->server_ended && exchange->trailers && !exchange->echo.len)
        assert_int_equal(h2_trailers(exchange->server, &trailer, 1), 0);
    if (h2_closed(exchange->server))
        server_forget(exchange);
}

static struct arena *server_arena(struct h2_stream *stream)
{
    struct pair *pair = stream->conn->owner;
    struct exchange *exchange = &pair->exchanges[stream->id / 2];

    exchange->server = stream;
    stream->user = exchange;
    return &exchange->server_arena;
}

static void server_on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    struct exchange *exchange = stream->user;
    struct http_field fields[] = {{SLICE_LIT("X-Path"), head->path, HTTP_TOKEN_OTHER, 0}};
    struct http_head answer = {.fields = fields, .count = 1};

    if (below(exchange->pair, 4) == 0) {
        answer.status = 103;
        assert_int_equal(h2_respond(stream, &answer, false), 0);
    }
    answer.status = 200;
    exchange->trailers = below(exchange->pair, 2);
    exchange->server_ended = end;
    assert_int_equal(h2_respond(stream, &answer, end && !exchange->trailers), 0);
    if (h2_closed(stream))
        server_forget(exchange);
    else
        server_send(exchange);
}

static void server_on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    struct exchange *exchange = stream->user;

    buffer_add(&exchange->echo, bytes);
    exchange->server_ended = end;
    if (below(exchange->pair, 200) == 0) {
        exchange->reset = true;
        h2_reset(stream, H2_INTERNAL_ERROR);
        server_forget(exchange);
    } else if (end || below(exchange->pair, 3)) {
        server_send(exchange);
    }
}

static void server_on_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    server_on_data(stream, SLICE_NULL, true);
}

static void server_on_reset(struct h2_stream *stream, struct h2_reset_info why)
{
    struct exchange *exchange = stream->user;

    assert_int_equal(why.by, H2_BY_PEER);
    assert_true(exchange->reset);
    server_forget(exchange);
}

static void server_on_writable(struct h2_stream *stream)
{
    server_send(stream->user);
}

static const struct h2_events server_events = {.head_arena = server_arena,
                                               .on_head = server_on_head,
                                               .on_data = server_on_data,
                                               .on_trailers = server_on_trailers,
                                               .on_reset = server_on_reset,
                                               .on_writable = server_on_writable};

/* --- client: sends a body, checks that it comes back --- */

static void client_forget(struct exchange *exchange)
{
    h2_stream_release(exchange->client);
    exchange->client = NULL;
    exchange->done = true;
    exchange->pair->finished++;
}

static void client_ended(struct exchange *exchange)
{
    assert_int_equal(exchange->received, exchange->size);
    assert_true(h2_closed(exchange->client));
    client_forget(exchange);
}

static void client_send(struct exchange *exchange)
{
    char bytes[5000];
    size_t n = exchange->size - exchange->sent;
    ssize_t taken;

    if (n > sizeof(bytes))
        n = sizeof(bytes);
    for (size_t i = 0; i < n; i++)
        bytes[i] = body_byte(exchange, exchange->sent + i);
    taken = h2_data(exchange->client, slice_of(bytes, n), exchange->sent + n == exchange->size);
    assert_true(taken >= 0);
    exchange->sent += (size_t)taken;
}

static struct arena *client_arena(struct h2_stream *stream)
{
    return &((struct exchange *)stream->user)->client_arena;
}

static void client_on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    char path[20];

    snprintf(path, sizeof(path), "/%u", stream->id);
    assert_true(head->status == 103 || head->status == 200);
    assert_int_equal(head->count, 1);
    assert_true(slice_eq(head->fields[0].name, SLICE_LIT("x-path")));
    assert_true(slice_eq(head->fields[0].value, slice_str(path)));
    if (end)
        client_ended(stream->user);
}

static void client_on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    struct exchange *exchange = stream->user;

    for (size_t i = 0; i < bytes.len; i++)
        assert_int_equal(bytes.ptr[i], body_byte(exchange, exchange->received + i));
    exchange->received += bytes.len;
    if (below(exchange->pair, 2))
        h2_consume(stream, bytes.len);
    else
        exchange->client_held += bytes.len;
    if (end)
        client_ended(exchange);
}

static void client_on_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    assert_int_equal(count, 1);
    client_ended(stream->user);
}

static void client_on_reset(struct h2_stream *stream, struct h2_reset_info why)
{
    struct exchange *exchange = stream->user;

    assert_true(exchange->reset);
    client_forget(exchange);
}

static void client_on_writable(struct h2_stream *stream)
{
    client_send(stream->user);
}

static const struct h2_events client_events = {.head_arena = client_arena,
                                               .on_head = client_on_head,
                                               .on_data = client_on_data,
                                               .on_trailers = client_on_trailers,
                                               .on_reset = client_on_reset,
                                               .on_writable = client_on_writable};

/* --- the wire --- */

static void carry(struct pair *pair, struct chain *from, struct h2_conn *sender, struct h2_conn *receiver)
{
    size_t n = 1 + below(pair, below(pair, 2) ? 30 : 30000);
    struct slice front = slice_take(chain_front(from), n);
    char *copy;

    if (!front.len)
        return;
    copy = malloc(front.len); /* of its exact size, for the sanitizer */
    memcpy(copy, front.ptr, front.len);
    chain_drop(from, front.len);
    assert_int_equal(h2_out_drained(sender), 0);
    if (h2_input(receiver, slice_of(copy, front.len), pair->now_ns) < 0)
        fail_msg("seed: %s: %s", h2_error_name(receiver->error), receiver->detail);
    free(copy);
}

static void begin_exchange(struct pair *pair)
{
    struct exchange *exchange = &pair->exchanges[pair->begun];
    char path[20], length[20];
    struct http_field field = {SLICE_LIT("Content-Length"), SLICE_NULL, HTTP_TOKEN_CONTENT_LENGTH, 0};
    struct http_head head = {
        .method = SLICE_LIT("POST"), .scheme = SLICE_LIT("http"), .authority = SLICE_LIT("here"), .fields = &field};

    if (pair->begun == EXCHANGES || !h2_can_open(&pair->client))
        return;
    exchange->pair = pair;
    exchange->size = below(pair, 3) ? below(pair, 300) : below(pair, BODY_MAX);
    arena_init(&exchange->client_arena, LIMIT_REQUEST_ARENA);
    arena_init(&exchange->server_arena, LIMIT_REQUEST_ARENA);
    buffer_init(&exchange->echo, BODY_MAX);
    head.path = slice_of(path, (size_t)snprintf(path, sizeof(path), "/%u", pair->client.next_id));
    field.value = slice_of(length, (size_t)snprintf(length, sizeof(length), "%zu", exchange->size));
    head.count = below(pair, 2) ? 1 : 0;
    pair->begun++;
    assert_int_equal(h2_request(&pair->client, &head, exchange->size == 0, exchange, &exchange->client), 0);
    if (exchange->size)
        client_send(exchange);
}

/* Something that owners do by themselves. */
static void poke(struct pair *pair, struct exchange *exchange)
{
    if (!exchange->client)
        return;
    switch (below(pair, 10)) {
    case 0:
        if (below(pair, 40))
            break;
        exchange->reset = true;
        h2_reset(exchange->client, H2_CANCEL);
        client_forget(exchange);
        break;
    case 1:
    case 2:
    case 3:
        h2_consume(exchange->client, exchange->client_held);
        exchange->client_held = 0;
        break;
    case 4:
        server_send(exchange);
        break;
    default:
        if (exchange->sent < exchange->size && h2_sendable(exchange->client))
            client_send(exchange);
    }
}

static void turn(struct pair *pair)
{
    pair->now_ns += 1000000;
    begin_exchange(pair);
    carry(pair, &pair->to_server, &pair->client, &pair->server);
    carry(pair, &pair->to_client, &pair->server, &pair->client);
    if (pair->begun)
        poke(pair, &pair->exchanges[below(pair, pair->begun)]);
    if (below(pair, 50) == 0) {
        h2_trim(&pair->client);
        h2_trim(&pair->server);
        h2_ping(&pair->client, 1);
    }
}

static void check_end(struct pair *pair)
{
    uint32_t window = pair->config.connection_window;

    while (!chain_empty(&pair->to_server) || !chain_empty(&pair->to_client)) {
        carry(pair, &pair->to_server, &pair->client, &pair->server);
        carry(pair, &pair->to_client, &pair->server, &pair->client);
    }
    for (unsigned i = 0; i < EXCHANGES; i++) {
        struct exchange *exchange = &pair->exchanges[i];

        server_forget(exchange);
        arena_release(&exchange->client_arena);
        arena_release(&exchange->server_arena);
        buffer_release(&exchange->echo);
    }
    assert_int_equal(pair->client.open_streams, 0);
    assert_int_equal(pair->server.open_streams, 0);
    assert_int_equal(pair->client.recv_window + (int64_t)pair->client.uncredited, window);
    assert_int_equal(pair->server.recv_window + (int64_t)pair->server.uncredited, window);
    assert_int_equal(pair->client.send_window, pair->server.recv_window);
    assert_int_equal(pair->server.send_window, pair->client.recv_window);
}

static void run_seed(uint64_t seed)
{
    struct pair *pair = calloc(1, sizeof(*pair));
    unsigned turns = 0;

    rng_seed(&pair->rng, seed);
    page_pool_init(&pair->pages, 16, 10000);
    chain_init(&pair->to_server, &pair->pages);
    chain_init(&pair->to_client, &pair->pages);
    pair->config = (struct h2_config){.stream_window = 1 + below(pair, 70000),
                                      .connection_window = 65535 + below(pair, 2) * below(pair, 70000),
                                      .max_streams = 1 + below(pair, 50),
                                      .max_frame = 16384 + below(pair, 20000),
                                      .max_resets = 1000,
                                      .hash_salt = below(pair, UINT32_MAX)};
    assert_int_equal(h2_init(&pair->client, H2_CLIENT, &pair->config, &client_events, pair, &pair->to_server), 0);
    assert_int_equal(h2_init(&pair->server, H2_SERVER, &pair->config, &server_events, pair, &pair->to_client), 0);
    while (pair->finished < EXCHANGES) {
        turn(pair);
        if (++turns > 2000000)
            fail_msg("seed %llu: no end, %u of %u", (unsigned long long)seed, pair->finished, pair->begun);
    }
    check_end(pair);
    h2_close(&pair->client);
    h2_close(&pair->server);
    h2_release(&pair->client);
    h2_release(&pair->server);
    chain_clear(&pair->to_server);
    chain_clear(&pair->to_client);
    page_pool_release(&pair->pages);
    free(pair);
}

static void test_seeds(void **state)
{
    const char *one = getenv("H2_PAIR_SEED");

    if (one) {
        run_seed(strtoull(one, NULL, 10));
        return;
    }
    for (uint64_t seed = 1; seed <= 60; seed++)
        run_seed(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_seeds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
