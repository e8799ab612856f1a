#include "inject/rendered.h"

#include <stdbool.h>
#include <string.h>

/* What differs from pod to pod; the rest belongs to the installation. */
static bool is_small(json_t *data)
{
    size_t size = 0, one;

    for (void *at = json_object_iter(data); at; at = json_object_iter_next(data, at))
        if (strcmp(json_object_iter_key(at), "root") != 0) {
            one = json_dumpb(json_object_iter_value(at), NULL, 0, JSON_COMPACT);
            if (one == 0) /* no memory to find out */
                return false;
            size += one;
        }
    return size <= LIMIT_INJECT_RENDERED_BYTES;
}

static struct rendered *oldest(struct rendered_cache *cache)
{
    struct rendered *found = cache->entries;

    for (size_t i = 1; i < LIMIT_INJECT_RENDERED; i++)
        if (cache->entries[i].used < found->used)
            found = &cache->entries[i];
    return found;
}

static void forget(struct rendered *entry)
{
    json_decref(entry->data);
    json_decref(entry->made);
    *entry = (struct rendered){.data = NULL};
}

json_t *rendered_find(struct rendered_cache *cache, json_t *data)
{
    struct rendered *entry;
    json_t *made;

    cache->turn++;
    for (size_t i = 0; i < LIMIT_INJECT_RENDERED; i++)
        if (json_equal(cache->entries[i].data, data)) {
            cache->entries[i].used = cache->turn;
            return json_incref(cache->entries[i].made);
        }
    made = json_object();
    if (!made || !is_small(data))
        return made;
    entry = oldest(cache);
    forget(entry);
    *entry = (struct rendered){json_incref(data), json_incref(made), cache->turn};
    return made;
}

void rendered_release(struct rendered_cache *cache)
{
    for (size_t i = 0; i < LIMIT_INJECT_RENDERED; i++)
        forget(&cache->entries[i]);
}
