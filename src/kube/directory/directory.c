#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "kube/directory/directory_claims.h"

/* ---- life ---- */

int directory_new(struct store *store, struct reporter *reporter, struct directory **ret_directory)
{
    struct directory *directory = calloc(1, sizeof(*directory));

    if (!directory)
        return -ENOMEM;
    directory->store = store;
    directory->reporter = reporter;
    map_init(&directory->files, 0, 0);
    map_init(&directory->identities, 0, 0);
    list_init(&directory->touched);
    *ret_directory = directory;
    return 0;
}

static struct file *file_of(struct list *link)
{
    return CONTAINER_OF(MAP_ENTRY(link), struct file, entry);
}

static void free_file(struct directory *directory, struct file *file)
{
    LIST_FOR_EACH (link, &file->claims)
        directory_free_claim(directory, CONTAINER_OF(link, struct claim, in_file));
    map_remove(&directory->files, &file->entry);
    free(file->name);
    free(file);
}

static void free_identity(struct directory *directory, struct identity *identity)
{
    assert(list_empty(&identity->claims));
    map_remove(&directory->identities, &identity->entry);
    list_remove(&identity->touched);
    kube_object_unref(identity->stored);
    free(identity);
}

void directory_free(struct directory *directory)
{
    if (!directory)
        return;
    MAP_FOR_EACH (link, &directory->files)
        free_file(directory, file_of(link));
    MAP_FOR_EACH (link, &directory->identities)
        free_identity(directory, CONTAINER_OF(MAP_ENTRY(link), struct identity, entry));
    map_release(&directory->files);
    map_release(&directory->identities);
    free(directory);
}

/* ---- identities and claims ---- */

struct identity *directory_identity(struct directory *directory, const struct store_key *key, enum kube_kind kind)
{
    struct map_entry *entry = map_find(&directory->identities, slice_of(key->bytes, key->len));
    struct identity *identity;

    if (entry)
        return CONTAINER_OF(entry, struct identity, entry);
    identity = calloc(1, sizeof(*identity));
    if (!identity)
        return NULL;
    identity->key = *key;
    identity->kind = kind;
    list_init(&identity->claims);
    list_init(&identity->touched);
    if (map_add(&directory->identities, &identity->entry, slice_of(identity->key.bytes, identity->key.len)) < 0) {
        free(identity);
        return NULL;
    }
    directory_touch(directory, identity);
    return identity;
}

void directory_touch(struct directory *directory, struct identity *identity)
{
    if (list_empty(&identity->touched))
        list_push(&directory->touched, &identity->touched);
}

void directory_free_claim(struct directory *directory, struct claim *claim)
{
    if (claim->identity->winner == claim)
        claim->identity->winner = NULL;
    directory_touch(directory, claim->identity);
    list_remove(&claim->in_file);
    list_remove(&claim->in_identity);
    kube_object_unref(claim->object);
    free(claim);
}

/* ---- reports ---- */

void directory_report(struct directory *directory, enum report_severity severity, struct slice file, int line,
                      int column, const struct kube_object *object, const char *reason)
{
    char name[400] = "";

    if (!directory->reporter)
        return;
    if (object)
        snprintf(name, sizeof(name), "%.*s %.*s%s%.*s", SLICE_ARGS(kube_kind_name(object->kind)),
                 SLICE_ARGS(object->namespace_), object->namespace_.len ? "/" : "", SLICE_ARGS(object->name));
    directory->reporter->report(directory->reporter, &(struct report){.severity = severity,
                                                                      .file = file,
                                                                      .line = line,
                                                                      .column = column,
                                                                      .object = slice_str(name),
                                                                      .reason = slice_str(reason)});
}

/* ---- files that come to nothing ---- */

static struct file *find_file(const struct directory *directory, struct slice name)
{
    struct map_entry *entry = map_find(&directory->files, name);

    return entry ? CONTAINER_OF(entry, struct file, entry) : NULL;
}

void directory_drop(struct directory *directory, struct slice name)
{
    struct file *file = find_file(directory, name);

    if (file)
        free_file(directory, file);
}

void directory_keep(struct directory *directory, struct slice name, const char *why)
{
    const struct file *file = find_file(directory, name);
    char reason[300];

    snprintf(reason, sizeof(reason), "cannot be read: %s%s", why,
             file && !list_empty(&file->claims) ? "; what it said before stays in force" : "");
    directory_report(directory, REPORT_ERROR, name, 0, 0, NULL, reason);
}

/* ---- commit ---- */

/* Who is in force stays; else the file that comes first by name. */
static void choose_winner(struct identity *identity)
{
    if (identity->winner)
        return;
    LIST_FOR_EACH (link, &identity->claims) {
        struct claim *claim = CONTAINER_OF(link, struct claim, in_identity);

        if (!identity->winner || slice_cmp(slice_str(claim->file->name), slice_str(identity->winner->file->name)) < 0)
            identity->winner = claim;
    }
}

static void report_losers(struct directory *directory, struct identity *identity)
{
    const struct kube_object *winner = identity->winner->object;
    char reason[400];

    identity->winner->told = false;
    LIST_FOR_EACH (link, &identity->claims) {
        struct claim *claim = CONTAINER_OF(link, struct claim, in_identity);

        if (claim == identity->winner || claim->told)
            continue;
        claim->told = true;
        snprintf(reason, sizeof(reason), "is in %.*s already, on line %d; this one is not used: remove one of them",
                 SLICE_ARGS(winner->origin.file), winner->origin.line);
        directory_report(directory, REPORT_ERROR, slice_str(claim->file->name), claim->object->origin.line, 1,
                         claim->object, reason);
    }
}

static int put_winner(struct directory *directory, struct identity *identity)
{
    struct kube_object *object = identity->winner->object;
    int r;

    if (identity->stored == object)
        return 0;
    r = store_put(directory->store, object);
    if (r < 0)
        return r;
    kube_object_unref(identity->stored);
    identity->stored = kube_object_ref(object);
    return 0;
}

static int remove_stored(struct directory *directory, struct identity *identity)
{
    const struct kube_object *stored = identity->stored;

    return stored ? store_remove(directory->store, stored->kind, stored->namespace_, stored->name) : 0;
}

static int commit_identity(struct directory *directory, struct identity *identity)
{
    int r;

    r = identity->winner ? put_winner(directory, identity) : remove_stored(directory, identity);
    if (r < 0)
        return r;
    if (identity->winner)
        report_losers(directory, identity);
    list_remove(&identity->touched);
    if (!identity->winner)
        free_identity(directory, identity);
    return 0;
}

static int commit_those(struct directory *directory, bool that_stay)
{
    int result = 0;

    LIST_FOR_EACH (link, &directory->touched) {
        struct identity *identity = CONTAINER_OF(link, struct identity, touched);
        int r = 0;

        choose_winner(identity);
        if ((identity->winner != NULL) == that_stay)
            r = commit_identity(directory, identity);
        if (r < 0 && result == 0)
            result = r;
    }
    return result;
}

/* What is new comes before what goes, so that a Pod under another name leaves no moment without either. */
int directory_commit(struct directory *directory)
{
    int put = commit_those(directory, true), removed = commit_those(directory, false);

    return put < 0 ? put : removed;
}

/* ---- questions ---- */

struct directory_counts directory_counts(const struct directory *directory)
{
    struct directory_counts counts = {.files = directory->files.count};

    MAP_FOR_EACH (link, &directory->files)
        counts.broken += file_of(link)->broken;
    MAP_FOR_EACH (link, &directory->identities) {
        const struct identity *identity = CONTAINER_OF(MAP_ENTRY(link), struct identity, entry);

        counts.objects += identity->winner != NULL;
        LIST_FOR_EACH (claim, &((struct identity *)identity)->claims)
            counts.duplicates += CONTAINER_OF(claim, struct claim, in_identity) != identity->winner;
    }
    return counts;
}

void directory_each_file(const struct directory *directory, void (*on_file)(void *context, struct slice file),
                         void *context)
{
    MAP_FOR_EACH (link, &directory->files)
        on_file(context, slice_str(file_of(link)->name));
}
