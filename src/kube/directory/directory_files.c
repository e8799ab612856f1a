/* The directory source and real files: which names are read, reading them, reading all. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/buffer.h"
#include "base/limits.h"
#include "kube/directory/derive.h"
#include "kube/directory/directory.h"

enum { FILE_NAME_MAX = 600 }; /* folder/name */

bool directory_reads(struct slice name)
{
    return name.len && name.ptr[0] != '.' &&
           (slice_ends(name, SLICE_LIT(".yaml")) || slice_ends(name, SLICE_LIT(".yml")) ||
            slice_ends(name, SLICE_LIT(".json")));
}

/* ---- one file ---- */

static int read_bytes(int fd, struct buffer *out)
{
    for (;;) {
        char *room = buffer_room(out, 16384);
        ssize_t got;

        if (!room)
            return buffer_error(out);
        got = read(fd, room, 16384);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            return got < 0 ? -errno : 0;
        buffer_grew(out, (size_t)got);
    }
}

/* -EISDIR for everything that is no regular file: a FIFO or a device must not stop us. */
static int open_file(const char *path, struct slice file, int *ret_fd)
{
    char full[PATH_MAX];
    struct stat status;
    int fd;

    if (snprintf(full, sizeof(full), "%s/%.*s", path, SLICE_ARGS(file)) >= (int)sizeof(full))
        return -ENAMETOOLONG;
    fd = open(full, O_RDONLY | O_NONBLOCK | O_CLOEXEC | O_NOCTTY);
    if (fd < 0)
        return -errno;
    if (fstat(fd, &status) < 0 || !S_ISREG(status.st_mode)) {
        close(fd);
        return -EISDIR;
    }
    *ret_fd = fd;
    return 0;
}

static int keep(struct directory *directory, struct slice file, int error)
{
    directory_keep(directory, file, error == -ENOBUFS ? "it is larger than 16 MiB" : strerror(-error));
    return 0;
}

int directory_read_file(struct directory *directory, const char *path, struct slice file)
{
    struct buffer bytes;
    int fd, r;

    r = open_file(path, file, &fd);
    if (r == -ENOENT || r == -ENOTDIR || r == -EISDIR) {
        directory_drop(directory, file);
        return 0;
    }
    if (r < 0)
        return keep(directory, file, r);
    buffer_init(&bytes, LIMIT_YAML_FILE + 16384);
    r = read_bytes(fd, &bytes);
    close(fd);
    if (r < 0 && r != -ENOMEM)
        r = keep(directory, file, r);
    else if (r == 0)
        r = directory_apply(directory, file, buffer_slice(&bytes));
    buffer_release(&bytes);
    return r;
}

/* ---- all files ---- */

struct names {
    char **items;
    size_t count, size;
};

static int add_name(struct names *names, const char *folder, const char *name)
{
    char full[FILE_NAME_MAX];

    if (names->count == names->size) {
        size_t size = names->size ? names->size * 2 : 64;
        char **items = realloc(names->items, size * sizeof(*items));

        if (!items)
            return -ENOMEM;
        names->items = items;
        names->size = size;
    }
    snprintf(full, sizeof(full), "%s%s%s", folder, *folder ? "/" : "", name);
    names->items[names->count] = strdup(full);
    return names->items[names->count++] ? 0 : -ENOMEM;
}

static void names_release(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    free(names->items);
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool is_folder(DIR *dir, const struct dirent *item)
{
    struct stat status;

    if (item->d_name[0] == '.')
        return false;
    if (item->d_type != DT_UNKNOWN && item->d_type != DT_LNK)
        return item->d_type == DT_DIR;
    return fstatat(dirfd(dir), item->d_name, &status, 0) == 0 && S_ISDIR(status.st_mode);
}

/* A folder that cannot be listed is an error only at the top: `folder` is empty. */
static int list_names(const char *path, const char *folder, struct names *names)
{
    char full[PATH_MAX];
    struct dirent *item;
    int r = 0;
    DIR *dir;

    if (snprintf(full, sizeof(full), "%s/%s", path, folder) >= (int)sizeof(full))
        return -ENAMETOOLONG;
    dir = opendir(full);
    if (!dir)
        return -errno;
    while (r == 0 && (item = readdir(dir)) != NULL) {
        if (!*folder && is_folder(dir, item))
            r = list_names(path, item->d_name, names);
        else if (directory_reads(slice_str(item->d_name)))
            r = add_name(names, folder, item->d_name);
        if (r < 0 && r != -ENOMEM)
            r = 0;
    }
    closedir(dir);
    return r;
}

struct gone {
    const struct names *now;
    struct names gone;
    int error;
};

static void note_gone(void *context, struct slice file)
{
    struct gone *gone = context;
    char *name = slice_dup(file);

    if (!name)
        gone->error = -ENOMEM;
    else if (!gone->now->count || !bsearch(&name, gone->now->items, gone->now->count, sizeof(char *), compare_names))
        gone->error = gone->error ? gone->error : add_name(&gone->gone, "", name);
    free(name);
}

static int drop_gone(struct directory *directory, const struct names *names)
{
    struct gone gone = {.now = names};

    directory_each_file(directory, note_gone, &gone);
    for (size_t i = 0; i < gone.gone.count && gone.error == 0; i++)
        directory_drop(directory, slice_str(gone.gone.items[i]));
    names_release(&gone.gone);
    return gone.error;
}

int directory_read_all(struct directory *directory, const char *path, bool (*skip)(void *context, struct slice file),
                       void *context, struct errmsg *ret_msg)
{
    struct names names = {0};
    int r = list_names(path, "", &names), committed;

    if (r < 0) {
        names_release(&names);
        return errmsg_set(ret_msg, r, "cannot read the directory %s: %s; name a directory with manifests", path,
                          strerror(-r));
    }
    if (names.count)
        qsort(names.items, names.count, sizeof(*names.items), compare_names);
    r = drop_gone(directory, &names);
    for (size_t i = 0; i < names.count && r == 0; i++)
        if (!skip || !skip(context, slice_str(names.items[i])))
            r = directory_read_file(directory, path, slice_str(names.items[i]));
    names_release(&names);
    committed = directory_commit(directory);
    if (r == 0)
        r = committed;
    return r < 0 ? errmsg_set(ret_msg, r, "cannot hold everything in %s: %s", path,
                              r == -ENOSPC ? "more files or objects than the limits allow" : strerror(-r))
                 : 0;
}

/* ---- once ---- */

static int load_into(struct store *store, const char *path, struct reporter *reporter, struct errmsg *ret_msg)
{
    struct derive *derive = NULL;
    struct directory *directory = NULL;
    int r = derive_new(store, &derive);

    if (r == 0)
        r = directory_new(store, reporter, &directory);
    r = r < 0 ? errmsg_set(ret_msg, r, "cannot read %s: %s", path, strerror(-r))
              : directory_read_all(directory, path, NULL, NULL, ret_msg);
    if (r == 0 && derive_error(derive) < 0)
        r = errmsg_set(ret_msg, derive_error(derive), "cannot hold everything in %s: %s", path,
                       strerror(-derive_error(derive)));
    if (r == 0)
        store_set_synced(store);
    directory_free(directory);
    derive_free(derive);
    return r;
}

int directory_load(const char *path, struct reporter *reporter, struct store **ret_store, struct errmsg *ret_msg)
{
    struct store *store;
    int r = store_new(0, 0, &store);

    if (r < 0)
        return errmsg_set(ret_msg, r, "cannot read %s: %s", path, strerror(-r));
    r = load_into(store, path, reporter, ret_msg);
    if (r < 0) {
        store_free(store);
        return r;
    }
    *ret_store = store;
    return 0;
}
