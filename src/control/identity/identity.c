#include "control/identity/identity.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "api/identity.h"
#include "base/arena.h"
#include "base/duration.h"
#include "base/limits.h"
#include "base/mutation.h"
#include "control/identity/issuer_files.h"
#include "net/grpc/grpc.h"
#include "net/x509/x509_csr.h"

/* Of the largest request that can be granted: tags and lengths. */
enum { FRAMING = 64 };

struct identity {
    struct identity_options options;
    char *trust_domain, *control_namespace;
    struct x509_bundle given_anchors;  /* empty: the directory's */
    struct x509_issuer *issuer;        /* NULL: none yet */
    struct x509_bundle chain, anchors; /* as loaded, to know whether anything changed */
    unsigned running;                  /* requests that wait for their token */
};

struct identity_request {
    struct identity *identity;
    struct x509_csr *csr;
    struct arena arena; /* the decoded request, then the response */
    struct slice name;  /* asked for */
    int64_t wall_ns;
    void *validation; /* of the token, NULL until it is known to take time */
    bool told;        /* done() was called */
    identity_done *done;
    void *owner;
};

const char *identity_event_name(enum identity_event event)
{
    static const char *const names[] = {"IssuedLeafCertificate", "IssuerUpdated", "IssuerUpdateSkipped",
                                        "IssuerValidationFailed"};

    return names[event];
}

static void tell_event(struct identity *identity, enum identity_event event, const struct token_subject *subject,
                       const char *text)
{
    if (identity->options.on_event)
        identity->options.on_event(identity->options.owner, event, subject, text);
}

/* --- life --- */

int identity_new(const struct identity_options *options, struct errmsg *msg, struct identity **ret_identity)
{
    struct identity *identity;
    int r = 0;

    if (!san_is_dns(options->trust_domain))
        return errmsg_set(msg, -EINVAL, "the trust domain \"%.*s\" is not a DNS name",
                          SLICE_ARGS(slice_take(options->trust_domain, 256)));
    if (!san_is_dns(options->control_namespace))
        return errmsg_set(msg, -EINVAL, "the control plane's namespace \"%.*s\" is not a DNS label",
                          SLICE_ARGS(slice_take(options->control_namespace, 256)));
    identity = calloc(1, sizeof(*identity));
    if (!identity)
        return -ENOMEM;
    identity->options = *options;
    identity->trust_domain = slice_dup(options->trust_domain);
    identity->control_namespace = slice_dup(options->control_namespace);
    if (options->anchors)
        r = x509_bundle_copy(options->anchors, &identity->given_anchors);
    if (r < 0 || !identity->trust_domain || !identity->control_namespace) {
        identity_free(identity);
        return -ENOMEM;
    }
    *ret_identity = identity;
    return 0;
}

void identity_free(struct identity *identity)
{
    if (!identity)
        return;
    assert(identity->running == 0);
    x509_issuer_free(identity->issuer);
    x509_bundle_release(&identity->chain);
    x509_bundle_release(&identity->anchors);
    x509_bundle_release(&identity->given_anchors);
    free(identity->trust_domain);
    free(identity->control_namespace);
    free(identity);
}

/* --- the issuer --- */

int identity_give_anchors(struct identity *identity, const struct x509_bundle *anchors)
{
    struct x509_bundle copy = {0};
    int r = identity->given_anchors.count && anchors->count ? x509_bundle_copy(anchors, &copy) : -EINVAL;

    if (r < 0)
        return r;
    x509_bundle_release(&identity->given_anchors);
    identity->given_anchors = copy;
    return 0;
}

static int take_issuer(struct identity *identity, const struct issuer_files *files, const struct x509_bundle *anchors,
                       int64_t wall_ns, struct errmsg *msg)
{
    struct x509_issuer *issuer;
    struct x509_bundle chain_copy = {0}, anchors_copy = {0};
    int r = x509_issuer_new(files->key, &files->chain, anchors, wall_ns, msg, &issuer);

    if (r < 0)
        return r;
    r = x509_bundle_copy(&files->chain, &chain_copy);
    if (r == 0)
        r = x509_bundle_copy(anchors, &anchors_copy);
    if (r < 0) {
        x509_bundle_release(&chain_copy);
        x509_issuer_free(issuer);
        return r;
    }
    x509_issuer_free(identity->issuer);
    x509_bundle_release(&identity->chain);
    x509_bundle_release(&identity->anchors);
    identity->issuer = issuer;
    identity->chain = chain_copy;
    identity->anchors = anchors_copy;
    return 1;
}

/* An unchanged certificate with an unchanged bundle has an unchanged key, too: one fits the other. */
static int use_files(struct identity *identity, const struct issuer_files *files, int64_t wall_ns, struct errmsg *msg)
{
    const struct x509_bundle *anchors = identity->given_anchors.count ? &identity->given_anchors : &files->anchors;

    if (anchors->count == 0)
        return errmsg_set(msg, -EINVAL,
                          "there is no trust anchor: no ca.crt beside the issuer's certificate, and none given");
    if (identity->issuer && x509_bundle_eq(&identity->chain, &files->chain) &&
        x509_bundle_eq(&identity->anchors, anchors) && x509_cert_has_key(files->chain.certs[0], files->key))
        return 0;
    return take_issuer(identity, files, anchors, wall_ns, msg);
}

static void tell_loaded(struct identity *identity, int64_t wall_ns)
{
    const struct x509_cert *cert = identity->chain.certs[0];
    struct buffer subject;
    char text[256];

    buffer_init(&subject, 1024);
    x509_cert_subject(cert, &subject);
    snprintf(text, sizeof(text), "issuer %.*s, %lld days left", SLICE_ARGS(slice_take(buffer_slice(&subject), 180)),
             (long long)x509_cert_days_left(cert, wall_ns));
    buffer_release(&subject);
    tell_event(identity, IDENTITY_ISSUER_UPDATED, NULL, text);
}

int identity_load(struct identity *identity, const char *directory, int64_t wall_ns, struct errmsg *msg)
{
    struct issuer_files files;
    struct errmsg own = {""};
    int r;

    if (!msg)
        msg = &own;
    r = issuer_files_read(directory, msg, &files);
    if (r == 0) {
        r = use_files(identity, &files, wall_ns, msg);
        if (r < 0 && r != -ENOMEM)
            errmsg_prefix(msg, r, "%s", directory);
        issuer_files_release(&files);
    }
    if (r > 0)
        tell_loaded(identity, wall_ns);
    else if (r < 0 && identity->issuer)
        tell_event(identity, IDENTITY_UPDATE_SKIPPED, NULL, r == -ENOMEM ? "no memory" : msg->text);
    return r;
}

bool identity_is_ready(const struct identity *identity)
{
    return identity->issuer != NULL;
}

int64_t identity_issuer_not_after(const struct identity *identity)
{
    return identity->issuer ? x509_issuer_not_after(identity->issuer) : 0;
}

const struct x509_bundle *identity_issuer_chain(const struct identity *identity)
{
    return identity->issuer ? &identity->chain : NULL;
}

const struct x509_bundle *identity_anchors(const struct identity *identity)
{
    return identity->issuer ? &identity->anchors : NULL;
}

int identity_name(const struct identity *identity, const struct token_subject *subject, struct buffer *ret_name)
{
    return buffer_printf(ret_name, "%s.%s.serviceaccount.identity.%s.%s", subject->service_account, subject->namespace,
                         identity->control_namespace, identity->trust_domain);
}

/* --- a request --- */

static void free_request(struct identity_request *request)
{
    x509_csr_free(request->csr);
    arena_release(&request->arena);
    request->identity->running--;
    free(request);
}

static void finish(struct identity_request *request, int status, const char *text, struct slice message)
{
    request->told = true;
    request->done(request->owner, status, text, message);
}

static void refuse(struct identity_request *request, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
static void refuse(struct identity_request *request, int status, const char *format, ...)
{
    char text[512];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    finish(request, status, text, SLICE_NULL);
}

/* Leaf, then what lies between it and the anchors. */
static int encode_response(struct identity_request *request, const struct x509_cert *leaf, struct buffer *ret_message)
{
    const struct x509_bundle *chain = x509_issuer_chain(request->identity->issuer);
    struct certify_response response = {
        .leaf = x509_cert_der(leaf),
        .intermediates = ARENA_ARRAY(&request->arena, struct slice, chain->count),
        .intermediate_count = chain->count,
        .valid_until_wall_ns = x509_cert_not_after(leaf),
    };

    if (!response.intermediates)
        return -ENOMEM;
    for (size_t i = 0; i < chain->count; i++)
        response.intermediates[i] = x509_cert_der(chain->certs[i]);
    return certify_response_encode(&response, NULL, ret_message);
}

static void tell_issued(struct identity *identity, const struct token_subject *subject, const struct x509_cert *leaf,
                        struct slice name, int64_t wall_ns)
{
    char text[512], lifetime[DURATION_TEXT_MAX];
    uint8_t digest[32];
    int n;

    x509_cert_sha256(leaf, digest);
    n = snprintf(text, sizeof(text), "issued certificate for %.*s for %s: ", SLICE_ARGS(name),
                 duration_format(x509_cert_not_after(leaf) - wall_ns, lifetime));
    for (size_t i = 0; i < sizeof(digest) && n > 0 && (size_t)n + 3 < sizeof(text); i++)
        n += snprintf(text + n, sizeof(text) - (size_t)n, "%02x", digest[i]);
    tell_event(identity, IDENTITY_ISSUED, subject, text);
}

static void issue(struct identity_request *request, const struct token_subject *subject)
{
    struct identity *identity = request->identity;
    struct san name = {SAN_DNS, request->name};
    struct errmsg msg = {"no memory"};
    struct x509_cert *leaf;
    struct buffer message;
    int r =
        x509_issue(identity->issuer, request->csr, name, request->wall_ns, &identity->options.validity, &msg, &leaf);

    if (r < 0) {
        refuse(request, GRPC_INTERNAL, "%s", msg.text);
        return;
    }
    buffer_init(&message, LIMIT_GRPC_MESSAGE);
    r = encode_response(request, leaf, &message);
    if (r < 0) {
        refuse(request, GRPC_INTERNAL, "the answer could not be written");
    } else {
        tell_issued(identity, subject, leaf, request->name, request->wall_ns);
        finish(request, GRPC_OK, "", buffer_slice(&message));
    }
    buffer_release(&message);
    x509_cert_unref(leaf);
}

static void check_subject(struct identity_request *request, const struct token_subject *subject)
{
    struct buffer name;

    buffer_init(&name, 1024);
    if (identity_name(request->identity, subject, &name) < 0)
        refuse(request, GRPC_INTERNAL, "no memory");
    else if (!slice_eq(buffer_slice(&name), request->name) && !mutation("token-for-another-accepted"))
        refuse(request, GRPC_FAILED_PRECONDITION,
               "requested identity did not match provided token: requested=%.*s; found=%.*s",
               SLICE_ARGS(slice_take(request->name, 200)), SLICE_ARGS(slice_take(buffer_slice(&name), 200)));
    else
        issue(request, subject);
    buffer_release(&name);
}

static void token_decided(void *what, enum token_verdict verdict, const struct token_subject *subject, const char *why)
{
    struct identity_request *request = what;
    bool waited = request->validation != NULL;

    switch (verdict) {
    case TOKEN_VALID:
        check_subject(request, subject);
        break;
    case TOKEN_NOT_AUTHENTICATED:
        refuse(request, GRPC_FAILED_PRECONDITION, "authentication token could not be authenticated: %s", why);
        break;
    case TOKEN_MALFORMED:
        refuse(request, GRPC_INVALID_ARGUMENT, "%s", why);
        break;
    case TOKEN_UNAVAILABLE:
        refuse(request, GRPC_INTERNAL, "error validating token for %.*s: %s",
               SLICE_ARGS(slice_take(request->name, 200)), why);
        break;
    }
    if (waited) /* else identity_certify() is still at work with it */
        free_request(request);
}

/* The message and its parts. True when all are there; else it is refused. */
static bool read_request(struct identity_request *request, struct slice message, struct certify_request *ret_parts,
                         struct errmsg *msg)
{
    const char *missing;
    int r;

    if (message.len > LIMIT_TOKEN + LIMIT_CSR + LIMIT_IDENTITY + FRAMING) {
        refuse(request, GRPC_INVALID_ARGUMENT, "the request has %zu bytes: a token may have %d, a certificate signing request %d",
               message.len, LIMIT_TOKEN, LIMIT_CSR);
        return false;
    }
    r = certify_request_decode(message, &request->arena, msg, ret_parts);
    if (r < 0) {
        refuse(request, r == -ENOMEM ? GRPC_INTERNAL : GRPC_INVALID_ARGUMENT, "%s",
               r == -ENOMEM ? "no memory" : msg->text);
        return false;
    }
    missing = ret_parts->identity.len == 0 ? "missing identity"
              : ret_parts->token.len == 0  ? "missing token"
              : ret_parts->csr.len == 0    ? "missing certificate signing request"
                                           : NULL;
    if (missing)
        refuse(request, GRPC_INVALID_ARGUMENT, "%s", missing);
    request->name = ret_parts->identity;
    return !missing;
}

/* What can be said before the token is looked at. True: go on; else it is refused. */
static bool check_request(struct identity_request *request, const struct certify_request *parts)
{
    struct identity *identity = request->identity;
    struct errmsg csr_msg = {"no memory"}, msg = {""};
    int csr_error = x509_csr_read(parts->csr, &csr_msg, &request->csr);

    if (csr_error < 0 && csr_error != -ENOTSUP) { /* a key of another kind parses, and breaks a rule */
        refuse(request, csr_error == -ENOMEM ? GRPC_INTERNAL : GRPC_INVALID_ARGUMENT, "%s", csr_msg.text);
        return false;
    }
    if (x509_issuer_check(identity->issuer, request->wall_ns, &msg) < 0) {
        tell_event(identity, IDENTITY_ISSUER_INVALID, NULL, msg.text);
        refuse(request, GRPC_UNKNOWN, "%s - CSR Identity : %.*s", msg.text,
               SLICE_ARGS(slice_take(parts->identity, 200)));
        return false;
    }
    if (csr_error < 0) {
        refuse(request, GRPC_FAILED_PRECONDITION, "%s", csr_msg.text);
        return false;
    }
    if (x509_csr_check(request->csr, parts->identity, &msg) < 0) {
        refuse(request, GRPC_FAILED_PRECONDITION, "%s", msg.text);
        return false;
    }
    return true;
}

static void begin(struct identity_request *request, struct slice message)
{
    struct token_validator *validator = request->identity->options.validator;
    struct certify_request parts;
    struct errmsg msg = {""};

    if (!request->identity->issuer) {
        refuse(request, GRPC_UNAVAILABLE, "cert issuer not ready yet");
        return;
    }
    if (read_request(request, message, &parts, &msg) && check_request(request, &parts))
        request->validation =
            validator->ops->validate(validator, parts.token, request->wall_ns, token_decided, request);
}

struct identity_request *identity_certify(struct identity *identity, struct slice message, int64_t wall_ns,
                                          identity_done *done, void *owner)
{
    struct identity_request *request = calloc(1, sizeof(*request));

    if (!request) {
        done(owner, GRPC_RESOURCE_EXHAUSTED, "no memory", SLICE_NULL);
        return NULL;
    }
    request->identity = identity;
    request->wall_ns = wall_ns;
    request->done = done;
    request->owner = owner;
    arena_init(&request->arena, LIMIT_REQUEST_ARENA);
    identity->running++;
    begin(request, message);
    if (!request->told)
        return request;
    free_request(request);
    return NULL;
}

void identity_cancel(struct identity_request *request)
{
    struct token_validator *validator = request->identity->options.validator;

    validator->ops->cancel(validator, request->validation);
    free_request(request);
}
