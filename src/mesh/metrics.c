#include "mesh/metrics.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/mutation.h"
#include "mesh/metrics_internal.h"

#define MS INT64_C(1000000)

const struct metric_buckets METRIC_BUCKETS_LATENCY_MS = {
    25, {1 * MS,    2 * MS,    3 * MS,    4 * MS,    5 * MS,    10 * MS,    20 * MS,    30 * MS,    40 * MS,
         50 * MS,   100 * MS,  200 * MS,  300 * MS,  400 * MS,  500 * MS,   1000 * MS,  2000 * MS,  3000 * MS,
         4000 * MS, 5000 * MS, 10000 * MS, 20000 * MS, 30000 * MS, 40000 * MS, 50000 * MS}};
const struct metric_buckets METRIC_BUCKETS_DETECT = {2, {1 * MS, 100 * MS}};
const struct metric_buckets METRIC_BUCKETS_EXCHANGE = {4, {50 * MS, 500 * MS, 1000 * MS, 10000 * MS}};
const struct metric_buckets METRIC_BUCKETS_EXCHANGE_FINE = {
    7, {25 * MS, 50 * MS, 100 * MS, 250 * MS, 500 * MS, 1000 * MS, 10000 * MS}};
const struct metric_buckets METRIC_BUCKETS_QUEUE = {
    6, {MS / 2, 5 * MS, 50 * MS, 500 * MS, 1000 * MS, 3000 * MS}};
const struct metric_buckets METRIC_BUCKETS_FRAME_BYTES = {3, {128, 1024, 10240}};

void metrics_init(struct metrics *metrics, size_t max_series, int64_t retain_idle_ns, uint64_t secret)
{
    *metrics = (struct metrics){.max_series = max_series, .retain_idle_ns = retain_idle_ns, .secret = secret};
    pthread_mutex_init(&metrics->scrape_lock, NULL);
}

static void shard_free(struct metric_shard *shard)
{
    for (unsigned i = 0; i < shard->metrics->family_count; i++) {
        MAP_FOR_EACH (link, &shard->kinds[i].series)
            free(CONTAINER_OF(MAP_ENTRY(link), struct metric, by_labels));
        map_release(&shard->kinds[i].series);
    }
    pthread_mutex_destroy(&shard->lock);
    free(shard->sink);
    free(shard);
}

void metrics_release(struct metrics *metrics)
{
    for (unsigned i = 0; i < metrics->shard_count; i++)
        shard_free(metrics->shards[i]);
    pthread_mutex_destroy(&metrics->scrape_lock);
    metrics->shard_count = metrics->table_count = metrics->family_count = 0;
    atomic_store(&metrics->series, 0);
}

const struct metric_family *metrics_family(const struct metrics *metrics, int family_id)
{
    for (unsigned i = 0; i < metrics->table_count; i++) {
        const struct metrics_table *table = &metrics->tables[i];

        if ((unsigned)family_id - table->first < table->count)
            return &table->rows[(unsigned)family_id - table->first];
    }
    return NULL;
}

static bool name_is_fine(const char *name)
{
    for (const char *c = name; *c; c++) {
        bool letter = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || *c == '_' || *c == ':';

        if (!letter && (c == name || *c < '0' || *c > '9'))
            return false;
    }
    return *name != '\0';
}

static int row_check(const struct metric_family *row)
{
    if (!name_is_fine(row->name) || (row->type == METRIC_HISTOGRAM) != (row->buckets != NULL))
        return -EINVAL;
    for (unsigned i = 1; row->buckets && i < row->buckets->count; i++)
        if (row->buckets->bounds[i] <= row->buckets->bounds[i - 1])
            return -EINVAL;
    return 0;
}

static bool name_is_taken(const struct metrics *metrics, const char *name)
{
    for (unsigned i = 0; i < metrics->family_count; i++)
        if (strcmp(metrics_family(metrics, (int)i)->name, name) == 0)
            return true;
    return false;
}

int metrics_add_table(struct metrics *metrics, const struct metric_family *rows, unsigned count)
{
    assert(metrics->shard_count == 0);
    if (metrics->table_count == METRICS_TABLES_MAX)
        return -ENOBUFS;
    for (unsigned i = 0; i < count; i++) {
        int r = row_check(&rows[i]);

        if (r < 0)
            return r;
        if (name_is_taken(metrics, rows[i].name))
            return -EEXIST;
        for (unsigned j = 0; j < i; j++)
            if (strcmp(rows[i].name, rows[j].name) == 0)
                return -EEXIST;
    }
    metrics->tables[metrics->table_count++] =
        (struct metrics_table){.rows = rows, .count = count, .first = metrics->family_count};
    metrics->family_count += count;
    return (int)(metrics->family_count - count);
}

static unsigned bucket_slots(const struct metric_family *family)
{
    return family->buckets ? family->buckets->count + 1 : 0;
}

/* The sink stands in for any family, so that it has room for the most buckets. */
static const struct metric_buckets SINK_BUCKETS = {METRIC_BOUNDS_MAX, {0}};
static const struct metric_family SINK = {"sink", "", METRIC_HISTOGRAM, METRIC_PLAIN, &SINK_BUCKETS};

static struct metric *metric_new(const struct metric_family *family, struct slice labels)
{
    size_t head = sizeof(struct metric) + bucket_slots(family) * sizeof(uint64_t);
    struct metric *metric = calloc(1, head + labels.len);

    if (!metric)
        return NULL;
    metric->family = family;
    metric->idle_since_ns = -1;
    if (labels.len)
        memcpy((char *)metric + head, labels.ptr, labels.len);
    metric->by_labels.key = slice_of((char *)metric + head, labels.len);
    return metric;
}

struct metric_shard *metrics_shard_new(struct metrics *metrics)
{
    struct metric_shard *shard;

    if (metrics->shard_count == METRICS_SHARDS_MAX)
        return NULL;
    shard = calloc(1, sizeof(*shard) + metrics->family_count * sizeof(shard->kinds[0]));
    if (!shard)
        return NULL;
    shard->metrics = metrics;
    shard->sink = metric_new(&SINK, SLICE_NULL);
    if (!shard->sink) {
        free(shard);
        return NULL;
    }
    pthread_mutex_init(&shard->lock, NULL);
    for (unsigned i = 0; i < metrics->family_count; i++) {
        shard->kinds[i].family = metrics_family(metrics, (int)i);
        map_init(&shard->kinds[i].series, metrics->secret, i);
    }
    metrics->shards[metrics->shard_count++] = shard;
    return shard;
}

/* Takes one from what the registry may hold, or says no. */
static bool take_room(struct metrics *metrics)
{
    size_t now = atomic_load_explicit(&metrics->series, memory_order_relaxed);

    do {
        if (now >= metrics->max_series && !mutation("series-without-limit"))
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&metrics->series, &now, now + 1, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}

/* Called with the shard's lock. */
static struct metric *metric_create(struct metric_shard *shard, struct metric_kind *kind, struct slice labels)
{
    struct metric *metric;

    if (!take_room(shard->metrics))
        return NULL;
    metric = metric_new(kind->family, labels);
    if (metric && map_add(&kind->series, &metric->by_labels, metric->by_labels.key) == 0)
        return metric;
    free(metric);
    atomic_fetch_sub_explicit(&shard->metrics->series, 1, memory_order_relaxed);
    return NULL;
}

static struct metric *refuse(struct metric_shard *shard, struct metric_kind *kind)
{
    atomic_fetch_add_explicit(&kind->overflow, 1, memory_order_relaxed);
    return metric_ref(shard->sink);
}

struct metric *metric_get(struct metric_shard *shard, int family_id, struct slice labels)
{
    struct metric_kind *kind = &shard->kinds[family_id];
    struct map_entry *found;
    struct metric *metric;

    assert(family_id >= 0 && (unsigned)family_id < shard->metrics->family_count);
    pthread_mutex_lock(&shard->lock);
    found = map_find(&kind->series, labels);
    metric = found ? CONTAINER_OF(found, struct metric, by_labels) : metric_create(shard, kind, labels);
    if (metric)
        metric_ref(metric);
    pthread_mutex_unlock(&shard->lock);
    return metric ? metric : refuse(shard, kind);
}

struct metric *metric_get_built(struct metric_shard *shard, int family_id, const struct buffer *labels)
{
    if (buffer_error(labels))
        return refuse(shard, &shard->kinds[family_id]);
    return metric_get(shard, family_id, buffer_slice(labels));
}

struct metric *metric_ref(struct metric *metric)
{
    atomic_fetch_add_explicit(&metric->refs, 1, memory_order_relaxed);
    return metric;
}

void metric_unref(struct metric *metric)
{
    if (!metric)
        return;
    assert(atomic_load_explicit(&metric->refs, memory_order_relaxed) > 0);
    /* Released, so that a sweep which sees 0 and frees comes after our last write. */
    atomic_fetch_sub_explicit(&metric->refs, 1, memory_order_release);
}

void metric_observe(struct metric *metric, int64_t value)
{
    const struct metric_buckets *buckets = metric->family->buckets;
    unsigned low = 0, high = buckets->count;
    _Atomic(uint64_t) *slot;

    while (low < high) {
        unsigned middle = (low + high) / 2;

        if (value <= buckets->bounds[middle])
            high = middle;
        else
            low = middle + 1;
    }
    slot = &metric->buckets[low];
    atomic_store_explicit(slot, atomic_load_explicit(slot, memory_order_relaxed) + 1, memory_order_relaxed);
    metric_bump(&metric->value, value);
}

size_t metric_kind_copy(struct metric_shard *shard, int family_id, struct metric *at, struct metric **out, size_t max)
{
    const struct list *end = &shard->kinds[family_id].series.order, *link;
    size_t count = 0;

    pthread_mutex_lock(&shard->lock);
    link = at ? at->by_labels.order.next : end->next;
    for (; link != end && count < max; link = link->next)
        out[count++] = CONTAINER_OF(MAP_ENTRY(link), struct metric, by_labels);
    pthread_mutex_unlock(&shard->lock);
    return count;
}

/* --- sweeping --- */

/* Notes when nobody holds the series; true when that has lasted long enough. With the shard's lock. */
static bool idled_out(struct metric *metric, int64_t now_ns, int64_t retain_ns)
{
    if (atomic_load_explicit(&metric->refs, memory_order_acquire) > 0) {
        metric->idle_since_ns = -1;
        return false;
    }
    if (metric->idle_since_ns < 0)
        metric->idle_since_ns = now_ns;
    return now_ns - metric->idle_since_ns >= retain_ns;
}

static struct metric *shard_find(struct metric_shard *shard, int family_id, struct slice labels)
{
    struct map_entry *found = map_find(&shard->kinds[family_id].series, labels);

    return found ? CONTAINER_OF(found, struct metric, by_labels) : NULL;
}

static void lock_all(struct metrics *metrics)
{
    for (unsigned i = 0; i < metrics->shard_count; i++)
        pthread_mutex_lock(&metrics->shards[i]->lock);
}

static void unlock_all(struct metrics *metrics)
{
    for (unsigned i = metrics->shard_count; i-- > 0;)
        pthread_mutex_unlock(&metrics->shards[i]->lock);
}

/* With all locks: drops the series with these labels in every shard if it is idle in every shard. */
static size_t drop_everywhere(struct metrics *metrics, int family_id, struct slice labels, int64_t now_ns)
{
    struct metric *doomed[METRICS_SHARDS_MAX];
    unsigned at[METRICS_SHARDS_MAX], count = 0;

    for (unsigned i = 0; i < metrics->shard_count; i++) {
        struct metric *metric = shard_find(metrics->shards[i], family_id, labels);

        if (metric && !idled_out(metric, now_ns, metrics->retain_idle_ns))
            return 0;
        if (metric) {
            doomed[count] = metric;
            at[count++] = i;
        }
    }
    for (unsigned i = 0; i < count; i++) {
        map_remove(&metrics->shards[at[i]]->kinds[family_id].series, &doomed[i]->by_labels);
        free(doomed[i]); /* `labels` may have been this one's text: not used any more */
    }
    atomic_fetch_sub_explicit(&metrics->series, count, memory_order_relaxed);
    return count;
}

enum { SWEEP_PIECE = 64 };

/* Looks at up to SWEEP_PIECE series after *at; the next piece goes on after the last one that stayed. */
static size_t sweep_piece(struct metrics *metrics, unsigned shard_index, int family_id, struct metric **at,
                          int64_t now_ns, bool *ret_more)
{
    struct metric_shard *shard = metrics->shards[shard_index];
    struct metric *piece[SWEEP_PIECE];
    size_t count = metric_kind_copy(shard, family_id, *at, piece, SWEEP_PIECE), dropped = 0;

    for (size_t i = 0; i < count; i++) {
        bool candidate;
        size_t n = 0;

        pthread_mutex_lock(&shard->lock);
        candidate = idled_out(piece[i], now_ns, metrics->retain_idle_ns);
        pthread_mutex_unlock(&shard->lock);
        if (candidate) {
            lock_all(metrics);
            n = drop_everywhere(metrics, family_id, piece[i]->by_labels.key, now_ns);
            unlock_all(metrics);
        }
        if (n == 0)
            *at = piece[i];
        dropped += n;
    }
    *ret_more = count == SWEEP_PIECE;
    return dropped;
}

size_t metrics_sweep(struct metrics *metrics, int64_t now_ns)
{
    size_t dropped = 0;

    pthread_mutex_lock(&metrics->scrape_lock);
    for (unsigned shard = 0; shard < metrics->shard_count; shard++)
        for (unsigned family = 0; family < metrics->family_count; family++) {
            struct metric *at = NULL;
            bool more;

            do
                dropped += sweep_piece(metrics, shard, (int)family, &at, now_ns, &more);
            while (more);
        }
    pthread_mutex_unlock(&metrics->scrape_lock);
    return dropped;
}

static int64_t metric_total(const struct metric *metric)
{
    unsigned slots = bucket_slots(metric->family);
    uint64_t total = 0;

    if (!slots)
        return atomic_load_explicit(&metric->value, memory_order_relaxed);
    for (unsigned i = 0; i < slots; i++)
        total += atomic_load_explicit(&metric->buckets[i], memory_order_relaxed);
    return (int64_t)total;
}

int64_t metrics_value(struct metrics *metrics, int family_id, struct slice labels)
{
    int64_t sum = 0;

    pthread_mutex_lock(&metrics->scrape_lock);
    for (unsigned i = 0; i < metrics->shard_count; i++) {
        struct metric *metric;

        pthread_mutex_lock(&metrics->shards[i]->lock);
        metric = shard_find(metrics->shards[i], family_id, labels);
        if (metric)
            sum += metric_total(metric);
        pthread_mutex_unlock(&metrics->shards[i]->lock);
    }
    pthread_mutex_unlock(&metrics->scrape_lock);
    return sum;
}
