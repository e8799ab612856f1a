#include <errno.h>

#include "base/duration.h"
#include "mesh/balancer.h"
#include "mesh/distribute.h"
#include "proxy/outbound/outbound.h"

static const struct balancer balancer = {.decay_ns = ENDPOINT_DECAY_NS};
static const int64_t PROBE_NS = 5 * NS_PER_S;
enum { PROBE_ONE_IN = 16 }; /* picks that look whether an ejected endpoint may be tried again, while others are ready */

/* --- backends --- */

static uint32_t weight_of(void *context, size_t index)
{
    return ((const struct rule_view *)context)->backends[index].weight;
}

static bool backend_ready(void *context, size_t index)
{
    const struct backend_view *backend = &((const struct rule_view *)context)->backends[index];
    const struct endpoint_set *set;

    if (!backend->endpoints)
        return true; /* a single endpoint, or an invalid backend, which answers by itself */
    set = backend->endpoints->snapshot;
    return set && set->count && !failfast_is_shut(&backend->endpoints->watched->gate);
}

static bool always(void *context, size_t index)
{
    return true;
}

/* Where none is ready, one is chosen as if all were: its queue says how long it is worth waiting, or that it is not. */
struct backend_view *outbound_pick_backend(struct worker *worker, const struct rule_view *rule)
{
    struct distribute from = {.kind = rule->kind, .count = rule->count, .context = (void *)(uintptr_t)rule, .weight = weight_of,
                              .ready = backend_ready};
    long index = distribute_pick(&from, &worker->loop->rng);

    if (index == -EAGAIN) {
        from.ready = always;
        index = distribute_pick(&from, &worker->loop->rng);
    }
    return index < 0 ? NULL : &rule->backends[index];
}

/* --- endpoints --- */

static struct endpoint *claim_ejected(struct worker *worker, const struct endpoint_set *set)
{
    for (size_t i = 0; i < set->count; i++)
        if (endpoint_claim(set->slots[i].endpoint, worker->loop->now_ns, PROBE_NS))
            return set->slots[i].endpoint;
    return NULL;
}

int outbound_pick_endpoint(struct worker *worker, struct backend_view *backend, const struct endpoint *avoid,
                           struct endpoint **ret_endpoint, struct lookup **ret_wait, int64_t *ret_look_again_ns,
                           enum reason *ret_reason)
{
    const struct endpoint_set *set;
    struct endpoint *endpoint = backend->forward;

    if (!endpoint) {
        if (!backend->endpoints) {
            *ret_reason = REASON_BACKEND_INVALID;
            return -EINVAL;
        }
        *ret_wait = backend->endpoints;
        *ret_look_again_ns = 0;
        set = backend->endpoints->snapshot;
        if (!set)
            return -EAGAIN;
        if (rng_below(&worker->loop->rng, PROBE_ONE_IN) == 0)
            endpoint = claim_ejected(worker, set);
        if (!endpoint)
            endpoint = balancer_pick(&balancer, set, avoid, worker->loop->now_ns, &worker->loop->rng);
        if (!endpoint)
            endpoint = claim_ejected(worker, set);
        if (!endpoint) {
            *ret_look_again_ns = endpoint_set_counts(set).probe_at_ns;
            return -EAGAIN;
        }
        (void)failfast_ready(&backend->endpoints->watched->gate, worker->loop->now_ns);
        (void)failfast_ready(&backend->endpoints->watched->tcp_gate, worker->loop->now_ns);
    }
    endpoint_begin(endpoint);
    *ret_endpoint = endpoint_ref(endpoint);
    return 0;
}

void outbound_endpoint_tried(struct worker *worker, struct endpoint *endpoint, bool ok, int error)
{
    if (ok)
        (void)endpoint_connected(endpoint);
    else
        (void)endpoint_failed(endpoint, -error, &worker->proxy->config.outbound.connect_backoff, worker->loop->now_ns, &worker->loop->rng);
}

void outbound_endpoint_answered(struct worker *worker, struct endpoint *endpoint, int64_t rtt_ns)
{
    endpoint_observe(endpoint, rtt_ns, &balancer, worker->loop->now_ns);
}

void outbound_endpoint_release(struct worker *worker, struct endpoint *endpoint)
{
    if (!endpoint)
        return;
    endpoint_end(endpoint, -1, &balancer, worker->loop->now_ns);
    endpoint_unref(endpoint);
}
