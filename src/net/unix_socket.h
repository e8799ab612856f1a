/*
 * Sockets of the unix family (SOCK_SEQPACKET: whole messages), over which a process
 * hands descriptors to another of the same user. Linux only; the simulator has no use
 * for them, so that they are not in struct sys. All return 0 or a negative errno
 * unless said otherwise. Descriptors are close-on-exec.
 */
#pragma once

#include <stddef.h>
#include <sys/types.h>

enum { UNIX_DESCRIPTORS_MAX = 8 };

/*
 * Listens at `path`, for the owner alone (0600), non-blocking. What stood there is replaced in one step, once the new
 * one listens.
 */
int unix_listen(const char *path, int *ret_fd);
/* Blocking, with `timeout_s` for each later receive. -ENOENT, -ECONNREFUSED: nobody is there. */
int unix_connect(const char *path, unsigned timeout_s, int *ret_fd);
int unix_accept(int listener, int *ret_fd); /* non-blocking; -EAGAIN */
/* The user at the other end. */
int unix_peer(int fd, uid_t *ret_uid);

int unix_send(int fd, const void *bytes, size_t len, const int *fds, unsigned count);
/* The length of the message, 0 at the end, or a negative errno. Descriptors that come with it are the caller's. */
ssize_t unix_receive(int fd, void *bytes, size_t size, int fds[UNIX_DESCRIPTORS_MAX], unsigned *ret_count);
