/*
 * Follows a directory of manifests: reads everything once, then what inotify
 * names, and commits it to the store.
 *
 *  - atomic renames into place, new and removed files, folders that appear or
 *    go, and swapped symbolic links (a mounted ConfigMap) are taken up after
 *    DIRECTORY_QUIET_NS, so that what belongs together comes together;
 *  - a file that is being written in place is read when its writer closes it,
 *    or when nothing was written for DIRECTORY_WRITER_NS, so that half of it
 *    is not taken for the whole;
 *  - when the directory itself is gone, what it said stays in force, and it is
 *    looked for every DIRECTORY_LOOK_NS until it is back (under the same path:
 *    made anew, moved in, or another target of a symbolic link).
 *
 * The loop's thread, which is the store's.
 */
#pragma once

#include "base/duration.h"
#include "event/loop.h"
#include "kube/directory/directory.h"

#define DIRECTORY_QUIET_NS (50 * NS_PER_MS)
#define DIRECTORY_WRITER_NS (2 * NS_PER_S)
#define DIRECTORY_LOOK_NS (1 * NS_PER_S)

struct directory_watch;

/*
 * Starts to watch, reads all there is, and calls the store synced. 0, or a negative errno and a sentence when the
 * directory cannot be read or watched; broken manifests are no failure. Reports go to the directory's reporter.
 */
int directory_watch_new(struct loop *loop, struct directory *directory, struct store *store, const char *path,
                        struct reporter *reporter, struct directory_watch **ret_watch, struct errmsg *ret_msg);
/* Before the directory, the store and the loop go. NULL is allowed. */
void directory_watch_free(struct directory_watch *watch);
