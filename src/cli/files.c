#include "cli/files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/duration.h"
#include "base/limits.h"
#include "event/sys.h"

static int read_all(int fd, struct buffer *out)
{
    for (;;) {
        char *room = buffer_room(out, 4096);
        ssize_t n = room ? read(fd, room, 4096) : -1;

        if (!room)
            return buffer_error(out);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return n < 0 ? -errno : 0;
        buffer_grew(out, (size_t)n);
    }
}

int file_read(const char *path, struct errmsg *msg, struct buffer *ret_bytes)
{
    bool is_input = strcmp(path, "-") == 0;
    int fd = is_input ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    int r = fd < 0 ? -errno : read_all(fd, ret_bytes);

    if (fd >= 0 && !is_input)
        close(fd);
    if (r == -ENOBUFS)
        return errmsg_set(msg, r, "%s: larger than %zu bytes", path, ret_bytes->max);
    return r < 0 ? errmsg_set(msg, r, "%s: %s", path, strerror(-r)) : 0;
}

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            bytes = slice_skip(bytes, (size_t)n);
    }
    return fsync(fd) < 0 && errno != EINVAL ? -errno : 0;
}

/* Written beside it under another name; link() refuses where rename() would replace. */
static int publish(const char *from, const char *to, bool replace)
{
    int r = replace ? rename(from, to) : link(from, to);

    r = r < 0 ? -errno : 0;
    if (r < 0 || !replace)
        unlink(from);
    return r;
}

int file_write(const char *path, struct slice bytes, unsigned mode, bool replace, struct errmsg *msg)
{
    char temporary[PATH_MAX];
    int fd, r;

    if (snprintf(temporary, sizeof(temporary), "%s.XXXXXX", path) >= (int)sizeof(temporary))
        return errmsg_set(msg, -ENAMETOOLONG, "%s: the name is too long", path);
    fd = mkostemp(temporary, O_CLOEXEC);
    if (fd < 0)
        return errmsg_set(msg, -errno, "%s: %s", path, strerror(errno));
    r = fchmod(fd, mode) < 0 ? -errno : write_all(fd, bytes);
    close(fd);
    if (r == 0)
        r = publish(temporary, path, replace);
    else
        unlink(temporary);
    if (r == -EEXIST)
        return errmsg_set(msg, r, "%s: is there already; --force replaces it", path);
    return r < 0 ? errmsg_set(msg, r, "%s: %s", path, strerror(-r)) : 0;
}

int directory_make(const char *path, struct errmsg *msg)
{
    return mkdir(path, 0755) < 0 && errno != EEXIST ? errmsg_set(msg, -errno, "%s: %s", path, strerror(errno)) : 0;
}

int file_join(const char *directory, const char *name, struct errmsg *msg, char *out, size_t size)
{
    int n = snprintf(out, size, "%s/%s", directory, name);

    return n < 0 || (size_t)n >= size ? errmsg_set(msg, -ENAMETOOLONG, "%s: the name is too long", directory) : 0;
}

int file_read_certs(const char *path, struct errmsg *msg, struct x509_bundle *ret_bundle)
{
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_PEM);
    r = file_read(path, msg, &bytes);
    if (r == 0) {
        r = x509_bundle_read(buffer_slice(&bytes), msg, ret_bundle);
        if (r < 0)
            errmsg_prefix(msg, r, "%s", path);
    }
    buffer_release(&bytes);
    return r;
}

int file_read_key(const char *path, struct errmsg *msg, struct x509_key **ret_key)
{
    struct buffer bytes;
    int r;

    buffer_init(&bytes, LIMIT_PEM);
    r = file_read(path, msg, &bytes);
    if (r == 0) {
        r = x509_key_read(buffer_slice(&bytes), msg, ret_key);
        if (r < 0)
            errmsg_prefix(msg, r, "%s", path);
    }
    if (bytes.data)
        explicit_bzero(bytes.data, bytes.len);
    buffer_release(&bytes);
    return r;
}

int64_t wall_now(void)
{
    struct sys *sys = sys_linux();

    return sys->ops->wall(sys);
}

char *wall_format(int64_t wall_ns, char out[32])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_S);
    struct tm tm;

    if (!gmtime_r(&seconds, &tm) || strftime(out, 32, "%Y-%m-%dT%H:%M:%SZ", &tm) == 0)
        snprintf(out, 32, "%lld", (long long)seconds);
    return out;
}
