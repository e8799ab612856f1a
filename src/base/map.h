/*
 * A hash map from byte strings to pointers, intrusive: the entry is a member of
 * the element and points at a key that the element owns, so that the map itself
 * takes memory only for its table. Keys often come from outside; the hash is
 * SipHash-1-3 under a secret of the caller's, so that nobody can aim for one
 * bucket. Walking order is the order of insertion: nothing depends on addresses
 * or on the secret. Not for several threads at once.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/slice.h"

struct map_entry {
    struct map_entry *chain; /* next in the bucket */
    struct list order;       /* in the map's list */
    struct slice key;        /* memory of the element; unchanged while in the map */
    uint64_t hash;
};

struct map {
    struct map_entry **table; /* NULL while empty */
    size_t buckets;           /* power of two */
    size_t count;
    uint64_t secret[2];
    struct list order; /* oldest first */
};

/* A secret of {0,0} is fine where keys are our own (tests, the simulator). */
void map_init(struct map *map, uint64_t secret0, uint64_t secret1);
/* Frees the table; the elements are the caller's. */
void map_release(struct map *map);
/* NULL when there is none. */
struct map_entry *map_find(const struct map *map, struct slice key);
/* Adds; the key must not be in the map. 0 or -ENOMEM. */
int map_add(struct map *map, struct map_entry *entry, struct slice key);
void map_remove(struct map *map, struct map_entry *entry);

uint64_t siphash13(const void *bytes, size_t len, uint64_t k0, uint64_t k1);

#define MAP_FOR_EACH(pos, map) LIST_FOR_EACH (pos, &(map)->order)
/* The entry of a link met by MAP_FOR_EACH. */
#define MAP_ENTRY(link) CONTAINER_OF((link), struct map_entry, order)
