/*
 * An intrusive binary heap ordered by a 64-bit key, least first; ties come out
 * in the order in which they were added, so that a run can be repeated exactly.
 * The element knows its place: removal costs O(log n). Used for timers.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Small, because every timer of every connection has one. */
struct heap_entry {
    uint64_t key;
    uint32_t serial; /* breaks ties; wraps around: heap_added_before */
    uint32_t place;  /* 1-based; 0: not in a heap */
};

struct heap {
    struct heap_entry **slots; /* slots[0] is place 1 */
    uint32_t count, size;
    uint32_t serial;
};

void heap_init(struct heap *heap);
void heap_release(struct heap *heap);
/* 0 or -ENOMEM, also at 2^31 entries. The entry must not be in a heap. */
int heap_add(struct heap *heap, struct heap_entry *entry, uint64_t key);
/* Does nothing to an entry that is in no heap. */
void heap_remove(struct heap *heap, struct heap_entry *entry);
/* The entry with the least key, or NULL; it stays. */
struct heap_entry *heap_first(const struct heap *heap);
/* Whether it was added when the heap's serial had not reached `serial`, with less than 2^31 additions between the two. */
static inline bool heap_added_before(const struct heap_entry *entry, uint32_t serial)
{
    return (int32_t)(entry->serial - serial) < 0;
}
