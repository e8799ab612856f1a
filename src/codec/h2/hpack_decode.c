#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "codec/h2/hpack_parts.h"

enum {
    INTEGER_MAX = 1 << 24, /* of lengths, sizes and indices: far more than any limit of ours */
    TEXT_KEPT = 256        /* bytes of `text` between blocks */
};

void hpack_decoder_init(struct hpack_decoder *decoder, size_t limit)
{
    *decoder = (struct hpack_decoder){.limit = limit, .table.max = limit};
}

void hpack_decoder_release(struct hpack_decoder *decoder)
{
    hpack_table_release(&decoder->table);
    free(decoder->loose);
    decoder->loose = NULL;
    free(decoder->text);
    decoder->text = NULL;
    decoder->text_room = 0;
}

/* Section 5.1, behind a prefix of `bits` in the first byte. 0 or -EBADMSG. */
static int read_integer(struct slice *block, unsigned bits, uint32_t *ret_value)
{
    uint32_t mask = (1u << bits) - 1, value = (uint8_t)block->ptr[0] & mask;
    size_t at = 1;

    if (value == mask)
        for (unsigned shift = 0;; shift += 7) {
            uint8_t byte;

            if (at == block->len || shift > 21)
                return -EBADMSG;
            byte = (uint8_t)block->ptr[at++];
            value += (uint32_t)(byte & 0x7f) << shift;
            if (value > INTEGER_MAX)
                return -EBADMSG;
            if (!(byte & 0x80))
                break;
        }
    *block = slice_skip(*block, at);
    *ret_value = value;
    return 0;
}

/* A string as it stands in the block. */
struct text {
    struct slice bytes;
    bool coded;
};

static int read_text(struct slice *block, struct text *ret_text)
{
    uint32_t len;
    int r;

    if (!block->len)
        return -EBADMSG;
    ret_text->coded = block->ptr[0] & 0x80;
    r = read_integer(block, 7, &len);
    if (r < 0 || len > block->len)
        return -EBADMSG;
    ret_text->bytes = slice_take(*block, len);
    *block = slice_skip(*block, len);
    return 0;
}

static size_t text_room(struct text text)
{
    return text.coded ? text.bytes.len * 8 / 5 : text.bytes.len;
}

/* Writes at most text_room() bytes: how many, or -1. */
static ssize_t write_text(struct text text, char *to)
{
    if (text.coded)
        return huffman_decode(text.bytes, to);
    if (text.bytes.len)
        memcpy(to, text.bytes.ptr, text.bytes.len);
    return (ssize_t)text.bytes.len;
}

/* `index` is not 0. The entry is NULL for the static table. */
static int look_up(struct hpack_decoder *decoder, uint32_t index, struct hpack_field *ret_field)
{
    struct hpack_entry *entry;

    if (index <= HPACK_STATIC) {
        *ret_field = (struct hpack_field){.name = hpack_static[index].name, .value = hpack_static[index].value};
        return 0;
    }
    if (index - HPACK_STATIC - 1 >= decoder->table.count)
        return -EBADMSG;
    entry = hpack_at(&decoder->table, index - HPACK_STATIC - 1);
    *ret_field = (struct hpack_field){.name = hpack_name(entry), .value = hpack_value(entry), .entry = entry};
    return 0;
}

/* What is in no table: where it stands in the block if that is as it is, else in memory of the decoder's. */
static int keep_text(struct hpack_decoder *decoder, struct text name, struct text value, struct hpack_field *field)
{
    struct text texts[] = {name, value};
    struct slice *to[] = {&field->name, &field->value};
    size_t room = (name.coded ? text_room(name) : 0) + (value.coded ? text_room(value) : 0);
    char *at;

    if (room > decoder->text_room) {
        at = realloc(decoder->text, room);
        if (!at)
            return -ENOMEM;
        decoder->text = at;
        decoder->text_room = room;
    }
    at = decoder->text;
    for (int i = 0; i < 2; i++) {
        ssize_t n;

        if (!texts[i].coded || !texts[i].bytes.len) { /* an empty one stands as it is: there may be no memory yet */
            if (i == 1 || texts[i].bytes.ptr)
                *to[i] = texts[i].bytes;
            continue;
        }
        n = huffman_decode(texts[i].bytes, at);
        if (n < 0)
            return -EBADMSG;
        *to[i] = slice_of(at, (size_t)n);
        at += n;
    }
    return 1;
}

/* One that finds no place in the table empties it, and is a field of the block all the same (section 4.4). */
static int put(struct hpack_decoder *decoder, struct hpack_entry *entry, struct hpack_field *field)
{
    *field = (struct hpack_field){.name = hpack_name(entry), .value = hpack_value(entry)};
    if (!hpack_fits(&decoder->table, entry->name_len, entry->value_len)) {
        free(decoder->loose);
        decoder->loose = entry;
        hpack_clear(&decoder->table);
    } else if (hpack_put(&decoder->table, entry)) {
        field->entry = entry;
    } else {
        free(entry);
        return -ENOMEM;
    }
    return 1;
}

/* The new entry is written where it will stand. `known` is the name when it has an index. */
static int index_text(struct hpack_decoder *decoder, struct text name, struct text value, struct slice known,
                      struct hpack_field *field)
{
    struct text first = name.bytes.ptr ? name : (struct text){known, false};
    struct hpack_entry *entry = hpack_entry_new(text_room(first), text_room(value));
    ssize_t n, m;

    if (!entry)
        return -ENOMEM;
    n = write_text(first, entry->bytes);
    m = n < 0 ? -1 : write_text(value, entry->bytes + n);
    if (m < 0) {
        free(entry);
        return -EBADMSG;
    }
    entry->name_len = (uint32_t)n;
    entry->value_len = (uint32_t)m;
    return put(decoder, entry, field);
}

/* Section 6.2; `bits` are those of the name's index. */
static int read_literal(struct hpack_decoder *decoder, struct slice *block, unsigned bits, bool index, bool never,
                        struct hpack_field *ret_field)
{
    struct text name = {SLICE_NULL, false}, value;
    struct slice known = SLICE_NULL;
    uint32_t at;
    int r = read_integer(block, bits, &at);

    if (r == 0 && at) {
        r = look_up(decoder, at, ret_field);
        known = ret_field->name;
    } else if (r == 0) {
        r = read_text(block, &name);
    }
    if (r == 0)
        r = read_text(block, &value);
    if (r < 0)
        return r;
    if (index)
        return index_text(decoder, name, value, known, ret_field);
    *ret_field = (struct hpack_field){.name = known, .never_index = never};
    return keep_text(decoder, name, value, ret_field);
}

static int read_size(struct hpack_decoder *decoder, struct slice *block)
{
    uint32_t size;

    if (decoder->fields_begun || read_integer(block, 5, &size) < 0 || size > decoder->limit)
        return -EBADMSG;
    hpack_resize(&decoder->table, size);
    return 0;
}

/* An idle connection keeps nothing that was large. */
static void end_block(struct hpack_decoder *decoder)
{
    decoder->fields_begun = false;
    free(decoder->loose);
    decoder->loose = NULL;
    if (decoder->text_room > TEXT_KEPT) {
        free(decoder->text);
        decoder->text = NULL;
        decoder->text_room = 0;
    }
}

int hpack_decode(struct hpack_decoder *decoder, struct slice *block, struct hpack_field *ret_field)
{
    while (block->len) {
        uint8_t first = (uint8_t)block->ptr[0];
        uint32_t index;

        if ((first & 0xe0) == 0x20) {
            if (read_size(decoder, block) < 0)
                return -EBADMSG;
            continue;
        }
        decoder->fields_begun = true;
        if (first & 0x80) {
            if (read_integer(block, 7, &index) < 0 || !index || look_up(decoder, index, ret_field) < 0)
                return -EBADMSG;
            return 1;
        }
        if (first & 0x40)
            return read_literal(decoder, block, 6, true, false, ret_field);
        return read_literal(decoder, block, 4, false, first & 0x10, ret_field);
    }
    end_block(decoder);
    return 0;
}
