#include "control/validate/service.h"

#include <errno.h>
#include <stdlib.h>

#include "base/limits.h"
#include "control/validate/validate.h"

struct validate_service {
    struct controller *controller;
    const char *name;
    struct validate_context context;
    struct webhook_hook hook;
    int first_family;
};

enum family { REVIEWS, FAMILIES };
static const struct metric_family families[FAMILIES] = {
    [REVIEWS] = {"control_validations_total", "Admission reviews answered by a validating webhook.", METRIC_COUNTER, METRIC_PLAIN, NULL},
};

int validate_service_register(struct metrics *metrics)
{
    return metrics_add_table(metrics, families, FAMILIES);
}

/* Kinds that nobody knows share a series. */
static void count(const struct validate_service *service, const struct review *review, bool allowed)
{
    struct slice kind = slice_str(review->kind);
    enum kube_kind known;
    struct buffer labels;
    struct metric *metric;

    buffer_init(&labels, LIMIT_METRIC_LABELS);
    label_add(&labels, "kind", kube_kind_find(slice_str(review->group), kind, &known) == 0 ? kind : SLICE_LIT("other"));
    label_add(&labels, "allowed", allowed ? SLICE_LIT("true") : SLICE_LIT("false"));
    metric = metric_get_built(service->controller->shard, service->first_family + REVIEWS, &labels);
    metric_add(metric, 1);
    metric_unref(metric);
    buffer_release(&labels);
}

/* The caller is told everything; the log has what was refused, on one line. */
static void log_denial(const struct validate_service *service, const struct validate_opinion *opinion)
{
    struct buffer line;

    if (!opinion->denial.len)
        return;
    buffer_init(&line, LIMIT_VALIDATE_MESSAGE);
    for (size_t i = 0; i + 1 < opinion->denial.len; i++)
        buffer_add_byte(&line, opinion->denial.data[i] == '\n' ? ';' : opinion->denial.data[i]);
    log_limited(service->controller->log, LOG_INFO, service->name, "refused: %.*s", SLICE_ARGS(buffer_slice(&line)));
    buffer_release(&line);
}

static void on_ask(void *owner, struct webhook_call *call)
{
    struct validate_service *service = owner;
    struct validate_opinion opinion;
    struct review_verdict verdict;

    if (validate(&call->review, &service->context, &opinion) < 0) {
        webhook_fail(call, "no memory to look at the object");
        return;
    }
    verdict = validate_verdict(&opinion);
    count(service, &call->review, !verdict.denial);
    log_denial(service, &opinion);
    webhook_reply_verdict(call, &verdict);
    validate_opinion_release(&opinion);
}

int validate_service_new(struct controller *controller, const char *name, bool with_store, struct slice cluster_domain, int first_family,
                         struct validate_service **ret_service)
{
    struct validate_service *service = calloc(1, sizeof(*service));

    if (!service)
        return -ENOMEM;
    service->controller = controller;
    service->name = name;
    service->context = (struct validate_context){with_store ? controller->store : NULL, cluster_domain};
    service->hook = (struct webhook_hook){SLICE_LIT("/"), on_ask, service};
    service->first_family = first_family;
    *ret_service = service;
    return 0;
}

void validate_service_free(struct validate_service *service)
{
    free(service);
}

const struct webhook_hook *validate_service_hook(const struct validate_service *service)
{
    return &service->hook;
}
