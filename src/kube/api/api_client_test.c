#include "kube/api/api_world.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/duration.h"

static struct api_world world;

struct asked {
    struct api_call *call; /* NULL: over */
    struct buffer data;    /* streamed */
    unsigned ends;
    int status, error;
    char why[512], etag[64];
    struct buffer body;
    int64_t retry_after_ns;
};

static void on_data(struct api_call *call, struct slice bytes)
{
    buffer_add(&((struct asked *)api_call_owner(call))->data, bytes);
}

static void on_end(struct api_call *call, const struct api_answer *answer)
{
    struct asked *asked = api_call_owner(call);

    asked->call = NULL;
    asked->ends++;
    asked->status = answer->status;
    asked->error = answer->error;
    asked->retry_after_ns = answer->retry_after_ns;
    snprintf(asked->why, sizeof(asked->why), "%s", answer->why ? answer->why : "");
    snprintf(asked->etag, sizeof(asked->etag), "%.*s", SLICE_ARGS(answer->etag));
    buffer_add(&asked->body, answer->body);
}

static const struct api_call_events whole = {.on_end = on_end}, streamed = {.on_data = on_data, .on_end = on_end};

static void ask(struct asked *asked, const struct api_request *request, const struct api_call_events *events)
{
    *asked = (struct asked){0};
    buffer_init(&asked->data, 1 << 26);
    buffer_init(&asked->body, 1 << 26);
    assert_int_equal(api_call_start(world.client, request, events, asked, &asked->call), 0);
}

static void get(struct asked *asked, const char *path)
{
    ask(asked, &(struct api_request){.path = slice_str(path)}, &whole);
}

static void forget(struct asked *asked)
{
    api_call_cancel(asked->call);
    buffer_release(&asked->data);
    buffer_release(&asked->body);
}

#define assert_body(asked, text) assert_true(slice_eq(buffer_slice(&(asked).body), SLICE_LIT(text)))

static int setup_h2(void **state)
{
    api_world_init(&world, false);
    return 0;
}

static int setup_h1(void **state)
{
    api_world_init(&world, true);
    return 0;
}

static int teardown(void **state)
{
    api_world_release(&world);
    return 0;
}

static void test_acting_for_another(void **state)
{
    const char *group = "ops";
    struct served *served;
    struct asked asked;

    assert_int_equal(kube_access_impersonate(&world.access, SLICE_LIT("ann"), &group, 1, NULL), 0);
    get(&asked, "/version");
    served = api_next(&world, "GET /version");
    assert_string_equal(served->as, "ann");
    assert_string_equal(served->as_group, "ops");
    api_answer(served, 200, NULL, "{}");
    forget(&asked);
}

static void test_get(void **state)
{
    struct asked asked;
    struct served *served;

    get(&asked, "/api/v1/pods?limit=1");
    served = api_next(&world, "GET /api/v1/pods?limit=1");
    assert_string_equal(served->authorization, "Bearer secret");
    assert_string_equal(served->accept, "application/json");
    api_answer(served, 200, "etag: \"x\"", "{\"kind\":\"PodList\"}");
    assert_int_equal(asked.ends, 1);
    assert_int_equal(asked.status, 200);
    assert_int_equal(asked.error, 0);
    assert_body(asked, "{\"kind\":\"PodList\"}");
    assert_string_equal(asked.etag, "\"x\"");
    forget(&asked);
    ask(&asked, &(struct api_request){.path = SLICE_LIT("/apis"), .if_none_match = SLICE_LIT("\"x\"")}, &whole);
    served = api_next(&world, "GET /apis");
    assert_string_equal(served->if_none_match, "\"x\"");
    api_answer(served, 304, NULL, "");
    assert_int_equal(asked.status, 304);
    assert_int_equal(asked.error, 0);
    forget(&asked);
    assert_int_equal(world.connects, 1); /* for both */
}

static void test_verbs(void **state)
{
    static const struct {
        const char *method, *type;
    } verbs[] = {{"POST", API_JSON}, {"PUT", API_JSON}, {"PATCH", API_MERGE_PATCH}, {"PATCH", API_STRATEGIC_PATCH}, {"PATCH", API_APPLY_PATCH}};
    struct asked asked;
    struct served *served;
    char expected[64], *large = malloc(300001);

    memset(large, 'x', 300000);
    large[300000] = '\0';
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]); i++) {
        ask(&asked, &(struct api_request){.method = verbs[i].method, .path = SLICE_LIT("/x"), .content_type = slice_str(verbs[i].type),
                                          .body = i ? SLICE_LIT("{}") : slice_str(large)}, &whole);
        snprintf(expected, sizeof(expected), "%s /x", verbs[i].method);
        served = api_next(&world, expected);
        assert_true(served->ended);
        assert_string_equal(served->content_type, verbs[i].type);
        assert_int_equal(served->body.len, i ? 2 : 300000);
        api_answer(served, 201, NULL, "{}");
        assert_int_equal(asked.status, 201);
        assert_int_equal(asked.error, 0);
        forget(&asked);
    }
    free(large);
    ask(&asked, &(struct api_request){.method = "DELETE", .path = SLICE_LIT("/x")}, &whole);
    api_answer(api_next(&world, "DELETE /x"), 200, NULL, "{}");
    assert_int_equal(asked.error, 0);
    forget(&asked);
}

/* Errors name the request, what the server said and what to do. */
static void test_errors(void **state)
{
    static const struct {
        unsigned status;
        const char *body;
        int error;
        const char *why;
    } cases[] = {
        {403, "{\"kind\":\"Status\",\"metadata\":{},\"message\":\"pods is forbidden\",\"code\":403}", -EPERM,
         "GET https://10.96.0.1:443/x: status 403: pods is forbidden; the role of this user or service account must allow it"},
        {404, "404 page not found\n", -ENOENT, "GET https://10.96.0.1:443/x: status 404: 404 page not found"},
        {410, "", -ESTALE, "GET https://10.96.0.1:443/x: status 410"},
        {422, "{", -EINVAL, "GET https://10.96.0.1:443/x: status 422: {"},
        {500, "\xff", -EPROTO, "GET https://10.96.0.1:443/x: status 500"},
        {409, "", -EEXIST, "GET https://10.96.0.1:443/x: status 409"},
        {301, "", -EPROTO, "GET https://10.96.0.1:443/x: status 301"},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct asked asked;

        get(&asked, "/x");
        api_answer(api_next(&world, "GET /x"), cases[i].status, NULL, cases[i].body);
        assert_int_equal(asked.status, cases[i].status);
        assert_int_equal(asked.error, cases[i].error);
        assert_string_equal(asked.why, cases[i].why);
        forget(&asked);
    }
}

static void test_unauthorized(void **state)
{
    char path[] = "/tmp/api_client_test.XXXXXX";
    int fd = mkstemp(path);
    struct asked asked;
    struct served *served;

    assert_int_equal(write(fd, "old", 3), 3);
    world.access.token_file = slice_str(path);
    get(&asked, "/x");
    served = api_next(&world, "GET /x");
    assert_string_equal(served->authorization, "Bearer old");
    assert_int_equal(pwrite(fd, "new", 3, 0), 3);
    api_answer(served, 401, NULL, "{}");
    served = api_next(&world, "GET /x");
    assert_string_equal(served->authorization, "Bearer new");
    api_answer(served, 200, NULL, "{}");
    assert_int_equal(asked.status, 200);
    forget(&asked);
    get(&asked, "/x");
    api_answer(api_next(&world, "GET /x"), 401, NULL, "{}");
    api_answer(api_next(&world, "GET /x"), 401, NULL, "{}"); /* once is enough */
    assert_int_equal(asked.error, -EACCES);
    assert_non_null(strstr(asked.why, "check the credentials"));
    forget(&asked);
    unlink(path);
    get(&asked, "/x");
    world.access.token = SLICE_LIT("");
    api_settle(&world);
    assert_int_equal(asked.error, -ENOENT);
    assert_non_null(strstr(asked.why, path));
    forget(&asked);
    close(fd);
}

static void test_retry_after(void **state)
{
    struct asked asked;

    get(&asked, "/x");
    api_answer(api_next(&world, "GET /x"), 429, "retry-after: 3", "{}");
    api_pass(&world, 2 * NS_PER_S);
    api_expect_quiet(&world);
    api_pass(&world, NS_PER_S);
    api_answer(api_next(&world, "GET /x"), 503, "retry-after: 1", "{}");
    api_pass(&world, NS_PER_S);
    api_answer(api_next(&world, "GET /x"), 200, NULL, "{}");
    assert_int_equal(asked.status, 200);
    forget(&asked);
    get(&asked, "/x");
    api_answer(api_next(&world, "GET /x"), 429, "retry-after: 100", "{}"); /* beyond the deadline: told */
    assert_int_equal(asked.error, -EBUSY);
    assert_true(asked.retry_after_ns == 100 * NS_PER_S);
    forget(&asked);
    get(&asked, "/x");
    api_answer(api_next(&world, "GET /x"), 503, NULL, "");
    assert_int_equal(asked.error, -EBUSY);
    forget(&asked);
}

static void test_stream(void **state)
{
    struct asked watch, other;
    struct served *served;

    ask(&watch, &(struct api_request){.path = SLICE_LIT("/watch")}, &streamed);
    served = api_next(&world, "GET /watch");
    api_send(served, "one");
    assert_true(slice_eq(buffer_slice(&watch.data), SLICE_LIT("one")));
    api_pass(&world, 3600 * NS_PER_S); /* a stream has no deadline once it has begun */
    api_send(served, "two");
    get(&other, "/x"); /* beside it */
    api_answer(api_next(&world, "GET /x"), 200, NULL, "{}");
    assert_int_equal(other.status, 200);
    assert_int_equal(world.connects, world.http1 ? 2 : 1);
    api_end(served);
    assert_true(slice_eq(buffer_slice(&watch.data), SLICE_LIT("onetwo")));
    assert_int_equal(watch.ends, 1);
    assert_int_equal(watch.error, 0);
    forget(&other);
    forget(&watch);
    ask(&watch, &(struct api_request){.path = SLICE_LIT("/watch")}, &streamed);
    api_answer(api_next(&world, "GET /watch"), 410, NULL, "{\"kind\":\"Status\",\"message\":\"too old\"}");
    assert_int_equal(watch.data.len, 0);
    assert_int_equal(watch.error, -ESTALE);
    forget(&watch);
    ask(&watch, &(struct api_request){.path = SLICE_LIT("/watch")}, &streamed);
    served = api_next(&world, "GET /watch");
    api_send(served, "x");
    api_cut(&world);
    assert_int_equal(watch.error, -ECONNRESET);
    assert_int_equal(watch.status, 200);
    forget(&watch);
    ask(&watch, &(struct api_request){.path = SLICE_LIT("/watch")}, &streamed);
    served = api_next(&world, "GET /watch");
    api_send(served, "x");
    forget(&watch); /* cancelled: the server hears of it */
    api_settle(&world);
    assert_true(served->gone);
}

static void test_deadline(void **state)
{
    struct asked asked;
    struct served *served;

    get(&asked, "/x");
    served = api_next(&world, "GET /x");
    api_pass(&world, 29 * NS_PER_S);
    assert_int_equal(asked.ends, 0);
    api_pass(&world, 2 * NS_PER_S);
    assert_int_equal(asked.error, -ETIMEDOUT);
    assert_string_equal(asked.why, "GET https://10.96.0.1:443/x: no answer in time");
    api_settle(&world);
    assert_true(served->gone);
    forget(&asked);
}

static void test_no_server(void **state)
{
    struct asked asked, later;

    world.refuse = true;
    get(&asked, "/x");
    api_settle(&world);
    assert_int_equal(asked.error, -ECONNREFUSED);
    assert_string_equal(asked.why, "GET https://10.96.0.1:443/x: cannot connect to 10.96.0.1:443: Connection refused");
    forget(&asked);
    get(&later, "/x"); /* waits for the next attempt, and no other is made before it */
    api_settle(&world);
    assert_int_equal(world.connects, 1);
    world.refuse = false;
    api_pass(&world, NS_PER_S);
    api_answer(api_next(&world, "GET /x"), 200, NULL, "{}");
    assert_int_equal(later.status, 200);
    assert_int_equal(world.connects, 2);
    forget(&later);
}

static void test_stranger(void **state)
{
    struct asked asked;

    world.access.tls_server_name = SLICE_LIT("other.test");
    get(&asked, "/x");
    api_settle(&world);
    assert_int_equal(asked.error, -ECONNREFUSED);
    assert_non_null(strstr(asked.why, "TLS: the server's certificate is not for other.test, but for kubernetes.test; use one of those"));
    api_expect_quiet(&world);
    forget(&asked);
}

/* A connection that says goodbye finishes what runs; what comes next has a new one. */
static void test_goodbye(void **state)
{
    struct asked watch, next;
    struct served *served;

    ask(&watch, &(struct api_request){.path = SLICE_LIT("/watch")}, &streamed);
    served = api_next(&world, "GET /watch");
    api_send(served, "one");
    api_goodbye(&world);
    get(&next, "/x");
    api_answer(api_next(&world, "GET /x"), 200, NULL, "{}");
    assert_int_equal(next.status, 200);
    assert_int_equal(world.connects, 2);
    api_send(served, "two");
    api_end(served);
    assert_int_equal(watch.error, 0);
    assert_true(slice_eq(buffer_slice(&watch.data), SLICE_LIT("onetwo")));
    forget(&watch);
    forget(&next);
}

static void test_alone(void **state)
{
    struct asked list, other;
    struct served *served;

    get(&other, "/x");
    api_answer(api_next(&world, "GET /x"), 200, NULL, "{}");
    forget(&other);
    ask(&list, &(struct api_request){.path = SLICE_LIT("/list"), .alone = true}, &streamed);
    served = api_next(&world, "GET /list");
    assert_int_equal(world.connects, 2);
    api_send(served, "items");
    api_end(served);
    assert_int_equal(list.error, 0);
    forget(&list);
    api_pass(&world, 30 * NS_PER_S);
    assert_true(world.peers.next == world.peers.prev); /* one is left */
    ask(&list, &(struct api_request){.path = SLICE_LIT("/list"), .alone = true}, &streamed);
    forget(&list); /* given up before there is a connection */
    api_settle(&world);
    api_expect_quiet(&world);
    world.refuse = true;
    ask(&list, &(struct api_request){.path = SLICE_LIT("/list"), .alone = true}, &streamed);
    api_settle(&world);
    assert_int_equal(list.error, -ECONNREFUSED);
    forget(&list);
}

/* A call that is given up delays no other, also where its connection goes with it. */
static void test_given_up(void **state)
{
    struct asked first, second;

    get(&first, "/first");
    api_settle(&world);
    get(&second, "/second");
    forget(&first);
    api_next(&world, "GET /first");
    api_answer(api_next(&world, "GET /second"), 200, NULL, "{}");
    assert_int_equal(second.status, 200);
    forget(&second);
}

static void test_alone_and_cut(void **state)
{
    struct asked list;
    struct served *served;

    ask(&list, &(struct api_request){.path = SLICE_LIT("/list"), .alone = true}, &streamed);
    served = api_next(&world, "GET /list");
    api_send(served, "half");
    api_cut(&world);
    assert_int_equal(list.error, -ECONNRESET);
    forget(&list);
    ask(&list, &(struct api_request){.path = SLICE_LIT("/list"), .alone = true}, &streamed);
    api_next(&world, "GET /list");
    forget(&list);
    api_settle(&world);
    ask(&list, &(struct api_request){.path = SLICE_LIT("/list"), .alone = true}, &streamed);
    api_pass(&world, NS_PER_S);
    api_send(api_next(&world, "GET /list"), "x"); /* runs when the client ends */
    api_call_cancel(list.call);
    list.call = NULL;
    forget(&list);
}

/* Pings find out that nobody is there any more; while they are answered a quiet watch stays. */
static void test_silent_server(void **state)
{
    struct asked watch;

    ask(&watch, &(struct api_request){.path = SLICE_LIT("/watch")}, &streamed);
    api_send(api_next(&world, "GET /watch"), "one");
    api_pass(&world, 60 * NS_PER_S);
    assert_int_equal(watch.ends, 0);
    api_mute(&world);
    api_pass(&world, 11 * NS_PER_S);
    api_pass(&world, 6 * NS_PER_S);
    assert_int_equal(watch.error, -ECONNRESET);
    forget(&watch);
    ask(&watch, &(struct api_request){.path = SLICE_LIT("/watch")}, &streamed);
    api_send(api_next(&world, "GET /watch"), "two");
    forget(&watch);
}

#define BOTH(test)                                                                                                      \
    {#test ", HTTP/2", test, setup_h2, teardown, NULL}, {#test ", HTTP/1.1", test, setup_h1, teardown, NULL}

int main(void)
{
    const struct CMUnitTest tests[] = {
        BOTH(test_get), BOTH(test_acting_for_another), BOTH(test_verbs), BOTH(test_errors), BOTH(test_unauthorized), BOTH(test_retry_after), BOTH(test_stream),
        BOTH(test_deadline), BOTH(test_no_server), BOTH(test_stranger), BOTH(test_alone), BOTH(test_given_up), BOTH(test_alone_and_cut),
        cmocka_unit_test_setup_teardown(test_goodbye, setup_h2, teardown),
        cmocka_unit_test_setup_teardown(test_silent_server, setup_h2, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
