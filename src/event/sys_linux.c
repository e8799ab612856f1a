#include "event/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/random.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"

/* From linux/netfilter_ipv4.h and ip6_tables.h, which cannot be included beside netinet/in.h. */
enum { SO_ORIGINAL_DST = 80, IP6T_SO_ORIGINAL_DST = 80 };

static int64_t read_clock(clockid_t id)
{
    struct timespec ts;

    clock_gettime(id, &ts);
    return ts.tv_sec * NS_PER_S + ts.tv_nsec;
}

static int64_t linux_now(struct sys *sys)
{
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t linux_wall(struct sys *sys)
{
    return read_clock(CLOCK_REALTIME);
}

static void linux_random(struct sys *sys, void *to, size_t len)
{
    char *at = to;

    while (len) {
        ssize_t n = getrandom(at, len, 0);

        if (n < 0) {
            if (errno == EINTR)
                continue;
            abort(); /* no randomness: nothing that follows would be safe */
        }
        at += n;
        len -= (size_t)n;
    }
}

static int set_int(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) < 0 ? -errno : 0;
}

static int new_socket(struct addr addr)
{
    int family = addr.ip.version == 4 ? AF_INET : AF_INET6;
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);

    return fd < 0 ? -errno : fd;
}

static int linux_listen(struct sys *sys, struct addr addr, int backlog)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(addr, &sa);
    int fd = new_socket(addr), r;

    if (fd < 0)
        return fd;
    r = set_int(fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (r == 0 && addr.ip.version == 6)
        r = set_int(fd, IPPROTO_IPV6, IPV6_V6ONLY, !ip_is_unspecified(addr.ip));
    if (r == 0 && (bind(fd, (struct sockaddr *)&sa, len) < 0 || listen(fd, backlog ? backlog : SOMAXCONN) < 0))
        r = -errno;
    if (r < 0) {
        close(fd);
        return r;
    }
    return fd;
}

static int linux_accept(struct sys *sys, int listener, struct addr *ret_peer)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    int fd = accept4(listener, (struct sockaddr *)&sa, &len, SOCK_NONBLOCK | SOCK_CLOEXEC), r;

    if (fd < 0)
        return -errno;
    r = addr_from_sockaddr((struct sockaddr *)&sa, ret_peer);
    if (r < 0) {
        close(fd);
        return r;
    }
    (void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    return fd;
}

static int linux_descriptor_limit(struct sys *sys)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int)limit.rlim_cur;
}

static int linux_descriptor_next(struct sys *sys)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    close(fd);
    return fd;
}

static int linux_connect(struct sys *sys, struct addr addr)
{
    struct sockaddr_storage sa;
    socklen_t len = addr_to_sockaddr(addr, &sa);
    int fd = new_socket(addr);

    if (fd < 0)
        return fd;
    (void)set_int(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    if (connect(fd, (struct sockaddr *)&sa, len) < 0 && errno != EINPROGRESS) {
        int r = -errno;

        close(fd);
        return r;
    }
    return fd;
}

static int linux_connect_result(struct sys *sys, int fd)
{
    int error = 0;
    socklen_t len = sizeof(error);

    struct sockaddr_storage sa;

    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -errno;
    if (error)
        return -error;
    len = sizeof(sa);
    if (getpeername(fd, (struct sockaddr *)&sa, &len) < 0)
        return errno == ENOTCONN ? -EINPROGRESS : -errno;
    return 0;
}

static int linux_set_options(struct sys *sys, int fd, const struct socket_options *options)
{
    int r = 0;

    if (options->keepalive_ns > 0) {
        int seconds = (int)((options->keepalive_ns + NS_PER_S - 1) / NS_PER_S);

        r = set_int(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        if (r == 0)
            r = set_int(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
        if (r == 0)
            r = set_int(fd, IPPROTO_TCP, TCP_KEEPINTVL, seconds);
    }
    if (r == 0 && options->user_timeout_ns > 0)
        r = set_int(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, (int)(options->user_timeout_ns / NS_PER_MS));
    return r;
}

static int linux_local_addr(struct sys *sys, int fd, struct addr *ret_addr)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);

    if (getsockname(fd, (struct sockaddr *)&sa, &len) < 0)
        return -errno;
    return addr_from_sockaddr((struct sockaddr *)&sa, ret_addr);
}

static int linux_original_dst(struct sys *sys, int fd, struct addr *ret_addr)
{
    struct sockaddr_storage sa;
    socklen_t len = sizeof(sa);
    struct addr local;
    int r = linux_local_addr(sys, fd, &local);

    if (r < 0)
        return r;
    if (local.ip.version == 4)
        r = getsockopt(fd, SOL_IP, SO_ORIGINAL_DST, &sa, &len);
    else
        r = getsockopt(fd, SOL_IPV6, IP6T_SO_ORIGINAL_DST, &sa, &len);
    if (r < 0)
        return errno == ENOPROTOOPT ? -ENOENT : -errno;
    return addr_from_sockaddr((struct sockaddr *)&sa, ret_addr);
}

static ssize_t linux_readv(struct sys *sys, int fd, const struct iovec *iov, int count)
{
    ssize_t n = count == 1 ? recv(fd, iov->iov_base, iov->iov_len, 0) : readv(fd, iov, count);

    return n < 0 ? -errno : n;
}

static ssize_t linux_writev(struct sys *sys, int fd, const struct iovec *iov, int count)
{
    struct msghdr msg = {.msg_iov = (struct iovec *)iov, .msg_iovlen = (size_t)count};
    ssize_t n = count == 1 ? send(fd, iov->iov_base, iov->iov_len, MSG_NOSIGNAL) : sendmsg(fd, &msg, MSG_NOSIGNAL);

    return n < 0 ? -errno : n;
}

static int linux_shutdown(struct sys *sys, int fd)
{
    return shutdown(fd, SHUT_WR) < 0 ? -errno : 0;
}

static void linux_close(struct sys *sys, int fd, bool abort_it)
{
    if (abort_it) {
        struct linger now = {1, 0};

        (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
    }
    close(fd);
}

struct poll {
    int epoll;
    int wake;    /* an eventfd, in the epoll with a NULL token */
    bool coarse; /* the kernel waits by milliseconds only */
};

static int linux_poll_new(struct sys *sys, struct poll **ret_poll)
{
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    struct poll *poll = malloc(sizeof(*poll));
    int r;

    if (!poll)
        return -ENOMEM;
    poll->coarse = false;
    poll->epoll = epoll_create1(EPOLL_CLOEXEC);
    poll->wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (poll->epoll >= 0 && poll->wake >= 0 && epoll_ctl(poll->epoll, EPOLL_CTL_ADD, poll->wake, &event) == 0) {
        *ret_poll = poll;
        return 0;
    }
    r = -errno;
    if (poll->epoll >= 0)
        close(poll->epoll);
    if (poll->wake >= 0)
        close(poll->wake);
    free(poll);
    return r;
}

static void linux_poll_free(struct sys *sys, struct poll *poll)
{
    close(poll->wake);
    close(poll->epoll);
    free(poll);
}

static int linux_poll_add(struct sys *sys, struct poll *poll, int fd, unsigned flags, void *token)
{
    struct epoll_event event = {.data.ptr = token};

    if (flags & SYS_SHARED)
        event.events = EPOLLIN | EPOLLEXCLUSIVE;
    else
        event.events = EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET;
    return epoll_ctl(poll->epoll, EPOLL_CTL_ADD, fd, &event) < 0 ? -errno : 0;
}

static void linux_poll_remove(struct sys *sys, struct poll *poll, int fd)
{
    (void)epoll_ctl(poll->epoll, EPOLL_CTL_DEL, fd, NULL);
}

static unsigned what_happened(uint32_t events)
{
    unsigned what = 0;

    if (events & (EPOLLIN | EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        what |= SYS_READABLE;
    if (events & (EPOLLOUT | EPOLLHUP | EPOLLERR))
        what |= SYS_WRITABLE;
    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        what |= SYS_HANGUP;
    if (events & EPOLLERR)
        what |= SYS_BROKEN;
    return what;
}

/* Kernels before 5.11 have no epoll_pwait2 (nor do some sandboxes): there a wait ends on the next millisecond. */
static int wait_for_events(struct poll *poll, struct epoll_event *got, int max, int64_t timeout_ns)
{
    struct timespec timeout = {timeout_ns / NS_PER_S, timeout_ns % NS_PER_S};
    int64_t ms = timeout_ns < 0 ? -1 : timeout_ns / NS_PER_MS + (timeout_ns % NS_PER_MS != 0);

    if (!poll->coarse) {
        int n = epoll_pwait2(poll->epoll, got, max, timeout_ns < 0 ? NULL : &timeout, NULL);

        if (n >= 0 || errno != ENOSYS)
            return n;
        poll->coarse = true;
    }
    return epoll_wait(poll->epoll, got, max, ms > INT_MAX ? INT_MAX : (int)ms);
}

static int linux_poll_wait(struct sys *sys, struct poll *poll, struct sys_event *events, int max, int64_t timeout_ns)
{
    struct epoll_event got[256];
    int n, told = 0;

    if (max > 256)
        max = 256;
    n = wait_for_events(poll, got, max, timeout_ns);
    for (int i = 0; i < n; i++) {
        uint64_t count;

        if (got[i].data.ptr) {
            events[told++] = (struct sys_event){got[i].data.ptr, what_happened(got[i].events)};
            continue;
        }
        if (read(poll->wake, &count, sizeof(count)) < 0)
            continue; /* edge-triggered: what was not read does no harm */
    }
    return told;
}

static void linux_poll_wake(struct sys *sys, struct poll *poll)
{
    uint64_t one = 1;

    if (write(poll->wake, &one, sizeof(one)) < 0)
        return; /* full: a wake-up is pending anyway */
}

static const struct sys_ops linux_ops = {
    .now = linux_now,
    .wall = linux_wall,
    .random = linux_random,
    .listen = linux_listen,
    .accept = linux_accept,
    .descriptor_limit = linux_descriptor_limit,
    .descriptor_next = linux_descriptor_next,
    .connect = linux_connect,
    .connect_result = linux_connect_result,
    .set_options = linux_set_options,
    .local_addr = linux_local_addr,
    .original_dst = linux_original_dst,
    .readv = linux_readv,
    .writev = linux_writev,
    .shutdown = linux_shutdown,
    .close = linux_close,
    .poll_new = linux_poll_new,
    .poll_free = linux_poll_free,
    .poll_add = linux_poll_add,
    .poll_remove = linux_poll_remove,
    .poll_wait = linux_poll_wait,
    .poll_wake = linux_poll_wake,
};

struct sys *sys_linux(void)
{
    /* Cast: `struct sys` carries nothing but the table, and nobody writes to it. */
    static const struct sys linux_sys = {&linux_ops};

    return (struct sys *)(uintptr_t)&linux_sys;
}
