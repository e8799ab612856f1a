#include "proxy/admin/balancers.h"

#include <stdlib.h>

#include "base/limits.h"
#include "mesh/endpoint_set.h"
#include "mesh/metrics.h"
#include "proxy/series.h"
#include "proxy/watch/directory.h"
#include "proxy/watch/discovery.h"

enum kind { HTTP, TCP, TLS, KINDS };

struct balancer_row {
    struct map_entry entry; /* by its kind and labels */
    struct buffer labels;
    enum kind kind;
    const struct watched *watched;
    size_t endpoints, ready;
};

struct scrape {
    struct proxy *proxy;
    int64_t wall_offset_ns; /* from the loop's clock to the wall's */
    struct map rows;
    struct buffer *out;
};

/* --- which balancers there are --- */

static void count_endpoints(struct watched *watched, struct balancer_row *row)
{
    struct endpoint_set *set = cell_get(&watched->cell);

    if (!set)
        return;
    row->endpoints = set->count;
    row->ready = endpoint_set_counts(set).ready;
    endpoint_set_unref(set);
}

static void row_free(struct map *rows, struct balancer_row *row)
{
    map_remove(rows, &row->entry);
    buffer_release(&row->labels);
    free(row);
}

static void add_row(struct scrape *scrape, enum kind kind, const struct metadata *parent, const struct backend *backend)
{
    struct slice path = backend->balancer.path;
    struct watched *watched = directory_find(&scrape->proxy->directory, WATCHED_ENDPOINTS, path);
    struct balancer_row *row;

    if (!watched || scrape->rows.count >= LIMIT_BALANCER_SERIES || !(row = calloc(1, sizeof(*row))))
        return;
    row->kind = kind;
    row->watched = watched;
    buffer_init(&row->labels, LIMIT_METRIC_LABELS);
    buffer_add_byte(&row->labels, (char)('0' + kind)); /* of the key alone; row_labels() leaves it out */
    series_balancer_labels(&row->labels, parent, &backend->metadata, kind == HTTP ? SLICE_NULL : path);
    if (buffer_error(&row->labels) || map_find(&scrape->rows, buffer_slice(&row->labels)) ||
        map_add(&scrape->rows, &row->entry, buffer_slice(&row->labels)) < 0) {
        buffer_release(&row->labels);
        free(row);
        return;
    }
    count_endpoints(watched, row);
}

static void add_routes(struct scrape *scrape, enum kind kind, const struct metadata *parent, const struct outbound_routes *routes)
{
    for (size_t i = 0; i < routes->count; i++)
        for (size_t j = 0; j < routes->items[i].rule_count; j++) {
            const struct distribution *from = &routes->items[i].rules[j].backends;

            for (size_t k = 0; k < from->count; k++)
                if (from->backends[k].backend.kind == BACKEND_BALANCER)
                    add_row(scrape, kind, parent, &from->backends[k].backend);
        }
}

static void add_target(struct scrape *scrape, struct watched *target)
{
    struct discovery *discovery = cell_get(&target->cell);
    const struct outbound_policy *policy = discovery ? discovery->policy : NULL;

    if (policy) {
        add_routes(scrape, HTTP, &policy->metadata, &policy->http1);
        add_routes(scrape, HTTP, &policy->metadata, &policy->http2);
        add_routes(scrape, HTTP, &policy->metadata, &policy->grpc);
        add_routes(scrape, TCP, &policy->metadata, &policy->opaque);
        add_routes(scrape, TLS, &policy->metadata, &policy->tls);
    }
    discovery_unref(discovery);
}

static void collect(struct scrape *scrape)
{
    struct watched **targets = calloc(LIMIT_DESTINATIONS, sizeof(struct watched *));
    size_t count = targets ? directory_list(&scrape->proxy->directory, WATCHED_TARGET, targets, LIMIT_DESTINATIONS) : 0;

    for (size_t i = 0; i < count; i++)
        add_target(scrape, targets[i]);
    free(targets);
}

/* --- what is said of one --- */

static struct slice row_labels(const struct balancer_row *row)
{
    return slice_skip(buffer_slice(&row->labels), 1);
}

static const struct failfast *gate_of(const struct balancer_row *row)
{
    return row->kind == HTTP ? &row->watched->gate : &row->watched->tcp_gate;
}

static double seconds(const struct scrape *scrape, int64_t loop_ns)
{
    return loop_ns ? (double)(loop_ns + scrape->wall_offset_ns) / 1e9 : 0;
}

static double ready(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)row->ready;
}

static double pending(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)(row->endpoints - row->ready);
}

static double all(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)row->endpoints;
}

static double resets(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)row->watched->resets;
}

static double adds(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)row->watched->adds;
}

static double removals(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)row->watched->removals;
}

static double waiting(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)atomic_load_explicit(&gate_of(row)->waiting, memory_order_relaxed);
}

static double opened(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)atomic_load_explicit(&gate_of(row)->opened, memory_order_relaxed);
}

static double shut(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)atomic_load_explicit(&gate_of(row)->shut, memory_order_relaxed);
}

static double opened_at(const struct scrape *scrape, const struct balancer_row *row)
{
    return seconds(scrape, atomic_load_explicit(&gate_of(row)->opened_ns, memory_order_relaxed));
}

static double shut_at(const struct scrape *scrape, const struct balancer_row *row)
{
    return seconds(scrape, atomic_load_explicit(&gate_of(row)->shut_ns, memory_order_relaxed));
}

static double timeout(const struct scrape *scrape, const struct balancer_row *row)
{
    return (double)gate_of(row)->timeout_ns / 1e9;
}

/* A family with one value for each balancer; those that follow with the same name add a label to it. */
static const struct {
    const char *name, *type, *help, *label;
    double (*value)(const struct scrape *scrape, const struct balancer_row *row);
} columns[] = {
    {"endpoints", "gauge", "Endpoints by whether they are known not to be bad.", "endpoint_state=\"ready\",", ready},
    {"endpoints", NULL, NULL, "endpoint_state=\"pending\",", pending},
    {"p2c_endpoints", "gauge", "Endpoints in the balancer.", "", all},
    {"p2c_updates_total", "counter", "Changes that discovery brought.", "op=\"Reset\",", resets},
    {"p2c_updates_total", NULL, NULL, "op=\"Add\",", adds},
    {"p2c_updates_total", NULL, NULL, "op=\"Remove\",", removals},
    {"queue_length", "gauge", "Requests or connections that wait for an endpoint.", "", waiting},
    {"queue_gate_open_total", "counter", "How often the gate before the queue opened.", "", opened},
    {"queue_gate_shut_total", "counter", "How often it shut, since no endpoint was ready in time.", "", shut},
    {"queue_gate_open_time_seconds", "gauge", "When it opened last.", "", opened_at},
    {"queue_gate_shut_time_seconds", "gauge", "When it shut last; 0: never.", "", shut_at},
    {"queue_gate_timeout_seconds", "gauge", "How long it stays open without a ready endpoint.", "", timeout},
};

static void write_column(const struct scrape *scrape, enum kind kind, size_t column)
{
    static const char *const names[] = {"http", "tcp", "tls"};
    bool begun = columns[column].type == NULL;

    MAP_FOR_EACH (link, &scrape->rows) {
        const struct balancer_row *row = CONTAINER_OF(MAP_ENTRY(link), struct balancer_row, entry);

        if (row->kind != kind)
            continue;
        if (!begun)
            buffer_printf(scrape->out, "# HELP outbound_%s_balancer_%s %s\n# TYPE outbound_%s_balancer_%s %s\n", names[kind],
                          columns[column].name, columns[column].help, names[kind], columns[column].name, columns[column].type);
        begun = true;
        buffer_printf(scrape->out, "outbound_%s_balancer_%s{%s%.*s} %.15g\n", names[kind], columns[column].name,
                      columns[column].label, SLICE_ARGS(row_labels(row)), columns[column].value(scrape, row));
    }
}

void balancers_metrics(struct proxy *proxy, struct loop *loop, struct buffer *out)
{
    struct scrape scrape = {.proxy = proxy, .out = out, .wall_offset_ns = proxy->sys->ops->wall(proxy->sys) - loop->now_ns};

    map_init(&scrape.rows, rng_next(&loop->rng), rng_next(&loop->rng));
    collect(&scrape);
    for (int kind = HTTP; kind < KINDS; kind++)
        for (size_t i = 0; i < sizeof(columns) / sizeof(columns[0]); i++)
            write_column(&scrape, (enum kind)kind, i);
    MAP_FOR_EACH (link, &scrape.rows)
        row_free(&scrape.rows, CONTAINER_OF(MAP_ENTRY(link), struct balancer_row, entry));
    map_release(&scrape.rows);
}
