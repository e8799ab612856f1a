#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/limits.h"
#include "mesh/metrics.h"
#include "mesh/metrics_internal.h"

/* --- labels --- */

/* How many bytes the character at the front takes, or 0 when it is none that may stand in a label. */
static size_t character(struct slice text)
{
    unsigned char c = (unsigned char)text.ptr[0];
    size_t len = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;

    if (len == 1)
        return c >= 0x20 && c != 0x7f;
    return len <= text.len && slice_is_utf8(slice_take(text, len)) ? len : 0;
}

static void add_escaped(struct buffer *out, struct slice text)
{
    while (text.len) {
        size_t len = character(text);

        switch (text.ptr[0]) {
        case '\\': buffer_add_lit(out, "\\\\"); break;
        case '"': buffer_add_lit(out, "\\\""); break;
        case '\n': buffer_add_lit(out, "\\n"); break;
        default:
            if (len)
                buffer_add(out, slice_take(text, len));
            else
                buffer_add_lit(out, "\xef\xbf\xbd");
        }
        text = slice_skip(text, len ? len : 1);
    }
}

/* At most LIMIT_METRIC_LABEL bytes, not ending inside a character. */
static struct slice cut(struct slice value)
{
    size_t len = LIMIT_METRIC_LABEL;

    if (value.len <= len)
        return value;
    while (len > LIMIT_METRIC_LABEL - 4 && ((unsigned char)value.ptr[len] & 0xc0) == 0x80)
        len--;
    return slice_take(value, len);
}

void label_add(struct buffer *labels, const char *name, struct slice value)
{
    if (labels->len)
        buffer_add_byte(labels, ',');
    buffer_add(labels, slice_str(name));
    buffer_add_lit(labels, "=\"");
    add_escaped(labels, cut(value));
    buffer_add_byte(labels, '"');
}

void label_add_u64(struct buffer *labels, const char *name, uint64_t value)
{
    buffer_printf(labels, "%s%s=\"%llu\"", labels->len ? "," : "", name, (unsigned long long)value);
}

/* Is `name="` in the text already? A quote inside a value has a backslash before it, so that it cannot look like one. */
static bool has_label(struct slice labels, const char *name)
{
    struct slice wanted = slice_str(name);

    while (labels.len > wanted.len + 1) {
        size_t at = slice_find_slice(labels, wanted);

        if (at == labels.len)
            return false;
        if ((at == 0 || labels.ptr[at - 1] == ',') &&
            slice_starts(slice_skip(labels, at + wanted.len), SLICE_LIT("=\"")))
            return true;
        labels = slice_skip(labels, at + 1);
    }
    return false;
}

void label_add_prefixed(struct buffer *labels, const char *prefix, struct slice name, struct slice value)
{
    char full[LIMIT_METRIC_LABEL_NAME + 1];
    size_t len = 0;

    for (; *prefix && len < LIMIT_METRIC_LABEL_NAME; prefix++)
        full[len++] = *prefix;
    for (size_t i = 0; i < name.len && len < LIMIT_METRIC_LABEL_NAME; i++) {
        char c = name.ptr[i];
        bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9' && len);

        full[len++] = fine ? c : '_';
    }
    full[len] = '\0';
    /* A name that stands twice makes Prometheus refuse the whole page. */
    if (len && !has_label(buffer_slice(labels), full))
        label_add(labels, full, value);
}

/* --- values --- */

/* `value` divided by ten to the `digits`, exactly and without zeros at its end. */
static void add_decimal(struct buffer *out, int64_t value, unsigned digits)
{
    uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, unit = 1;
    char fraction[24];
    int len;

    for (unsigned i = 0; i < digits; i++)
        unit *= 10;
    buffer_printf(out, "%s%llu", value < 0 ? "-" : "", (unsigned long long)(size / unit));
    if (size % unit == 0)
        return;
    len = snprintf(fraction, sizeof(fraction), ".%0*llu", (int)digits, (unsigned long long)(size % unit));
    while (fraction[len - 1] == '0')
        len--;
    buffer_add(out, slice_of(fraction, (size_t)len));
}

static void add_value(struct buffer *out, int64_t value, enum metric_unit unit)
{
    static const unsigned char digits[] = {
        [METRIC_PLAIN] = 0, [METRIC_SECONDS] = 9, [METRIC_MILLIS] = 6, [METRIC_MICROS] = 3};

    add_decimal(out, value, digits[unit]);
}

/*
 * A bucket's upper bound. Linkerd's proxy writes 1 as "1.0" in the newer families, as "1" in the older ones, which are in
 * milliseconds; sums over `le` of both proxies need the same text.
 */
static void add_bound(struct buffer *out, int64_t bound, enum metric_unit unit)
{
    size_t before = out->len;

    add_value(out, bound, unit);
    if (unit != METRIC_MILLIS && unit != METRIC_MICROS && slice_find(slice_of(out->data + before, out->len - before), '.') ==
                                                              out->len - before)
        buffer_add_lit(out, ".0");
}

/* --- families --- */

/* Equal series of several shards, added up. */
struct sum {
    int64_t value;
    uint64_t buckets[METRIC_BOUNDS_MAX + 1];
};

static void sum_add(struct sum *sum, const struct metric *metric)
{
    const struct metric_buckets *buckets = metric->family->buckets;

    sum->value += atomic_load_explicit(&metric->value, memory_order_relaxed);
    for (unsigned i = 0; buckets && i <= buckets->count; i++)
        sum->buckets[i] += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
}

/* `name_suffix{labels,le="bound"} ` with what there is of it. */
static void add_name(struct buffer *out, const struct metric_family *family, const char *suffix, struct slice labels,
                     const int64_t *bound, bool last_bucket)
{
    bool bucket = bound || last_bucket;

    buffer_add(out, slice_str(family->name));
    buffer_add(out, slice_str(suffix));
    if (labels.len || bucket)
        buffer_add_byte(out, '{');
    buffer_add(out, labels);
    if (bucket) {
        buffer_add(out, labels.len ? SLICE_LIT(",le=\"") : SLICE_LIT("le=\""));
        if (bound)
            add_bound(out, *bound, family->unit);
        else
            buffer_add_lit(out, "+Inf");
        buffer_add_byte(out, '"');
    }
    buffer_add(out, labels.len || bucket ? SLICE_LIT("} ") : SLICE_LIT(" "));
}

static void write_histogram(struct buffer *out, const struct metric_family *family, struct slice labels,
                            const struct sum *sum)
{
    const struct metric_buckets *buckets = family->buckets;
    uint64_t count = 0;

    for (unsigned i = 0; i <= buckets->count; i++) {
        bool last = i == buckets->count;

        count += sum->buckets[i];
        add_name(out, family, "_bucket", labels, last ? NULL : &buckets->bounds[i], last);
        buffer_printf(out, "%llu\n", (unsigned long long)count);
    }
    add_name(out, family, "_sum", labels, NULL, false);
    add_value(out, sum->value, family->unit);
    buffer_add_byte(out, '\n');
    add_name(out, family, "_count", labels, NULL, false);
    buffer_printf(out, "%llu\n", (unsigned long long)count);
}

static void write_series(struct buffer *out, const struct metric_family *family, struct slice labels,
                         const struct sum *sum)
{
    if (family->type == METRIC_HISTOGRAM) {
        write_histogram(out, family, labels, sum);
        return;
    }
    add_name(out, family, "", labels, NULL, false);
    add_value(out, sum->value, family->unit);
    buffer_add_byte(out, '\n');
}

static void write_header(struct buffer *out, const struct metric_family *family)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};

    buffer_printf(out, "# HELP %s %s\n# TYPE %s %s\n", family->name, family->help, family->name,
                  types[family->type]);
}

static int by_labels(const void *a, const void *b)
{
    const struct metric *const *x = a, *const *y = b;

    return slice_cmp((*x)->by_labels.key, (*y)->by_labels.key);
}

struct collection {
    struct metric **items;
    size_t count, size;
};

static int collection_grow(struct collection *all, size_t more)
{
    size_t size = all->size ? all->size : more;
    struct metric **items;

    if (all->size - all->count >= more)
        return 0;
    while (size < all->count + more)
        size *= 2;
    items = realloc(all->items, size * sizeof(items[0]));
    if (!items)
        return -1;
    all->items = items;
    all->size = size;
    return 0;
}

/* The addresses of a family's series in all shards, in pieces so that no lock is held for long. */
static int collect(struct metrics *metrics, int family_id, struct collection *all)
{
    enum { PIECE = 256 };

    for (unsigned i = 0; i < metrics->shard_count; i++) {
        struct metric *at = NULL;
        size_t count;

        do {
            if (collection_grow(all, PIECE) < 0)
                return -1;
            count = metric_kind_copy(metrics->shards[i], family_id, at, all->items + all->count, PIECE);
            all->count += count;
            if (count)
                at = all->items[all->count - 1];
        } while (count == PIECE);
    }
    return 0;
}

/* With the scrape lock. */
static void write_family(struct metrics *metrics, int family_id, struct buffer *out)
{
    const struct metric_family *family = metrics_family(metrics, family_id);
    struct collection all = {0};
    size_t next;

    if (collect(metrics, family_id, &all) < 0) {
        if (!out->error)
            out->error = -ENOMEM;
        free(all.items);
        return;
    }
    if (all.count) {
        qsort(all.items, all.count, sizeof(all.items[0]), by_labels);
        write_header(out, family);
    }
    for (size_t i = 0; i < all.count; i = next) {
        struct sum sum = {0};

        for (next = i; next < all.count && by_labels(&all.items[i], &all.items[next]) == 0; next++)
            sum_add(&sum, all.items[next]);
        write_series(out, family, all.items[i]->by_labels.key, &sum);
    }
    free(all.items);
}

static uint64_t overflow_of(struct metrics *metrics, unsigned family_id)
{
    uint64_t sum = 0;

    for (unsigned i = 0; i < metrics->shard_count; i++)
        sum += atomic_load_explicit(&metrics->shards[i]->kinds[family_id].overflow, memory_order_relaxed);
    return sum;
}

/* What the registry says of itself. */
static void write_own(struct metrics *metrics, struct buffer *out)
{
    static const struct metric_family series = {
        "metrics_series", "Series that the registry holds, over all threads.", METRIC_GAUGE, METRIC_PLAIN, NULL};
    static const struct metric_family overflow = {
        "metrics_series_overflow_total", "Series that were not made because the registry was full.", METRIC_COUNTER,
        METRIC_PLAIN, NULL};
    bool first = true;

    write_header(out, &series);
    buffer_printf(out, "%s %zu\n", series.name, atomic_load_explicit(&metrics->series, memory_order_relaxed));
    for (unsigned i = 0; i < metrics->family_count; i++) {
        uint64_t refused = overflow_of(metrics, i);

        if (!refused)
            continue;
        if (first)
            write_header(out, &overflow);
        first = false;
        buffer_printf(out, "%s{family=\"%s\"} %llu\n", overflow.name, metrics_family(metrics, (int)i)->name,
                      (unsigned long long)refused);
    }
}

int metrics_write(struct metrics *metrics, struct buffer *out)
{
    pthread_mutex_lock(&metrics->scrape_lock);
    for (unsigned i = 0; i < metrics->family_count && !out->error; i++)
        write_family(metrics, (int)i, out);
    write_own(metrics, out);
    pthread_mutex_unlock(&metrics->scrape_lock);
    return out->error;
}

int metrics_write_family(struct metrics *metrics, int family_id, struct buffer *out)
{
    pthread_mutex_lock(&metrics->scrape_lock);
    write_family(metrics, family_id, out);
    pthread_mutex_unlock(&metrics->scrape_lock);
    return out->error;
}

/* --- quantiles --- */

struct quantile histogram_quantile(const double *bounds, const uint64_t *cumulative, unsigned count, uint64_t total,
                                   double q)
{
    double rank = q * (double)total;

    if (total == 0 || !(q >= 0 && q <= 1))
        return (struct quantile){.known = false};
    for (unsigned i = 0; i < count; i++)
        if (cumulative[i] > 0 && (double)cumulative[i] >= rank)
            return (struct quantile){.known = true, .above = i ? bounds[i - 1] : 0, .upto = bounds[i]};
    return (struct quantile){.known = true, .above_all = true, .above = count ? bounds[count - 1] : 0};
}
