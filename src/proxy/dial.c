#include "proxy/dial.h"

#include <errno.h>

#include "base/mutation.h"
#include "codec/transport_header.h"
#include "net/tls/tls.h"

static const struct slice transport_alpn[] = {{"transport.l5d.io/v1", 19}};

/* The transport header is spoken where the endpoint names a port for it, or where a gateway needs a name. */
static bool wants_header(const struct endpoint_info *endpoint)
{
    return endpoint->opaque_transport_port || endpoint->authority_override.len;
}

static bool wants_tls(const struct dial *dial)
{
    return !dial->options.plaintext && !mutation("plaintext-to-the-mesh") && dial->options.endpoint->identity_kind != IDENTITY_NONE;
}

static struct addr address_of(const struct dial *dial)
{
    struct addr addr = dial->options.endpoint->addr;

    if (wants_tls(dial) && dial->options.endpoint->opaque_transport_port)
        addr.port = dial->options.endpoint->opaque_transport_port;
    return addr;
}

static void stop(struct dial *dial)
{
    dial->finished = true;
    timer_release(dial->loop, &dial->deadline);
    task_cancel(&dial->task);
    tls_context_unref(dial->options.tls);
    dial->options.tls = NULL;
}

static void finish(struct dial *dial, bool ok)
{
    stop(dial);
    if (!ok)
        io_close(dial->stack, true);
    dial->done(dial, ok);
}

static void fail(struct dial *dial, enum reason reason, int error)
{
    dial->reason = reason;
    dial->error = error;
    finish(dial, false);
}

enum reason reason_of_tls(enum tls_failure failure)
{
    return failure == TLS_IDENTITY_MISMATCH ? REASON_IDENTITY_MISMATCH : REASON_TLS_HANDSHAKE_FAILED;
}

static int begin_tls(struct dial *dial)
{
    const struct endpoint_info *endpoint = dial->options.endpoint;
    struct tls_client client = {
        .server_name = endpoint->server_name.len ? endpoint->server_name : endpoint->identity,
        .expected = {endpoint->identity_kind == IDENTITY_URI ? SAN_URI : SAN_DNS, endpoint->identity},
        .alpn = transport_alpn,
        .alpn_count = wants_header(endpoint) ? 1 : 0,
    };

    if (!dial->options.tls)
        return -ENOKEY;
    dial->tls = true;
    return tls_push_client(dial->stack, dial->options.tls, &client);
}

/* A gateway finds its target by the name and port of the authority that the endpoint overrides. */
static void name_for_gateway(const struct endpoint_info *endpoint, struct transport_header *header)
{
    struct slice authority = endpoint->authority_override;
    size_t colon = slice_find(authority, ':');
    uint64_t port;

    if (colon < authority.len && slice_u64(slice_skip(authority, colon + 1), UINT16_MAX, &port) == 0) {
        header->name = slice_take(authority, colon);
        header->port = (uint16_t)port;
    }
}

static int push_header(struct dial *dial)
{
    static const uint8_t sessions[] = {
        [DIAL_OPAQUE] = TRANSPORT_OPAQUE,
        [DIAL_HTTP1] = TRANSPORT_HTTP1,
        [DIAL_HTTP2] = TRANSPORT_HTTP2,
    };
    const struct endpoint_info *endpoint = dial->options.endpoint;
    struct transport_header header = {
        .port = endpoint->addr.port,
        /* On a port that is opaque over there nobody looks at the bytes, though they are HTTP to us. */
        .session = endpoint->hint == HINT_OPAQUE ? TRANSPORT_OPAQUE : sessions[dial->options.session],
    };
    char bytes[TRANSPORT_HEADER_MAX];
    int len;

    name_for_gateway(endpoint, &header);
    len = transport_header_encode(&header, bytes);
    return len < 0 ? len : io_push_preamble(dial->stack, slice_of(bytes, (size_t)len));
}

static void go_on_with_tls(struct dial *dial)
{
    int r = tls_handshake(dial->stack);
    struct tls_peer peer;

    if (r == -EAGAIN)
        return;
    if (r < 0) {
        fail(dial, reason_of_tls(tls_failure(dial->stack)), r);
        return;
    }
    if (wants_header(dial->options.endpoint) && tls_peer(dial->stack, &peer) &&
        slice_eq(peer.alpn, transport_alpn[0])) {
        r = push_header(dial);
        if (r < 0) {
            fail(dial, REASON_OUT_OF_MEMORY, r);
            return;
        }
    }
    finish(dial, true);
}

static void connected(struct dial *dial)
{
    int r = dial->loop->sys->ops->connect_result(dial->loop->sys, dial->stack->fd.watch.fd);

    if (r == -EINPROGRESS)
        return;
    if (r < 0) {
        fail(dial, reason_of_connect(-r), r);
        return;
    }
    dial->connected = true;
    if (!wants_tls(dial)) {
        finish(dial, true);
        return;
    }
    r = begin_tls(dial);
    if (r < 0)
        fail(dial, r == -ENOKEY ? REASON_IDENTITY_UNAVAILABLE : REASON_OUT_OF_MEMORY, r);
    else
        go_on_with_tls(dial);
}

static void run(struct task *task)
{
    struct dial *dial = CONTAINER_OF(task, struct dial, task);

    if (dial->finished)
        return;
    if (dial->connected)
        go_on_with_tls(dial);
    else if (dial->stack->writable)
        connected(dial);
}

static void ready(struct io_stack *stack)
{
    struct dial *dial = stack->owner;

    task_wake(dial->loop, &dial->task);
}

static void too_late(struct timer *timer)
{
    struct dial *dial = CONTAINER_OF(timer, struct dial, deadline);

    fail(dial, REASON_CONNECT_TIMEOUT, -ETIMEDOUT);
}

int dial_start(struct dial *dial, struct loop *loop, struct io_stack *stack, const struct dial_options *options,
               void (*done)(struct dial *dial, bool ok))
{
    struct sys *sys = loop->sys;
    int fd, r;

    *dial = (struct dial){.stack = stack, .loop = loop, .options = *options, .done = done};
    task_init(&dial->task, run);
    fd = sys->ops->connect(sys, address_of(dial));
    if (fd >= 0 && !descriptors_spare(sys, fd, options->use)) {
        sys->ops->close(sys, fd, true);
        fd = -EMFILE;
    }
    if (fd < 0) {
        dial->reason = fd == -EMFILE || fd == -ENFILE ? REASON_OUT_OF_DESCRIPTORS : reason_of_connect(-fd);
        dial->error = fd;
        dial->finished = true;
        return fd;
    }
    (void)sys->ops->set_options(sys, fd, &options->socket);
    r = timer_init(loop, &dial->deadline, too_late);
    if (r == 0)
        r = io_open(stack, loop, fd, ready);
    if (r < 0) {
        timer_release(loop, &dial->deadline);
        sys->ops->close(sys, fd, true);
        dial->reason = REASON_OUT_OF_MEMORY;
        dial->error = r;
        dial->finished = true;
        return r;
    }
    if (options->tls) /* the worker's own may be replaced while this one connects */
        dial->options.tls = tls_context_ref(options->tls);
    stack->owner = dial;
    stack->count_read = options->count_read;
    stack->count_written = options->count_written;
    timer_set(loop, &dial->deadline, loop->now_ns + options->timeout_ns);
    return 0;
}

void dial_release(struct dial *dial)
{
    if (!dial->loop || dial->finished)
        return;
    stop(dial);
    io_close(dial->stack, true);
}
