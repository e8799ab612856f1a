/* HPACK beside nghttp2's, which is an older implementation of the same: what one writes the other must read, and what one refuses
 * the other must refuse. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <nghttp2/nghttp2.h>
#include <stdlib.h>
#include <string.h>

#include "base/rng.h"
#include "codec/h2/hpack_parts.h"

enum { FIELDS = 24, TEXT = 9000, BLOCK = 1 << 18 };

struct block {
    struct hpack_field fields[FIELDS];
    size_t count;
    char text[TEXT];
    size_t used;
};

static const char *const names[] = {":method", ":path", ":authority", ":status", "server", "date", "content-length", "etag", "x-a", "x-request-kind",
                                    "cookie", "authorization", "set-cookie", "accept-encoding", "grpc-timeout", "user-agent"};
static const char *const values[] = {"GET", "POST", "/", "/index.html", "200", "404", "a", "", "gzip, deflate", "Mon, 21 Oct 2013 20:13:21 GMT",
                                     "nginx/1.22.1", "text/html; charset=utf-8", "12345"};

static struct slice add_text(struct block *block, struct rng *rng, size_t len, bool printable)
{
    char *at = block->text + block->used;

    block->used += len;
    assert_true(block->used <= TEXT);
    for (size_t i = 0; i < len; i++)
        at[i] = (char)(printable ? ' ' + (int)rng_below(rng, 95) : (int)rng_below(rng, 256));
    return slice_of(at, len);
}

static void make_block(struct block *block, struct rng *rng)
{
    block->count = rng_below(rng, FIELDS);
    block->used = 0;
    for (size_t i = 0; i < block->count; i++) {
        struct hpack_field *field = &block->fields[i];

        *field = (struct hpack_field){.name = slice_str(names[rng_below(rng, sizeof(names) / sizeof(*names))])};
        switch (rng_below(rng, 8)) {
        case 0: field->value = add_text(block, rng, rng_below(rng, 300), true); break;
        case 1: field->value = add_text(block, rng, rng_below(rng, 40), false); break;
        case 2: field->name = add_text(block, rng, 1 + rng_below(rng, 30), true); break;
        default: field->value = slice_str(values[rng_below(rng, sizeof(values) / sizeof(*values))]); break;
        }
        field->never_index = rng_below(rng, 10) == 0;
    }
}

static void assert_field(struct slice name, struct slice value, const struct hpack_field *wanted)
{
    assert_int_equal(name.len, wanted->name.len);
    assert_memory_equal(name.ptr, wanted->name.ptr, name.len);
    assert_int_equal(value.len, wanted->value.len);
    if (value.len)
        assert_memory_equal(value.ptr, wanted->value.ptr, value.len);
}

/* What we write, nghttp2 reads, with tables of all sizes and encoders that forgot theirs. */
static void test_encoder(void **state)
{
    char *bytes = malloc(BLOCK);

    for (uint64_t seed = 0; seed < 200; seed++) {
        nghttp2_hd_inflater *inflater;
        struct hpack_encoder encoder;
        struct block block;
        struct rng rng;

        rng_seed(&rng, seed);
        hpack_encoder_init(&encoder);
        assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
        for (int turn = 0; turn < 60; turn++) {
            struct slice in;
            nghttp2_nv nv;
            size_t got = 0;
            int flags = 0;

            if (rng_below(&rng, 15) == 0)
                hpack_encoder_forget(&encoder);
            for (uint64_t i = rng_below(&rng, 12); i > 9; i--) {
                size_t size = rng_below(&rng, 3) ? rng_below(&rng, 4097) : 4096 * rng_below(&rng, 2);

                hpack_encoder_resize(&encoder, size);
                assert_int_equal(nghttp2_hd_inflate_change_table_size(inflater, size), 0);
            }
            make_block(&block, &rng);
            assert_true(hpack_bound(block.fields, block.count) <= BLOCK);
            in = slice_of(bytes, hpack_encode(&encoder, block.fields, block.count, bytes));
            assert_true(in.len <= hpack_bound(block.fields, block.count));
            while (in.len) {
                ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, (const uint8_t *)in.ptr, in.len, 1);

                assert_true(n >= 0);
                in = slice_skip(in, (size_t)n);
                if (flags & NGHTTP2_HD_INFLATE_EMIT) {
                    assert_true(got < block.count);
                    assert_field(slice_of(nv.name, nv.namelen), slice_of(nv.value, nv.valuelen), &block.fields[got]);
                    if (block.fields[got].never_index)
                        assert_true(nv.flags & NGHTTP2_NV_FLAG_NO_INDEX);
                    got++;
                }
            }
            assert_int_equal(got, block.count);
            nghttp2_hd_inflate_end_headers(inflater);
            assert_int_equal(nghttp2_hd_inflate_get_dynamic_table_size(inflater), encoder.table.size);
        }
        nghttp2_hd_inflate_del(inflater);
        hpack_encoder_release(&encoder);
    }
    free(bytes);
}

/* What nghttp2 writes, we read. */
static void test_decoder(void **state)
{
    uint8_t *bytes = malloc(BLOCK);

    for (uint64_t seed = 0; seed < 200; seed++) {
        nghttp2_hd_deflater *deflater;
        struct hpack_decoder decoder;
        struct block block;
        struct rng rng;

        rng_seed(&rng, seed);
        hpack_decoder_init(&decoder, HPACK_TABLE_DEFAULT);
        assert_int_equal(nghttp2_hd_deflate_new(&deflater, HPACK_TABLE_DEFAULT), 0);
        for (int turn = 0; turn < 60; turn++) {
            nghttp2_nv nv[FIELDS];
            struct hpack_field field;
            struct slice in;
            ssize_t len;

            if (rng_below(&rng, 10) == 0)
                assert_int_equal(nghttp2_hd_deflate_change_table_size(deflater, rng_below(&rng, 4097)), 0);
            make_block(&block, &rng);
            for (size_t i = 0; i < block.count; i++)
                nv[i] = (nghttp2_nv){(uint8_t *)(uintptr_t)block.fields[i].name.ptr, (uint8_t *)(uintptr_t)block.fields[i].value.ptr,
                                     block.fields[i].name.len, block.fields[i].value.len,
                                     block.fields[i].never_index ? NGHTTP2_NV_FLAG_NO_INDEX : 0};
            len = nghttp2_hd_deflate_hd(deflater, bytes, BLOCK, nv, block.count);
            assert_true(len >= 0);
            in = slice_of(bytes, (size_t)len);
            for (size_t i = 0; i < block.count; i++) {
                assert_int_equal(hpack_decode(&decoder, &in, &field), 1);
                assert_field(field.name, field.value, &block.fields[i]);
                assert_true(!block.fields[i].never_index || field.never_index);
            }
            assert_int_equal(hpack_decode(&decoder, &in, &field), 0);
            assert_int_equal(nghttp2_hd_deflate_get_dynamic_table_size(deflater), decoder.table.size);
        }
        nghttp2_hd_deflate_del(deflater);
        hpack_decoder_release(&decoder);
    }
    free(bytes);
}

/* All fields of the bytes as text, by us: how many, or -1. */
static int read_ours(struct hpack_decoder *decoder, struct slice in, char *to)
{
    struct hpack_field field;
    int r, count = 0;

    while ((r = hpack_decode(decoder, &in, &field)) > 0) {
        if (field.name.len)
            memcpy(to, field.name.ptr, field.name.len);
        to += field.name.len;
        if (field.value.len)
            memcpy(to, field.value.ptr, field.value.len);
        to += field.value.len;
        *to++ = '\n';
        count++;
    }
    *to = '\0';
    return r < 0 ? -1 : count;
}

static int read_theirs(nghttp2_hd_inflater *inflater, struct slice in, char *to)
{
    int count = 0;

    while (in.len) {
        nghttp2_nv nv;
        int flags = 0;
        ssize_t n = nghttp2_hd_inflate_hd2(inflater, &nv, &flags, (const uint8_t *)in.ptr, in.len, 1);

        if (n < 0)
            return -1;
        in = slice_skip(in, (size_t)n);
        if (!(flags & NGHTTP2_HD_INFLATE_EMIT))
            continue;
        memcpy(to, nv.name, nv.namelen);
        to += nv.namelen;
        memcpy(to, nv.value, nv.valuelen);
        to += nv.valuelen;
        *to++ = '\n';
        count++;
    }
    nghttp2_hd_inflate_end_headers(inflater);
    *to = '\0';
    return count;
}

/* Good blocks with some bytes changed, and plain noise: both read the same, or both refuse. */
static void test_noise(void **state)
{
    static char ours[1 << 20], theirs[1 << 20];
    unsigned refused = 0, read = 0;

    for (uint64_t seed = 0; seed < 20000; seed++) {
        struct hpack_encoder encoder;
        struct hpack_decoder decoder;
        nghttp2_hd_inflater *inflater;
        char bytes[16384];
        struct block block;
        struct rng rng;

        rng_seed(&rng, seed);
        hpack_encoder_init(&encoder);
        hpack_decoder_init(&decoder, HPACK_TABLE_DEFAULT);
        assert_int_equal(nghttp2_hd_inflate_new(&inflater), 0);
        for (int turn = 0; turn < 4; turn++) {
            size_t len;
            int count;

            make_block(&block, &rng);
            len = hpack_encode(&encoder, block.fields, block.count, bytes);
            if (rng_below(&rng, 4) == 0)
                for (size_t i = 0; i < len; i++)
                    bytes[i] = (char)rng_below(&rng, 256);
            for (uint64_t i = rng_below(&rng, 3); i && len; i--)
                bytes[rng_below(&rng, len)] ^= (char)(1 << rng_below(&rng, 8));
            if (len && rng_below(&rng, 8) == 0)
                len = rng_below(&rng, len);
            count = read_ours(&decoder, slice_of(bytes, len), ours);
            if (read_theirs(inflater, slice_of(bytes, len), theirs) != count)
                fail_msg("seed %llu, block %d: only one of both reads it (%d)", (unsigned long long)seed, turn, count);
            if (count < 0) {
                refused++;
                break;
            }
            assert_string_equal(ours, theirs);
            read++;
        }
        nghttp2_hd_inflate_del(inflater);
        hpack_encoder_release(&encoder);
        hpack_decoder_release(&decoder);
    }
    assert_true(refused > 1000 && read > 1000);
}

static void test_refused(void **state)
{
    static const struct {
        const char *what;
        struct slice bytes;
    } cases[] = {
        {"index 0", {"\x80", 1}},
        {"an index behind the table", {"\xbe", 1}},
        {"a name's index behind the table", {"\x7e\x01x", 3}},
        {"an integer without end", {"\xff\x80\x80\x80\x80\x80", 6}},
        {"an integer beyond measure", {"\xff\xff\xff\xff\xff\x0f", 6}},
        {"an integer that is cut off", {"\xff", 1}},
        {"a text that is cut off", {"\x40\x05xx", 4}},
        {"no text", {"\x40", 1}},
        {"a name and no value", {"\x40\x01x", 3}},
        {"a size beyond the limit", {"\x3f\xe2\x1f", 3}},
        {"a size behind a field", {"\x82\x20", 2}},
        {"padding of a whole byte", {"\x40\x82\x07\xff\x01x", 6}},
        {"padding that is not ones", {"\x40\x81\x00\x01x", 5}},
        {"the end within a text", {"\x40\x84\xff\xff\xff\xff\x01x", 8}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
        struct hpack_decoder decoder;
        char to[100];

        hpack_decoder_init(&decoder, HPACK_TABLE_DEFAULT);
        if (read_ours(&decoder, cases[i].bytes, to) != -1)
            fail_msg("%s is read", cases[i].what);
        hpack_decoder_release(&decoder);
    }
}

/* Appendix C.6: responses with Huffman coding, in a table of 256. */
static void test_examples(void **state)
{
    static const struct {
        struct slice bytes;
        const char *fields;
        size_t table;
    } blocks[] = {
        {{"\x48\x82\x64\x02\x58\x85\xae\xc3\x77\x1a\x4b\x61\x96\xd0\x7a\xbe\x94\x10\x54\xd4\x44\xa8\x20\x05\x95\x04\x0b\x81\x66\xe0\x82"
          "\xa6\x2d\x1b\xff\x6e\x91\x9d\x29\xad\x17\x18\x63\xc7\x8f\x0b\x97\xc8\xe9\xae\x82\xae\x43\xd3", 54},
         ":status302\ncache-controlprivate\ndateMon, 21 Oct 2013 20:13:21 GMT\nlocationhttps://www.example.com\n", 222},
        {{"\x48\x83\x64\x0e\xff\xc1\xc0\xbf", 8},
         ":status307\ncache-controlprivate\ndateMon, 21 Oct 2013 20:13:21 GMT\nlocationhttps://www.example.com\n", 222},
    };
    struct hpack_decoder decoder;
    char to[1000];

    hpack_decoder_init(&decoder, 256);
    for (size_t i = 0; i < sizeof(blocks) / sizeof(*blocks); i++) {
        assert_int_equal(read_ours(&decoder, blocks[i].bytes, to), 4);
        assert_string_equal(to, blocks[i].fields);
        assert_int_equal(decoder.table.size, blocks[i].table);
    }
    hpack_decoder_release(&decoder);
}

/* A byte for each of the entries that have a value; for the others the name's index. */
static void test_static_table(void **state)
{
    for (uint32_t i = 1; i <= HPACK_STATIC; i++) {
        const struct hpack_field field = {.name = hpack_static[i].name, .value = hpack_static[i].value};
        const struct hpack_field other = {.name = hpack_static[i].name, .value = SLICE_LIT("other")};
        struct hpack_encoder encoder;
        struct hpack_decoder decoder;
        char bytes[100], to[100];
        size_t len;

        hpack_encoder_init(&encoder);
        hpack_decoder_init(&decoder, HPACK_TABLE_DEFAULT);
        len = hpack_encode(&encoder, &field, 1, bytes);
        if (!slice_eq(field.name, SLICE_LIT("authorization")) && !slice_eq(field.name, SLICE_LIT("cookie"))) {
            assert_int_equal(len, 1);
            assert_int_equal((uint8_t)bytes[0], 0x80 | i);
        }
        len = hpack_encode(&encoder, &other, 1, bytes);
        assert_true(len <= 7); /* no name: two bytes for its index, five for the value */
        assert_int_equal(read_ours(&decoder, slice_of(bytes, len), to), 1);
        assert_true(slice_starts(slice_str(to), field.name));
        hpack_encoder_release(&encoder);
        hpack_decoder_release(&decoder);
    }
}

static void test_larger_than_the_table(void **state)
{
    struct hpack_decoder decoder;
    char to[100];

    hpack_decoder_init(&decoder, 40);
    assert_int_equal(read_ours(&decoder, SLICE_LIT("\x40\x01" "a" "\x01" "b"), to), 1);
    assert_int_equal(decoder.table.size, 34);
    /* Its name is that of the entry which it drives out. */
    assert_int_equal(read_ours(&decoder, SLICE_LIT("\x7e\x0a" "0123456789" "\x82"), to), 2);
    assert_string_equal(to, "a0123456789\n:methodGET\n");
    assert_int_equal(decoder.table.size, 0);
    hpack_decoder_release(&decoder);
}

/* Huffman's code for nothing, before the decoder needed memory for anything: a text without bytes, but with a place. */
static void test_empty_coded(void **state)
{
    static const char block[] = "\x00\x01x\x80";
    struct slice in = slice_of(block, sizeof(block) - 1);
    struct hpack_decoder decoder;
    struct hpack_field field;

    (void)state;
    hpack_decoder_init(&decoder, HPACK_TABLE_DEFAULT);
    assert_int_equal(hpack_decode(&decoder, &in, &field), 1);
    assert_true(slice_eq(field.name, SLICE_LIT("x")));
    assert_int_equal(field.value.len, 0);
    assert_non_null(field.value.ptr);
    assert_int_equal(hpack_decode(&decoder, &in, &field), 0);
    hpack_decoder_release(&decoder);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_encoder),  cmocka_unit_test(test_decoder),
        cmocka_unit_test(test_noise),    cmocka_unit_test(test_refused),
        cmocka_unit_test(test_empty_coded), cmocka_unit_test(test_static_table), cmocka_unit_test(test_examples), cmocka_unit_test(test_larger_than_the_table),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
