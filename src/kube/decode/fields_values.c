/* Texts with a meaning of their own: quantities, times, ranges of ports. */
#include <errno.h>

#include "base/duration.h"
#include "kube/decode/fields.h"

/* Thousandths for one, by suffix. Milli is the finest that anything we read has. */
static int64_t suffix_scale(struct slice suffix)
{
    static const struct {
        const char *suffix;
        int64_t scale;
    } scales[] = {
        {"", 1000},
        {"m", 1},
        {"k", INT64_C(1000000)},
        {"M", INT64_C(1000000000)},
        {"G", INT64_C(1000000000000)},
        {"Ki", INT64_C(1024000)},
        {"Mi", INT64_C(1048576000)},
        {"Gi", INT64_C(1073741824000)},
    };

    for (size_t i = 0; i < sizeof(scales) / sizeof(scales[0]); i++)
        if (slice_eq(suffix, slice_str(scales[i].suffix)))
            return scales[i].scale;
    return 0;
}

static size_t digits_at(struct slice text, size_t at)
{
    size_t end = at;

    while (end < text.len && text.ptr[end] >= '0' && text.ptr[end] <= '9')
        end++;
    return end - at;
}

int quantity_milli(struct slice text, int64_t *ret_milli)
{
    size_t whole = digits_at(text, 0), part = 0, end = whole;
    uint64_t value = 0;
    int64_t scale, total, divisor = 1;

    if (whole && slice_u64(slice_take(text, whole), UINT32_MAX, &value) < 0)
        return -EINVAL;
    if (end < text.len && text.ptr[end] == '.') {
        part = digits_at(text, end + 1);
        end += 1 + part;
    }
    if (!whole && !part)
        return -EINVAL;
    scale = suffix_scale(slice_skip(text, end));
    if (!scale || __builtin_mul_overflow((int64_t)value, scale, &total))
        return -EINVAL;
    for (size_t i = 0; i < part && i < 6; i++) {
        divisor *= 10;
        total += (text.ptr[whole + 1 + i] - '0') * (scale / divisor);
    }
    *ret_milli = total;
    return 0;
}

int kube_port_range_parse(struct slice text, struct kube_port_range *ret_range)
{
    size_t dash = slice_find(text, '-');
    uint64_t first, last;

    if (slice_u64(slice_trim(slice_take(text, dash)), 65535, &first) < 0 || !first)
        return -EINVAL;
    last = first;
    if (dash < text.len && slice_u64(slice_trim(slice_skip(text, dash + 1)), 65535, &last) < 0)
        return -EINVAL;
    if (last < first)
        return -EINVAL;
    *ret_range = (struct kube_port_range){(uint16_t)first, (uint16_t)last};
    return 0;
}

/* ---- RFC 3339 ---- */

static int number_at(struct slice text, size_t at, size_t len, int min, int max, int *ret_value)
{
    uint64_t value;

    if (at + len > text.len || digits_at(slice_take(text, at + len), at) != len ||
        slice_u64(slice_of(text.ptr + at, len), (uint64_t)max, &value) < 0 || (int)value < min)
        return -EINVAL;
    *ret_value = (int)value;
    return 0;
}

static bool char_at(struct slice text, size_t at, const char *allowed)
{
    return at < text.len && text.ptr[at] && strchr(allowed, text.ptr[at]);
}

/* Days since 1970-01-01 in the Gregorian calendar; years count from March, so that the leap day is the last. */
static int64_t days_from_civil(int year, int month, int day)
{
    int y = month <= 2 ? year - 1 : year, m = month <= 2 ? month + 9 : month - 3;
    int64_t era = y / 400;
    int yoe = (int)(y - era * 400), doy = (153 * m + 2) / 5 + day - 1;

    return era * 146097 + yoe * 365 + yoe / 4 - yoe / 100 + doy - 719468;
}

/* ".123" in ns; takes it off the front. */
static int64_t take_fraction(struct slice *rest)
{
    int64_t ns = 0, unit = NS_PER_S / 10;
    size_t digits;

    if (!char_at(*rest, 0, "."))
        return 0;
    digits = digits_at(*rest, 1);
    for (size_t i = 0; i < digits; i++, unit /= 10)
        ns += (rest->ptr[1 + i] - '0') * unit;
    *rest = slice_skip(*rest, 1 + digits);
    return ns;
}

/* "Z" or "+02:00", in seconds. */
static int parse_zone(struct slice zone, int64_t *ret_s)
{
    int hours, minutes;

    *ret_s = 0;
    if (zone.len == 1 && char_at(zone, 0, "Zz"))
        return 0;
    if (zone.len != 6 || !char_at(zone, 0, "+-") || !char_at(zone, 3, ":") ||
        number_at(zone, 1, 2, 0, 23, &hours) < 0 || number_at(zone, 4, 2, 0, 59, &minutes) < 0)
        return -EINVAL;
    *ret_s = (hours * 3600 + minutes * 60) * (zone.ptr[0] == '-' ? -1 : 1);
    return 0;
}

int time_parse(struct slice text, int64_t *ret_ns)
{
    struct slice rest = slice_skip(text, 19);
    int year, month, day, hour, minute, second;
    int64_t zone, fraction;

    /* int64_t nanoseconds end in 2262. */
    if (number_at(text, 0, 4, 1700, 2200, &year) < 0 || !char_at(text, 4, "-") ||
        number_at(text, 5, 2, 1, 12, &month) < 0 || !char_at(text, 7, "-") || number_at(text, 8, 2, 1, 31, &day) < 0 ||
        !char_at(text, 10, "Tt ") || number_at(text, 11, 2, 0, 23, &hour) < 0 || !char_at(text, 13, ":") ||
        number_at(text, 14, 2, 0, 59, &minute) < 0 || !char_at(text, 16, ":") ||
        number_at(text, 17, 2, 0, 60, &second) < 0)
        return -EINVAL;
    fraction = take_fraction(&rest);
    if (parse_zone(rest, &zone) < 0)
        return -EINVAL;
    *ret_ns =
        (days_from_civil(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - zone) * NS_PER_S + fraction;
    return 0;
}
