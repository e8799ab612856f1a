#include "kube/api/api_known.h"

#include <stdio.h>
#include <stdlib.h>

struct entry {
    struct map_entry entry;
    struct known_item item;
    char key[];
};

enum { KEY_MAX = 64 + 254 };

/* Neither may have a slash; what is longer than names are is cut, and then it is nobody's. */
static struct slice key_of(struct slice namespace_, struct slice name, char key[KEY_MAX])
{
    int len = snprintf(key, KEY_MAX, "%.*s/%.*s", SLICE_ARGS(namespace_), SLICE_ARGS(name));

    return slice_take(slice_of(key, KEY_MAX - 1), (size_t)len);
}

void known_init(struct known *known)
{
    map_init(&known->map, 0x6b6e6f77, 0x6e6f626a); /* names that a cluster's writers choose; a bad spread costs only time */
}

static void drop(struct known *known, struct map_entry *entry)
{
    map_remove(&known->map, entry);
    free(CONTAINER_OF(entry, struct entry, entry));
}

void known_release(struct known *known)
{
    MAP_FOR_EACH (link, &known->map)
        drop(known, MAP_ENTRY(link));
    map_release(&known->map);
    known_init(known);
}

struct known_item *known_find(const struct known *known, struct slice namespace_, struct slice name)
{
    char key[KEY_MAX];
    struct map_entry *entry = map_find(&known->map, key_of(namespace_, name, key));

    return entry ? &CONTAINER_OF(entry, struct entry, entry)->item : NULL;
}

struct known_item *known_add(struct known *known, struct slice namespace_, struct slice name)
{
    char text[KEY_MAX];
    struct slice key = key_of(namespace_, name, text);
    struct known_item *found = known_find(known, namespace_, name);
    struct entry *entry;

    if (found)
        return found;
    entry = calloc(1, sizeof(*entry) + key.len);
    if (!entry)
        return NULL;
    memcpy(entry->key, key.ptr, key.len);
    if (map_add(&known->map, &entry->entry, slice_of(entry->key, key.len)) < 0) {
        free(entry);
        return NULL;
    }
    return &entry->item;
}

void known_remove(struct known *known, struct slice namespace_, struct slice name)
{
    char key[KEY_MAX];
    struct map_entry *entry = map_find(&known->map, key_of(namespace_, name, key));

    if (entry)
        drop(known, entry);
}

void known_keep(struct known *known, uint32_t round)
{
    MAP_FOR_EACH (link, &known->map)
        if (CONTAINER_OF(MAP_ENTRY(link), struct entry, entry)->item.round != round)
            drop(known, MAP_ENTRY(link));
}
