#include "cni/folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <unistd.h>

static int ask_gate(const struct folder *folder, const char *call, const char *name)
{
    return folder->gate ? folder->gate(folder->owner, call, name) : 0;
}

static int failed(const struct folder *folder, const char *what, const char *name, int r, struct errmsg *msg)
{
    return errmsg_set(msg, r, "cannot %s %s/%s: %s", what, folder->path, name, strerror(-r));
}

int folder_open(struct folder *folder, const char *path, struct errmsg *msg)
{
    folder->path = path;
    folder->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return folder->fd < 0 ? errmsg_set(msg, -errno, "cannot open the directory %s: %s; the DaemonSet mounts the node's there", path, strerror(errno)) : 0;
}

void folder_close(struct folder *folder)
{
    if (folder->fd >= 0)
        close(folder->fd);
    folder->fd = -1;
}

/* --- names --- */

static int compare(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(struct folder_names *names, const char *name)
{
    if (names->count == LIMIT_CNI_FILES)
        return -ENOBUFS;
    names->names[names->count] = strdup(name);
    return names->names[names->count++] ? 0 : -ENOMEM;
}

static DIR *open_again(const struct folder *folder)
{
    int fd = openat(folder->fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *dir = fd < 0 ? NULL : fdopendir(fd);

    if (fd >= 0 && !dir)
        close(fd);
    return dir;
}

int folder_names(const struct folder *folder, bool (*wanted)(struct slice name), struct folder_names *ret_names, struct errmsg *msg)
{
    DIR *dir = open_again(folder);
    struct dirent *item;
    int r = dir ? 0 : -errno;

    ret_names->count = 0;
    while (r == 0 && (item = readdir(dir)) != NULL)
        if (wanted(slice_str(item->d_name)))
            r = add_name(ret_names, item->d_name);
    if (dir)
        closedir(dir);
    if (r < 0) {
        folder_names_release(ret_names);
        return errmsg_set(msg, r, "cannot list %s: %s", folder->path, r == -ENOBUFS ? "too many files" : strerror(-r));
    }
    qsort(ret_names->names, ret_names->count, sizeof(ret_names->names[0]), compare);
    return 0;
}

void folder_names_release(struct folder_names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->names[i]);
    names->count = 0;
}

/* --- reading --- */

static int read_all(int fd, struct buffer *to)
{
    for (;;) {
        char *room = buffer_room(to, 65536);
        ssize_t n = room ? read(fd, room, 65536) : -1;

        if (!room)
            return buffer_error(to) == -ENOBUFS ? -EFBIG : -ENOMEM;
        if (n < 0 && errno != EINTR)
            return -errno;
        if (n == 0)
            return 0;
        buffer_grew(to, n > 0 ? (size_t)n : 0);
    }
}

int folder_read(const struct folder *folder, const char *name, struct buffer *ret_bytes, struct stat *ret_status, struct errmsg *msg)
{
    int fd = openat(folder->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC), r = fd < 0 ? -errno : 0;
    struct stat status;

    if (r == 0 && fstat(fd, &status) < 0)
        r = -errno;
    if (r == -ELOOP || (r == 0 && !S_ISREG(status.st_mode)))
        r = errmsg_set(msg, -EINVAL, "%s/%s is no ordinary file", folder->path, name);
    else if (r == 0)
        r = read_all(fd, ret_bytes);
    if (fd >= 0)
        close(fd);
    if (r < 0)
        return r == -EINVAL ? r : failed(folder, "read", name, r, msg);
    if (ret_status)
        *ret_status = status;
    return 0;
}

bool folder_has(const struct folder *folder, const char *name)
{
    struct stat status;

    return fstatat(folder->fd, name, &status, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- writing --- */

static int write_all(int fd, struct slice bytes)
{
    while (bytes.len) {
        ssize_t n = write(fd, bytes.ptr, bytes.len);

        if (n < 0 && errno != EINTR)
            return -errno;
        if (n > 0)
            bytes = slice_skip(bytes, (size_t)n);
    }
    return 0;
}

/* The owner is kept where that is allowed; the mode comes after it, since a change of the owner takes bits away. */
static int fill(const struct folder *folder, const char *name, int fd, struct slice bytes, mode_t mode, const struct stat *read)
{
    int r = ask_gate(folder, "write", name);

    if (r == 0)
        r = write_all(fd, bytes);
    if (r == 0 && read && fchown(fd, read->st_uid, read->st_gid) < 0 && errno != EPERM)
        r = -errno;
    if (r == 0)
        r = ask_gate(folder, "fchmod", name);
    if (r == 0 && fchmod(fd, read ? read->st_mode & 07777 : mode) < 0)
        r = -errno;
    if (r == 0)
        r = ask_gate(folder, "fsync", name);
    return r == 0 && fsync(fd) < 0 ? -errno : r;
}

static bool is_same(const struct folder *folder, const char *name, const struct stat *read)
{
    struct stat now;

    return fstatat(folder->fd, name, &now, AT_SYMLINK_NOFOLLOW) == 0 && now.st_ino == read->st_ino && now.st_size == read->st_size &&
           now.st_mtim.tv_sec == read->st_mtim.tv_sec && now.st_mtim.tv_nsec == read->st_mtim.tv_nsec;
}

static int rename_file(const struct folder *folder, const char *from, const char *to)
{
    int r = ask_gate(folder, "rename", to);

    if (r == 0 && renameat(folder->fd, from, folder->fd, to) < 0)
        r = -errno;
    if (r == 0)
        r = ask_gate(folder, "fsync", ".");
    return r == 0 && fsync(folder->fd) < 0 ? -errno : r;
}

static int write_beside(const struct folder *folder, const char *beside, struct slice bytes, mode_t mode, const struct stat *read)
{
    int r = ask_gate(folder, "open", beside), fd;

    if (r < 0)
        return r;
    if (unlinkat(folder->fd, beside, 0) < 0 && errno != ENOENT)
        return -errno;
    fd = openat(folder->fd, beside, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
    if (fd < 0)
        return -errno;
    r = fill(folder, beside, fd, bytes, mode, read);
    if (close(fd) < 0 && r == 0)
        r = -errno;
    return r;
}

int folder_write(const struct folder *folder, const char *name, struct slice bytes, mode_t mode, const struct stat *read, struct errmsg *msg)
{
    char beside[NAME_MAX + 1];
    int r;

    if (snprintf(beside, sizeof(beside), ".%s" FOLDER_NEW, name) >= (int)sizeof(beside))
        return failed(folder, "write", name, -ENAMETOOLONG, msg);
    r = write_beside(folder, beside, bytes, mode, read);
    if (r == 0 && read && !is_same(folder, name, read))
        r = -ESTALE;
    if (r == 0)
        r = rename_file(folder, beside, name);
    if (r < 0 && ask_gate(folder, "unlink", beside) == 0)
        unlinkat(folder->fd, beside, 0);
    return r < 0 ? failed(folder, "write", name, r, msg) : 0;
}

int folder_rename(const struct folder *folder, const char *from, const char *to, struct errmsg *msg)
{
    int r = rename_file(folder, from, to);

    return r < 0 ? failed(folder, "rename", from, r, msg) : 0;
}

int folder_remove(const struct folder *folder, const char *name, struct errmsg *msg)
{
    int r;

    if (!folder_has(folder, name))
        return 0;
    r = ask_gate(folder, "unlink", name);
    if (r == 0 && unlinkat(folder->fd, name, 0) < 0 && errno != ENOENT)
        r = -errno;
    if (r == 0)
        r = ask_gate(folder, "fsync", ".");
    if (r == 0 && fsync(folder->fd) < 0)
        r = -errno;
    return r < 0 ? failed(folder, "remove", name, r, msg) : 0;
}

static bool is_left(struct slice name)
{
    return slice_starts(name, SLICE_LIT(".")) && slice_ends(name, SLICE_LIT(FOLDER_NEW));
}

int folder_sweep(const struct folder *folder, struct errmsg *msg)
{
    struct folder_names names;
    int r = folder_names(folder, is_left, &names, msg);

    if (r < 0)
        return r;
    for (size_t i = 0; r == 0 && i < names.count; i++)
        r = folder_remove(folder, names.names[i], msg);
    folder_names_release(&names);
    return r;
}
