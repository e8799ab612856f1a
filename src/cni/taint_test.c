/* Nodes that are born with a taint, and an API server that is asked to take it off. */
#include "kube/api/api_world.h"

#include <stdio.h>

#include "cni/taint.h"
#include "kube/lease.h"

#define BOOKMARK(kind)                                                                                                  \
    "{\"type\":\"BOOKMARK\",\"object\":{\"kind\":\"" kind "\",\"metadata\":{\"resourceVersion\":\"9\",\"annotations\":{\"k8s.io/initial-events-end\":\"true\"}}}}\n"
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/linkerd-cni/leases"
#define OURS "{\"key\":\"linkerd.io/cni-not-ready\",\"effect\":\"NoSchedule\"}"
#define THEIRS "{\"key\":\"node.kubernetes.io/not-ready\",\"effect\":\"NoExecute\",\"timeAdded\":\"2026-01-01T00:00:00Z\"}"
#define OLD "2026-01-01T00:00:00Z"
#define NEW "2026-01-02T00:00:00Z"

static struct api_world world;
static struct metrics metrics;
static struct journal log_;
static struct taint *taint;
static struct served *nodes, *pods;
static int families;

/* Lets the lease be renewed, and whatever else of it. */
static void pass(int64_t ns)
{
    const int64_t step = 5 * NS_PER_S;
    struct served *served;

    for (; ns > 0; ns -= step) {
        api_pass(&world, ns < step ? ns : step);
        while ((served = api_find(&world, LEASES)))
            api_answer(served, 200, NULL, "{\"metadata\":{\"resourceVersion\":\"2\"},\"spec\":{\"holderIdentity\":\"one\",\"leaseDurationSeconds\":30}}");
    }
}

static void node(const char *type, const char *name, const char *born, const char *taints)
{
    char text[1024];

    snprintf(text, sizeof(text), "{\"type\":\"%s\",\"object\":{\"kind\":\"Node\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"%s\",\"creationTimestamp\":\"%s\"},"
             "\"spec\":{\"podCIDR\":\"10.0.0.0/24\",\"taints\":[%s]}}}\n", type, name, born, taints);
    api_send(nodes, text);
}

static void plugin(const char *type, const char *on, const char *born, const char *ready)
{
    char text[1024];

    snprintf(text, sizeof(text), "{\"type\":\"%s\",\"object\":{\"kind\":\"Pod\",\"apiVersion\":\"v1\",\"metadata\":{\"name\":\"cni-%s\",\"namespace\":\"linkerd-cni\","
             "\"creationTimestamp\":\"%s\"},\"spec\":{\"nodeName\":\"%s\"},\"status\":{\"phase\":\"Running\",\"conditions\":[{\"type\":\"Ready\",\"status\":\"%s\"}]}}}\n",
             type, on, born, on, ready);
    api_send(pods, text);
}

static int64_t count(int family)
{
    taint_measure(taint);
    return metrics_value(&metrics, families + family, SLICE_LIT(""));
}

/* Nobody has the lease; who asks for it gets it. */
static void give_lease(void)
{
    api_answer(api_take(&world, LEASES "/linkerd-cni-taint-controller"), 404, NULL, "{}");
    api_answer(api_take(&world, LEASES), 201, NULL, "{\"metadata\":{\"resourceVersion\":\"1\"},\"spec\":{\"holderIdentity\":\"one\",\"leaseDurationSeconds\":30}}");
    assert_int_equal(count(TAINT_LEADS), 1);
}

static int setup(void **state)
{
    struct taint_options options = {.log = &log_, .namespace_ = SLICE_LIT("linkerd-cni"), .labels = "k8s-app=linkerd-cni", .key = "linkerd.io/cni-not-ready", .identity = "one"};

    api_world_init(&world, false);
    metrics_init(&metrics, 100, 600 * NS_PER_S, 1);
    families = metrics_add_table(&metrics, taint_families, TAINT_FAMILIES);
    assert_true(families >= 0);
    log_ = (struct journal){fopen("/dev/null", "w"), JOURNAL_DEBUG, false};
    options.client = world.client;
    options.shard = metrics_shard_new(&metrics);
    options.families = families;
    assert_int_equal(taint_new(&options, &taint), 0);
    nodes = api_take(&world, "/api/v1/nodes?watch=true");
    pods = api_take(&world, "/api/v1/namespaces/linkerd-cni/pods?labelSelector=k8s-app%3Dlinkerd-cni&watch=true");
    assert_false(taint_is_ready(taint));
    api_send(nodes, BOOKMARK("Node"));
    api_send(pods, BOOKMARK("Pod"));
    assert_true(taint_is_ready(taint));
    return 0;
}

static int teardown(void **state)
{
    taint_free(taint);
    metrics_release(&metrics);
    fclose(log_.to);
    api_world_release(&world);
    return 0;
}

static void expect_patch(const struct served *served, const char *body)
{
    assert_string_equal(served->method, "PATCH");
    assert_string_equal(served->content_type, API_JSON_PATCH);
    if (!slice_eq(buffer_slice(&served->body), slice_str(body)))
        fail_msg("%.*s, expected %s", SLICE_ARGS(buffer_slice(&served->body)), body);
}

#define REMOVE(place) "{\"op\":\"test\",\"path\":\"/spec/taints/" place "/key\",\"value\":\"linkerd.io/cni-not-ready\"},{\"op\":\"remove\",\"path\":\"/spec/taints/" place "\"}"

static void test_taken_off(void **state)
{
    struct served *patch;

    give_lease();
    node("ADDED", "a", OLD, THEIRS "," OURS);
    node("ADDED", "b", OLD, THEIRS);
    plugin("ADDED", "b", NEW, "True");
    plugin("ADDED", "a", NEW, "False");
    api_expect_quiet(&world);
    assert_int_equal(count(TAINT_NODES), 1);
    plugin("MODIFIED", "a", NEW, "True");
    patch = api_take(&world, "/api/v1/nodes/a");
    expect_patch(patch, "[" REMOVE("1") "]");
    api_answer(patch, 200, NULL, "{}");
    node("MODIFIED", "a", OLD, THEIRS);
    pass(100 * NS_PER_S);
    api_expect_quiet(&world);
    assert_int_equal(count(TAINT_NODES), 0);
    assert_int_equal(count(TAINT_REMOVED), 1);
}

/* Whatever its effects, from the last to the first. */
static void test_several(void **state)
{
    give_lease();
    plugin("ADDED", "a", NEW, "True");
    node("ADDED", "a", OLD, OURS "," THEIRS "," OURS);
    expect_patch(api_take(&world, "/api/v1/nodes/a"), "[" REMOVE("2") "," REMOVE("0") "]");
}

static void test_only_with_the_lease(void **state)
{
    plugin("ADDED", "a", NEW, "True");
    node("ADDED", "a", OLD, OURS);
    assert_null(api_find(&world, "/api/v1/nodes/a"));
    give_lease();
    api_take(&world, "/api/v1/nodes/a");
}

/* A node of the same name as one before it: the pod is of the old one until proven otherwise. */
static void test_older_pod(void **state)
{
    give_lease();
    plugin("ADDED", "a", OLD, "True");
    node("ADDED", "a", NEW, OURS);
    pass(55 * NS_PER_S);
    api_expect_quiet(&world);
    plugin("MODIFIED", "a", OLD, "False"); /* the new kubelet has looked at it */
    pass(100 * NS_PER_S);
    api_expect_quiet(&world);
    plugin("MODIFIED", "a", OLD, "True");
    api_take(&world, "/api/v1/nodes/a");
}

static void test_older_pod_that_stays(void **state)
{
    give_lease();
    plugin("ADDED", "a", OLD, "True");
    node("ADDED", "a", NEW, OURS);
    pass(SETTLE_NS);
    api_take(&world, "/api/v1/nodes/a");
}

static void test_refused(void **state)
{
    static const unsigned statuses[] = {422, 409, 500, 403};

    give_lease();
    plugin("ADDED", "a", NEW, "True");
    node("ADDED", "a", OLD, OURS);
    for (size_t i = 0; i < sizeof(statuses) / sizeof(statuses[0]); i++) {
        api_answer(api_take(&world, "/api/v1/nodes/a"), statuses[i], NULL, "{\"kind\":\"Status\",\"message\":\"no\"}");
        api_expect_quiet(&world);
        pass(5 * NS_PER_S);
    }
    assert_int_equal(count(TAINT_ERRORS), 2);
    api_take(&world, "/api/v1/nodes/a");
}

/* Gone while it is asked for; the next one is not disturbed. */
static void test_gone_while_asking(void **state)
{
    struct served *patch;

    give_lease();
    plugin("ADDED", "a", NEW, "True");
    plugin("ADDED", "b", NEW, "True");
    node("ADDED", "a", OLD, OURS);
    patch = api_take(&world, "/api/v1/nodes/a");
    node("ADDED", "b", OLD, OURS);
    node("DELETED", "a", OLD, OURS);
    assert_null(api_find(&world, "/api/v1/nodes/b")); /* one after the other */
    api_answer(patch, 404, NULL, "{}");
    api_take(&world, "/api/v1/nodes/b");
    assert_int_equal(count(TAINT_ERRORS), 0);
}

static void test_give_up(void **state)
{
    give_lease();
    plugin("ADDED", "a", NEW, "True");
    taint_give_up(taint);
    node("ADDED", "a", OLD, OURS);
    assert_null(api_find(&world, "/api/v1/nodes/a"));
    api_take(&world, LEASES "/linkerd-cni-taint-controller");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_taken_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_several, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_with_the_lease, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_pod, setup, teardown),
        cmocka_unit_test_setup_teardown(test_older_pod_that_stays, setup, teardown),
        cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_gone_while_asking, setup, teardown),
        cmocka_unit_test_setup_teardown(test_give_up, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
