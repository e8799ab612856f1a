/*
 * Files that are read again when they change, as Secrets and ConfigMaps mounted into a pod do: looked at once a second, by what can be
 * seen of them without reading. Whoever watches reads them in `load` and keeps what was good last when they are not.
 *
 * A volume of Kubernetes changes all its files at once, by a link; who reads several of them in that moment may get one of before and one
 * of after. So files that cannot be used are read once more before anything is said about them.
 */
#pragma once

#include "base/errmsg.h"
#include "control/controller.h"

enum { WATCHED_FILES_MAX = 2 };

struct watched_files {
    struct controller *controller;
    const char *paths[WATCHED_FILES_MAX]; /* NULL: less of them */
    /* Reads them. 0, or a negative errno with a sentence. */
    int (*load)(struct watched_files *files, struct errmsg *msg);
    /* They cannot be used, or could not be used before: each is told once. May be NULL. */
    void (*on_result)(struct watched_files *files, int result, const char *why);
    struct timer timer;
    uint64_t seen;
    unsigned attempts; /* of what is seen, that failed */
};

/* Loads, and tells the result. The struct is filled in to `timer`. 0 or -ENOMEM. */
int watched_files_start(struct watched_files *files);
void watched_files_stop(struct watched_files *files); /* allowed on zeroed memory with a controller */
