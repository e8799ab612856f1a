#include "control/policy/traffic_annotations.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"

enum { RETRY_BYTES = 64 * 1024, MIN_REQUESTS_MAX = 1000000, STATUSES_MAX = 600, NUMBER_MAX = 32 };

static const int64_t MIN_WINDOW_NS = 10 * NS_PER_MS; /* proxies take no shorter one */

/* --- one value: 0, and nothing changed where it is not written; or -EINVAL --- */

static int read_duration(const struct kube_map *map, struct slice key, int64_t *ns)
{
    struct slice text = kube_map_get(map, key);

    return text.ptr ? duration_parse(slice_trim(text), ns) : 0;
}

static int read_count(const struct kube_map *map, struct slice key, uint64_t max, uint32_t *count)
{
    struct slice text = kube_map_get(map, key);
    uint64_t value;

    if (!text.ptr)
        return 0;
    if (slice_u64(slice_trim(text), max, &value) < 0)
        return -EINVAL;
    *count = (uint32_t)value;
    return 0;
}

/* "0.25", without sign or exponent. */
static int read_share(const struct kube_map *map, struct slice key, double max, double *share)
{
    struct slice text = kube_map_get(map, key);
    char copy[NUMBER_MAX];
    size_t digits = 0, points = 0;
    double value;

    if (!text.ptr)
        return 0;
    text = slice_trim(text);
    for (size_t i = 0; i < text.len; i++) {
        digits += text.ptr[i] >= '0' && text.ptr[i] <= '9';
        points += text.ptr[i] == '.';
    }
    if (!digits || points > 1 || digits + points != text.len || text.len >= sizeof(copy))
        return -EINVAL;
    memcpy(copy, text.ptr, text.len);
    copy[text.len] = '\0';
    value = strtod(copy, NULL);
    if (value > max)
        return -EINVAL;
    *share = value;
    return 0;
}

/* As Go's ParseBool, which reads the other switches of the control plane. */
static int read_switch(const struct kube_map *map, struct slice key, bool *on)
{
    static const struct {
        struct slice text;
        bool on;
    } words[] = {{{"1", 1}, true},  {{"t", 1}, true},  {{"T", 1}, true},  {{"true", 4}, true},   {{"TRUE", 4}, true},   {{"True", 4}, true},
                 {{"0", 1}, false}, {{"f", 1}, false}, {{"F", 1}, false}, {{"false", 5}, false}, {{"FALSE", 5}, false}, {{"False", 5}, false}};
    struct slice text = kube_map_get(map, key);

    if (!text.ptr)
        return 0;
    text = slice_trim(text);
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (slice_eq(text, words[i].text)) {
            *on = words[i].on;
            return 0;
        }
    return -EINVAL;
}

/* --- timeouts --- */

void traffic_timeouts(const struct kube_map *annotations, struct route_timeouts *ret_timeouts)
{
    struct route_timeouts found = {0};

    *ret_timeouts = found;
    if (read_duration(annotations, SLICE_LIT("timeout.linkerd.io/request"), &found.request_ns) == 0 &&
        read_duration(annotations, SLICE_LIT("timeout.linkerd.io/response"), &found.response_ns) == 0 &&
        read_duration(annotations, SLICE_LIT("timeout.linkerd.io/idle"), &found.idle_ns) == 0)
        *ret_timeouts = found;
}

/* --- retries --- */

static int read_status(struct slice text, uint16_t *ret_status)
{
    uint64_t number;

    if (slice_u64(text, STATUSES_MAX - 1, &number) < 0 || number < 100)
        return -EINVAL;
    *ret_status = (uint16_t)number;
    return 0;
}

/* "5xx", "gateway-error", "503" or "500-504". */
static int read_statuses(struct slice text, struct status_range *ret_range)
{
    size_t dash = slice_find(text, '-');
    struct status_range range;

    if (slice_eq_nocase(text, SLICE_LIT("5xx"))) {
        *ret_range = (struct status_range){500, 599};
        return 0;
    }
    if (slice_eq_nocase(text, SLICE_LIT("gateway-error"))) {
        *ret_range = (struct status_range){502, 504};
        return 0;
    }
    if (read_status(slice_take(text, dash), &range.start) < 0)
        return -EINVAL;
    range.end = range.start;
    if (dash < text.len && (read_status(slice_skip(text, dash + 1), &range.end) < 0 || range.end < range.start))
        return -EINVAL;
    *ret_range = range;
    return 0;
}

static int read_http_conditions(struct slice text, struct arena *arena, struct retry_config *retry)
{
    struct slice rest = text, one;
    size_t room = 1;

    for (size_t i = 0; i < text.len; i++)
        room += text.ptr[i] == ',';
    if (!text.len || room > STATUSES_MAX)
        return -EINVAL;
    retry->statuses = ARENA_ARRAY(arena, struct status_range, room);
    if (!retry->statuses)
        return -ENOMEM;
    while (slice_split(&rest, ',', &one))
        if (read_statuses(one, &retry->statuses[retry->status_count++]) < 0)
            return -EINVAL;
    return 0;
}

static int read_grpc_conditions(struct slice text, struct retry_config *retry)
{
    static const struct {
        struct slice name;
        int code;
    } codes[] = {{{"cancelled", 9}, 1}, {{"deadline-exceeded", 17}, 4}, {{"resource-exhausted", 18}, 8}, {{"internal", 8}, 13}, {{"unavailable", 11}, 14}};
    struct slice rest = text, one;

    if (!text.len)
        return -EINVAL;
    while (slice_split(&rest, ',', &one)) {
        uint32_t bit = 0;

        for (size_t i = 0; i < sizeof(codes) / sizeof(codes[0]); i++)
            if (slice_eq_nocase(one, codes[i].name))
                bit = UINT32_C(1) << codes[i].code;
        if (!bit)
            return -EINVAL;
        retry->grpc_codes |= bit;
    }
    return 0;
}

int traffic_retry(const struct kube_map *annotations, bool grpc, struct arena *arena, struct retry_config **ret_retry)
{
    struct slice conditions = kube_map_get(annotations, grpc ? SLICE_LIT("retry.linkerd.io/grpc") : SLICE_LIT("retry.linkerd.io/http"));
    struct retry_config retry = {
        .max_request_bytes = RETRY_BYTES,
        .has_backoff = true,
        .backoff = {.min_ns = 25 * NS_PER_MS, .max_ns = 250 * NS_PER_MS, .jitter = 1},
    };
    int r = read_count(annotations, SLICE_LIT("retry.linkerd.io/limit"), UINT16_MAX, &retry.max_retries);

    *ret_retry = NULL;
    if (r == 0)
        r = read_duration(annotations, SLICE_LIT("retry.linkerd.io/timeout"), &retry.timeout_ns);
    if (r == 0 && conditions.ptr)
        r = grpc ? read_grpc_conditions(conditions, &retry) : read_http_conditions(conditions, arena, &retry);
    if (r == -ENOMEM)
        return r;
    if (r < 0 || (!retry.max_retries && !retry.timeout_ns && !conditions.ptr))
        return 0;
    if (!retry.max_retries)
        retry.max_retries = 1;
    *ret_retry = ARENA_NEW(arena, struct retry_config);
    if (!*ret_retry)
        return -ENOMEM;
    **ret_retry = retry;
    return 0;
}

/* --- failure accrual --- */

static int read_consecutive(const struct kube_map *map, struct failure_accrual *accrual)
{
    struct backoff_config *backoff = &accrual->backoff;

    accrual->max_failures = 7;
    *backoff = (struct backoff_config){.min_ns = NS_PER_S, .max_ns = 60 * NS_PER_S, .jitter = 0.5};
    if (read_count(map, SLICE_LIT("balancer.linkerd.io/failure-accrual-consecutive-max-failures"), UINT32_MAX, &accrual->max_failures) < 0 ||
        read_duration(map, SLICE_LIT("balancer.linkerd.io/failure-accrual-consecutive-max-penalty"), &backoff->max_ns) < 0 ||
        read_duration(map, SLICE_LIT("balancer.linkerd.io/failure-accrual-consecutive-min-penalty"), &backoff->min_ns) < 0 ||
        read_share(map, SLICE_LIT("balancer.linkerd.io/failure-accrual-consecutive-jitter-ratio"), 100, &backoff->jitter) < 0)
        return -EINVAL;
    return backoff->max_ns && backoff->min_ns <= backoff->max_ns ? 0 : -EINVAL;
}

static int read_success_rate(const struct kube_map *map, struct failure_accrual *accrual)
{
    accrual->success_rate_threshold = 0.8;
    accrual->decay_ns = 10 * NS_PER_S;
    accrual->min_requests = 5;
    if (read_share(map, SLICE_LIT("balancer.alpha.linkerd.io/failure-accrual-success-rate-threshold"), 1, &accrual->success_rate_threshold) < 0 ||
        read_duration(map, SLICE_LIT("balancer.alpha.linkerd.io/failure-accrual-success-rate-window"), &accrual->decay_ns) < 0 ||
        read_count(map, SLICE_LIT("balancer.alpha.linkerd.io/failure-accrual-success-rate-min-requests"), UINT32_MAX, &accrual->min_requests) < 0 ||
        !accrual->decay_ns)
        return -EINVAL;
    if (!(accrual->success_rate_threshold > 0)) /* off: its other numbers do not matter */
        return 0;
    return accrual->decay_ns >= MIN_WINDOW_NS && accrual->min_requests <= MIN_REQUESTS_MAX ? 0 : -EINVAL;
}

void traffic_accrual(const struct kube_map *annotations, struct failure_accrual *ret_accrual)
{
    struct slice mode = kube_map_get_lit(annotations, "balancer.linkerd.io/failure-accrual");
    struct failure_accrual found = {.kind = ACCRUAL_NONE};

    *ret_accrual = found;
    if (slice_eq(mode, SLICE_LIT("consecutive")))
        found.kind = ACCRUAL_CONSECUTIVE;
    else if (slice_eq(mode, SLICE_LIT("unified")))
        found.kind = ACCRUAL_UNIFIED;
    else
        return;
    if (read_consecutive(annotations, &found) < 0 || (found.kind == ACCRUAL_UNIFIED && read_success_rate(annotations, &found) < 0))
        return;
    if (found.kind == ACCRUAL_UNIFIED)
        (void)read_switch(annotations, SLICE_LIT("balancer.alpha.linkerd.io/failure-accrual-honor-retry-after"), &found.backoff.respect_retry_after);
    *ret_accrual = found;
}

/* --- penalties --- */

void traffic_penalty(const struct kube_map *annotations, struct balancer_config *balancer)
{
    int64_t penalty_ns = 5 * NS_PER_S, max_retry_after_ns = 300 * NS_PER_S;
    bool on = false;

    if (read_switch(annotations, SLICE_LIT("balancer.alpha.linkerd.io/penalize-failures"), &on) < 0 || !on ||
        read_duration(annotations, SLICE_LIT("balancer.alpha.linkerd.io/load-biaser-penalty"), &penalty_ns) < 0 ||
        read_duration(annotations, SLICE_LIT("balancer.alpha.linkerd.io/load-biaser-max-retry-after"), &max_retry_after_ns) < 0 ||
        penalty_ns / NS_PER_MS > UINT32_MAX) /* proxies count it in milliseconds */
        return;
    balancer->penalty = true;
    balancer->penalty_ns = penalty_ns;
    balancer->max_retry_after_ns = max_retry_after_ns;
    balancer->penalty_decay_ns = 10 * NS_PER_S;
}
