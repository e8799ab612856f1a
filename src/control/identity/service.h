/*
 * The identity component: Identity.Certify and TrustBundle.Watch over gRPC, with
 * the decisions of identity/identity.h. It looks at the issuer's directory, the
 * trust anchors (beside the issuer or in a file of their own, several at once)
 * and the token keys once a second and takes up what changed; what cannot be
 * used is logged and counted, and leaves the last good one in force. Without a
 * usable issuer at the start it runs, is not ready, and answers Unavailable.
 */
#pragma once

#include "control/controller.h"
#include "kube/api/api_client.h"
#include "net/grpc/grpc.h"
#include "net/token/token.h"

struct identity_settings {
    const char *issuer;        /* directory */
    const char *token_key;     /* file with public keys; NULL: the validator decides */
    struct token_validator *validator; /* outlives the service */
    struct api_client *client; /* of the cluster, to tell events; NULL: none. Outlives the service */
    const char *trust_anchors; /* PEM file; NULL: those beside the issuer */
    int64_t lifetime_ns, skew_ns;
};

struct identity_service;

/* The metric families, before the first shard: the first id or a negative errno. */
int identity_service_register(struct metrics *metrics);
/* 0, or a negative errno and a sentence: the token keys or anchors cannot be read. Texts live as long as the service. */
int identity_service_new(struct controller *controller, const struct identity_settings *settings, int families, struct errmsg *msg,
                         struct identity_service **ret_service);
/* Two services, in this order: Identity, TrustBundle. */
const struct grpc_service *identity_service_certify(struct identity_service *service);
const struct grpc_service *identity_service_bundle(struct identity_service *service);
bool identity_service_is_ready(const struct identity_service *service);
/* Brings issuer_cert_ttl_seconds up to date: before metrics are written. */
void identity_service_measure(struct identity_service *service);
/* Ends calls that last with OK: the process shuts down. */
void identity_service_end_calls(struct identity_service *service);
/* The listener has been freed. NULL is allowed. */
void identity_service_free(struct identity_service *service);
