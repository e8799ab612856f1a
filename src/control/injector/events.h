/*
 * What the injector tells people by Kubernetes Events (kube/event_sink.h) on the owner of a pod, where `kubectl describe deployment` shows
 * them:
 *
 *     Normal   Injected            the pod got its proxy
 *     Normal   InjectionSkipped    injection was asked for, and the pod cannot have it: why
 *     Warning  InjectionRefused    the pod was refused: why
 *     Warning  AnnotationIgnored   an annotation is no value, and what is in force instead; of all of them
 *
 * Pods that nobody asked to inject are no event, nor are reviews of dry runs, nor pods without an owner, which are not there yet.
 *
 * A Deployment owns its pods by a ReplicaSet, whose name says which; its uid, by which describing finds events, is read once and
 * remembered. Never delays an answer. Bounded: LIMIT_INJECTOR_OWNERS, and the sink's own bounds.
 */
#pragma once

#include "control/controller.h"
#include "control/injector/review.h"
#include "kube/event_sink.h"

struct injector_events;

/* The client outlives it. 0 or -ENOMEM. */
int injector_events_new(struct controller *controller, struct api_client *client, struct injector_events **ret_events);
/* NULL is allowed. */
void injector_events_free(struct injector_events *events);
struct event_sink_counts injector_events_counts(const struct injector_events *events);
/* `events` may be NULL: nobody is told. */
void injector_events_tell(struct injector_events *events, const struct review *review, const struct review_outcome *outcome);
