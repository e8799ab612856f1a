#include "proxy/watch/trust_bundle.h"

#include <errno.h>

#include "api/identity.h"
#include "base/arena.h"
#include "base/duration.h"
#include "event/log.h"
#include "proxy/watch/control_metrics.h"

static const int64_t ASK_AGAIN_NS = 3600 * NS_PER_S;

/* Whether what comes over this connection can be believed to be from the identity service. */
static bool is_trusted(const struct control_client *client)
{
    return client->addr->identity.len || ip_is_loopback(client->endpoint.addr.ip);
}

static int read_bundle(struct slice message, struct errmsg *msg, struct x509_bundle *ret_bundle)
{
    struct arena arena;
    struct slice pem;
    int r;

    arena_init(&arena, (size_t)2 * LIMIT_GRPC_MESSAGE);
    r = bundle_decode(message, &arena, msg, &pem);
    if (r == 0)
        r = x509_bundle_read(pem, msg, ret_bundle);
    arena_release(&arena);
    return r;
}

static int on_message(struct control_stream *stream, struct slice message)
{
    struct trust_bundle *bundle = stream->owner;
    struct control_client *client = bundle->client;
    struct x509_bundle anchors = {0};
    struct errmsg msg = {""};
    int r = 0;

    if (!is_trusted(client))
        r = errmsg_set(&msg, -EACCES, "it came in plaintext from another machine; LINKERD2_PROXY_IDENTITY_SVC_NAME says who must prove it");
    if (r == 0)
        r = read_bundle(message, &msg, &anchors);
    if (r == 0) {
        bundle->on_bundle(bundle->owner, &anchors);
        return 0;
    }
    control_metrics_bundle_refused(client->metrics);
    log_line(client->log, LOG_ERROR, "identity", "the trust bundle from %s is refused, the one before stays in force: %s",
             client->authority, msg.text[0] ? msg.text : strerror(-r));
    return 0; /* the stream goes on: the next one may be good, the same one would come again */
}

/* What services answer that do not have the call, or proxies in front of them that do not let it through. */
static bool is_unknown_call(int status)
{
    return status == GRPC_UNIMPLEMENTED || status == GRPC_NOT_FOUND || status == GRPC_PERMISSION_DENIED ||
           status == GRPC_UNAUTHENTICATED || status == GRPC_INVALID_ARGUMENT;
}

static bool on_end(struct control_stream *stream, int status, struct slice text)
{
    struct trust_bundle *bundle = stream->owner;
    struct control_client *client = bundle->client;

    if (!is_unknown_call(status)) {
        log_limited(client->log, status == GRPC_OK ? LOG_DEBUG : LOG_WARN, "identity", "following the trust bundle: %s: %.*s",
                    grpc_code_name(status), SLICE_ARGS(text));
        return true;
    }
    log_line(client->log, bundle->said ? LOG_DEBUG : LOG_INFO, "identity",
             "%s tells of no trust bundle (%s): the anchors in force stay", client->authority, grpc_code_name(status));
    bundle->said = true;
    timer_set(client->loop, &bundle->again, client->loop->now_ns + ASK_AGAIN_NS);
    return false;
}

static const struct control_stream_events events = {.on_message = on_message, .on_end = on_end};

static void ask_again(struct timer *timer)
{
    control_stream_again(&CONTAINER_OF(timer, struct trust_bundle, again)->stream);
}

int trust_bundle_start(struct trust_bundle *bundle, struct control_client *client,
                       void (*on_bundle)(void *owner, struct x509_bundle *bundle), void *owner)
{
    int r;

    *bundle = (struct trust_bundle){.client = client, .on_bundle = on_bundle, .owner = owner};
    buffer_init(&bundle->request, LIMIT_GRPC_MESSAGE);
    if (timer_init(client->loop, &bundle->again, ask_again) < 0) {
        bundle->client = NULL;
        return -ENOMEM;
    }
    r = watch_bundle_encode(SLICE_NULL, NULL, &bundle->request); /* that of the server: it knows only one */
    if (r == 0)
        r = control_stream_start(&bundle->stream, client, SLICE_LIT("/io.clinkerd.proxy.identity.TrustBundle/Watch"),
                                 buffer_slice(&bundle->request), &events, bundle);
    if (r < 0)
        trust_bundle_stop(bundle);
    return r;
}

void trust_bundle_stop(struct trust_bundle *bundle)
{
    if (!bundle->client)
        return;
    control_stream_stop(&bundle->stream);
    timer_release(bundle->client->loop, &bundle->again);
    buffer_release(&bundle->request);
    bundle->client = NULL;
}
