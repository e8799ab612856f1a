#include "kube/directory/directory_watch.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/limits.h"
#include "base/map.h"

#define WATCHED                                                                                                        \
    (IN_MODIFY | IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_DELETE_SELF |               \
     IN_MOVE_SELF | IN_ATTRIB | IN_ONLYDIR)

/* A folder that inotify watches; the first is the directory itself, with the name "". */
struct folder {
    struct list link;
    int wd;
    char *name;
};

/* A file that something happened to. */
struct pending {
    struct map_entry entry;
    int64_t first_ns; /* when that began */
    int64_t ready_ns; /* when it is to be read */
    char *name;
};

struct directory_watch {
    struct loop *loop;
    struct directory *directory;
    struct store *store;
    struct reporter *reporter;
    char *path;
    int fd;
    struct watch watch;
    struct timer settle; /* the first pending file is ready */
    struct timer look;   /* is the directory still there, and the same? */
    struct list folders;
    struct map pending;
    bool all; /* read everything anew: folders changed, events were lost, or the directory is another one */
    int64_t all_first_ns, all_ready_ns;
    bool gone;
    dev_t device;
    ino_t inode;
};

/* ---- reports ---- */

static void report(struct directory_watch *watch, enum report_severity severity, const char *reason)
{
    if (watch->reporter)
        watch->reporter->report(watch->reporter, &(struct report){.severity = severity, .reason = slice_str(reason)});
}

static void report_problem(struct directory_watch *watch, const char *what, int error)
{
    char reason[PATH_MAX + 200];

    snprintf(reason, sizeof(reason), "%s: %s: %s", watch->path, what, strerror(-error));
    report(watch, REPORT_ERROR, reason);
}

/* ---- folders ---- */

static void drop_folder(struct directory_watch *watch, struct folder *folder)
{
    if (folder->wd >= 0)
        inotify_rm_watch(watch->fd, folder->wd);
    list_remove(&folder->link);
    free(folder->name);
    free(folder);
}

static void drop_folders(struct directory_watch *watch)
{
    LIST_FOR_EACH (link, &watch->folders)
        drop_folder(watch, CONTAINER_OF(link, struct folder, link));
}

static struct folder *find_folder(struct directory_watch *watch, int wd)
{
    LIST_FOR_EACH (link, &watch->folders) {
        struct folder *folder = CONTAINER_OF(link, struct folder, link);

        if (folder->wd == wd)
            return folder;
    }
    return NULL;
}

static int add_folder(struct directory_watch *watch, const char *name)
{
    struct folder *folder;
    char full[PATH_MAX];
    int wd;

    if (snprintf(full, sizeof(full), "%s/%s", watch->path, name) >= (int)sizeof(full))
        return -ENAMETOOLONG;
    wd = inotify_add_watch(watch->fd, full, WATCHED);
    if (wd < 0)
        return errno == ENOSPC ? -EMFILE : -errno; /* fs.inotify.max_user_watches; not about disks */
    if (find_folder(watch, wd))                    /* two names for one folder */
        return 0;
    folder = calloc(1, sizeof(*folder));
    if (!folder)
        return -ENOMEM;
    folder->wd = wd;
    list_init(&folder->link);
    list_push(&watch->folders, &folder->link);
    folder->name = strdup(name);
    if (!folder->name) {
        drop_folder(watch, folder);
        return -ENOMEM;
    }
    return 0;
}

/* Watches the directory and every folder in it. Watching comes before reading, so that nothing is missed. */
static int watch_folders(struct directory_watch *watch)
{
    struct dirent *item;
    int r;
    DIR *dir;

    drop_folders(watch);
    r = add_folder(watch, "");
    if (r < 0)
        return r;
    dir = opendir(watch->path);
    if (!dir)
        return -errno;
    while ((item = readdir(dir)) != NULL) {
        if (item->d_name[0] == '.' || (item->d_type != DT_DIR && item->d_type != DT_LNK && item->d_type != DT_UNKNOWN))
            continue;
        r = add_folder(watch, item->d_name);
        if (r < 0 && r != -ENOTDIR && r != -ENOENT)
            report_problem(watch, "a folder in it is not followed", r);
    }
    closedir(dir);
    return 0;
}

/* ---- what is to be read, and when ---- */

static void plan(struct directory_watch *watch)
{
    int64_t first = watch->all ? watch->all_ready_ns : INT64_MAX;

    MAP_FOR_EACH (link, &watch->pending) {
        const struct pending *pending = CONTAINER_OF(MAP_ENTRY(link), struct pending, entry);

        if (pending->ready_ns < first)
            first = pending->ready_ns;
    }
    if (first != INT64_MAX)
        timer_set(watch->loop, &watch->settle, first);
    else
        timer_cancel(&watch->settle);
}

/* When it was quiet, but not for ever where it never is. */
static int64_t when_quiet(const struct directory_watch *watch, int64_t first_ns)
{
    int64_t quiet = watch->loop->now_ns + DIRECTORY_QUIET_NS, latest = first_ns + 10 * DIRECTORY_QUIET_NS;

    return quiet < latest ? quiet : latest;
}

static void read_all_soon(struct directory_watch *watch)
{
    if (!watch->all)
        watch->all_first_ns = watch->loop->now_ns;
    watch->all = true;
    watch->all_ready_ns = when_quiet(watch, watch->all_first_ns);
}

static void drop_pending(struct directory_watch *watch, struct pending *pending)
{
    map_remove(&watch->pending, &pending->entry);
    free(pending->name);
    free(pending);
}

static struct pending *new_pending(struct directory_watch *watch, const char *name)
{
    struct pending *pending = watch->pending.count < LIMIT_SOURCE_FILES ? calloc(1, sizeof(*pending)) : NULL;

    if (!pending)
        return NULL;
    pending->first_ns = watch->loop->now_ns;
    pending->name = strdup(name);
    if (pending->name && map_add(&watch->pending, &pending->entry, slice_str(pending->name)) == 0)
        return pending;
    free(pending->name);
    free(pending);
    return NULL;
}

/* Without memory for the note, everything is read: that needs none. */
static void read_file_soon(struct directory_watch *watch, const char *name, bool being_written)
{
    struct map_entry *entry = map_find(&watch->pending, slice_str(name));
    struct pending *pending = entry ? CONTAINER_OF(entry, struct pending, entry) : new_pending(watch, name);

    if (!pending)
        read_all_soon(watch);
    else if (being_written)
        pending->ready_ns = watch->loop->now_ns + DIRECTORY_WRITER_NS;
    else
        pending->ready_ns = when_quiet(watch, pending->first_ns);
}

/* For directory_read_all(): what is being written has its own time. */
static bool is_being_written(void *context, struct slice file)
{
    const struct directory_watch *watch = context;
    struct map_entry *entry = map_find(&watch->pending, file);

    return entry && CONTAINER_OF(entry, struct pending, entry)->ready_ns > watch->loop->now_ns;
}

/* ---- inotify ---- */

/*
 * An event on a name in a folder. A folder that comes or goes, and a link that was swapped behind the files (..data of
 * a mounted ConfigMap), mean: look at everything. A new name is open for writing until it is closed.
 */
static void on_name(struct directory_watch *watch, const struct folder *folder, uint32_t mask, const char *name)
{
    bool done = mask & (IN_CLOSE_WRITE | IN_MOVED_FROM | IN_MOVED_TO | IN_DELETE);
    char full[PATH_MAX];

    if (((mask & IN_ISDIR) && !*folder->name) || (name[0] == '.' && (mask & IN_MOVED_TO)))
        read_all_soon(watch);
    if ((mask & IN_ISDIR) || !directory_reads(slice_str(name)))
        return;
    snprintf(full, sizeof(full), "%s%s%s", folder->name, *folder->name ? "/" : "", name);
    read_file_soon(watch, full, !done);
}

static void on_event(struct directory_watch *watch, const struct inotify_event *event)
{
    struct folder *folder = find_folder(watch, event->wd);

    if (event->mask & IN_Q_OVERFLOW) {
        read_all_soon(watch);
        return;
    }
    if (!folder)
        return;
    if (event->mask & IN_IGNORED)
        folder->wd = -1;
    if (event->mask & (IN_IGNORED | IN_DELETE_SELF | IN_MOVE_SELF))
        read_all_soon(watch);
    else if (event->len)
        on_name(watch, folder, event->mask, event->name);
}

static void on_ready(struct watch *base, unsigned what)
{
    struct directory_watch *watch = CONTAINER_OF(base, struct directory_watch, watch);
    union {
        struct inotify_event event;
        char bytes[16 * 1024];
    } buffer;
    ssize_t got;

    while ((got = read(watch->fd, buffer.bytes, sizeof(buffer.bytes))) > 0)
        for (char *at = buffer.bytes; at < buffer.bytes + got;) {
            struct inotify_event *event = (struct inotify_event *)(void *)at;

            on_event(watch, event);
            at += sizeof(*event) + event->len;
        }
    plan(watch);
}

/* ---- reading ---- */

static void commit(struct directory_watch *watch, int result)
{
    int r = directory_commit(watch->directory);

    if (result == 0)
        result = r;
    if (result == 0)
        return;
    report_problem(watch, "cannot hold everything that it says, trying again", result);
    read_all_soon(watch);
    watch->all_ready_ns = watch->loop->now_ns + DIRECTORY_WRITER_NS;
}

static void identify(struct directory_watch *watch)
{
    struct stat status;

    if (stat(watch->path, &status) < 0)
        return;
    watch->device = status.st_dev;
    watch->inode = status.st_ino;
}

static void directory_went(struct directory_watch *watch, int error)
{
    if (!watch->gone)
        report_problem(watch, "cannot be read; what it said before stays in force until it is back", error);
    watch->gone = true;
    watch->inode = 0;
    drop_folders(watch);
}

static int read_everything(struct directory_watch *watch, struct errmsg *ret_msg)
{
    int r;

    identify(watch);
    r = watch_folders(watch);
    if (r < 0)
        return errmsg_set(ret_msg, r, "cannot watch the directory %s: %s%s", watch->path, strerror(-r),
                          r == -EMFILE ? "; raise fs.inotify.max_user_watches" : "");
    return directory_read_all(watch->directory, watch->path, is_being_written, watch, ret_msg);
}

static void on_all(struct directory_watch *watch)
{
    struct errmsg msg = {""};
    int r;

    watch->all = false;
    r = read_everything(watch, &msg);
    if (r == -ENOMEM || r == -ENOSPC) {
        commit(watch, r);
    } else if (r < 0) {
        directory_went(watch, r);
    } else if (watch->gone) {
        watch->gone = false;
        report(watch, REPORT_INFO, "the directory is back and was read");
    }
}

/* True when the directory is there; else it is noted that it went. */
static bool is_there(struct directory_watch *watch)
{
    struct stat status;
    int r = stat(watch->path, &status) < 0 ? -errno : 0;

    if (r < 0)
        directory_went(watch, r);
    return r == 0;
}

/* Reads the files whose time has come; where the directory went as a whole, that says nothing about each file. */
static int read_pending(struct directory_watch *watch, bool there)
{
    int result = 0;

    MAP_FOR_EACH (link, &watch->pending) {
        struct pending *pending = CONTAINER_OF(MAP_ENTRY(link), struct pending, entry);
        int r = 0;

        if (pending->ready_ns > watch->loop->now_ns)
            continue;
        if (there)
            r = directory_read_file(watch->directory, watch->path, slice_str(pending->name));
        if (result == 0)
            result = r;
        drop_pending(watch, pending);
    }
    return result;
}

static void on_settled(struct timer *timer)
{
    struct directory_watch *watch = CONTAINER_OF(timer, struct directory_watch, settle);
    bool there = is_there(watch);
    int result = read_pending(watch, there && !watch->gone);

    if (there && !watch->gone)
        commit(watch, result);
    if (watch->all && watch->all_ready_ns <= watch->loop->now_ns)
        on_all(watch);
    plan(watch);
}

/* inotify follows the directory itself, not its path. */
static void on_look(struct timer *timer)
{
    struct directory_watch *watch = CONTAINER_OF(timer, struct directory_watch, look);
    struct stat status;

    if (is_there(watch) && stat(watch->path, &status) == 0 &&
        (status.st_dev != watch->device || status.st_ino != watch->inode || watch->gone)) {
        read_all_soon(watch);
        plan(watch);
    }
    timer_set(watch->loop, &watch->look, watch->loop->now_ns + DIRECTORY_LOOK_NS);
}

/* ---- life ---- */

static int start(struct directory_watch *watch, struct errmsg *ret_msg)
{
    int r;

    watch->fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (watch->fd < 0)
        return errmsg_set(ret_msg, -errno, "cannot watch the directory %s: %s", watch->path, strerror(errno));
    r = timer_init(watch->loop, &watch->settle, on_settled);
    if (r == 0)
        r = timer_init(watch->loop, &watch->look, on_look);
    if (r == 0)
        r = watch_start(watch->loop, &watch->watch, watch->fd, 0, on_ready);
    if (r < 0)
        return errmsg_set(ret_msg, r, "cannot watch the directory %s: %s", watch->path, strerror(-r));
    r = read_everything(watch, ret_msg);
    if (r == 0)
        timer_set(watch->loop, &watch->look, watch->loop->now_ns + DIRECTORY_LOOK_NS);
    return r;
}

int directory_watch_new(struct loop *loop, struct directory *directory, struct store *store, const char *path,
                        struct reporter *reporter, struct directory_watch **ret_watch, struct errmsg *ret_msg)
{
    struct directory_watch *watch = calloc(1, sizeof(*watch));
    int r;

    if (!watch)
        return errmsg_set(ret_msg, -ENOMEM, "cannot watch the directory %s: no memory", path);
    watch->loop = loop;
    watch->directory = directory;
    watch->store = store;
    watch->reporter = reporter;
    watch->fd = watch->watch.fd = -1;
    list_init(&watch->folders);
    map_init(&watch->pending, 0, 0);
    watch->path = strdup(path);
    r = watch->path ? start(watch, ret_msg) : errmsg_set(ret_msg, -ENOMEM, "cannot watch %s: no memory", path);
    if (r < 0) {
        directory_watch_free(watch);
        return r;
    }
    store_set_synced(store);
    *ret_watch = watch;
    return 0;
}

void directory_watch_free(struct directory_watch *watch)
{
    if (!watch)
        return;
    timer_release(watch->loop, &watch->settle);
    timer_release(watch->loop, &watch->look);
    if (watch->watch.fd >= 0)
        watch_stop(watch->loop, &watch->watch);
    drop_folders(watch);
    if (watch->fd >= 0)
        close(watch->fd);
    MAP_FOR_EACH (link, &watch->pending)
        drop_pending(watch, CONTAINER_OF(MAP_ENTRY(link), struct pending, entry));
    map_release(&watch->pending);
    free(watch->path);
    free(watch);
}
