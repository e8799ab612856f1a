#include "init/validate.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/duration.h"

enum { CLIENTS_MAX = 8 }; /* accepted at once; a stranger who holds connections open cannot keep ours out */

struct client {
    int fd;
    struct addr meant_for; /* before redirection */
    bool redirected;
};

/* One attempt. Descriptors are -1 while closed. */
struct attempt {
    struct sys *sys;
    struct poll *poll;
    struct addr listen, connect;
    int64_t deadline_ns;
    int listener, outgoing;
    bool connected;
    struct client clients[CLIENTS_MAX];
    unsigned accepted; /* clients ever accepted; the newest replaces the oldest */
    char token[VALIDATE_TOKEN];
    char got[VALIDATE_TOKEN];
    size_t got_len;
};

static void close_fd(struct attempt *attempt, int *fd)
{
    if (*fd >= 0) {
        attempt->sys->ops->poll_remove(attempt->sys, attempt->poll, *fd);
        attempt->sys->ops->close(attempt->sys, *fd, false);
    }
    *fd = -1;
}

static void make_token(struct attempt *attempt)
{
    static const char letters[] = "0123456789abcdefghijklmnopqrstuv";
    unsigned char bytes[VALIDATE_TOKEN];

    attempt->sys->ops->random(attempt->sys, bytes, sizeof(bytes));
    for (size_t i = 0; i < sizeof(bytes); i++)
        attempt->token[i] = letters[bytes[i] & 31];
}

static enum validate_result cannot_listen(struct attempt *attempt, int r, struct errmsg *msg)
{
    char text[ADDR_TEXT_MAX];

    addr_format(attempt->listen, text);
    if (r == -EADDRINUSE)
        errmsg_set(msg, r, "cannot listen on %s: a program, perhaps a proxy, is there already; run this before the "
                   "proxy starts", text);
    else
        errmsg_set(msg, r, "cannot listen on %s: %s; choose --listen-addr so that its port is the proxy's outbound "
                   "port", text, strerror(-r));
    return VALIDATE_LISTEN;
}

static enum validate_result start(struct attempt *attempt, struct errmsg *msg)
{
    struct sys *sys = attempt->sys;
    int r = sys->ops->poll_new(sys, &attempt->poll);

    if (r < 0) {
        errmsg_set(msg, r, "cannot wait for events: %s", strerror(-r));
        return VALIDATE_SYSTEM;
    }
    make_token(attempt);
    r = sys->ops->listen(sys, attempt->listen, 0);
    if (r < 0)
        return cannot_listen(attempt, r, msg);
    attempt->listener = r;
    r = sys->ops->poll_add(sys, attempt->poll, attempt->listener, 0, &attempt->listener);
    if (r < 0) {
        errmsg_set(msg, r, "cannot wait for connections: %s", strerror(-r));
        return VALIDATE_SYSTEM;
    }
    return VALIDATE_OK;
}

/* What it means that connecting failed with `r`. */
static enum validate_result cannot_connect(struct attempt *attempt, int r, struct errmsg *msg)
{
    char text[ADDR_TEXT_MAX];
    int version = attempt->connect.ip.version;

    addr_format(attempt->connect, text);
    switch (-r) {
    case ENETUNREACH:
    case EADDRNOTAVAIL:
    case EAFNOSUPPORT:
        errmsg_set(msg, r, "there is no route to %s (%s), so redirection of IPv%d cannot be tried: give the pod an IPv%d "
                   "address and a default route, or --connect-addr of the other family", text, strerror(-r), version,
                   version);
        return VALIDATE_NO_ROUTE;
    case ECONNREFUSED:
        errmsg_set(msg, r, "the connection to %s was refused: the IPv%d OUTPUT rules are missing, or they redirect to "
                   "another port than %u", text, version, attempt->listen.port);
        return VALIDATE_REFUSED;
    case EHOSTUNREACH:
    case ETIMEDOUT:
    case EACCES:
    case EPERM:
        errmsg_set(msg, r, "the connection to %s left this network and failed (%s): the IPv%d OUTPUT rules that redirect "
                   "to port %u are missing", text, strerror(-r), version, attempt->listen.port);
        return VALIDATE_TIMEOUT;
    default:
        errmsg_set(msg, r, "cannot connect to %s: %s", text, strerror(-r));
        return VALIDATE_SYSTEM;
    }
}

static enum validate_result timed_out(struct attempt *attempt, struct errmsg *msg)
{
    char text[ADDR_TEXT_MAX];
    int version = attempt->connect.ip.version;

    addr_format(attempt->connect, text);
    if (attempt->connected) {
        errmsg_set(msg, -ETIMEDOUT, "the connection to %s was taken by a program that is not this one: the rules redirect "
                   "to another port than %u, or the address leads somewhere (choose another --connect-addr)", text,
                   attempt->listen.port);
        return VALIDATE_STRANGER;
    }
    errmsg_set(msg, -ETIMEDOUT, "no answer from %s in time: the IPv%d OUTPUT rules that redirect to port %u are missing, or "
               "they skip user %u, as whom this runs", text, version, attempt->listen.port, (unsigned)geteuid());
    return VALIDATE_TIMEOUT;
}

static void accept_all(struct attempt *attempt)
{
    struct sys *sys = attempt->sys;
    struct addr peer, local;
    int fd;

    while ((fd = sys->ops->accept(sys, attempt->listener, &peer)) >= 0) {
        struct client *client = &attempt->clients[attempt->accepted++ % CLIENTS_MAX];
        struct iovec token = {attempt->token, sizeof(attempt->token)};

        if (client->fd >= 0)
            sys->ops->close(sys, client->fd, true);
        *client = (struct client){.fd = fd};
        client->redirected = sys->ops->original_dst(sys, fd, &client->meant_for) == 0 &&
                             sys->ops->local_addr(sys, fd, &local) == 0 && !addr_eq(client->meant_for, local);
        sys->ops->writev(sys, fd, &token, 1); /* a fresh socket takes it whole; if not, the reader will miss it */
        sys->ops->shutdown(sys, fd);
    }
}

static bool met_ourselves(const struct attempt *attempt)
{
    return attempt->got_len == VALIDATE_TOKEN && memcmp(attempt->got, attempt->token, VALIDATE_TOKEN) == 0;
}

/* We read our own token: the connection is ours. Was it redirected on its way? */
static enum validate_result judge(struct attempt *attempt, struct errmsg *msg)
{
    char text[ADDR_TEXT_MAX];

    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (attempt->clients[i].fd >= 0 && attempt->clients[i].redirected &&
            addr_eq(attempt->clients[i].meant_for, attempt->connect))
            return VALIDATE_OK;
    errmsg_set(msg, -EOPNOTSUPP, "the connection to %s arrived here without having been redirected: --connect-addr must "
               "lead nowhere, not to this listener", addr_format(attempt->connect, text));
    return VALIDATE_NOT_REDIRECTED;
}

static enum validate_result stranger(struct attempt *attempt, struct errmsg *msg)
{
    char text[ADDR_TEXT_MAX];

    errmsg_set(msg, -EOPNOTSUPP, "something else than this program answered at %s: the rules redirect to another port than "
               "%u, or the address leads somewhere (choose another --connect-addr)",
               addr_format(attempt->connect, text), attempt->listen.port);
    return VALIDATE_STRANGER;
}

/* *ret_done: there is a verdict. */
static enum validate_result read_token(struct attempt *attempt, struct errmsg *msg, bool *ret_done)
{
    struct sys *sys = attempt->sys;

    *ret_done = true;
    for (;;) {
        struct iovec room = {attempt->got + attempt->got_len, VALIDATE_TOKEN - attempt->got_len};
        ssize_t n = room.iov_len ? sys->ops->readv(sys, attempt->outgoing, &room, 1) : 0;

        if (n == -EAGAIN) {
            *ret_done = false;
            return VALIDATE_OK;
        }
        if (n > 0) {
            attempt->got_len += (size_t)n;
            continue;
        }
        return met_ourselves(attempt) ? judge(attempt, msg) : stranger(attempt, msg);
    }
}

static enum validate_result outgoing_ready(struct attempt *attempt, struct errmsg *msg, bool *ret_done)
{
    if (!attempt->connected) {
        int r = attempt->sys->ops->connect_result(attempt->sys, attempt->outgoing);

        *ret_done = r != -EAGAIN && r != -EINPROGRESS;
        if (r < 0)
            return *ret_done ? cannot_connect(attempt, r, msg) : VALIDATE_OK;
        attempt->connected = true;
    }
    return read_token(attempt, msg, ret_done);
}

static enum validate_result follow(struct attempt *attempt, struct errmsg *msg)
{
    struct sys *sys = attempt->sys;
    enum validate_result result = VALIDATE_OK;
    bool done = false;

    while (!done) {
        int64_t left = attempt->deadline_ns - sys->ops->now(sys);
        struct sys_event events[4];
        int n;

        if (left <= 0)
            return timed_out(attempt, msg);
        n = sys->ops->poll_wait(sys, attempt->poll, events, 4, left);
        if (n < 0 && n != -EINTR) {
            errmsg_set(msg, n, "cannot wait for events: %s", strerror(-n));
            return VALIDATE_SYSTEM;
        }
        for (int i = 0; i < n; i++) /* the listener first: it knows what the verdict needs */
            if (events[i].token == &attempt->listener)
                accept_all(attempt);
        for (int i = 0; i < n && !done; i++)
            if (events[i].token == &attempt->outgoing && (attempt->connected || events[i].what & SYS_WRITABLE))
                result = outgoing_ready(attempt, msg, &done);
    }
    return result;
}

static enum validate_result connect_and_follow(struct attempt *attempt, struct errmsg *msg)
{
    struct sys *sys = attempt->sys;
    int r = sys->ops->connect(sys, attempt->connect);

    if (r < 0)
        return cannot_connect(attempt, r, msg);
    attempt->outgoing = r;
    r = sys->ops->poll_add(sys, attempt->poll, attempt->outgoing, 0, &attempt->outgoing);
    if (r < 0) {
        errmsg_set(msg, r, "cannot wait for the connection: %s", strerror(-r));
        return VALIDATE_SYSTEM;
    }
    return follow(attempt, msg);
}

enum validate_result validate_redirect(struct sys *sys, struct addr listen, struct addr connect, int64_t timeout_ns,
                                       struct errmsg *msg)
{
    struct attempt attempt = {.sys = sys, .listen = listen, .connect = connect, .listener = -1, .outgoing = -1,
                              .deadline_ns = sys->ops->now(sys) + timeout_ns};
    enum validate_result result;

    for (size_t i = 0; i < CLIENTS_MAX; i++)
        attempt.clients[i].fd = -1;
    result = start(&attempt, msg);
    if (result == VALIDATE_OK)
        result = connect_and_follow(&attempt, msg);
    for (size_t i = 0; i < CLIENTS_MAX; i++)
        if (attempt.clients[i].fd >= 0)
            sys->ops->close(sys, attempt.clients[i].fd, false);
    close_fd(&attempt, &attempt.outgoing);
    close_fd(&attempt, &attempt.listener);
    if (attempt.poll)
        sys->ops->poll_free(sys, attempt.poll);
    return result;
}
