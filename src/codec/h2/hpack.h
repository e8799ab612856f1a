/*
 * Header compression for HTTP/2, RFC 7541: a decoder and an encoder, each with its dynamic table.
 *
 *     hpack_decode(decoder, &block, &field)    a field of a whole header block, and so on until 0
 *     hpack_encode(encoder, fields, ...)       a whole block into the caller's room
 *
 * They are on the path of every request. What a repeated field costs is an index: its name and value stay where they were put
 * when they came first, and what was found out about them then (`token`, `checked`) is kept beside them.
 *
 * Memory: nothing until the first entry; then one allocation for each entry of a table and a ring of pointers. Both
 * tables are bounded by their size as RFC 7541 section 4.1 counts it, so by size / 32 entries. hpack_decoder_release() and
 * hpack_encoder_release() give back all of it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "base/slice.h"

enum { HPACK_TABLE_DEFAULT = 4096 }; /* before SETTINGS say otherwise */

struct hpack_entry {
    uint32_t name_len, value_len;
    uint32_t hash; /* the encoder's */
    uint8_t token; /* enum http_token, once the decoder's user has set it */
    bool checked;  /* by the decoder's user: name and value are well formed, and `token` is set */
    char bytes[];  /* name, value */
};

/* The newest entry is the last of the ring. */
struct hpack_table {
    struct hpack_entry **ring;
    uint32_t room; /* places of the ring, a power of two */
    uint32_t next; /* where the next one goes, counted on */
    uint32_t count;
    size_t size, max; /* as section 4.1 counts: 32 for each entry, and its bytes */
};

/* `entry`: where the field stands in the dynamic table, to remember what is found out about it; NULL. */
struct hpack_field {
    struct slice name, value;
    struct hpack_entry *entry;
    bool never_index; /* section 6.2.3: sent so, or to be sent so */
};

struct hpack_decoder {
    struct hpack_table table;
    size_t limit;      /* that we announced: no size update may go beyond it */
    bool fields_begun; /* of the block: size updates stand in front */
    char *text;        /* of the field that was decoded last and is in no table */
    size_t text_room;
    struct hpack_entry *loose; /* a field that was to be indexed and is larger than the table */
};

struct hpack_encoder {
    struct hpack_table table;
    size_t lowest;    /* of the sizes set since the last block; SIZE_MAX: none was set */
    uint32_t *places; /* by hash, where the ring got the last entry; NULL before the first */
};

/* `limit` is SETTINGS_HEADER_TABLE_SIZE as it was announced. */
void hpack_decoder_init(struct hpack_decoder *decoder, size_t limit);
/* As before the first block; the peer's table is not empty then: only for the end of the connection. */
void hpack_decoder_release(struct hpack_decoder *decoder);
/*
 * The next field of the block: 1; 0 at its end; -EBADMSG: nothing more can be decoded on this connection; -ENOMEM, likewise.
 * The slices are valid until the next call, or as long as `block` is.
 */
int hpack_decode(struct hpack_decoder *decoder, struct slice *block, struct hpack_field *ret_field);

/* A size that both ends begin with: 4096. */
void hpack_encoder_init(struct hpack_encoder *encoder);
/* As at the beginning, but the peer's table may not be empty: the next block says so. */
void hpack_encoder_forget(struct hpack_encoder *encoder);
void hpack_encoder_release(struct hpack_encoder *encoder);
/* The peer's SETTINGS_HEADER_TABLE_SIZE, or less. */
void hpack_encoder_resize(struct hpack_encoder *encoder, size_t size);
/* Room that suffices. */
size_t hpack_bound(const struct hpack_field *fields, size_t count);
/* Names in lower case. The number of bytes written; room for hpack_bound() must be there. Without memory fields are not indexed. */
size_t hpack_encode(struct hpack_encoder *encoder, const struct hpack_field *fields, size_t count, char *to);
