#include "kube/decode/parts.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"

enum { SWEEP_MIN = 1024 };

void parts_init(struct parts *parts, uint64_t secret0, uint64_t secret1)
{
    map_init(&parts->by_text, secret0, secret1);
    parts->sweep_at = SWEEP_MIN;
}

static struct kube_part *part_of(struct map_entry *entry)
{
    return CONTAINER_OF(entry, struct kube_part, entry);
}

struct kube_part *part_new(struct slice text, size_t size)
{
    struct kube_part *part = calloc(1, sizeof(*part) + size + text.len);
    char *key;

    if (!part)
        return NULL;
    refcount_init(&part->refs);
    arena_init(&part->arena, LIMIT_OBJECT_ARENA);
    part->size = size;
    key = (char *)part->value + size;
    if (text.len)
        memcpy(key, text.ptr, text.len);
    part->entry.key = slice_of(key, text.len);
    return part;
}

void part_unref(struct kube_part *part)
{
    if (!part || !refcount_put(&part->refs))
        return;
    arena_release(&part->arena);
    free(part);
}

static void take_out(struct parts *parts, struct kube_part *part)
{
    map_remove(&parts->by_text, &part->entry);
    part_unref(part);
}

/* Who holds the only reference is the only one who could give another. */
static void sweep(struct parts *parts)
{
    MAP_FOR_EACH (link, &parts->by_text) {
        struct kube_part *part = part_of(MAP_ENTRY(link));

        if (atomic_load_explicit(&part->refs.count, memory_order_acquire) == 1)
            take_out(parts, part);
    }
    parts->sweep_at = parts->by_text.count * 2 > SWEEP_MIN ? parts->by_text.count * 2 : SWEEP_MIN;
}

void parts_release(struct parts *parts)
{
    MAP_FOR_EACH (link, &parts->by_text)
        take_out(parts, part_of(MAP_ENTRY(link)));
    map_release(&parts->by_text);
}

struct kube_part *parts_find(struct parts *parts, struct slice text)
{
    struct map_entry *entry = map_find(&parts->by_text, text);

    if (!entry)
        return NULL;
    refcount_get(&part_of(entry)->refs);
    return part_of(entry);
}

int parts_add(struct parts *parts, struct kube_part *part)
{
    int r;

    if (parts->by_text.count >= parts->sweep_at)
        sweep(parts);
    r = map_add(&parts->by_text, &part->entry, part->entry.key);
    if (r == 0)
        refcount_get(&part->refs);
    return r;
}
