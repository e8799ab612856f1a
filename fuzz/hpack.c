/* Header blocks as a peer writes them, one after the other on one connection (a byte of length in front of each); what is read is written
 * again by our encoder and must come back. */
#include <stdlib.h>
#include <string.h>

#include "codec/h2/hpack.h"

enum { FIELDS = 64, ROOM = 1 << 16 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void expect(bool true_)
{
    if (!true_)
        abort();
}

static struct slice copy(char **to, struct slice text)
{
    struct slice result = slice_of(*to, text.len);

    if (text.len)
        memcpy(*to, text.ptr, text.len);
    *to += text.len;
    return result;
}

/* The fields of a block in memory of `text`; -1: refused. What does not fit is left out. */
static int read_block(struct hpack_decoder *decoder, struct slice block, char *text, struct hpack_field *fields)
{
    const char *end = text + ROOM;
    struct hpack_field field;
    int r, count = 0;

    while ((r = hpack_decode(decoder, &block, &field)) > 0) {
        if (count == FIELDS || !field.name.len || field.name.len + field.value.len > (size_t)(end - text))
            continue;
        fields[count] = (struct hpack_field){.never_index = field.never_index};
        fields[count].name = copy(&text, field.name);
        fields[count++].value = copy(&text, field.value);
    }
    return r < 0 ? -1 : count;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct hpack_decoder theirs, back;
    struct hpack_encoder encoder;
    char *text = malloc(ROOM), *again = malloc(ROOM);
    struct slice rest = slice_of(data, size);

    expect(text && again);
    hpack_decoder_init(&theirs, HPACK_TABLE_DEFAULT);
    hpack_decoder_init(&back, HPACK_TABLE_DEFAULT);
    hpack_encoder_init(&encoder);
    while (rest.len) {
        struct hpack_field fields[FIELDS], returned[FIELDS];
        struct slice block = slice_take(slice_skip(rest, 1), (uint8_t)rest.ptr[0]);
        int count = read_block(&theirs, block, text, fields);
        char *bytes;

        rest = slice_skip(rest, 1 + block.len);
        if (count < 0)
            break;
        bytes = malloc(hpack_bound(fields, (size_t)count));
        expect(bytes);
        expect(read_block(&back, slice_of(bytes, hpack_encode(&encoder, fields, (size_t)count, bytes)), again, returned) == count);
        for (int i = 0; i < count; i++)
            expect(slice_eq(fields[i].name, returned[i].name) && slice_eq(fields[i].value, returned[i].value) &&
                   (!fields[i].never_index || returned[i].never_index));
        expect(theirs.table.size <= HPACK_TABLE_DEFAULT && encoder.table.size == back.table.size);
        free(bytes);
    }
    hpack_encoder_release(&encoder);
    hpack_decoder_release(&theirs);
    hpack_decoder_release(&back);
    free(text);
    free(again);
    return 0;
}
