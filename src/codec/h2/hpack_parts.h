/* What hpack_*.c share: tables and the Huffman code. Not for others. */
#pragma once

#include "codec/h2/hpack.h"

enum { HPACK_STATIC = 61, HPACK_ENTRY_COST = 32 };

struct hpack_static {
    struct slice name, value;
};

/* By index, 1 to HPACK_STATIC: RFC 7541 Appendix A. */
extern const struct hpack_static hpack_static[HPACK_STATIC + 1];

static inline struct slice hpack_name(const struct hpack_entry *entry)
{
    return slice_of(entry->bytes, entry->name_len);
}

static inline struct slice hpack_value(const struct hpack_entry *entry)
{
    return slice_of(entry->bytes + entry->name_len, entry->value_len);
}

/* 0 is the newest; `at` < table->count. */
static inline struct hpack_entry *hpack_at(const struct hpack_table *table, uint32_t at)
{
    return table->ring[(table->next - 1 - at) & (table->room - 1)];
}

/* An entry with room for the bytes, not yet in a table. NULL: no memory. */
struct hpack_entry *hpack_entry_new(size_t name_len, size_t value_len);
static inline bool hpack_fits(const struct hpack_table *table, size_t name_len, size_t value_len)
{
    return name_len + value_len + HPACK_ENTRY_COST <= table->max;
}

/* Puts it in front and takes it over; older ones leave for it. It must fit. False: no memory, and nothing has changed. */
bool hpack_put(struct hpack_table *table, struct hpack_entry *entry);
void hpack_clear(struct hpack_table *table);
void hpack_resize(struct hpack_table *table, size_t max);
void hpack_table_release(struct hpack_table *table);

/* Bytes that the code takes for `text`. */
size_t huffman_size(struct slice text);
/* Writes huffman_size() bytes. */
void huffman_encode(struct slice text, char *to);
/* At most code.len * 8 / 5 bytes. How many, or -1: not well formed. */
ssize_t huffman_decode(struct slice code, char *to);
