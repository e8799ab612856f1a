#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>

#include "base/limits.h"
#include "mesh/metrics.h"

enum { REQUESTS, OPEN, LATENCY, UPTIME, WAIT, SIZE, FAMILIES };

static const struct metric_family families[FAMILIES] = {
    [REQUESTS] = {"request_total", "Requests.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [OPEN] = {"tcp_open_connections", "Open.", METRIC_GAUGE, METRIC_PLAIN, NULL},
    [LATENCY] = {"response_latency_ms", "Latency.", METRIC_HISTOGRAM, METRIC_MILLIS, &METRIC_BUCKETS_LATENCY_MS},
    [UPTIME] = {"uptime_seconds_total", "Uptime.", METRIC_COUNTER, METRIC_SECONDS, NULL},
    [WAIT] = {"queue_latency_seconds", "Wait.", METRIC_HISTOGRAM, METRIC_SECONDS, &METRIC_BUCKETS_QUEUE},
    [SIZE] = {"frame_size_bytes", "Size.", METRIC_HISTOGRAM, METRIC_PLAIN, &METRIC_BUCKETS_FRAME_BYTES},
};

struct fixture {
    struct metrics metrics;
    struct metric_shard *a, *b;
    struct buffer text;
};

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    metrics_init(&f->metrics, 20, 100, 7);
    assert_int_equal(metrics_add_table(&f->metrics, families, FAMILIES), 0);
    f->a = metrics_shard_new(&f->metrics);
    f->b = metrics_shard_new(&f->metrics);
    buffer_init(&f->text, 1 << 20);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;

    metrics_release(&f->metrics);
    buffer_release(&f->text);
    free(f);
    return 0;
}

static void count(struct metric_shard *shard, int id, const char *labels, int64_t by)
{
    struct metric *metric = metric_get(shard, id, slice_str(labels));

    metric_add(metric, by);
    metric_unref(metric);
}

static void assert_text(struct fixture *f, const char *expected)
{
    buffer_add_byte(&f->text, '\0');
    assert_string_equal(f->text.data, expected);
    buffer_clear(&f->text);
}

static void tables_are_checked(void **state)
{
    static const struct metric_family bad[] = {
        {"", "", METRIC_COUNTER, METRIC_PLAIN, NULL},
        {"9lives", "", METRIC_COUNTER, METRIC_PLAIN, NULL},
        {"a-b", "", METRIC_COUNTER, METRIC_PLAIN, NULL},
        {"a b", "", METRIC_COUNTER, METRIC_PLAIN, NULL},
        {"h", "", METRIC_HISTOGRAM, METRIC_PLAIN, NULL},
        {"c", "", METRIC_COUNTER, METRIC_PLAIN, &METRIC_BUCKETS_QUEUE},
    };
    static const struct metric_buckets falling = {2, {5, 5}};
    static const struct metric_family unsorted = {"h", "", METRIC_HISTOGRAM, METRIC_PLAIN, &falling};
    static const struct metric_family twice[] = {{"x", "", METRIC_COUNTER, METRIC_PLAIN, NULL},
                                                 {"x", "", METRIC_GAUGE, METRIC_PLAIN, NULL}};
    static const struct metric_family other = {"other", "", METRIC_GAUGE, METRIC_PLAIN, NULL};
    struct metrics metrics;

    metrics_init(&metrics, 10, 1, 0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        assert_int_equal(metrics_add_table(&metrics, &bad[i], 1), -EINVAL);
    assert_int_equal(metrics_add_table(&metrics, &unsorted, 1), -EINVAL);
    assert_int_equal(metrics_add_table(&metrics, twice, 2), -EEXIST);
    assert_int_equal(metrics_add_table(&metrics, families, FAMILIES), 0);
    assert_int_equal(metrics_add_table(&metrics, families, 1), -EEXIST);
    assert_int_equal(metrics_add_table(&metrics, &other, 1), FAMILIES);
    metrics_release(&metrics);
}

static void text_is_exact_and_ordered(void **state)
{
    struct fixture *f = *state;
    struct metric *metric;

    count(f->b, REQUESTS, "direction=\"outbound\"", 2);
    count(f->a, REQUESTS, "direction=\"inbound\"", 40);
    count(f->b, REQUESTS, "direction=\"inbound\"", 2);
    count(f->a, OPEN, "", -3);
    count(f->a, UPTIME, "", INT64_C(12345678901));
    metric = metric_get(f->a, SIZE, SLICE_LIT("p=\"1\""));
    metric_observe(metric, 0);
    metric_observe(metric, 128);
    metric_observe(metric, 129);
    metric_observe(metric, 99999);
    metric_unref(metric);
    assert_int_equal(metrics_write(&f->metrics, &f->text), 0);
    assert_text(f, "# HELP request_total Requests.\n# TYPE request_total counter\n"
                   "request_total{direction=\"inbound\"} 42\nrequest_total{direction=\"outbound\"} 2\n"
                   "# HELP tcp_open_connections Open.\n# TYPE tcp_open_connections gauge\ntcp_open_connections -3\n"
                   "# HELP uptime_seconds_total Uptime.\n# TYPE uptime_seconds_total counter\n"
                   "uptime_seconds_total 12.345678901\n"
                   "# HELP frame_size_bytes Size.\n# TYPE frame_size_bytes histogram\n"
                   "frame_size_bytes_bucket{p=\"1\",le=\"128.0\"} 2\nframe_size_bytes_bucket{p=\"1\",le=\"1024.0\"} 3\n"
                   "frame_size_bytes_bucket{p=\"1\",le=\"10240.0\"} 3\nframe_size_bytes_bucket{p=\"1\",le=\"+Inf\"} 4\n"
                   "frame_size_bytes_sum{p=\"1\"} 100256\nframe_size_bytes_count{p=\"1\"} 4\n"
                   "# HELP metrics_series Series that the registry holds, over all threads.\n"
                   "# TYPE metrics_series gauge\nmetrics_series 6\n");
}

static void bounds_are_in_the_familys_unit(void **state)
{
    struct fixture *f = *state;
    struct metric *wait = metric_get(f->a, WAIT, SLICE_NULL), *latency = metric_get(f->a, LATENCY, SLICE_NULL);

    metric_observe(wait, 500000);     /* on the bound: belongs below it */
    metric_observe(wait, 500001);
    metric_observe(latency, 1250000); /* 1.25 ms */
    assert_int_equal(metrics_write_family(&f->metrics, WAIT, &f->text), 0);
    assert_text(f, "# HELP queue_latency_seconds Wait.\n# TYPE queue_latency_seconds histogram\n"
                   "queue_latency_seconds_bucket{le=\"0.0005\"} 1\nqueue_latency_seconds_bucket{le=\"0.005\"} 2\n"
                   "queue_latency_seconds_bucket{le=\"0.05\"} 2\nqueue_latency_seconds_bucket{le=\"0.5\"} 2\n"
                   "queue_latency_seconds_bucket{le=\"1.0\"} 2\nqueue_latency_seconds_bucket{le=\"3.0\"} 2\n"
                   "queue_latency_seconds_bucket{le=\"+Inf\"} 2\nqueue_latency_seconds_sum 0.001000001\n"
                   "queue_latency_seconds_count 2\n");
    metrics_write_family(&f->metrics, LATENCY, &f->text);
    buffer_add_byte(&f->text, '\0');
    assert_non_null(strstr(f->text.data, "le=\"1\"} 0\nresponse_latency_ms_bucket{le=\"2\"} 1\n"));
    assert_non_null(strstr(f->text.data, "le=\"50000\"} 1\n"));
    assert_non_null(strstr(f->text.data, "response_latency_ms_sum 1.25\n"));
    metric_unref(wait);
    metric_unref(latency);
}

static void labels_cannot_break_the_page(void **state)
{
    static const struct {
        struct slice value;
        const char *text;
    } cases[] = {
        {{"plain", 5}, "l=\"plain\""},
        {{"", 0}, "l=\"\""},
        {{NULL, 0}, "l=\"\""},
        {{"a\"b\\c\nd", 7}, "l=\"a\\\"b\\\\c\\nd\""},
        {{"gr\xc3\xbc\xc3\x9f", 6}, "l=\"gr\xc3\xbc\xc3\x9f\""},
        {{"x\xff\xc3(", 4}, "l=\"x\xef\xbf\xbd\xef\xbf\xbd(\""},
        {{"\xc3", 1}, "l=\"\xef\xbf\xbd\""},
        {{"a\0b\r\x7f", 5}, "l=\"a\xef\xbf\xbd" "b\xef\xbf\xbd\xef\xbf\xbd\""},
        {{"\xed\xa0\x80", 3}, "l=\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* a surrogate */
    };
    struct fixture *f = *state;
    char longer[LIMIT_METRIC_LABEL + 10];

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        label_add(&f->text, "l", cases[i].value);
        assert_text(f, cases[i].text);
    }
    memset(longer, 'x', sizeof(longer));
    longer[LIMIT_METRIC_LABEL - 1] = (char)0xc3; /* a character across the cut */
    longer[LIMIT_METRIC_LABEL] = (char)0xbc;
    label_add(&f->text, "l", slice_of(longer, sizeof(longer)));
    assert_int_equal(f->text.len, LIMIT_METRIC_LABEL - 1 + 4);
}

static void label_names_from_outside(void **state)
{
    struct fixture *f = *state;

    label_add(&f->text, "direction", SLICE_LIT("x\",dst_pod=\""));
    label_add_prefixed(&f->text, "dst_", SLICE_LIT("pod"), SLICE_LIT("web-1"));
    label_add_prefixed(&f->text, "dst_", SLICE_LIT("a-b"), SLICE_LIT("1"));
    label_add_prefixed(&f->text, "dst_", SLICE_LIT("a.b"), SLICE_LIT("2")); /* the same name: once */
    label_add_prefixed(&f->text, "", SLICE_LIT("9\"\n"), SLICE_LIT("3"));
    label_add_u64(&f->text, "port", 80);
    assert_text(f, "direction=\"x\\\",dst_pod=\\\"\",dst_pod=\"web-1\",dst_a_b=\"1\",___=\"3\",port=\"80\"");
}

static void full_registry_swallows_and_tells(void **state)
{
    struct fixture *f = *state;
    struct metric *extra, *histogram;
    char labels[32];

    for (int i = 0; i < 20; i++) {
        snprintf(labels, sizeof(labels), "i=\"%02d\"", i);
        count(i % 2 ? f->a : f->b, REQUESTS, labels, 1);
    }
    extra = metric_get(f->a, OPEN, SLICE_NULL);
    histogram = metric_get(f->b, LATENCY, SLICE_NULL);
    metric_add(extra, 1000);
    metric_observe(histogram, INT64_MAX);
    metric_observe(histogram, INT64_MIN);
    assert_int_equal(metrics_value(&f->metrics, OPEN, SLICE_NULL), 0);
    assert_int_equal(metrics_write(&f->metrics, &f->text), 0);
    buffer_add_byte(&f->text, '\0');
    assert_null(strstr(f->text.data, "1000"));
    assert_null(strstr(f->text.data, "sink"));
    assert_non_null(strstr(f->text.data, "metrics_series_overflow_total{family=\"tcp_open_connections\"} 1\n"
                                         "metrics_series_overflow_total{family=\"response_latency_ms\"} 1\n"));
    metric_unref(extra);
    metric_unref(histogram);
    /* A known series is still found. */
    count(f->b, REQUESTS, "i=\"00\"", 4);
    assert_int_equal(metrics_value(&f->metrics, REQUESTS, SLICE_LIT("i=\"00\"")), 5);
    /* Room that was given back is used. */
    metrics_sweep(&f->metrics, 0);
    assert_int_equal(metrics_sweep(&f->metrics, 100), 20);
    count(f->a, OPEN, "", 7);
    assert_int_equal(metrics_value(&f->metrics, OPEN, SLICE_NULL), 7);
}

static void labels_that_could_not_be_built(void **state)
{
    struct fixture *f = *state;
    struct buffer labels;
    struct metric *metric;

    buffer_init(&labels, 16);
    label_add(&labels, "a", SLICE_LIT("b"));
    metric = metric_get_built(f->a, REQUESTS, &labels);
    metric_add(metric, 3);
    metric_unref(metric);
    assert_int_equal(metrics_value(&f->metrics, REQUESTS, SLICE_LIT("a=\"b\"")), 3);
    label_add(&labels, "longer", SLICE_LIT("than there is room for"));
    metric = metric_get_built(f->a, REQUESTS, &labels);
    metric_add(metric, 1000);
    metric_unref(metric);
    metrics_write(&f->metrics, &f->text);
    buffer_add_byte(&f->text, '\0');
    assert_null(strstr(f->text.data, "1000"));
    assert_non_null(strstr(f->text.data, "overflow_total{family=\"request_total\"} 1\n"));
    buffer_release(&labels);
}

static void idle_series_go_together(void **state)
{
    struct fixture *f = *state;
    struct metric *held = metric_get(f->b, REQUESTS, SLICE_LIT("d=\"1\""));

    metric_add(held, 5);
    count(f->a, REQUESTS, "d=\"1\"", 10);
    count(f->a, REQUESTS, "d=\"2\"", 1);
    assert_int_equal(metrics_sweep(&f->metrics, 1000), 0); /* now idleness is noticed */
    assert_int_equal(metrics_sweep(&f->metrics, 1099), 0);
    assert_int_equal(metrics_sweep(&f->metrics, 1100), 1);
    assert_int_equal(metrics_value(&f->metrics, REQUESTS, SLICE_LIT("d=\"2\"")), 0);
    assert_int_equal(metrics_value(&f->metrics, REQUESTS, SLICE_LIT("d=\"1\"")), 15); /* never 5 */
    metric_unref(held);
    assert_int_equal(metrics_sweep(&f->metrics, 2000), 0);
    /* Use between two sweeps starts the wait anew. */
    count(f->b, REQUESTS, "d=\"1\"", 1);
    held = metric_get(f->b, REQUESTS, SLICE_LIT("d=\"1\""));
    assert_int_equal(metrics_sweep(&f->metrics, 2050), 0);
    metric_unref(held);
    assert_int_equal(metrics_sweep(&f->metrics, 2100), 0);
    assert_int_equal(metrics_sweep(&f->metrics, 2199), 0);
    assert_int_equal(metrics_sweep(&f->metrics, 2200), 2);
    metrics_write(&f->metrics, &f->text);
    buffer_add_byte(&f->text, '\0');
    assert_null(strstr(f->text.data, "request_total"));
}

static void sweeps_go_through_many(void **state)
{
    struct metrics metrics;
    struct metric_shard *shard;
    struct metric *kept[50];
    char labels[32];

    metrics_init(&metrics, LIMIT_METRIC_SERIES, 10, 1);
    metrics_add_table(&metrics, families, FAMILIES);
    shard = metrics_shard_new(&metrics);
    for (int i = 0; i < 1000; i++) {
        struct metric *metric;

        snprintf(labels, sizeof(labels), "i=\"%d\"", i);
        metric = metric_get(shard, OPEN, slice_str(labels));
        if (i % 20 == 0)
            kept[i / 20] = metric;
        else
            metric_unref(metric);
    }
    metrics_sweep(&metrics, 5);
    assert_int_equal(metrics_sweep(&metrics, 15), 950);
    assert_int_equal(metrics_sweep(&metrics, 30), 0);
    for (int i = 0; i < 50; i++)
        metric_unref(kept[i]);
    metrics_sweep(&metrics, 40);
    assert_int_equal(metrics_sweep(&metrics, 50), 50);
    metrics_release(&metrics);
}

/* --- several threads: each series has one writer, a scrape sees sums that only grow --- */

enum { WRITERS = 3, ROUNDS = 3000 };

struct writer {
    struct metric_shard *shard;
    _Atomic(unsigned) *running;
};

static void *write_metrics(void *argument)
{
    struct writer *writer = argument;
    char labels[32];

    for (int i = 0; i < ROUNDS; i++) {
        struct metric *requests, *latency;

        snprintf(labels, sizeof(labels), "i=\"%d\"", i % 10);
        requests = metric_get(writer->shard, REQUESTS, slice_str(labels));
        latency = metric_get(writer->shard, LATENCY, SLICE_LIT("all=\"1\""));
        metric_add(requests, 1);
        metric_observe(latency, i * INT64_C(100000));
        metric_unref(latency);
        metric_unref(requests);
    }
    atomic_fetch_sub(writer->running, 1);
    return NULL;
}

static void writers_and_a_scraper(void **state)
{
    struct metrics metrics;
    struct writer writers[WRITERS];
    pthread_t threads[WRITERS];
    _Atomic(unsigned) running = WRITERS;
    struct metric *anchor[10];
    struct buffer text;
    int64_t last = 0, sum = 0;
    char labels[32];

    metrics_init(&metrics, 1000, 1, 3);
    metrics_add_table(&metrics, families, FAMILIES);
    buffer_init(&text, 1 << 20);
    for (int i = 0; i < WRITERS; i++)
        writers[i] = (struct writer){metrics_shard_new(&metrics), &running};
    /* Held in one shard, so that no sweep may drop what the others counted. */
    for (int i = 0; i < 10; i++) {
        snprintf(labels, sizeof(labels), "i=\"%d\"", i);
        anchor[i] = metric_get(writers[0].shard, REQUESTS, slice_str(labels));
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_create(&threads[i], NULL, write_metrics, &writers[i]);
    for (int64_t now = 0; atomic_load(&running); now++) {
        int64_t value = metrics_value(&metrics, REQUESTS, SLICE_LIT("i=\"3\""));

        assert_true(value >= last);
        last = value;
        buffer_clear(&text);
        assert_int_equal(metrics_write(&metrics, &text), 0);
        metrics_sweep(&metrics, now);
    }
    for (int i = 0; i < WRITERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < 10; i++) {
        snprintf(labels, sizeof(labels), "i=\"%d\"", i);
        sum += metrics_value(&metrics, REQUESTS, slice_str(labels));
        metric_unref(anchor[i]);
    }
    assert_int_equal(sum, WRITERS * ROUNDS);
    buffer_release(&text);
    metrics_release(&metrics);
}

static void quantiles_are_bounds(void **state)
{
    static const double bounds[] = {1, 2, 5, 10};
    static const struct {
        uint64_t cumulative[4], total;
        double q;
        struct quantile expected;
    } cases[] = {
        {{0, 0, 0, 0}, 0, 0.5, {.known = false}},
        {{10, 10, 10, 10}, 10, 0.5, {true, false, 0, 1}},
        {{0, 10, 10, 10}, 10, 0.0, {true, false, 1, 2}},
        {{5, 10, 10, 10}, 10, 0.5, {true, false, 0, 1}},
        {{5, 10, 10, 10}, 10, 0.51, {true, false, 1, 2}},
        {{0, 0, 99, 100}, 100, 0.99, {true, false, 2, 5}},
        {{0, 0, 98, 99}, 100, 0.999, {true, true, 10, 0}},
        {{0, 0, 0, 0}, 3, 0.5, {true, true, 10, 0}},
        {{1, 1, 1, 1}, 1, 1.0, {true, false, 0, 1}},
        {{1, 1, 1, 1}, 1, 1.1, {.known = false}},
        {{1, 1, 1, 1}, 1, -0.1, {.known = false}},
    };

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct quantile got = histogram_quantile(bounds, cases[i].cumulative, 4, cases[i].total, cases[i].q);

        assert_int_equal(got.known, cases[i].expected.known);
        assert_int_equal(got.above_all, cases[i].expected.above_all);
        assert_true(got.above == cases[i].expected.above && got.upto == cases[i].expected.upto);
    }
}

static void small_buffer_is_an_error(void **state)
{
    struct fixture *f = *state;
    struct buffer small;

    count(f->a, REQUESTS, "a=\"b\"", 1);
    buffer_init(&small, 40);
    assert_int_equal(metrics_write(&f->metrics, &small), -ENOBUFS);
    buffer_release(&small);
}

int main(void)
{
#define WITH_FIXTURE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_are_checked),
        WITH_FIXTURE(text_is_exact_and_ordered),
        WITH_FIXTURE(bounds_are_in_the_familys_unit),
        WITH_FIXTURE(labels_cannot_break_the_page),
        WITH_FIXTURE(label_names_from_outside),
        WITH_FIXTURE(full_registry_swallows_and_tells),
        WITH_FIXTURE(labels_that_could_not_be_built),
        WITH_FIXTURE(idle_series_go_together),
        cmocka_unit_test(sweeps_go_through_many),
        cmocka_unit_test(writers_and_a_scraper),
        cmocka_unit_test(quantiles_are_bounds),
        WITH_FIXTURE(small_buffer_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
