#include "control/policy/traffic_annotations.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/duration.h"

enum { PAIRS_MAX = 6 };

/* "key=value;key=value", in any order. */
struct annotated {
    struct kube_pair pairs[PAIRS_MAX];
    struct kube_map map;
};

static int by_key(const void *a, const void *b)
{
    return slice_cmp(((const struct kube_pair *)a)->key, ((const struct kube_pair *)b)->key);
}

static const struct kube_map *annotate(struct annotated *to, const char *text)
{
    struct slice rest = slice_str(text), one;

    to->map = (struct kube_map){to->pairs, 0};
    while (rest.len && slice_split(&rest, ';', &one)) {
        size_t at = slice_find(one, '=');

        assert_true(to->map.count < PAIRS_MAX);
        to->pairs[to->map.count++] = (struct kube_pair){slice_take(one, at), slice_skip(one, at + 1)};
    }
    qsort(to->pairs, to->map.count, sizeof(to->pairs[0]), by_key);
    return &to->map;
}

static void test_timeouts(void **state)
{
    static const struct {
        const char *text;
        int64_t request_ms, response_ms, idle_ms;
    } cases[] = {
        {"", 0, 0, 0},
        {"timeout.linkerd.io/idle=1h;timeout.linkerd.io/request=10s;timeout.linkerd.io/response= 500ms ", 10000, 500, 3600000},
        {"timeout.linkerd.io/request=0", 0, 0, 0},
        {"timeout.linkerd.io/idle=2s;timeout.linkerd.io/request=1.5s", 0, 0, 0}, /* as a whole */
        {"timeout.linkerd.io/request=10", 0, 0, 0},
        {"timeout.linkerd.io/request=-1s", 0, 0, 0},
        {"timeout.linkerd.io/request=", 0, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct annotated annotated;
        struct route_timeouts found;

        traffic_timeouts(annotate(&annotated, cases[i].text), &found);
        assert_int_equal(found.request_ns, cases[i].request_ms * NS_PER_MS);
        assert_int_equal(found.response_ns, cases[i].response_ms * NS_PER_MS);
        assert_int_equal(found.idle_ns, cases[i].idle_ms * NS_PER_MS);
    }
}

static void test_retries(void **state)
{
    static const struct {
        const char *text;
        bool grpc;
        uint32_t retries; /* 0: none */
        int64_t timeout_ms;
        size_t count;
        struct status_range first;
        uint32_t codes;
    } cases[] = {
        {"", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=5xx", false, 1, 0, 1, {500, 599}, 0},
        {"retry.linkerd.io/http=Gateway-Error,429,400-404", false, 1, 0, 3, {502, 504}, 0},
        {"retry.linkerd.io/http=503", false, 1, 0, 1, {503, 503}, 0},
        {"retry.linkerd.io/http=500-504", false, 1, 0, 1, {500, 504}, 0},
        {"retry.linkerd.io/http=504-500", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=600", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=99", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=500, 503", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=500,", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=5xx", true, 0, 0, 0, {0, 0}, 0}, /* the other protocol's */
        {"retry.linkerd.io/limit=3", true, 3, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/limit=0", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/http=5xx;retry.linkerd.io/limit=65536", false, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/timeout=300ms", false, 1, 300, 0, {0, 0}, 0},
        {"retry.linkerd.io/grpc=cancelled,deadline-exceeded,internal,resource-exhausted,Unavailable;retry.linkerd.io/limit=2", true, 2, 0, 0, {0, 0},
         1u << 1 | 1u << 4 | 1u << 8 | 1u << 13 | 1u << 14},
        {"retry.linkerd.io/grpc=unknown", true, 0, 0, 0, {0, 0}, 0},
        {"retry.linkerd.io/grpc=", true, 0, 0, 0, {0, 0}, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct annotated annotated;
        struct retry_config *found;
        struct arena arena;

        arena_init(&arena, SIZE_MAX);
        assert_int_equal(traffic_retry(annotate(&annotated, cases[i].text), cases[i].grpc, &arena, &found), 0);
        if (!cases[i].retries) {
            assert_null(found);
        } else {
            assert_int_equal(found->max_retries, cases[i].retries);
            assert_int_equal(found->timeout_ns, cases[i].timeout_ms * NS_PER_MS);
            assert_int_equal(found->status_count, cases[i].count);
            assert_int_equal(found->grpc_codes, cases[i].codes);
            assert_int_equal(found->max_request_bytes, 65536);
            assert_true(found->has_backoff);
            if (found->status_count) {
                assert_int_equal(found->statuses[0].start, cases[i].first.start);
                assert_int_equal(found->statuses[0].end, cases[i].first.end);
            }
        }
        arena_release(&arena);
    }
}

static void test_retry_without_memory(void **state)
{
    struct annotated annotated;
    struct retry_config *found;
    struct arena arena;

    (void)state;
    arena_init(&arena, 1);
    assert_int_equal(traffic_retry(annotate(&annotated, "retry.linkerd.io/http=5xx"), false, &arena, &found), -ENOMEM);
    assert_int_equal(traffic_retry(annotate(&annotated, "retry.linkerd.io/limit=1"), false, &arena, &found), -ENOMEM);
    arena_release(&arena);
}

#define MODE "balancer.linkerd.io/failure-accrual="
#define CONSECUTIVE "balancer.linkerd.io/failure-accrual-consecutive-"
#define RATE "balancer.alpha.linkerd.io/failure-accrual-success-rate-"

static void test_accrual(void **state)
{
    static const struct {
        const char *text;
        struct failure_accrual wanted;
    } cases[] = {
        {"", {.kind = ACCRUAL_NONE}},
        {MODE "consecutive", {ACCRUAL_CONSECUTIVE, 7, {1 * NS_PER_S, 60 * NS_PER_S, 0.5, false}, 0, 0, 0, 0}},
        {CONSECUTIVE "jitter-ratio=0.25;" CONSECUTIVE "max-failures=3;" CONSECUTIVE "max-penalty=1m;" CONSECUTIVE "min-penalty=2s;" MODE "consecutive",
         {ACCRUAL_CONSECUTIVE, 3, {2 * NS_PER_S, 60 * NS_PER_S, 0.25, false}, 0, 0, 0, 0}},
        {MODE "sometimes", {.kind = ACCRUAL_NONE}},
        {CONSECUTIVE "max-failures=many;" MODE "consecutive", {.kind = ACCRUAL_NONE}},
        {CONSECUTIVE "min-penalty=2m;" MODE "consecutive", {.kind = ACCRUAL_NONE}}, /* more than the most */
        {CONSECUTIVE "max-penalty=0;" CONSECUTIVE "min-penalty=0;" MODE "consecutive", {.kind = ACCRUAL_NONE}},
        {CONSECUTIVE "jitter-ratio=101;" MODE "consecutive", {.kind = ACCRUAL_NONE}},
        {CONSECUTIVE "jitter-ratio=-1;" MODE "consecutive", {.kind = ACCRUAL_NONE}},
        {CONSECUTIVE "jitter-ratio=1e1;" MODE "consecutive", {.kind = ACCRUAL_NONE}},
        {CONSECUTIVE "jitter-ratio=.;" MODE "consecutive", {.kind = ACCRUAL_NONE}},
        {MODE "unified", {ACCRUAL_UNIFIED, 7, {1 * NS_PER_S, 60 * NS_PER_S, 0.5, false}, 0.8, 10 * NS_PER_S, 5, 0}},
        {RATE "min-requests=9;" RATE "threshold=0.5;" RATE "window=20s;balancer.alpha.linkerd.io/failure-accrual-honor-retry-after=true;" MODE "unified",
         {ACCRUAL_UNIFIED, 7, {1 * NS_PER_S, 60 * NS_PER_S, 0.5, true}, 0.5, 20 * NS_PER_S, 9, 0}},
        {RATE "threshold=0;" RATE "window=1ms;" MODE "unified", {ACCRUAL_UNIFIED, 7, {1 * NS_PER_S, 60 * NS_PER_S, 0.5, false}, 0, NS_PER_MS, 5, 0}},
        {RATE "window=9ms;" MODE "unified", {.kind = ACCRUAL_NONE}},
        {RATE "threshold=1.1;" MODE "unified", {.kind = ACCRUAL_NONE}},
        {RATE "min-requests=1000001;" MODE "unified", {.kind = ACCRUAL_NONE}},
        {"balancer.alpha.linkerd.io/failure-accrual-honor-retry-after=yes;" MODE "unified",
         {ACCRUAL_UNIFIED, 7, {1 * NS_PER_S, 60 * NS_PER_S, 0.5, false}, 0.8, 10 * NS_PER_S, 5, 0}},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        const struct failure_accrual *wanted = &cases[i].wanted;
        struct failure_accrual found;
        struct annotated annotated;

        traffic_accrual(annotate(&annotated, cases[i].text), &found);
        assert_int_equal(found.kind, wanted->kind);
        assert_int_equal(found.max_failures, wanted->max_failures);
        assert_int_equal(found.backoff.min_ns, wanted->backoff.min_ns);
        assert_int_equal(found.backoff.max_ns, wanted->backoff.max_ns);
        assert_true(found.backoff.jitter == wanted->backoff.jitter);
        assert_int_equal(found.backoff.respect_retry_after, wanted->backoff.respect_retry_after);
        assert_true(found.success_rate_threshold == wanted->success_rate_threshold);
        assert_int_equal(found.decay_ns, wanted->decay_ns);
        assert_int_equal(found.min_requests, wanted->min_requests);
    }
}

static void test_penalties(void **state)
{
    static const struct {
        const char *text;
        bool on;
        int64_t penalty_s, max_retry_after_s;
    } cases[] = {
        {"", false, 0, 0},
        {"balancer.alpha.linkerd.io/penalize-failures=true", true, 5, 300},
        {"balancer.alpha.linkerd.io/load-biaser-max-retry-after=10m;balancer.alpha.linkerd.io/load-biaser-penalty=7s;"
         "balancer.alpha.linkerd.io/penalize-failures= T ",
         true, 7, 600},
        {"balancer.alpha.linkerd.io/load-biaser-penalty=7s", false, 0, 0},
        {"balancer.alpha.linkerd.io/penalize-failures=yes", false, 0, 0},
        {"balancer.alpha.linkerd.io/load-biaser-penalty=50d;balancer.alpha.linkerd.io/penalize-failures=1", false, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct balancer_config found = {.default_rtt_ns = 1};
        struct annotated annotated;

        traffic_penalty(annotate(&annotated, cases[i].text), &found);
        assert_int_equal(found.penalty, cases[i].on);
        assert_int_equal(found.penalty_ns, cases[i].penalty_s * NS_PER_S);
        assert_int_equal(found.max_retry_after_ns, cases[i].max_retry_after_s * NS_PER_S);
        assert_int_equal(found.default_rtt_ns, 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_timeouts), cmocka_unit_test(test_retries),   cmocka_unit_test(test_retry_without_memory),
        cmocka_unit_test(test_accrual),  cmocka_unit_test(test_penalties),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
