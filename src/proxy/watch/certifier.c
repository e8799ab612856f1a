#include "proxy/watch/certifier.h"

#include <errno.h>
#include <stdio.h>

#include "api/identity.h"
#include "base/duration.h"
#include "base/mutation.h"
#include "event/log.h"
#include "proxy/watch/control_metrics.h"
#include "proxy/watch/identity_files.h"

/* Before the first certificate the answer is wanted soon, whoever is late; later there is time. */
static const struct backoff_config retry_first = {.min_ns = 100 * NS_PER_MS, .max_ns = 10 * NS_PER_S, .jitter = 0.1};
static const struct backoff_config retry_renewal = {.min_ns = 10 * NS_PER_S, .max_ns = 300 * NS_PER_S, .jitter = 0.1};
static const int64_t REMIND_NS = 15 * NS_PER_S;
static const int64_t SPREAD_NS = 1 * NS_PER_S; /* over which proxies ask for a certificate when the anchors changed for all */

static struct san own_name(const struct certifier *certifier)
{
    return san_parse(certifier->proxy->config.local_name);
}

static int64_t wall(const struct certifier *certifier)
{
    return certifier->proxy->sys->ops->wall(certifier->proxy->sys);
}

/* Shares the newest with the workers, and keeps a context for this thread. */
static int publish(struct certifier *certifier, struct tls_credentials *credentials)
{
    struct tls_context *context;
    int r = tls_context_new(certifier->proxy->sys, credentials, &context);

    if (r < 0)
        return r;
    tls_context_unref(certifier->tls);
    certifier->tls = context;
    tls_credentials_unref(certifier->credentials);
    certifier->credentials = tls_credentials_ref(credentials);
    if (tls_credentials_leaf(credentials))
        cell_publish(&certifier->proxy->credentials, tls_credentials_ref(credentials));
    return 0;
}

static void measure_bundle(const struct certifier *certifier)
{
    const struct x509_bundle *anchors = &certifier->anchors;
    int64_t expires = INT64_MAX;

    for (size_t i = 0; i < anchors->count; i++)
        if (x509_cert_not_after(anchors->certs[i]) < expires)
            expires = x509_cert_not_after(anchors->certs[i]);
    control_metrics_bundle(certifier->client->metrics, certifier->generation, anchors->count, expires, wall(certifier));
}

/* Proves itself with the chain and believes the anchors, if they fit each other. */
static int use(struct certifier *certifier, const struct x509_bundle *chain, const struct x509_bundle *anchors, struct errmsg *msg)
{
    struct tls_credentials *credentials;
    int r = tls_credentials_new(chain->count ? certifier->key : NULL, chain, own_name(certifier), anchors, wall(certifier), msg,
                                &credentials);

    if (r < 0)
        return r;
    r = publish(certifier, credentials);
    tls_credentials_unref(credentials);
    return r;
}

/* For the next start. A folder that cannot be written to is no trouble now. */
static void keep_anchors(const struct certifier *certifier)
{
    struct errmsg msg = {"no memory"};

    if (identity_files_keep_bundle(&certifier->proxy->config, &certifier->anchors, &msg) < 0)
        log_line(certifier->proxy->log, LOG_DEBUG, "identity", "the trust bundle is not kept: %s", msg.text);
}

/* They are in force. Takes the certificates over. */
static void took_anchors(struct certifier *certifier, struct x509_bundle *anchors)
{
    x509_bundle_release(&certifier->anchors);
    certifier->anchors = *anchors;
    *anchors = (struct x509_bundle){0};
    certifier->generation++;
    keep_anchors(certifier);
    measure_bundle(certifier);
    log_line(certifier->proxy->log, LOG_INFO, "identity", "a new trust bundle is in force (generation %llu): %zu anchors",
             (unsigned long long)certifier->generation, certifier->anchors.count);
}

/* A new chain: of the bundle that waits for it, or else of the one in force. */
static int use_chain(struct certifier *certifier, const struct x509_bundle *chain, struct errmsg *msg)
{
    if (certifier->pending.count) {
        int r = use(certifier, chain, &certifier->pending, msg);

        if (r == 0)
            took_anchors(certifier, &certifier->pending);
        if (r == 0 || r == -ENOMEM)
            return r;
    }
    return use(certifier, chain, &certifier->anchors, msg);
}

/*
 * A bundle that our own certificate does not reach waits for the next certificate, which is asked for now: until then
 * peers believe what we show, and we what they show, by the bundle before.
 */
static void on_bundle(void *owner, struct x509_bundle *bundle)
{
    struct certifier *certifier = owner;
    struct errmsg msg = {"no memory"};
    int r;

    x509_bundle_release(&certifier->pending);
    if (x509_bundle_eq(bundle, &certifier->anchors)) {
        x509_bundle_release(bundle);
        return;
    }
    r = use(certifier, tls_credentials_chain(certifier->credentials), bundle, &msg);
    if (r == 0) {
        took_anchors(certifier, bundle);
        return;
    }
    control_metrics_bundle_refused(certifier->client->metrics);
    log_line(certifier->proxy->log, LOG_WARN, "identity",
             "the new trust bundle does not fit the certificate in use (%s): it waits for a new one, asked for now", msg.text);
    certifier->pending = *bundle;
    if (!certifier->certify.call)
        timer_set(certifier->loop, &certifier->refresh, certifier->loop->now_ns + (int64_t)rng_below(&certifier->loop->rng, SPREAD_NS));
}

/*
 * The environment's anchors, and those that were learnt under it before the proxy was started again: it may be older than
 * the certificates of the identity service by now. The service's own bundle replaces both as soon as it comes.
 */
static int read_anchors(struct certifier *certifier, struct errmsg *msg)
{
    const struct config *config = &certifier->proxy->config;
    struct x509_bundle learnt = {0};
    struct errmsg why = {""};
    int r = x509_bundle_read(config->trust_anchors, msg, &certifier->anchors);

    if (r < 0)
        return errmsg_prefix(msg, r, "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS");
    if (identity_files_bundle(config, &why, &learnt) < 0) {
        if (*why.text)
            log_line(certifier->proxy->log, LOG_DEBUG, "identity", "no trust bundle of before: %s", why.text);
        return 0;
    }
    for (size_t i = 0; r == 0 && i < learnt.count; i++)
        if (!x509_bundle_has(&certifier->anchors, learnt.certs[i]))
            r = x509_bundle_add(&certifier->anchors, learnt.certs[i]);
    x509_bundle_release(&learnt);
    return r == -ENOBUFS ? 0 : r; /* more than a bundle may have: the environment's come first */
}

int certifier_init(struct certifier *certifier, struct proxy *proxy, struct loop *loop, struct errmsg *msg)
{
    int r;

    *certifier = (struct certifier){.proxy = proxy, .loop = loop};
    buffer_init(&certifier->csr, IDENTITY_FILE_MAX);
    buffer_init(&certifier->request, (size_t)4 * IDENTITY_FILE_MAX);
    if (own_name(certifier).kind == SAN_NONE)
        return errmsg_set(msg, -EINVAL, "LINKERD2_PROXY_IDENTITY_LOCAL_NAME=\"%.*s\" is neither a DNS name nor a URI",
                          SLICE_ARGS(proxy->config.local_name));
    r = read_anchors(certifier, msg);
    if (r < 0)
        return r;
    r = identity_files_key(&proxy->config, msg, &certifier->key);
    if (r == 0)
        r = identity_files_csr(&proxy->config, certifier->key, msg, &certifier->csr);
    if (r < 0)
        return r;
    certifier->generation = 1;
    return use(certifier, &(struct x509_bundle){0}, &certifier->anchors, msg);
}

/* --- certifying --- */

int64_t certifier_refresh_in(int64_t left_ns, int64_t min_ns, int64_t max_ns)
{
    int64_t in = left_ns / 10 * 7;

    if (in < min_ns)
        in = min_ns;
    return in > max_ns || mutation("certificate-never-renewed") ? max_ns : in;
}

static void next_refresh(struct certifier *certifier)
{
    const struct config *config = &certifier->proxy->config;
    int64_t left = certifier->expires_wall_ns - wall(certifier);
    int64_t in = certifier_refresh_in(left, config->identity_min_refresh_ns, config->identity_max_refresh_ns);

    timer_set(certifier->loop, &certifier->refresh, certifier->loop->now_ns + in);
}

static void retry(struct certifier *certifier)
{
    int64_t in = backoff_delay(certifier->certified ? &retry_renewal : &retry_first, ++certifier->failures, &certifier->loop->rng);

    if (in < certifier->proxy->config.identity_min_refresh_ns && certifier->certified)
        in = certifier->proxy->config.identity_min_refresh_ns;
    timer_set(certifier->loop, &certifier->refresh, certifier->loop->now_ns + in);
}

static int make_request(struct certifier *certifier, struct errmsg *msg)
{
    const struct config *config = &certifier->proxy->config;
    struct certify_request request = {.identity = config->local_name, .csr = buffer_slice(&certifier->csr)};
    struct buffer token;
    int r;

    buffer_init(&token, IDENTITY_FILE_MAX);
    r = identity_files_token(config, msg, &token);
    request.token = buffer_slice(&token);
    buffer_clear(&certifier->request);
    if (r == 0)
        r = certify_request_encode(&request, msg, &certifier->request);
    buffer_release(&token);
    return r;
}

static int read_chain(const struct certify_response *response, struct errmsg *msg, struct x509_bundle *ret_chain)
{
    int r = 0;

    for (size_t i = 0; r == 0 && i <= response->intermediate_count; i++) {
        struct x509_cert *cert;

        r = x509_cert_read(i ? response->intermediates[i - 1] : response->leaf, msg, &cert);
        if (r == 0) {
            r = x509_bundle_add(ret_chain, cert);
            x509_cert_unref(cert);
            if (r == -ENOBUFS)
                errmsg_set(msg, r, "its chain has more than %d certificates", LIMIT_CERTIFICATES);
        }
    }
    return r;
}

/* What the service says, or what the certificates themselves say where that is sooner: peers go by those. */
static int64_t end_of(const struct certify_response *response, const struct x509_bundle *chain)
{
    int64_t end = response->valid_until_wall_ns;

    for (size_t i = 0; i < chain->count; i++)
        if (x509_cert_not_after(chain->certs[i]) < end)
            end = x509_cert_not_after(chain->certs[i]);
    return end;
}

static int use_answer(struct certifier *certifier, struct slice message, struct errmsg *msg)
{
    struct certify_response response;
    struct x509_bundle chain = {0};
    struct arena arena;
    int r;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    r = certify_response_decode(message, &arena, msg, &response);
    if (r == 0 && response.valid_until_wall_ns <= wall(certifier))
        r = errmsg_set(msg, -EINVAL, "the certificate is not valid any more when it arrives: compare the clocks");
    if (r == 0)
        r = read_chain(&response, msg, &chain);
    if (r == 0)
        r = use_chain(certifier, &chain, msg);
    if (r == 0)
        certifier->expires_wall_ns = end_of(&response, &chain);
    x509_bundle_release(&chain);
    arena_release(&arena);
    return r;
}

static int on_answer(struct control_stream *stream, struct slice message)
{
    struct certifier *certifier = stream->owner;
    struct errmsg msg = {""};
    bool first = !certifier->certified;
    int r = use_answer(certifier, message, &msg);

    if (r < 0) {
        log_line(certifier->proxy->log, LOG_ERROR, "identity", "the certificate that the identity service gave is refused: %s",
                 msg.text);
        return 0; /* the call ends by itself, and is tried again */
    }
    certifier->certified = true;
    certifier->refreshes++;
    certifier->refreshed_wall_ns = wall(certifier);
    control_metrics_certified(certifier->client->metrics, certifier->expires_wall_ns, certifier->refreshed_wall_ns);
    timer_cancel(&certifier->reminder);
    log_line(certifier->proxy->log, first ? LOG_INFO : LOG_DEBUG, "identity", "certified as %.*s",
             SLICE_ARGS(certifier->proxy->config.local_name));
    if (certifier->pending.count) { /* the issuer is not yet one of the new bundle's */
        retry(certifier);
    } else {
        certifier->failures = 0;
        next_refresh(certifier);
    }
    certifier->on_certified(certifier);
    return 0;
}

/* Over a connection on which we prove ourselves as well; the first Certify could not. */
static void follow_bundle(struct certifier *certifier)
{
    control_client_renew(certifier->client);
    if (trust_bundle_start(&certifier->bundle, certifier->client, on_bundle, certifier) < 0)
        log_line(certifier->proxy->log, LOG_ERROR, "identity", "no memory to follow the trust bundle");
}

static bool on_end(struct control_stream *stream, int status, struct slice text)
{
    struct certifier *certifier = stream->owner;

    if (status != GRPC_OK)
        log_line(certifier->proxy->log, LOG_WARN, "identity", "not certified: %s: %.*s", grpc_code_name(status),
                 SLICE_ARGS(text));
    if (status != GRPC_OK || !timer_is_set(&certifier->refresh)) {
        control_metrics_not_certified(certifier->client->metrics);
        retry(certifier);
    }
    if (certifier->certified && !certifier->bundle.client)
        follow_bundle(certifier);
    return false; /* the refresh timer starts the next call */
}

static const struct control_stream_events certify_events = {.on_message = on_answer, .on_end = on_end};

static void certify(struct timer *timer)
{
    struct certifier *certifier = CONTAINER_OF(timer, struct certifier, refresh);
    struct errmsg msg = {""};
    int r = make_request(certifier, &msg);

    control_stream_stop(&certifier->certify);
    if (r == 0)
        r = control_stream_start(&certifier->certify, certifier->client,
                                 SLICE_LIT("/io.linkerd.proxy.identity.Identity/Certify"),
                                 buffer_slice(&certifier->request), &certify_events, certifier);
    if (r < 0) {
        log_line(certifier->proxy->log, LOG_ERROR, "identity", "not certified: %s", msg.text[0] ? msg.text : strerror(-r));
        control_metrics_not_certified(certifier->client->metrics);
        retry(certifier);
    }
}

static void remind(struct timer *timer)
{
    struct certifier *certifier = CONTAINER_OF(timer, struct certifier, reminder);

    log_line(certifier->proxy->log, LOG_WARN, "identity", "waiting for the first certificate from %s; no traffic is accepted before",
             certifier->client->authority);
    timer_set(certifier->loop, timer, certifier->loop->now_ns + REMIND_NS);
}

int certifier_start(struct certifier *certifier, struct control_client *client, void (*on_certified)(struct certifier *),
                   void *owner)
{
    certifier->client = client;
    certifier->on_certified = on_certified;
    certifier->owner = owner;
    if (timer_init(certifier->loop, &certifier->refresh, certify) < 0 ||
        timer_init(certifier->loop, &certifier->reminder, remind) < 0)
        return -ENOMEM;
    timer_set(certifier->loop, &certifier->reminder, certifier->loop->now_ns + REMIND_NS);
    measure_bundle(certifier);
    certify(&certifier->refresh);
    return 0;
}

void certifier_release(struct certifier *certifier)
{
    if (!certifier->loop)
        return;
    trust_bundle_stop(&certifier->bundle);
    control_stream_stop(&certifier->certify);
    timer_release(certifier->loop, &certifier->refresh);
    timer_release(certifier->loop, &certifier->reminder);
    tls_context_unref(certifier->tls);
    tls_credentials_unref(certifier->credentials);
    x509_key_unref(certifier->key);
    x509_bundle_release(&certifier->anchors);
    x509_bundle_release(&certifier->pending);
    buffer_release(&certifier->csr);
    buffer_release(&certifier->request);
}
