#include "codec/h2/hpack_parts.h"

#include <assert.h>
#include <stdlib.h>

#define ROW(name, value)                                                                                               \
    {                                                                                                                  \
        {name, sizeof(name) - 1}, {value, sizeof(value) - 1}                                                           \
    }

const struct hpack_static hpack_static[HPACK_STATIC + 1] = {
    {{NULL, 0}, {NULL, 0}},
    ROW(":authority", ""),
    ROW(":method", "GET"),
    ROW(":method", "POST"),
    ROW(":path", "/"),
    ROW(":path", "/index.html"),
    ROW(":scheme", "http"),
    ROW(":scheme", "https"),
    ROW(":status", "200"),
    ROW(":status", "204"),
    ROW(":status", "206"),
    ROW(":status", "304"),
    ROW(":status", "400"),
    ROW(":status", "404"),
    ROW(":status", "500"),
    ROW("accept-charset", ""),
    ROW("accept-encoding", "gzip, deflate"),
    ROW("accept-language", ""),
    ROW("accept-ranges", ""),
    ROW("accept", ""),
    ROW("access-control-allow-origin", ""),
    ROW("age", ""),
    ROW("allow", ""),
    ROW("authorization", ""),
    ROW("cache-control", ""),
    ROW("content-disposition", ""),
    ROW("content-encoding", ""),
    ROW("content-language", ""),
    ROW("content-length", ""),
    ROW("content-location", ""),
    ROW("content-range", ""),
    ROW("content-type", ""),
    ROW("cookie", ""),
    ROW("date", ""),
    ROW("etag", ""),
    ROW("expect", ""),
    ROW("expires", ""),
    ROW("from", ""),
    ROW("host", ""),
    ROW("if-match", ""),
    ROW("if-modified-since", ""),
    ROW("if-none-match", ""),
    ROW("if-range", ""),
    ROW("if-unmodified-since", ""),
    ROW("last-modified", ""),
    ROW("link", ""),
    ROW("location", ""),
    ROW("max-forwards", ""),
    ROW("proxy-authenticate", ""),
    ROW("proxy-authorization", ""),
    ROW("range", ""),
    ROW("referer", ""),
    ROW("refresh", ""),
    ROW("retry-after", ""),
    ROW("server", ""),
    ROW("set-cookie", ""),
    ROW("strict-transport-security", ""),
    ROW("transfer-encoding", ""),
    ROW("user-agent", ""),
    ROW("vary", ""),
    ROW("via", ""),
    ROW("www-authenticate", ""),
};
#undef ROW

struct hpack_entry *hpack_entry_new(size_t name_len, size_t value_len)
{
    struct hpack_entry *entry = malloc(sizeof(*entry) + name_len + value_len);

    if (entry)
        *entry = (struct hpack_entry){.name_len = (uint32_t)name_len, .value_len = (uint32_t)value_len};
    return entry;
}

static size_t cost(const struct hpack_entry *entry)
{
    return (size_t)entry->name_len + entry->value_len + HPACK_ENTRY_COST;
}

/* The oldest leave until no more than `size` is taken. */
static void shrink(struct hpack_table *table, size_t size)
{
    while (table->size > size) {
        struct hpack_entry *oldest = hpack_at(table, --table->count);

        table->size -= cost(oldest);
        free(oldest);
    }
}

static bool grow(struct hpack_table *table)
{
    uint32_t room = table->room ? table->room * 2 : 8;
    struct hpack_entry **ring = malloc(room * sizeof(struct hpack_entry *));

    if (!ring)
        return false;
    for (uint32_t i = 0; i < table->count; i++)
        ring[table->count - 1 - i] = hpack_at(table, i);
    free(table->ring);
    table->ring = ring;
    table->room = room;
    table->next = table->count;
    return true;
}

bool hpack_put(struct hpack_table *table, struct hpack_entry *entry)
{
    if (table->count == table->room && !grow(table)) /* first: without memory both ends' tables stay the same */
        return false;
    shrink(table, table->max - cost(entry));
    table->ring[table->next++ & (table->room - 1)] = entry;
    table->count++;
    table->size += cost(entry);
    return true;
}

void hpack_clear(struct hpack_table *table)
{
    shrink(table, 0);
}

void hpack_resize(struct hpack_table *table, size_t max)
{
    shrink(table, max);
    table->max = max;
}

void hpack_table_release(struct hpack_table *table)
{
    shrink(table, 0);
    assert(table->count == 0);
    free(table->ring);
    table->ring = NULL;
    table->room = table->next = 0;
}
