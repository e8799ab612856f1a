/*
 * An intrusive binary heap ordered by a 64-bit key, least first; ties come out
 * in the order in which they were added, so that a run can be repeated exactly.
 * The element knows its place: removal costs O(log n). Used for timers.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

struct heap_entry {
    uint64_t key;
    uint64_t serial;  /* breaks ties */
    size_t place;     /* 1-based; 0: not in a heap */
};

struct heap {
    struct heap_entry **slots; /* slots[0] is place 1 */
    size_t count, size;
    uint64_t serial;
};

void heap_init(struct heap *heap);
void heap_release(struct heap *heap);
/* 0 or -ENOMEM. The entry must not be in a heap. */
int heap_add(struct heap *heap, struct heap_entry *entry, uint64_t key);
/* Does nothing to an entry that is in no heap. */
void heap_remove(struct heap *heap, struct heap_entry *entry);
/* The entry with the least key, or NULL; it stays. */
struct heap_entry *heap_first(const struct heap *heap);
