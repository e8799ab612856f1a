#include "codec/http1/http1_syntax.h"

#include <endian.h>
#include <stdint.h>

static const bool token_bytes[256] = {
    ['!'] = true, ['#'] = true, ['$'] = true, ['%'] = true,         ['&'] = true,         ['\''] = true,
    ['*'] = true, ['+'] = true, ['-'] = true, ['.'] = true,         ['^'] = true,         ['_'] = true,
    ['`'] = true, ['|'] = true, ['~'] = true, ['0' ... '9'] = true, ['A' ... 'Z'] = true, ['a' ... 'z'] = true,
};

size_t http1_token_span(const char *at, const char *end)
{
    const char *start = at;

    while (at < end && token_bytes[(unsigned char)*at])
        at++;
    return (size_t)(at - start);
}

/*
 * Eight bytes at a time without a vector unit: the top bit of each byte of the
 * result is set for bytes below `least` (at most 0x80), bytes that equal `but`, and
 * DEL. Borrows can set others too, but only above such a byte: the lowest is right.
 */
static inline uint64_t unwanted(uint64_t word, uint64_t least, uint64_t but)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t no_del = word ^ ones * 0x7f, no_but = word ^ ones * but;

    return (((word - ones * least) & ~word) | ((no_del - ones) & ~no_del) | ((no_but - ones) & ~no_but)) & tops;
}

/* The bytes before the first that is below `least`, or `but`, or DEL. */
static inline size_t clean_span(const char *at, const char *end, unsigned char least, unsigned char but)
{
    const char *start = at;

    for (; end - at >= 8; at += 8) {
        uint64_t word, found;

        memcpy(&word, at, 8);
        found = unwanted(le64toh(word), least, but);
        if (found)
            return (size_t)(at - start) + (size_t)__builtin_ctzll(found) / 8;
    }
    while (at < end && (unsigned char)*at >= least && (unsigned char)*at != but && *at != 0x7f)
        at++;
    return (size_t)(at - start);
}

size_t http1_value_span(const char *at, const char *end)
{
    const char *start = at;

    for (;;) {
        at += clean_span(at, end, 0x20, 0x7f);
        if (at == end || *at != '\t')
            return (size_t)(at - start);
        at++;
    }
}

size_t http1_target_span(const char *at, const char *end)
{
    return clean_span(at, end, 0x21, '#');
}

bool http1_list_next(struct slice *rest, struct slice *ret_member)
{
    struct slice member;

    while (slice_split(rest, ',', &member)) {
        member = slice_trim(member);
        if (member.len) {
            *ret_member = member;
            return true;
        }
    }
    return false;
}

bool http1_list_has(struct slice list, struct slice member)
{
    struct slice one;

    while (http1_list_next(&list, &one))
        if (slice_eq_nocase(one, member))
            return true;
    return false;
}
