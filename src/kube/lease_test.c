/* Replicas that want one lease, and a server that can be slow, deaf or forgetful towards each of them. */
#include "kube/lease.h"

#include <stdio.h>

#include "base/duration.h"
#include "base/rng.h"
#include "codec/yaml/yaml.h"
#include "kube/api/api_world.h"

enum { REPLICAS = 2 };
#define LEASES "/apis/coordination.k8s.io/v1/namespaces/linkerd/leases"

enum weather {
    FAIR,
    DEAF,   /* requests wait, and take no effect */
    MUTE,   /* they take effect, and no answer comes */
    BROKEN, /* 500 */
};

struct replica {
    const char *identity;
    struct kube_access access;
    struct api_client *client;
    struct lease *lease;
    enum weather weather;
    bool held;
    unsigned changes, troubles;
};

static struct api_world world;
static struct replica replicas[REPLICAS];

/* The server's lease. */
static struct {
    bool exists;
    unsigned version, writes;
    char holder[64];
    int64_t duration, transitions;
} shown;

/* --- the server --- */

static void reply(struct served *served)
{
    char body[512];

    snprintf(body, sizeof(body),
             "{\"metadata\":{\"resourceVersion\":\"%u\"},\"spec\":{\"holderIdentity\":\"%s\",\"leaseDurationSeconds\":%lld,\"leaseTransitions\":%lld}}",
             shown.version, shown.holder, (long long)shown.duration, (long long)shown.transitions);
    api_answer(served, 200, NULL, body);
}

static void change(const struct yaml_node *spec)
{
    const struct yaml_node *holder = yaml_get_lit(spec, "holderIdentity"), *transitions = yaml_get_lit(spec, "leaseTransitions");

    shown.exists = true;
    shown.version++;
    shown.writes++;
    snprintf(shown.holder, sizeof(shown.holder), "%.*s", SLICE_ARGS(holder->text));
    shown.duration = yaml_get_lit(spec, "leaseDurationSeconds")->integer;
    if (transitions)
        shown.transitions = transitions->integer;
    assert_int_equal(yaml_get_lit(spec, "renewTime")->kind, YAML_STRING);
}

/* The status of a write, which is in force after a 200. */
static int take(const struct served *served)
{
    struct yaml_problem problem;
    struct yaml_node *root;
    struct arena arena;
    char version[16];
    int status = 200;

    arena_init(&arena, 1 << 20);
    assert_int_equal(yaml_parse(&arena, buffer_slice(&served->body), 1, JSON, &root, &problem), 0);
    snprintf(version, sizeof(version), "%u", shown.version);
    if (strcmp(served->method, "POST") == 0 ? shown.exists
                                            : !slice_eq(yaml_get_lit(yaml_get_lit(root, "metadata"), "resourceVersion")->text, slice_str(version)))
        status = 409;
    else
        change(yaml_get_lit(root, "spec"));
    arena_release(&arena);
    return status;
}

static struct replica *replica_of(const struct served *served)
{
    return &replicas[strstr(served->authorization, "token-1") ? 1 : 0];
}

static void serve(struct served *served)
{
    enum weather weather = replica_of(served)->weather;
    bool write = strcmp(served->method, "GET") != 0;
    int status = 200;

    served->taken = true;
    assert_string_equal(served->path, strcmp(served->method, "POST") == 0 ? LEASES : LEASES "/policy-controller-write");
    if (weather == DEAF || served->gone)
        return;
    if (weather != BROKEN && write && (shown.exists || strcmp(served->method, "POST") == 0))
        status = take(served);
    else if (weather != BROKEN && !shown.exists)
        status = 404;
    if (weather == BROKEN)
        api_answer(served, 500, NULL, "{}");
    else if (weather == FAIR && status == 200)
        reply(served);
    else if (weather == FAIR)
        api_answer(served, (unsigned)status, NULL, "{}");
}

static bool serve_next(void)
{
    LIST_FOR_EACH (link, &world.served) {
        struct served *served = CONTAINER_OF(link, struct served, link);

        if (!served->taken && (served->ended || served->gone)) {
            serve(served);
            return true;
        }
    }
    return false;
}

/* Until nobody asks any more, as long as no time passes. */
static void serve_all(void)
{
    unsigned turns = 0;

    do {
        api_settle(&world);
        assert_true(++turns < 1000); /* replicas that take it from each other never end */
    } while (serve_next());
}

static void check_one_holder(void)
{
    assert_false(replicas[0].held && replicas[1].held);
    for (int i = 0; i < REPLICAS; i++) {
        assert_int_equal(replicas[i].lease && lease_is_held(replicas[i].lease), replicas[i].held);
        if (replicas[i].held) /* nobody else has taken it */
            assert_string_equal(shown.holder, replicas[i].identity);
    }
}

/* Time goes on, a quarter of a second at a time. */
static void pass(int64_t ns)
{
    for (int64_t done_ns = 0; done_ns <= ns; done_ns += NS_PER_S / 4) {
        serve_all();
        check_one_holder();
        world.now_ns += NS_PER_S / 4;
    }
}

/* --- the replicas --- */

static void on_change(void *owner, bool held)
{
    struct replica *replica = owner;

    assert_int_not_equal(replica->held, held);
    replica->held = held;
    replica->changes++;
}

static void on_trouble(void *owner, const char *why)
{
    ((struct replica *)owner)->troubles++;
}

static void start(int number)
{
    struct replica *replica = &replicas[number];
    const struct lease_options options = {
        .namespace_ = SLICE_LIT("linkerd"), .name = SLICE_LIT("policy-controller-write"), .identity = slice_str(replica->identity),
        .on_change = on_change, .on_trouble = on_trouble, .owner = replica};

    assert_int_equal(lease_new(replica->client, &options, &replica->lease), 0);
}

/* As a process that is killed. */
static void end(int number)
{
    lease_free(replicas[number].lease);
    replicas[number].lease = NULL;
    replicas[number].held = false;
}

static int setup(void **state)
{
    api_world_init(&world, false);
    memset(&shown, 0, sizeof(shown));
    for (int i = 0; i < REPLICAS; i++) {
        replicas[i] = (struct replica){.identity = i ? "pod-1" : "pod-0", .access = world.access};
        replicas[i].access.token = i ? SLICE_LIT("token-1") : SLICE_LIT("token-0");
        assert_int_equal(api_client_new(&world.loop, &replicas[i].access, &replicas[i].client), 0);
    }
    return 0;
}

static int teardown(void **state)
{
    for (int i = 0; i < REPLICAS; i++) {
        end(i);
        api_client_free(replicas[i].client);
    }
    api_world_release(&world);
    return 0;
}

static void test_made_and_renewed(void **state)
{
    start(0);
    pass(NS_PER_S);
    assert_true(replicas[0].held);
    assert_int_equal(shown.duration, 30);
    assert_int_equal(shown.transitions, 0);
    assert_int_equal(shown.writes, 1);
    start(1);
    pass(300 * NS_PER_S);
    assert_true(replicas[0].held && replicas[0].changes == 1 && replicas[1].changes == 0);
    assert_in_range(shown.writes, 29, 32); /* every ten seconds */
    assert_true(slice_eq(lease_holder(replicas[1].lease), SLICE_LIT("pod-0")));
    assert_int_equal(shown.transitions, 0);
}

/* Both begin at once and find none. */
static void test_both_make(void **state)
{
    start(0);
    start(1);
    pass(NS_PER_S);
    assert_int_equal(replicas[0].held + replicas[1].held, 1);
    assert_int_equal(shown.writes, 1);
}

/* A holder that is killed: another takes it when it has run out, not before. */
static void test_killed(void **state)
{
    start(0);
    start(1);
    pass(NS_PER_S);
    end(replicas[0].held ? 0 : 1);
    pass(27 * NS_PER_S);
    assert_false(replicas[0].held || replicas[1].held);
    pass(6 * NS_PER_S);
    assert_true(replicas[0].held || replicas[1].held);
    assert_int_equal(shown.transitions, 1);
}

/* The same replica, started again, need not wait. */
static void test_started_again(void **state)
{
    start(0);
    pass(NS_PER_S);
    end(0);
    start(0);
    pass(NS_PER_S);
    assert_true(replicas[0].held);
    assert_int_equal(shown.transitions, 0);
}

static void test_given_up(void **state)
{
    start(0);
    pass(NS_PER_S);
    start(1);
    pass(5 * NS_PER_S);
    lease_give_up(replicas[0].lease);
    assert_false(replicas[0].held);
    pass(3 * NS_PER_S);
    assert_true(replicas[1].held);
    assert_int_equal(shown.transitions, 1);
    pass(60 * NS_PER_S);
    assert_int_equal(replicas[0].changes, 2);
}

/* Cut off, in each way: it stops before another begins, says so once, and waits when it is back. */
static void test_cut_off(void **state)
{
    static const enum weather weathers[] = {DEAF, MUTE, BROKEN};

    for (size_t i = 0; i < sizeof(weathers) / sizeof(weathers[0]); i++) {
        start(0);
        pass(NS_PER_S);
        start(1);
        pass(5 * NS_PER_S);
        assert_true(replicas[0].held);
        replicas[0].weather = weathers[i];
        pass(21 * NS_PER_S);
        assert_false(replicas[0].held || replicas[1].held);
        pass(40 * NS_PER_S); /* what was renewed without our hearing of it lasts longer */
        if (weathers[i] != MUTE)
            assert_true(replicas[1].held);
        assert_int_equal(replicas[0].troubles, i + 1);
        replicas[0].weather = FAIR;
        pass(60 * NS_PER_S);
        assert_true(replicas[0].held || replicas[1].held);
        end(0);
        end(1);
        replicas[0].changes = replicas[1].changes = 0;
        shown.exists = false;
    }
}

/* Somebody deletes it, or takes it by hand. */
static void test_taken_away(void **state)
{
    start(0);
    pass(NS_PER_S);
    shown.exists = false;
    pass(12 * NS_PER_S);
    assert_true(replicas[0].held && shown.exists);
    snprintf(shown.holder, sizeof(shown.holder), "admin");
    shown.version++;
    while (replicas[0].held) { /* it may, until it looks */
        serve_all();
        world.now_ns += NS_PER_S;
    }
    assert_false(replicas[0].held);
    pass(33 * NS_PER_S);
    assert_true(replicas[0].held);
}

static void test_refused(void **state)
{
    replicas[0].weather = BROKEN;
    start(0);
    pass(60 * NS_PER_S);
    assert_false(replicas[0].held);
    assert_int_equal(replicas[0].troubles, 1);
}

/* Whatever the weather, there is one holder at most; when it is fair again, there is one. */
static void test_weather(void **state)
{
    for (uint64_t seed = 1; seed <= 40; seed++) {
        struct rng rng;

        rng_seed(&rng, seed);
        for (int step = 0; step < 40; step++) {
            int number = (int)rng_below(&rng, REPLICAS);

            replicas[number].weather = (enum weather)rng_below(&rng, 4);
            if (rng_below(&rng, 8) == 0 && replicas[number].lease)
                end(number);
            else if (!replicas[number].lease)
                start(number);
            pass((int64_t)rng_below(&rng, 15) * NS_PER_S);
        }
        for (int i = 0; i < REPLICAS; i++) {
            replicas[i].weather = FAIR;
            if (!replicas[i].lease)
                start(i);
        }
        pass(45 * NS_PER_S);
        if (!replicas[0].held && !replicas[1].held)
            fail_msg("seed %llu: nobody holds it", (unsigned long long)seed);
        end(0);
        end(1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_made_and_renewed, setup, teardown), cmocka_unit_test_setup_teardown(test_both_make, setup, teardown),
        cmocka_unit_test_setup_teardown(test_killed, setup, teardown),           cmocka_unit_test_setup_teardown(test_started_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_given_up, setup, teardown),         cmocka_unit_test_setup_teardown(test_cut_off, setup, teardown),
        cmocka_unit_test_setup_teardown(test_taken_away, setup, teardown),       cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_weather, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
