/*
 * How the directory source keeps its books: files make claims on identities.
 * Inside kube/ only.
 *
 *     file --- claim --- identity --- the store's object
 *        \--- claim --- identity
 *     file --- claim ------/            (waits: the first one is in force)
 */
#pragma once

#include "base/map.h"
#include "kube/directory/directory.h"
#include "kube/store_keys.h"

/* What one file says about one object. */
struct claim {
    struct list in_file;     /* in the order of the file */
    struct list in_identity; /* no order */
    struct file *file;
    struct identity *identity;
    struct kube_object *object;
    bool told; /* it was reported that this one is not used */
};

struct file {
    struct map_entry entry;
    char *name;
    struct list claims;
    size_t broken;
};

/* One object, by kind, namespace and name; lives while there are claims or a commit is due. */
struct identity {
    struct map_entry entry;
    struct store_key key;
    enum kube_kind kind;
    struct list claims;
    struct claim *winner;       /* whose object is in force; NULL: none yet */
    struct kube_object *stored; /* what the store has from us; NULL: nothing */
    struct list touched;        /* in directory.touched */
    uint64_t seen;              /* the reading that met it last */
    int seen_line;
};

struct directory {
    struct store *store;
    struct reporter *reporter;
    struct map files, identities;
    struct list touched; /* identities that commit has to look at */
    uint64_t readings;
};

/* The identity, made when there is none; touched, so that commit frees it should nobody claim it. NULL: no memory. */
struct identity *directory_identity(struct directory *directory, const struct store_key *key, enum kube_kind kind);
void directory_touch(struct directory *directory, struct identity *identity);
/* The claim leaves its file and identity and is freed. */
void directory_free_claim(struct directory *directory, struct claim *claim);
/* About an object, which may be NULL, or else the file as a whole. */
void directory_report(struct directory *directory, enum report_severity severity, struct slice file, int line,
                      int column, const struct kube_object *object, const char *reason);
