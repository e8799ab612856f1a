#include "base/slice.h"

#include <errno.h>
#include <stdlib.h>

static unsigned char lower(char c)
{
    return (c >= 'A' && c <= 'Z') ? (unsigned char)(c | 0x20) : (unsigned char)c;
}

/* Eight bytes at once: bit 5 is set in those between A and Z. No byte carries into the next. */
static inline uint64_t lower_eight(uint64_t bytes)
{
    const uint64_t ones = UINT64_C(0x0101010101010101), tops = ones << 7;
    uint64_t low = bytes & ~tops;
    uint64_t from_a = low + ones * (0x80 - 'A'), behind_z = low + ones * (0x7f - 'Z');

    return bytes | ((from_a ^ behind_z) & ~bytes & tops) >> 2;
}

static inline uint64_t load_eight(const char *at)
{
    uint64_t bytes;

    memcpy(&bytes, at, 8);
    return bytes;
}

/* Names of fields are compared with this for every request. */
bool slice_eq_nocase(struct slice a, struct slice b)
{
    size_t at = 0;

    if (a.len != b.len)
        return false;
    for (; at + 8 <= a.len; at += 8)
        if (lower_eight(load_eight(a.ptr + at)) != lower_eight(load_eight(b.ptr + at)))
            return false;
    if (at && at < a.len) /* the last eight, some of them again */
        return lower_eight(load_eight(a.ptr + a.len - 8)) == lower_eight(load_eight(b.ptr + a.len - 8));
    for (; at < a.len; at++)
        if (a.ptr[at] != b.ptr[at] && lower(a.ptr[at]) != lower(b.ptr[at]))
            return false;
    return true;
}

void slice_lower(struct slice s, char *to)
{
    size_t at = 0;

    for (; at + 8 <= s.len; at += 8) {
        uint64_t bytes = lower_eight(load_eight(s.ptr + at));

        memcpy(to + at, &bytes, 8);
    }
    for (; at < s.len; at++)
        to[at] = (char)lower(s.ptr[at]);
}

bool slice_has_upper(struct slice s)
{
    size_t at = 0;

    for (; at + 8 <= s.len; at += 8)
        if (lower_eight(load_eight(s.ptr + at)) != load_eight(s.ptr + at))
            return true;
    for (; at < s.len; at++)
        if (s.ptr[at] >= 'A' && s.ptr[at] <= 'Z')
            return true;
    return false;
}

bool slice_starts(struct slice s, struct slice prefix)
{
    return s.len >= prefix.len && slice_eq(slice_take(s, prefix.len), prefix);
}

bool slice_ends(struct slice s, struct slice suffix)
{
    return s.len >= suffix.len && slice_eq(slice_skip(s, s.len - suffix.len), suffix);
}

int slice_cmp(struct slice a, struct slice b)
{
    size_t common = a.len < b.len ? a.len : b.len;
    int order = common ? memcmp(a.ptr, b.ptr, common) : 0;

    if (order != 0)
        return order;
    return (a.len > b.len) - (a.len < b.len);
}

size_t slice_find(struct slice s, char byte)
{
    const char *hit = s.len ? memchr(s.ptr, byte, s.len) : NULL;

    return hit ? (size_t)(hit - s.ptr) : s.len;
}

size_t slice_find_slice(struct slice s, struct slice needle)
{
    const char *hit;

    if (needle.len == 0)
        return 0;
    hit = s.len ? memmem(s.ptr, s.len, needle.ptr, needle.len) : NULL;
    return hit ? (size_t)(hit - s.ptr) : s.len;
}

struct slice slice_trim(struct slice s)
{
    while (s.len && (s.ptr[0] == ' ' || s.ptr[0] == '\t'))
        s = slice_skip(s, 1);
    while (s.len && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

bool slice_split(struct slice *rest, char sep, struct slice *ret_part)
{
    size_t at;

    if (!rest->ptr)
        return false;
    at = slice_find(*rest, sep);
    *ret_part = slice_take(*rest, at);
    if (at < rest->len)
        *rest = slice_skip(*rest, at + 1);
    else
        *rest = SLICE_NULL;
    return true;
}

int slice_u64(struct slice s, uint64_t max, uint64_t *ret_value)
{
    uint64_t value = 0;

    if (s.len == 0)
        return -EINVAL;
    for (size_t i = 0; i < s.len; i++) {
        uint64_t digit = (uint64_t)(unsigned char)s.ptr[i] - '0';

        if (digit > 9)
            return -EINVAL;
        if (value > (UINT64_MAX - digit) / 10)
            return -ERANGE;
        value = value * 10 + digit;
    }
    if (value > max)
        return -ERANGE;
    *ret_value = value;
    return 0;
}

char *slice_dup(struct slice s)
{
    char *copy = malloc(s.len + 1);

    if (!copy)
        return NULL;
    if (s.len)
        memcpy(copy, s.ptr, s.len);
    copy[s.len] = '\0';
    return copy;
}

/* How many continuation bytes follow `lead`, and the smallest code point that needs so many. */
static int utf8_tail(unsigned char lead, uint32_t *ret_bits, uint32_t *ret_least)
{
    if ((lead & 0xe0) == 0xc0) {
        *ret_bits = lead & 0x1f;
        *ret_least = 0x80;
        return 1;
    }
    if ((lead & 0xf0) == 0xe0) {
        *ret_bits = lead & 0x0f;
        *ret_least = 0x800;
        return 2;
    }
    if ((lead & 0xf8) == 0xf0) {
        *ret_bits = lead & 0x07;
        *ret_least = 0x10000;
        return 3;
    }
    return -EINVAL;
}

bool slice_is_utf8(struct slice s)
{
    for (size_t i = 0; i < s.len; i++) {
        uint32_t point, least;
        int tail;

        if (!((unsigned char)s.ptr[i] & 0x80))
            continue;
        tail = utf8_tail((unsigned char)s.ptr[i], &point, &least);
        if (tail < 0 || s.len - i <= (size_t)tail)
            return false;
        while (tail-- > 0) {
            unsigned char next = (unsigned char)s.ptr[++i];

            if ((next & 0xc0) != 0x80)
                return false;
            point = point << 6 | (next & 0x3f);
        }
        if (point < least || point > 0x10ffff || (point >= 0xd800 && point <= 0xdfff))
            return false;
    }
    return true;
}
