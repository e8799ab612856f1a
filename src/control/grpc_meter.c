#include "control/grpc_meter.h"

#include <errno.h>
#include <stdlib.h>

#include "base/duration.h"

enum { STARTED, HANDLED, RECEIVED, SENT, SECONDS, FAMILIES };
enum { CODES = 17, LABELS_MAX = 1024 };

/* Those that gRPC's own middleware uses. */
static const struct metric_buckets buckets = {
    11,
    {5 * NS_PER_MS, 10 * NS_PER_MS, 25 * NS_PER_MS, 50 * NS_PER_MS, 100 * NS_PER_MS, 250 * NS_PER_MS, 500 * NS_PER_MS, NS_PER_S,
     2500 * NS_PER_MS, 5 * NS_PER_S, 10 * NS_PER_S},
};

static const struct metric_family families[FAMILIES] = {
    [STARTED] = {"grpc_server_started_total", "Calls that began.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [HANDLED] = {"grpc_server_handled_total", "Calls that ended, by status.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [RECEIVED] = {"grpc_server_msg_received_total", "Messages received.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [SENT] = {"grpc_server_msg_sent_total", "Messages sent.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [SECONDS] = {"grpc_server_handling_seconds", "How long calls took.", METRIC_HISTOGRAM, METRIC_SECONDS, &buckets},
};

struct method_meter {
    struct metric *series[FAMILIES]; /* but HANDLED */
    struct metric *handled[CODES];   /* NULL: none yet */
    struct buffer labels;
};

struct grpc_meter {
    const struct controller *controller;
    const struct grpc_service *service;
    struct method_meter methods[];
};

int grpc_meter_register(struct metrics *metrics)
{
    return metrics_add_table(metrics, families, FAMILIES);
}

static struct method_meter *find(void *observer, const struct grpc_method *method)
{
    struct grpc_meter *meter = observer;

    return &meter->methods[method - meter->service->methods];
}

static void on_started(void *observer, const struct grpc_method *method)
{
    metric_add(find(observer, method)->series[STARTED], 1);
}

static void on_message(void *observer, const struct grpc_method *method, bool sent)
{
    metric_add(find(observer, method)->series[sent ? SENT : RECEIVED], 1);
}

static struct metric *handled_series(struct grpc_meter *meter, struct method_meter *method, int status)
{
    unsigned code = status >= 0 && status < CODES ? (unsigned)status : GRPC_UNKNOWN;
    struct buffer labels;

    if (method->handled[code])
        return method->handled[code];
    buffer_init(&labels, LABELS_MAX);
    buffer_add(&labels, buffer_slice(&method->labels));
    label_add(&labels, "grpc_code", slice_str(grpc_code_name((int)code)));
    method->handled[code] = metric_get_built(meter->controller->shard, meter->controller->grpc_families + HANDLED, &labels);
    buffer_release(&labels);
    return method->handled[code];
}

static void on_handled(void *observer, const struct grpc_method *method, int status, int64_t took_ns)
{
    struct method_meter *each = find(observer, method);

    metric_add(handled_series(observer, each, status), 1);
    metric_observe(each->series[SECONDS], took_ns);
}

/* "/package.Service/Method" as labels. */
static void add_method(struct grpc_meter *meter, const struct grpc_method *method, struct method_meter *each)
{
    struct slice path = slice_skip(method->path, 1);
    size_t slash = slice_find(path, '/');

    buffer_init(&each->labels, LABELS_MAX);
    label_add(&each->labels, "grpc_type", slice_str(method->type));
    label_add(&each->labels, "grpc_service", slice_take(path, slash));
    label_add(&each->labels, "grpc_method", slice_skip(path, slash + 1));
    for (int family = 0; family < FAMILIES; family++)
        if (family != HANDLED)
            each->series[family] =
                metric_get_built(meter->controller->shard, meter->controller->grpc_families + family, &each->labels);
}

int grpc_meter_new(struct controller *controller, struct grpc_service *service, struct grpc_meter **ret_meter)
{
    struct grpc_meter *meter = calloc(1, sizeof(*meter) + service->count * sizeof(meter->methods[0]));

    if (!meter)
        return -ENOMEM;
    meter->controller = controller;
    meter->service = service;
    for (unsigned i = 0; i < service->count; i++)
        add_method(meter, &service->methods[i], &meter->methods[i]);
    service->observer = meter;
    service->on_started = on_started;
    service->on_handled = on_handled;
    service->on_message = on_message;
    *ret_meter = meter;
    return 0;
}

void grpc_meter_free(struct grpc_meter *meter)
{
    if (!meter)
        return;
    for (unsigned i = 0; i < meter->service->count; i++) {
        for (int family = 0; family < FAMILIES; family++)
            metric_unref(meter->methods[i].series[family]);
        for (int code = 0; code < CODES; code++)
            metric_unref(meter->methods[i].handled[code]);
        buffer_release(&meter->methods[i].labels);
    }
    free(meter);
}
