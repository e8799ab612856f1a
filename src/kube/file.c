#include "kube/file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int read_all(int fd, struct buffer *bytes)
{
    char piece[4096];
    ssize_t n;

    while ((n = read(fd, piece, sizeof(piece))) != 0) {
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0 && buffer_add(bytes, slice_of(piece, (size_t)n)) < 0)
            return buffer_error(bytes) == -ENOBUFS ? -EFBIG : buffer_error(bytes);
    }
    explicit_bzero(piece, sizeof(piece));
    return 0;
}

int file_load(struct slice path, size_t max, struct buffer *ret_bytes, struct errmsg *msg)
{
    char name[4096];
    int fd, r;

    buffer_init(ret_bytes, max);
    if (path.len >= sizeof(name))
        return errmsg_set(msg, -ENAMETOOLONG, "%.*s...: the name is too long", SLICE_ARGS(slice_take(path, 100)));
    memcpy(name, path.ptr, path.len);
    name[path.len] = '\0';
    fd = open(name, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0)
        return errmsg_set(msg, -errno, "%s: %s", name, strerror(errno));
    r = read_all(fd, ret_bytes);
    close(fd);
    if (r == -EFBIG)
        return errmsg_set(msg, r, "%s is larger than %zu bytes", name, max);
    return r < 0 ? errmsg_set(msg, r, "%s: %s", name, strerror(-r)) : 0;
}

void file_forget(struct buffer *bytes)
{
    if (bytes->data)
        explicit_bzero(bytes->data, bytes->size);
    buffer_release(bytes);
}
