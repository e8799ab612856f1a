#include <stdlib.h>
#include <string.h>

#include "codec/h2/hpack_parts.h"

enum { LARGE = HPACK_TABLE_DEFAULT / 2, PLACES = 64 };

void hpack_encoder_init(struct hpack_encoder *encoder)
{
    *encoder = (struct hpack_encoder){.table.max = HPACK_TABLE_DEFAULT, .lowest = SIZE_MAX};
}

void hpack_encoder_release(struct hpack_encoder *encoder)
{
    hpack_table_release(&encoder->table);
    free(encoder->places);
    encoder->places = NULL;
}

void hpack_encoder_forget(struct hpack_encoder *encoder)
{
    if (encoder->table.count)
        encoder->lowest = 0;
    hpack_encoder_release(encoder);
}

void hpack_encoder_resize(struct hpack_encoder *encoder, size_t size)
{
    if (size == encoder->table.max)
        return;
    if (size < encoder->lowest)
        encoder->lowest = size;
    hpack_resize(&encoder->table, size);
}

/* --- finding --- */

static uint32_t hash_of(struct slice name, struct slice value)
{
    const uint64_t factor = UINT64_C(0x9e3779b97f4a7c15);
    uint64_t hash = name.len * 31 + value.len, word;
    const struct slice *parts[] = {&name, &value};

    for (int i = 0; i < 2; i++) {
        const char *at = parts[i]->ptr;
        size_t left = parts[i]->len;

        for (; left >= 8; left -= 8, at += 8) {
            memcpy(&word, at, 8);
            hash = (hash ^ word) * factor;
            hash ^= hash >> 32;
        }
        word = 0;
        for (; left; left--)
            word = word << 8 | (uint8_t)*at++;
        hash = (hash ^ word) * factor;
        hash ^= hash >> 32;
    }
    return (uint32_t)hash;
}

static bool is_at(const struct hpack_table *table, uint32_t at, struct slice name, struct slice value, uint32_t hash)
{
    const struct hpack_entry *entry = hpack_at(table, at);

    return entry->hash == hash && slice_eq(hpack_value(entry), value) && slice_eq(hpack_name(entry), name);
}

/* The index of an entry with this name and value, or 0. */
static uint32_t find(const struct hpack_encoder *encoder, struct slice name, struct slice value, uint32_t hash)
{
    const struct hpack_table *table = &encoder->table;
    uint32_t at;

    if (!table->count)
        return 0;
    at = table->next - 1 - encoder->places[hash % PLACES];
    if (at < table->count && is_at(table, at, name, value, hash))
        return HPACK_STATIC + 1 + at;
    for (at = 0; at < table->count; at++)
        if (is_at(table, at, name, value, hash))
            return HPACK_STATIC + 1 + at;
    return 0;
}

static uint32_t find_name(const struct hpack_table *table, struct slice name)
{
    for (uint32_t i = 0; i < table->count; i++)
        if (slice_eq(hpack_name(hpack_at(table, i)), name))
            return HPACK_STATIC + 1 + i;
    return 0;
}

/* The entries of the static table by the length of their names; of those with one name the first. */
static const uint8_t static_by_length[28][7] = {
    [3] = {21, 60},
    [4] = {33, 34, 37, 38, 45, 59},
    [5] = {4, 22, 50},
    [6] = {19, 32, 35, 54},
    [7] = {2, 6, 8, 36, 51, 52},
    [8] = {39, 42, 46},
    [10] = {1, 55, 58},
    [11] = {53},
    [12] = {31, 47},
    [13] = {18, 23, 24, 30, 41, 44},
    [14] = {15, 28},
    [15] = {16, 17},
    [16] = {26, 27, 29, 61},
    [17] = {40, 57},
    [18] = {48},
    [19] = {25, 43, 49},
    [25] = {56},
    [27] = {20},
};

/* The index of an entry of the static table: with the value, else with the name, else 0. */
static uint32_t find_static(struct slice name, struct slice value, bool *ret_whole)
{
    *ret_whole = false;
    if (name.len >= sizeof(static_by_length) / sizeof(static_by_length[0]))
        return 0;
    for (const uint8_t *at = static_by_length[name.len]; *at; at++) {
        uint32_t named = *at;

        if (!slice_eq(hpack_static[named].name, name))
            continue;
        for (uint32_t i = named; i <= HPACK_STATIC && slice_eq(hpack_static[i].name, name); i++)
            if (slice_eq(hpack_static[i].value, value)) {
                *ret_whole = true;
                return i;
            }
        return named;
    }
    return 0;
}

/* --- writing --- */

static char *put_integer(char *to, uint8_t pattern, unsigned bits, size_t value)
{
    size_t mask = (1u << bits) - 1;

    if (value < mask) {
        *to++ = (char)(pattern | value);
        return to;
    }
    *to++ = (char)(pattern | mask);
    for (value -= mask; value >= 0x80; value >>= 7)
        *to++ = (char)(0x80 | (value & 0x7f));
    *to++ = (char)value;
    return to;
}

static char *put_text(char *to, struct slice text)
{
    size_t coded = huffman_size(text);

    if (coded < text.len) {
        to = put_integer(to, 0x80, 7, coded);
        huffman_encode(text, to);
        return to + coded;
    }
    to = put_integer(to, 0, 7, text.len);
    if (text.len)
        memcpy(to, text.ptr, text.len);
    return to + text.len;
}

/* Values that seldom come twice. */
static bool is_fleeting(struct slice name)
{
    switch (name.len) {
    case 3: return slice_eq(name, SLICE_LIT("age"));
    case 4: return slice_eq(name, SLICE_LIT("etag"));
    case 5: return slice_eq(name, SLICE_LIT(":path"));
    case 8: return slice_eq(name, SLICE_LIT("location"));
    case 10: return slice_eq(name, SLICE_LIT("set-cookie"));
    case 13: return slice_eq(name, SLICE_LIT("if-none-match"));
    case 14: return slice_eq(name, SLICE_LIT("content-length"));
    case 17: return slice_eq(name, SLICE_LIT("if-modified-since"));
    default: return false;
    }
}

/* What must not be guessed by watching lengths (section 7.1). */
static bool is_secret(struct slice name, struct slice value)
{
    return slice_eq(name, SLICE_LIT("authorization")) || (slice_eq(name, SLICE_LIT("cookie")) && value.len < 20);
}

/* Whether an entry was made: not of one that would push out half of what is there. */
static bool remember(struct hpack_encoder *encoder, struct slice name, struct slice value, uint32_t hash)
{
    struct hpack_table *table = &encoder->table;
    struct hpack_entry *entry;

    if (name.len + value.len > LARGE || !hpack_fits(table, name.len, value.len))
        return false;
    if (!encoder->places)
        encoder->places = calloc(PLACES, sizeof(uint32_t));
    entry = encoder->places ? hpack_entry_new(name.len, value.len) : NULL;
    if (!entry)
        return false;
    entry->hash = hash;
    memcpy(entry->bytes, name.ptr, name.len);
    if (value.len)
        memcpy(entry->bytes + name.len, value.ptr, value.len);
    if (!hpack_put(table, entry)) {
        free(entry);
        return false;
    }
    encoder->places[hash % PLACES] = table->next - 1;
    return true;
}

/* A field that has no index: with that of its name, if there is one, and remembered if that is worth it. */
static char *put_literal(struct hpack_encoder *encoder, const struct hpack_field *field, bool never, bool index, uint32_t hash,
                         uint32_t named, char *to)
{
    if (!named)
        named = find_name(&encoder->table, field->name);
    if (never)
        to = put_integer(to, 0x10, 4, named);
    else if (index && remember(encoder, field->name, field->value, hash))
        to = put_integer(to, 0x40, 6, named);
    else
        to = put_integer(to, 0, 4, named);
    if (!named)
        to = put_text(to, field->name);
    return put_text(to, field->value);
}

static char *put_field(struct hpack_encoder *encoder, const struct hpack_field *field, char *to)
{
    struct slice name = field->name, value = field->value;
    bool never = field->never_index || is_secret(name, value), index = !never && !is_fleeting(name), whole;
    uint32_t hash = 0, at = 0;

    /* Pseudo fields are most often in the static table, at its beginning. */
    if (name.ptr[0] == ':') {
        at = find_static(name, value, &whole);
        if (whole && !never)
            return put_integer(to, 0x80, 7, at);
    }
    if (index) {
        uint32_t known;

        hash = hash_of(name, value);
        known = find(encoder, name, value, hash);
        if (known)
            return put_integer(to, 0x80, 7, known);
    }
    if (name.ptr[0] != ':') {
        at = find_static(name, value, &whole);
        if (whole && !never)
            return put_integer(to, 0x80, 7, at);
    }
    return put_literal(encoder, field, never, index, hash, at, to);
}

size_t hpack_bound(const struct hpack_field *fields, size_t count)
{
    size_t size = 2 * 6; /* two size updates */

    for (size_t i = 0; i < count; i++)
        size += 3 * 6 + fields[i].name.len + fields[i].value.len;
    return size;
}

size_t hpack_encode(struct hpack_encoder *encoder, const struct hpack_field *fields, size_t count, char *to)
{
    char *start = to;

    if (encoder->lowest != SIZE_MAX) { /* section 4.2: the lowest, then the last */
        if (encoder->lowest < encoder->table.max)
            to = put_integer(to, 0x20, 5, encoder->lowest);
        to = put_integer(to, 0x20, 5, encoder->table.max);
        encoder->lowest = SIZE_MAX;
    }
    for (size_t i = 0; i < count; i++)
        to = put_field(encoder, &fields[i], to);
    return (size_t)(to - start);
}
