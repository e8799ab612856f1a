/* Pods of a node as an API server tells of them, and what is asked of it about those without rules. */
#include "kube/api/api_world.h"

#include <stdio.h>

#include "cni/repair.h"

#define READY "{\"type\":\"Ready\",\"status\":\"True\"}"
#define UNREADY "{\"type\":\"Ready\",\"status\":\"False\"}"
#define BOOKMARK                                                                                                        \
    "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"Pod\",\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define OWNED ",\"ownerReferences\":[{\"apiVersion\":\"apps/v1\",\"kind\":\"ReplicaSet\",\"name\":\"web\",\"uid\":\"r\",\"controller\":true}]"
#define SICK "\"state\":{\"waiting\":{\"reason\":\"CrashLoopBackOff\"}},\"lastState\":{\"terminated\":{\"exitCode\":95}}"
#define WELL "\"state\":{\"terminated\":{\"exitCode\":0}},\"lastState\":{\"terminated\":{\"exitCode\":95}}"
#define EVICTION(name) "/api/v1/namespaces/default/pods/" name "/eviction"

static struct api_world world;
static struct metrics metrics;
static struct journal log_;
static struct repair *repair;
static struct served *pods, *own;
static int families;

/* Nobody asks for anything. */
#define quiet() api_expect_quiet(&world)

static const char *pod(const char *type, const char *name, const char *uid, const char *more, const char *phase, const char *validator)
{
    static char text[2048];

    snprintf(text, sizeof(text),
             "{\"type\":\"%s\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\",\"namespace\":\"default\",\"uid\":\"%s\","
             "\"resourceVersion\":\"7\"%s},\"spec\":{\"nodeName\":\"node1\",\"containers\":[]},\"status\":{\"phase\":\"%s\",\"initContainerStatuses\":"
             "[{\"name\":\"linkerd-network-validator\",%s}]}}}\n",
             type, name, uid, more, phase, validator);
    return text;
}

static void plugin(const char *type, const char *condition)
{
    char text[1024];

    snprintf(text, sizeof(text),
             "{\"type\":\"%s\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"linkerd-cni-1\",\"namespace\":\"linkerd-cni\"},"
             "\"spec\":{\"nodeName\":\"node1\"},\"status\":{\"phase\":\"Running\",\"conditions\":[%s]}}}\n",
             type, condition);
    api_send(own, text);
}

static int64_t count(int family)
{
    repair_measure(repair);
    return metrics_value(&metrics, families + family, SLICE_LIT(""));
}

static int setup(void **state)
{
    struct repair_options options = {.log = &log_, .node = "node1", .namespace_ = SLICE_LIT("linkerd-cni"), .pod = "linkerd-cni-1"};

    api_world_init(&world, false);
    metrics_init(&metrics, 100, 600 * NS_PER_S, 1);
    families = metrics_add_table(&metrics, repair_families, REPAIR_FAMILIES);
    assert_true(families >= 0);
    log_ = (struct journal){fopen("/dev/null", "w"), JOURNAL_DEBUG, false};
    options.client = world.client;
    options.shard = metrics_shard_new(&metrics);
    options.families = families;
    assert_int_equal(repair_new(&options, &repair), 0);
    pods = api_take(&world, "/api/v1/pods?fieldSelector=spec.nodeName%3Dnode1%2Cstatus.phase%21%3DSucceeded%2Cstatus.phase%21%3DFailed"
                "&labelSelector=linkerd.io%2Fcontrol-plane-ns&watch=true");
    own = api_take(&world, "/api/v1/namespaces/linkerd-cni/pods?fieldSelector=metadata.name%3Dlinkerd-cni-1&watch=true");
    assert_false(repair_is_ready(repair));
    plugin("ADDED", READY);
    api_send(own, BOOKMARK);
    api_send(pods, BOOKMARK);
    assert_true(repair_is_ready(repair));
    return 0;
}

static int teardown(void **state)
{
    repair_free(repair);
    metrics_release(&metrics);
    fclose(log_.to);
    api_world_release(&world);
    return 0;
}

static void expect_body(const struct served *served, const char *part)
{
    char text[4096];

    snprintf(text, sizeof(text), "%.*s", SLICE_ARGS(buffer_slice(&served->body)));
    if (!strstr(text, part))
        fail_msg("%s, expected %s in it", text, part);
}

/* The Event that was posted, taken by the server. */
static void expect_event(const char *part)
{
    struct served *event = api_take(&world, "/api/v1/namespaces/default/events");

    expect_body(event, "\"reason\":\"LinkerdCNINotConfigured\"");
    expect_body(event, part);
    api_answer(event, 201, NULL, "{}");
}

static void test_evicts(void **state)
{
    struct served *eviction;

    api_send(pods, pod("ADDED", "web-1", "u1", OWNED, "Pending", SICK));
    eviction = api_take(&world, EVICTION("web-1"));
    assert_string_equal(eviction->method, "POST");
    expect_body(eviction, "\"kind\":\"Eviction\",\"metadata\":{\"name\":\"web-1\",\"namespace\":\"default\"},\"deleteOptions\":{\"preconditions\":"
                          "{\"uid\":\"u1\",\"resourceVersion\":\"7\"}}");
    quiet();
    assert_int_equal(count(REPAIR_WAITING), 1);
    api_answer(eviction, 201, NULL, "{}");
    expect_event("It is evicted");
    api_pass(&world, 30 * NS_PER_S); /* it takes its time to go */
    quiet();
    api_send(pods, pod("DELETED", "web-1", "u1", OWNED, "Pending", SICK));
    assert_int_equal(count(REPAIR_WAITING), 0);
    assert_int_equal(count(REPAIR_DELETED), 1);
    assert_int_equal(count(REPAIR_LATENCY), 1);
    api_pass(&world, 100 * NS_PER_S);
    quiet();
}

/* While the plugin is not in place, the next pod would be no better. */
static void test_waits_for_the_plugin(void **state)
{
    plugin("MODIFIED", UNREADY);
    api_send(pods, pod("ADDED", "web-1", "u1", OWNED, "Pending", SICK));
    api_pass(&world, 100 * NS_PER_S);
    quiet();
    plugin("MODIFIED", READY);
    api_answer(api_take(&world, EVICTION("web-1")), 201, NULL, "{}");
}

static void test_orphan(void **state)
{
    api_send(pods, pod("ADDED", "alone", "u1", "", "Pending", SICK));
    expect_event("delete it and create it again");
    api_send(pods, pod("MODIFIED", "alone", "u1", ",\"labels\":{\"x\":\"1\"}", "Pending", SICK));
    api_pass(&world, 100 * NS_PER_S);
    quiet();
    assert_int_equal(count(REPAIR_WAITING), 1);
    assert_int_equal(count(REPAIR_DELETED), 0);
}

static void test_left_alone(void **state)
{
    api_send(pods, pod("ADDED", "well", "u1", OWNED, "Running", WELL));
    api_send(pods, pod("ADDED", "leaving", "u2", OWNED ",\"deletionTimestamp\":\"2026-01-01T00:00:00Z\"", "Pending", SICK));
    api_send(pods, pod("ADDED", "failed", "u3", OWNED, "Failed", SICK));
    api_send(pods, pod("ADDED", "runs", "u4", OWNED, "Pending", "\"state\":{\"running\":{}},\"lastState\":{\"terminated\":{\"exitCode\":95}}"));
    quiet();
    assert_int_equal(count(REPAIR_WAITING), 0);
}

/* Whatever is answered, it is asked again, but not at once. */
static void test_refused(void **state)
{
    static const struct {
        unsigned status;
        int64_t quiet_ns, then_ns;
    } cases[] = {{429, 9 * NS_PER_S, 2 * NS_PER_S}, {409, 900 * NS_PER_MS, 200 * NS_PER_MS}, {500, 0, 3 * NS_PER_S}};

    api_send(pods, pod("ADDED", "web-1", "u1", OWNED, "Pending", SICK));
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        api_answer(api_take(&world, EVICTION("web-1")), cases[i].status, cases[i].status == 429 ? "retry-after: 10" : NULL, "{\"kind\":\"Status\",\"message\":\"no\"}");
        quiet();
        api_pass(&world, cases[i].quiet_ns);
        quiet();
        api_pass(&world, cases[i].then_ns);
    }
    assert_int_equal(count(REPAIR_ERRORS), 2);
    api_answer(api_take(&world, EVICTION("web-1")), 201, NULL, "{}");
    expect_event("It is evicted");
}

/* Linkerd's own chart lets it delete, and not evict. */
static void test_forbidden(void **state)
{
    struct served *deletion;

    api_send(pods, pod("ADDED", "web-1", "u1", OWNED, "Pending", SICK));
    api_answer(api_take(&world, EVICTION("web-1")), 403, NULL, "{}");
    deletion = api_take(&world, "/api/v1/namespaces/default/pods/web-1");
    assert_string_equal(deletion->method, "DELETE");
    expect_body(deletion, "{\"apiVersion\":\"v1\",\"kind\":\"DeleteOptions\",\"preconditions\":{\"uid\":\"u1\",\"resourceVersion\":\"7\"}}");
    api_answer(deletion, 403, NULL, "{}");
    quiet();
    assert_int_equal(count(REPAIR_ERRORS), 1);
    api_pass(&world, 3 * NS_PER_S);
    api_answer(api_take(&world, EVICTION("web-1")), 403, NULL, "{}");
    api_answer(api_take(&world, "/api/v1/namespaces/default/pods/web-1"), 200, NULL, "{}");
    expect_event("It is evicted");
    assert_int_equal(count(REPAIR_DELETED), 1);
}

static void test_no_answer(void **state)
{
    struct served *eviction;

    api_send(pods, pod("ADDED", "web-1", "u1", OWNED, "Pending", SICK));
    eviction = api_take(&world, EVICTION("web-1"));
    api_pass(&world, 6 * NS_PER_S);
    assert_true(eviction->gone);
    assert_int_equal(count(REPAIR_TIMEOUTS), 1);
    api_pass(&world, 2 * NS_PER_S);
    api_take(&world, EVICTION("web-1"));
}

/* The watch may be faster than the answer; another pod of the same name is another pod. */
static void test_gone_while_asking(void **state)
{
    struct served *eviction;

    api_send(pods, pod("ADDED", "web-1", "u1", OWNED, "Pending", SICK));
    eviction = api_take(&world, EVICTION("web-1"));
    api_send(pods, pod("MODIFIED", "web-1", "u2", OWNED, "Pending", SICK));
    quiet();
    api_answer(eviction, 201, NULL, "{}");
    assert_int_equal(count(REPAIR_DELETED), 1);
    eviction = api_take(&world, EVICTION("web-1"));
    expect_body(eviction, "\"uid\":\"u2\"");
    api_send(pods, pod("DELETED", "web-1", "u2", OWNED, "Pending", SICK));
    assert_int_equal(count(REPAIR_WAITING), 0);
}

/* Evicts until nothing is asked any more; how many. */
static unsigned serve_all(void)
{
    struct served *served;
    unsigned evictions = 0;

    while ((served = api_find(&world, "/api/v1/namespaces/default/"))) {
        evictions += strstr(served->path, "/eviction") != NULL;
        api_answer(served, 201, NULL, "{}");
    }
    return evictions;
}

static void test_rate(void **state)
{
    for (unsigned i = 0; i < LIMIT_CNI_REPAIRS + 3; i++) {
        char name[32];

        snprintf(name, sizeof(name), "web-%u", i);
        api_send(pods, pod("ADDED", name, name, OWNED, "Pending", SICK));
    }
    assert_int_equal(count(REPAIR_OVERFLOW), 3);
    assert_int_equal(count(REPAIR_WAITING), LIMIT_CNI_REPAIRS);
    assert_int_equal(serve_all(), REPAIR_BURST);
    api_pass(&world, REPAIR_INTERVAL_NS - 1);
    assert_int_equal(serve_all(), 0);
    api_pass(&world, 1);
    assert_int_equal(serve_all(), 1);
    api_pass(&world, 3 * REPAIR_INTERVAL_NS);
    assert_int_equal(serve_all(), 3);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_evicts, setup, teardown),
        cmocka_unit_test_setup_teardown(test_waits_for_the_plugin, setup, teardown),
        cmocka_unit_test_setup_teardown(test_orphan, setup, teardown),
        cmocka_unit_test_setup_teardown(test_left_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_forbidden, setup, teardown),
        cmocka_unit_test_setup_teardown(test_no_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_while_asking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rate, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
