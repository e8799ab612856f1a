#include "net/http/conn_world.h"

#include <errno.h>

#include "base/duration.h"
#include "base/limits.h"
#include "net/grpc/grpc.h"

/* What a client's call was told. */
struct caller {
    struct grpc_call *call; /* NULL once it has ended */
    unsigned messages;
    struct buffer last;     /* the last message */
    int status;             /* -1: not ended */
    char text[200];
    unsigned cancel_after;  /* cancels inside on_message number ... */
};

/* What the service under test saw. */
struct service_log {
    unsigned started, handled, received, sent, gone, drained;
    int last_status;
    struct grpc_server_call *open; /* the call of /test.S/Hold */
    struct http_head head;
};

static struct world world;
static struct service_log seen;

static void caller_message(struct grpc_call *call, struct slice message)
{
    struct caller *caller = grpc_call_owner(call);

    caller->messages++;
    buffer_clear(&caller->last);
    buffer_add(&caller->last, message);
    if (caller->cancel_after == caller->messages) {
        caller->call = NULL;
        grpc_call_cancel(call);
    }
}

static void caller_end(struct grpc_call *call, int status, struct slice text)
{
    struct caller *caller = grpc_call_owner(call);

    assert_int_equal(caller->status, -1);
    caller->status = status;
    caller->call = NULL;
    snprintf(caller->text, sizeof(caller->text), "%.*s", SLICE_ARGS(text));
}

static const struct grpc_call_events caller_events = {caller_message, caller_end};

static void caller_init(struct caller *caller)
{
    *caller = (struct caller){.status = -1};
    buffer_init(&caller->last, 8 << 20);
}

static void caller_release(struct caller *caller)
{
    if (caller->call)
        grpc_call_cancel(caller->call);
    buffer_release(&caller->last);
}

static int start(struct caller *caller, const char *path, struct slice message, int64_t timeout_ns)
{
    int r;

    caller_init(caller);
    r = grpc_call_start(world.client.client, &world.loop, SLICE_LIT("test:1"), slice_str(path), message,
                        timeout_ns ? world.loop.now_ns + timeout_ns : 0, &caller_events, caller, &caller->call);
    settle(&world);
    return r;
}

/* --- the service --- */

static void echo(struct grpc_server_call *call, void *owner, struct slice message)
{
    assert_ptr_equal(owner, &seen);
    seen.head = *grpc_server_call_head(call);
    assert_int_equal(grpc_reply(call, message), 0);
    grpc_finish(call, GRPC_OK, SLICE_NULL);
}

static void not_found(struct grpc_server_call *call, void *owner, struct slice message)
{
    grpc_finish(call, GRPC_NOT_FOUND, SLICE_LIT("no such thing: 100%\n"));
}

static void hold_drained(struct grpc_server_call *call)
{
    seen.drained++;
}

static void hold_gone(struct grpc_server_call *call)
{
    seen.gone++;
    seen.open = NULL;
}

static const struct grpc_server_call_events hold_events = {hold_drained, hold_gone};

static void hold(struct grpc_server_call *call, void *owner, struct slice message)
{
    seen.open = call;
    grpc_server_call_bind(call, &hold_events, &seen, 100000);
    assert_ptr_equal(grpc_server_call_owner(call), &seen);
}

static void on_started(void *owner, const struct grpc_method *method) { seen.started++; }
static void on_message(void *owner, const struct grpc_method *method, bool sent)
{
    if (sent)
        seen.sent++;
    else
        seen.received++;
}
static void on_handled(void *owner, const struct grpc_method *method, int status, int64_t took_ns)
{
    seen.handled++;
    seen.last_status = status;
}

static const struct grpc_method methods[] = {
    {{"/test.S/Echo", 12}, "unary", echo},
    {{"/test.S/Fail", 12}, "unary", not_found},
    {{"/test.S/Hold", 12}, "server_stream", hold},
};

static const struct grpc_service service = {
    .methods = methods,
    .count = 3,
    .owner = &seen,
    .on_started = on_started,
    .on_handled = on_handled,
    .on_message = on_message,
};
static const struct grpc_service *const services[] = {&service};

static struct arena *serve(struct world *w, struct http_server *server, struct http_stream *stream)
{
    return grpc_serve(server, stream, &w->loop, services, 1);
}

static int set_up(void **state)
{
    seen = (struct service_log){.last_status = -1};
    world.client_limits = (struct http_client_limits){0};
    world.server_limits = (struct http_server_limits){0};
    world_init(&world, &http2_protocol);
    world.on_stream = serve;
    return 0;
}

static int tear_down(void **state)
{
    if (world.client.client && world.server.server) {
        settle(&world);
        assert_int_equal(world.client.client->streams, 0);
        assert_int_equal(world.server.server->streams, 0);
        assert_int_equal(world.loop.pages.lent, 0);
    }
    world_release(&world);
    return 0;
}

static void test_unary(void **state)
{
    static const size_t sizes[] = {0, 1, 2048, 2049, 70000, LIMIT_GRPC_MESSAGE};
    static char bytes[LIMIT_GRPC_MESSAGE];

    for (size_t i = 0; i < sizeof(bytes); i++)
        bytes[i] = pattern_at(i);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct caller caller;

        assert_int_equal(start(&caller, "/test.S/Echo", slice_of(bytes, sizes[i]), 0), 0);
        assert_int_equal(caller.status, GRPC_OK);
        assert_int_equal(caller.messages, 1);
        assert_true(slice_eq(buffer_slice(&caller.last), slice_of(bytes, sizes[i])));
        caller_release(&caller);
    }
    assert_int_equal(seen.started, 6);
    assert_int_equal(seen.handled, 6);
    assert_int_equal(seen.received, 6);
    assert_int_equal(seen.sent, 6);
    assert_int_equal(seen.last_status, GRPC_OK);
}

static void test_request_head(void **state)
{
    struct caller caller;

    world.on_stream = NULL;
    world.refuse_all = false;
    assert_int_equal(start(&caller, "/none/Hold", SLICE_LIT("x"), 2 * NS_PER_S), 0);
    assert_true(slice_eq(world.newest->head.method, SLICE_LIT("POST")));
    assert_true(slice_eq(world.newest->head.authority, SLICE_LIT("test:1")));
    assert_true(slice_eq(http_find(&world.newest->head, HTTP_TOKEN_TE)->value, SLICE_LIT("trailers")));
    assert_true(http_is_grpc(&world.newest->head));
    assert_true(slice_eq(http_find(&world.newest->head, HTTP_TOKEN_GRPC_TIMEOUT)->value, SLICE_LIT("2000000u")));
    assert_memory_equal(world.newest->body.data, "\0\0\0\0\1x", 6);
    assert_true(world.newest->ended);
    caller_release(&caller);
    settle(&world);
    assert_true(world.newest->was_reset);
}

static void test_errors_of_methods(void **state)
{
    struct caller caller;

    assert_int_equal(start(&caller, "/test.S/Fail", SLICE_LIT("x"), 0), 0);
    assert_int_equal(caller.status, GRPC_NOT_FOUND);
    assert_string_equal(caller.text, "no such thing: 100%\n");
    assert_int_equal(caller.messages, 0);
    caller_release(&caller);
    assert_int_equal(seen.last_status, GRPC_NOT_FOUND);

    assert_int_equal(start(&caller, "/test.S/Unknown", SLICE_LIT("x"), 0), 0);
    assert_int_equal(caller.status, GRPC_UNIMPLEMENTED);
    caller_release(&caller);
    assert_int_equal(seen.handled, 1);
}

static void test_streams(void **state)
{
    struct caller caller;

    assert_int_equal(start(&caller, "/test.S/Hold", SLICE_LIT("x"), 0), 0);
    for (unsigned i = 1; i <= 10; i++) {
        assert_int_equal(grpc_reply(seen.open, SLICE_LIT("update")), 0);
        settle(&world);
        assert_int_equal(caller.messages, i);
    }
    assert_int_equal(caller.status, -1);
    grpc_finish(seen.open, GRPC_OK, SLICE_NULL);
    seen.open = NULL;
    settle(&world);
    assert_int_equal(caller.status, GRPC_OK);
    assert_int_equal(seen.gone, 0);
    caller_release(&caller);
}

/* A reader that is slow fills the queue, is told so, and gets everything in order afterwards. */
static void test_queue(void **state)
{
    static char big[60000];
    struct caller caller;
    unsigned queued = 0;
    int r;

    assert_int_equal(start(&caller, "/test.S/Hold", SLICE_LIT("x"), 0), 0);
    while ((r = grpc_reply(seen.open, slice_of(big, sizeof(big)))) == 0)
        queued++;
    assert_int_equal(r, -ENOBUFS);
    assert_in_range(queued, 2, 4); /* a window of 64 KiB and a queue of 100,000 bytes */
    assert_int_equal(seen.drained, 0);
    settle(&world);
    assert_true(seen.drained >= 1);
    assert_int_equal(caller.messages, queued);
    assert_int_equal(grpc_reply(seen.open, slice_of(big, sizeof(big))), 0);
    assert_int_equal(grpc_reply(seen.open, slice_of(big, sizeof(big))), 0);
    grpc_finish(seen.open, GRPC_OK, SLICE_LIT("done")); /* behind what is queued */
    settle(&world);
    assert_int_equal(caller.messages, queued + 2);
    assert_int_equal(caller.status, GRPC_OK);
    assert_string_equal(caller.text, "done");
    caller_release(&caller);
}

static void test_cancelled_by_the_client(void **state)
{
    struct caller caller;

    assert_int_equal(start(&caller, "/test.S/Hold", SLICE_LIT("x"), 0), 0);
    grpc_call_cancel(caller.call);
    caller.call = NULL;
    settle(&world);
    assert_int_equal(caller.status, -1);
    assert_int_equal(seen.gone, 1);
    assert_int_equal(seen.last_status, GRPC_CANCELLED);
    caller_release(&caller);
    /* The same from inside an event. */
    caller_init(&caller);
    assert_int_equal(start(&caller, "/test.S/Hold", SLICE_LIT("x"), 0), 0);
    caller.cancel_after = 2;
    for (int i = 0; i < 3; i++)
        assert_int_equal(grpc_reply(seen.open, SLICE_LIT("m")), 0);
    settle(&world);
    assert_int_equal(caller.messages, 2);
    assert_int_equal(caller.status, -1);
    assert_int_equal(seen.gone, 2);
    caller_release(&caller);
}

static void test_deadline(void **state)
{
    struct caller caller;

    assert_int_equal(start(&caller, "/test.S/Hold", SLICE_LIT("x"), NS_PER_S), 0);
    pass(&world, NS_PER_S - 1);
    assert_int_equal(caller.status, -1);
    pass(&world, NS_PER_MS);
    assert_int_equal(caller.status, GRPC_DEADLINE_EXCEEDED);
    assert_int_equal(seen.gone, 1);
    assert_int_equal(seen.handled, 1);
    caller_release(&caller);
    assert_int_equal(start(&caller, "/test.S/Hold", SLICE_LIT("x"), -5), -ETIMEDOUT);
    caller_release(&caller);
}

static void test_connection_lost(void **state)
{
    struct caller caller;

    assert_int_equal(start(&caller, "/test.S/Hold", SLICE_LIT("x"), 0), 0);
    http2_protocol.server_free(world.server.server);
    world.server.server = NULL;
    io_close(&world.server.stack, true);
    settle(&world);
    assert_int_equal(caller.status, GRPC_UNAVAILABLE);
    assert_true(world.client.closed);
    caller_release(&caller);
}

/* --- odd servers: what a client makes of their answers --- */

static struct {
    const char *fields[8];
    const char *body;
    size_t body_len;
    const char *status_trailer; /* NULL: the stream ends without trailers */
    unsigned http_status;
    uint32_t reset;
    bool head_only;
} answer;

static void answer_oddly(struct party *party)
{
    if (answer.reset) {
        party->stream->ops->reset(party->stream, answer.reset);
        return;
    }
    party_respond(party, answer.http_status, answer.fields, answer.head_only);
    if (answer.head_only)
        return;
    party->stream->ops->send_data(party->stream, slice_of(answer.body, answer.body_len), !answer.status_trailer);
    if (answer.status_trailer) {
        struct http_field field = {SLICE_LIT("grpc-status"), slice_str(answer.status_trailer), HTTP_TOKEN_GRPC_STATUS, 0};

        party->stream->ops->send_trailers(party->stream, &field, 1);
    }
}

#define GRPC_FIELDS {"content-type", "application/grpc+proto", NULL}

static void test_odd_servers(void **state)
{
    static const struct {
        typeof(answer) answer;
        int status;
        unsigned messages;
    } cases[] = {
        {{GRPC_FIELDS, "\0\0\0\0\1x", 6, "0", 200, 0, false}, GRPC_OK, 1},
        {{GRPC_FIELDS, "\0\0\0\0\1x", 6, "14", 200, 0, false}, GRPC_UNAVAILABLE, 1},
        {{GRPC_FIELDS, "\0\0\0\0\1x", 6, "77", 200, 0, false}, 77, 1},
        {{GRPC_FIELDS, "\0\0\0\0\1x", 6, "abc", 200, 0, false}, GRPC_UNKNOWN, 1},
        {{GRPC_FIELDS, "\0\0\0\0\1x", 6, NULL, 200, 0, false}, GRPC_INTERNAL, 1},
        {{GRPC_FIELDS, "\0\0\0\0\5x", 6, "0", 200, 0, false}, GRPC_INTERNAL, 0},
        {{GRPC_FIELDS, "\0\0\0\0\5x", 6, "5", 200, 0, false}, GRPC_NOT_FOUND, 0},
        {{GRPC_FIELDS, "\1\0\0\0\1x", 6, "0", 200, 0, false}, GRPC_INTERNAL, 0},
        {{GRPC_FIELDS, "\0\0\377\0\1x", 6, "0", 200, 0, false}, GRPC_RESOURCE_EXHAUSTED, 0},
        {{GRPC_FIELDS, NULL, 0, NULL, 503, 0, true}, GRPC_UNAVAILABLE, 0},
        {{{"content-type", "text/html", NULL}, "<html>", 6, NULL, 404, 0, false}, GRPC_UNIMPLEMENTED, 0},
        {{{"content-type", "text/html", NULL}, "<html>", 6, NULL, 200, 0, false}, GRPC_UNKNOWN, 0},
        {{{"content-type", "application/grpc", "grpc-status", "7", "grpc-message", "no%20way", NULL}, NULL, 0, NULL,
          200, 0, true}, GRPC_PERMISSION_DENIED, 0},
        {{GRPC_FIELDS, NULL, 0, NULL, 200, 0, true}, GRPC_INTERNAL, 0},
        {{GRPC_FIELDS, NULL, 0, NULL, 200, 7, true}, GRPC_UNAVAILABLE, 0},
        {{GRPC_FIELDS, NULL, 0, NULL, 200, 8, true}, GRPC_CANCELLED, 0},
        {{GRPC_FIELDS, NULL, 0, NULL, 200, 2, true}, GRPC_INTERNAL, 0},
    };

    world.on_stream = NULL;
    world.on_head = answer_oddly;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct caller caller;

        answer = cases[i].answer;
        assert_int_equal(start(&caller, "/x/Y", SLICE_LIT("m"), 0), 0);
        if (caller.status != cases[i].status)
            print_message("case %zu: %s\n", i, caller.text);
        assert_int_equal(caller.status, cases[i].status);
        assert_int_equal(caller.messages, cases[i].messages);
        caller_release(&caller);
        party_release(world.newest);
        settle(&world);
    }
}

/* --- odd clients: what a server answers --- */

static void test_odd_clients(void **state)
{
    static const struct {
        const char *method, *path, *type, *body;
        size_t len;
        unsigned http;
        const char *status; /* in the head or the trailers; NULL: none */
        bool trailers_only;
    } cases[] = {
        {"GET", "/test.S/Echo", "application/grpc", "", 0, 405, NULL, true},
        {"POST", "/test.S/Echo", "application/json", "", 0, 415, NULL, true},
        {"POST", "/test.S/Echo", "application/grpc", "", 0, 200, "13", true},
        {"POST", "/test.S/Echo", "application/grpc", "\0\0\0\0\5x", 6, 200, "13", true},
        {"POST", "/test.S/Echo", "application/grpc", "\1\0\0\0\1x", 6, 200, "12", true},
        {"POST", "/test.S/Echo", "application/grpc", "\0\377\0\0\1x", 6, 200, "8", true},
        {"POST", "/test.S/Hold", "application/grpc", "\0\0\0\0\1x\0\0\0\0\1x", 12, 200, "13", true},
        {"POST", "/test.S/Echo", "application/grpc", "\0\0\0\0\1x", 6, 200, "0", false},
        {"POST", "/test.S/Echo/", "application/grpc", "\0\0\0\0\1x", 6, 200, "12", true},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct party *party = request_with(&world, cases[i].method, cases[i].path,
                                           (const char *const[]){"content-type", cases[i].type, NULL}, false);
        const struct http_field *status;

        party->stream->ops->send_data(party->stream, slice_of(cases[i].body, cases[i].len), true);
        settle(&world);
        assert_true(party->head_seen && party->ended);
        assert_int_equal(party->head.status, cases[i].http);
        status = http_find(&party->head, HTTP_TOKEN_GRPC_STATUS);
        assert_int_equal(status != NULL, cases[i].status && cases[i].trailers_only);
        if (status)
            assert_true(slice_eq(status->value, slice_str(cases[i].status)));
        if (!cases[i].trailers_only) {
            assert_memory_equal(party->trailers.data, "grpc-status: 0\n", 15);
            assert_int_equal(party->body_len, 6);
        }
        party_release(party);
        settle(&world);
    }
    assert_int_equal(seen.started, seen.handled);
}

/* Many calls at once over one connection, some cancelled, in an order by seed; all ends meet. */
static void test_many_calls(void **state)
{
    enum { CALLS = 50 };
    struct caller callers[CALLS];
    struct rng rng;

    rng_seed(&rng, 7);
    for (int round = 0; round < 20; round++) {
        for (int i = 0; i < CALLS; i++) {
            static char bytes[100000];

            assert_int_equal(start(&callers[i], rng_below(&rng, 3) ? "/test.S/Echo" : "/test.S/Fail",
                                   slice_of(bytes, rng_below(&rng, sizeof(bytes))), 0), 0);
            if (callers[i].call && rng_below(&rng, 4) == 0) {
                grpc_call_cancel(callers[i].call);
                callers[i].call = NULL;
            }
        }
        settle(&world);
        for (int i = 0; i < CALLS; i++) {
            assert_null(callers[i].call);
            caller_release(&callers[i]);
        }
    }
    assert_int_equal(seen.started, seen.handled);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(test_unary),           TEST(test_request_head),
        TEST(test_errors_of_methods), TEST(test_streams),
        TEST(test_queue),           TEST(test_cancelled_by_the_client),
        TEST(test_deadline),        TEST(test_connection_lost),
        TEST(test_odd_servers),     TEST(test_odd_clients),
        TEST(test_many_calls),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
