#include <errno.h>
#include <stdlib.h>

#include "control/destination/internal.h"

static const struct grpc_method methods[] = {
    {{"/io.linkerd.proxy.destination.Destination/Get", 45}, "server_stream", destination_get},
    {{"/io.linkerd.proxy.destination.Destination/GetProfile", 52}, "server_stream", destination_get_profile},
};

/*
 * Topics: "Service NS/NAME" what a Service says, "Endpoints NS/NAME" what is behind it, "IP A" what has the address,
 * "Namespace NAME" annotations and Servers in it, "Nodes" their zones.
 */

static void touch_ip(struct destination *destination, struct ip ip)
{
    char text[IP_TEXT_MAX];

    if (ip.version)
        views_touch(&destination->views, "IP %s", ip_format(ip, text));
}

static void touch_named(struct destination *destination, const char *topic, struct slice ns, struct slice name)
{
    views_touch(&destination->views, "%s %.*s/%.*s", topic, SLICE_ARGS(ns), SLICE_ARGS(name));
}

static void service_changed(struct destination *destination, const struct kube_service *service)
{
    touch_named(destination, "Service", service->meta.namespace_, service->meta.name);
    for (size_t i = 0; i < service->cluster_ip_count; i++)
        touch_ip(destination, service->cluster_ips[i]);
}

/* The Services that have the pod or workload behind them: by selector; those without one may name it in their slices. */
static void backing_changed(struct destination *destination, const struct kube_object *backing)
{
    struct kube_set services = store_in(destination->controller->store, KUBE_SERVICE, backing->namespace_);

    for (size_t i = 0; i < services.count; i++) {
        const struct kube_service *service = kube_service(services.items[i]);

        if (!service->selector.count || kube_map_selects(&service->selector, &backing->labels))
            touch_named(destination, "Endpoints", service->meta.namespace_, service->meta.name);
    }
}

static void pod_changed(struct destination *destination, const struct kube_pod *pod)
{
    backing_changed(destination, &pod->meta);
    for (size_t i = 0; i < pod->status.pod_ip_count; i++)
        touch_ip(destination, pod->status.pod_ips[i].ip);
    touch_ip(destination, pod->status.host_ip);
}

static void workload_changed(struct destination *destination, const struct kube_external_workload *workload)
{
    backing_changed(destination, &workload->meta);
    for (size_t i = 0; i < workload->spec.ip_count; i++)
        touch_ip(destination, workload->spec.ips[i].ip);
}

/* It is named after its Service: "web.default.svc.cluster.local". */
static void profile_changed(struct destination *destination, const struct kube_object *profile)
{
    struct cluster_host host;

    if (cluster_host_parse_service(profile->name, destination->controller->options.cluster_domain, NULL, &host) == 0)
        touch_named(destination, "Service", host.namespace_, host.service);
}

static void changed(struct destination *destination, const struct kube_object *object)
{
    switch (object->kind) {
    case KUBE_SERVICE:
        service_changed(destination, kube_service(object));
        break;
    case KUBE_ENDPOINT_SLICE:
        touch_named(destination, "Endpoints", object->namespace_, kube_endpoint_slice(object)->service);
        break;
    case KUBE_POD:
        pod_changed(destination, kube_pod(object));
        break;
    case KUBE_EXTERNAL_WORKLOAD:
        workload_changed(destination, kube_external_workload(object));
        break;
    case KUBE_SERVICE_PROFILE:
        profile_changed(destination, object);
        break;
    case KUBE_NAMESPACE:
        views_touch(&destination->views, "Namespace %.*s", SLICE_ARGS(object->name));
        break;
    case KUBE_SERVER:
        views_touch(&destination->views, "Namespace %.*s", SLICE_ARGS(object->namespace_));
        break;
    default:
        break;
    }
}

/* Only the zone of a Node is part of anything. */
static void node_changed(struct destination *destination, const struct kube_object *old, const struct kube_object *new)
{
    struct slice before = old ? kube_node(old)->zone : SLICE_NULL, after = new ? kube_node(new)->zone : SLICE_NULL;

    if (slice_eq(before, after))
        return;
    destination->surroundings++;
    views_touch(&destination->views, "Nodes");
    destination_node_moved(destination, (new ? new : old)->name, before);
}

static void on_change(struct subscriber *subscriber, const struct kube_object *old, const struct kube_object *new)
{
    struct destination *destination = CONTAINER_OF(subscriber, struct destination, subscriber);

    enum kube_kind kind = (new ? new : old)->kind;

    if (kind == KUBE_NODE) {
        node_changed(destination, old, new);
        return;
    }
    destination->surroundings += kind == KUBE_NAMESPACE || kind == KUBE_SERVER;
    if (old)
        changed(destination, old);
    if (new)
        changed(destination, new);
}

int destination_new(struct controller *controller, struct destination **ret_destination)
{
    struct destination *destination = calloc(1, sizeof(*destination));
    int r;

    if (!destination)
        return -ENOMEM;
    destination->controller = controller;
    answers_init(&destination->answers);
    r = views_init(&destination->views, &controller->loop, (size_t)controller->options.queue_capacity * DESTINATION_BYTES);
    views_count(&destination->views, controller->shard, controller->view_families, "destination");
    destination->service = (struct grpc_service){.methods = methods, .count = sizeof(methods) / sizeof(methods[0]),
                                                 .owner = destination};
    destination->subscriber.kinds = STORE_KIND(KUBE_NAMESPACE) | STORE_KIND(KUBE_NODE) | STORE_KIND(KUBE_SERVICE) |
                                    STORE_KIND(KUBE_ENDPOINT_SLICE) | STORE_KIND(KUBE_POD) |
                                    STORE_KIND(KUBE_EXTERNAL_WORKLOAD) | STORE_KIND(KUBE_SERVICE_PROFILE) |
                                    STORE_KIND(KUBE_SERVER);
    destination->subscriber.on_change = on_change;
    if (r == 0)
        r = grpc_meter_new(controller, &destination->service, &destination->meter);
    if (r == 0)
        r = store_subscribe(controller->store, &destination->subscriber);
    destination->subscribed = r == 0;
    if (r < 0)
        destination_free(destination);
    else
        *ret_destination = destination;
    return r;
}

const struct grpc_service *destination_service(struct destination *destination)
{
    return &destination->service;
}

void destination_end_calls(struct destination *destination)
{
    views_end(&destination->views);
}

void destination_free(struct destination *destination)
{
    if (!destination)
        return;
    if (destination->subscribed)
        store_unsubscribe(destination->controller->store, &destination->subscriber);
    views_release(&destination->views);
    grpc_meter_free(destination->meter);
    free(destination);
}
