/*
 * Learns the trust anchors from the identity service while the proxy runs
 * (io.clinkerd.proxy.identity.TrustBundle/Watch, an addition of ours): the bundle
 * at once, and whenever it changes.
 *
 * Only over mutual TLS, or on loopback where the control plane's own proxy finds
 * its identity service: who could write a bundle could be believed. A service
 * that does not know the call (Linkerd's) is asked again once an hour, and the
 * anchors of the environment stay. What cannot be read, or holds no anchor, is
 * not handed on. In the control thread.
 */
#pragma once

#include "net/x509/x509.h"
#include "proxy/watch/control_client.h"

struct trust_bundle {
    struct control_client *client;
    struct control_stream stream;
    struct buffer request;
    struct timer again; /* for a service that does not know the call */
    bool said;          /* that it does not */
    void (*on_bundle)(void *owner, struct x509_bundle *bundle); /* which takes the certificates over */
    void *owner;
};

/* When there is a certificate. 0 or -ENOMEM. */
int trust_bundle_start(struct trust_bundle *bundle, struct control_client *client,
                       void (*on_bundle)(void *owner, struct x509_bundle *bundle), void *owner);
/* Allowed when it was never started (all zero). */
void trust_bundle_stop(struct trust_bundle *bundle);
