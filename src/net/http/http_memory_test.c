/* Allocations that fail one after the other: connections end or go on, nothing leaks, nothing crashes, nothing hangs. */
#include "net/http/conn_world.h"

#include <errno.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/grpc/grpc.h"

static long fail_at;        /* the allocation with this number fails; 0: none */
static long fail_count = 1; /* and so many behind it */
static long asked;          /* allocations since the counting began */

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *memory, size_t size);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *memory, size_t size);

static bool allowed(void)
{
    if (!fail_at)
        return true;
    asked++;
    return asked < fail_at || asked >= fail_at + fail_count;
}

void *__wrap_malloc(size_t size) { return allowed() ? __real_malloc(size) : NULL; }
void *__wrap_calloc(size_t count, size_t size) { return allowed() ? __real_calloc(count, size) : NULL; }
void *__wrap_realloc(void *memory, size_t size) { return allowed() ? __real_realloc(memory, size) : NULL; }

static struct world world;

static void start_failing(long at, long count)
{
    asked = 0;
    fail_at = at;
    fail_count = count;
}

/* True when the sweep has come to an end: nothing failed. */
static bool stop_failing(void)
{
    bool through = asked < fail_at;

    fail_at = 0;
    return through;
}

static void begin(const struct protocol *protocol)
{
    world.server_limits = (struct http_server_limits){0};
    world.client_limits = (struct http_client_limits){0};
    world_init(&world, protocol);
}

/* A slow client, an echo with trailers in both directions, and a body that the server does not take at first. */
static void exchange(void)
{
    struct party *party = request_if_possible(&world, "POST", "/echo", false);

    if (!party)
        return;
    party->send_trailers[0] = (struct http_field){SLICE_LIT("x-last"), SLICE_LIT("one"), HTTP_TOKEN_OTHER, 0};
    party->send_trailers_count = 1;
    party->take_left = 1000;
    party_send(party, 90000, true);
    for (int i = 0; i < 5; i++) {
        pass(&world, 20 * NS_PER_MS);
        party_allow(party, 40000);
    }
    pass(&world, 20 * NS_PER_MS);
    party_allow(party, SIZE_MAX);
    pass(&world, 20 * NS_PER_MS);
    if (party->ended && party->head.status == 200) /* not 503 */
        assert_int_equal(party->body_len, 90000);
    if (!fail_at || asked < fail_at)
        assert_true(party->ended);
    party_release(party);
}

static void sweep(const struct protocol *protocol, long count)
{
    bool through = false;

    for (long at = 1; !through; at++) {
        begin(protocol);
        start_failing(at, count);
        exchange();
        through = stop_failing();
        pass(&world, NS_PER_S);
        LIST_FOR_EACH (link, &world.parties)
            party_release(CONTAINER_OF(link, struct party, link));
        pass(&world, NS_PER_S);
        assert_int_equal(world.loop.pages.lent, 0);
        if (world.client.client)
            assert_int_equal(world.client.client->streams, 0);
        if (world.server.server)
            assert_int_equal(world.server.server->streams, 0);
        world_release(&world);
        assert_true(at < 5000);
    }
}

static void test_one_fails(void **state)
{
    sweep(*state, 1);
}

static void test_some_fail(void **state)
{
    sweep(*state, 7);
}

static void test_all_fail_from_then_on(void **state)
{
    sweep(*state, 1000000);
}

/* Making a connection either succeeds or leaves nothing behind. */
static void test_making_connections(void **state)
{
    const struct protocol *protocol = *state;
    int r = -1;

    begin(protocol);
    for (long at = 1; r < 0; at++) {
        struct http_server *server;

        start_failing(at, 1);
        r = protocol->server_new(&world.server.stack, &world.server_limits, world.server.server->events, &world.server,
                                 &server);
        stop_failing();
        if (r == 0)
            protocol->server_free(server);
        else
            assert_int_equal(r, -ENOMEM);
    }
    r = -1;
    for (long at = 1; r < 0; at++) {
        struct http_client *client;

        start_failing(at, 1);
        r = protocol->client_new(&world.client.stack, &world.client_limits, world.client.client->events, &world.client,
                                 &client);
        stop_failing();
        if (r == 0)
            protocol->client_free(client);
        else
            assert_int_equal(r, -ENOMEM);
    }
    world_release(&world);
}

/* --- gRPC --- */

static unsigned started, handled, ended;

static void echo(struct grpc_server_call *call, void *owner, struct slice message)
{
    started++;
    if (grpc_reply(call, message) < 0)
        grpc_finish(call, GRPC_RESOURCE_EXHAUSTED, SLICE_LIT("no memory"));
    else
        grpc_finish(call, GRPC_OK, SLICE_LIT("done"));
}

static void on_handled(void *owner, const struct grpc_method *method, int status, int64_t took_ns)
{
    handled++;
}

static const struct grpc_method methods[] = {{{"/test.S/Echo", 12}, "unary", echo}};
static const struct grpc_service service = {.methods = methods, .count = 1, .on_handled = on_handled};
static const struct grpc_service *const services[] = {&service};

static struct arena *serve(struct world *w, struct http_server *server, struct http_stream *stream)
{
    return grpc_serve(server, stream, &w->loop, services, 1);
}

static void on_message(struct grpc_call *call, struct slice message)
{
}

static void on_end(struct grpc_call *call, int status, struct slice text)
{
    ended++;
}

static const struct grpc_call_events call_events = {on_message, on_end};

static void test_grpc(void **state)
{
    static char bytes[100000];
    bool through = false;

    for (long at = 1; !through; at++) {
        struct grpc_call *call = NULL;
        int r;

        begin(&http2_protocol);
        world.on_stream = serve;
        started = handled = ended = 0;
        start_failing(at, 1);
        r = grpc_call_start(world.client.client, &world.loop, SLICE_LIT("a"), SLICE_LIT("/test.S/Echo"),
                            slice_of(bytes, sizeof(bytes)), world.loop.now_ns + NS_PER_S, &call_events, NULL, &call);
        for (int i = 0; i < 5; i++)
            pass(&world, 20 * NS_PER_MS);
        through = stop_failing();
        for (int i = 0; i < 30; i++)
            pass(&world, 100 * NS_PER_MS);
        assert_int_equal(ended, r == 0);
        assert_true(started <= handled);
        assert_int_equal(world.loop.pages.lent, 0);
        world_release(&world);
        assert_true(at < 5000);
    }
}

int main(void)
{
#define BOTH(name)                                                                                          \
    {"http1 " #name, name, NULL, NULL, (void *)(uintptr_t)&http1_protocol},                                 \
    {"http2 " #name, name, NULL, NULL, (void *)(uintptr_t)&http2_protocol}
    const struct CMUnitTest tests[] = {
        BOTH(test_making_connections),
        BOTH(test_one_fails),
        BOTH(test_some_fail),
        BOTH(test_all_fail_from_then_on),
        cmocka_unit_test(test_grpc),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
