#include "control/injector/meter.h"

#include "base/limits.h"
#include "inject/overrides.h"
#include "inject/workload.h"

enum family { REQUESTS, RESPONSES, FAMILIES };
static const struct metric_family families[FAMILIES] = {
    [REQUESTS] = {"proxy_inject_admission_requests_total", "A counter for number of admission requests to proxy injector.", METRIC_COUNTER,
                  METRIC_PLAIN, NULL},
    [RESPONSES] = {"proxy_inject_admission_responses_total", "A counter for number of admission responses from proxy injector.", METRIC_COUNTER,
                   METRIC_PLAIN, NULL},
};

enum { NAME_MAX_LEN = 64 };

int meter_register(struct metrics *metrics)
{
    return metrics_add_table(metrics, families, FAMILIES);
}

static void add_owner(struct buffer *labels, const struct review *review)
{
    char kind[NAME_MAX_LEN];
    struct slice name = slice_take(slice_str(pod_owner(review->object).kind), sizeof(kind));

    slice_lower(name, kind);
    label_add(labels, "owner_kind", slice_of(kind, name.len));
    label_add(labels, "namespace", slice_str(review->namespace_));
}

static void add_reasons(struct buffer *labels, unsigned skips)
{
    struct buffer text;

    buffer_init(&text, LIMIT_METRIC_LABEL);
    for (enum inject_skip skip = 0; skip < SKIP_COUNT; skip++)
        if (skips & (1U << skip))
            buffer_printf(&text, "%s%s", text.len ? ", " : "", inject_skip_name(skip));
    label_add(labels, "skip_reason", buffer_slice(&text));
    buffer_release(&text);
}

static void add_annotation(struct buffer *labels, const char *name, const char *value)
{
    static const struct slice prefix = {"config.linkerd.io/", 18};
    struct slice rest = slice_skip(slice_str(name), prefix.len);
    char label[NAME_MAX_LEN];

    if (!value || !*value || !slice_starts(slice_str(name), prefix) || rest.len >= sizeof(label))
        return;
    for (size_t i = 0; i < rest.len; i++)
        label[i] = (char)(rest.ptr[i] == '-' ? '_' : rest.ptr[i]);
    label[rest.len] = '\0';
    label_add(labels, label, slice_str(value));
}

static void add_annotations(struct buffer *labels, const struct review *review, const json_t *namespace_annotations)
{
    const json_t *meta = member_object(review->object, "metadata");
    const char *name;

    for (size_t i = 0; (name = override_name(i)); i++) {
        const char *own = meta_annotation(meta, name);

        add_annotation(labels, name, own ? own : json_string_value(json_object_get(namespace_annotations, name)));
    }
}

static void count(struct metric_shard *shard, int family, const struct buffer *labels)
{
    struct metric *metric = metric_get_built(shard, family, labels);

    metric_add(metric, 1);
    metric_unref(metric);
}

void meter_count(struct metric_shard *shard, int first, const struct review *review, const json_t *namespace_annotations,
                 const struct review_outcome *outcome)
{
    struct buffer labels;

    buffer_init(&labels, LIMIT_METRIC_LABELS);
    add_owner(&labels, review);
    label_add(&labels, "annotation_at", slice_str(outcome->annotated_at));
    add_annotations(&labels, review, namespace_annotations);
    count(shard, first + REQUESTS, &labels);
    buffer_clear(&labels);
    add_owner(&labels, review);
    label_add(&labels, "skip", outcome->verdict == INJECT_YES ? SLICE_LIT("false") : SLICE_LIT("true"));
    add_reasons(&labels, outcome->skips);
    label_add(&labels, "annotation_at", slice_str(outcome->annotated_at));
    add_annotations(&labels, review, namespace_annotations);
    count(shard, first + RESPONSES, &labels);
    buffer_release(&labels);
}
