#include "proxy/watch/control_metrics.h"

#include <errno.h>
#include <stdlib.h>

#include "mesh/classify.h"
#include "net/grpc/grpc.h"

enum family {
    REQUESTS,
    RESPONSES,
    LATENCY,
    RESOLUTIONS,
    CERT_EXPIRES,
    CERT_REFRESHED,
    CERT_REFRESHES,
    BUNDLE_GENERATION,
    BUNDLE_ANCHORS,
    BUNDLE_EXPIRES,
    BUNDLE_UPDATED,
    BUNDLE_REFUSED,
    DOWN,
    FAMILIES,
};

static const struct metric_family families[FAMILIES] = {
    [REQUESTS] = {"control_request_total", "Calls to the control plane.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [RESPONSES] = {"control_response_total", "Calls to the control plane that ended.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [LATENCY] = {"control_response_latency_ms", "How long calls to the control plane took.", METRIC_HISTOGRAM,
                 METRIC_MILLIS, &METRIC_BUCKETS_LATENCY_MS},
    [RESOLUTIONS] = {"control_dns_resolutions_total", "Look-ups of control-plane names.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [CERT_EXPIRES] = {"control_identity_cert_expiration_timestamp_seconds", "When the certificate expires.", METRIC_GAUGE,
                      METRIC_SECONDS, NULL},
    [CERT_REFRESHED] = {"control_identity_cert_refresh_timestamp_seconds", "When the certificate was last renewed.",
                        METRIC_GAUGE, METRIC_SECONDS, NULL},
    [CERT_REFRESHES] = {"control_identity_cert_refreshes_total", "Attempts to obtain a certificate.", METRIC_COUNTER, METRIC_PLAIN,
                        NULL},
    [BUNDLE_GENERATION] = {"control_identity_trust_bundle_generation", "Which trust bundle is in force; 1 is the environment's.",
                           METRIC_GAUGE, METRIC_PLAIN, NULL},
    [BUNDLE_ANCHORS] = {"control_identity_trust_bundle_anchors", "Trust anchors in force.", METRIC_GAUGE, METRIC_PLAIN, NULL},
    [BUNDLE_EXPIRES] = {"control_identity_trust_bundle_expiration_timestamp_seconds",
                        "When the first of the trust anchors in force expires.", METRIC_GAUGE, METRIC_SECONDS, NULL},
    [BUNDLE_UPDATED] = {"control_identity_trust_bundle_update_timestamp_seconds",
                        "When the trust bundle in force was taken.", METRIC_GAUGE, METRIC_SECONDS, NULL},
    [BUNDLE_REFUSED] = {"control_identity_trust_bundle_refused_total",
                        "Trust bundles that cannot be used, or not before a new certificate.", METRIC_COUNTER, METRIC_PLAIN, NULL},
    [DOWN] = {"control_client_down_seconds", "How long a control-plane service has not been connected.", METRIC_GAUGE,
              METRIC_SECONDS, NULL},
};

struct control_metrics {
    struct metric_shard *shard;
    int first;
    struct metric *kept[FAMILIES]; /* of those without labels, from their first value on: they do not go idle */
};

int control_metrics_register(struct proxy *proxy)
{
    int first = metrics_add_table(&proxy->metrics, families, sizeof(families) / sizeof(families[0]));

    proxy->control_families = first;
    return first < 0 ? first : 0;
}

int control_metrics_new(struct proxy *proxy, struct control_metrics **ret_metrics)
{
    struct control_metrics *metrics = calloc(1, sizeof(*metrics));

    if (!metrics)
        return -ENOMEM;
    metrics->first = proxy->control_families;
    metrics->shard = metrics_shard_new(&proxy->metrics);
    if (!metrics->shard) {
        free(metrics);
        return -ENOMEM;
    }
    *ret_metrics = metrics;
    return 0;
}

void control_metrics_free(struct control_metrics *metrics)
{
    for (int i = 0; metrics && i < FAMILIES; i++)
        metric_unref(metrics->kept[i]);
    free(metrics); /* the shard is the registry's */
}

static struct metric *keep(struct control_metrics *metrics, enum family family)
{
    if (!metrics->kept[family])
        metrics->kept[family] = metric_get(metrics->shard, metrics->first + (int)family, SLICE_NULL);
    return metrics->kept[family];
}

/* Series are looked up anew each time: these events are rare, and an idle series may go. */
static void bump(struct control_metrics *metrics, enum family family, const struct buffer *labels, int64_t by)
{
    struct metric *metric = metric_get(metrics->shard, metrics->first + (int)family, buffer_slice(labels));

    if (families[family].type == METRIC_HISTOGRAM)
        metric_observe(metric, by);
    else if (families[family].type == METRIC_GAUGE)
        metric_set(metric, by);
    else
        metric_add(metric, by);
    metric_unref(metric);
}

/* Whom it talks to: the service on loopback in plaintext, any other by its identity. */
static void add_service(struct buffer *labels, const char *addr, const struct endpoint_info *endpoint)
{
    label_add(labels, "addr", slice_str(addr));
    label_add(labels, "tls", endpoint->identity_kind != IDENTITY_NONE ? SLICE_LIT("true") : SLICE_LIT("loopback"));
    if (endpoint->identity_kind != IDENTITY_NONE)
        label_add(labels, "server_id", endpoint->identity);
}

void control_metrics_started(struct control_metrics *metrics, const char *addr, const struct endpoint_info *endpoint)
{
    struct buffer labels;

    buffer_init(&labels, 1024);
    add_service(&labels, addr, endpoint);
    bump(metrics, REQUESTS, &labels, 1);
    buffer_release(&labels);
}

void control_metrics_ended(struct control_metrics *metrics, const char *addr, const struct endpoint_info *endpoint,
                           int grpc_status, int64_t took_ns)
{
    struct buffer labels;

    buffer_init(&labels, 1024);
    add_service(&labels, addr, endpoint);
    label_add(&labels, "status_code", SLICE_LIT("200"));
    bump(metrics, LATENCY, &labels, took_ns);
    label_add(&labels, "classification", GRPC_FAILURES >> grpc_status & 1 ? SLICE_LIT("failure") : SLICE_LIT("success"));
    label_add_u64(&labels, "grpc_status", (uint64_t)grpc_status);
    bump(metrics, RESPONSES, &labels, 1);
    buffer_release(&labels);
}

void control_metrics_resolved(struct control_metrics *metrics, const char *client, const struct resolver_answer *answer)
{
    struct buffer labels;

    buffer_init(&labels, 1024);
    label_add(&labels, "client", slice_str(client));
    label_add(&labels, "record_type", answer->srv ? SLICE_LIT("SRV") : SLICE_LIT("A/AAAA"));
    label_add(&labels, "result", answer->error ? SLICE_LIT("not_found") : SLICE_LIT("ok"));
    bump(metrics, RESOLUTIONS, &labels, 1);
    buffer_release(&labels);
}

static void count_refresh(struct control_metrics *metrics, const char *result)
{
    struct buffer labels;

    buffer_init(&labels, 64);
    label_add(&labels, "result", slice_str(result));
    bump(metrics, CERT_REFRESHES, &labels, 1);
    buffer_release(&labels);
}

void control_metrics_certified(struct control_metrics *metrics, int64_t expires_wall_ns, int64_t wall_ns)
{
    metric_set(keep(metrics, CERT_EXPIRES), expires_wall_ns);
    metric_set(keep(metrics, CERT_REFRESHED), wall_ns);
    count_refresh(metrics, "ok");
}

void control_metrics_not_certified(struct control_metrics *metrics)
{
    count_refresh(metrics, "error");
}

void control_metrics_bundle(struct control_metrics *metrics, uint64_t generation, size_t anchors, int64_t expires_wall_ns, int64_t wall_ns)
{
    metric_set(keep(metrics, BUNDLE_GENERATION), (int64_t)generation);
    metric_set(keep(metrics, BUNDLE_ANCHORS), (int64_t)anchors);
    metric_set(keep(metrics, BUNDLE_EXPIRES), expires_wall_ns);
    metric_set(keep(metrics, BUNDLE_UPDATED), wall_ns);
}

void control_metrics_bundle_refused(struct control_metrics *metrics)
{
    metric_add(keep(metrics, BUNDLE_REFUSED), 1);
}

void control_metrics_down(struct control_metrics *metrics, const char *client, int64_t down_ns)
{
    struct buffer labels;

    buffer_init(&labels, 256);
    label_add(&labels, "client", slice_str(client));
    bump(metrics, DOWN, &labels, down_ns);
    buffer_release(&labels);
}
