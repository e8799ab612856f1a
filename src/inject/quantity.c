#include "inject/quantity.h"

#include <errno.h>

enum { DIGITS_MAX = 40, EXPONENT_MAX = 30 };

static const struct {
    const char *suffix;
    double factor;
} suffixes[] = {
    {"", 1},        {"n", 1e-9},         {"u", 1e-6},          {"m", 1e-3},          {"k", 1e3},           {"M", 1e6},
    {"G", 1e9},     {"T", 1e12},         {"P", 1e15},          {"E", 1e18},          {"Ki", 1024.0},       {"Mi", 1048576.0},
    {"Gi", 0x1p30}, {"Ti", 0x1p40},      {"Pi", 0x1p50},       {"Ei", 0x1p60},
};

static bool is_digit(struct slice text)
{
    return text.len && *text.ptr >= '0' && *text.ptr <= '9';
}

/* Digits, of which each counts `weight` of the one before; returns how many there were. */
static size_t take_digits(struct slice *text, double weight, double *number)
{
    size_t count = 0;
    double scale = 1;

    for (; is_digit(*text); *text = slice_skip(*text, 1), count++) {
        if (weight < 1)
            *number += (*text->ptr - '0') * (scale *= weight);
        else
            *number = *number * weight + (*text->ptr - '0');
    }
    return count;
}

/* "e3", "E-2": not "E" alone, which is a suffix. */
static int exponent(struct slice text, double *ret_factor)
{
    bool negative = text.len > 1 && text.ptr[1] == '-';
    struct slice digits = slice_skip(text, negative || (text.len > 1 && text.ptr[1] == '+') ? 2 : 1);
    uint64_t power;
    double factor = 1;

    if (slice_u64(digits, EXPONENT_MAX, &power) < 0)
        return -EINVAL;
    while (power--)
        factor *= negative ? 0.1 : 10;
    *ret_factor = factor;
    return 0;
}

static int suffix(struct slice text, double *ret_factor)
{
    if (text.len > 1 && (*text.ptr == 'e' || (*text.ptr == 'E' && text.ptr[1] != 'i')))
        return exponent(text, ret_factor);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++)
        if (slice_eq(text, slice_str(suffixes[i].suffix))) {
            *ret_factor = suffixes[i].factor;
            return 0;
        }
    return -EINVAL;
}

int quantity_read(struct slice text, double *ret_number)
{
    double number = 0, factor;
    size_t digits;

    if (text.len > DIGITS_MAX)
        return -EINVAL;
    if (text.len && *text.ptr == '+')
        text = slice_skip(text, 1);
    digits = take_digits(&text, 10, &number);
    if (text.len && *text.ptr == '.') {
        text = slice_skip(text, 1);
        digits += take_digits(&text, 0.1, &number);
    }
    if (digits == 0 || suffix(text, &factor) < 0)
        return -EINVAL;
    *ret_number = number * factor;
    return 0;
}
