/* HTTP/2: what only it has (limits, GOAWAY, pings), and many streams at once in an order by seed. */
#include "net/http/conn_world.h"

#include <errno.h>
#include <sys/socket.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/http/http2_kept.h"

enum { DATA = 0, HEADERS = 1, RST_STREAM = 3, SETTINGS = 4, PING = 6, GOAWAY = 7 };
enum { END_STREAM = 1, ACK = 1, END_HEADERS = 4 };

static struct world world;
static struct buffer got;

static int plain(void **state)
{
    world.server_limits = (struct http_server_limits){0};
    world.client_limits = (struct http_client_limits){0};
    buffer_init(&got, 1 << 24);
    return 0;
}

static int both(void **state)
{
    plain(state);
    world_init(&world, &http2_protocol);
    return 0;
}

static int tear_down(void **state)
{
    world_release(&world);
    buffer_release(&got);
    return 0;
}

/* --- frames by hand --- */

static void add_frame(struct buffer *to, unsigned type, unsigned flags, uint32_t id, struct slice payload)
{
    const uint8_t header[9] = {(uint8_t)(payload.len >> 16), (uint8_t)(payload.len >> 8), (uint8_t)payload.len,
                               (uint8_t)type, (uint8_t)flags, (uint8_t)(id >> 24), (uint8_t)(id >> 16),
                               (uint8_t)(id >> 8), (uint8_t)id};

    buffer_add(to, slice_of(header, sizeof(header)));
    buffer_add(to, payload);
}

static void server_says(unsigned type, unsigned flags, uint32_t id, struct slice payload)
{
    struct buffer frame;

    buffer_init(&frame, 1 << 20);
    add_frame(&frame, type, flags, id, payload);
    raw_send(&world, world.server.raw, buffer_slice(&frame));
    buffer_release(&frame);
}

/* How many frames of a type our client has sent since the last look; the payload of the last one. */
static unsigned client_sent(unsigned type, struct slice *ret_last)
{
    unsigned count = 0;
    size_t at = 0;

    raw_receive(world.server.raw, &got);
    if (slice_starts(buffer_slice(&got), SLICE_LIT("PRI * ")))
        at = 24;
    while (at + 9 <= got.len) {
        const uint8_t *h = (const uint8_t *)got.data + at;
        size_t len = (size_t)h[0] << 16 | (size_t)h[1] << 8 | h[2];

        if (h[3] == type) {
            count++;
            if (ret_last)
                *ret_last = slice_of(h + 9, len);
        }
        at += 9 + len;
    }
    assert_int_equal(at, got.len);
    return count;
}

static void forget_sent(void)
{
    raw_receive(world.server.raw, &got);
    buffer_clear(&got);
}

static const char OK_HEAD[] = "\x88"; /* :status 200, indexed */

static int client_only(void **state)
{
    plain(state);
    world_init_client(&world, &http2_protocol);
    server_says(SETTINGS, 0, 0, SLICE_NULL);
    server_says(SETTINGS, ACK, 0, SLICE_NULL);
    return 0;
}

static struct slice goaway(uint32_t last_id, uint32_t code)
{
    static uint8_t payload[8];

    for (int i = 0; i < 4; i++) {
        payload[i] = (uint8_t)(last_id >> (24 - 8 * i));
        payload[4 + i] = (uint8_t)(code >> (24 - 8 * i));
    }
    return slice_of(payload, sizeof(payload));
}

/* --- a client against frames --- */

static void test_goaway(void **state)
{
    struct party *party[3];

    for (int i = 0; i < 3; i++)
        party[i] = request(&world, "GET", "/", true); /* 1, 3, 5 */
    settle(&world);
    server_says(GOAWAY, 0, 0, goaway(3, 0));
    assert_int_equal(world.client.client->state, HTTP_CLIENT_DRAINING);
    assert_int_equal(world.client.why.error, HTTP_ERROR_NONE);
    assert_true(party[2]->was_reset);
    assert_int_equal(party[2]->reset.error, HTTP_ERROR_REFUSED);
    assert_false(party[0]->was_reset || party[1]->was_reset);
    for (int i = 0; i < 2; i++) {
        server_says(HEADERS, END_HEADERS | END_STREAM, (uint32_t)(1 + 2 * i), slice_of(OK_HEAD, 1));
        assert_true(party[i]->ended);
        party_release(party[i]);
    }
    settle(&world);
    assert_true(world.client.closed);
}

static void test_goaway_with_an_error(void **state)
{
    struct party *party = request(&world, "GET", "/", true);

    settle(&world);
    server_says(GOAWAY, 0, 0, goaway(0, 11));
    assert_int_equal(party->reset.error, HTTP_ERROR_REFUSED);
    assert_true(world.client.closed);
    assert_int_equal(world.client.why.error, HTTP_ERROR_GOAWAY);
    assert_int_equal(world.client.why.code, 11);
}

/* The stream that it was answering hears what was wrong, not only that the connection ended. */
static void test_goaway_then_the_end(void **state)
{
    struct party *party = request(&world, "GET", "/", true);

    settle(&world);
    server_says(GOAWAY, 0, 0, goaway(1, 11));
    assert_false(party->was_reset);
    shutdown(world.server.raw, SHUT_RDWR);
    settle(&world);
    assert_true(party->was_reset);
    assert_int_equal(party->reset.error, HTTP_ERROR_GOAWAY);
    assert_int_equal(party->reset.code, 11);
}

static void test_busy(void **state)
{
    struct party *party[2];
    struct http_stream *stream;

    server_says(SETTINGS, 0, 0, SLICE_LIT("\0\3\0\0\0\2")); /* MAX_CONCURRENT_STREAMS 2 */
    assert_int_equal(world.client.client->state, HTTP_CLIENT_READY);
    for (int i = 0; i < 2; i++)
        party[i] = request(&world, "GET", "/", true);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_BUSY);
    assert_int_equal(http2_protocol.client_open(world.client.client, &party[0]->arena, NULL, NULL, &stream), -EAGAIN);
    settle(&world);
    server_says(HEADERS, END_HEADERS | END_STREAM, 1, slice_of(OK_HEAD, 1));
    party_release(party[0]);
    settle(&world);
    assert_int_equal(world.client.client->state, HTTP_CLIENT_READY);
    assert_int_equal(world.client.state_events, 2); /* busy, ready */
    party_release(party[1]);
    settle(&world);
    assert_int_equal(world.client.client->streams, 0);
}

/* A whole answer is delivered however slowly it is taken, also when the server resets or closes behind it. */
static void test_whole_answers_survive(void **state)
{
    for (int how = 0; how < 3; how++) {
        struct party *party = request(&world, "POST", "/", how == 2);

        party->take_left = 2;
        settle(&world);
        server_says(HEADERS, END_HEADERS, 1, slice_of(OK_HEAD, 1));
        server_says(DATA, END_STREAM, 1, SLICE_LIT("abcdef"));
        if (how == 0)
            server_says(RST_STREAM, 0, 1, SLICE_LIT("\0\0\0\0"));
        else
            shutdown(world.server.raw, SHUT_RDWR);
        settle(&world);
        assert_int_equal(party->body_len, 2);
        assert_false(party->was_reset);
        assert_false(world.client.closed);
        party_allow(party, 100);
        assert_int_equal(party->body_len, 6);
        assert_true(party->ended);
        assert_int_equal(party->was_reset, how < 2); /* the request had not ended */
        party_release(party);
        settle(&world);
        assert_int_equal(world.client.closed, how != 0);
        tear_down(state);
        client_only(state);
    }
    /* A cut one is not. */
    {
        struct party *party = request(&world, "GET", "/", true);

        party->take_left = 2;
        settle(&world);
        server_says(HEADERS, END_HEADERS, 1, slice_of(OK_HEAD, 1));
        server_says(DATA, 0, 1, SLICE_LIT("abcdef"));
        shutdown(world.server.raw, SHUT_RDWR);
        settle(&world);
        assert_true(party->was_reset);
        assert_true(world.client.closed);
    }
}

static void test_protocol_errors(void **state)
{
    struct party *party = request(&world, "GET", "/", true);

    settle(&world);
    server_says(DATA, 0, 9, SLICE_LIT("of a stream that was never opened"));
    assert_true(party->was_reset);
    assert_true(world.client.closed);
    assert_int_equal(world.client.why.error, HTTP_ERROR_PROTOCOL);
    assert_int_equal(client_sent(GOAWAY, NULL), 1);
}

static int client_with_pings(void **state)
{
    plain(state);
    world.client_limits = (struct http_client_limits){.ping_interval_ns = 10 * NS_PER_S, .ping_timeout_ns = 3 * NS_PER_S};
    world_init_client(&world, &http2_protocol);
    server_says(SETTINGS, 0, 0, SLICE_NULL);
    server_says(SETTINGS, ACK, 0, SLICE_NULL);
    forget_sent();
    return 0;
}

static void test_client_pings(void **state)
{
    struct party *party;
    struct slice payload = SLICE_NULL;

    for (int i = 0; i < 10; i++)
        pass(&world, 7 * NS_PER_S); /* idle: no pings */
    assert_int_equal(client_sent(PING, NULL), 0);
    party = request(&world, "GET", "/", true);
    settle(&world);
    forget_sent();
    for (int i = 0; i < 11 && !client_sent(PING, &payload); i++)
        pass(&world, NS_PER_S);
    assert_int_equal(client_sent(PING, &payload), 1);
    server_says(PING, ACK, 0, payload);
    forget_sent();
    pass(&world, 4 * NS_PER_S);
    assert_false(world.client.closed);
    for (int i = 0; i < 11 && !client_sent(PING, &payload); i++)
        pass(&world, NS_PER_S);
    assert_int_equal(client_sent(PING, &payload), 1);
    pass(&world, 2 * NS_PER_S);
    assert_false(party->was_reset);
    pass(&world, 1 * NS_PER_S);
    assert_true(party->was_reset);
    assert_int_equal(party->reset.error, HTTP_ERROR_CLOSED);
    assert_int_equal(party->reset.code, ETIMEDOUT);
    assert_true(world.client.closed);
}

/* --- a server and its timeouts --- */

static int server_with_timeouts(void **state)
{
    plain(state);
    world.server_limits = (struct http_server_limits){.head_timeout_ns = 5 * NS_PER_S, .idle_timeout_ns = 60 * NS_PER_S};
    world_init(&world, &http2_protocol);
    return 0;
}

static void test_idle_timeout(void **state)
{
    struct party *party = request(&world, "GET", "/hold", true);

    pass(&world, 100 * NS_PER_S); /* not idle */
    assert_false(world.server.closed);
    party_respond(world.newest, 200, NULL, true);
    settle(&world);
    party_release(party);
    party_release(world.newest);
    pass(&world, 59 * NS_PER_S);
    assert_false(world.server.closed);
    pass(&world, 2 * NS_PER_S);
    pass(&world, 2 * NS_PER_S);
    assert_true(world.server.closed && world.client.closed);
    assert_int_equal(world.server.why.error, HTTP_ERROR_NONE);
}

static int raw_server_with_timeouts(void **state)
{
    plain(state);
    world.server_limits = (struct http_server_limits){.head_timeout_ns = 5 * NS_PER_S};
    world_init_server(&world, &http2_protocol);
    return 0;
}

static void test_slow_preface(void **state)
{
    raw_send(&world, world.client.raw, SLICE_LIT("PRI * HTTP/2.0\r\n"));
    pass(&world, 4 * NS_PER_S);
    assert_false(world.server.closed);
    pass(&world, 2 * NS_PER_S);
    pass(&world, 2 * NS_PER_S);
    assert_true(world.server.closed);
}

static void test_slow_header_block(void **state)
{
    struct buffer bytes;

    buffer_init(&bytes, 1000);
    buffer_add(&bytes, SLICE_LIT("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"));
    add_frame(&bytes, SETTINGS, 0, 0, SLICE_NULL);
    add_frame(&bytes, HEADERS, END_STREAM, 1, SLICE_LIT("\x82\x86")); /* CONTINUATION is to follow */
    raw_send(&world, world.client.raw, buffer_slice(&bytes));
    buffer_release(&bytes);
    pass(&world, 4 * NS_PER_S);
    assert_false(world.server.closed);
    pass(&world, 2 * NS_PER_S);
    pass(&world, 2 * NS_PER_S);
    assert_true(world.server.closed);
}

static void test_bad_preface(void **state)
{
    raw_send(&world, world.client.raw, SLICE_LIT("GET / HTTP/1.1\r\nHost: a\r\n\r\n"));
    pass(&world, 2 * NS_PER_S);
    assert_true(world.server.closed);
    assert_int_equal(world.server.why.error, HTTP_ERROR_PROTOCOL);
    assert_int_equal(world.server.refused, 1);
}

/* --- both --- */

/* What an idle connection keeps goes back after a while, and it serves on. */
static void test_trimmed(void **state)
{
    for (int i = 0; i < 3; i++) {
        struct party *party = request(&world, "GET", "/bytes/1000", true);

        settle(&world);
        assert_true(party->ended);
        party_release(party);
        party_release(world.newest);
        for (int s = 0; s < 10; s++)
            pass(&world, NS_PER_S);
        assert_int_equal(world.loop.pages.lent, 0);
    }
    assert_int_equal(world.loop.timers.count, 0); /* nothing ticks while idle */
}

/* A client that lets go of a request cancels it. */
static void test_cancelled(void **state)
{
    struct party *party = request(&world, "GET", "/hold", true);

    settle(&world);
    party_release(party);
    settle(&world);
    assert_int_equal(world.client.client->streams, 0);
    assert_true(world.newest->was_reset);
    assert_int_equal(world.newest->reset.code, 8); /* CANCEL */
}

/* --- clients that do not take what comes --- */

enum { WINDOW = LIMIT_H2_STREAM_WINDOW };
static struct http2_kept kept;

static int keeping(void **state)
{
    plain(state);
    http2_kept_init(&kept, &world.loop, 64 * WINDOW);
    world.server_limits.kept = world.client_limits.kept = &kept;
    world_init(&world, &http2_protocol);
    return 0;
}

static int kept_tear_down(void **state)
{
    world_release(&world);
    http2_kept_release(&kept);
    buffer_release(&got);
    return 0;
}

static struct party *request_unread(void)
{
    struct party *party = request(&world, "GET", "/bytes/1048576", true);

    party->take_left = 0;
    settle(&world);
    return party;
}

/* Forty windows of a stream are more than two of the connection. */
static void test_unread_answers_hold_up_nobody(void **state)
{
    struct party *unread[40], *other;

    for (int i = 0; i < 40; i++)
        unread[i] = request_unread();
    assert_int_equal(kept.bytes, 40 * WINDOW);
    other = request(&world, "GET", "/bytes/200000", true);
    settle(&world);
    assert_true(other->ended);
    assert_int_equal(other->body_len, 200000);
    party_release(unread[0]);
    assert_int_equal(kept.bytes, 39 * WINDOW);
    for (int i = 1; i < 40; i++)
        party_allow(unread[i], SIZE_MAX / 2);
    settle(&world);
    for (int i = 1; i < 40; i++) {
        assert_true(unread[i]->ended);
        assert_int_equal(unread[i]->body_len, 1 << 20);
        assert_true(is_pattern(buffer_slice(&unread[i]->body)));
    }
    assert_int_equal(kept.bytes, 0);
}

/* And the same for what a server's application is slow to take. */
static void test_unread_requests_hold_up_nobody(void **state)
{
    struct party *other;

    world.server_take_left = 0;
    for (int i = 0; i < 40; i++) {
        party_send(request(&world, "POST", "/hold", false), 1 << 20, true);
        settle(&world);
    }
    assert_int_equal(kept.bytes, 40 * WINDOW);
    world.server_take_left = SIZE_MAX;
    other = request(&world, "POST", "/echo", false);
    party_send(other, 200000, true);
    settle(&world);
    assert_true(other->ended);
    assert_int_equal(other->body_len, 200000);
}

/* Who takes a little now and then is not the one who ends. */
static void test_the_slowest_ends_first(void **state)
{
    struct party *unread[70];

    for (int i = 0; i < 64; i++)
        unread[i] = request_unread();
    party_allow(unread[0], 1000);
    settle(&world);
    for (int i = 64; i < 70; i++)
        unread[i] = request_unread();
    assert_true(kept.bytes <= kept.most);
    for (int i = 0; i < 70; i++) {
        bool ended = i >= 1 && i <= 6;

        assert_int_equal(unread[i]->was_reset, ended);
        if (ended)
            assert_int_equal(unread[i]->reset.error, HTTP_ERROR_LIMIT);
    }
    party_allow(unread[0], SIZE_MAX / 2);
    settle(&world);
    assert_int_equal(unread[0]->body_len, 1 << 20);
}

int main(void)
{
#define WITH(setup, name) cmocka_unit_test_setup_teardown(name, setup, tear_down)
    const struct CMUnitTest tests[] = {
        WITH(client_only, test_goaway),
        WITH(client_only, test_goaway_with_an_error),
        WITH(client_only, test_goaway_then_the_end),
        WITH(client_only, test_busy),
        WITH(client_only, test_whole_answers_survive),
        WITH(client_only, test_protocol_errors),
        WITH(client_with_pings, test_client_pings),
        WITH(server_with_timeouts, test_idle_timeout),
        WITH(raw_server_with_timeouts, test_slow_preface),
        WITH(raw_server_with_timeouts, test_slow_header_block),
        WITH(raw_server_with_timeouts, test_bad_preface),
        WITH(both, test_trimmed),
        WITH(both, test_cancelled),
        cmocka_unit_test_setup_teardown(test_unread_answers_hold_up_nobody, keeping, kept_tear_down),
        cmocka_unit_test_setup_teardown(test_unread_requests_hold_up_nobody, keeping, kept_tear_down),
        cmocka_unit_test_setup_teardown(test_the_slowest_ends_first, keeping, kept_tear_down),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
