#include "cli/inject/inject_input.h"

#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/limits.h"
#include "cli/files.h"
#include "cli/url.h"

enum { FOLDERS_DEEP = 32 };

struct reading {
    input_each *each;
    void *owner;
    struct errmsg *msg;
    size_t files;
    unsigned depth;
};

static int read_path(struct reading *reading, const char *path);

static int read_file(struct reading *reading, const char *path)
{
    struct buffer bytes;
    int r;

    if (++reading->files > LIMIT_INJECT_FILES)
        return errmsg_set(reading->msg, -ENOBUFS, "%s: more than %d files", path, LIMIT_INJECT_FILES);
    buffer_init(&bytes, LIMIT_INJECT_INPUT);
    r = url_is(path) ? url_read(path, reading->msg, &bytes) : file_read(path, reading->msg, &bytes);
    if (r == 0)
        r = reading->each(reading->owner, path, buffer_slice(&bytes));
    buffer_release(&bytes);
    return r;
}

static int read_entry(struct reading *reading, const char *folder, const char *name)
{
    char path[PATH_MAX];
    int r;

    if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
        return 0;
    r = file_join(folder, name, reading->msg, path, sizeof(path));
    return r == 0 ? read_path(reading, path) : r;
}

static int read_folder(struct reading *reading, const char *path)
{
    struct dirent **entries = NULL;
    int count, r = 0;

    if (reading->depth == FOLDERS_DEEP)
        return errmsg_set(reading->msg, -ELOOP, "%s: more than %d folders within one another", path, FOLDERS_DEEP);
    count = scandir(path, &entries, NULL, alphasort);
    if (count < 0)
        return errmsg_set(reading->msg, -errno, "%s: %s", path, strerror(errno));
    reading->depth++;
    for (int i = 0; i < count; i++) {
        if (r == 0)
            r = read_entry(reading, path, entries[i]->d_name);
        free(entries[i]);
    }
    reading->depth--;
    free(entries);
    return r;
}

static int read_path(struct reading *reading, const char *path)
{
    struct stat status;

    if (stat(path, &status) < 0)
        return errmsg_set(reading->msg, -errno, "%s: %s", path, strerror(errno));
    return S_ISDIR(status.st_mode) ? read_folder(reading, path) : read_file(reading, path);
}

int input_read(const char *path, input_each *each, void *owner, struct errmsg *msg)
{
    struct reading reading = {each, owner, msg, 0, 0};

    return strcmp(path, "-") == 0 || url_is(path) ? read_file(&reading, path) : read_path(&reading, path);
}
