/* The table of system functions over the simulated network. */
#include <assert.h>
#include <errno.h>
#include <limits.h>

#include "base/duration.h"
#include "sim/net.h"
#include "sim/net_internal.h"

enum { FD_FIRST = 1000, BACKLOG_MAX = 4096 }; /* far from real descriptors, so that mixing them up shows */

static struct net *net_of(struct sys *sys)
{
    return world_of(sys)->net;
}

/* The process's open socket. */
static struct sock *find(struct sys *sys, int fd)
{
    struct net *net = net_of(sys);
    struct sock *sock = fd >= FD_FIRST && fd - FD_FIRST < net->fd_count ? net->fds[fd - FD_FIRST] : NULL;

    if (!sock || (sock->process != process_of(sys) && sock->state != SOCK_LISTENING)) {
        world_fail(net->world, "descriptors are used by those who own them", "%s used %d", process_of(sys)->name, fd);
        return NULL;
    }
    return sock;
}

/* The lowest free one, as Linux does: who uses one after closing it meets somebody else's. */
static int take_fd(struct process *process, struct sock *sock)
{
    struct net *net = sock->net;
    int at = 0;

    while (at < net->fd_count && net->fds[at])
        at++;
    if (at == net->fd_count) {
        net->fds = realloc(net->fds, sizeof(struct sock *) * (size_t)(net->fd_count + 64));
        if (!net->fds)
            abort();
        memset(net->fds + net->fd_count, 0, sizeof(struct sock *) * 64);
        net->fd_count += 64;
    }
    net->fds[at] = sock;
    sock->fd = FD_FIRST + at;
    sock->process = process;
    sock->closed = false;
    process->open++;
    return sock->fd;
}

static int64_t sim_now(struct sys *sys)
{
    return world_of(sys)->now_ns;
}

static int64_t sim_wall(struct sys *sys)
{
    return world_of(sys)->wall_ns + world_of(sys)->now_ns;
}

static void sim_random(struct sys *sys, void *to, size_t len)
{
    uint8_t *at = to;

    for (size_t i = 0; i < len; i++)
        at[i] = (uint8_t)rng_next(&world_of(sys)->rng);
}

static bool overlap(struct addr a, struct addr b)
{
    return a.port == b.port && (ip_eq(a.ip, b.ip) || ip_is_unspecified(a.ip) || ip_is_unspecified(b.ip));
}

static int sim_listen(struct sys *sys, struct addr addr, int backlog)
{
    struct process *process = process_of(sys);
    struct net *net = net_of(sys);
    struct sock *sock;

    if (process->open >= process->open_max)
        return -EMFILE;
    LIST_FOR_EACH (link, &net->all) {
        struct sock *taken = CONTAINER_OF(link, struct sock, all);

        if (taken->state == SOCK_LISTENING && taken->host == process->host && overlap(taken->local, addr))
            return -EADDRINUSE;
    }
    sock = sock_new(net, process->host, SOCK_LISTENING);
    sock->local = addr;
    sock->backlog = backlog > 0 && backlog < BACKLOG_MAX ? backlog : BACKLOG_MAX;
    return take_fd(process, sock);
}

bool net_listens(const struct host *host, uint16_t port)
{
    LIST_FOR_EACH (link, &host->world->net->all) {
        const struct sock *sock = CONTAINER_OF(link, struct sock, all);

        if (sock->state == SOCK_LISTENING && sock->host == host && sock->local.port == port)
            return true;
    }
    return false;
}

static int sim_accept(struct sys *sys, int fd, struct addr *ret_peer)
{
    struct process *process = process_of(sys);
    struct sock *listener = find(sys, fd), *sock;
    struct list *link;

    if (!listener)
        return -EBADF;
    if (list_empty(&listener->queue))
        return -EAGAIN;
    if (process->open >= process->open_max)
        return -EMFILE;
    link = list_pop(&listener->queue);
    sock = CONTAINER_OF(link, struct sock, waiting);
    sock->queued = false;
    *ret_peer = sock->remote;
    fd = take_fd(process, sock);
    world_note(net_of(sys)->world, "accept %s/%s %d: %u", process->host->name, process->name, fd, sock->number);
    return fd;
}

static struct host *host_at(struct world *world, struct host *from, struct ip ip)
{
    if (ip_is_loopback(ip))
        return from;
    for (unsigned i = 0; i < world->host_count; i++)
        if (ip_eq(world->hosts[i]->ip, ip))
            return world->hosts[i];
    return NULL;
}

/* OUTPUT: applications are sent to the proxy, what stays on the host is not; the proxy's own goes where it says. */
static void redirect(struct process *process, struct sock *sock)
{
    struct host *host = process->host;

    if (sock->to == host || process->is_proxy || !host->outbound_port)
        return;
    sock->original = sock->remote;
    sock->remote = (struct addr){ip_v4(0x7f000001), host->outbound_port};
    sock->to = host;
}

static int sim_connect(struct sys *sys, struct addr addr)
{
    struct process *process = process_of(sys);
    struct world *world = world_of(sys);
    struct sock *sock;
    char text[ADDR_TEXT_MAX];
    int fd;

    if (process->open >= process->open_max)
        return -EMFILE;
    sock = sock_new(net_of(sys), process->host, SOCK_CONNECTING);
    sock->remote = addr;
    sock->to = host_at(world, process->host, addr.ip);
    sock->local = (struct addr){ip_is_loopback(addr.ip) ? addr.ip : process->host->ip, process->host->next_port++};
    if (process->host->next_port > 60000)
        process->host->next_port = 32768;
    fd = take_fd(process, sock);
    redirect(process, sock);
    world_note(world, "connect %s/%s %d: %u to %s", process->host->name, process->name, fd, sock->number, addr_format(addr, text));
    if (world->net->on_dial)
        world->net->on_dial(world->net->dial_owner, process, sock->remote);
    wire_put(sock, SEGMENT_OPEN, NULL, 0);
    return fd;
}

static int take_error(struct sock *sock)
{
    int error = sock->error;

    sock->error = 0;
    return -error;
}

static int sim_connect_result(struct sys *sys, int fd)
{
    struct sock *sock = find(sys, fd);

    if (!sock)
        return -EBADF;
    if (sock->error)
        return take_error(sock);
    if (sock->dead)
        return -EINPROGRESS; /* not connected: as getpeername() has it */
    return sock->state == SOCK_CONNECTING ? -EINPROGRESS : 0;
}

static int sim_set_options(struct sys *sys, int fd, const struct socket_options *options)
{
    return find(sys, fd) ? 0 : -EBADF;
}

static int sim_local_addr(struct sys *sys, int fd, struct addr *ret_addr)
{
    struct sock *sock = find(sys, fd);

    if (!sock)
        return -EBADF;
    *ret_addr = sock->local;
    return 0;
}

static int sim_original_dst(struct sys *sys, int fd, struct addr *ret_addr)
{
    struct sock *sock = find(sys, fd);

    if (!sock)
        return -EBADF;
    if (!sock->host->inbound_port && !sock->host->outbound_port)
        return -ENOENT;
    *ret_addr = sock->original;
    return 0;
}

static ssize_t sim_readv(struct sys *sys, int fd, const struct iovec *iov, int count)
{
    struct sock *sock = find(sys, fd);
    size_t taken = 0;

    if (!sock)
        return -EBADF;
    for (int i = 0; i < count && taken < sock->len; i++) {
        size_t n = iov[i].iov_len < sock->len - taken ? iov[i].iov_len : sock->len - taken;

        memcpy(iov[i].iov_base, sock->bytes + taken, n);
        taken += n;
    }
    if (taken) {
        sock->len -= taken;
        memmove(sock->bytes, sock->bytes + taken, sock->len);
        if (!sock->dead)
            wire_put_room(sock, taken);
        world_note(sock->net->world, "read %u: %zu", sock->number, taken);
        return (ssize_t)taken;
    }
    if (sock->error)
        return take_error(sock);
    if (sock->ended)
        return 0;
    return sock->state == SOCK_CONNECTING ? -ENOTCONN : -EAGAIN;
}

/* Cuts what was taken into segments. */
static void put_bytes(struct sock *sock, const struct iovec *iov, int count, size_t total)
{
    for (int i = 0; i < count && total; i++) {
        const char *at = iov[i].iov_base;
        size_t left = iov[i].iov_len < total ? iov[i].iov_len : total;

        total -= left;
        while (left) {
            size_t n = (size_t)world_between(sock->net->world, 1, (int64_t)sock->net->faults.segment_max);

            n = n < left ? n : left;
            wire_put(sock, SEGMENT_BYTES, at, n);
            at += n;
            left -= n;
        }
    }
}

static ssize_t sim_writev(struct sys *sys, int fd, const struct iovec *iov, int count)
{
    struct sock *sock = find(sys, fd);
    size_t total = 0, room;

    if (!sock)
        return -EBADF;
    if (sock->error)
        return take_error(sock);
    if (sock->shut)
        return -EPIPE;
    if (sock->state == SOCK_CONNECTING)
        return -EAGAIN;
    for (int i = 0; i < count; i++)
        total += iov[i].iov_len;
    room = sock->buffer > sock->outstanding ? sock->buffer - sock->outstanding : 0;
    if (total > room) {
        sock->no_room = true;
        total = room;
        if (!room)
            return -EAGAIN;
    }
    put_bytes(sock, iov, count, total);
    sock->outstanding += total;
    world_note(sock->net->world, "write %u: %zu", sock->number, total);
    return (ssize_t)total;
}

static int sim_shutdown(struct sys *sys, int fd)
{
    struct sock *sock = find(sys, fd);

    if (!sock)
        return -EBADF;
    if (sock->state == SOCK_CONNECTING || sock->dead)
        return -ENOTCONN;
    if (!sock->shut)
        wire_put(sock, SEGMENT_END, NULL, 0);
    sock->shut = true;
    return 0;
}

static void forget_interest(struct interest *interest)
{
    list_remove(&interest->link);
    list_remove(&interest->ready);
    free(interest);
}

static void sim_close(struct sys *sys, int fd, bool abort_it)
{
    struct sock *sock = find(sys, fd);

    if (!sock)
        return;
    world_note(sock->net->world, "close %u%s", sock->number, abort_it ? " with a reset" : "");
    LIST_FOR_EACH (link, &sock->interests)
        forget_interest(CONTAINER_OF(link, struct interest, link));
    sock->net->fds[fd - FD_FIRST] = NULL;
    sock->process->open--;
    if (sock->state == SOCK_LISTENING)
        listener_close(sock);
    else
        sock_close(sock, abort_it);
}

/* --- polls --- */

static int sim_poll_new(struct sys *sys, struct poll **ret_poll)
{
    struct poll *poll = calloc(1, sizeof(*poll));

    if (!poll)
        return -ENOMEM;
    poll->process = process_of(sys);
    list_init(&poll->ready);
    *ret_poll = poll;
    return 0;
}

static void sim_poll_free(struct sys *sys, struct poll *poll)
{
    struct net *net = net_of(sys);

    LIST_FOR_EACH (link, &net->all)
        LIST_FOR_EACH (at, &CONTAINER_OF(link, struct sock, all)->interests)
            if (CONTAINER_OF(at, struct interest, link)->poll == poll)
                forget_interest(CONTAINER_OF(at, struct interest, link));
    free(poll);
}

static struct interest *find_interest(struct sock *sock, const struct poll *poll)
{
    LIST_FOR_EACH (link, &sock->interests)
        if (CONTAINER_OF(link, struct interest, link)->poll == poll)
            return CONTAINER_OF(link, struct interest, link);
    return NULL;
}

static int sim_poll_add(struct sys *sys, struct poll *poll, int fd, unsigned flags, void *token)
{
    struct sock *sock = find(sys, fd);
    struct interest *interest;

    if (!sock)
        return -EBADF;
    if (find_interest(sock, poll))
        return -EEXIST;
    interest = calloc(1, sizeof(*interest));
    if (!interest)
        return -ENOMEM;
    *interest = (struct interest){.poll = poll, .sock = sock, .token = token, .shared = flags & SYS_SHARED};
    list_init(&interest->ready);
    list_push(&sock->interests, &interest->link);
    if (sock_ready(sock))
        list_push(&poll->ready, &interest->ready);
    else if (sock->state == SOCK_OPEN)
        sock->no_room = true; /* tcp_poll() asks to be told */
    return 0;
}

static void sim_poll_remove(struct sys *sys, struct poll *poll, int fd)
{
    struct sock *sock = find(sys, fd);
    struct interest *interest = sock ? find_interest(sock, poll) : NULL;

    if (interest)
        forget_interest(interest);
}

static unsigned seen_by(const struct interest *interest)
{
    unsigned what = sock_ready(interest->sock);

    if (interest->sock->state == SOCK_OPEN && !(what & SYS_WRITABLE))
        interest->sock->no_room = true;
    return interest->shared ? what & SYS_READABLE : what;
}

static int sim_poll_wait(struct sys *sys, struct poll *poll, struct sys_event *events, int max, int64_t timeout_ns)
{
    struct list again;
    struct list *link;
    int told = 0;

    assert(timeout_ns == 0); /* the world says when a loop turns */
    poll->woken = false;
    list_init(&again);
    while (told < max && (link = list_pop(&poll->ready))) {
        struct interest *interest = CONTAINER_OF(link, struct interest, ready);
        unsigned what = seen_by(interest);

        if (!what)
            continue;
        events[told++] = (struct sys_event){interest->token, what};
        if (interest->shared)
            list_push(&again, &interest->ready);
    }
    list_splice(&poll->ready, &again);
    return told;
}

static void sim_poll_wake(struct sys *sys, struct poll *poll)
{
    poll->woken = true;
}

bool net_poll_ready(const struct poll *poll)
{
    if (poll->woken)
        return true;
    LIST_FOR_EACH (link, &poll->ready)
        if (sock_ready(CONTAINER_OF(link, struct interest, ready)->sock))
            return true;
    return false;
}

/* The simulated network has no descriptors to run out of. */
static int sim_descriptor_limit(struct sys *sys)
{
    return INT_MAX;
}

static int sim_descriptor_next(struct sys *sys)
{
    return 0;
}

const struct sys_ops net_sys_ops = {
    .now = sim_now,
    .wall = sim_wall,
    .random = sim_random,
    .listen = sim_listen,
    .accept = sim_accept,
    .descriptor_limit = sim_descriptor_limit,
    .descriptor_next = sim_descriptor_next,
    .connect = sim_connect,
    .connect_result = sim_connect_result,
    .set_options = sim_set_options,
    .local_addr = sim_local_addr,
    .original_dst = sim_original_dst,
    .readv = sim_readv,
    .writev = sim_writev,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .poll_new = sim_poll_new,
    .poll_free = sim_poll_free,
    .poll_add = sim_poll_add,
    .poll_remove = sim_poll_remove,
    .poll_wait = sim_poll_wait,
    .poll_wake = sim_poll_wake,
};
