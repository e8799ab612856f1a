/*
 * What the engine takes from malloc: an idle session is small, and every single allocation may fail without a
 * crash, a leak or a lie. The linker puts these wraps in the place of malloc for all of our code.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <malloc.h>
#include <stdio.h>

#include "codec/h2/h2.h"
#include "codec/h2/h2_frame.h"

void *__real_malloc(size_t size);
void *__real_calloc(size_t count, size_t size);
void *__real_realloc(void *what, size_t size);
void __real_free(void *what);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t count, size_t size);
void *__wrap_realloc(void *what, size_t size);
void __wrap_free(void *what);

static size_t in_use;   /* bytes, as glibc's allocator would take them */
static long fail_after; /* this many allocations succeed; negative: all */
static unsigned long allocations;

/* A chunk of glibc's: a word in front, multiples of 16, at least 32. */
static size_t chunk(void *what)
{
    size_t size = (malloc_usable_size(what) + sizeof(size_t) + 15) & ~(size_t)15;

    return size < 32 ? 32 : size;
}

static bool refused(void)
{
    allocations++;
    return fail_after >= 0 && fail_after-- == 0;
}

static void *counted(void *what)
{
    if (what)
        in_use += chunk(what);
    return what;
}

void *__wrap_malloc(size_t size)
{
    return refused() ? NULL : counted(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size)
{
    return refused() ? NULL : counted(__real_calloc(count, size));
}

void *__wrap_realloc(void *what, size_t size)
{
    size_t before = what ? chunk(what) : 0;
    void *now = refused() ? NULL : __real_realloc(what, size);

    if (now)
        in_use += chunk(now) - before;
    return now;
}

void __wrap_free(void *what)
{
    if (what)
        in_use -= chunk(what);
    __real_free(what);
}

/* --- two engines that answer each other --- */

struct duo {
    struct page_pool pages;
    struct chain to_server, to_client;
    struct h2_conn client, server;
    struct h2_config config;
    struct arena arena;
    unsigned answers, resets;
};

static struct arena *head_arena(struct h2_stream *stream)
{
    return &((struct duo *)stream->conn->owner)->arena;
}

static void server_answers(struct h2_stream *stream)
{
    struct http_field fields[] = {{SLICE_LIT("content-type"), SLICE_LIT("text/plain"), HTTP_TOKEN_CONTENT_TYPE, 0},
                                  {SLICE_LIT("date"), SLICE_LIT("Tue, 15 Nov 1994 08:12:31 GMT"), HTTP_TOKEN_DATE, 0},
                                  {SLICE_LIT("Server"), SLICE_LIT("nginx/1.22.1"), HTTP_TOKEN_OTHER, 0},
                                  {SLICE_LIT("content-length"), SLICE_LIT("5"), HTTP_TOKEN_CONTENT_LENGTH, 0}};
    struct http_head head = {.status = 200, .fields = fields, .count = 4};

    if (h2_respond(stream, &head, false) < 0 || h2_data(stream, SLICE_LIT("hello"), true) != 5)
        h2_reset(stream, H2_INTERNAL_ERROR);
    h2_stream_release(stream);
}

static void server_on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    if (end)
        server_answers(stream);
}

static void server_on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    h2_consume(stream, bytes.len);
    if (end)
        server_answers(stream);
}

static void on_trailers(struct h2_stream *stream, const struct http_field *fields, unsigned count)
{
    server_answers(stream);
}

static void on_reset(struct h2_stream *stream, struct h2_reset_info why)
{
    ((struct duo *)stream->conn->owner)->resets++;
    h2_stream_release(stream);
}

static void on_writable(struct h2_stream *stream)
{
}

static void client_on_head(struct h2_stream *stream, struct http_head *head, bool end)
{
    assert_int_equal(head->status, 200);
}

static void client_on_data(struct h2_stream *stream, struct slice bytes, bool end)
{
    h2_consume(stream, bytes.len);
    if (!end)
        return;
    ((struct duo *)stream->conn->owner)->answers++;
    h2_stream_release(stream);
}

static const struct h2_events server_events = {.head_arena = head_arena,
                                               .on_head = server_on_head,
                                               .on_data = server_on_data,
                                               .on_trailers = on_trailers,
                                               .on_reset = on_reset,
                                               .on_writable = on_writable};
static const struct h2_events client_events = {.head_arena = head_arena,
                                               .on_head = client_on_head,
                                               .on_data = client_on_data,
                                               .on_trailers = on_trailers,
                                               .on_reset = on_reset,
                                               .on_writable = on_writable};

/* In pieces, so that frames are gathered too. */
static void carry_one(struct chain *from, struct h2_conn *to, size_t most)
{
    while (!chain_empty(from)) {
        struct slice front = slice_take(chain_front(from), most);

        h2_input(to, front, 0);
        chain_drop(from, front.len);
    }
}

static void carry(struct duo *duo, size_t most)
{
    while (!chain_empty(&duo->to_server) || !chain_empty(&duo->to_client)) {
        carry_one(&duo->to_server, &duo->server, most);
        carry_one(&duo->to_client, &duo->client, most);
    }
}

static int request(struct duo *duo, unsigned number, bool body)
{
    struct http_field fields[] = {{SLICE_LIT("User-Agent"), SLICE_LIT("curl/7.88.1"), HTTP_TOKEN_USER_AGENT, 0},
                                  {SLICE_LIT("accept"), SLICE_LIT("*/*"), HTTP_TOKEN_OTHER, 0},
                                  {SLICE_LIT("l5d-dst-canonical"), SLICE_LIT("web.emojivoto.svc.cluster.local:80"),
                                   HTTP_TOKEN_L5D_DST_CANONICAL, 0},
                                  {SLICE_LIT("traceparent"),
                                   SLICE_LIT("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
                                   HTTP_TOKEN_OTHER, 0}};
    struct http_head head = {.method = SLICE_LIT("POST"),
                             .scheme = SLICE_LIT("http"),
                             .fields = fields,
                             .count = 4,
                             .authority = SLICE_LIT("web.emojivoto.svc.cluster.local:80")};
    struct h2_stream *stream;
    char path[40];
    int r;

    head.path = slice_of(path, (size_t)snprintf(path, sizeof(path), "/api/list?page=%u", number));
    r = h2_request(&duo->client, &head, !body, NULL, &stream);
    if (r < 0)
        return r;
    if (!body || h2_data(stream, SLICE_LIT("a body"), true) == 6)
        return 0;
    h2_stream_release(stream);
    return -ENOMEM;
}

static int duo_init(struct duo *duo)
{
    int r;

    *duo = (struct duo){0};
    page_pool_init(&duo->pages, 0, 100);
    chain_init(&duo->to_server, &duo->pages);
    chain_init(&duo->to_client, &duo->pages);
    arena_init(&duo->arena, 1 << 20);
    r = h2_init(&duo->client, H2_CLIENT, &duo->config, &client_events, duo, &duo->to_server);
    if (r == 0)
        r = h2_init(&duo->server, H2_SERVER, &duo->config, &server_events, duo, &duo->to_client);
    return r;
}

static void duo_release(struct duo *duo)
{
    if (duo->client.owner) {
        h2_close(&duo->client);
        h2_release(&duo->client);
    }
    if (duo->server.owner) {
        h2_close(&duo->server);
        h2_release(&duo->server);
    }
    chain_clear(&duo->to_server);
    chain_clear(&duo->to_client);
    page_pool_release(&duo->pages);
    arena_release(&duo->arena);
}

/* --- how small --- */

static void test_idle_session(void **state)
{
    size_t before = in_use, both, trimmed;
    struct duo duo;

    fail_after = -1;
    assert_int_equal(duo_init(&duo), 0);
    for (unsigned i = 0; i < 100; i++) {
        assert_int_equal(request(&duo, i, i % 2), 0);
        carry(&duo, 100000);
        arena_release(&duo.arena);
    }
    assert_int_equal(duo.answers, 100);
    both = in_use - before;
    h2_trim(&duo.client);
    h2_trim(&duo.server);
    trimmed = in_use - before;
    print_message("struct %zu, stream %zu; per session on the heap %zu, trimmed %zu\n", sizeof(struct h2_conn),
                  sizeof(struct h2_stream), both / 2, trimmed / 2);
    assert_true(trimmed / 2 + sizeof(struct h2_conn) <= 4096);
    /* And it works on. */
    assert_int_equal(request(&duo, 100, true), 0);
    carry(&duo, 100000);
    assert_int_equal(duo.answers, 101);
    duo_release(&duo);
    assert_int_equal(in_use, before);
}

/* --- every allocation fails once --- */

static void scenario(struct duo *duo)
{
    if (duo_init(duo) < 0)
        return;
    for (unsigned i = 0; i < 40; i++) {
        request(duo, i, i % 2);
        if (i % 3 == 0)
            carry(duo, i % 2 ? 7 : 100000);
        if (i == 20) {
            h2_trim(&duo->client);
            h2_trim(&duo->server);
        }
    }
    carry(duo, 100);
}

static void test_failing_allocations(void **state)
{
    size_t before = in_use;
    unsigned long all;
    struct duo duo;

    fail_after = -1;
    allocations = 0;
    scenario(&duo);
    assert_int_equal(duo.answers, 40);
    duo_release(&duo);
    all = allocations;
    assert_true(all > 50);
    for (unsigned long n = 0; n < all; n++) {
        fail_after = (long)n;
        scenario(&duo);
        fail_after = -1;
        assert_true(duo.client.failed == 0 || duo.client.failed == -ENOMEM || duo.client.failed == -EPROTO);
        duo_release(&duo);
        assert_int_equal(in_use, before);
    }
    print_message("%lu allocations failed, one at a time\n", all);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_idle_session),
        cmocka_unit_test(test_failing_allocations),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
