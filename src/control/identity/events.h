/*
 * What identity tells people by Kubernetes Events: issued certificates on the
 * service account that has them (IssuedLeafCertificate), what becomes of the
 * issuer on the Deployment linkerd-identity (IssuerUpdated, IssuerUpdateSkipped,
 * IssuerValidationFailed), and once a day that issuer or trust anchors come to their
 * end (IssuerExpiring, TrustAnchorExpiring; ours).
 *
 * Describing a Deployment shows events that have its uid, so that is asked for first; events wait for it, or go
 * without it where it cannot be had.
 */
#pragma once

#include "control/identity/identity.h"
#include "kube/event_sink.h"

struct identity_events;

struct identity_events_options {
    struct slice control_namespace; /* outlives the events */
    const char *instance;           /* the pod's name, or NULL; outlives the events */
    void (*on_trouble)(void *owner, const char *why); /* as event_sink's */
    void *owner;
};

/* The client outlives it. 0 or -ENOMEM. */
int identity_events_new(struct api_client *client, const struct identity_events_options *options, struct identity_events **ret_events);
/* NULL is allowed. */
void identity_events_free(struct identity_events *events);
struct event_sink_counts identity_events_counts(const struct identity_events *events);
/* As identity_options.on_event() has it. */
void identity_events_tell(struct identity_events *events, enum identity_event event, const struct token_subject *subject, const char *text);

enum identity_certificate { IDENTITY_CERT_ISSUER, IDENTITY_CERT_ANCHOR, IDENTITY_CERTS };
/*
 * Whether a certificate comes to its end: 60 days before, or when the last sixth of its time begins, whichever is
 * later, so that those made for two days are not always near it.
 */
bool identity_is_expiring(int64_t not_before_ns, int64_t not_after_ns, int64_t wall_ns);
/* The certificate of this kind that ends first is expiring. To be said as often as one likes: it is told once a day. */
void identity_events_expiring(struct identity_events *events, enum identity_certificate which, const struct x509_cert *cert, int64_t wall_ns);
