#include "kube/event_sink.h"

#include <stdio.h>

#include "base/duration.h"
#include "base/limits.h"
#include "codec/yaml/yaml.h"
#include "kube/api/api_world.h"
#include "kube/timestamp.h"

static struct api_world world;
static struct event_sink *sink;
static unsigned troubles;
static char trouble[512];

static const struct event_object deployment = {{"apps/v1", 7}, {"Deployment", 10}, {"linkerd", 7}, {"linkerd-identity", 16}, {"u-1", 3}};
#define EVENTS "/api/v1/namespaces/linkerd/events"

static void on_trouble(void *owner, const char *why)
{
    troubles++;
    snprintf(trouble, sizeof(trouble), "%s", why);
}

static int setup(void **state)
{
    api_world_init(&world, false);
    troubles = 0;
    return event_sink_new(world.client, &(struct event_sink_options){"linkerd-identity", "pod-1", on_trouble, NULL}, &sink);
}

static int teardown(void **state)
{
    event_sink_free(sink);
    api_world_release(&world);
    return 0;
}

static void post(const char *reason, const char *message)
{
    event_sink_post(sink, &deployment, EVENT_NORMAL, slice_str(reason), slice_str(message));
}

static bool contains(const struct served *served, const char *text)
{
    struct slice body = buffer_slice(&served->body);

    return slice_find_slice(body, slice_str(text)) < body.len;
}

#define assert_says(served, text)                                          \
    do {                                                                   \
        if (!contains(served, text))                                       \
            fail_msg("%s is not in %.*s", text, SLICE_ARGS(buffer_slice(&(served)->body))); \
    } while (0)

/* Taken by the server: a new one. */
static void take_new(void)
{
    api_answer(api_next(&world, "POST " EVENTS), 201, NULL, "{}");
}

static void assert_counts(uint64_t posted, uint64_t dropped)
{
    assert_int_equal(event_sink_counts(sink).posted, posted);
    assert_int_equal(event_sink_counts(sink).dropped, dropped);
}

/* The "name" of an Event's metadata. */
static void name_of(const struct served *served, char name[300])
{
    struct slice rest = buffer_slice(&served->body);

    rest = slice_skip(rest, slice_find_slice(rest, SLICE_LIT("\"metadata\":{\"name\":\"")) + 20);
    snprintf(name, 300, "%.*s", SLICE_ARGS(slice_take(rest, slice_find(rest, '"'))));
}

/* The next request patches the Event that this one made. */
static struct served *next_patch(const struct served *made)
{
    char expected[400], name[300];

    name_of(made, name);
    snprintf(expected, sizeof(expected), "PATCH " EVENTS "/%s", name);
    return api_next(&world, expected);
}

static void test_event(void **state)
{
    char wall[TIMESTAMP_TEXT_MAX], expected[128], name[300];
    struct served *served;
    struct yaml_problem problem;
    struct yaml_node *root;
    struct arena arena;

    event_sink_post(sink, &deployment, EVENT_WARNING, SLICE_LIT("IssuerUpdateSkipped"), SLICE_LIT("it says \"no\"\n"));
    served = api_next(&world, "POST " EVENTS);
    assert_string_equal(served->content_type, API_JSON);
    assert_says(served, "{\"apiVersion\":\"v1\",\"kind\":\"Event\",\"metadata\":{\"name\":\"linkerd-identity.");
    assert_says(served, "\"involvedObject\":{\"name\":\"linkerd-identity\",\"apiVersion\":\"apps/v1\",\"kind\":\"Deployment\",\"namespace\":\"linkerd\",\"uid\":\"u-1\"}");
    assert_says(served, "\"type\":\"Warning\",\"reason\":\"IssuerUpdateSkipped\",\"message\":\"it says \\\"no\\\"\\n\",\"count\":1");
    assert_says(served, "\"source\":{\"component\":\"linkerd-identity\"},\"reportingComponent\":\"linkerd-identity\",\"reportingInstance\":\"pod-1\"");
    timestamp_format(FIXTURE_WALL, wall);
    snprintf(expected, sizeof(expected), "\"firstTimestamp\":\"%s\",\"lastTimestamp\":\"%s\"", wall, wall);
    assert_says(served, expected);
    name_of(served, name);
    assert_int_equal(strlen(name), strlen("linkerd-identity.0123456789abcdef"));
    arena_init(&arena, 1 << 20);
    assert_int_equal(yaml_parse(&arena, buffer_slice(&served->body), 1, JSON, &root, &problem), 0);
    arena_release(&arena);
    api_answer(served, 201, NULL, "{}");
    assert_counts(1, 0);
    api_expect_quiet(&world);
}

/* Of an object without a namespace, and without what need not be known. */
static void test_bare(void **state)
{
    struct served *served;

    event_sink_post(sink, &(struct event_object){.kind = SLICE_LIT("Node"), .name = SLICE_LIT("n1")}, EVENT_NORMAL, SLICE_LIT("X"), SLICE_LIT("y"));
    served = api_next(&world, "POST /api/v1/namespaces/default/events");
    assert_says(served, "\"involvedObject\":{\"name\":\"n1\",\"kind\":\"Node\"}");
    assert_says(served, "\"namespace\":\"default\"");
    event_sink_post(sink, &(struct event_object){.kind = SLICE_LIT("Node")}, EVENT_NORMAL, SLICE_LIT("X"), SLICE_LIT("y"));
    api_answer(served, 201, NULL, "{}");
    assert_counts(1, 1); /* one about nothing */
}

static void test_cut(void **state)
{
    char message[2000], name[300];
    struct served *served;
    struct event_object object = deployment;

    memset(message, 'a', sizeof(message));
    memcpy(message + LIMIT_EVENT_MESSAGE - 1, "\xc3\xa4", 2); /* would be cut in two */
    memset(name, 'n', sizeof(name));
    name[235] = '.';
    object.name = slice_of(name, 253);
    event_sink_post(sink, &object, EVENT_NORMAL, SLICE_LIT("X"), slice_of(message, sizeof(message)));
    served = api_next(&world, "POST " EVENTS);
    message[LIMIT_EVENT_MESSAGE - 1] = '"';
    message[LIMIT_EVENT_MESSAGE] = '\0';
    assert_says(served, message);
    name_of(served, message);
    assert_int_equal(strlen(message), 235 + 17);
    object.name = slice_of(message, 2000);
    event_sink_post(sink, &object, EVENT_NORMAL, SLICE_LIT("X"), slice_of(message, sizeof(message)));
    assert_counts(0, 1);
}

/* Equal ones are counted in the Event that there is, not more often than every ten seconds. */
static void test_equal(void **state)
{
    struct served *made, *patch;

    post("A", "x");
    post("A", "x"); /* in the same turn: one request says both */
    made = api_next(&world, "POST " EVENTS);
    assert_says(made, "\"count\":2");
    post("A", "x"); /* while it is sent */
    api_answer(made, 201, NULL, "{}");
    for (int i = 0; i < 1000; i++)
        post("A", "x");
    api_expect_quiet(&world);
    api_pass(&world, EVENT_SPACING_NS);
    patch = next_patch(made);
    assert_string_equal(patch->content_type, API_MERGE_PATCH);
    assert_says(patch, "{\"count\":1003,\"lastTimestamp\":\"");
    api_answer(patch, 200, NULL, "{}");
    assert_counts(1003, 0);
    api_pass(&world, 3600 * NS_PER_S);
    api_expect_quiet(&world);
    post("A", "x");
    patch = next_patch(made);
    assert_says(patch, "\"count\":1004");
    api_answer(patch, 404, NULL, "{}"); /* the server has forgotten it */
    made = api_next(&world, "POST " EVENTS);
    assert_says(made, "\"count\":1004");
    api_answer(made, 201, NULL, "{}");
    assert_counts(1004, 0);
    assert_int_equal(troubles, 0);
}

/* What differs in anything is another. */
static void test_different(void **state)
{
    struct event_object other = deployment;

    other.uid = SLICE_LIT("u-2");
    post("A", "x");
    post("A", "y");
    post("B", "x");
    event_sink_post(sink, &other, EVENT_NORMAL, SLICE_LIT("A"), SLICE_LIT("x"));
    event_sink_post(sink, &deployment, EVENT_WARNING, SLICE_LIT("A"), SLICE_LIT("x"));
    for (int i = 0; i < 5; i++)
        take_new();
    api_expect_quiet(&world);
    assert_counts(5, 0);
}

/* One object cannot say more for a reason than its share; another reason has its own. */
static void test_budget(void **state)
{
    char message[16];

    for (int i = 0; i < 100; i++) {
        snprintf(message, sizeof(message), "m%d", i);
        post("IssuedLeafCertificate", message);
    }
    post("IssuerUpdated", "x");
    assert_counts(0, 75);
    for (int i = 0; i < EVENT_BURST; i++)
        take_new();
    api_expect_quiet(&world); /* a request a fifth of a second, after so many */
    api_pass(&world, NS_PER_S);
    take_new();
    assert_counts(26, 75);
    post("IssuedLeafCertificate", "later");
    assert_counts(26, 76);
    api_pass(&world, EVENT_REFILL_NS);
    post("IssuedLeafCertificate", "later");
    take_new();
    post("IssuedLeafCertificate", "m100");
    assert_counts(27, 77);
    api_expect_quiet(&world);
}

static void post_about(unsigned number)
{
    struct event_object object = deployment;
    char name[32];

    snprintf(name, sizeof(name), "o%u", number);
    object.name = slice_str(name);
    event_sink_post(sink, &object, EVENT_NORMAL, SLICE_LIT("X"), SLICE_LIT("y"));
}

/* What the server knows may be forgotten, for room; what waits may not. */
static void test_full(void **state)
{
    for (unsigned i = 0; i < LIMIT_EVENTS + 10; i++)
        post_about(i);
    assert_counts(0, 10);
    for (unsigned i = 0; i < LIMIT_EVENTS; i++) {
        if (i >= EVENT_BURST)
            api_pass(&world, NS_PER_S / 5);
        take_new();
    }
    assert_counts(LIMIT_EVENTS, 10);
    for (unsigned i = 1000; i < 1010; i++) {
        api_pass(&world, NS_PER_S);
        post_about(i);
        take_new();
    }
    api_pass(&world, NS_PER_S);
    post_about(0); /* forgotten: a new one */
    take_new();
    api_pass(&world, NS_PER_S);
    post_about(LIMIT_EVENTS - 1); /* known: counted */
    api_settle(&world);
    api_pass(&world, EVENT_SPACING_NS);
    assert_counts(LIMIT_EVENTS + 11, 10);
}

/* Troubles that pass: asked again, told once. */
static void test_away(void **state)
{
    post("A", "x");
    api_answer(api_next(&world, "POST " EVENTS), 500, NULL, "{\"message\":\"etcd\"}");
    assert_int_equal(troubles, 1);
    assert_non_null(strstr(trouble, "status 500"));
    api_expect_quiet(&world);
    api_pass(&world, NS_PER_S);
    api_answer(api_next(&world, "POST " EVENTS), 503, NULL, "{}");
    assert_int_equal(troubles, 1);
    api_pass(&world, NS_PER_S);
    api_answer(api_next(&world, "POST " EVENTS), 409, NULL, "{}"); /* the first had come through all the same */
    assert_counts(1, 0);
    post("B", "x");
    for (int i = 0; i < 11; i++) {
        api_answer(api_next(&world, "POST " EVENTS), 500, NULL, "{}");
        api_pass(&world, 120 * NS_PER_S);
    }
    assert_counts(1, 0);
    api_answer(api_next(&world, "POST " EVENTS), 500, NULL, "{}");
    assert_counts(1, 1); /* given up */
    assert_int_equal(troubles, 2);
    api_pass(&world, 120 * NS_PER_S);
    post("C", "x");
    take_new();
    assert_counts(2, 1);
}

/* Troubles that last: the event is dropped at once, the others go on. */
static void test_refused(void **state)
{
    post("A", "x");
    post("B", "x");
    api_answer(api_next(&world, "POST " EVENTS), 403, NULL, "{\"message\":\"events is forbidden\"}");
    assert_int_equal(troubles, 1);
    assert_non_null(strstr(trouble, "403"));
    assert_counts(0, 1);
    take_new();
    assert_counts(1, 1);
    post("C", "x");
    api_answer(api_next(&world, "POST " EVENTS), 403, NULL, "{}");
    assert_int_equal(troubles, 1); /* not again within five minutes */
    api_pass(&world, 301 * NS_PER_S);
    post("C", "x");
    api_answer(api_next(&world, "POST " EVENTS), 403, NULL, "{}");
    assert_int_equal(troubles, 2);
}

/* Ends with events that wait, are sent and are known. */
static void test_end(void **state)
{
    post("A", "x");
    take_new();
    post("B", "x");
    post("C", "x");
    api_next(&world, "POST " EVENTS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_event, setup, teardown),  cmocka_unit_test_setup_teardown(test_bare, setup, teardown),
        cmocka_unit_test_setup_teardown(test_cut, setup, teardown),    cmocka_unit_test_setup_teardown(test_equal, setup, teardown),
        cmocka_unit_test_setup_teardown(test_different, setup, teardown), cmocka_unit_test_setup_teardown(test_budget, setup, teardown),
        cmocka_unit_test_setup_teardown(test_full, setup, teardown),   cmocka_unit_test_setup_teardown(test_away, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown), cmocka_unit_test_setup_teardown(test_end, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
