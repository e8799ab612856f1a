#include "kube/store.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "base/map.h"
#include "kube/store_keys.h"

struct record {
    struct map_entry entry;
    struct kube_object *object;
    char key[]; /* store_key_object(); most are short, and there are many */
};

/* The objects under one key, oldest first. `room` is what was reserved for a put that is being prepared. */
struct bucket {
    struct map_entry entry;
    const struct kube_object **items; /* &one while there is room for no more */
    const struct kube_object *one;
    uint32_t count, size, room, key_len;
    char key[];
};

struct event {
    struct list link;
    struct kube_object *old, *new;
};

struct store {
    struct map records; /* by store_key_object() */
    struct map buckets; /* by every other key */
    struct list subscribers;
    struct subscriber *next; /* told next of the current event; NULL: nobody */
    struct list events;
    bool telling, synced, synced_told;
    uint32_t rounds;
};

/* ---- life ---- */

int store_new(uint64_t secret0, uint64_t secret1, struct store **ret_store)
{
    struct store *store = calloc(1, sizeof(*store));

    if (!store)
        return -ENOMEM;
    map_init(&store->records, secret0, secret1);
    map_init(&store->buckets, secret0, secret1);
    list_init(&store->subscribers);
    list_init(&store->events);
    *ret_store = store;
    return 0;
}

static struct record *record_of(struct map_entry *entry)
{
    return CONTAINER_OF(entry, struct record, entry);
}

static struct bucket *bucket_of(struct map_entry *entry)
{
    return CONTAINER_OF(entry, struct bucket, entry);
}

static void drop_bucket(struct store *store, struct bucket *bucket)
{
    map_remove(&store->buckets, &bucket->entry);
    if (bucket->items != &bucket->one)
        free(bucket->items);
    free(bucket);
}

void store_free(struct store *store)
{
    if (!store)
        return;
    assert(list_empty(&store->subscribers) && !store->telling);
    MAP_FOR_EACH (link, &store->records) {
        struct record *record = record_of(MAP_ENTRY(link));

        map_remove(&store->records, &record->entry);
        kube_object_unref(record->object);
        free(record);
    }
    MAP_FOR_EACH (link, &store->buckets)
        drop_bucket(store, bucket_of(MAP_ENTRY(link)));
    map_release(&store->records);
    map_release(&store->buckets);
    free(store);
}

/* ---- buckets ---- */

static struct bucket *find_bucket(const struct store *store, const struct store_key *key)
{
    struct map_entry *entry = key->len ? map_find(&store->buckets, slice_of(key->bytes, key->len)) : NULL;

    return entry ? bucket_of(entry) : NULL;
}

static struct bucket *new_bucket(struct store *store, const struct store_key *key)
{
    struct bucket *bucket = calloc(1, sizeof(*bucket) + key->len);

    if (!bucket)
        return NULL;
    bucket->key_len = (uint32_t)key->len;
    bucket->items = &bucket->one;
    bucket->size = 1;
    memcpy(bucket->key, key->bytes, key->len);
    if (map_add(&store->buckets, &bucket->entry, slice_of(bucket->key, bucket->key_len)) < 0) {
        free(bucket);
        return NULL;
    }
    return bucket;
}

/* Makes sure that one more object will fit under the key. */
static int reserve(void *context, const struct store_key *key)
{
    struct store *store = context;
    struct bucket *bucket = find_bucket(store, key);
    const struct kube_object **items;
    size_t size;

    if (!bucket)
        bucket = new_bucket(store, key);
    if (!bucket)
        return -ENOMEM;
    bucket->room++;
    if (bucket->count + bucket->room <= bucket->size)
        return 0;
    size = bucket->size + bucket->size / 2 + 1;
    if (size < bucket->count + bucket->room)
        size = bucket->count + bucket->room;
    items = realloc(bucket->items == &bucket->one ? NULL : bucket->items, size * sizeof(struct kube_object *));
    if (!items) {
        bucket->room--;
        return -ENOMEM;
    }
    if (bucket->items == &bucket->one)
        items[0] = bucket->one;
    bucket->items = items;
    bucket->size = (uint32_t)size;
    return 0;
}

static int unreserve(void *context, const struct store_key *key)
{
    struct store *store = context;
    struct bucket *bucket = find_bucket(store, key);

    if (!bucket)
        return 0;
    if (bucket->room)
        bucket->room--;
    if (!bucket->count && !bucket->room)
        drop_bucket(store, bucket);
    return 0;
}

/* Where the object is, or where it belongs. */
static size_t place_of(const struct bucket *bucket, const struct kube_object *object)
{
    size_t low = 0, high = bucket->count;

    while (low < high) {
        size_t middle = (low + high) / 2;

        if (kube_object_compare_age(bucket->items[middle], object) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* Room was reserved. Nothing happens when the object is there already (it names the key twice). */
static int insert(void *context, const struct store_key *key)
{
    void **pair = context;
    const struct kube_object *object = pair[1];
    struct bucket *bucket = find_bucket(pair[0], key);
    size_t at = place_of(bucket, object);

    assert(bucket->room > 0);
    bucket->room--;
    if (at < bucket->count && bucket->items[at] == object)
        return 0;
    memmove(&bucket->items[at + 1], &bucket->items[at], (bucket->count - at) * sizeof(*bucket->items));
    bucket->items[at] = object;
    bucket->count++;
    return 0;
}

static int take_out(void *context, const struct store_key *key)
{
    void **pair = context;
    const struct kube_object *object = pair[1];
    struct bucket *bucket = find_bucket(pair[0], key);
    size_t at = bucket ? place_of(bucket, object) : 0;

    if (!bucket || at == bucket->count || bucket->items[at] != object)
        return 0;
    bucket->count--;
    memmove(&bucket->items[at], &bucket->items[at + 1], (bucket->count - at) * sizeof(*bucket->items));
    if (!bucket->count && !bucket->room)
        drop_bucket(pair[0], bucket);
    return 0;
}

/* ---- events ---- */

static void tell(struct store *store, struct kube_object *old, struct kube_object *new)
{
    uint32_t kind = STORE_KIND((new ? new : old)->kind);
    struct list *link = store->subscribers.next;

    while (link != &store->subscribers) {
        struct subscriber *subscriber = CONTAINER_OF(link, struct subscriber, link);
        struct list *next = link->next;

        store->next = next == &store->subscribers ? NULL : CONTAINER_OF(next, struct subscriber, link);
        if (subscriber->kinds & kind)
            subscriber->on_change(subscriber, old, new);
        link = store->next ? &store->next->link : &store->subscribers;
    }
}

static void tell_synced(struct store *store)
{
    store->synced_told = true;
    LIST_FOR_EACH (link, &store->subscribers) {
        struct subscriber *subscriber = CONTAINER_OF(link, struct subscriber, link);

        if (subscriber->on_synced)
            subscriber->on_synced(subscriber);
    }
}

/* Tells of everything that waits, unless somebody further down the stack does that already. */
static void drain(struct store *store)
{
    if (store->telling)
        return;
    store->telling = true;
    do {
        struct list *link;

        while ((link = list_pop(&store->events)) != NULL) {
            struct event *event = CONTAINER_OF(link, struct event, link);

            tell(store, event->old, event->new);
            kube_object_unref(event->old);
            kube_object_unref(event->new);
            free(event);
        }
        if (store->synced && !store->synced_told)
            tell_synced(store);
    } while (!list_empty(&store->events));
    store->telling = false;
}

/* Takes both references over. */
static void queue_event(struct store *store, struct event *event, struct kube_object *old, struct kube_object *new)
{
    event->old = old;
    event->new = new;
    list_push(&store->events, &event->link);
    drain(store);
}

/* ---- sources ---- */

static bool is_same(const struct kube_object *a, const struct kube_object *b)
{
    return (a->digest[0] || a->digest[1]) && a->digest[0] == b->digest[0] && a->digest[1] == b->digest[1] &&
           a->origin.order == b->origin.order && slice_eq(a->origin.file, b->origin.file);
}

static struct record *find_record(const struct store *store, const struct store_key *key)
{
    struct map_entry *entry = key->len ? map_find(&store->records, slice_of(key->bytes, key->len)) : NULL;

    return entry ? record_of(entry) : NULL;
}

static struct record *new_record(struct store *store, const struct store_key *key)
{
    struct record *record = calloc(1, sizeof(*record) + key->len);

    if (!record)
        return NULL;
    memcpy(record->key, key->bytes, key->len);
    if (map_add(&store->records, &record->entry, slice_of(record->key, key->len)) < 0) {
        free(record);
        return NULL;
    }
    return record;
}

/* reserve() until it fails; says how many keys got their room, so that just those can be undone. */
struct reservation {
    struct store *store;
    size_t done, undone;
};

static int reserve_counted(void *context, const struct store_key *key)
{
    struct reservation *reservation = context;
    int r = reserve(reservation->store, key);

    reservation->done += r == 0;
    return r;
}

static int undo_counted(void *context, const struct store_key *key)
{
    struct reservation *reservation = context;

    if (reservation->undone++ < reservation->done)
        return unreserve(reservation->store, key);
    /* The bucket whose room could not be had may be new and empty. */
    return unreserve(reservation->store, key), -ECANCELED;
}

static int reserve_all(struct store *store, const struct kube_object *object)
{
    struct reservation reservation = {store, 0, 0};
    int r = store_keys_of(object, reserve_counted, &reservation);

    if (r < 0)
        store_keys_of(object, undo_counted, &reservation);
    return r;
}

/* Everything that can fail comes first. */
static int prepare_put(struct store *store, const struct kube_object *object, const struct store_key *key,
                       struct record **ret_record, struct event **ret_event)
{
    struct record *record = find_record(store, key);
    struct event *event = calloc(1, sizeof(*event));
    int r = 0;

    if (!event)
        return -ENOMEM;
    if (!record && store->records.count >= LIMIT_STORE_OBJECTS)
        r = -ENOSPC;
    if (r == 0)
        r = reserve_all(store, object);
    if (r < 0) {
        free(event);
        return r;
    }
    if (!record)
        record = new_record(store, key);
    if (!record) {
        store_keys_of(object, unreserve, store);
        free(event);
        return -ENOMEM;
    }
    *ret_record = record;
    *ret_event = event;
    return 0;
}

int store_put(struct store *store, struct kube_object *object)
{
    struct store_key key = store_key_object(object->kind, object->namespace_, object->name);
    struct record *record = find_record(store, &key);
    struct kube_object *old = record ? record->object : NULL;
    struct event *event;
    int r;

    if (!key.len)
        return -EINVAL;
    if (old && is_same(old, object)) {
        old->origin.line = object->origin.line;
        return 0;
    }
    r = prepare_put(store, object, &key, &record, &event);
    if (r < 0)
        return r;
    if (old)
        store_keys_of(old, take_out, (void *[]){store, old});
    store_keys_of(object, insert, (void *[]){store, object});
    record->object = kube_object_ref(object);
    queue_event(store, event, old, kube_object_ref(object));
    return 0;
}

int store_remove(struct store *store, enum kube_kind kind, struct slice namespace_, struct slice name)
{
    struct store_key key = store_key_object(kind, namespace_, name);
    struct record *record = find_record(store, &key);
    struct kube_object *old;
    struct event *event;

    if (!record)
        return 0;
    event = calloc(1, sizeof(*event));
    if (!event)
        return -ENOMEM;
    old = record->object;
    store_keys_of(old, take_out, (void *[]){store, old});
    map_remove(&store->records, &record->entry);
    free(record);
    queue_event(store, event, old, NULL);
    return 0;
}

uint32_t store_new_round(struct store *store)
{
    return ++store->rounds;
}

void store_mark(struct store *store, enum kube_kind kind, struct slice namespace_, struct slice name, uint32_t round)
{
    struct store_key key = store_key_object(kind, namespace_, name);
    struct record *record = find_record(store, &key);

    if (record)
        record->object->round = round;
}

void store_set_synced(struct store *store)
{
    store->synced = true;
    drain(store);
}

/* ---- looking up ---- */

bool store_is_synced(const struct store *store)
{
    return store->synced;
}

const struct kube_object *store_get(const struct store *store, enum kube_kind kind, struct slice namespace_,
                                    struct slice name)
{
    struct store_key key = store_key_object(kind, namespace_, name);
    struct record *record = find_record(store, &key);

    return record ? record->object : NULL;
}

static struct kube_set set_of(const struct store *store, const struct store_key *key)
{
    struct bucket *bucket = find_bucket(store, key);

    return bucket ? (struct kube_set){bucket->items, bucket->count} : (struct kube_set){NULL, 0};
}

struct kube_set store_all(const struct store *store, enum kube_kind kind)
{
    struct store_key key = store_key_all(kind);

    return set_of(store, &key);
}

struct kube_set store_in(const struct store *store, enum kube_kind kind, struct slice namespace_)
{
    struct store_key key = store_key_in(kind, namespace_);

    return set_of(store, &key);
}

struct kube_set store_by_ip(const struct store *store, enum store_ip_index index, struct ip ip)
{
    struct store_key key = store_key_ip(index, ip);

    return ip.version ? set_of(store, &key) : (struct kube_set){NULL, 0};
}

struct kube_set store_by_name(const struct store *store, enum store_name_index index, struct slice namespace_,
                              struct slice name)
{
    struct store_key key = store_key_name(index, namespace_, name);

    return set_of(store, &key);
}

/* ---- subscribers ---- */

static size_t count_objects(const struct store *store, uint32_t kinds)
{
    size_t count = 0;

    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++)
        if (kinds & STORE_KIND(kind))
            count += store_all(store, (enum kube_kind)kind).count;
    return count;
}

/* References to all objects of the kinds, by kind and then oldest first. */
static int copy_objects(const struct store *store, uint32_t kinds, struct kube_object ***ret_copy, size_t *ret_count)
{
    struct kube_object **copy = calloc(count_objects(store, kinds) + 1, sizeof(struct kube_object *));
    size_t count = 0;

    if (!copy)
        return -ENOMEM;
    for (int kind = 0; kind < KUBE_KIND_COUNT; kind++) {
        struct kube_set set = store_all(store, (enum kube_kind)kind);

        for (size_t i = 0; (kinds & STORE_KIND(kind)) && i < set.count; i++)
            copy[count++] = kube_object_ref(set.items[i]);
    }
    *ret_copy = copy;
    *ret_count = count;
    return 0;
}

int store_subscribe(struct store *store, struct subscriber *subscriber)
{
    struct kube_object **copy; /* because a callback may put (kube/directory/derive.h) */
    size_t count;

    assert(!store->telling);
    if (copy_objects(store, subscriber->kinds, &copy, &count) < 0)
        return -ENOMEM;
    store->telling = true;
    for (size_t i = 0; i < count; i++) {
        subscriber->on_change(subscriber, NULL, copy[i]);
        kube_object_unref(copy[i]);
    }
    free(copy);
    list_push(&store->subscribers, &subscriber->link);
    if (store->synced_told && subscriber->on_synced)
        subscriber->on_synced(subscriber);
    store->telling = false;
    drain(store);
    return 0;
}

uint32_t store_kinds(const struct store *store)
{
    uint32_t kinds = 0;

    LIST_FOR_EACH (link, &store->subscribers)
        kinds |= CONTAINER_OF(link, struct subscriber, link)->kinds;
    return kinds;
}

void store_unsubscribe(struct store *store, struct subscriber *subscriber)
{
    if (store->next == subscriber) {
        struct list *next = subscriber->link.next;

        store->next = next == &store->subscribers ? NULL : CONTAINER_OF(next, struct subscriber, link);
    }
    list_remove(&subscriber->link);
}
