#include <errno.h>
#include <stdlib.h>

#include "api/destination.h"
#include "api/outbound.h"
#include "event/log.h"
#include "mesh/prepare.h"
#include "proxy/watch/watch_internal.h"

/*
 * One outbound destination: the profile stream and the policy stream run beside each other; a discovery is published
 * once both have said something, and again at every change of either. It is an address, or a name and a port that somebody
 * has written, which may not exist.
 */
struct watch_target {
    struct watch_base base;
    bool by_name;
    struct addr addr; /* unless by_name */
    struct buffer profile_request, policy_request;
    struct control_stream profile_stream, policy_stream;
    struct timer first_answer;
    struct profile *profile;
    struct outbound_policy *policy;
    bool profile_known; /* it answered, or is not asked */
    bool policy_known;  /* it answered, or said that it will not */
    bool published;
};

static struct log *log_of(struct watch_target *watch)
{
    return watch->base.streams->proxy->log;
}

/* A name leads nowhere by itself. 0, and a policy, or the reason why there is none; or -ENOMEM. */
static int find_policy(struct watch_target *watch, struct discovery *discovery)
{
    if (watch->policy) {
        discovery->policy = outbound_policy_ref(watch->policy);
        return 0;
    }
    if (!watch->by_name || (watch->profile && watch->profile->endpoint))
        return forward_policy_new(watch->profile, watch->addr, &discovery->policy);
    discovery->failure = REASON_OVERRIDE_UNKNOWN;
    return 0;
}

static void publish(struct watch_target *watch)
{
    struct discovery *discovery;

    if (!watch->profile_known || !watch->policy_known)
        return;
    discovery = discovery_new();
    if (!discovery)
        return;
    if (find_policy(watch, discovery) < 0) {
        discovery_unref(discovery);
        return;
    }
    if (watch->profile)
        discovery->profile = profile_ref(watch->profile);
    if (discovery_own(discovery) < 0) {
        discovery_unref(discovery);
        return;
    }
    watch->published = true;
    timer_cancel(&watch->first_answer);
    cell_publish(&watch->base.watched->cell, discovery);
}

/* Nothing is known and nobody answers: those who wait are told, instead of waiting on. */
static void unanswered(struct timer *timer)
{
    struct watch_target *watch = CONTAINER_OF(timer, struct watch_target, first_answer);
    struct discovery *discovery;

    if (watch->published)
        return;
    if (watch->policy_known && !watch->profile_known) { /* profiles are optional: on without */
        watch->profile_known = true;
        publish(watch);
        return;
    }
    discovery = discovery_new();
    if (!discovery)
        return;
    discovery->failure = REASON_DISCOVERY_UNAVAILABLE;
    cell_publish(&watch->base.watched->cell, discovery);
}

static int on_profile(struct control_stream *stream, struct slice message)
{
    struct watch_target *watch = stream->owner;
    struct profile *profile;
    struct errmsg msg = {""};
    unsigned dropped = 0;
    int r = profile_decode(message, &msg, &profile);

    if (r == 0 && (r = profile_prepare(profile, &dropped)) < 0)
        profile_unref(profile);
    if (r < 0) {
        log_limited(log_of(watch), LOG_ERROR, "discovery", "the profile of %.*s cannot be used: %s",
                    SLICE_ARGS(watch->base.watched->key), msg.text);
        return r;
    }
    if (dropped)
        log_limited(log_of(watch), LOG_WARN, "discovery", "%u expressions of the profile of %.*s do not compile and are left out",
                    dropped, SLICE_ARGS(watch->base.watched->key));
    profile_unref(watch->profile);
    watch->profile = profile;
    watch->profile_known = true;
    publish(watch);
    return 0;
}

static bool on_profile_end(struct control_stream *stream, int status, struct slice text)
{
    struct watch_target *watch = stream->owner;
    bool permanent = status == GRPC_INVALID_ARGUMENT || status == GRPC_FAILED_PRECONDITION;

    if (status != GRPC_OK)
        log_limited(log_of(watch), permanent ? LOG_DEBUG : LOG_WARN, "discovery", "profile of %.*s: %s: %.*s",
                    SLICE_ARGS(watch->base.watched->key), grpc_code_name(status), SLICE_ARGS(text));
    if (status != GRPC_OK && status != GRPC_UNAVAILABLE && !watch->profile_known) {
        watch->profile_known = true;
        publish(watch);
    }
    return !permanent;
}

static const struct control_stream_events profile_events = {.on_message = on_profile, .on_end = on_profile_end};

static int on_policy(struct control_stream *stream, struct slice message)
{
    struct watch_target *watch = stream->owner;
    struct outbound_policy *policy;
    struct errmsg msg = {""};
    int r = outbound_policy_decode(message, &msg, &policy);

    if (r == 0 && (r = outbound_policy_prepare(policy)) < 0)
        outbound_policy_unref(policy);
    if (r < 0) {
        log_limited(log_of(watch), LOG_ERROR, "discovery", "the policy of %.*s cannot be read: %s",
                    SLICE_ARGS(watch->base.watched->key), msg.text);
        return r;
    }
    if (policy->invalid)
        log_limited(log_of(watch), LOG_ERROR, "discovery", "the policy of %.*s cannot be followed, its requests get 500: %.*s",
                    SLICE_ARGS(watch->base.watched->key), SLICE_ARGS(policy->invalid_reason));
    outbound_policy_unref(watch->policy);
    watch->policy = policy;
    watch->policy_known = true;
    publish(watch);
    return 0;
}

/* NotFound and Unimplemented are final: an earlier policy stays, else one is made from what else is known. */
static bool is_final(const struct watch_target *watch, int status)
{
    return status == GRPC_NOT_FOUND || status == GRPC_UNIMPLEMENTED || (watch->by_name && status == GRPC_INVALID_ARGUMENT);
}

static bool on_policy_end(struct control_stream *stream, int status, struct slice text)
{
    struct watch_target *watch = stream->owner;

    if (is_final(watch, status)) {
        watch->policy_known = true;
        publish(watch);
        return watch->by_name && status == GRPC_NOT_FOUND; /* a Service of that name may be made later */
    }
    if (status != GRPC_OK)
        log_limited(log_of(watch), LOG_WARN, "discovery", "policy of %.*s: %s: %.*s", SLICE_ARGS(watch->base.watched->key),
                    grpc_code_name(status), SLICE_ARGS(text));
    return status != GRPC_INVALID_ARGUMENT && status != GRPC_FAILED_PRECONDITION;
}

static const struct control_stream_events policy_events = {.on_message = on_policy, .on_end = on_policy_end};

static void free_watch(struct watch_base *base)
{
    struct watch_target *watch = CONTAINER_OF(base, struct watch_target, base);

    control_stream_stop(&watch->profile_stream);
    control_stream_stop(&watch->policy_stream);
    timer_release(base->streams->loop, &watch->first_answer);
    profile_unref(watch->profile);
    outbound_policy_unref(watch->policy);
    buffer_release(&watch->profile_request);
    buffer_release(&watch->policy_request);
    free(watch);
}

/* Without its port. */
static struct slice name_of(const struct watch_target *watch)
{
    struct slice key = watch->base.watched->key;

    return slice_take(key, slice_find(key, ':'));
}

static int start_profile(struct watch_target *watch)
{
    struct streams *streams = watch->base.streams;
    const struct config *config = &streams->proxy->config;
    struct get_destination request = {.scheme = SLICE_LIT("k8s"), .path = watch->base.watched->key,
                                      .context_token = config->destination_context};
    struct errmsg msg;
    int r;

    if (watch->by_name ? !names_cover(&config->profile_suffixes, name_of(watch)) : !networks_have(&config->profile_networks, watch->addr.ip)) {
        watch->profile_known = true;
        return 0;
    }
    r = get_destination_encode(&request, &msg, &watch->profile_request);
    if (r < 0)
        return r;
    return control_stream_start(&watch->profile_stream, streams->destination,
                                SLICE_LIT("/io.linkerd.proxy.destination.Destination/GetProfile"),
                                buffer_slice(&watch->profile_request), &profile_events, watch);
}

static int start_policy(struct watch_target *watch)
{
    struct streams *streams = watch->base.streams;
    struct traffic_spec request = {.source_workload = streams->proxy->config.policy_workload, .by_addr = !watch->by_name,
                                   .addr = watch->addr, .authority = watch->base.watched->key};
    struct errmsg msg;
    int r;

    if (!streams->policy) {
        watch->policy_known = true;
        return 0;
    }
    r = traffic_spec_encode(&request, &msg, &watch->policy_request);
    if (r < 0)
        return r;
    return control_stream_start(&watch->policy_stream, streams->policy,
                                SLICE_LIT("/io.linkerd.proxy.outbound.OutboundPolicies/Watch"),
                                buffer_slice(&watch->policy_request), &policy_events, watch);
}

int watch_target_start(struct streams *streams, struct watched *watched)
{
    struct watch_target *watch = calloc(1, sizeof(*watch));
    int r;

    if (!watch)
        return -ENOMEM;
    watch->base = (struct watch_base){.streams = streams, .watched = watched, .free = free_watch};
    list_push(&streams->watches, &watch->base.link);
    buffer_init(&watch->profile_request, LIMIT_GRPC_MESSAGE);
    buffer_init(&watch->policy_request, LIMIT_GRPC_MESSAGE);
    watch->by_name = addr_parse(watched->key, &watch->addr) < 0;
    r = timer_init(streams->loop, &watch->first_answer, unanswered);
    if (r == 0)
        r = start_profile(watch);
    if (r == 0)
        r = start_policy(watch);
    if (r < 0) {
        list_remove(&watch->base.link);
        free_watch(&watch->base);
        return r;
    }
    timer_set(streams->loop, &watch->first_answer, streams->loop->now_ns + FIRST_ANSWER_NS);
    watched->stream = &watch->base;
    publish(watch);
    return 0;
}
