#include "proxy/watch/certifier.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "api/identity.h"
#include "base/duration.h"
#include "event/log.h"
#include "net/x509_csr.h"
#include "proxy/watch/control_metrics.h"

/* Before the first certificate the answer is wanted soon, whoever is late; later there is time. */
static const struct backoff_config retry_first = {.min_ns = 100 * NS_PER_MS, .max_ns = 10 * NS_PER_S, .jitter = 0.1};
static const struct backoff_config retry_renewal = {.min_ns = 10 * NS_PER_S, .max_ns = 300 * NS_PER_S, .jitter = 0.1};
static const int64_t REMIND_NS = 15 * NS_PER_S;

enum { FILE_MAX = 64 * 1024 };

/* The whole file; -ENOENT and the like as they come, -EFBIG beyond the maximum. */
static int read_file(const char *path, struct buffer *ret_bytes)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0)
        return -errno;
    for (;;) {
        char *room = buffer_room(ret_bytes, 4096);
        ssize_t n;

        if (!room) {
            close(fd);
            return buffer_error(ret_bytes) == -ENOBUFS ? -EFBIG : -ENOMEM;
        }
        n = read(fd, room, 4096);
        if (n <= 0) {
            int r = n < 0 ? -errno : 0;

            close(fd);
            return r;
        }
        buffer_grew(ret_bytes, (size_t)n);
    }
}

static struct san own_name(const struct certifier *certifier)
{
    return san_parse(certifier->proxy->config.local_name);
}

/* key.p8 when there is one; a broken one is an error, a missing one is made. */
static int get_key(struct certifier *certifier, struct errmsg *msg)
{
    struct buffer bytes;
    char path[4096];
    int r;

    snprintf(path, sizeof(path), "%.*s/key.p8", SLICE_ARGS(certifier->proxy->config.identity_dir));
    buffer_init(&bytes, FILE_MAX);
    r = read_file(path, &bytes);
    if (r == 0) {
        r = x509_key_read(buffer_slice(&bytes), msg, &certifier->key);
        if (r < 0)
            errmsg_prefix(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: %s", path);
    } else if (r == -ENOENT) {
        r = x509_key_new(&certifier->key);
    } else {
        errmsg_set(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: cannot read %s: %s", path, strerror(-r));
    }
    buffer_release(&bytes);
    return r;
}

static int get_csr(struct certifier *certifier, struct errmsg *msg)
{
    struct x509_csr *csr = NULL;
    char path[4096];
    int r;

    snprintf(path, sizeof(path), "%.*s/csr.der", SLICE_ARGS(certifier->proxy->config.identity_dir));
    r = read_file(path, &certifier->csr);
    if (r < 0 && r != -ENOENT)
        return errmsg_set(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: cannot read %s: %s", path, strerror(-r));
    if (r == 0) {
        r = x509_csr_read(buffer_slice(&certifier->csr), msg, &csr);
        if (r < 0)
            return errmsg_prefix(msg, r, "LINKERD2_PROXY_IDENTITY_DIR: %s", path);
        if (!x509_csr_is_for(csr, certifier->key, own_name(certifier)))
            r = errmsg_set(msg, -EINVAL, "LINKERD2_PROXY_IDENTITY_DIR: %s is for another name or key than %.*s and key.p8",
                           path, SLICE_ARGS(certifier->proxy->config.local_name));
        x509_csr_free(csr);
        return r;
    }
    return x509_csr_new(certifier->key, own_name(certifier), &certifier->csr);
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

int certifier_init(struct certifier *certifier, struct proxy *proxy, struct loop *loop, struct errmsg *msg)
{
    struct tls_credentials *credentials;
    int r;

    *certifier = (struct certifier){.proxy = proxy, .loop = loop};
    buffer_init(&certifier->csr, FILE_MAX);
    buffer_init(&certifier->request, (size_t)4 * FILE_MAX);
    if (own_name(certifier).kind == SAN_NONE)
        return errmsg_set(msg, -EINVAL, "LINKERD2_PROXY_IDENTITY_LOCAL_NAME=\"%.*s\" is neither a DNS name nor a URI",
                          SLICE_ARGS(proxy->config.local_name));
    r = x509_bundle_read(proxy->config.trust_anchors, msg, &certifier->anchors);
    if (r < 0)
        return errmsg_prefix(msg, r, "LINKERD2_PROXY_IDENTITY_TRUST_ANCHORS");
    r = get_key(certifier, msg);
    if (r == 0)
        r = get_csr(certifier, msg);
    if (r < 0)
        return r;
    r = tls_credentials_new(NULL, &(struct x509_bundle){0}, own_name(certifier), &certifier->anchors,
                            proxy->sys->ops->wall(proxy->sys), msg, &credentials);
    if (r < 0)
        return r;
    r = publish(certifier, credentials);
    tls_credentials_unref(credentials);
    return r;
}

/* --- certifying --- */

static void next_refresh(struct certifier *certifier)
{
    const struct config *config = &certifier->proxy->config;
    int64_t left = certifier->expires_wall_ns - certifier->proxy->sys->ops->wall(certifier->proxy->sys);
    int64_t in = left / 10 * 7;

    if (in < config->identity_min_refresh_ns)
        in = config->identity_min_refresh_ns;
    if (in > config->identity_max_refresh_ns)
        in = config->identity_max_refresh_ns;
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

    buffer_init(&token, FILE_MAX);
    r = read_file(config->token_file.ptr, &token);
    if (r < 0) {
        errmsg_set(msg, r, "cannot read the token %s: %s", config->token_file.ptr, strerror(-r));
    } else {
        request.token = buffer_slice(&token);
        while (request.token.len && (request.token.ptr[request.token.len - 1] == '\n'))
            request.token.len--;
        if (!request.token.len)
            r = errmsg_set(msg, -EINVAL, "the token %s is empty", config->token_file.ptr);
    }
    buffer_clear(&certifier->request);
    if (r == 0)
        r = certify_request_encode(&request, msg, &certifier->request);
    buffer_release(&token);
    return r;
}

static int use_answer(struct certifier *certifier, struct slice message, struct errmsg *msg)
{
    struct certify_response response;
    struct x509_bundle chain = {0};
    struct tls_credentials *credentials;
    struct arena arena;
    int64_t wall = certifier->proxy->sys->ops->wall(certifier->proxy->sys);
    int r;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    r = certify_response_decode(message, &arena, msg, &response);
    if (r == 0 && response.valid_until_wall_ns <= wall)
        r = errmsg_set(msg, -EINVAL, "the certificate is not valid any more when it arrives: compare the clocks");
    for (size_t i = 0; r == 0 && i <= response.intermediate_count; i++) {
        struct x509_cert *cert;

        r = x509_cert_read(i ? response.intermediates[i - 1] : response.leaf, msg, &cert);
        if (r == 0) {
            r = x509_bundle_add(&chain, cert);
            x509_cert_unref(cert);
        }
    }
    if (r == 0)
        r = tls_credentials_new(certifier->key, &chain, own_name(certifier), &certifier->anchors, wall, msg, &credentials);
    if (r == 0) {
        r = publish(certifier, credentials);
        certifier->expires_wall_ns = response.valid_until_wall_ns;
        tls_credentials_unref(credentials);
    }
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
    certifier->refreshed_wall_ns = certifier->proxy->sys->ops->wall(certifier->proxy->sys);
    certifier->failures = 0;
    control_metrics_certified(certifier->client->metrics, certifier->expires_wall_ns, certifier->refreshed_wall_ns);
    timer_cancel(&certifier->reminder);
    log_line(certifier->proxy->log, first ? LOG_INFO : LOG_DEBUG, "identity", "certified as %.*s",
             SLICE_ARGS(certifier->proxy->config.local_name));
    next_refresh(certifier);
    certifier->on_certified(certifier);
    return 0;
}

static bool on_end(struct control_stream *stream, int status, struct slice text)
{
    struct certifier *certifier = stream->owner;

    if (status != GRPC_OK)
        log_line(certifier->proxy->log, LOG_WARN, "identity", "not certified: %s: %.*s", grpc_code_name(status),
                 SLICE_ARGS(text));
    if (status != GRPC_OK || !timer_is_set(&certifier->refresh))
        retry(certifier);
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
    certify(&certifier->refresh);
    return 0;
}

void certifier_set_anchors(struct certifier *certifier, struct x509_bundle *anchors)
{
    struct tls_credentials *credentials;
    struct errmsg msg = {""};
    const struct x509_bundle *chain = tls_credentials_chain(certifier->credentials);
    bool proves = tls_credentials_leaf(certifier->credentials) != NULL;
    int r = tls_credentials_new(proves ? certifier->key : NULL, chain, own_name(certifier), anchors,
                                certifier->proxy->sys->ops->wall(certifier->proxy->sys), &msg, &credentials);

    if (r == 0) {
        r = publish(certifier, credentials);
        tls_credentials_unref(credentials);
    }
    if (r < 0) {
        log_line(certifier->proxy->log, LOG_ERROR, "identity", "the new trust bundle is not used: %s", msg.text);
        x509_bundle_release(anchors);
        return;
    }
    x509_bundle_release(&certifier->anchors);
    certifier->anchors = *anchors;
    if (certifier->certified)
        certifier->on_certified(certifier);
}

void certifier_release(struct certifier *certifier)
{
    if (!certifier->loop)
        return;
    control_stream_stop(&certifier->certify);
    timer_release(certifier->loop, &certifier->refresh);
    timer_release(certifier->loop, &certifier->reminder);
    tls_context_unref(certifier->tls);
    tls_credentials_unref(certifier->credentials);
    x509_key_unref(certifier->key);
    x509_bundle_release(&certifier->anchors);
    buffer_release(&certifier->csr);
    buffer_release(&certifier->request);
}
