#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "base/duration.h"
#include "base/limits.h"
#include "mesh/balancer.h"
#include "mesh/distribute.h"
#include "mesh/failfast.h"

static const struct balancer balancer = {.decay_ns = ENDPOINT_DECAY_NS};
static const struct backoff_config backoff = {.min_ns = 100 * NS_PER_MS, .max_ns = 60 * NS_PER_S, .jitter = 0.1};

/* --- updates --- */

static struct addr addr_of(unsigned number)
{
    return (struct addr){ip_v4(0x0a000000 + number), 80};
}

/* One update with endpoints first, first + 1 ...; a weight of `weight` each. */
static struct endpoint_update *adding(unsigned first, unsigned count, uint32_t weight)
{
    struct endpoint_update *update = endpoint_update_new();

    update->kind = ENDPOINTS_ADD;
    update->added = ARENA_ARRAY(&update->snapshot.arena, struct endpoint_info, count);
    update->added_count = count;
    for (unsigned i = 0; i < count; i++)
        update->added[i] = (struct endpoint_info){
            .addr = addr_of(first + i), .weight = weight, .set_labels = &update->set_labels};
    return update;
}

static struct endpoint_update *removing(unsigned first, unsigned count)
{
    struct endpoint_update *update = endpoint_update_new();

    update->kind = ENDPOINTS_REMOVE;
    update->removed = ARENA_ARRAY(&update->snapshot.arena, struct addr, count);
    update->removed_count = count;
    for (unsigned i = 0; i < count; i++)
        update->removed[i] = addr_of(first + i);
    return update;
}

/* Applies and gives up both the old set and the update. */
static struct endpoint_set *apply(struct endpoint_set *old, struct endpoint_update *update, bool reset, int64_t now,
                                  struct endpoint_change *change)
{
    struct endpoint_set *set;

    assert_int_equal(endpoint_set_apply(old, update, reset, ENDPOINT_DEFAULT_RTT_NS, now, &set, change), 0);
    endpoint_update_unref(update);
    endpoint_set_unref(old);
    return set;
}

static struct endpoint_set *set_of(unsigned count, uint32_t weight)
{
    return apply(endpoint_set_new(true), adding(1, count, weight), false, 1, NULL);
}

static void eject(struct endpoint *endpoint, int64_t now, struct rng *rng)
{
    assert_true(endpoint_failed(endpoint, ECONNREFUSED, &backoff, now, rng));
}

/* --- sets --- */

static void updates_by_difference(void **state)
{
    struct endpoint_set *set = endpoint_set_new(false);
    struct endpoint_change change;
    struct endpoint *two, *three;

    set = apply(set, adding(1, 3, 10), false, 1, &change);
    assert_true(set->exists);
    assert_int_equal(set->count, 3);
    assert_int_equal(change.added, 3);
    assert_int_equal(set->total_weight, 30);
    two = endpoint_ref(endpoint_set_find(set, addr_of(2)));
    three = endpoint_ref(endpoint_set_find(set, addr_of(3)));
    assert_null(endpoint_set_find(set, addr_of(4)));
    assert_null(endpoint_set_find(set, (struct addr){ip_v4(0x0a000002), 81}));

    set = apply(set, adding(2, 3, 20), false, 2, &change); /* 2 and 3 again with another weight, 4 is new */
    assert_int_equal(change.added, 1);
    assert_int_equal(change.replaced, 0);
    assert_int_equal(set->count, 4);
    assert_int_equal(set->total_weight, 70);
    assert_ptr_equal(endpoint_set_find(set, addr_of(2)), two);

    set = apply(set, removing(3, 5), false, 3, &change); /* 5, 6, 7 were never there */
    assert_int_equal(change.removed, 2);
    assert_int_equal(set->count, 2);
    assert_true(three->withdrawn);
    assert_false(two->withdrawn);

    set = apply(set, adding(2, 1, 20), true, 4, &change); /* a new stream: only this is left */
    assert_int_equal(change.removed, 1);
    assert_int_equal(set->count, 1);
    assert_ptr_equal(set->slots[0].endpoint, two);
    assert_false(two->withdrawn);
    endpoint_unref(two);
    endpoint_unref(three);
    endpoint_set_unref(set);
}

static void none_empties(void **state)
{
    for (int exists = 0; exists < 2; exists++) {
        struct endpoint_set *set = set_of(5, 1);
        struct endpoint_update *update = endpoint_update_new();
        struct endpoint_change change;
        struct rng rng;

        rng_seed(&rng, 1);
        update->kind = ENDPOINTS_NONE;
        update->exists = exists;
        set = apply(set, update, false, 2, &change);
        assert_int_equal(change.removed, 5);
        assert_int_equal(set->count, 0);
        assert_int_equal(set->exists, exists);
        assert_null(balancer_pick(&balancer, set, NULL, 1, &rng));
        endpoint_set_unref(set);
    }
}

static void described_anew(void **state)
{
    struct h2_client_params h2 = {.max_frame_size = 1};
    struct label label = {SLICE_LIT("pod"), SLICE_LIT("x")};
    struct labels labels = {&label, 1};
    const struct endpoint_info changes[] = {
        {.identity_kind = IDENTITY_DNS, .identity = {"a", 1}},
        {.server_name = {"a", 1}},
        {.hint = HINT_H2},
        {.opaque_transport_port = 4143},
        {.authority_override = {"a", 1}},
        {.zone_locality = ZONE_LOCAL},
        {.resource = {.kind = METADATA_RESOURCE}},
        {.h2 = &h2},
        {.labels = labels},
        {.set_labels = &labels},
    };
    struct rng rng;

    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        struct endpoint_set *set = set_of(2, 1);
        struct endpoint *old = endpoint_ref(endpoint_set_find(set, addr_of(1))), *new;
        struct endpoint_update *update = adding(1, 1, 1);
        struct endpoint_change change;

        endpoint_observe(old, 7 * NS_PER_S, &balancer, 5);
        eject(old, 10, &rng);
        update->added[0] = changes[i];
        update->added[0].addr = addr_of(1);
        update->added[0].weight = 1;
        set = apply(set, update, false, 6, &change);
        new = endpoint_set_find(set, addr_of(1));
        assert_int_equal(change.replaced, 1);
        assert_ptr_not_equal(new, old);
        assert_true(old->withdrawn);
        assert_false(new->withdrawn);
        assert_int_equal(new->rtt_ns, old->rtt_ns);
        assert_int_equal(endpoint_health(new), ENDPOINT_EJECTED);
        assert_int_equal(new->failures, 1);
        assert_int_equal(new->in_flight, 0);
        endpoint_unref(old);
        endpoint_set_unref(set);
    }
}

static void twice_in_one_update(void **state)
{
    struct endpoint_update *update = adding(1, 3, 1);
    struct endpoint_set *set;

    update->added[2].addr = addr_of(1);
    update->added[2].weight = 9;
    set = apply(endpoint_set_new(true), update, false, 1, NULL);
    assert_int_equal(set->count, 2);
    assert_int_equal(set->slots[0].weight, 9); /* the later one counts */
    endpoint_set_unref(set);
}

/* Random updates, applied to a set and to a plain array, agree; what stays keeps its object. */
static void updates_agree_with_a_model(void **state)
{
    enum { ADDRESSES = 40 };

    for (uint64_t seed = 0; seed < 500; seed++) {
        struct endpoint_set *set = endpoint_set_new(true);
        struct endpoint *objects[ADDRESSES] = {0};
        uint32_t weights[ADDRESSES] = {0};
        struct rng rng;

        rng_seed(&rng, seed);
        for (int step = 0; step < 30; step++) {
            unsigned first = (unsigned)rng_below(&rng, ADDRESSES);
            unsigned count = (unsigned)rng_below(&rng, ADDRESSES - first) + 1;
            uint32_t weight = (uint32_t)rng_below(&rng, 5);
            bool add = rng_below(&rng, 2), reset = rng_below(&rng, 10) == 0;
            uint64_t total = 0;
            size_t expected = 0;

            set = apply(set, add ? adding(first, count, weight) : removing(first, count), reset, step, NULL);
            for (unsigned i = 0; i < ADDRESSES; i++) {
                bool named = i >= first && i < first + count;
                struct endpoint *found = endpoint_set_find(set, addr_of(i));

                if (named ? !add : reset)
                    objects[i] = NULL;
                else if (named && !objects[i])
                    objects[i] = found;
                if (named && add)
                    weights[i] = weight;
                assert_ptr_equal(found, objects[i]);
                expected += found != NULL;
                total += found ? weights[i] : 0;
            }
            assert_int_equal(set->count, expected);
            assert_int_equal(set->total_weight, total);
            for (size_t i = 1; i < set->count; i++)
                assert_true(addr_cmp(set->slots[i - 1].endpoint->info->addr, set->slots[i].endpoint->info->addr) < 0);
        }
        endpoint_set_unref(set);
    }
}

/* --- health --- */

static void ejection_and_probes(void **state)
{
    struct endpoint_set *set = set_of(1, 1);
    struct endpoint *endpoint = set->slots[0].endpoint;
    int64_t now = 1000, last_wait = 0;
    struct rng rng;

    rng_seed(&rng, 3);
    assert_false(endpoint_claim(endpoint, now, NS_PER_S)); /* ready: nothing to probe */
    assert_int_equal(endpoint_probe_at(endpoint), 0);
    for (int i = 0; i < 14; i++) {
        int64_t wait;

        assert_true(endpoint_failed(endpoint, ECONNREFUSED, &backoff, now, &rng));
        assert_false(endpoint_failed(endpoint, ECONNREFUSED, &backoff, now, &rng)); /* one who came late */
        assert_int_equal(endpoint_health(endpoint), ENDPOINT_EJECTED);
        assert_null(balancer_pick(&balancer, set, NULL, now, &rng));
        wait = endpoint_probe_at(endpoint) - now;
        assert_in_range(wait, 100 * NS_PER_MS, 66 * NS_PER_S);
        assert_true(wait > last_wait * 3 / 2 || wait >= 60 * NS_PER_S);
        last_wait = wait;
        assert_false(endpoint_claim(endpoint, now + wait - 1, NS_PER_S));
        now += wait;
        assert_true(endpoint_claim(endpoint, now, NS_PER_S));
        assert_false(endpoint_claim(endpoint, now, NS_PER_S)); /* one prober */
        assert_int_equal(endpoint_health(endpoint), ENDPOINT_PROBING);
        assert_null(balancer_pick(&balancer, set, NULL, now, &rng));
    }
    assert_int_equal(endpoint_set_counts(set).probing, 1);
    assert_int_equal(endpoint_set_counts(set).last_error, ECONNREFUSED);
    assert_false(endpoint_claim(endpoint, now + NS_PER_S - 1, NS_PER_S));
    assert_true(endpoint_claim(endpoint, now + NS_PER_S, NS_PER_S)); /* the prober never came back */
    assert_true(endpoint_connected(endpoint));
    assert_false(endpoint_connected(endpoint));
    assert_int_equal(endpoint_set_counts(set).ready, 1);
    assert_int_equal(endpoint_set_counts(set).last_error, 0);
    assert_ptr_equal(balancer_pick(&balancer, set, NULL, now, &rng), endpoint);
    assert_true(endpoint_failed(endpoint, ECONNREFUSED, &backoff, now, &rng)); /* forgotten: short again */
    assert_in_range(endpoint_probe_at(endpoint) - now, 100 * NS_PER_MS, 110 * NS_PER_MS);
    endpoint_set_unref(set);
}

static void delays(void **state)
{
    static const struct backoff_config bad[] = {
        {.min_ns = -1, .max_ns = 1}, {.min_ns = 2, .max_ns = 1}, {.max_ns = 0}, {.max_ns = 1, .jitter = -0.1},
        {.max_ns = 1, .jitter = 101}, {.max_ns = 1, .jitter = __builtin_nan("")}};
    static const struct backoff_config wide = {.min_ns = 1, .max_ns = INT64_MAX, .jitter = 100};
    static const struct backoff_config zero = {.min_ns = 0, .max_ns = 5, .jitter = 1};
    struct rng rng;

    rng_seed(&rng, 1);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(backoff_check(&bad[i]), -EINVAL);
    assert_int_equal(backoff_check(&BACKOFF_OUTBOUND), 0);
    assert_int_equal(backoff_check(&BACKOFF_INBOUND), 0);
    assert_true(backoff_delay(&wide, ~0u, &rng) > 0);
    assert_int_equal(backoff_delay(&zero, ~0u, &rng), 0);
    for (unsigned failures = 0; failures < 40; failures++) {
        double base = 0.1 * (double)(UINT64_C(1) << (failures > 1 ? failures - 1 : 0));
        double delay = (double)backoff_delay(&BACKOFF_OUTBOUND, failures, &rng) / 1e9;

        base = base > 60 ? 60 : base;
        assert_true(delay >= base - 1e-9 && delay <= base * 1.1 + 1e-9);
    }
}

/* --- several threads at one endpoint --- */

enum { THREADS = 4, ROUNDS = 2000 };

struct contest {
    struct endpoint_set *set;
    pthread_barrier_t barrier;
    struct failfast gate;
    _Atomic(unsigned) claims, ejections, shut;
};

/* In each round all fail, then all claim, then all report success; one of each must count. */
static void *compete(void *argument)
{
    struct contest *contest = argument;
    struct endpoint *endpoint = contest->set->slots[0].endpoint;
    struct rng rng;

    rng_seed(&rng, 1);
    for (int64_t round = 1; round <= ROUNDS; round++) {
        int64_t now = round * 1000 * NS_PER_S, deadline;
        bool by_us = false;

        endpoint_begin(endpoint);
        contest->ejections += endpoint_failed(endpoint, ECONNREFUSED, &backoff, now, &rng);
        assert_int_equal(failfast_enter(&contest->gate, now, &deadline), REASON_NONE);
        pthread_barrier_wait(&contest->barrier);
        contest->claims += endpoint_claim(endpoint, now + 100 * NS_PER_S, NS_PER_S);
        assert_true(failfast_expire(&contest->gate, now + 10 * NS_PER_S, &deadline, &by_us));
        contest->shut += by_us;
        failfast_leave(&contest->gate);
        endpoint_end(endpoint, 5, &balancer, now);
        pthread_barrier_wait(&contest->barrier);
        endpoint_connected(endpoint);
        failfast_ready(&contest->gate, 1);
        pthread_barrier_wait(&contest->barrier);
    }
    return NULL;
}

static void threads_agree(void **state)
{
    struct contest contest = {.set = set_of(1, 1)};
    pthread_t threads[THREADS];

    failfast_init(&contest.gate, 3 * NS_PER_S, 100, 0);
    pthread_barrier_init(&contest.barrier, NULL, THREADS);
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, compete, &contest), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(contest.claims, ROUNDS);
    assert_int_equal(contest.ejections, ROUNDS);
    assert_int_equal(contest.shut, ROUNDS);
    assert_int_equal(contest.gate.waiting, 0);
    assert_int_equal(contest.set->slots[0].endpoint->in_flight, 0);
    pthread_barrier_destroy(&contest.barrier);
    endpoint_set_unref(contest.set);
}

/* --- load and choice --- */

static void load_is_peak_ewma(void **state)
{
    struct endpoint_set *set = set_of(1, 1);
    struct endpoint *endpoint = set->slots[0].endpoint;

    assert_true(endpoint_load(endpoint, &balancer, 1) == 30e6);
    endpoint_begin(endpoint);
    assert_true(endpoint_load(endpoint, &balancer, 1) == 60e6);
    endpoint_begin(endpoint);
    assert_true(endpoint_load(endpoint, &balancer, 1) == 90e6);
    endpoint_end(endpoint, -1, &balancer, 1); /* says nothing */
    assert_true(endpoint_load(endpoint, &balancer, 1) == 60e6);
    endpoint_end(endpoint, NS_PER_S, &balancer, 1); /* slower: at once */
    assert_true(endpoint_load(endpoint, &balancer, 1) == 1e9);
    /* After one decay time 1/e of it is left; a faster response mixes in by the rest. */
    assert_true(endpoint_load(endpoint, &balancer, 1 + ENDPOINT_DECAY_NS) > 0.367e9);
    assert_true(endpoint_load(endpoint, &balancer, 1 + ENDPOINT_DECAY_NS) < 0.369e9);
    endpoint_observe(endpoint, 100 * NS_PER_MS, &balancer, 1 + ENDPOINT_DECAY_NS);
    assert_in_range(endpoint->rtt_ns, 430 * NS_PER_MS, 432 * NS_PER_MS); /* 1/e + 0.1 * (1 - 1/e) */
    endpoint_observe(endpoint, 0, &balancer, 0); /* a clock that went back does no harm */
    assert_in_range(endpoint->rtt_ns, 0, 432 * NS_PER_MS);
    endpoint_set_unref(set);
}

static void lower_load_wins(void **state)
{
    struct endpoint_set *set = set_of(2, 1);
    struct endpoint *a = set->slots[0].endpoint, *b = set->slots[1].endpoint;
    struct rng rng;

    rng_seed(&rng, 9);
    endpoint_begin(a);
    for (int i = 0; i < 100; i++) /* of two, both are always drawn */
        assert_ptr_equal(balancer_pick(&balancer, set, NULL, 1, &rng), b);
    endpoint_end(a, -1, &balancer, 1);
    endpoint_observe(b, NS_PER_S, &balancer, 1);
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(balancer_pick(&balancer, set, NULL, 1, &rng), a);
    for (int i = 0; i < 100; i++)
        assert_ptr_equal(balancer_pick(&balancer, set, a, 1, &rng), b);
    eject(b, 1, &rng);
    assert_null(balancer_pick(&balancer, set, a, 1, &rng));
    endpoint_set_unref(set);
}

/* Shares of picks, equal load, by size of the set (both ways of drawing). */
static void shares_follow_weights(void **state)
{
    static const unsigned sizes[] = {3, 12, 13, 50};
    enum { PICKS = 60000 };

    for (size_t s = 0; s < 4; s++) {
        unsigned size = sizes[s], counts[64] = {0};
        struct endpoint_set *set = set_of(size, 100);
        struct rng rng;

        rng_seed(&rng, s);
        for (int i = 0; i < PICKS; i++) {
            struct endpoint *endpoint = balancer_pick(&balancer, set, NULL, 1, &rng);

            for (unsigned j = 0; j < size; j++)
                counts[j] += set->slots[j].endpoint == endpoint;
        }
        for (unsigned j = 0; j < size; j++) {
            double share = (double)counts[j] * size / PICKS;

            assert_true(share > 0.85 && share < 1.15);
        }
        endpoint_set_unref(set);
    }
}

static void zero_weights_come_last(void **state)
{
    for (unsigned size = 2; size < 40; size += 6) {
        struct endpoint_set *set = set_of(size, 0);
        struct endpoint *heavy = set->slots[0].endpoint;
        unsigned seen = 0;
        struct rng rng;

        rng_seed(&rng, size);
        for (int i = 0; i < 400; i++) /* nothing but zeros: all are equal */
            seen += balancer_pick(&balancer, set, NULL, 1, &rng) != heavy;
        assert_true(seen > 100);
        set = apply(set, adding(1, 1, 7), false, 1, NULL);
        for (int i = 0; i < 400; i++)
            assert_ptr_equal(balancer_pick(&balancer, set, NULL, 1, &rng), heavy);
        eject(heavy, 1, &rng);
        for (int i = 0; i < 100; i++) {
            struct endpoint *other = balancer_pick(&balancer, set, NULL, 1, &rng);

            assert_true(other && other != heavy);
        }
        endpoint_set_unref(set);
    }
}

/* Neither the endpoint picked before nor one in the own zone is preferred. */
static void no_affinity(void **state)
{
    enum { SIZE = 4, PICKS = 40000 };
    struct endpoint_set *set = set_of(SIZE, 1);
    struct endpoint_update *update = adding(1, SIZE, 1);
    unsigned counts[SIZE] = {0}, again[SIZE] = {0};
    struct endpoint *last = NULL;
    struct rng rng;

    for (unsigned i = 0; i < SIZE; i++)
        update->added[i].zone_locality = i == 0 ? ZONE_LOCAL : ZONE_REMOTE;
    set = apply(set, update, false, 1, NULL);
    rng_seed(&rng, 54);
    for (int i = 0; i < PICKS; i++) {
        struct endpoint *endpoint = balancer_pick(&balancer, set, NULL, 1, &rng);

        for (unsigned j = 0; j < SIZE; j++) {
            counts[j] += set->slots[j].endpoint == endpoint;
            again[j] += set->slots[j].endpoint == endpoint && endpoint == last;
        }
        last = endpoint;
    }
    for (unsigned j = 0; j < SIZE; j++) {
        assert_in_range(counts[j], PICKS / SIZE * 9 / 10, PICKS / SIZE * 11 / 10);
        assert_in_range(again[j], PICKS / SIZE / SIZE * 8 / 10, PICKS / SIZE / SIZE * 12 / 10);
    }
    endpoint_set_unref(set);
}

static void weights_shift_traffic(void **state)
{
    struct endpoint_set *set = set_of(20, 10);
    unsigned heavy = 0;
    struct rng rng;

    rng_seed(&rng, 5);
    set = apply(set, adding(1, 10, 90), false, 1, NULL);
    for (int i = 0; i < 20000; i++)
        heavy += addr_cmp(balancer_pick(&balancer, set, NULL, 1, &rng)->info->addr, addr_of(11)) < 0;
    assert_in_range(heavy, 17500, 18500); /* nine of ten */
    endpoint_set_unref(set);
}

/*
 * Thousands of seeds: endpoints of random speed and health under load. Never an endpoint that is not ready or
 * avoided; never NULL while a ready one is there; the same seed gives the same run; slow ones get less.
 */
static uint64_t run_seed(uint64_t seed, unsigned *fast, unsigned *slow)
{
    struct rng rng;
    struct endpoint_set *set;
    struct endpoint *busy[32] = {0};
    int64_t now = 1;
    uint64_t trace = 0;
    unsigned size;

    rng_seed(&rng, seed);
    size = (unsigned)rng_below(&rng, 40) + 1;
    set = set_of(size, (uint32_t)rng_below(&rng, 3));
    for (int step = 0; step < 200; step++) {
        struct endpoint *some = set->slots[rng_below(&rng, size)].endpoint;
        struct endpoint *avoid = rng_below(&rng, 3) ? NULL : some, *picked;
        unsigned at = (unsigned)rng_below(&rng, 32);

        now += (int64_t)rng_below(&rng, 20 * (uint64_t)NS_PER_MS);
        if (rng_below(&rng, 20) == 0)
            endpoint_failed(some, ECONNREFUSED, &backoff, now, &rng);
        if (rng_below(&rng, 10) == 0 && endpoint_claim(some, now, NS_PER_S) && rng_below(&rng, 2))
            endpoint_connected(some);
        picked = balancer_pick(&balancer, set, avoid, now, &rng);
        if (picked) {
            assert_true(endpoint_is_ready(picked) && picked != avoid);
        } else {
            size_t ready = endpoint_set_counts(set).ready;

            assert_true(ready == 0 || (ready == 1 && avoid && endpoint_is_ready(avoid)));
            continue;
        }
        if (busy[at]) { /* odd addresses are ten times slower */
            bool odd = busy[at]->info->addr.ip.bytes[3] & 1;

            endpoint_end(busy[at], odd ? 100 * NS_PER_MS : 10 * NS_PER_MS, &balancer, now);
        }
        endpoint_begin(picked);
        busy[at] = picked;
        *(picked->info->addr.ip.bytes[3] & 1 ? slow : fast) += 1;
        trace = trace * 31 + picked->info->addr.ip.bytes[3];
    }
    for (size_t i = 0; i < 32; i++)
        if (busy[i])
            endpoint_end(busy[i], -1, &balancer, now);
    for (size_t i = 0; i < set->count; i++)
        assert_int_equal(set->slots[i].endpoint->in_flight, 0);
    endpoint_set_unref(set);
    return trace;
}

static void seeds(void **state)
{
    unsigned fast = 0, slow = 0, ignored = 0;

    for (uint64_t seed = 0; seed < 3000; seed++) {
        uint64_t trace = run_seed(seed, &fast, &slow);

        if (seed % 50 == 0)
            assert_true(run_seed(seed, &ignored, &ignored) == trace);
    }
    assert_true(fast > slow + slow / 2);
}

static void huge_sets(void **state)
{
    struct endpoint_set *set = set_of(20000, 10000);
    struct endpoint *left = set->slots[12345].endpoint;
    struct rng rng;

    rng_seed(&rng, 1);
    for (size_t i = 0; i < set->count; i++)
        if (set->slots[i].endpoint != left)
            eject(set->slots[i].endpoint, 1, &rng);
    for (int i = 0; i < 20; i++)
        assert_ptr_equal(balancer_pick(&balancer, set, NULL, 1, &rng), left);
    endpoint_set_unref(set);
}

/* --- distribution --- */

static bool bit_is_set(void *context, size_t index)
{
    return *(unsigned *)context >> index & 1;
}

static uint32_t weight_of(void *context, size_t index)
{
    static const uint32_t weights[] = {1, 0, 3};

    return weights[index];
}

static uint32_t no_weight(void *context, size_t index)
{
    return 0;
}

/* `bits` say which are ready. */
static long pick(struct distribute from, unsigned *bits, struct rng *rng)
{
    from.context = bits;
    return distribute_pick(&from, rng);
}

static void distributions(void **state)
{
    struct distribute random = {DISTRIBUTION_RANDOM_AVAILABLE, 3, NULL, weight_of, bit_is_set};
    struct distribute first = {DISTRIBUTION_FIRST_AVAILABLE, 3, NULL, weight_of, bit_is_set};
    struct distribute empty = {DISTRIBUTION_EMPTY, 3, NULL, weight_of, bit_is_set}, no_random = random, no_first = first;
    struct distribute zero = {DISTRIBUTION_RANDOM_AVAILABLE, 2, NULL, no_weight, bit_is_set};
    unsigned all = 7, none = 0, only_zero = 2, only_first = 1, not_first = 6, counts[3] = {0};
    struct rng rng;

    rng_seed(&rng, 4);
    for (int i = 0; i < 8000; i++)
        counts[pick(random, &all, &rng)]++;
    assert_in_range(counts[0], 1800, 2200);
    assert_int_equal(counts[1], 0);
    assert_int_equal(pick(random, &none, &rng), -EAGAIN);
    assert_int_equal(pick(random, &only_zero, &rng), -EAGAIN);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(pick(random, &only_first, &rng), 0);
        assert_int_equal(pick(random, &not_first, &rng), 2);
    }
    assert_int_equal(pick(first, &all, &rng), 0);
    assert_int_equal(pick(first, &not_first, &rng), 1); /* weights mean nothing here */
    assert_int_equal(pick(first, &none, &rng), -EAGAIN);
    assert_int_equal(pick(empty, &all, &rng), -ENOENT);
    no_random.count = no_first.count = 0;
    assert_int_equal(pick(no_random, &all, &rng), -ENOENT);
    assert_int_equal(pick(no_first, &all, &rng), -ENOENT);
    assert_int_equal(pick(zero, &all, &rng), -ENOENT);
}

/* --- the gate --- */

static void gate_shuts_and_opens(void **state)
{
    struct failfast gate;
    int64_t deadline = -1;
    bool by_us;

    failfast_init(&gate, 3 * NS_PER_S, 2, 0);
    assert_int_equal(failfast_enter(&gate, 100, &deadline), REASON_NONE);
    assert_int_equal(deadline, 100 + 3 * NS_PER_S);
    assert_int_equal(failfast_enter(&gate, 2 * NS_PER_S, &deadline), REASON_NONE);
    assert_int_equal(deadline, 100 + 3 * NS_PER_S); /* the first one's clock */
    assert_int_equal(failfast_enter(&gate, 2 * NS_PER_S, &deadline), REASON_QUEUE_FULL);
    assert_false(failfast_expire(&gate, 99 + 3 * NS_PER_S, &deadline, &by_us));
    assert_int_equal(deadline, 100 + 3 * NS_PER_S);
    assert_true(failfast_expire(&gate, 100 + 3 * NS_PER_S, &deadline, &by_us));
    assert_true(by_us && failfast_is_shut(&gate));
    assert_true(failfast_expire(&gate, 100 + 3 * NS_PER_S, &deadline, &by_us)); /* another worker's timer */
    assert_false(by_us);
    failfast_leave(&gate);
    failfast_leave(&gate);
    assert_int_equal(failfast_enter(&gate, 4 * NS_PER_S, &deadline), REASON_LOAD_SHED);
    assert_int_equal(gate.waiting, 0);
    assert_true(failfast_ready(&gate, 1));
    assert_false(failfast_ready(&gate, 1));
    assert_int_equal(failfast_enter(&gate, 5 * NS_PER_S, &deadline), REASON_NONE);
    assert_int_equal(deadline, 8 * NS_PER_S);
    failfast_leave(&gate);
}

static void gate_starts_anew_after_ready(void **state)
{
    struct failfast gate;
    int64_t deadline;

    failfast_init(&gate, 3 * NS_PER_S, 10, 0);
    failfast_enter(&gate, 0, &deadline);
    assert_false(failfast_ready(&gate, 1)); /* was not shut */
    /* Our request did not get that endpoint, and it is gone again: the wait begins anew. */
    assert_false(failfast_expire(&gate, 4 * NS_PER_S, &deadline, NULL));
    assert_int_equal(deadline, 7 * NS_PER_S);
    assert_true(failfast_expire(&gate, 7 * NS_PER_S, &deadline, NULL));
    failfast_leave(&gate);
    failfast_init(&gate, INT64_MAX, 1, 0);
    assert_int_equal(failfast_enter(&gate, 5, &deadline), REASON_NONE);
    assert_int_equal(deadline, INT64_MAX);
    failfast_leave(&gate);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(updates_by_difference),
        cmocka_unit_test(none_empties),
        cmocka_unit_test(described_anew),
        cmocka_unit_test(twice_in_one_update),
        cmocka_unit_test(updates_agree_with_a_model),
        cmocka_unit_test(ejection_and_probes),
        cmocka_unit_test(delays),
        cmocka_unit_test(threads_agree),
        cmocka_unit_test(load_is_peak_ewma),
        cmocka_unit_test(lower_load_wins),
        cmocka_unit_test(shares_follow_weights),
        cmocka_unit_test(zero_weights_come_last),
        cmocka_unit_test(no_affinity),
        cmocka_unit_test(weights_shift_traffic),
        cmocka_unit_test(seeds),
        cmocka_unit_test(huge_sets),
        cmocka_unit_test(distributions),
        cmocka_unit_test(gate_shuts_and_opens),
        cmocka_unit_test(gate_starts_anew_after_ready),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
