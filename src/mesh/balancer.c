#include "mesh/balancer.h"

#include <assert.h>
#include <math.h>

#include "base/mutation.h"

/* Sets up to this size are looked through; in larger ones candidates are guessed first. */
enum { SCAN_MAX = 12, GUESSES = 12 };

/* --- load --- */

static double decayed(const struct endpoint *endpoint, const struct balancer *balancer, int64_t now_ns)
{
    double rtt = (double)atomic_load_explicit(&endpoint->rtt_ns, memory_order_relaxed);
    int64_t since = now_ns - atomic_load_explicit(&endpoint->stamp_ns, memory_order_relaxed);

    return since > 0 ? rtt * exp(-(double)since / (double)balancer->decay_ns) : rtt;
}

double endpoint_load(const struct endpoint *endpoint, const struct balancer *balancer, int64_t now_ns)
{
    return decayed(endpoint, balancer, now_ns) *
           ((double)atomic_load_explicit(&endpoint->in_flight, memory_order_relaxed) + 1);
}

void endpoint_begin(struct endpoint *endpoint)
{
    atomic_fetch_add_explicit(&endpoint->in_flight, 1, memory_order_relaxed);
}

void endpoint_observe(struct endpoint *endpoint, int64_t rtt_ns, const struct balancer *balancer, int64_t now_ns)
{
    int64_t since = now_ns - atomic_load_explicit(&endpoint->stamp_ns, memory_order_relaxed);
    double old = (double)atomic_load_explicit(&endpoint->rtt_ns, memory_order_relaxed);
    double fade = since > 0 ? exp(-(double)since / (double)balancer->decay_ns) : 1;
    /* A peak counts at once, a better time only as fast as the old one fades. */
    int64_t rtt = (double)rtt_ns > old ? rtt_ns : (int64_t)(old * fade + (double)rtt_ns * (1 - fade));

    atomic_store_explicit(&endpoint->rtt_ns, rtt, memory_order_relaxed);
    atomic_store_explicit(&endpoint->stamp_ns, now_ns, memory_order_relaxed);
}

void endpoint_end(struct endpoint *endpoint, int64_t rtt_ns, const struct balancer *balancer, int64_t now_ns)
{
    uint32_t before = atomic_fetch_sub_explicit(&endpoint->in_flight, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
    if (rtt_ns >= 0)
        endpoint_observe(endpoint, rtt_ns, balancer, now_ns);
}

/* --- choosing --- */

static bool eligible(const struct endpoint *endpoint, const struct endpoint *avoid)
{
    return endpoint != avoid && endpoint_is_ready(endpoint);
}

/* What the slot weighs in a draw: 1 for all when there is nothing but zeros. */
static uint64_t weight_in(const struct endpoint_slot *slot, bool all_zero)
{
    return all_zero ? 1 : slot->weight;
}

/* Draws by weight from those eligible, looking at all. *ret_all_zero says whether only weightless ones are. */
static struct endpoint *scan_draw(const struct endpoint_set *set, const struct endpoint *avoid,
                                  const struct endpoint *first, bool all_zero, struct rng *rng)
{
    uint64_t total = 0, at;
    struct endpoint *last = NULL;

    for (size_t i = 0; i < set->count; i++) {
        const struct endpoint_slot *slot = &set->slots[i];

        if (slot->endpoint != first && eligible(slot->endpoint, avoid))
            total += weight_in(slot, all_zero);
    }
    if (!total)
        return NULL;
    at = rng_below(rng, total);
    for (size_t i = 0; i < set->count; i++) {
        const struct endpoint_slot *slot = &set->slots[i];
        uint64_t weight = weight_in(slot, all_zero);

        if (!weight || slot->endpoint == first || !eligible(slot->endpoint, avoid))
            continue;
        last = slot->endpoint;
        if (at < weight)
            return last;
        at -= weight;
    }
    return last; /* another thread ejected one between the two loops: any that is left will do */
}

static struct endpoint *lighter(struct endpoint *a, struct endpoint *b, const struct balancer *balancer,
                                int64_t now_ns)
{
    bool b_is = endpoint_load(b, balancer, now_ns) < endpoint_load(a, balancer, now_ns);

    return b_is != mutation("balancer-takes-the-heavier") ? b : a;
}

static struct endpoint *pick_by_scan(const struct balancer *balancer, const struct endpoint_set *set,
                                     const struct endpoint *avoid, int64_t now_ns, struct rng *rng)
{
    bool all_zero = false;
    struct endpoint *a = scan_draw(set, avoid, NULL, false, rng), *b;

    if (!a) {
        all_zero = true;
        a = scan_draw(set, avoid, NULL, true, rng);
    }
    if (!a)
        return NULL;
    b = scan_draw(set, avoid, a, all_zero, rng);
    return b ? lighter(a, b, balancer, now_ns) : a;
}

/* The slot that a point in [0, total_weight) falls into. */
static const struct endpoint_slot *slot_at(const struct endpoint_set *set, uint64_t point)
{
    size_t low = 0, high = set->count - 1;

    while (low < high) { /* the last slot whose weight_before <= point; weightless ones share it with their successor */
        size_t middle = low + (high - low + 1) / 2;

        if (set->slots[middle].weight_before <= point)
            low = middle;
        else
            high = middle - 1;
    }
    return &set->slots[low];
}

/* Two different ones by guessing, which is right where most are ready; false if luck did not help. */
static bool guess_two(const struct endpoint_set *set, const struct endpoint *avoid, struct rng *rng,
                      struct endpoint **ret_a, struct endpoint **ret_b)
{
    struct endpoint *a = NULL;

    for (int i = 0; i < GUESSES; i++) {
        struct endpoint *guess = slot_at(set, rng_below(rng, set->total_weight))->endpoint;

        if (guess == a || !eligible(guess, avoid))
            continue;
        if (a) {
            *ret_a = a;
            *ret_b = guess;
            return true;
        }
        a = guess;
    }
    return false;
}

struct endpoint *balancer_pick(const struct balancer *balancer, const struct endpoint_set *set,
                               const struct endpoint *avoid, int64_t now_ns, struct rng *rng)
{
    struct endpoint *a, *b;

    if (set->count == 1)
        return eligible(set->slots[0].endpoint, avoid) ? set->slots[0].endpoint : NULL;
    if (set->count > SCAN_MAX && set->total_weight && guess_two(set, avoid, rng, &a, &b))
        return lighter(a, b, balancer, now_ns);
    return pick_by_scan(balancer, set, avoid, now_ns, rng);
}
