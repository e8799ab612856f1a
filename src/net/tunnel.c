#include "net/tunnel.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "codec/http1/http1.h"

enum {
    SOCKS_VERSION = 5,
    SOCKS_NO_LOGIN = 0,
    SOCKS_PASSWORD = 2, /* the login of RFC 1929, and its version is 1 */
    SOCKS_LOGIN_VERSION = 1,
    SOCKS_CONNECT = 1,
    SOCKS_IPV4 = 1,
    SOCKS_NAME = 3,
    SOCKS_IPV6 = 4,
    SOCKS_TEXT_MAX = 255,
};

/* What answer is awaited. */
enum state { HTTP_ANSWER, SOCKS_METHOD, SOCKS_LOGIN, SOCKS_ANSWER, OPEN };

struct tunnel {
    const struct tunnel_proxy *proxy;
    struct slice host;
    uint16_t port;
    enum state state;
    struct buffer out; /* not sent yet */
    struct buffer in;  /* of the answer */
    struct http1_scan scan;
};

/* --- HTTP --- */

static int add_basic(struct tunnel *t)
{
    struct buffer pair;
    char *room;

    buffer_init(&pair, LIMIT_TUNNEL);
    buffer_printf(&pair, "%.*s:%.*s", SLICE_ARGS(t->proxy->user), SLICE_ARGS(t->proxy->password));
    buffer_add_lit(&t->out, "Proxy-Authorization: Basic ");
    room = buffer_error(&pair) ? NULL : buffer_room(&t->out, pair.len * 4 / 3 + 5);
    if (room)
        buffer_grew(&t->out, (size_t)EVP_EncodeBlock((unsigned char *)room, (const unsigned char *)pair.data, (int)pair.len));
    if (pair.data)
        explicit_bzero(pair.data, pair.size);
    buffer_release(&pair);
    return buffer_add_lit(&t->out, "\r\n");
}

static int ask_http(struct tunnel *t)
{
    const char *form = slice_find(t->host, ':') < t->host.len ? "[%.*s]:%u" : "%.*s:%u";
    char authority[300];

    if (snprintf(authority, sizeof(authority), form, SLICE_ARGS(t->host), (unsigned)t->port) >= (int)sizeof(authority))
        return -EINVAL;
    buffer_printf(&t->out, "CONNECT %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: clinkerd\r\n", authority, authority);
    if (t->proxy->user.len || t->proxy->password.len)
        add_basic(t);
    t->state = HTTP_ANSWER;
    return buffer_add_lit(&t->out, "\r\n");
}

static int take_http(struct tunnel *t, struct errmsg *msg)
{
    struct http_field fields[LIMIT_HTTP_FIELDS];
    struct http_head head = {.fields = fields, .room = LIMIT_HTTP_FIELDS};
    struct http1_framing framing;
    ssize_t n = http1_parse_response(buffer_slice(&t->in), HTTP1_ASKED_CONNECT, &t->scan, &head, &framing);

    if (n < 0)
        return errmsg_set(msg, -EPROTO, "what it answers to CONNECT is no HTTP: %s", t->scan.refusal);
    if (n == 0)
        return 0;
    if (head.status < 200) { /* an interim answer */
        buffer_drop(&t->in, (size_t)n);
        t->scan = (struct http1_scan){0};
        return t->in.len ? take_http(t, msg) : 0;
    }
    if (head.status == 407)
        return errmsg_set(msg, -EACCES, "it answers 407 to CONNECT: give a user and password that it knows in its URL (http://USER:PASSWORD@HOST:PORT)");
    if (head.status >= 300)
        return errmsg_set(msg, head.status == 403 ? -EACCES : -EHOSTUNREACH, "it answers %u to CONNECT %.*s:%u", (unsigned)head.status,
                          SLICE_ARGS(t->host), (unsigned)t->port);
    if (t->in.len > (size_t)n)
        return errmsg_set(msg, -EPROTO, "bytes that nobody asked for follow its answer to CONNECT");
    t->state = OPEN;
    return 0;
}

/* --- SOCKS --- */

static int ask_method(struct tunnel *t)
{
    bool login = t->proxy->user.len || t->proxy->password.len;

    t->state = SOCKS_METHOD;
    return login ? buffer_add(&t->out, slice_of((char[]){SOCKS_VERSION, 2, SOCKS_NO_LOGIN, SOCKS_PASSWORD}, 4))
                 : buffer_add(&t->out, slice_of((char[]){SOCKS_VERSION, 1, SOCKS_NO_LOGIN}, 3));
}

static int ask_login(struct tunnel *t)
{
    buffer_add_byte(&t->out, SOCKS_LOGIN_VERSION);
    buffer_add_byte(&t->out, (char)t->proxy->user.len);
    buffer_add(&t->out, t->proxy->user);
    buffer_add_byte(&t->out, (char)t->proxy->password.len);
    t->state = SOCKS_LOGIN;
    return buffer_add(&t->out, t->proxy->password);
}

static int ask_socks(struct tunnel *t)
{
    struct ip ip;

    buffer_add(&t->out, slice_of((char[]){SOCKS_VERSION, SOCKS_CONNECT, 0}, 3));
    if (ip_parse(t->host, &ip) == 0) {
        buffer_add_byte(&t->out, ip.version == 4 ? SOCKS_IPV4 : SOCKS_IPV6);
        buffer_add(&t->out, slice_of(ip.bytes, ip.version == 4 ? 4 : 16));
    } else {
        buffer_add_byte(&t->out, SOCKS_NAME);
        buffer_add_byte(&t->out, (char)t->host.len);
        buffer_add(&t->out, t->host);
    }
    buffer_add_byte(&t->out, (char)(t->port >> 8));
    t->state = SOCKS_ANSWER;
    return buffer_add_byte(&t->out, (char)t->port);
}

/* How long the answer is, as far as can be told from what is here of it. */
static size_t socks_wants(const struct tunnel *t)
{
    const unsigned char *in = (const unsigned char *)t->in.data;

    if (t->state != SOCKS_ANSWER)
        return 2;
    if (t->in.len < 5)
        return 5; /* the shortest has more */
    return 4 + (in[3] == SOCKS_NAME ? 1u + in[4] : in[3] == SOCKS_IPV6 ? 16u : 4u) + 2;
}

static int say_refusal(unsigned code, struct errmsg *msg)
{
    static const char *const names[] = {NULL, "general failure", "not allowed by its rules", "network unreachable", "host unreachable",
                                        "connection refused", "the time to live ran out", "it knows no CONNECT", "it knows no such addresses"};

    return errmsg_set(msg, code == 2 ? -EACCES : -EHOSTUNREACH, "it answers: %s (%u)", code < sizeof(names) / sizeof(names[0]) ? names[code] : "unknown failure", code);
}

static int take_method(struct tunnel *t, unsigned method, struct errmsg *msg)
{
    if (method == SOCKS_NO_LOGIN)
        return ask_socks(t);
    if (method == SOCKS_PASSWORD && (t->proxy->user.len || t->proxy->password.len))
        return ask_login(t);
    return errmsg_set(msg, -EACCES, "it wants a login that we cannot give: expected none, or a user and password (socks5://USER:PASSWORD@HOST:PORT)");
}

static int take_socks(struct tunnel *t, struct errmsg *msg)
{
    const unsigned char *in = (const unsigned char *)t->in.data;
    const unsigned version = in[0], code = in[1];
    int r = 0;

    buffer_clear(&t->in);
    if (version != (t->state == SOCKS_LOGIN ? SOCKS_LOGIN_VERSION : SOCKS_VERSION))
        return errmsg_set(msg, -EPROTO, "what it answers is not SOCKS 5");
    if (t->state == SOCKS_METHOD)
        r = take_method(t, code, msg);
    else if (t->state == SOCKS_LOGIN)
        r = code ? errmsg_set(msg, -EACCES, "it refuses user and password") : ask_socks(t);
    else if (code)
        r = say_refusal(code, msg);
    else
        t->state = OPEN;
    return r;
}

/* --- bytes --- */

static int send_out(struct tunnel *t, struct io_stack *stack, struct errmsg *msg)
{
    int r = 0;

    while (t->out.len && r == 0) {
        struct iovec iov = {t->out.data, t->out.len};
        ssize_t n = io_writev(stack, &iov, 1);

        if (n > 0)
            buffer_drop(&t->out, (size_t)n);
        else
            r = n == 0 ? -EAGAIN : (int)n;
    }
    if (r == 0)
        r = io_flush(stack);
    return r < 0 && r != -EAGAIN ? errmsg_set(msg, r, "the connection to it broke: %s", strerror(-r)) : r;
}

/* Reads no more than `want` further bytes. 0: there are some. */
static int read_in(struct tunnel *t, struct io_stack *stack, size_t want, struct errmsg *msg)
{
    char *room = buffer_room(&t->in, want);
    ssize_t n = room ? io_read(stack, room, want) : -ENOBUFS;

    if (n > 0) {
        buffer_grew(&t->in, (size_t)n);
        return 0;
    }
    if (n == -EAGAIN)
        return -EAGAIN;
    if (n == -ENOBUFS)
        return errmsg_set(msg, -EPROTO, "its answer is longer than %d bytes", LIMIT_TUNNEL);
    return n == 0 ? errmsg_set(msg, -ECONNRESET, "it closed the connection") : errmsg_set(msg, (int)n, "the connection to it broke: %s", strerror((int)-n));
}

static int take_answer(struct tunnel *t, struct io_stack *stack, struct errmsg *msg)
{
    size_t want = t->state == HTTP_ANSWER ? 0 : socks_wants(t);
    int r;

    if (t->in.len < want || t->state == HTTP_ANSWER) {
        r = read_in(t, stack, want ? want - t->in.len : 1024, msg);
        if (r < 0)
            return r;
    }
    if (t->state == HTTP_ANSWER)
        return take_http(t, msg);
    return t->in.len == socks_wants(t) ? take_socks(t, msg) : 0;
}

int tunnel_run(struct tunnel *tunnel, struct io_stack *stack, struct errmsg *msg)
{
    int r = 0;

    while (r == 0 && tunnel->state != OPEN) {
        r = buffer_error(&tunnel->out) ? errmsg_set(msg, buffer_error(&tunnel->out), "the request does not fit") : send_out(tunnel, stack, msg);
        if (r == 0)
            r = take_answer(tunnel, stack, msg);
    }
    return r;
}

int tunnel_new(const struct tunnel_proxy *proxy, struct slice host, uint16_t port, struct tunnel **ret_tunnel)
{
    struct tunnel *t;
    int r;

    if (proxy->kind == TUNNEL_SOCKS5 && (host.len > SOCKS_TEXT_MAX || proxy->user.len > SOCKS_TEXT_MAX || proxy->password.len > SOCKS_TEXT_MAX))
        return -EINVAL;
    t = calloc(1, sizeof(*t));
    if (!t)
        return -ENOMEM;
    t->proxy = proxy;
    t->host = host;
    t->port = port;
    buffer_init(&t->out, LIMIT_TUNNEL);
    buffer_init(&t->in, LIMIT_TUNNEL);
    r = proxy->kind == TUNNEL_HTTP ? ask_http(t) : ask_method(t);
    if (r < 0) {
        tunnel_free(t);
        return r;
    }
    *ret_tunnel = t;
    return 0;
}

void tunnel_free(struct tunnel *tunnel)
{
    if (!tunnel)
        return;
    if (tunnel->out.data)
        explicit_bzero(tunnel->out.data, tunnel->out.size);
    buffer_release(&tunnel->out);
    buffer_release(&tunnel->in);
    free(tunnel);
}
