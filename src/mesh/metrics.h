/*
 * Counters, gauges and histograms for a proxy's hot path, and their text in
 * Prometheus' exposition format 0.0.4.
 *
 *     start:       metrics_init(); id = metrics_add_table(m, FAMILIES, n) ...; shard = metrics_shard_new(m) per thread
 *     connection:  series = metric_get(shard, id + F_REQUESTS, labels)       once; holds a reference
 *     request:     metric_add(series, 1)                                     often; two plain moves
 *     end:         metric_unref(series)
 *     scrape:      metrics_write(m, &buffer);  metrics_sweep(m, now_ns)      one thread, any
 *
 * A family (name, help, type, unit) is a row of a const table that outlives the
 * registry. A series is a family with one set of labels, given as text that
 * label_add() prepared. Each thread counts in a shard of its own, so a value has
 * a single writer and needs no locked instruction; a scrape adds equal series of
 * all shards up. A counter that a scrape shows never goes back: series
 * are dropped in all shards together or in none.
 *
 * Threads: adding tables and shards is for the start, before others run.
 * metric_get, _ref, _unref, _add and so on are for the shard's thread. Making or finding a
 * series takes the shard's lock for a map lookup. metrics_write and
 * metrics_sweep exclude one another by a lock; they hold a shard's lock while they copy some
 * series' addresses or drop some series, never while they write text.
 *
 * Values are int64_t in the unit that code counts in: nanoseconds for time. The
 * family's unit says what the text shows (seconds as "0.25"): exact decimals,
 * no floating point on the way.
 *
 * Bounds: LIMIT_METRIC_SERIES for all shards together. Beyond it (or without
 * memory) metric_get gives a nameless series that swallows what is counted, and
 * metrics_series_overflow_total{family} tells.
 */
#pragma once

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buffer.h"
#include "base/map.h"
#include "base/slice.h"

enum metric_type { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

/* How values turn into text. The right side is what code counts in. */
enum metric_unit {
    METRIC_PLAIN,   /* the number itself: things, bytes */
    METRIC_SECONDS, /* nanoseconds, shown in seconds */
    METRIC_MILLIS,  /* nanoseconds, shown in milliseconds (the older families) */
    METRIC_MICROS,  /* nanoseconds, shown in microseconds */
};

enum { METRIC_BOUNDS_MAX = 25 };

/* Upper bounds, inclusive and ascending, in what code counts in; the one above all of them is not listed. */
struct metric_buckets {
    unsigned count;
    int64_t bounds[METRIC_BOUNDS_MAX];
};

extern const struct metric_buckets METRIC_BUCKETS_LATENCY_MS;       /* 1 ms to 50 s; *_latency_ms */
extern const struct metric_buckets METRIC_BUCKETS_DETECT;           /* detection durations */
extern const struct metric_buckets METRIC_BUCKETS_EXCHANGE;         /* 0.05 to 10 s: outbound routes, inbound responses */
extern const struct metric_buckets METRIC_BUCKETS_EXCHANGE_FINE;    /* 0.025 to 10 s: backends, inbound requests */
extern const struct metric_buckets METRIC_BUCKETS_QUEUE;            /* 0.5 ms to 3 s: balancer queues */
extern const struct metric_buckets METRIC_BUCKETS_FRAME_BYTES;      /* 128 to 10240 bytes */

struct metric_family {
    const char *name; /* as shown; of a counter with the _total that it has */
    const char *help; /* one sentence */
    enum metric_type type;
    enum metric_unit unit;
    const struct metric_buckets *buckets; /* histograms only */
};

struct metric_shard;

/* One series of one shard. Members are for the functions here. */
struct metric {
    struct map_entry by_labels;
    const struct metric_family *family;
    _Atomic(uint32_t) refs;
    int64_t idle_since_ns;          /* -1: in use when the last sweep looked */
    _Atomic(int64_t) value;         /* counter, gauge; sum of a histogram */
    _Atomic(uint64_t) buckets[];    /* histogram: count + 1 of them, not cumulative; then the label text */
};

struct metrics_table {
    const struct metric_family *rows;
    unsigned count, first; /* first: id of rows[0] */
};

enum { METRICS_TABLES_MAX = 32, METRICS_SHARDS_MAX = 257 };

struct metrics {
    struct metrics_table tables[METRICS_TABLES_MAX];
    unsigned table_count, family_count;
    struct metric_shard *shards[METRICS_SHARDS_MAX];
    unsigned shard_count;
    size_t max_series;
    int64_t retain_idle_ns;
    uint64_t secret;
    _Atomic(size_t) series;
    pthread_mutex_t scrape_lock; /* held by write and sweep */
};

/*
 * max_series: usually LIMIT_METRIC_SERIES. A series that nobody holds goes after retain_idle_ns (METRICS_RETAIN_IDLE).
 * `secret` is random, since label values come from outside (base/map.h).
 */
void metrics_init(struct metrics *metrics, size_t max_series, int64_t retain_idle_ns, uint64_t secret);
/* Frees all shards and series; their threads must have ended or given up their pointers. */
void metrics_release(struct metrics *metrics);
/*
 * Registers families, before the first shard is made. Returns the id of rows[0] (that of rows[i] is i more),
 * or -EINVAL: a name that Prometheus refuses, a histogram without or another type with buckets; -EEXIST: a
 * name that is taken; -ENOBUFS: too many tables.
 */
int metrics_add_table(struct metrics *metrics, const struct metric_family *rows, unsigned count);
/* A shard for one more thread, or NULL. Belongs to the registry. */
struct metric_shard *metrics_shard_new(struct metrics *metrics);

/* The series with a reference for the caller. Never NULL; see Bounds above. `labels`: text by label_add(), or "". */
struct metric *metric_get(struct metric_shard *shard, int family_id, struct slice labels);
/* The same with labels as they were built; a set that could not be (too long, no memory) counts as refused. */
struct metric *metric_get_built(struct metric_shard *shard, int family_id, const struct buffer *labels);
struct metric *metric_ref(struct metric *metric);
/* NULL is allowed. */
void metric_unref(struct metric *metric);

static inline void metric_bump(_Atomic(int64_t) *value, int64_t by)
{
    atomic_store_explicit(value, atomic_load_explicit(value, memory_order_relaxed) + by, memory_order_relaxed);
}

/* Counters: by >= 0. Gauges: any. */
static inline void metric_add(struct metric *metric, int64_t by)
{
    metric_bump(&metric->value, by);
}

/* Gauges whose only series is in this shard (else a scrape would add up what several threads set). */
static inline void metric_set(struct metric *metric, int64_t value)
{
    atomic_store_explicit(&metric->value, value, memory_order_relaxed);
}

void metric_observe(struct metric *metric, int64_t value);

/* One label more to the text of a label set: `name="value"`, after a comma if it is not the first. Bytes that
 * Prometheus would refuse are replaced, values longer than LIMIT_METRIC_LABEL are cut. */
void label_add(struct buffer *labels, const char *name, struct slice value);
void label_add_u64(struct buffer *labels, const char *name, uint64_t value);
/* As label_add, the name made of a prefix and a text from outside whose odd characters become '_'. */
void label_add_prefixed(struct buffer *labels, const char *prefix, struct slice name, struct slice value);

/* Everything, families in the order of their ids, series in that of their label text. 0, or the buffer's error. */
int metrics_write(struct metrics *metrics, struct buffer *out);
/* One family: for a reader that is slow, or wants only this. Families without series write nothing. */
int metrics_write_family(struct metrics *metrics, int family_id, struct buffer *out);
/*
 * Drops series that nobody has held for the retain time. Idleness is noticed by sweeping: call it about every
 * minute. Returns how many series went.
 */
size_t metrics_sweep(struct metrics *metrics, int64_t now_ns);

/* A family's value in all shards: for tests and for pages of the proxy's own. Histograms: the number of observations. */
int64_t metrics_value(struct metrics *metrics, int family_id, struct slice labels);

/* The bounds of the bucket that holds a quantile. */
struct quantile {
    bool known;         /* false: nothing was observed */
    bool above_all;     /* it is beyond the last bound: only `above` is known */
    double above, upto; /* above < q <= upto (the first bucket: 0 <= q) */
};

/*
 * In which bucket the q-quantile (0..1) lies. Buckets are ascending upper bounds with cumulative counts;
 * `total` counts everything. It tells the bounds and nothing between them: what is inside a bucket is not known.
 */
struct quantile histogram_quantile(const double *bounds, const uint64_t *cumulative, unsigned count, uint64_t total,
                                   double q);
