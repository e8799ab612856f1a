#include <errno.h>

#include "base/duration.h"
#include "mesh/balancer.h"
#include "mesh/distribute.h"
#include "proxy/outbound/outbound.h"

static const struct balancer balancer = {.decay_ns = ENDPOINT_DECAY_NS};
static const int64_t PROBE_NS = 5 * NS_PER_S;
enum { PROBE_ONE_IN = 16 }; /* picks that look whether an ejected endpoint may be tried again, while others are ready */

/* --- backends --- */

static bool backend_ready(const struct backend_view *backend)
{
    const struct endpoint_set *set;

    if (!backend->endpoints)
        return true; /* a single endpoint, or an invalid backend, which answers by itself */
    set = backend->endpoints->snapshot;
    return set && set->count && !failfast_is_shut(&backend->endpoints->watched->gate);
}

/* One by weight, of those that are ready if `ready_only`. */
static struct backend_view *draw(struct worker *worker, const struct rule_view *rule, bool ready_only)
{
    uint64_t total = 0, at;

    for (size_t i = 0; i < rule->count; i++)
        if (!ready_only || backend_ready(&rule->backends[i]))
            total += rule->backends[i].weight;
    if (!total)
        return NULL;
    at = rng_below(&worker->loop->rng, total);
    for (size_t i = 0; i < rule->count; i++) {
        if (ready_only && !backend_ready(&rule->backends[i]))
            continue;
        if (at < rule->backends[i].weight)
            return &rule->backends[i];
        at -= rule->backends[i].weight;
    }
    return NULL;
}

struct backend_view *outbound_pick_backend(struct worker *worker, const struct rule_view *rule)
{
    struct backend_view *backend;

    if (rule->kind == DISTRIBUTION_EMPTY || rule->count == 0)
        return NULL;
    if (rule->count == 1)
        return rule->kind == DISTRIBUTION_FIRST_AVAILABLE || rule->backends[0].weight ? &rule->backends[0] : NULL;
    if (rule->kind == DISTRIBUTION_FIRST_AVAILABLE) {
        for (size_t i = 0; i < rule->count; i++)
            if (backend_ready(&rule->backends[i]))
                return &rule->backends[i];
        return &rule->backends[0];
    }
    backend = draw(worker, rule, true);
    return backend ? backend : draw(worker, rule, false);
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
        (void)failfast_ready(&backend->endpoints->watched->gate);
        (void)failfast_ready(&backend->endpoints->watched->tcp_gate);
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
