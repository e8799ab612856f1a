#!/usr/bin/env python3
"""Writes hpack_codes.inc: the tables of the Huffman code of RFC 7541 Appendix B, from the lengths of its codes alone.

The code is canonical: among codes of one length, and from one length to the next, they count upwards."""

import sys

# By symbol, 0 to 255, and the end of the string.
LENGTHS = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
]
FAST = 9  # bits looked up at once: every printable character but a few


def codes():
    result, code, before = {}, 0, None
    for symbol in sorted(range(257), key=lambda symbol: (LENGTHS[symbol], symbol)):
        if before is not None:
            code = (code + 1) << (LENGTHS[symbol] - before)
        result[symbol], before = code, LENGTHS[symbol]
    return result


def rows(items, width):
    for at in range(0, len(items), width):
        yield "    " + ", ".join(items[at:at + width]) + ","


def main(path):
    code = codes()
    fast = [(0, 0)] * (1 << FAST)
    for symbol in range(256):
        length = LENGTHS[symbol]
        if length <= FAST:
            first = code[symbol] << (FAST - length)
            fast[first:first + (1 << (FAST - length))] = [(symbol, length)] * (1 << (FAST - length))
    by_code = sorted(range(257), key=lambda symbol: code[symbol] << (30 - LENGTHS[symbol]))
    lines = [f"enum {{ HUFFMAN_FAST = {FAST}, HUFFMAN_LONGEST = {max(LENGTHS)} }};",
             "/* By symbol. */", "static const struct { uint32_t code; uint8_t bits; } huffman_codes[257] = {",
             *rows([f"{{0x{code[symbol]:x}, {LENGTHS[symbol]}}}" for symbol in range(257)], 8), "};",
             "/* By the first bits; no bits: a longer code. */",
             "static const struct { uint8_t symbol, bits; } huffman_fast[1 << HUFFMAN_FAST] = {",
             *rows([f"{{{symbol}, {length}}}" for symbol, length in fast], 12), "};",
             "/* In the order of their codes; by length: the first code, put to the left of 32 bits, behind those of this length, and what",
             " * to add to a code of this length for its place. */",
             "static const uint16_t huffman_order[257] = {", *rows([str(symbol) for symbol in by_code], 20), "};",
             "static const struct { uint64_t end; int32_t offset; } huffman_lengths[HUFFMAN_LONGEST + 1] = {"]
    end, place = 0, 0
    for length in range(max(LENGTHS) + 1):
        count = LENGTHS.count(length)
        first = end >> (32 - length) if length else 0
        end = (first + count) << (32 - length) if length else 0
        lines.append(f"    {{0x{end:x}, {place - first}}},")
        place += count
    lines.append("};")
    with open(path, "w") as file:
        file.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
