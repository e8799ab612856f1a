#include "cli/ask.h"

#include <errno.h>
#include <netdb.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/duration.h"
#include "base/limits.h"
#include "cli/cluster/forward.h"
#include "event/loop.h"
#include "net/grpc/grpc.h"
#include "net/http/http1_conn.h"
#include "net/http/http2_conn.h"
#include "net/io.h"
#include "net/tls/tls.h"

enum { PAGES_MAX = 16384, ADDRESSES_MAX = 8, ADDRESS_MAX = 320 };

struct ask {
    struct loop loop;
    struct io_stack io;
    char address[ADDRESS_MAX];    /* as given, for messages */
    char authority[ADDRESS_MAX];  /* what HTTP calls it */
    int64_t timeout_ns, deadline_ns;
    struct arena arena;           /* of the answer's head */
    struct http_client *http;
    bool is_http2;
    bool finished;                /* nothing more will come */
    /* GET */
    struct buffer *body;
    unsigned status;
    struct http_reset reset;
    /* gRPC */
    ask_answer *answer;
    void *owner;
    struct grpc_call *call;
    unsigned answers;
    int grpc_status;
    char grpc_text[256];
};

static int64_t now(const struct ask *ask)
{
    return ask->loop.sys->ops->now(ask->loop.sys);
}

/* One turn. False when the time is over. */
static bool turn(struct ask *ask, int64_t until_ns)
{
    int64_t left = until_ns - now(ask);

    if (left <= 0)
        return false;
    loop_turn(&ask->loop, left);
    return true;
}

static int too_late(const struct ask *ask, struct errmsg *msg)
{
    char text[DURATION_TEXT_MAX];

    return errmsg_set(msg, -ETIMEDOUT, "%s: no answer within %s", ask->address,
                      duration_format(ask->timeout_ns, text));
}

/* --- connecting --- */

static int split(const char *address, char *host, size_t host_size, const char **ret_port, struct errmsg *msg)
{
    const char *colon = strrchr(address, ':');
    size_t len = colon ? (size_t)(colon - address) : 0;
    uint64_t port;

    if (len >= 2 && address[0] == '[' && address[len - 1] == ']') {
        address++;
        len -= 2;
    }
    if (!colon || len == 0 || len >= host_size || slice_u64(slice_str(colon + 1), UINT16_MAX, &port) < 0 || port == 0)
        return errmsg_set(msg, -EINVAL, "\"%s\" is no address; expected HOST:PORT", address);
    memcpy(host, address, len);
    host[len] = '\0';
    *ret_port = colon + 1;
    return 0;
}

static int resolve(const char *address, struct addr addrs[ADDRESSES_MAX], struct errmsg *msg)
{
    struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV}, *found;
    const char *port = NULL;
    char host[256];
    int count = 0, r;

    r = split(address, host, sizeof(host), &port, msg);
    if (r < 0)
        return r;
    r = getaddrinfo(host, port, &hints, &found);
    if (r != 0)
        return errmsg_set(msg, -ENOENT, "%s: cannot find \"%s\": %s", address, host, gai_strerror(r));
    for (struct addrinfo *at = found; at && count < ADDRESSES_MAX; at = at->ai_next)
        if (addr_from_sockaddr(at->ai_addr, &addrs[count]) == 0)
            count++;
    freeaddrinfo(found);
    return count ? count : errmsg_set(msg, -ENOENT, "%s: \"%s\" has no address", address, host);
}

static void nothing(struct io_stack *stack)
{
}

static int connect_one(struct ask *ask, struct addr addr)
{
    struct sys *sys = ask->loop.sys;
    int fd = sys->ops->connect(sys, addr), r;

    if (fd < 0)
        return fd;
    r = io_open(&ask->io, &ask->loop, fd, nothing);
    if (r < 0) {
        sys->ops->close(sys, fd, true);
        return r;
    }
    while ((r = sys->ops->connect_result(sys, ask->io.fd.watch.fd)) == -EINPROGRESS)
        if (!turn(ask, ask->deadline_ns)) {
            r = -ETIMEDOUT;
            break;
        }
    if (r < 0)
        io_close(&ask->io, true);
    return r;
}

static int connect_any(struct ask *ask, const char *address, struct errmsg *msg)
{
    struct addr addrs[ADDRESSES_MAX];
    int count = resolve(address, addrs, msg), r = count;

    for (int i = 0; i < count; i++) {
        r = connect_one(ask, addrs[i]);
        if (r == 0)
            return 0;
    }
    if (count > 0 && r == -ETIMEDOUT)
        too_late(ask, msg);
    else if (count > 0)
        errmsg_set(msg, r, "%s: cannot connect: %s", address, strerror(-r));
    return r;
}

static void verbose(const struct ask *ask, const char *what)
{
    char text[DURATION_TEXT_MAX];

    if (getenv(VERBOSE_VARIABLE))
        fprintf(stderr, "linkerd: %s %s (%s)\n", what, ask->address,
                duration_format(now(ask) - (ask->deadline_ns - ask->timeout_ns), text));
}

static int ask_new(const char *address, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask)
{
    struct ask *ask = calloc(1, sizeof(*ask));
    int r;

    if (!ask)
        return errmsg_set(msg, -ENOMEM, "out of memory");
    snprintf(ask->address, sizeof(ask->address), "%s", address);
    snprintf(ask->authority, sizeof(ask->authority), "%s", address);
    ask->io.fd.watch.fd = -1;
    arena_init(&ask->arena, LIMIT_REQUEST_ARENA);
    r = loop_init(&ask->loop, sys_linux(), PAGES_MAX);
    if (r < 0) {
        arena_release(&ask->arena);
        free(ask);
        return errmsg_set(msg, r, "%s: cannot wait for events: %s", address, strerror(-r));
    }
    ask->timeout_ns = timeout_ns;
    ask->deadline_ns = now(ask) + timeout_ns;
    verbose(ask, "asking");
    *ret_ask = ask;
    return 0;
}

int ask_open(const char *address, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask)
{
    struct ask *ask;
    int r = ask_new(address, timeout_ns, msg, &ask);

    if (r < 0)
        return r;
    r = connect_any(ask, address, msg);
    if (r < 0)
        ask_close(ask);
    else
        *ret_ask = ask;
    return r;
}

int ask_open_pod(const struct kube_access *access, const struct forward_pod *pod, int64_t timeout_ns, struct errmsg *msg, struct ask **ret_ask)
{
    const bool proxy = access->proxy.kind != TUNNEL_NONE;
    struct slice host = proxy ? access->proxy.host : access->host;
    char server[ADDRESS_MAX], address[ADDRESS_MAX];
    struct ask *ask;
    int r;

    snprintf(server, sizeof(server), slice_find(host, ':') < host.len ? "[%.*s]:%u" : "%.*s:%u", SLICE_ARGS(host),
             (unsigned)(proxy ? access->proxy.port : access->port));
    snprintf(address, sizeof(address), "pod %.*s/%.*s port %u", SLICE_ARGS(pod->namespace_), SLICE_ARGS(pod->name), (unsigned)pod->port);
    r = ask_new(address, timeout_ns, msg, &ask);
    if (r < 0)
        return r;
    snprintf(ask->authority, sizeof(ask->authority), "localhost:%u", (unsigned)pod->port); /* as it is in the pod */
    r = connect_any(ask, server, msg);
    if (r == 0)
        r = forward_open(&ask->io, access, pod, ask->deadline_ns, msg);
    if (r < 0) {
        errmsg_prefix(msg, r, "%s", address);
        ask_close(ask);
    } else {
        *ret_ask = ask;
    }
    return r;
}

void ask_close(struct ask *ask)
{
    if (!ask)
        return;
    if (ask->call)
        grpc_call_cancel(ask->call);
    verbose(ask, "done with");
    ask->io.on_ready = nothing; /* readiness may still be told in the last turns */
    if (ask->http && ask->is_http2)
        http2_client_free(ask->http);
    else if (ask->http)
        http1_client_free(ask->http);
    while (loop_turn(&ask->loop, 0))
        ; /* what is to be freed at the end of a turn */
    io_close(&ask->io, false);
    arena_release(&ask->arena);
    loop_release(&ask->loop);
    free(ask);
}

/* --- GET --- */

static void on_interim(struct http_stream *stream, struct http_head *head)
{
}

static void end_get(struct ask *ask, struct http_stream *stream)
{
    ask->finished = true;
    stream->ops->release(stream);
}

static void on_head(struct http_stream *stream, struct http_head *head, bool end)
{
    struct ask *ask = stream->owner;

    ask->status = head->status;
    if (end)
        end_get(ask, stream);
}

static size_t on_data(struct http_stream *stream, struct slice bytes, bool end)
{
    struct ask *ask = stream->owner;

    buffer_add(ask->body, bytes);
    if (end)
        end_get(ask, stream);
    return bytes.len;
}

static void on_trailers(struct http_stream *stream, const struct http_field *fields, unsigned count)
{
    end_get(stream->owner, stream);
}

static void on_writable(struct http_stream *stream)
{
}

static void on_reset(struct http_stream *stream, struct http_reset reset)
{
    struct ask *ask = stream->owner;

    ask->reset = reset;
    end_get(ask, stream);
}

static const struct http_stream_events get_events = {on_interim, on_head, on_data, on_trailers, on_writable, on_reset};

static void on_state(struct http_client *client)
{
    struct ask *ask = client->owner;

    if (client->state == HTTP_CLIENT_CLOSED)
        ask->finished = true;
}

static const struct http_client_events client_events = {.on_state = on_state};

static void http1_ready(struct io_stack *stack)
{
    http1_client_ready(((struct ask *)stack->owner)->http);
}

static void http2_ready(struct io_stack *stack)
{
    http2_client_ready(((struct ask *)stack->owner)->http);
}

static int begin_http(struct ask *ask, bool http2, struct errmsg *msg)
{
    static const struct http_client_limits limits = {.stream_window = LIMIT_H2_CONNECTION_WINDOW,
                                                     .connection_window = LIMIT_H2_CONNECTION_WINDOW};
    int r = http2 ? http2_client_new(&ask->io, &limits, &client_events, ask, &ask->http)
                  : http1_client_new(&ask->io, &limits, &client_events, ask, &ask->http);

    if (r < 0)
        return errmsg_set(msg, r, "%s: %s", ask->address, strerror(-r));
    ask->is_http2 = http2;
    ask->io.owner = ask;
    ask->io.on_ready = http2 ? http2_ready : http1_ready;
    ask->io.on_ready(&ask->io);
    return 0;
}

static int send_get(struct ask *ask, const char *path)
{
    struct http_field fields[4];
    struct http_head head = {
        .version = HTTP_1_1, .method = SLICE_LIT("GET"), .scheme = SLICE_LIT("http"),
        .authority = slice_str(ask->authority), .path = slice_str(path), .fields = fields, .room = 4,
    };
    struct http_stream *stream;
    int r;

    http_append(&head, HTTP_TOKEN_HOST, SLICE_LIT("Host"), head.authority);
    http_append(&head, HTTP_TOKEN_USER_AGENT, SLICE_LIT("User-Agent"), SLICE_LIT("linkerd-cli"));
    r = http1_client_open(ask->http, &ask->arena, &get_events, ask, &stream);
    return r < 0 ? r : stream->ops->send_head(stream, &head, true);
}

int ask_get(struct ask *ask, const char *path, struct errmsg *msg, unsigned *ret_status, struct buffer *body)
{
    int r = begin_http(ask, false, msg);

    if (r < 0)
        return r;
    ask->body = body;
    r = send_get(ask, path);
    if (r < 0)
        return errmsg_set(msg, r, "%s: cannot ask for %s: %s", ask->address, path, strerror(-r));
    while (!ask->finished)
        if (!turn(ask, ask->deadline_ns))
            return too_late(ask, msg);
    if ((ask->reset.error || !ask->status) && *forward_error(&ask->io))
        return errmsg_set(msg, -ECONNREFUSED, "%s: %s", ask->address, forward_error(&ask->io));
    if (ask->reset.error || !ask->status)
        return errmsg_set(msg, -EPROTO, "%s: no whole HTTP answer to %s%s%s", ask->address, path,
                          ask->reset.detail ? ": " : "", ask->reset.detail ? ask->reset.detail : "");
    if (buffer_error(body))
        return errmsg_set(msg, buffer_error(body), "%s: the answer to %s is too large", ask->address, path);
    *ret_status = ask->status;
    return 0;
}

/* --- gRPC --- */

static void on_message(struct grpc_call *call, struct slice message)
{
    struct ask *ask = grpc_call_owner(call);

    ask->answers++;
    if (!ask->finished && ask->answer(ask->owner, message))
        ask->finished = true;
}

static void on_end(struct grpc_call *call, int status, struct slice text)
{
    struct ask *ask = grpc_call_owner(call);

    ask->call = NULL;
    ask->finished = true;
    ask->grpc_status = status;
    snprintf(ask->grpc_text, sizeof(ask->grpc_text), "%.*s", SLICE_ARGS(text));
}

static const struct grpc_call_events call_events = {on_message, on_end};

/* Until it is finished, quiet after an answer, or late. */
static int wait_for_answers(struct ask *ask, int64_t quiet_ns, struct errmsg *msg)
{
    while (!ask->finished) {
        unsigned answers = ask->answers;
        int64_t until = ask->deadline_ns;

        if (answers && now(ask) + quiet_ns < until)
            until = now(ask) + quiet_ns;
        while (!ask->finished && ask->answers == answers)
            if (!turn(ask, until))
                return answers ? 0 : too_late(ask, msg);
    }
    return 0;
}

int ask_grpc(struct ask *ask, struct slice path, struct slice message, int64_t quiet_ns, ask_answer *answer,
             void *owner, struct errmsg *msg)
{
    int r = begin_http(ask, true, msg);

    if (r < 0)
        return r;
    ask->answer = answer;
    ask->owner = owner;
    r = grpc_call_start(ask->http, &ask->loop, slice_str(ask->authority), path, message, 0, &call_events, ask, &ask->call);
    if (r < 0)
        return errmsg_set(msg, r, "%s: cannot call %.*s: %s", ask->address, SLICE_ARGS(path), strerror(-r));
    r = wait_for_answers(ask, quiet_ns, msg);
    if (r < 0)
        return r;
    if (ask->grpc_status != GRPC_OK && *forward_error(&ask->io))
        return errmsg_set(msg, -ECONNREFUSED, "%s: %s", ask->address, forward_error(&ask->io));
    if (ask->grpc_status != GRPC_OK)
        return errmsg_set(msg, -EREMOTEIO, "%s: %s%s%s", ask->address, grpc_code_name(ask->grpc_status),
                          *ask->grpc_text ? ": " : "", ask->grpc_text);
    return ask->answers ? 0 : errmsg_set(msg, -EPROTO, "%s: the call ended without an answer", ask->address);
}

/* --- TLS --- */

static int inspect(struct ask *ask, struct slice server_name, struct errmsg *msg)
{
    struct x509_bundle none = {NULL, 0};
    struct tls_credentials *credentials;
    struct tls_context *context;
    int r = tls_credentials_new(NULL, &none, (struct san){SAN_NONE}, &none,
                                ask->loop.sys->ops->wall(ask->loop.sys), msg, &credentials);

    if (r < 0)
        return r;
    r = tls_context_new(ask->loop.sys, credentials, &context);
    tls_credentials_unref(credentials);
    if (r < 0)
        return errmsg_set(msg, r, "%s: %s", ask->address, strerror(-r));
    r = tls_push_inspector(&ask->io, context, server_name);
    tls_context_unref(context);
    return r < 0 ? errmsg_set(msg, r, "%s: %s", ask->address, strerror(-r)) : 0;
}

int ask_chain(struct ask *ask, struct slice server_name, struct errmsg *msg, struct x509_bundle *ret_chain)
{
    const struct x509_bundle *shown;
    int r = inspect(ask, server_name, msg);

    if (r < 0)
        return r;
    while (tls_handshake(&ask->io) == -EAGAIN)
        if (!turn(ask, ask->deadline_ns))
            return too_late(ask, msg);
    shown = tls_shown(&ask->io);
    if (shown && shown->count)
        return x509_bundle_copy(shown, ret_chain);
    tls_failure_text(&ask->io, msg);
    return errmsg_prefix(msg, -EPROTO, "%s: no certificate was shown", ask->address);
}
