/* Credentials, proxy and TLS to the API server, and the request that becomes a WebSocket (RFC 6455 section 4). */
#include <errno.h>
#include <jansson.h>
#include <openssl/evp.h>
#include <stdio.h>

#include "base/limits.h"
#include "cli/cluster/forward.h"
#include "cli/cluster/forward_internal.h"
#include "codec/http1/http1.h"
#include "kube/access/base64.h"
#include "kube/access/exec_plugin.h"
#include "net/tls/tls.h"
#include "net/tls/tls_web.h"

#define SUBPROTOCOL "v4.channel.k8s.io"
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" /* of the RFC */

enum { KEY_BYTES = 16, ANSWER_MAX = 65536 };

static int turn(struct io_stack *stack, int64_t deadline_ns, struct errmsg *msg)
{
    int64_t left = deadline_ns - stack->loop->sys->ops->now(stack->loop->sys);

    if (left <= 0)
        return errmsg_set(msg, -ETIMEDOUT, "no answer in time");
    loop_turn(stack->loop, left);
    return 0;
}

/* --- TLS --- */

static int shake_hands(struct io_stack *stack, int64_t deadline_ns, struct errmsg *msg)
{
    struct errmsg why = {""};
    int r;

    while ((r = tls_handshake(stack)) == -EAGAIN) {
        r = turn(stack, deadline_ns, msg);
        if (r < 0)
            return r;
    }
    if (r == 0)
        return 0;
    tls_failure_text(stack, &why);
    return errmsg_set(msg, r, "TLS: %s", why.text);
}

static int begin_tls(struct io_stack *stack, const struct kube_access *access, int64_t deadline_ns, struct errmsg *msg)
{
    static const struct slice alpn[] = {{"http/1.1", 8}};
    struct slice host = access->tls_server_name.len ? access->tls_server_name : access->host;
    struct tls_context *context;
    int r = kube_access_tls(access, stack->loop->sys, &context, msg);

    if (r < 0 || !context)
        return r;
    r = tls_push_web(stack, context, host, alpn, 1);
    tls_context_unref(context);
    return r < 0 ? errmsg_set(msg, r, "TLS: %s", strerror(-r)) : shake_hands(stack, deadline_ns, msg);
}

/* --- through a proxy --- */

static int begin_proxy_tls(struct io_stack *stack, const struct kube_access *access, int64_t deadline_ns, struct errmsg *msg)
{
    struct tls_context *context;
    int r = kube_access_proxy_tls(access, stack->loop->sys, &context, msg);

    if (r < 0 || !context)
        return r;
    r = tls_push_web(stack, context, access->proxy.host, NULL, 0);
    tls_context_unref(context);
    return r < 0 ? errmsg_set(msg, r, "TLS: %s", strerror(-r)) : shake_hands(stack, deadline_ns, msg);
}

static int go_through(struct io_stack *stack, const struct kube_access *access, int64_t deadline_ns, struct errmsg *msg)
{
    struct tunnel *tunnel;
    int r;

    if (access->proxy.kind == TUNNEL_NONE)
        return 0;
    r = begin_proxy_tls(stack, access, deadline_ns, msg);
    if (r == 0) {
        r = tunnel_new(&access->proxy, access->host, access->port, &tunnel);
        if (r < 0)
            errmsg_set(msg, r, "%s", strerror(-r));
    }
    if (r == 0) {
        while ((r = tunnel_run(tunnel, stack, msg)) == -EAGAIN) {
            r = turn(stack, deadline_ns, msg);
            if (r < 0)
                break;
        }
        tunnel_free(tunnel);
    }
    return r < 0 ? errmsg_prefix(msg, r, "the proxy %.*s:%u", SLICE_ARGS(access->proxy.host), (unsigned)access->proxy.port) : 0;
}

/* --- a plug-in's credentials --- */

struct fetching {
    bool over;
    int error;
    struct errmsg *msg;
};

static void fetched(void *owner, int error, const struct errmsg *msg)
{
    struct fetching *fetching = owner;

    fetching->over = true;
    fetching->error = error;
    if (error < 0)
        *fetching->msg = *msg;
}

/* Nothing to do as a rule: whoever looked the pod up had them. */
static int have_credentials(struct io_stack *stack, const struct kube_access *access, int64_t deadline_ns, struct errmsg *msg)
{
    struct fetching fetching = {.msg = msg};
    struct sys *sys = stack->loop->sys;
    int r;

    if (exec_plugin_ready(access, sys->ops->wall(sys)))
        return 0;
    r = exec_plugin_start(access, stack->loop, fetched, &fetching, msg);
    while (r == 0 && !fetching.over)
        r = turn(stack, deadline_ns, msg);
    exec_plugin_stop(access);
    return r < 0 ? r : fetching.error;
}

/* --- the request --- */

/* Names of Kubernetes need no escapes; whatever else was typed must not change the path. */
static bool is_name(struct slice s)
{
    for (size_t i = 0; i < s.len; i++)
        if (!((s.ptr[i] >= 'a' && s.ptr[i] <= 'z') || (s.ptr[i] >= '0' && s.ptr[i] <= '9') || s.ptr[i] == '-' || s.ptr[i] == '.'))
            return false;
    return s.len > 0 && s.len <= 253;
}

static int write_request(const struct kube_access *access, const struct forward_pod *pod, struct slice key, struct buffer *out,
                         struct errmsg *msg)
{
    struct buffer authorization;
    int r;

    if (!is_name(pod->namespace_) || !is_name(pod->name))
        return errmsg_set(msg, -EINVAL, "\"%.*s/%.*s\" is no name of a pod", SLICE_ARGS(pod->namespace_), SLICE_ARGS(pod->name));
    buffer_init(&authorization, LIMIT_API_TEXT);
    r = kube_access_authorization(access, &authorization, msg);
    buffer_printf(out, "GET %.*s/api/v1/namespaces/%.*s/pods/%.*s/portforward?ports=%u HTTP/1.1\r\nHost: %.*s\r\n", SLICE_ARGS(access->prefix),
                  SLICE_ARGS(pod->namespace_), SLICE_ARGS(pod->name), (unsigned)pod->port, SLICE_ARGS(access->authority));
    if (r == 0 && authorization.len)
        buffer_printf(out, "Authorization: %.*s\r\n", SLICE_ARGS(buffer_slice(&authorization)));
    if (r == 0 && access->as.len)
        buffer_printf(out, "Impersonate-User: %.*s\r\n", SLICE_ARGS(access->as));
    for (size_t i = 0; r == 0 && i < access->as_group_count; i++)
        buffer_printf(out, "Impersonate-Group: %.*s\r\n", SLICE_ARGS(access->as_groups[i]));
    if (r == 0 && access->as_uid.len)
        buffer_printf(out, "Impersonate-Uid: %.*s\r\n", SLICE_ARGS(access->as_uid));
    for (size_t i = 0; r == 0 && i < access->as_extra_count; i++)
        buffer_printf(out, "%.*s: %.*s\r\n", SLICE_ARGS(access->as_extras[i].name), SLICE_ARGS(access->as_extras[i].value));
    buffer_printf(out, "User-Agent: linkerd-cli\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                       "Sec-WebSocket-Protocol: " SUBPROTOCOL "\r\nSec-WebSocket-Key: %.*s\r\n\r\n", SLICE_ARGS(key));
    buffer_release(&authorization);
    if (r == 0 && buffer_error(out))
        r = errmsg_set(msg, buffer_error(out), "the request is too large");
    return r;
}

static int send_all(struct io_stack *stack, struct slice bytes, int64_t deadline_ns, struct errmsg *msg)
{
    int r = 0;

    while (bytes.len) {
        struct iovec iov = {(void *)(uintptr_t)bytes.ptr, bytes.len};
        ssize_t n = io_writev(stack, &iov, 1);

        if (n >= 0)
            bytes = slice_skip(bytes, (size_t)n);
        else if (n != -EAGAIN)
            return errmsg_set(msg, (int)n, "the connection broke: %s", strerror((int)-n));
        else if ((r = turn(stack, deadline_ns, msg)) < 0)
            return r;
    }
    while ((r = io_flush(stack)) == -EAGAIN)
        if ((r = turn(stack, deadline_ns, msg)) < 0)
            return r;
    return r < 0 ? errmsg_set(msg, r, "the connection broke: %s", strerror(-r)) : 0;
}

/* --- the answer --- */

/* Appends what comes next. 0: something did; 1: the end. */
static int read_more(struct io_stack *stack, struct buffer *in, int64_t deadline_ns, struct errmsg *msg)
{
    for (;;) {
        char *room = buffer_room(in, 4096);
        ssize_t n = room ? io_read(stack, room, 4096) : -ENOBUFS;
        int r;

        if (n > 0)
            buffer_grew(in, (size_t)n);
        if (n >= 0)
            return n == 0;
        if (n != -EAGAIN)
            return errmsg_set(msg, (int)n, "no answer to the request: %s", strerror((int)-n));
        r = turn(stack, deadline_ns, msg);
        if (r < 0)
            return r;
    }
}

struct head {
    struct http_field fields[LIMIT_HTTP_FIELDS];
    struct http_head http;
    struct http1_framing framing;
    size_t len; /* in the bytes */
};

static int read_head(struct io_stack *stack, struct buffer *in, int64_t deadline_ns, struct errmsg *msg, struct head *ret_head)
{
    struct http1_scan scan = {0};
    ssize_t n;
    int r = 0;

    do {
        r = read_more(stack, in, deadline_ns, msg);
        if (r != 0)
            return r < 0 ? r : errmsg_set(msg, -EPROTO, "the server closed the connection");
        ret_head->http = (struct http_head){.fields = ret_head->fields, .room = LIMIT_HTTP_FIELDS};
        n = http1_parse_response(buffer_slice(in), HTTP1_ASKED_UPGRADE, &scan, &ret_head->http, &ret_head->framing);
    } while (n == 0);
    if (n < 0)
        return errmsg_set(msg, -EPROTO, "the answer is no HTTP: %s", scan.refusal);
    ret_head->len = (size_t)n;
    return 0;
}

/* The message of Kubernetes' Status, or the body's first line. */
static int say_refusal(struct slice body, unsigned status, struct errmsg *msg)
{
    json_t *object = json_loadb(body.ptr, body.len, JSON_DISABLE_EOF_CHECK, NULL);
    const char *text = json_string_value(json_object_get(object, "message"));
    struct slice words = text ? slice_str(text) : slice_take(body, slice_find(body, '\n'));
    int code = status == 401 || status == 403 ? -EACCES : status == 404 ? -ENOENT : -EREMOTEIO;

    errmsg_set(msg, code, "answered %u%s%.*s", status, words.len ? ": " : "", SLICE_ARGS(slice_take(words, 300)));
    json_decref(object);
    return code;
}

static int refused(struct io_stack *stack, struct buffer *in, const struct head *head, int64_t deadline_ns, struct errmsg *msg)
{
    unsigned status = head->http.status;
    size_t begin = head->len, want = head->framing.body == HTTP1_BODY_LENGTH ? (size_t)head->framing.length : ANSWER_MAX;

    while (in->len - begin < want && read_more(stack, in, deadline_ns, NULL) == 0)
        ;
    return say_refusal(slice_take(slice_skip(buffer_slice(in), begin), want), status, msg);
}

static int accept_of(struct slice key, struct buffer *ret_text)
{
    unsigned char digest[EVP_MAX_MD_SIZE];
    unsigned len = 0;
    char text[128];
    int n = snprintf(text, sizeof(text), "%.*s" ACCEPT_GUID, SLICE_ARGS(key));

    if (EVP_Digest(text, (size_t)n, digest, &len, EVP_sha1(), NULL) != 1)
        return -ENOMEM;
    return base64_add(ret_text, slice_of(digest, len));
}

static int check_answer(const struct head *head, struct slice key, struct errmsg *msg)
{
    const struct http_field *accept = http_find_name(&head->http, SLICE_LIT("Sec-WebSocket-Accept"));
    const struct http_field *protocol = http_find_name(&head->http, SLICE_LIT("Sec-WebSocket-Protocol"));
    struct buffer want;
    bool same;

    buffer_init(&want, 64);
    same = accept_of(key, &want) == 0 && accept && slice_eq(accept->value, buffer_slice(&want));
    buffer_release(&want);
    if (!same)
        return errmsg_set(msg, -EPROTO, "the answer to a WebSocket handshake does not fit it");
    if (!protocol || !slice_eq(protocol->value, SLICE_LIT(SUBPROTOCOL)))
        return errmsg_set(msg, -EPROTO, "the server does not forward ports by WebSocket (" SUBPROTOCOL ")");
    return 0;
}

static int upgrade(struct io_stack *stack, const struct kube_access *access, const struct forward_pod *pod, struct slice key,
                   int64_t deadline_ns, struct errmsg *msg)
{
    struct buffer bytes;
    struct head head;
    int r;

    buffer_init(&bytes, LIMIT_API_TEXT);
    r = write_request(access, pod, key, &bytes, msg);
    if (r == 0)
        r = send_all(stack, buffer_slice(&bytes), deadline_ns, msg);
    buffer_release(&bytes);
    buffer_init(&bytes, ANSWER_MAX);
    if (r == 0)
        r = read_head(stack, &bytes, deadline_ns, msg, &head);
    if (r == 0)
        r = head.http.status != 101 ? refused(stack, &bytes, &head, deadline_ns, msg) : check_answer(&head, key, msg);
    if (r == 0) {
        r = forward_push(stack, slice_skip(buffer_slice(&bytes), head.len));
        if (r < 0)
            errmsg_set(msg, r, "%s", strerror(-r));
    }
    buffer_release(&bytes);
    return r;
}

int forward_open(struct io_stack *stack, const struct kube_access *access, const struct forward_pod *pod, int64_t deadline_ns,
                 struct errmsg *msg)
{
    struct sys *sys = stack->loop->sys;
    char nonce[KEY_BYTES];
    struct buffer key;
    int r = have_credentials(stack, access, deadline_ns, msg);

    if (r == 0)
        r = go_through(stack, access, deadline_ns, msg);
    if (r == 0)
        r = begin_tls(stack, access, deadline_ns, msg);
    if (r < 0)
        return r;
    sys->ops->random(sys, nonce, sizeof(nonce));
    buffer_init(&key, 64);
    r = base64_add(&key, slice_of(nonce, sizeof(nonce)));
    if (r == 0)
        r = upgrade(stack, access, pod, buffer_slice(&key), deadline_ns, msg);
    buffer_release(&key);
    return r;
}
