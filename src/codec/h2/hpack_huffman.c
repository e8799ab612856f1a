#include "codec/h2/hpack_parts.h"

#include "codec/h2/hpack_codes.inc"

size_t huffman_size(struct slice text)
{
    size_t bits = 0;

    for (size_t i = 0; i < text.len; i++)
        bits += huffman_codes[(uint8_t)text.ptr[i]].bits;
    return (bits + 7) / 8;
}

void huffman_encode(struct slice text, char *to)
{
    uint64_t word = 0; /* what is not written yet stands in its lowest bits */
    unsigned held = 0;

    for (size_t i = 0; i < text.len; i++) {
        unsigned bits = huffman_codes[(uint8_t)text.ptr[i]].bits;

        word = word << bits | huffman_codes[(uint8_t)text.ptr[i]].code;
        for (held += bits; held >= 8; held -= 8)
            *to++ = (char)(word >> (held - 8));
    }
    if (held) /* filled up with the beginning of the end's code, which is ones */
        *to = (char)(word << (8 - held) | 0xff >> held);
}

/* A code that is longer than what is looked up at once: its length; HUFFMAN_LONGEST + 1 when there is none so far. */
static unsigned long_code(uint32_t window)
{
    unsigned bits = HUFFMAN_FAST + 1;

    while (bits <= HUFFMAN_LONGEST && window >= huffman_lengths[bits].end)
        bits++;
    return bits;
}

ssize_t huffman_decode(struct slice code, char *to)
{
    const char *start = to;
    uint64_t word = 0; /* what was read and not decoded stands in its lowest bits */
    unsigned held = 0;
    size_t at = 0;

    for (;;) {
        uint32_t window;
        unsigned bits;

        for (; held <= 56 && at < code.len; held += 8)
            word = word << 8 | (uint8_t)code.ptr[at++];
        if (held == 0)
            return to - start;
        /* Behind the end there are ones, as the padding has. */
        window = (uint32_t)(held >= 32 ? word >> (held - 32) : word << (32 - held) | UINT32_MAX >> held);
        bits = huffman_fast[window >> (32 - HUFFMAN_FAST)].bits;
        if (bits) {
            if (bits > held)
                break;
            *to++ = (char)huffman_fast[window >> (32 - HUFFMAN_FAST)].symbol;
        } else {
            uint32_t place;

            bits = long_code(window);
            if (bits > held || bits > HUFFMAN_LONGEST)
                break;
            place = (uint32_t)((int32_t)(window >> (32 - bits)) + huffman_lengths[bits].offset);
            if (huffman_order[place] == 256)
                return -1; /* the end of the string, within it */
            *to++ = (char)huffman_order[place];
        }
        held -= bits;
    }
    /* Less than a byte is left, all ones (section 5.2). */
    return held < 8 && (word & ((1u << held) - 1)) == (1u << held) - 1 ? to - start : -1;
}
