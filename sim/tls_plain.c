/*
 * In the place of src/net/tls*.c: the same interface, the same flights and the same ends, without ciphers. Detection
 * meets a true client hello; identities are carried instead of proven; nothing is checked but that they are who they
 * should be. Records keep the outer form of TLS, so that their sizes and their cuts are alike:
 *
 *     client    handshake record: client hello with SNI and ALPN
 *     server    handshake record: "S" identity "\n" protocol, or an alert
 *     client    handshake record: "C" identity, or an alert;   then both: data records, close_notify
 */
#include "sim/identity.h"

#include <errno.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "event/loop.h"
#include "sim/world.h"

enum { RECORD_HEAD = 5, RECORD_MAX = 16384, TYPE_ALERT = 21, TYPE_HANDSHAKE = 22, TYPE_DATA = 23, CLOSE_NOTIFY = 0, HELD_MAX = 128 * 1024 };

/* --- credentials and contexts --- */

struct tls_credentials {
    _Atomic(unsigned) refs;
    struct x509_bundle chain, anchors;
    char name[LIMIT_IDENTITY + 1];
};

int tls_credentials_new(struct x509_key *key, const struct x509_bundle *chain, struct san own,
                        const struct x509_bundle *anchors, int64_t wall_ns, struct errmsg *msg,
                        struct tls_credentials **ret_credentials)
{
    struct tls_credentials *credentials = calloc(1, sizeof(*credentials));

    if (!credentials)
        return -ENOMEM;
    credentials->refs = 1;
    if (key && !chain->count) {
        free(credentials);
        return errmsg_set(msg, -EKEYREJECTED, "there is no certificate");
    }
    if (x509_bundle_copy(chain, &credentials->chain) < 0 || x509_bundle_copy(anchors, &credentials->anchors) < 0)
        abort();
    snprintf(credentials->name, sizeof(credentials->name), "%.*s", SLICE_ARGS(own.name));
    *ret_credentials = credentials;
    return 0;
}

void identity_release(struct world *world)
{
}

struct tls_credentials *identity_issue(struct world *world, const char *name, int64_t lifetime_ns, enum issuer issuer)
{
    struct tls_credentials *credentials = calloc(1, sizeof(*credentials));

    if (!credentials)
        abort();
    credentials->refs = 1;
    snprintf(credentials->name, sizeof(credentials->name), "%s", name);
    return credentials;
}

void *tls_credentials_ref(void *opaque)
{
    struct tls_credentials *credentials = opaque;

    if (credentials)
        credentials->refs++;
    return credentials;
}

void tls_credentials_unref(void *opaque)
{
    struct tls_credentials *credentials = opaque;

    if (!credentials || --credentials->refs)
        return;
    x509_bundle_release(&credentials->chain);
    x509_bundle_release(&credentials->anchors);
    free(credentials);
}

const struct x509_cert *tls_credentials_leaf(const struct tls_credentials *credentials)
{
    return credentials->chain.count ? credentials->chain.certs[0] : NULL;
}

const struct x509_bundle *tls_credentials_chain(const struct tls_credentials *credentials)
{
    return &credentials->chain;
}

const struct x509_bundle *tls_credentials_anchors(const struct tls_credentials *credentials)
{
    return &credentials->anchors;
}

struct san tls_credentials_own(const struct tls_credentials *credentials)
{
    return san_parse(slice_str(credentials->name));
}

struct tls_context {
    unsigned refs;
    struct sys *sys;
    struct tls_credentials *credentials;
};

int tls_context_new(struct sys *sys, struct tls_credentials *credentials, struct tls_context **ret_context)
{
    struct tls_context *context = calloc(1, sizeof(*context));

    if (!context)
        return -ENOMEM;
    *context = (struct tls_context){1, sys, tls_credentials_ref(credentials)};
    *ret_context = context;
    return 0;
}

struct tls_context *tls_context_ref(struct tls_context *context)
{
    context->refs++;
    return context;
}

void tls_context_unref(struct tls_context *context)
{
    if (!context || --context->refs)
        return;
    tls_credentials_unref(context->credentials);
    free(context);
}

const struct tls_credentials *tls_context_credentials(const struct tls_context *context)
{
    return context->credentials;
}

/* --- the filter --- */

struct plain {
    struct io io;
    struct tls_context *context;
    struct buffer in, out;
    bool server, sent_hello, done, read_ended, write_ended;
    int error;
    enum tls_failure failure;
    char server_name[256], expected[LIMIT_IDENTITY + 1], peer_name[LIMIT_IDENTITY + 1], alpn[64];
    struct slice offers[8];
    size_t offer_count;
};

static const struct io_ops plain_ops;

static struct plain *plain_of(const struct io_stack *stack)
{
    for (struct io *io = stack->top; io; io = io->below)
        if (io->ops == &plain_ops)
            return CONTAINER_OF(io, struct plain, io);
    return NULL;
}

static int fail(struct plain *plain, int error)
{
    if (!plain->error)
        plain->error = error;
    return plain->error;
}

static int end_handshake(struct plain *plain, enum tls_failure failure, int error)
{
    plain->failure = failure;
    return fail(plain, error);
}

static void put_record(struct plain *plain, uint8_t type, struct slice bytes)
{
    const char head[RECORD_HEAD] = {(char)type, 3, 3, (char)(bytes.len >> 8), (char)bytes.len};

    buffer_add(&plain->out, slice_of(head, sizeof(head)));
    buffer_add(&plain->out, bytes);
    if (buffer_error(&plain->out))
        abort();
}

static int flush_out(struct plain *plain)
{
    while (plain->out.len) {
        struct iovec iov = {plain->out.data, plain->out.len};
        ssize_t n = io_pass_writev(&plain->io, &iov, 1);

        if (n < 0)
            return n == -EAGAIN ? -EAGAIN : fail(plain, (int)n);
        buffer_drop(&plain->out, (size_t)n);
    }
    return io_pass_flush(&plain->io);
}

/* 1: there is more; 0: the peer's TCP ended; -EAGAIN; or an error. */
static int fill(struct plain *plain)
{
    char *room = buffer_room(&plain->in, RECORD_MAX);
    ssize_t n = room ? io_pass_read(&plain->io, room, RECORD_MAX) : -ENOMEM;

    if (n > 0)
        buffer_grew(&plain->in, (size_t)n);
    return n > 0 ? 1 : (int)n;
}

/* The first record that is whole; false: not yet. */
static bool first_record(const struct plain *plain, uint8_t *ret_type, struct slice *ret_body)
{
    const uint8_t *head = (const uint8_t *)plain->in.data;
    size_t len;

    if (plain->in.len < RECORD_HEAD)
        return false;
    len = (size_t)head[3] << 8 | head[4];
    if (plain->in.len < RECORD_HEAD + len)
        return false;
    *ret_type = head[0];
    *ret_body = slice_of(plain->in.data + RECORD_HEAD, len);
    return true;
}

static void drop_record(struct plain *plain, struct slice body)
{
    buffer_drop(&plain->in, RECORD_HEAD + body.len);
}

/* --- the handshake --- */

static void put_u16(struct buffer *to, size_t n)
{
    buffer_add_byte(to, (char)(n >> 8));
    buffer_add_byte(to, (char)n);
}

static void put_extensions(struct plain *plain, struct buffer *to)
{
    size_t name = strlen(plain->server_name), protocols = 0;

    if (name) {
        put_u16(to, 0); /* server_name */
        put_u16(to, name + 5);
        put_u16(to, name + 3);
        buffer_add_byte(to, 0);
        put_u16(to, name);
        buffer_add(to, slice_str(plain->server_name));
    }
    for (size_t i = 0; i < plain->offer_count; i++)
        protocols += 1 + plain->offers[i].len;
    if (!protocols)
        return;
    put_u16(to, 16); /* application_layer_protocol_negotiation */
    put_u16(to, protocols + 2);
    put_u16(to, protocols);
    for (size_t i = 0; i < plain->offer_count; i++) {
        buffer_add_byte(to, (char)plain->offers[i].len);
        buffer_add(to, plain->offers[i]);
    }
}

/* RFC 8446 section 4.1.2. */
static void send_hello(struct plain *plain)
{
    struct buffer extensions, body, message;
    char random[32];

    buffer_init(&extensions, 4096);
    buffer_init(&body, 4096);
    buffer_init(&message, 4096);
    put_extensions(plain, &extensions);
    plain->context->sys->ops->random(plain->context->sys, random, sizeof(random));
    buffer_add_lit(&body, "\x03\x03");
    buffer_add(&body, slice_of(random, sizeof(random)));
    buffer_add(&body, slice_of("\0\0\2\x13\x01\1\0", 7)); /* no session, one suite, no compression */
    put_u16(&body, extensions.len);
    buffer_add(&body, buffer_slice(&extensions));
    buffer_add(&message, slice_of("\1\0", 2)); /* client_hello, and the first byte of its length */
    put_u16(&message, body.len);
    buffer_add(&message, buffer_slice(&body));
    put_record(plain, TYPE_HANDSHAKE, buffer_slice(&message));
    buffer_release(&extensions);
    buffer_release(&body);
    buffer_release(&message);
}

static void send_name(struct plain *plain, char kind)
{
    char text[LIMIT_IDENTITY + 128];
    int len = snprintf(text, sizeof(text), "%c%s\n%s", kind,
                       plain->context->credentials->name, plain->alpn);

    put_record(plain, TYPE_HANDSHAKE, slice_of(text, (size_t)len));
}

static void choose_protocol(struct plain *plain, struct slice hello)
{
    for (size_t i = 0; i < plain->offer_count; i++)
        if (slice_find_slice(hello, plain->offers[i]) < hello.len) {
            snprintf(plain->alpn, sizeof(plain->alpn), "%.*s", SLICE_ARGS(plain->offers[i]));
            return;
        }
}

static void take_name(struct plain *plain, struct slice body)
{
    struct slice rest = slice_skip(body, 1), name;

    slice_split(&rest, '\n', &name);
    snprintf(plain->peer_name, sizeof(plain->peer_name), "%.*s", SLICE_ARGS(name));
    if (!plain->server)
        snprintf(plain->alpn, sizeof(plain->alpn), "%.*s", SLICE_ARGS(rest));
}

static int refuse_server(struct plain *plain)
{
    put_record(plain, TYPE_ALERT, slice_of("\2\x2e", 2)); /* certificate_unknown */
    (void)flush_out(plain);
    return end_handshake(plain, TLS_IDENTITY_MISMATCH, -EKEYREJECTED);
}

/* One record of the peer's. 0, or why the handshake failed. */
static int shake_one(struct plain *plain, uint8_t type, struct slice body)
{
    if (type == TYPE_ALERT)
        return end_handshake(plain, TLS_PEER_REFUSED, -EPROTO);
    if (type != TYPE_HANDSHAKE || !body.len)
        return end_handshake(plain, TLS_PROTOCOL_ERROR, -EBADMSG);
    if (plain->server && body.ptr[0] == 1) {
        choose_protocol(plain, body);
        send_name(plain, 'S');
        return 0;
    }
    if (body.ptr[0] != (plain->server ? 'C' : 'S'))
        return end_handshake(plain, TLS_PROTOCOL_ERROR, -EBADMSG);
    take_name(plain, body);
    if (!plain->server && !slice_eq(slice_str(plain->peer_name), slice_str(plain->expected)))
        return refuse_server(plain);
    if (!plain->server)
        send_name(plain, 'C');
    plain->done = true;
    return 0;
}

static int shake(struct plain *plain)
{
    int r;

    if (!plain->server && !plain->sent_hello) {
        send_hello(plain);
        plain->sent_hello = true;
    }
    while (!plain->done) {
        struct slice body;
        uint8_t type;

        r = flush_out(plain);
        if (r < 0 && r != -EAGAIN)
            return end_handshake(plain, TLS_PEER_CLOSED, r);
        if (!first_record(plain, &type, &body)) {
            r = fill(plain);
            if (r == -EAGAIN)
                return r;
            if (r <= 0)
                return end_handshake(plain, TLS_PEER_CLOSED, r < 0 ? r : -ECONNRESET);
            continue;
        }
        r = shake_one(plain, type, body);
        drop_record(plain, body);
        if (r < 0)
            return r;
    }
    r = flush_out(plain);
    return r < 0 && r != -EAGAIN ? end_handshake(plain, TLS_PEER_CLOSED, r) : r;
}

int tls_handshake(struct io_stack *stack)
{
    struct plain *plain = plain_of(stack);

    return plain->error ? plain->error : shake(plain);
}

/* --- records --- */

/* What the first record has for the reader: bytes in order; 0 and read_ended; or an error. -EAGAIN: nothing whole yet. */
static ssize_t read_record(struct plain *plain, void *to, size_t len)
{
    struct slice body;
    uint8_t type;
    char *head = plain->in.data;
    size_t n;

    if (!first_record(plain, &type, &body))
        return -EAGAIN;
    if (type == TYPE_ALERT) {
        plain->read_ended = body.len == 2 && body.ptr[1] == CLOSE_NOTIFY;
        drop_record(plain, body);
        return plain->read_ended ? 0 : fail(plain, -EPROTO);
    }
    if (type != TYPE_DATA || !body.len)
        return fail(plain, -EBADMSG);
    n = len < body.len ? len : body.len;
    memcpy(to, body.ptr, n);
    if (n == body.len) {
        drop_record(plain, body);
        return (ssize_t)n;
    }
    memmove(head + n, head, RECORD_HEAD); /* the rest becomes a record of its own */
    buffer_drop(&plain->in, n);
    head = plain->in.data;
    head[3] = (char)((body.len - n) >> 8);
    head[4] = (char)(body.len - n);
    return (ssize_t)n;
}

static ssize_t plain_read(struct io *io, void *to, size_t len)
{
    struct plain *plain = CONTAINER_OF(io, struct plain, io);

    for (;;) {
        ssize_t n;

        if (plain->read_ended)
            return 0;
        if (plain->error)
            return plain->error;
        n = read_record(plain, to, len);
        if (n != -EAGAIN)
            return n;
        n = fill(plain);
        if (n == -EAGAIN)
            return n;
        if (n <= 0)
            return fail(plain, n < 0 ? (int)n : -ECONNABORTED);
    }
}

static bool plain_pending(const struct io *io)
{
    const struct plain *plain = CONTAINER_OF(io, struct plain, io);
    struct slice body;
    uint8_t type;

    return plain->error || plain->read_ended || first_record(plain, &type, &body) || io_pass_pending(io);
}

static ssize_t plain_writev(struct io *io, const struct iovec *iov, int count)
{
    struct plain *plain = CONTAINER_OF(io, struct plain, io);
    ssize_t taken = 0;

    if (plain->error || plain->write_ended)
        return plain->error ? plain->error : -EPIPE;
    for (int i = 0; i < count; i++)
        for (size_t at = 0; at < iov[i].iov_len;) {
            size_t n = iov[i].iov_len - at < RECORD_MAX ? iov[i].iov_len - at : RECORD_MAX;

            if (plain->out.len >= HELD_MAX / 2) {
                int r = flush_out(plain);

                if (r < 0 && r != -EAGAIN)
                    return r;
                if (plain->out.len >= HELD_MAX / 2)
                    return taken ? taken : -EAGAIN;
            }
            put_record(plain, TYPE_DATA, slice_of((const char *)iov[i].iov_base + at, n));
            at += n;
            taken += (ssize_t)n;
        }
    return taken;
}

static int plain_flush(struct io *io)
{
    struct plain *plain = CONTAINER_OF(io, struct plain, io);

    return plain->error ? plain->error : flush_out(plain);
}

static int plain_shutdown(struct io *io)
{
    struct plain *plain = CONTAINER_OF(io, struct plain, io);
    int r;

    if (plain->error)
        return plain->error;
    if (!plain->write_ended)
        put_record(plain, TYPE_ALERT, slice_of("\1\0", 2));
    plain->write_ended = true;
    r = flush_out(plain);
    return r < 0 ? r : io_pass_shutdown(io);
}

static void plain_free(struct io *io)
{
    struct plain *plain = CONTAINER_OF(io, struct plain, io);

    tls_context_unref(plain->context);
    buffer_release(&plain->in);
    buffer_release(&plain->out);
    free(plain);
}

static const struct io_ops plain_ops = {
    .name = "tls",
    .read = plain_read,
    .writev = plain_writev,
    .flush = plain_flush,
    .shutdown = plain_shutdown,
    .pending = plain_pending,
    .free = plain_free,
};

static struct plain *push(struct io_stack *stack, struct tls_context *context, const struct slice *alpn, size_t alpn_count)
{
    struct plain *plain = calloc(1, sizeof(*plain));

    if (!plain)
        return NULL;
    plain->io.ops = &plain_ops;
    plain->context = tls_context_ref(context);
    buffer_init(&plain->in, (size_t)4 * RECORD_MAX);
    buffer_init(&plain->out, (size_t)2 * HELD_MAX);
    for (size_t i = 0; i < alpn_count && i < sizeof(plain->offers) / sizeof(plain->offers[0]); i++)
        plain->offers[plain->offer_count++] = alpn[i];
    io_push(stack, &plain->io);
    return plain;
}

int tls_push_server(struct io_stack *stack, struct tls_context *context, const struct slice *alpn, size_t alpn_count)
{
    struct plain *plain;

    if (!context->credentials->name[0])
        return -ENOKEY;
    plain = push(stack, context, alpn, alpn_count);
    if (!plain)
        return -ENOMEM;
    plain->server = true;
    return 0;
}

int tls_push_client(struct io_stack *stack, struct tls_context *context, const struct tls_client *client)
{
    struct plain *plain = push(stack, context, client->alpn, client->alpn_count);

    if (!plain)
        return -ENOMEM;
    snprintf(plain->server_name, sizeof(plain->server_name), "%.*s", SLICE_ARGS(client->server_name));
    snprintf(plain->expected, sizeof(plain->expected), "%.*s", SLICE_ARGS(client->expected.name));
    return 0;
}

int tls_push_inspector(struct io_stack *stack, struct tls_context *context, struct slice server_name)
{
    return -ENOTSUP;
}

const struct x509_bundle *tls_shown(const struct io_stack *stack)
{
    return NULL;
}

enum tls_failure tls_failure(const struct io_stack *stack)
{
    const struct plain *plain = plain_of(stack);

    return plain ? plain->failure : TLS_OK;
}

const char *tls_failure_name(enum tls_failure failure)
{
    return failure == TLS_OK ? "ok" : failure == TLS_IDENTITY_MISMATCH ? "identity-mismatch" : "handshake-failed";
}

void tls_failure_text(const struct io_stack *stack, struct errmsg *msg)
{
    errmsg_set(msg, -EPROTO, "%s", tls_failure_name(tls_failure(stack)));
}

bool tls_peer(const struct io_stack *stack, struct tls_peer *ret_peer)
{
    const struct plain *plain = plain_of(stack);

    if (!plain || !plain->done)
        return false;
    *ret_peer = (struct tls_peer){san_parse(slice_str(plain->peer_name)), slice_str(plain->alpn), "plain", "none"};
    return true;
}
