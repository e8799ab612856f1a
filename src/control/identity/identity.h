/*
 * The identity service, without its network: who may have which certificate.
 *
 *     identity = identity_new(&options)
 *     identity_load(identity, dir, wall)       at the start, and whenever the files changed
 *     identity_certify(identity, message, ...) for each call of io.linkerd.proxy.identity.Identity/Certify
 *
 * A request is answered once its token was decided, perhaps at once. Checks come
 * in the order that proxies and operators know from Linkerd, so that a wrong
 * request always gets the same status:
 *
 *     no issuer yet                             Unavailable
 *     not a request, or a part of it is empty   InvalidArgument
 *     the issuer's chain is not valid any more  Unknown
 *     the request's names                       FailedPrecondition
 *     the token: malformed                      InvalidArgument
 *                not authenticated              FailedPrecondition
 *                could not be decided           Internal
 *     the token is somebody else's              FailedPrecondition
 *     signing                                   Internal
 *
 * A directory that cannot be used leaves the last good issuer in force. Of one
 * thread. Times are wall clock, given by the caller.
 */
#pragma once

#include "base/errmsg.h"
#include "base/slice.h"
#include "net/token/token.h"
#include "net/x509/x509_issuer.h"

struct identity;

/* What happens, for the log and for Events; names as Linkerd's. */
enum identity_event {
    IDENTITY_ISSUED,         /* IssuedLeafCertificate */
    IDENTITY_ISSUER_UPDATED, /* IssuerUpdated */
    IDENTITY_UPDATE_SKIPPED, /* IssuerUpdateSkipped: the new files cannot be used, the last good ones are */
    IDENTITY_ISSUER_INVALID, /* IssuerValidationFailed: a request met an issuer that is not valid any more */
};
const char *identity_event_name(enum identity_event event);

struct identity_options {
    struct slice trust_domain;         /* cluster.local */
    struct slice control_namespace;    /* linkerd */
    struct x509_validity validity;     /* 24 h and 20 s are usual */
    struct token_validator *validator; /* the caller's; outlives the identity */
    const struct x509_bundle *anchors; /* NULL: those of the issuer's directory; copied */
    /* `subject` is the service account of IDENTITY_ISSUED, else NULL. `text` has no secrets. May be NULL. */
    void (*on_event)(void *owner, enum identity_event event, const struct token_subject *subject, const char *text);
    void *owner;
};

/* 0, -ENOMEM, or -EINVAL when the domain or the namespace cannot be part of an identity. */
int identity_new(const struct identity_options *options, struct errmsg *msg, struct identity **ret_identity);
/* No request may be under way. NULL is allowed. */
void identity_free(struct identity *identity);

/* Other anchors than the options' from the next identity_load() on; copied. -EINVAL without the options' own, or -ENOMEM. */
int identity_give_anchors(struct identity *identity, const struct x509_bundle *anchors);
/*
 * Reads and checks the directory. 1: a new issuer is in force; 0: it is the one already in force; negative: it cannot
 * be used, the message says why (and so does an event, where an issuer is in force that stays).
 */
int identity_load(struct identity *identity, const char *directory, int64_t wall_ns, struct errmsg *msg);
bool identity_is_ready(const struct identity *identity);
/* The earliest end of the issuer's chain (wall clock), 0 without one: metric issuer_cert_ttl_seconds. */
int64_t identity_issuer_not_after(const struct identity *identity);
/* The issuer's certificate and what came with it; NULL without one. Until the next identity_load(). */
const struct x509_bundle *identity_issuer_chain(const struct identity *identity);
/* The anchors in force, for proxies that follow the bundle; NULL without an issuer. Until the next identity_load(). */
const struct x509_bundle *identity_anchors(const struct identity *identity);

/* SA.NS.serviceaccount.identity.CONTROLNS.TRUSTDOMAIN. 0 or the buffer's error. */
int identity_name(const struct identity *identity, const struct token_subject *subject, struct buffer *ret_name);

struct identity_request;

/*
 * `status` is enum grpc_status; `text` says why, "" with GRPC_OK; `message` is the encoded CertifyResponse, valid
 * during the call.
 */
typedef void identity_done(void *owner, int status, const char *text, struct slice message);

/*
 * Decides about an encoded CertifyRequest; its bytes need not outlive the call. done() is told exactly once, perhaps
 * before this returns: then NULL is returned. Otherwise a handle for identity_cancel(), valid until done().
 */
struct identity_request *identity_certify(struct identity *identity, struct slice message, int64_t wall_ns,
                                          identity_done *done, void *owner);
/* done() will not be told. */
void identity_cancel(struct identity_request *request);
