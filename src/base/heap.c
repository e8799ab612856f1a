#include "base/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

void heap_init(struct heap *heap)
{
    *heap = (struct heap){0};
}

void heap_release(struct heap *heap)
{
    free(heap->slots);
    heap_init(heap);
}

static bool before(const struct heap_entry *a, const struct heap_entry *b)
{
    return a->key != b->key ? a->key < b->key : heap_added_before(a, b->serial);
}

static void put(struct heap *heap, uint32_t place, struct heap_entry *entry)
{
    heap->slots[place - 1] = entry;
    entry->place = place;
}

static void sift_up(struct heap *heap, struct heap_entry *entry, uint32_t place)
{
    while (place > 1 && before(entry, heap->slots[place / 2 - 1])) {
        put(heap, place, heap->slots[place / 2 - 1]);
        place /= 2;
    }
    put(heap, place, entry);
}

static void sift_down(struct heap *heap, struct heap_entry *entry, uint32_t place)
{
    for (;;) {
        uint32_t child = place * 2;

        if (child > heap->count)
            break;
        if (child < heap->count && before(heap->slots[child], heap->slots[child - 1]))
            child++;
        if (!before(heap->slots[child - 1], entry))
            break;
        put(heap, place, heap->slots[child - 1]);
        place = child;
    }
    put(heap, place, entry);
}

int heap_add(struct heap *heap, struct heap_entry *entry, uint64_t key)
{
    assert(entry->place == 0);
    if (heap->count == heap->size) {
        uint32_t size = heap->size ? heap->size * 2 : 16;
        struct heap_entry **slots = size ? realloc(heap->slots, size * sizeof(struct heap_entry *)) : NULL;

        if (!slots)
            return -ENOMEM;
        heap->slots = slots;
        heap->size = size;
    }
    entry->key = key;
    entry->serial = heap->serial++;
    heap->count++;
    sift_up(heap, entry, heap->count);
    return 0;
}

void heap_remove(struct heap *heap, struct heap_entry *entry)
{
    uint32_t place = entry->place;
    struct heap_entry *last;

    if (place == 0)
        return;
    assert(place <= heap->count && heap->slots[place - 1] == entry);
    entry->place = 0;
    last = heap->slots[--heap->count];
    if (last == entry)
        return;
    if (place > 1 && before(last, heap->slots[place / 2 - 1]))
        sift_up(heap, last, place);
    else
        sift_down(heap, last, place);
}

struct heap_entry *heap_first(const struct heap *heap)
{
    return heap->count ? heap->slots[0] : NULL;
}
