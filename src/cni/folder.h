/*
 * A directory of the node, whose files others own too. Files are replaced whole: written beside under a name that no
 * runtime reads, made durable, renamed. So whoever is killed in between leaves the old file or the new one.
 *
 *     folder_open() -> folder_names(), folder_read(), folder_write() ... -> folder_close()
 *
 * Sentences name the file.
 */
#pragma once

#include <stdbool.h>
#include <sys/stat.h>

#include "base/buffer.h"
#include "base/errmsg.h"
#include "base/limits.h"

#define FOLDER_NEW ".linkerd-cni-new" /* at the end of the name of a file that is being written */

struct folder {
    const char *path;
    int fd;
    /* Asked before each call that changes something; a negative errno refuses it. NULL: all are allowed. */
    int (*gate)(void *owner, const char *call, const char *name);
    void *owner;
};

struct folder_names {
    size_t count;
    char *names[LIMIT_CNI_FILES];
};

/* The path must outlive it. The gate is the caller's and stays as it is. */
int folder_open(struct folder *folder, const char *path, struct errmsg *msg);
void folder_close(struct folder *folder);
/* Those that are wanted, sorted bytewise as runtimes sort them. -ENOBUFS beyond LIMIT_CNI_FILES. */
int folder_names(const struct folder *folder, bool (*wanted)(struct slice name), struct folder_names *ret_names, struct errmsg *msg);
void folder_names_release(struct folder_names *names);
/* Appends. -ENOENT: it is not there; -EINVAL: it is no ordinary file; -EFBIG. *ret_status may be NULL. */
int folder_read(const struct folder *folder, const char *name, struct buffer *ret_bytes, struct stat *ret_status, struct errmsg *msg);
bool folder_has(const struct folder *folder, const char *name);
/*
 * The mode counts as it is, without umask. With `read`, owner and mode are those of the file that was read, and -ESTALE is returned
 * where others have written another one since.
 */
int folder_write(const struct folder *folder, const char *name, struct slice bytes, mode_t mode, const struct stat *read, struct errmsg *msg);
int folder_rename(const struct folder *folder, const char *from, const char *to, struct errmsg *msg);
/* One that is not there is fine. */
int folder_remove(const struct folder *folder, const char *name, struct errmsg *msg);
/* What those who were killed while they wrote have left. */
int folder_sweep(const struct folder *folder, struct errmsg *msg);
