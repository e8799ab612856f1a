/* directory_apply(): from the bytes of a file to its claims. Nothing changes before all of it was read. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "kube/decode/decode.h"
#include "kube/directory/directory_claims.h"

/* Each object of a file has a place in it; between two there is room for documents that are added later. */
#define ORDER_STEP (UINT64_C(1) << 20)

/* One document of the new version of a file, in its order. */
struct entry {
    struct identity *identity;
    struct claim *claim;        /* what the file said of this object before, or prepared to be added */
    bool added;                 /* prepared */
    struct kube_object *object; /* what it says now; NULL: broken, and what it was before stays */
    uint64_t order;             /* of the object before; 0: a new one */
};

struct reading {
    struct decode_sink sink;
    struct directory *directory;
    struct file *file;
    uint64_t serial;
    struct entry *entries;
    size_t count, size, broken;
    bool unrecognised; /* some document may be any of the old ones */
    int error;
};

/* ---- what the decoder tells ---- */

static struct claim *find_claim(const struct file *file, struct identity *identity)
{
    LIST_FOR_EACH (link, &identity->claims) {
        struct claim *claim = CONTAINER_OF(link, struct claim, in_identity);

        if (claim->file == file)
            return claim;
    }
    return NULL;
}

static struct claim *new_claim(struct file *file, struct identity *identity)
{
    struct claim *claim = calloc(1, sizeof(*claim));

    if (!claim)
        return NULL;
    claim->file = file;
    claim->identity = identity;
    list_init(&claim->in_file);
    list_init(&claim->in_identity);
    return claim;
}

static int grow(struct reading *reading)
{
    size_t size = reading->size ? reading->size * 2 : 8;
    struct entry *entries;

    if (reading->count < reading->size)
        return 0;
    entries = realloc(reading->entries, size * sizeof(*entries));
    if (!entries)
        return -ENOMEM;
    reading->entries = entries;
    reading->size = size;
    return 0;
}

/* Takes the object over; it is NULL for a broken document. */
static int add_entry(struct reading *reading, struct identity *identity, struct kube_object *object)
{
    struct entry *entry;
    int r = grow(reading);

    if (r < 0) {
        kube_object_unref(object);
        return r;
    }
    entry = &reading->entries[reading->count];
    *entry = (struct entry){.identity = identity, .object = object, .claim = find_claim(reading->file, identity)};
    reading->count++;
    if (entry->claim) {
        entry->order = entry->claim->object->origin.order;
        return 0;
    }
    entry->added = true;
    entry->claim = new_claim(reading->file, identity);
    return entry->claim ? 0 : -ENOMEM;
}

static void report_kept(struct reading *reading, const struct claim *claim)
{
    char reason[120];

    snprintf(reason, sizeof(reason), "the last good version (then on line %d) stays in force",
             claim->object->origin.line);
    directory_report(reading->directory, REPORT_WARNING, slice_str(reading->file->name), 0, 0, claim->object, reason);
}

static int on_broken(struct reading *reading, struct identity *identity)
{
    struct claim *old = identity ? find_claim(reading->file, identity) : NULL;

    reading->broken++;
    reading->unrecognised |= !identity;
    if (!old)
        return 0;
    report_kept(reading, old);
    return add_entry(reading, identity, NULL);
}

static int on_repeated(struct reading *reading, const struct identity *identity, struct kube_object *object)
{
    char reason[160];

    snprintf(reason, sizeof(reason), "is here already, on line %d; this one is not used: remove one of them",
             identity->seen_line);
    if (object)
        directory_report(reading->directory, REPORT_ERROR, slice_str(reading->file->name), object->origin.line, 1,
                         object, reason);
    reading->broken++;
    kube_object_unref(object);
    return 0;
}

static int take_decoded(struct reading *reading, const struct decoded *decoded)
{
    struct store_key key = store_key_object(decoded->kind, decoded->namespace_, decoded->name);
    struct identity *identity;

    if (decoded->what == DECODED_IGNORED)
        return 0;
    if (!decoded->identified)
        return on_broken(reading, NULL);
    identity = directory_identity(reading->directory, &key, decoded->kind);
    if (!identity) {
        kube_object_unref(decoded->object);
        return -ENOMEM;
    }
    if (identity->seen == reading->serial)
        return on_repeated(reading, identity, decoded->object);
    identity->seen = reading->serial;
    identity->seen_line = decoded->object ? decoded->object->origin.line : 0;
    return decoded->object ? add_entry(reading, identity, decoded->object) : on_broken(reading, identity);
}

static void on_decoded(struct decode_sink *sink, const struct decoded *decoded)
{
    struct reading *reading = CONTAINER_OF(sink, struct reading, sink);
    int r = take_decoded(reading, decoded);

    if (r < 0)
        reading->error = r;
}

/* ---- documents ---- */

static void read_document(struct reading *reading, struct slice text, int line, enum yaml_syntax syntax)
{
    struct decode_options options = {slice_str(reading->file->name), reading->directory->reporter, true};
    struct yaml_node *root;
    struct yaml_problem problem;
    struct arena arena;
    int r;

    arena_init(&arena, (size_t)64 * LIMIT_YAML_FILE);
    r = yaml_parse(&arena, text, line, syntax, &root, &problem);
    if (r == -ENOMEM) {
        reading->error = r;
    } else if (r < 0) {
        directory_report(reading->directory, REPORT_ERROR, options.file, problem.line, problem.column, NULL,
                         problem.msg.text);
        on_broken(reading, NULL);
    } else if (decode_document(root, &options, &reading->sink) < 0) {
        reading->error = -ENOMEM;
    }
    arena_release(&arena);
}

static void read_documents(struct reading *reading, struct slice bytes)
{
    struct slice rest = bytes;
    struct yaml_document document;
    int line = 1;

    if (slice_ends(slice_str(reading->file->name), SLICE_LIT(".json"))) {
        read_document(reading, bytes, 1, JSON);
        return;
    }
    while (reading->error == 0 && yaml_next_document(&rest, &line, &document))
        read_document(reading, document.text, document.line, YAML);
}

/* ---- places ---- */

/* Numbers the new entries between `first` and `last`, both not counted, evenly. False when there is no room. */
static bool number_run(struct entry *entries, size_t count, uint64_t first, uint64_t last)
{
    uint64_t step = last ? (last - first) / (count + 1) : ORDER_STEP;

    for (size_t i = 0; i < count; i++)
        entries[i].order = first + (i + 1) * step;
    return step > 0;
}

static bool keep_orders(struct reading *reading)
{
    uint64_t last = 0;
    size_t run = 0;

    for (size_t i = 0; i < reading->count; i++) {
        struct entry *entry = &reading->entries[i];

        if (!entry->order) {
            run++;
            continue;
        }
        if (entry->order <= last || !number_run(entry - run, run, last, entry->order))
            return false;
        last = entry->order;
        run = 0;
    }
    return !run || number_run(reading->entries + reading->count - run, run, last, 0);
}

/* Old objects keep their places where the new order of the file allows it; else all are numbered afresh. */
static void set_orders(struct reading *reading)
{
    bool kept = keep_orders(reading);

    for (size_t i = 0; i < reading->count; i++) {
        struct entry *entry = &reading->entries[i];

        if (!kept)
            entry->order = (i + 1) * ORDER_STEP;
        if (entry->object)
            entry->object->origin.order = entry->order;
    }
}

/* ---- claims ---- */

static bool is_unchanged(const struct kube_object *old, const struct kube_object *new)
{
    return old->digest[0] == new->digest[0] && old->digest[1] == new->digest[1] &&
           old->origin.order == new->origin.order;
}

/* An object that says what it said before stays the same object; only its line may have moved. */
static void set_object(struct directory *directory, struct entry *entry)
{
    struct claim *claim = entry->claim;

    if (!entry->object)
        return;
    if (claim->object && is_unchanged(claim->object, entry->object)) {
        claim->object->origin.line = entry->object->origin.line;
        kube_object_unref(entry->object);
    } else {
        kube_object_unref(claim->object);
        claim->object = entry->object;
        claim->told = false;
        list_remove(&entry->identity->touched); /* to the end: the store hears in the order of the file */
        directory_touch(directory, entry->identity);
    }
    entry->object = NULL;
}

static void apply(struct reading *reading)
{
    struct file *file = reading->file;
    struct list old;

    set_orders(reading);
    list_init(&old);
    list_splice(&old, &file->claims);
    for (size_t i = 0; i < reading->count; i++) {
        struct entry *entry = &reading->entries[i];

        if (entry->added)
            list_push(&entry->identity->claims, &entry->claim->in_identity);
        list_remove(&entry->claim->in_file);
        list_push(&file->claims, &entry->claim->in_file);
        set_object(reading->directory, entry);
    }
    if (reading->unrecognised)
        list_splice(&file->claims, &old);
    LIST_FOR_EACH (link, &old)
        directory_free_claim(reading->directory, CONTAINER_OF(link, struct claim, in_file));
    file->broken = reading->broken;
}

static void give_up(struct reading *reading)
{
    for (size_t i = 0; i < reading->count; i++) {
        kube_object_unref(reading->entries[i].object);
        if (reading->entries[i].added)
            free(reading->entries[i].claim);
    }
}

/* ---- the file ---- */

static int need_file(struct directory *directory, struct slice name, struct file **ret_file)
{
    struct map_entry *entry = map_find(&directory->files, name);
    struct file *file;

    if (entry) {
        *ret_file = CONTAINER_OF(entry, struct file, entry);
        return 0;
    }
    if (directory->files.count >= LIMIT_SOURCE_FILES)
        return -ENOSPC;
    file = calloc(1, sizeof(*file));
    if (!file)
        return -ENOMEM;
    list_init(&file->claims);
    file->name = slice_dup(name);
    if (!file->name || map_add(&directory->files, &file->entry, slice_str(file->name)) < 0) {
        free(file->name);
        free(file);
        return -ENOMEM;
    }
    *ret_file = file;
    return 0;
}

static void report_unrecognised(const struct reading *reading)
{
    if (reading->unrecognised && !list_empty(&reading->file->claims))
        directory_report(reading->directory, REPORT_WARNING, slice_str(reading->file->name), 0, 0, NULL,
                         "until every document can be read, nothing that this file said before is removed");
}

int directory_apply(struct directory *directory, struct slice name, struct slice bytes)
{
    struct reading reading = {.sink.decoded = on_decoded, .directory = directory, .serial = ++directory->readings};
    int r;

    if (bytes.len > LIMIT_YAML_FILE) {
        directory_keep(directory, name, "it is larger than 16 MiB");
        return 0;
    }
    r = need_file(directory, name, &reading.file);
    if (r < 0)
        return r;
    read_documents(&reading, bytes);
    if (reading.error < 0) {
        give_up(&reading);
    } else {
        report_unrecognised(&reading);
        apply(&reading);
    }
    free(reading.entries);
    return reading.error;
}
