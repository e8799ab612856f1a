#include "proxy/series/parts.h"

#include "proxy/worker.h"

struct metric *series_get(struct series *series, enum family family, const struct buffer *labels)
{
    return metric_get(series->worker->shard, series->worker->proxy->data_families + (int)family, buffer_slice(labels));
}

void series_bump(struct series *series, enum family family, const struct buffer *labels)
{
    struct metric *metric = series_get(series, family, labels);

    metric_add(metric, 1);
    metric_unref(metric);
}

void series_observe(struct series *series, enum family family, const struct buffer *labels, int64_t value)
{
    struct metric *metric = series_get(series, family, labels);

    metric_observe(metric, value);
    metric_unref(metric);
}

struct metric *series_get_text(struct series *series, enum family family, struct slice labels)
{
    return metric_get(series->worker->shard, series->worker->proxy->data_families + (int)family, labels);
}

void series_init(struct series *series, struct worker *worker)
{
    series->worker = worker;
    map_init(&series->transports, rng_next(&worker->loop->rng), rng_next(&worker->loop->rng));
    map_init(&series->https, rng_next(&worker->loop->rng), rng_next(&worker->loop->rng));
}

void series_release(struct series *series)
{
    MAP_FOR_EACH (link, &series->transports)
        transport_free(CONTAINER_OF(MAP_ENTRY(link), struct transport_series, entry));
    MAP_FOR_EACH (http_link, &series->https)
        http_series_free(CONTAINER_OF(MAP_ENTRY(http_link), struct http_series, entry));
    map_release(&series->transports);
    map_release(&series->https);
}
