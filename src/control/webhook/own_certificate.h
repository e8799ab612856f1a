/*
 * The serving certificate of a webhook, made by its component (control/webhook/pair.h) where none is given: kept in a Secret, with its
 * authority written into the webhook's configuration, both by the API server, looked at every few seconds.
 *
 *     read the configuration, then the Secret     in this order: see below
 *     no Secret, or nothing usable in it, or old   make a pair and write it: create, or update of what was read
 *     the configuration has other authorities      apply them, as a field manager of our own, to what was read
 *     serve with the pair
 *
 * A new pair keeps the authorities of before, those of the Secret and those that the configuration believes: whoever served until now, another
 * program that this one takes over from too, is believed until he is gone.
 *
 * Several replicas agree because the Secret decides: a write to it succeeds for one of them, the others read again. Nobody serves a new
 * pair before a reading has shown that the configuration believes it, unless he has served nothing yet. And because the configuration is read before the Secret, and written only if it is
 * still as it was read, nobody replaces authorities by older ones.
 *
 * Rights: create secrets; get and update this one; get and patch the configuration.
 */
#pragma once

#include "control/webhook/certificate.h"
#include "kube/api/api_client.h"

struct own_certificate;

/* Texts live as long as the certificate. */
struct own_certificate_setup {
    struct api_client *client;
    const char *name;          /* of the component, for the log; our field manager is linkerd-NAME */
    struct slice namespace_;
    const char *secret;        /* "linkerd-proxy-injector-k8s-tls" */
    const char *service;       /* "linkerd-proxy-injector": the certificate is for SERVICE.NAMESPACE.svc */
    bool mutating;             /* the configuration is a MutatingWebhookConfiguration, else a ValidatingWebhookConfiguration */
    const char *configuration; /* "linkerd-proxy-injector-webhook-config" */
    const char *webhook;       /* "linkerd-proxy-injector.linkerd.io": which one of it */
    struct webhook_certificate *certificate; /* is given what is to be served with; outlives this */
};

/* Begins at once. 0 or -ENOMEM. */
int own_certificate_new(struct controller *controller, const struct own_certificate_setup *setup, struct own_certificate **ret_own);
/* Before the client goes. NULL is allowed. */
void own_certificate_free(struct own_certificate *own);
