/*
 * Kubernetes Events (core v1) about objects, for people who ask `kubectl
 * describe` or `kubectl get events`. Posting never waits and never fails: what
 * cannot be written is counted, and told once.
 *
 *     event_sink_new() -> event_sink_post() ... -> event_sink_free()
 *
 * Equal events are one object whose count and last time are patched, at most once in EVENT_SPACING_NS. Of new ones an object
 * gets, for each reason, EVENT_BURST at once and then one in EVENT_REFILL_NS; the sink as a whole sends one request at a time and a
 * few in a second. A server that is away is asked again for a while.
 *
 * Rights: create and patch of events in the namespaces of the objects; of objects without one, in `default`.
 *
 * Bounded: LIMIT_EVENTS, LIMIT_EVENT_MESSAGE. The loop's thread.
 */
#pragma once

#include "kube/api/api_client.h"

struct event_sink;

enum event_type { EVENT_NORMAL, EVENT_WARNING };

#define EVENT_SPACING_NS (10 * NS_PER_S)
#define EVENT_REFILL_NS (300 * NS_PER_S)
enum { EVENT_BURST = 25 };

struct event_sink_options {
    const char *component; /* who says it: "linkerd-identity"; outlives the sink */
    const char *instance;  /* which of its replicas: the pod's name; may be NULL; outlives the sink */
    /* Events cannot be written: why, and what to do. Once until that is over, and not more than once in five minutes. NULL is allowed. */
    void (*on_trouble)(void *owner, const char *why);
    void *owner;
};

/* What an event is about. Describing an object shows those that have its uid. */
struct event_object {
    struct slice api_version; /* "apps/v1" */
    struct slice kind, namespace_, name;
    struct slice uid;         /* empty: not known */
};

struct event_sink_counts {
    uint64_t posted;  /* that the server has taken, equal ones each */
    uint64_t dropped; /* that it will never see */
};

/* The client outlives the sink. 0 or -ENOMEM. */
int event_sink_new(struct api_client *client, const struct event_sink_options *options, struct event_sink **ret_sink);
/* What waits is lost. NULL is allowed. */
void event_sink_free(struct event_sink *sink);
/* Everything is copied; `reason` is a word in CamelCase, `message` a sentence without secrets. */
void event_sink_post(struct event_sink *sink, const struct event_object *object, enum event_type type, struct slice reason, struct slice message);
struct event_sink_counts event_sink_counts(const struct event_sink *sink);
