/*
 * Manifests: whatever the bytes are, parsing, decoding, deriving and indexing end, within their limits. The first byte
 * chooses JSON or YAML, the rest is a file; a 0x01 byte in it (which no manifest may hold) cuts it into versions of
 * that file that follow one another. Reading the last version again must change nothing.
 */
#include <assert.h>

#include "kube/directory/derive.h"
#include "kube/directory/directory.h"

struct counter {
    struct subscriber subscriber;
    size_t events;
};

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct counter *counter = CONTAINER_OF(subscriber, struct counter, subscriber);

    assert(old || new);
    assert(!old || !new || (old->kind == new->kind &&slice_eq(old->name, new->name)));
    counter->events++;
}

static void on_report(struct reporter *reporter, const struct report *report)
{
    assert(report->reason.len && slice_find(report->reason, '\0') == report->reason.len);
    assert(report->line >= 0);
}

/* Each object that the store tells of is where its keys say. */
static void check_store(const struct store *store)
{
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++) {
        struct kube_set set = store_all(store, (enum kube_kind)kind);

        for (size_t i = 0; i < set.count; i++) {
            const struct kube_object *object = set.items[i];

            assert(store_get(store, object->kind, object->namespace_, object->name) == object);
            assert(i == 0 || kube_object_compare_age(set.items[i - 1], object) < 0);
        }
    }
}

static void apply(struct directory *directory, struct slice file, struct slice bytes)
{
    int r = directory_apply(directory, file, bytes);

    assert(r == 0);
    r = directory_commit(directory);
    assert(r == 0);
    (void)r;
}

static void run(struct store *store, struct directory *directory, struct counter *counter, const uint8_t *data,
                size_t size)
{
    struct slice file = data[0] & 1 ? SLICE_LIT("f.json") : SLICE_LIT("f.yaml");
    struct slice rest = slice_of(data + 1, size - 1), version, last = SLICE_LIT("");
    size_t before;

    while (slice_split(&rest, '\1', &version)) {
        apply(directory, file, version);
        last = version;
    }
    check_store(store);
    before = counter->events;
    apply(directory, file, last);
    assert(counter->events == before);
    directory_drop(directory, file);
    before = (size_t)directory_commit(directory);
    assert(before == 0);
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        assert(store_all(store, (enum kube_kind)kind).count == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reporter reporter = {on_report};
    struct counter counter = {.subscriber = {.kinds = STORE_ALL_KINDS, .on_change = on_change}};
    struct directory *directory;
    struct derive *derive;
    struct store *store;

    if (size < 1)
        return 0;
    if (store_new(1, 2, &store) < 0 || derive_new(store, &derive) < 0 ||
        directory_new(store, &reporter, &directory) < 0 || store_subscribe(store, &counter.subscriber) < 0)
        __builtin_trap();
    run(store, directory, &counter, data, size);
    directory_free(directory);
    store_unsubscribe(store, &counter.subscriber);
    assert(derive_error(derive) == 0);
    derive_free(derive);
    store_free(store);
    return 0;
}
