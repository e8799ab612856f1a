#include "base/map.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

static uint64_t rotl(uint64_t x, int by)
{
    return x << by | x >> (64 - by);
}

static inline void sip_round(uint64_t v[4])
{
    v[0] += v[1], v[1] = rotl(v[1], 13) ^ v[0], v[0] = rotl(v[0], 32);
    v[2] += v[3], v[3] = rotl(v[3], 16) ^ v[2];
    v[0] += v[3], v[3] = rotl(v[3], 21) ^ v[0];
    v[2] += v[1], v[1] = rotl(v[1], 17) ^ v[2], v[2] = rotl(v[2], 32);
}

/* The bytes, at most eight, as a little-endian number, whatever the machine's order. */
static inline uint64_t load_le(const unsigned char *at, size_t len)
{
    uint64_t word = 0;

    memcpy(&word, at, len);
    return le64toh(word);
}

uint64_t siphash13(const void *bytes, size_t len, uint64_t k0, uint64_t k1)
{
    uint64_t v[4] = {k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261,
                     k1 ^ 0x7465646279746573};
    const unsigned char *at = bytes;
    size_t left = len;
    uint64_t word;

    for (; left >= 8; left -= 8, at += 8) {
        word = load_le(at, 8);
        v[3] ^= word;
        sip_round(v);
        v[0] ^= word;
    }
    word = (left ? load_le(at, left) : 0) | (uint64_t)len << 56;
    v[3] ^= word;
    sip_round(v);
    v[0] ^= word;
    v[2] ^= 0xff;
    sip_round(v);
    sip_round(v);
    sip_round(v);
    return v[0] ^ v[1] ^ v[2] ^ v[3];
}

void map_init(struct map *map, uint64_t secret0, uint64_t secret1)
{
    *map = (struct map){.secret = {secret0, secret1}};
    list_init(&map->order);
}

void map_release(struct map *map)
{
    free(map->table);
    map_init(map, map->secret[0], map->secret[1]);
}

static uint64_t hash_of(const struct map *map, struct slice key)
{
    return siphash13(key.ptr, key.len, map->secret[0], map->secret[1]);
}

struct map_entry *map_find(const struct map *map, struct slice key)
{
    uint64_t hash;

    if (map->count == 0)
        return NULL;
    hash = hash_of(map, key);
    for (struct map_entry *e = map->table[hash & (map->buckets - 1)]; e; e = e->chain)
        if (e->hash == hash && slice_eq(e->key, key))
            return e;
    return NULL;
}

static int grow(struct map *map)
{
    size_t buckets = map->buckets ? map->buckets * 2 : 8;
    struct map_entry **table = calloc(buckets, sizeof(struct map_entry *));

    if (!table)
        return -ENOMEM;
    MAP_FOR_EACH (link, map) {
        struct map_entry *e = MAP_ENTRY(link);
        struct map_entry **bucket = &table[e->hash & (buckets - 1)];

        e->chain = *bucket;
        *bucket = e;
    }
    free(map->table);
    map->table = table;
    map->buckets = buckets;
    return 0;
}

int map_add(struct map *map, struct map_entry *entry, struct slice key)
{
    struct map_entry **bucket;

    assert(!map_find(map, key));
    if (map->count >= map->buckets) {
        int r = grow(map);

        if (r < 0 && !map->table)
            return r; /* a crowded table is slow, a missing one is none */
    }
    entry->key = key;
    entry->hash = hash_of(map, key);
    bucket = &map->table[entry->hash & (map->buckets - 1)];
    entry->chain = *bucket;
    *bucket = entry;
    list_push(&map->order, &entry->order);
    map->count++;
    return 0;
}

void map_remove(struct map *map, struct map_entry *entry)
{
    struct map_entry **at = &map->table[entry->hash & (map->buckets - 1)];

    while (*at != entry) {
        assert(*at);
        at = &(*at)->chain;
    }
    *at = entry->chain;
    entry->chain = NULL;
    list_remove(&entry->order);
    map->count--;
}
