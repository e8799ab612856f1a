#include "base/duration.h"

#include <errno.h>
#include <stdio.h>

struct unit {
    struct slice name;
    int64_t ns;
};

#define UNIT(name, ns) {{(name), sizeof(name) - 1}, (ns)}

static const struct unit env_units[] = {
    UNIT("ms", NS_PER_MS),        UNIT("s", NS_PER_S),           UNIT("m", 60 * NS_PER_S),
    UNIT("h", 3600 * NS_PER_S),   UNIT("d", 86400 * NS_PER_S),
};

static const struct unit go_units[] = {
    UNIT("ns", 1),        UNIT("us", NS_PER_US),    UNIT("\xc2\xb5s", NS_PER_US), UNIT("\xce\xbcs", NS_PER_US),
    UNIT("ms", NS_PER_MS), UNIT("s", NS_PER_S),     UNIT("m", 60 * NS_PER_S),     UNIT("h", 3600 * NS_PER_S),
};

static int unit_find(const struct unit *units, size_t count, struct slice name, int64_t *ret_ns)
{
    for (size_t i = 0; i < count; i++)
        if (slice_eq(units[i].name, name)) {
            *ret_ns = units[i].ns;
            return 0;
        }
    return -EINVAL;
}

static size_t digits(struct slice text)
{
    size_t n = 0;

    while (n < text.len && text.ptr[n] >= '0' && text.ptr[n] <= '9')
        n++;
    return n;
}

int duration_parse(struct slice text, int64_t *ret_ns)
{
    size_t n = digits(text);
    uint64_t count;
    int64_t unit;
    int r;

    if (slice_eq(text, SLICE_LIT("0"))) {
        *ret_ns = 0;
        return 0;
    }
    r = slice_u64(slice_take(text, n), INT64_MAX, &count);
    if (r < 0)
        return r;
    if (unit_find(env_units, sizeof(env_units) / sizeof(env_units[0]), slice_skip(text, n), &unit) < 0)
        return -EINVAL;
    if (count > (uint64_t)(INT64_MAX / unit))
        return -ERANGE;
    *ret_ns = (int64_t)count * unit;
    return 0;
}

/* One "NUMBER[.FRACTION]UNIT" off the front of *text, added to *sum. */
static int go_part(struct slice *text, int64_t *sum)
{
    size_t n = digits(*text), f = 0, u = 0;
    struct slice whole = slice_take(*text, n), fraction = SLICE_NULL, rest = slice_skip(*text, n);
    uint64_t count = 0;
    int64_t unit, part, scale, below = 0;

    if (rest.len && rest.ptr[0] == '.') {
        rest = slice_skip(rest, 1);
        f = digits(rest);
        fraction = slice_take(rest, f);
        rest = slice_skip(rest, f);
    }
    if (n + f == 0)
        return -EINVAL;
    if (n && slice_u64(whole, INT64_MAX, &count) < 0)
        return -ERANGE;
    while (u < rest.len && rest.ptr[u] != '.' && (rest.ptr[u] < '0' || rest.ptr[u] > '9'))
        u++;
    if (unit_find(go_units, sizeof(go_units) / sizeof(go_units[0]), slice_take(rest, u), &unit) < 0)
        return -EINVAL;
    if (count > (uint64_t)(INT64_MAX / unit))
        return -ERANGE;
    part = (int64_t)count * unit;
    scale = unit;
    for (size_t i = 0; i < f && scale >= 10; i++) {
        scale /= 10;
        below += (fraction.ptr[i] - '0') * scale;
    }
    if (part > INT64_MAX - below || *sum > INT64_MAX - part - below)
        return -ERANGE;
    *sum += part + below;
    *text = slice_skip(rest, u);
    return 0;
}

int duration_parse_go(struct slice text, int64_t *ret_ns)
{
    int sign = 1;
    int64_t sum = 0;

    if (text.len && (text.ptr[0] == '-' || text.ptr[0] == '+')) {
        sign = text.ptr[0] == '-' ? -1 : 1;
        text = slice_skip(text, 1);
    }
    if (text.len == 0)
        return -EINVAL;
    if (!slice_eq(text, SLICE_LIT("0")))
        while (text.len) {
            int r = go_part(&text, &sum);

            if (r < 0)
                return r;
        }
    *ret_ns = sign * sum;
    return 0;
}

char *duration_format(int64_t ns, char out[DURATION_TEXT_MAX])
{
    static const struct {
        const char *name;
        int64_t ns;
    } parts[] = {{"d", 86400 * NS_PER_S}, {"h", 3600 * NS_PER_S}, {"m", 60 * NS_PER_S}, {"s", NS_PER_S},
                 {"ms", NS_PER_MS},       {"us", NS_PER_US},      {"ns", 1}};
    int at = 0, printed = 0;

    if (ns < 0) {
        at = snprintf(out, DURATION_TEXT_MAX, "-");
        ns = ns == INT64_MIN ? INT64_MAX : -ns;
    }
    for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]) && printed < 2; i++) {
        int64_t count = ns / parts[i].ns;

        if (count == 0) {
            if (printed)
                break;
            continue;
        }
        at += snprintf(out + at, (size_t)(DURATION_TEXT_MAX - at), "%lld%s", (long long)count, parts[i].name);
        ns -= count * parts[i].ns;
        printed++;
    }
    if (printed == 0)
        snprintf(out, DURATION_TEXT_MAX, "0s");
    return out;
}
