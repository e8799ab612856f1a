#include "control/writer_meter.h"

enum { WRITES, ERRORS, LEADER, QUEUE, EVENTS, FAMILIES };
enum { LABELS_MAX = 256 };

static const struct metric_family families[FAMILIES] = {
    [WRITES] = {"control_writes_total", "Requests to write objects of the cluster that succeeded.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [ERRORS] = {"control_write_errors_total", "Requests about objects that are to be written that failed.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [LEADER] = {"control_writer_leader", "Whether this replica is the one that writes.", METRIC_GAUGE, METRIC_PLAIN, NULL},
    [QUEUE] = {"control_writer_queue", "Objects that are to be looked at, or are being written.", METRIC_GAUGE, METRIC_PLAIN, NULL},
    [EVENTS] = {"control_events_total", "Kubernetes Events for people: written, or dropped.", METRIC_COUNTER, METRIC_PLAIN, NULL},
};

int writer_register(struct metrics *metrics)
{
    return metrics_add_table(metrics, families, FAMILIES);
}

const char *writer_verb_name(enum writer_verb verb)
{
    static const char *const names[WRITER_VERBS] = {
        [WRITER_READ] = "get", [WRITER_CREATE] = "create", [WRITER_PATCH] = "patch", [WRITER_DELETE] = "delete"};

    return names[verb];
}

static struct metric *series(struct controller *controller, int family, const char *const pairs[], unsigned count)
{
    struct buffer labels;
    struct metric *metric;

    buffer_init(&labels, LABELS_MAX);
    for (unsigned i = 0; i < count; i++)
        label_add(&labels, pairs[2 * i], slice_str(pairs[2 * i + 1]));
    metric = metric_get_built(controller->shard, controller->writer_families + family, &labels);
    buffer_release(&labels);
    return metric;
}

void writer_meter_init(struct writer_meter *meter, struct controller *controller, const char *label)
{
    *meter = (struct writer_meter){.controller = controller, .label = label};
    meter->leader = series(controller, LEADER, (const char *[]){"writer", label}, 1);
    meter->queue = series(controller, QUEUE, (const char *[]){"writer", label}, 1);
    for (int verb = WRITER_CREATE; verb < WRITER_VERBS; verb++)
        meter->written[verb] = series(controller, WRITES, (const char *[]){"writer", label, "verb", writer_verb_name((enum writer_verb)verb)}, 2);
}

void writer_meter_release(struct writer_meter *meter)
{
    metric_unref(meter->leader);
    metric_unref(meter->queue);
    for (int verb = 0; verb < WRITER_VERBS; verb++) {
        metric_unref(meter->written[verb]);
        for (int why = 0; why < WRITER_FAILURES; why++)
            metric_unref(meter->failed[verb][why]);
    }
}

static enum writer_failure failure_of(const struct api_answer *answer)
{
    if (answer->status == 409)
        return WRITER_CONFLICT;
    if (answer->status == 404)
        return WRITER_GONE;
    return answer->status == 0 || answer->status == 401 || answer->status == 429 || answer->status >= 500 ? WRITER_UNAVAILABLE : WRITER_REFUSED;
}

void writer_meter_count(struct writer_meter *meter, enum writer_verb verb, const struct api_answer *answer)
{
    static const char *const reasons[WRITER_FAILURES] = {
        [WRITER_CONFLICT] = "conflict", [WRITER_GONE] = "gone", [WRITER_REFUSED] = "refused", [WRITER_UNAVAILABLE] = "unavailable"};
    enum writer_failure why;

    if (!answer->error) {
        if (meter->written[verb])
            metric_add(meter->written[verb], 1);
        return;
    }
    why = failure_of(answer);
    if (!meter->failed[verb][why])
        meter->failed[verb][why] = series(meter->controller, ERRORS,
                                          (const char *[]){"writer", meter->label, "verb", writer_verb_name(verb), "reason", reasons[why]}, 3);
    metric_add(meter->failed[verb][why], 1);
}

void writer_meter_leader(struct writer_meter *meter, bool held)
{
    metric_set(meter->leader, held);
}

void writer_meter_queue(struct writer_meter *meter, size_t count)
{
    metric_set(meter->queue, (int64_t)count);
}

void event_meter_count(struct event_meter *meter, struct controller *controller, const char *component, struct event_sink_counts counts)
{
    if (!meter->written)
        meter->written = series(controller, EVENTS, (const char *[]){"component", component, "result", "written"}, 2);
    if (!meter->dropped)
        meter->dropped = series(controller, EVENTS, (const char *[]){"component", component, "result", "dropped"}, 2);
    metric_add(meter->written, (int64_t)(counts.posted - meter->told.posted));
    metric_add(meter->dropped, (int64_t)(counts.dropped - meter->told.dropped));
    meter->told = counts;
}

void event_meter_release(struct event_meter *meter)
{
    metric_unref(meter->written);
    metric_unref(meter->dropped);
}
