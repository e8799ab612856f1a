#include "proxy/series/parts.h"

#include <stdlib.h>

#include "proxy/dial.h"
#include "proxy/worker.h"

void transport_free(struct transport_series *transport)
{
    metric_unref(transport->open_total);
    metric_unref(transport->open);
    metric_unref(transport->read);
    metric_unref(transport->write);
    map_remove(transport->map, &transport->entry);
    free((char *)(uintptr_t)transport->labels.ptr);
    free(transport);
}

/* Found by its labels or made; NULL without memory, which counts nothing. */
struct transport_series *transport_get(struct series *series, const struct buffer *labels)
{
    struct map_entry *entry = map_find(&series->transports, buffer_slice(labels));
    struct transport_series *transport;

    if (entry) {
        transport = CONTAINER_OF(entry, struct transport_series, entry);
        transport->refs++;
        return transport;
    }
    transport = calloc(1, sizeof(*transport));
    if (!transport)
        return NULL;
    transport->labels = slice_of(slice_dup(buffer_slice(labels)), labels->len);
    if (!transport->labels.ptr || map_add(&series->transports, &transport->entry, transport->labels) < 0) {
        free((char *)(uintptr_t)transport->labels.ptr);
        free(transport);
        return NULL;
    }
    transport->map = &series->transports;
    transport->refs = 1;
    transport->open_total = series_get(series, TCP_OPEN_TOTAL, labels);
    transport->open = series_get(series, TCP_OPEN, labels);
    transport->read = series_get(series, TCP_READ, labels);
    transport->write = series_get(series, TCP_WRITE, labels);
    return transport;
}

void series_tcp_put(struct series *series, struct transport_series *transport)
{
    if (transport && --transport->refs == 0)
        transport_free(transport);
}

struct transport_series *series_tcp_app(struct series *series, struct addr addr)
{
    struct transport_series *transport;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "direction", SLICE_LIT("inbound"));
    label_add(&labels, "peer", SLICE_LIT("dst"));
    label_target(&labels, addr);
    label_add(&labels, "tls", SLICE_LIT("no_identity"));
    label_add(&labels, "no_tls_reason", SLICE_LIT("loopback"));
    transport = transport_get(series, &labels);
    buffer_release(&labels);
    return transport;
}

struct transport_series *series_tcp_endpoint(struct series *series, const struct endpoint_info *endpoint, struct slice destination)
{
    struct transport_series *transport;
    struct buffer labels;

    buffer_init(&labels, LABELS_MAX);
    label_add(&labels, "direction", SLICE_LIT("outbound"));
    label_add(&labels, "peer", SLICE_LIT("dst"));
    label_authority(&labels, destination);
    label_target(&labels, endpoint->addr);
    label_server_tls(&labels, endpoint);
    label_dst(&labels, endpoint);
    transport = transport_get(series, &labels);
    buffer_release(&labels);
    return transport;
}

void series_tcp_counts(struct transport_series *transport, struct dial_options *options)
{
    if (!transport)
        return;
    options->count_read = &transport->read->value;
    options->count_written = &transport->write->value;
}

void series_tcp_opened(struct transport_series *transport)
{
    if (!transport)
        return;
    metric_add(transport->open_total, 1);
    metric_add(transport->open, 1);
}

void series_tcp_closed(struct series *series, struct transport_series *transport, int error)
{
    struct buffer labels;

    if (!transport)
        return;
    metric_add(transport->open, -1);
    buffer_init(&labels, LABELS_MAX);
    buffer_add(&labels, transport->labels);
    label_add(&labels, "errno", error ? slice_str(strerrorname_np(-error)) : SLICE_LIT(""));
    series_bump(series, TCP_CLOSE, &labels);
    buffer_release(&labels);
}
