#include "net/unix_socket.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

static int name_address(const char *path, struct sockaddr_un *ret_sa)
{
    *ret_sa = (struct sockaddr_un){.sun_family = AF_UNIX};
    if (strlen(path) >= sizeof(ret_sa->sun_path))
        return -ENAMETOOLONG;
    memcpy(ret_sa->sun_path, path, strlen(path));
    return 0;
}

static int new_socket(int flags)
{
    int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | flags, 0);

    return fd < 0 ? -errno : fd;
}

/* Closed to others before it listens, and in place only then: nobody can connect too early. */
static int listen_at(int fd, const char *temporary, const char *path)
{
    struct sockaddr_un sa;
    int r = name_address(temporary, &sa);

    if (r < 0)
        return r;
    if (unlink(temporary) < 0 && errno != ENOENT)
        return -errno;
    if (bind(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
        return -errno;
    if (chmod(temporary, 0600) == 0 && listen(fd, 4) == 0 && rename(temporary, path) == 0)
        return 0;
    r = -errno;
    unlink(temporary);
    return r;
}

int unix_listen(const char *path, int *ret_fd)
{
    char temporary[sizeof(((struct sockaddr_un *)0)->sun_path)];
    int fd, r;

    if ((size_t)snprintf(temporary, sizeof(temporary), "%s.new", path) >= sizeof(temporary))
        return -ENAMETOOLONG;
    fd = new_socket(SOCK_NONBLOCK);
    if (fd < 0)
        return fd;
    r = listen_at(fd, temporary, path);
    if (r < 0) {
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int unix_connect(const char *path, unsigned timeout_s, int *ret_fd)
{
    struct timeval timeout = {.tv_sec = timeout_s};
    struct sockaddr_un sa;
    int fd, r = name_address(path, &sa);

    if (r < 0)
        return r;
    fd = new_socket(0);
    if (fd < 0)
        return fd;
    if (setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof(timeout)) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &timeout, sizeof(timeout)) < 0 ||
        connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0) {
        r = -errno;
        close(fd);
        return r;
    }
    *ret_fd = fd;
    return 0;
}

int unix_accept(int listener, int *ret_fd)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd < 0)
        return -errno;
    *ret_fd = fd;
    return 0;
}

int unix_peer(int fd, uid_t *ret_uid)
{
    struct ucred peer;
    socklen_t len = sizeof(peer);

    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &len) < 0)
        return -errno;
    *ret_uid = peer.uid;
    return 0;
}

union control {
    struct cmsghdr header; /* for its alignment */
    char bytes[CMSG_SPACE(UNIX_DESCRIPTORS_MAX * sizeof(int))];
};

int unix_send(int fd, const void *bytes, size_t len, const int *fds, unsigned count)
{
    struct iovec iov = {(void *)(uintptr_t)bytes, len};
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1};
    union control control = {0};

    if (count > UNIX_DESCRIPTORS_MAX)
        return -EINVAL;
    if (count) {
        struct cmsghdr *cmsg;

        msg.msg_control = control.bytes;
        msg.msg_controllen = CMSG_SPACE(count * sizeof(int));
        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(count * sizeof(int));
        memcpy(CMSG_DATA(cmsg), fds, count * sizeof(int));
    }
    return sendmsg(fd, &msg, MSG_NOSIGNAL) < 0 ? -errno : 0;
}

static void take_descriptors(struct msghdr *msg, int fds[UNIX_DESCRIPTORS_MAX], unsigned *ret_count)
{
    for (struct cmsghdr *cmsg = CMSG_FIRSTHDR(msg); cmsg; cmsg = CMSG_NXTHDR(msg, cmsg)) {
        size_t count = (cmsg->cmsg_len - CMSG_LEN(0)) / sizeof(int);

        if (cmsg->cmsg_level != SOL_SOCKET || cmsg->cmsg_type != SCM_RIGHTS || *ret_count + count > UNIX_DESCRIPTORS_MAX)
            continue;
        memcpy(fds + *ret_count, CMSG_DATA(cmsg), count * sizeof(int));
        *ret_count += (unsigned)count;
    }
}

ssize_t unix_receive(int fd, void *bytes, size_t size, int fds[UNIX_DESCRIPTORS_MAX], unsigned *ret_count)
{
    struct iovec iov = {bytes, size};
    union control control;
    struct msghdr msg = {.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control.bytes,
                         .msg_controllen = sizeof(control.bytes)};
    ssize_t n = recvmsg(fd, &msg, MSG_CMSG_CLOEXEC);

    *ret_count = 0;
    if (n < 0)
        return -errno;
    take_descriptors(&msg, fds, ret_count);
    if (!(msg.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
        return n;
    while (*ret_count)
        close(fds[--*ret_count]);
    return -EMSGSIZE;
}
