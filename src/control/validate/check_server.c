/*
 * Server: two must not claim a port of the same pods. Which of them would count is a matter of age, so a policy could lose its effect to one
 * that nobody thinks of. Refused is what is plain from the objects alone; where two selectors happen to meet in a pod that is there now, it
 * is a warning.
 */
#include "control/validate/checks.h"

#include "base/limits.h"
#include "base/map.h"

static bool same_port(const struct kube_port_ref *a, const struct kube_port_ref *b)
{
    return a->number == b->number && slice_eq(a->name, b->name);
}

static bool selects_all(const struct kube_selector *selector)
{
    return !selector->match_labels.count && !selector->expression_count;
}

/* The same for selectors that say the same in another order. Sums do not care for order; a collision would refuse what its author chose. */
static uint64_t digest_of(const struct kube_selector *selector)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < selector->match_labels.count; i++) {
        const struct kube_pair *pair = &selector->match_labels.items[i];

        sum += siphash13(pair->value.ptr, pair->value.len, siphash13(pair->key.ptr, pair->key.len, 1, 2), 3);
    }
    for (size_t i = 0; i < selector->expression_count; i++) {
        const struct kube_expression *expression = &selector->expressions[i];
        uint64_t key = siphash13(expression->key.ptr, expression->key.len, 4, (uint64_t)expression->op), values = 5;

        for (size_t j = 0; j < expression->value_count; j++)
            values += siphash13(expression->values[j].ptr, expression->values[j].len, key, 6);
        sum += siphash13(&values, sizeof(values), key, 7);
    }
    return sum;
}

/* Plainly the same objects: one selects all, or both say the same. */
static bool overlap(const struct kube_selector *a, const struct kube_selector *b)
{
    if (!a || !b)
        return false;
    return selects_all(a) || selects_all(b) ||
           (a->match_labels.count == b->match_labels.count && a->expression_count == b->expression_count && digest_of(a) == digest_of(b));
}

static const struct kube_server *find_overlap(struct kube_set servers, const struct kube_server *server)
{
    for (size_t i = 0; i < servers.count; i++) {
        const struct kube_server *other = kube_server(servers.items[i]);

        if (!slice_eq(other->meta.name, server->meta.name) && same_port(&other->port, &server->port) &&
            (overlap(other->pod_selector, server->pod_selector) ||
             overlap(other->external_workload_selector, server->external_workload_selector)))
            return other;
    }
    return NULL;
}

/* ---- pods that are there ---- */

static uint16_t port_of(const struct kube_server *server, const struct kube_pod *pod)
{
    if (!server->pod_selector || !kube_selector_matches(server->pod_selector, &pod->meta.labels))
        return 0;
    return server->port.number ? server->port.number : kube_pod_named_port(pod, server->port.name, KUBE_TCP);
}

static bool warn_of_meeting(struct checking *checking, const struct kube_pod *pod, uint16_t port, struct kube_set servers,
                            const struct kube_server *server)
{
    for (size_t i = 0; i < servers.count; i++) {
        const struct kube_server *other = kube_server(servers.items[i]);

        if (slice_eq(other->meta.name, server->meta.name) || port_of(other, pod) != port)
            continue;
        warn(checking, &validate_spec, NULL, "port %u of the pod %.*s is selected by the Server %.*s too; only the older Server counts there",
             (unsigned)port, SHORT(pod->meta.name), SHORT(other->meta.name));
        return true;
    }
    return false;
}

static void look_at_pods(struct checking *checking, struct kube_set servers, const struct kube_server *server)
{
    struct kube_set pods = store_in(checking->context->store, KUBE_POD, server->meta.namespace_);
    size_t pairs = 0;

    for (size_t i = 0; i < pods.count && pairs < LIMIT_VALIDATE_PAIRS; i++) {
        const struct kube_pod *pod = kube_pod(pods.items[i]);
        uint16_t port = port_of(server, pod);

        pairs += 1 + (port ? servers.count : 0);
        if (port && warn_of_meeting(checking, pod, port, servers, server))
            return;
    }
}

void check_server(struct checking *checking)
{
    const struct kube_server *server = kube_server(checking->object), *other;
    struct kube_set servers;

    if (!checking->context->store)
        return;
    servers = store_in(checking->context->store, KUBE_SERVER, server->meta.namespace_);
    other = find_overlap(servers, server);
    if (other)
        refuse(checking, &validate_spec, NULL,
               "the Server %.*s has a policy for this port of the same %s already; expected another port or selector, or change that Server",
               SHORT(other->meta.name), server->pod_selector ? "pods" : "external workloads");
    else
        look_at_pods(checking, servers, server);
}
