#include <errno.h>
#include <stdlib.h>

#include "api/inbound.h"
#include "event/log.h"
#include "mesh/default_policy.h"
#include "mesh/prepare.h"
#include "proxy/watch/watch_internal.h"

/* The policy of one inbound port, as long as a worker wants it. */
struct watch_port {
    struct watch_base base;
    uint16_t port;
    struct buffer request;
    struct control_stream stream;
};

static int on_policy(struct control_stream *stream, struct slice message)
{
    struct watch_port *watch = stream->owner;
    struct log *log = watch->base.streams->proxy->log;
    struct inbound_policy *policy;
    struct errmsg msg = {""};
    int r = inbound_policy_decode(message, &msg, &policy);

    if (r < 0) {
        log_limited(log, LOG_ERROR, "policy", "the policy of port %u cannot be read: %s", watch->port, msg.text);
        return r;
    }
    r = inbound_policy_prepare(policy);
    if (r < 0) {
        inbound_policy_unref(policy);
        return r;
    }
    if (policy->invalid)
        log_limited(log, LOG_ERROR, "policy", "the policy of port %u cannot be followed and denies all: %.*s", watch->port,
                    SLICE_ARGS(policy->invalid_reason));
    cell_publish(&watch->base.watched->cell, policy);
    return 0;
}

static bool on_end(struct control_stream *stream, int status, struct slice text)
{
    struct watch_port *watch = stream->owner;

    log_limited(watch->base.streams->proxy->log, status == GRPC_OK ? LOG_DEBUG : LOG_WARN, "policy",
                "watching the policy of port %u: %s: %.*s", watch->port, grpc_code_name(status), SLICE_ARGS(text));
    return status != GRPC_INVALID_ARGUMENT && status != GRPC_FAILED_PRECONDITION;
}

static const struct control_stream_events events = {.on_message = on_policy, .on_end = on_end};

static void free_watch(struct watch_base *base)
{
    struct watch_port *watch = CONTAINER_OF(base, struct watch_port, base);

    control_stream_stop(&watch->stream);
    buffer_release(&watch->request);
    free(watch);
}

/* Without a policy service the environment's default is what holds. */
static int publish_default(struct watch_port *watch)
{
    const struct config *config = &watch->base.streams->proxy->config;
    enum default_policy kind = config->inbound_default_policy;
    struct inbound_policy *policy;

    if (port_ranges_have(&config->require_identity, watch->port) || port_ranges_have(&config->require_tls, watch->port))
        kind = default_policy_require_identity(kind);
    policy = default_policy_new(kind, config->cluster_networks.items, config->cluster_networks.count,
                                config->inbound.detect_timeout_ns);
    if (policy && port_ranges_have(&config->inbound_opaque, watch->port))
        policy->protocol = INBOUND_OPAQUE;
    if (policy && inbound_policy_prepare(policy) < 0) {
        inbound_policy_unref(policy);
        policy = NULL;
    }
    if (!policy)
        return -ENOMEM;
    cell_publish(&watch->base.watched->cell, policy);
    return 0;
}

/*
 * The identity service's own proxy cannot wait for the policy controller, whose proxy has no certificate before this one lets its
 * request in: until the first answer the environment's default holds.
 */
static bool is_beside_identity(const struct config *config)
{
    return config->identity.configured && !config->identity.identity.len && config->policy.identity.len;
}

int watch_port_start(struct streams *streams, struct watched *watched)
{
    struct watch_port *watch = calloc(1, sizeof(*watch));
    struct port_spec spec = {.workload = streams->proxy->config.policy_workload};
    struct errmsg msg;
    uint64_t port = 0;
    int r = 0;

    if (!watch)
        return -ENOMEM;
    (void)slice_u64(watched->key, UINT16_MAX, &port);
    watch->base = (struct watch_base){.streams = streams, .watched = watched, .free = free_watch};
    watch->port = spec.port = (uint16_t)port;
    buffer_init(&watch->request, LIMIT_GRPC_MESSAGE);
    if (!streams->policy || is_beside_identity(&streams->proxy->config))
        r = publish_default(watch);
    if (r == 0 && streams->policy && (r = port_spec_encode(&spec, &msg, &watch->request)) == 0)
        r = control_stream_start(&watch->stream, streams->policy,
                                 SLICE_LIT("/io.linkerd.proxy.inbound.InboundServerPolicies/WatchPort"),
                                 buffer_slice(&watch->request), &events, watch);
    if (r < 0) {
        buffer_release(&watch->request);
        free(watch);
        return r;
    }
    watched->stream = &watch->base;
    list_push(&streams->watches, &watch->base.link);
    return 0;
}
