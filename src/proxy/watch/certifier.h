/*
 * The proxy's own certificate: keeps it fresh and publishes it.
 *
 * Key and request come from IDENTITY_DIR (key.p8, csr.der) when they are there,
 * else they are made in memory. Certify is called with the token, read anew each
 * time; the answer is checked as a peer would before it is used. Refresh is at
 * 70 % of the lifetime. A refresh that fails is tried again with backoff
 * (10 s to 5 min), not after most of what remains: an old certificate stays in
 * use meanwhile, and a control plane that was away for an hour is used as soon as
 * it is back.
 *
 * The trust anchors are those of the environment, then those that the identity
 * service tells of (trust_bundle.h). A bundle takes effect for new connections at
 * once if our own certificate is of it; else it waits for a certificate that is,
 * which is asked for at once. So certificate and anchors always fit each other,
 * and nothing that is learnt can leave the proxy without either.
 *
 * In the control thread. Traffic is accepted only after the first certificate.
 */
#pragma once

#include "base/errmsg.h"
#include "net/x509/x509.h"
#include "proxy/proxy.h"
#include "proxy/watch/control_client.h"
#include "proxy/watch/trust_bundle.h"

struct certifier {
    struct proxy *proxy;
    struct loop *loop;
    struct control_client *client;
    struct x509_key *key;
    struct x509_bundle anchors; /* in force */
    struct x509_bundle pending; /* learnt, but of another issuer than our certificate: taken with the next one; or empty */
    struct trust_bundle bundle; /* from the first certificate on */
    uint64_t generation;        /* of the anchors: 1 is the environment's */
    struct buffer csr, request;
    struct control_stream certify;
    struct timer refresh, reminder;
    unsigned failures; /* in a row */
    bool certified;
    int64_t expires_wall_ns, refreshed_wall_ns;
    uint64_t refreshes;
    struct tls_context *tls;   /* of the newest credentials, for the thread's own connections */
    struct tls_credentials *credentials;
    void (*on_certified)(struct certifier *certifier); /* at the first, and at each newer one */
    void *owner;
};

/* Reads key, request and anchors; the credentials can verify from now on. -EINVAL with a reason that names the file or variable. */
int certifier_init(struct certifier *certifier, struct proxy *proxy, struct loop *loop, struct errmsg *msg);
int certifier_start(struct certifier *certifier, struct control_client *client, void (*on_certified)(struct certifier *),
                   void *owner);
void certifier_release(struct certifier *certifier);

/* How long after it came a certificate that is valid for `left_ns` is renewed: 70 % of that, from `min_ns` to `max_ns`. */
int64_t certifier_refresh_in(int64_t left_ns, int64_t min_ns, int64_t max_ns);
