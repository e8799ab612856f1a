/*
 * The directory source: Kubernetes-style manifests in files as the content of
 * the store. Files are *.yaml, *.yml and *.json (other names, and names that
 * begin with a dot, are not looked at), in the directory and in the folders
 * directly inside it; a file's name below is its path from the directory, and
 * files count in the order of their names.
 *
 *     directory_new() -> directory_apply()/directory_drop() for what changed -> directory_commit()
 *
 * What is broken never takes down what is good:
 *  - a document that is not valid is reported; the object that it was before
 *    stays in force, and everything else in the file is applied;
 *  - while some document of a file cannot even be recognised (bad syntax, no
 *    name), nothing that the file said before is removed;
 *  - a file that cannot be read, or is too large, stays as it was.
 * A document that is gone takes its object with it. Of two documents for one
 * object the one in force stays (at first: that of the first file), the other
 * is reported and takes its place when that goes; so moving a document from
 * one file to another in one commit changes nothing but its origin.
 *
 * Where creationTimestamp is missing, the order in the files stands for it: an
 * object has the same place among the others after any sequence of edits as it
 * would have after a restart.
 *
 * apply, drop and commit touch no files and no clock: directory_watch.h
 * follows a real directory with them, directory_load() reads one once. The
 * store's thread.
 */
#pragma once

#include "base/errmsg.h"
#include "base/slice.h"
#include "kube/report.h"
#include "kube/store.h"

struct directory;

struct directory_counts {
    size_t files, objects;
    size_t broken;     /* documents that are not in force as written, by the latest reading of each file */
    size_t duplicates; /* documents that wait behind another for the same object */
};

/* The reporter may be NULL; it outlives the directory. 0 or -ENOMEM. */
int directory_new(struct store *store, struct reporter *reporter, struct directory **ret_directory);
/* Leaves the store as it is. NULL is allowed. */
void directory_free(struct directory *directory);

/* This is what the file says now. 0, -ENOMEM or -ENOSPC (LIMIT_SOURCE_FILES); then nothing changed. */
int directory_apply(struct directory *directory, struct slice file, struct slice bytes);
/* The file is gone. */
void directory_drop(struct directory *directory, struct slice file);
/* The file is there and cannot be read; what it said stays. */
void directory_keep(struct directory *directory, struct slice file, const char *why);
/*
 * Brings the store to what the files say since the last commit. 0, or -ENOMEM or -ENOSPC from the store; what could
 * not be brought in is tried again by the next commit.
 */
int directory_commit(struct directory *directory);

struct directory_counts directory_counts(const struct directory *directory);
/* Calls for every file, in no particular order. */
void directory_each_file(const struct directory *directory, void (*on_file)(void *context, struct slice file),
                         void *context);

/* ---- files ---- */

/* Whether a file with this name is read. */
bool directory_reads(struct slice name);
/*
 * Reads one file of the directory at `path` and applies, drops (it is gone) or keeps it. 0, -ENOMEM or -ENOSPC.
 */
int directory_read_file(struct directory *directory, const char *path, struct slice file);
/*
 * Reads all files but those that `skip` (NULL: none) says to leave as they are, drops those that are gone, and commits.
 * 0, or a negative errno and a sentence when the directory itself cannot be read (then all stays as it was) or memory
 * is short.
 */
int directory_read_all(struct directory *directory, const char *path, bool (*skip)(void *context, struct slice file),
                       void *context, struct errmsg *ret_msg);
/*
 * For programs that run once: reads everything into a new store, derived objects included, and calls it synced.
 * Broken documents are reported and left out.
 */
int directory_load(const char *path, struct reporter *reporter, struct store **ret_store, struct errmsg *ret_msg);
